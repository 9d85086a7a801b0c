//! What is kept of a browser session for whoever answers for it: pictures, and lines of what happened.
//!
//! ```text
//!   recorder (a browser backend) ──line · frame──▶ dyn RecordingSink ──▶ the server's disk
//!   GET …/recording (a door) ──summary · frame · events──▶ dyn Recordings ◀──┘
//! ```
//!
//! A sink never sees more than the policy's bytes: the recorder counts. Both traits are called off the async threads.

use crate::id::SessionId;
use std::sync::Arc;

/// Bytes that one frame counts for beside its picture. A sink keeps no more than that with each.
pub const FRAME_OVERHEAD: u64 = 24;

/// The order to record a session.
#[derive(Clone)]
pub struct Recording {
    /// Takes what there is.
    pub sink: Arc<dyn RecordingSink>,
    /// The most that it may take.
    pub bytes: u64,
}

impl std::fmt::Debug for Recording {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recording").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

/// Why a recording cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[error("{what} of a recording failed")]
pub struct RecordingError {
    /// What was done.
    pub what: &'static str,
    /// Why it failed.
    #[source]
    pub source: std::io::Error,
}

/// A recording that is being made. One writer calls it, in order.
pub trait RecordingSink: Send + Sync {
    /// Appends one event: a JSON object on one line, without the line's end.
    fn line(&self, line: &str) -> Result<(), RecordingError>;
    /// Appends one JPEG picture, of page number `page`, taken `at` milliseconds after 1970.
    fn frame(&self, at: u64, page: u32, jpeg: &[u8]) -> Result<(), RecordingError>;
    /// Notes that the recording stops before its session, for want of room. Takes no room worth counting.
    fn full(&self) -> Result<(), RecordingError>;
}

/// One picture of a recording, as a list shows it. Its number is its place in the list, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Milliseconds after 1970.
    pub at: u64,
    /// Which page it shows; `page` events say which address that had.
    pub page: u32,
    /// Bytes of the picture.
    pub length: u32,
}

/// What a recording holds so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The pictures, oldest first.
    pub frames: Vec<Frame>,
    /// Bytes of the events.
    pub event_bytes: u64,
    /// It stopped before its session, for want of room.
    pub full: bool,
}

impl Summary {
    /// Everything that it takes on disk, in the measure of [`Recording::bytes`].
    pub fn bytes(&self) -> u64 {
        let frames = self.frames.iter().map(|frame| u64::from(frame.length) + FRAME_OVERHEAD);
        frames.sum::<u64>().saturating_add(self.event_bytes)
    }
}

/// The recordings of a server. `None` is a session without one.
pub trait Recordings: Send + Sync + 'static {
    /// Begins the recording of a session.
    fn create(&self, id: &SessionId) -> Result<Arc<dyn RecordingSink>, RecordingError>;
    /// Whether there is one.
    fn contains(&self, id: &SessionId) -> Result<Option<()>, RecordingError>;
    /// What there is.
    fn summary(&self, id: &SessionId) -> Result<Option<Summary>, RecordingError>;
    /// One picture by its number; also `None` beyond the last.
    fn frame(&self, id: &SessionId, number: u64) -> Result<Option<Vec<u8>>, RecordingError>;
    /// Whole lines of events from the byte `offset`, at most `limit` bytes of them and at least one line; empty at the end.
    fn events(&self, id: &SessionId, offset: u64, limit: u64) -> Result<Option<Vec<u8>>, RecordingError>;
    /// The sessions that have one.
    fn sessions(&self) -> Result<Vec<SessionId>, RecordingError>;
    /// Removes one. What is not there is no error.
    fn remove(&self, id: &SessionId) -> Result<(), RecordingError>;
}
