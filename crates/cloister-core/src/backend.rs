//! What an isolation backend is: two traits, implemented once per tier.

use crate::command::ToolCall;
use crate::egress::EgressReport;
use crate::event::Event;
use crate::id::{Principal, SandboxId};
use crate::policy::Policy;
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// What a backend needs to start one interpreter.
#[derive(Clone, Debug)]
pub struct InterpreterSpec {
    /// The policy in force; complete and already narrowed.
    pub policy: Arc<Policy>,
    /// How long the worker may live, whatever happens to the server: it ends itself at this age.
    pub ttl: Duration,
    /// Whose session it is. A worker that holds several sessions holds those of one principal only.
    pub owner: Principal,
    /// Start as a copy of this one, with its variables and files. Tiers that cannot refuse.
    pub copy_of: Option<SandboxId>,
}

/// Why a backend cannot work on this host; what is missing and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {advice}")]
pub struct Unavailable {
    /// The wall or program that is missing.
    pub what: String,
    /// What the operator can do.
    pub advice: String,
}

/// Why an interpreter did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A wall that the policy requires cannot be built here. Never silently weaker: the start is refused.
    #[error("this host cannot build a wall that the policy requires: {0}")]
    Unavailable(#[from] Unavailable),
    /// The image is missing or damaged.
    #[error("image {image}: {what}")]
    Image {
        /// Its name.
        image: String,
        /// What is wrong and what to do.
        what: String,
    },
    /// The tier cannot start a session in this way; the text says what can.
    #[error("{0}")]
    NotSupported(String),
    /// What is to be copied runs a call.
    #[error("{0}")]
    Busy(String),
    /// There is no room for one more; later there may be.
    #[error("{0}")]
    Full(String),
    /// A step of the start failed; nothing is left behind.
    #[error("{step}: {source}")]
    Step {
        /// What was being done.
        step: String,
        /// Why it failed.
        source: std::io::Error,
    },
}

/// Why a call could not be carried out. The session may be gone; the caller asks [`Interpreter::exited`].
#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    /// The worker is gone, and with it the session.
    #[error("the session's worker has ended: {reason}")]
    WorkerGone {
        /// What is known about it. Clients read it: it names no path of the host.
        reason: String,
    },
    /// The tier cannot do this.
    #[error("{0}")]
    NotSupported(String),
    /// The worker broke the protocol; it is killed.
    #[error("the session's worker sent nonsense: {0}")]
    Protocol(String),
    /// The call itself is refused; the session is fine.
    #[error(transparent)]
    Refused(#[from] crate::error::Error),
}

/// What stopping did.
#[derive(Clone, Debug, Default)]
pub struct StopReport {
    /// It had to be killed.
    pub killed: bool,
    /// What could not be removed (for the log and for `doctor`).
    pub left_behind: Vec<String>,
}

/// What a worker was made of, by content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    /// The image's digest, as its build has written it down: the content of its root.
    pub image: Option<String>,
    /// The digest of what was compiled from it, on a tier that runs no code of the image itself.
    pub artifact: Option<String>,
}

/// What a worker has used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Consumed {
    /// User and system time of all of its processes.
    pub cpu: Duration,
    /// Highest memory, in bytes.
    pub memory_peak: u64,
}

/// Where an interpreter puts the events of a call. Bounded: a slow reader slows the guest, not the server.
pub type EventSink = mpsc::Sender<Event>;

/// An isolation tier for code.
#[async_trait]
pub trait InterpreterBackend: Send + Sync + 'static {
    /// `process`, `wasm`.
    fn name(&self) -> &'static str;
    /// What this backend needs from the host; called at start-up and by `cloister doctor`.
    fn probe(&self) -> Result<(), Unavailable>;
    /// A running interpreter, from the pool if one is ready.
    async fn start(&self, spec: InterpreterSpec) -> Result<Arc<dyn Interpreter>, StartError>;
    /// Stop everything that the backend keeps ready (pool, zygotes). Called once, at shutdown.
    async fn shutdown(&self);
}

/// One running interpreter.
#[async_trait]
pub trait Interpreter: Send + Sync {
    /// The sandbox that it runs in.
    fn sandbox(&self) -> SandboxId;
    /// Run one call; `Event::Done` is the last thing sent on success. `deadline` is relative to the call's arrival.
    async fn invoke(&self, call: ToolCall, deadline: Duration, events: EventSink) -> Result<(), InvokeError>;
    /// Stop the running foreground call as its deadline would (an interrupt, then a kill).
    async fn interrupt(&self);
    /// Resolves when the worker has ended by itself, with the reason. Clients read it: it names no path of the host.
    async fn exited(&self) -> String;
    /// Returns within `grace` plus a kill, whatever the guest does. Nothing is left afterwards.
    async fn stop(&self, grace: Duration) -> StopReport;
    /// What the native door shows of the walls: name and value, as measured.
    fn walls(&self) -> Vec<(String, String)>;
    /// What it was made of.
    fn provenance(&self) -> Provenance {
        Provenance::default()
    }
    /// The places in which its code may write, as that names them; empty for one that runs none.
    fn writable(&self) -> Vec<String> {
        Vec::new()
    }
    /// What it has used; `None` where the host measures nothing, or not this one apart from others.
    fn consumed(&self) -> Option<Consumed> {
        None
    }
    /// What has gone through its way out; `None` for one that has none.
    fn egress(&self) -> Option<EgressReport> {
        None
    }
}
