//! What a store of session records must do. Intent is on disk before the first kernel object exists.

use crate::error::Error;
use crate::id::{Principal, SandboxId, SessionId};
use crate::quota::CpuRecord;
use crate::session::{EndReason, ListQuery, Page, SessionRecord};
use std::time::SystemTime;

/// A session with what only the server may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSession {
    /// What clients see.
    pub record: SessionRecord,
    /// The configured interpreter, without the clothes of an ARN; lists and tokens go by it.
    pub key: String,
    /// Whose it is.
    pub owner: Principal,
    /// The sandbox that runs it, once known.
    pub sandbox: Option<SandboxId>,
    /// The client token of the start, for idempotency across restarts.
    pub client_token: Option<String>,
    /// The digest that goes with the token.
    pub fingerprint: [u8; 32],
}

/// Keeps session records. Calls are short and synchronous; the manager runs them off the async threads where it matters.
pub trait Store: Send + Sync + 'static {
    /// Record a session that is about to start. Fails if the id exists.
    fn insert(&self, session: &StoredSession) -> Result<(), Error>;
    /// Note which sandbox runs it.
    fn bind(&self, id: &SessionId, sandbox: &SandboxId) -> Result<(), Error>;
    /// Record the end, and what the worker died of. Terminal states never change: a second call is a no-op.
    fn terminate(
        &self,
        id: &SessionId,
        reason: EndReason,
        cause: Option<&str>,
        at: SystemTime,
    ) -> Result<(), Error>;
    /// Remove the record of a session that never started.
    fn forget(&self, id: &SessionId) -> Result<(), Error>;
    /// One session, whoever owns it.
    fn get(&self, id: &SessionId) -> Result<Option<StoredSession>, Error>;
    /// The session that a client token started.
    fn by_token(&self, owner: &Principal, key: &str, token: &str) -> Result<Option<StoredSession>, Error>;
    /// One page of the sessions of an owner, in one interpreter or in all, newest first.
    fn list(&self, owner: &Principal, key: Option<&str>, query: &ListQuery) -> Result<Page, Error>;
    /// Every session that has no end yet, for the reconciliation at start-up.
    fn live(&self) -> Result<Vec<StoredSession>, Error>;
    /// Drop records that ended before `before`; returns how many.
    fn prune(&self, before: SystemTime) -> Result<usize, Error>;
    /// Add CPU time to what there is of each owner and slot, and drop slots before `first`: all of it, or nothing.
    fn add_cpu(&self, records: &[CpuRecord], first: u64) -> Result<(), Error>;
    /// CPU time of every owner from the slot `first` on.
    fn cpu_since(&self, first: u64) -> Result<Vec<CpuRecord>, Error>;
}
