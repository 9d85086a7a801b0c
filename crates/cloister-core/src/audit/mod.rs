//! What happened, for whoever answers for it: typed events, and the trait of the log that keeps them.
//!
//! ```text
//!   doors, manager, backends, egress ──Event──▶ Desk (whose sandbox? denied before?) ──▶ dyn Audit ──▶ the server's disk
//!                        ──Denial──▶ Desk ──Noted { id, text }──▶ the guest, the API answer, the log: one id
//! ```
//!
//! The log sets time, number, id and chain; an [`Event`] says only what it is about. Words that a guest, a page or a client chose
//! go into fields that are marked as such ([`Key::trust`]).

mod desk;
mod event;
mod origin;
mod seen;

pub use desk::{Attribution, Desk};
pub use event::{Action, Actor, Decision, Durability, Event, Key, Method, Outcome, Resource, Trust};
pub use origin::Origin;
pub use seen::{Passage, Reached, Seen};

use crate::denial::{DenialId, Noted};
use crate::error::{Error, Kind};
use std::fmt;
use std::time::{Duration, SystemTime};

/// The id of a record: a UUID of version 7, so that ids sort by time.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(String);

impl EventId {
    /// A fresh id for something that happened `at`.
    pub fn at(at: SystemTime) -> Result<Self, getrandom::Error> {
        let mut bytes = [0u8; 16];
        getrandom::fill(&mut bytes)?;
        let millis = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis() as u64;
        bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
        bytes[6] = 0x70 | (bytes[6] & 0x0f);
        bytes[8] = 0x80 | (bytes[8] & 0x3f);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
        Ok(Self(parts.join("-")))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why something could not be recorded.
#[derive(Debug, thiserror::Error)]
#[error("the audit log could not {what}")]
pub struct AuditError {
    /// What failed: "be written", "be read".
    pub what: &'static str,
    /// Why.
    #[source]
    pub source: std::io::Error,
}

impl From<AuditError> for Error {
    fn from(error: AuditError) -> Self {
        // Not the caller's fault, and nothing that it can mend: the operator has to.
        let text = "the server's audit log cannot be written, so this was not done; free space in the server's data folder";
        Self::new(Kind::Internal, text).with_source(error)
    }
}

/// Keeps events in order, and for good.
///
/// Calls are short. An event whose action is [`Durability::Synced`] is on disk when `record` returns, which takes as long as the
/// disk takes (of starts and stops of sessions, where the server is told to wait for them): record it off the async threads, before the
/// effect, and give the effect up if this fails. (A server that is configured to go on without its log logs the failure and returns an
/// id all the same.)
pub trait Audit: Send + Sync + 'static {
    /// Appends one event.
    fn record(&self, event: Event) -> Result<EventId, AuditError>;

    /// Whether recording such an event waits for the disk.
    fn durability(&self, action: Action) -> Durability {
        action.durability()
    }

    /// A denial of the past, as it was recorded; whoever asks checks whose it is. May read files.
    fn denial(&self, id: &DenialId) -> Result<Option<Noted>, AuditError>;
}

/// The log of a server that keeps none.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoAudit;

impl Audit for NoAudit {
    fn record(&self, _event: Event) -> Result<EventId, AuditError> {
        EventId::at(SystemTime::now()).map_err(|error| AuditError {
            what: "name an event",
            source: std::io::Error::other(error.to_string()),
        })
    }

    fn denial(&self, _id: &DenialId) -> Result<Option<Noted>, AuditError> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_ids_are_uuids_of_version_7_that_sort_by_time() {
        let early = EventId::at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)).unwrap();
        let late = EventId::at(SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000)).unwrap();
        assert!(early < late, "{early} {late}");
        let text = early.as_str();
        assert_eq!(text.len(), 36);
        assert_eq!(&text[..13], "00e8d4a5-1000", "a thousand million seconds, in milliseconds");
        assert_eq!(text.as_bytes()[14], b'7');
        assert!(matches!(text.as_bytes()[19], b'8' | b'9' | b'a' | b'b'));
    }
}
