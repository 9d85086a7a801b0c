//! The table of live sessions: who may see which, how many there may be, and the door that closes at shutdown.

use super::account::Account;
use super::driver::Request;
use super::owner;
use super::refusal;
use super::state::Phase;
use super::worker::Worker;
use super::{ManagerConfig, SessionRecord};
use crate::browser::StartBrowser;
use crate::error::Error;
use crate::id::{Principal, SessionId};
use crate::lock::lock;
use crate::policy::Policy;
use crate::quota::{Seat, UsedUp};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio::sync::{mpsc, watch};

/// A live session as everybody but its driver sees it.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) key: String,
    pub(super) owner: Principal,
    pub(super) policy: Arc<Policy>,
    pub(super) account: Arc<Account>,
    pub(super) requests: mpsc::Sender<Request>,
    pub(super) view: watch::Receiver<View>,
}

/// What a driver publishes after every change.
#[derive(Clone)]
pub(super) struct View {
    pub(super) record: SessionRecord,
    pub(super) phase: Phase,
    pub(super) running: usize,
    pub(super) queued: usize,
    pub(super) worker: Option<Worker>,
    /// What a browser session was asked to be.
    pub(super) browser: Option<StartBrowser>,
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View")
            .field("id", &self.record.id)
            .field("phase", &self.phase)
            .finish_non_exhaustive()
    }
}

impl Handle {
    /// Whether `who` may see this session under `key` (any interpreter if `None`).
    pub(super) fn belongs_to(&self, who: &Principal, key: Option<&str>) -> bool {
        owner::is_there_for(who, &self.owner) && key.is_none_or(|key| key == self.key)
    }
}

/// Every live session, by id.
#[derive(Debug, Default)]
pub(super) struct Live {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    sessions: HashMap<SessionId, Arc<Handle>>,
    closed: bool,
}

/// A session's place in the table; dropping it gives the place back.
#[derive(Debug)]
pub(super) struct Place {
    live: Arc<Live>,
    id: SessionId,
    /// Its place in its owner's quotas, given back with this one.
    _seat: Seat,
}

/// Why there is no place.
#[derive(Debug)]
pub(super) enum NoPlace {
    /// The server has none.
    Server(Error),
    /// The owner has used a quota up.
    Quota(UsedUp),
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.live.inner).sessions.remove(&self.id);
    }
}

impl Live {
    /// Takes a place, or refuses because the server is full or shutting down, or `seat` refuses.
    pub(super) fn enter(
        self: &Arc<Self>,
        id: &SessionId,
        handle: Arc<Handle>,
        config: &ManagerConfig,
        seat: impl FnOnce() -> Result<Seat, UsedUp>,
    ) -> Result<Place, NoPlace> {
        let mut inner = lock(&self.inner);
        // Under the same lock as `close`, so that no session slips in behind a shutdown that has counted already.
        if inner.closed {
            return Err(NoPlace::Server(refusal::shutting_down()));
        }
        if inner.sessions.len() >= config.max_sessions {
            return Err(NoPlace::Server(refusal::too_many_sessions(config.max_sessions)));
        }
        let seat = seat().map_err(NoPlace::Quota)?;
        inner.sessions.insert(id.clone(), handle);
        Ok(Place { live: Arc::clone(self), id: id.clone(), _seat: seat })
    }

    pub(super) fn find(&self, id: &SessionId) -> Option<Arc<Handle>> {
        lock(&self.inner).sessions.get(id).cloned()
    }

    pub(super) fn all(&self) -> Vec<Arc<Handle>> {
        lock(&self.inner).sessions.values().cloned().collect()
    }

    /// Lets nobody in any more.
    pub(super) fn close(&self) {
        lock(&self.inner).closed = true;
    }

    pub(super) fn is_closed(&self) -> bool {
        lock(&self.inner).closed
    }
}
