//! A log without a disk, which can be told to fail.

use crate::audit::{Action, Audit, AuditError, Event, EventId};
use crate::denial::{DenialId, Noted};
use crate::lock::lock;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

/// The test double of a server's audit log.
#[derive(Debug, Default)]
pub struct MemoryAudit {
    events: Mutex<Vec<Event>>,
    failing: AtomicBool,
}

impl MemoryAudit {
    /// Everything so far, in order.
    pub fn events(&self) -> Vec<Event> {
        lock(&self.events).clone()
    }

    /// Everything of one kind.
    pub fn of(&self, action: Action) -> Vec<Event> {
        self.events().into_iter().filter(|event| event.action == action).collect()
    }

    /// From now on nothing can be recorded, or again.
    pub fn fail(&self, failing: bool) {
        self.failing.store(failing, Ordering::SeqCst);
    }
}

impl Audit for MemoryAudit {
    fn record(&self, event: Event) -> Result<EventId, AuditError> {
        if self.failing.load(Ordering::SeqCst) {
            return Err(AuditError { what: "be written", source: io::ErrorKind::StorageFull.into() });
        }
        lock(&self.events).push(event);
        EventId::at(SystemTime::now()).map_err(|error| AuditError {
            what: "name an event",
            source: io::Error::other(error.to_string()),
        })
    }

    fn denial(&self, _id: &DenialId) -> Result<Option<Noted>, AuditError> {
        Ok(None)
    }
}
