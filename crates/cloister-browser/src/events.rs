//! Events of one CDP session for our own use: bounded, and a reader that falls behind is told so.

use cloister_core::browser::Held;
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// Events that a reader may be behind.
pub(crate) const BACKLOG: usize = 1024;

/// Method of the event that stands for lost ones; its params are `{"missed": n}`.
pub const LAGGED: &str = "Cloister.lagged";

/// One event.
#[derive(Debug)]
pub struct CdpEvent {
    /// `Page.loadEventFired`.
    pub method: String,
    /// Null if the event has none.
    pub params: Value,
    /// What it holds of the session's budget, for as long as somebody may still read it.
    pub(crate) _held: Held,
}

impl CdpEvent {
    /// Stands for `missed` events.
    pub(crate) fn lagged(missed: u64) -> Self {
        let params = serde_json::json!({ "missed": missed });
        Self { method: LAGGED.to_owned(), params, _held: Held::default() }
    }
}

/// The events of one session since [`crate::Connection::events`] was called.
#[derive(Debug)]
pub struct Events {
    receiver: Option<broadcast::Receiver<Arc<CdpEvent>>>,
}

impl Events {
    pub(crate) fn new(receiver: Option<broadcast::Receiver<Arc<CdpEvent>>>) -> Self {
        Self { receiver }
    }

    /// The next event; `None` once the session is detached or the browser has ended. A reader that is more than 1024 events
    /// behind, or one whose session has no budget for an event, gets [`LAGGED`] in place of those that it has lost.
    pub async fn next(&mut self) -> Option<Arc<CdpEvent>> {
        match self.receiver.as_mut()?.recv().await {
            Ok(event) => Some(event),
            Err(RecvError::Lagged(missed)) => Some(Arc::new(CdpEvent::lagged(missed))),
            Err(RecvError::Closed) => None,
        }
    }
}
