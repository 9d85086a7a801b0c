//! Sessions: the records that clients see, the requests they make, and the manager that owns every live one.
//!
//! ```text
//! Starting ──hello──▶ Ready{in_flight} ──stop · deadline · drain──▶ Stopping ──reaped──▶ Terminated(Reason)
//!     └──────────────────────────── failed ───────────────────────────────────────────────▲
//! ```

mod account;
pub mod backends;
mod calls;
pub mod config;
mod counted;
mod driver;
pub mod interpreters;
pub mod invocation;
mod ledger;
mod live;
pub mod manager;
mod met;
pub(crate) mod owner;
mod recordings;
mod records;
mod refusal;
mod start;
mod state;
mod tally;
#[cfg(test)]
mod tests;
mod tokens;
mod worker;

pub use backends::Backends;
pub use config::ManagerConfig;
pub use interpreters::Interpreters;
pub use invocation::Invocation;
pub use manager::{BrowserDetail, Counts, Detail, SessionManager};
pub use refusal::forbidden;
pub use start::life;

use crate::browser::StartBrowser;
use crate::id::SessionId;
use crate::policy::Ask;
use std::time::{Duration, SystemTime};

/// What a session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionKind {
    /// It runs code.
    Code,
    /// It shows pages.
    Browser,
}

/// What clients see of a session's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It takes calls.
    Ready,
    /// It ended; the record stays.
    Terminated,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// A client stopped it.
    Stopped,
    /// Its time was up.
    Expired,
    /// The server shut down.
    Drained,
    /// Its worker ended by itself.
    Failed,
    /// The server found it dead at start-up.
    Lost,
}

/// A session as `get` and `list` return it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRecord {
    /// The id.
    pub id: SessionId,
    /// The interpreter or browser identifier, as the client gave it at start.
    pub interpreter: String,
    /// The name that the client gave.
    pub name: Option<String>,
    /// Ready or terminated.
    pub status: Status,
    /// Set once it ended.
    pub ended: Option<EndReason>,
    /// What its worker died of, if it ended by itself: a sentence with words of the guest's in it.
    pub cause: Option<String>,
    /// When it started.
    pub created: SystemTime,
    /// When it last changed state.
    pub updated: SystemTime,
    /// Its life, absolute from `created`.
    pub ttl: Duration,
    /// The policy that it runs under.
    pub policy: String,
    /// The tier that runs it.
    pub tier: String,
}

/// A request for a session. Lengths and patterns have been checked by the gateway.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StartSession {
    /// The identifier as the client gave it (an id or an ARN); echoed back in the record.
    pub interpreter: String,
    /// The configured interpreter that the identifier means; the gateway has taken it out of an ARN.
    pub key: String,
    /// A name for people.
    pub name: Option<String>,
    /// Life in seconds; the policy's default if absent, and never above its maximum.
    pub timeout: Option<Duration>,
    /// Set for a browser session, and only then: the identifier must be a browser's.
    pub browser: Option<StartBrowser>,
    /// Start as a copy of this session, which must be at rest: its variables, imports and files, with randomness of its own.
    pub copy_of: Option<SessionId>,
    /// Less than the interpreter's policy gives; more is refused. A copy has its original's policy and takes none.
    pub narrowing: Option<Ask>,
    /// Makes the start idempotent for its principal.
    pub client_token: Option<String>,
    /// Digest of the request's other parameters: the same token with another digest is refused.
    pub fingerprint: [u8; 32],
}

/// A request for a copy of a session. Interpreter and policy are the original's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForkSession {
    /// A name for people.
    pub name: Option<String>,
    /// Life of the copy; the policy's default if absent, and never above its maximum.
    pub timeout: Option<Duration>,
    /// Makes the fork idempotent for its principal.
    pub client_token: Option<String>,
    /// Digest of the request's other parameters, the original among them.
    pub fingerprint: [u8; 32],
}

/// Which sessions to list.
#[derive(Clone, Debug)]
pub struct ListQuery {
    /// Only this state.
    pub status: Option<Status>,
    /// 1 to 100.
    pub limit: usize,
    /// Sessions after this one (creation order, newest first); the gateway wraps it in a sealed cursor.
    pub after: Option<SessionId>,
}

/// One page of a list.
#[derive(Clone, Debug)]
pub struct Page {
    /// Newest first.
    pub items: Vec<SessionRecord>,
    /// Where the next page starts.
    pub next: Option<SessionId>,
}

/// How a call is to be made.
#[derive(Clone, Debug, Default)]
pub struct InvokeOptions {
    /// `amz-sdk-invocation-id`: a second request with the same id attaches to the first call instead of running again.
    pub invocation_id: Option<String>,
    /// Digest of the call's parameters, checked against the first request of the same id.
    pub fingerprint: [u8; 32],
    /// A deadline below the policy's.
    pub timeout: Option<Duration>,
}
