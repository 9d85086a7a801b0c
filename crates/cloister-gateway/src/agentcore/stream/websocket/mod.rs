//! The server's side of a WebSocket (RFC 6455), for one use: text both ways, with every byte of a message counted while it comes in.
//!
//! ```text
//!   request ──▶ handshake ──▶ 101 ──▶ upgraded connection ──┬──▶ Reader: frames → one message, held in the session's budget
//!                                                           └──▶ Writer: one message → one frame, never copied when it is large
//! ```
//!
//! It is our own because of the memory: a library puts a message together inside of itself, where nobody can count it, and keeps
//! the buffers of the largest one for as long as the connection lives.

mod reader;
mod writer;

pub(super) use reader::{Broken, Came, Reader};
pub(super) use writer::Writer;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::upgrade::OnUpgrade;
use sha1::{Digest as _, Sha1};

/// What the answer to a key is made of (RFC 6455, section 1.3).
const MAGIC: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// What a frame is (RFC 6455, section 5.2).
const CONTINUATION: u8 = 0x0;
pub(super) const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
pub(super) const CLOSE: u8 = 0x8;
pub(super) const PING: u8 = 0x9;
pub(super) const PONG: u8 = 0xa;

/// Why a connection ends (RFC 6455, section 7.4).
pub(super) mod code {
    pub(in crate::agentcore::stream) const NORMAL: u16 = 1000;
    pub(in crate::agentcore::stream) const AWAY: u16 = 1001;
    pub(in crate::agentcore::stream) const PROTOCOL: u16 = 1002;
    pub(in crate::agentcore::stream) const UNSUPPORTED: u16 = 1003;
    pub(in crate::agentcore::stream) const INVALID: u16 = 1007;
    pub(in crate::agentcore::stream) const POLICY: u16 = 1008;
    pub(in crate::agentcore::stream) const SIZE: u16 = 1009;
    /// The server has no memory for it now.
    pub(in crate::agentcore::stream) const AGAIN_LATER: u16 = 1013;
}

/// A request that may become a WebSocket.
pub(crate) struct Upgrade {
    accept: HeaderValue,
    pub(super) connection: OnUpgrade,
}

/// The WebSocket that a request asks for; `None` if it asks for none, or for another version.
pub(super) fn asked(parts: &mut Parts) -> Option<Upgrade> {
    let headers = &parts.headers;
    let wanted = parts.method == Method::GET
        && parts.version == Version::HTTP_11
        && names(headers, header::CONNECTION, "upgrade")
        && names(headers, header::UPGRADE, "websocket")
        && headers.get(header::SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13");
    let key = headers.get(header::SEC_WEBSOCKET_KEY).filter(|_| wanted)?;
    let accept = HeaderValue::from_str(&answer_to(key.as_bytes())).ok()?;
    Some(Upgrade { accept, connection: parts.extensions.remove::<OnUpgrade>()? })
}

/// The answer that makes the connection a WebSocket.
pub(super) fn switched(upgrade: &Upgrade) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, upgrade.accept.clone());
    response
}

/// Whether a list in a header has this word.
fn names(headers: &HeaderMap, name: header::HeaderName, word: &str) -> bool {
    let mut words = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    words.any(|list| list.split(',').any(|one| one.trim().eq_ignore_ascii_case(word)))
}

fn answer_to(key: &[u8]) -> String {
    STANDARD.encode(Sha1::new().chain_update(key).chain_update(MAGIC).finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_the_standard_gets_the_answer_of_the_standard() {
        assert_eq!(answer_to(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn a_word_of_a_list_is_found_whatever_its_case_and_its_neighbours() {
        let mut headers = HeaderMap::new();
        headers.append(header::CONNECTION, HeaderValue::from_static("keep-alive"));
        headers.append(header::CONNECTION, HeaderValue::from_static("x, Upgrade"));
        assert!(names(&headers, header::CONNECTION, "upgrade"));
        assert!(!names(&headers, header::CONNECTION, "up") && !names(&headers, header::UPGRADE, "websocket"));
    }
}
