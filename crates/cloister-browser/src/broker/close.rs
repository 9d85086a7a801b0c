//! Close codes of the WebSocket that a client's connection ends with (RFC 6455 §7.4; from 4000 on they are ours).

/// The client wanted to go.
pub(super) const NORMAL: u16 = 1000;
/// The browser, the page or the session has ended.
pub(super) const GONE: u16 = 1001;
/// A message of the client's is larger than the cap.
pub(super) const TOO_LARGE: u16 = 1009;
/// The server has no memory for what the client would have to be told.
pub(super) const AGAIN_LATER: u16 = 1013;
/// The client reads slower than the browser writes.
pub(super) const TOO_SLOW: u16 = 4008;
/// The automation stream was disabled.
pub(super) const DISABLED: u16 = 4003;
