//! What a browser backend is: two traits, as for interpreters.

use super::action::{Action, ActionResult};
use super::cdp::{CdpClient, Role};
use super::page::{Performed, Step};
use super::{Proxies, Viewport};
use crate::backend::{Consumed, EventSink, InvokeError, Provenance, StartError, StopReport, Unavailable};
use crate::command::ToolCall;
use crate::egress::EgressReport;
use crate::error::{Error, Kind, Reason};
use crate::id::SandboxId;
use crate::policy::Policy;
use crate::recording::Recording;
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;

/// What a backend needs to start one browser.
#[derive(Clone, Debug)]
pub struct BrowserSpec {
    /// The policy in force; complete and already narrowed.
    pub policy: Arc<Policy>,
    /// How long the worker may live, whatever happens to the server.
    pub ttl: Duration,
    /// Applied to the first page and to every later one.
    pub viewport: Viewport,
    /// Upstream proxies.
    pub proxies: Proxies,
    /// Where the session is recorded, if the policy says so.
    pub recording: Option<Recording>,
}

/// Whether automation clients may use the session (`automationStream.streamStatus`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamStatus {
    /// They may.
    Enabled,
    /// Connections are closed and refused: somebody has taken control.
    Disabled,
}

/// What runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Engine {
    /// `HeadlessChrome/156.0.8078.79`, as `Browser.getVersion` says.
    pub product: String,
    /// The default user agent.
    pub user_agent: String,
    /// `1.3`.
    pub protocol: String,
    /// V8's version.
    pub js_version: String,
    /// The revision.
    pub revision: String,
}

/// Why a browser did not do it.
#[derive(Debug, thiserror::Error)]
pub enum BrowserError {
    /// The browser is gone, and with it the session.
    #[error("the session's browser has ended: {0}")]
    Gone(String),
    /// It did not answer in time. The session lives.
    #[error("{what} did not finish within {limit:?}")]
    Deadline {
        /// What was waited for.
        what: String,
        /// How long.
        limit: Duration,
    },
    /// The request makes no sense for this page or this session.
    #[error("{message}")]
    Invalid {
        /// The field, as the client named it; empty if it is no single one.
        field: String,
        /// What is wrong and what would be right.
        message: String,
    },
    /// The policy forbids it.
    #[error("{0}")]
    Denied(String),
    /// The automation stream is disabled.
    #[error(
        "the automation stream is disabled: somebody has taken control of the browser; release it with UpdateBrowserStream"
    )]
    StreamDisabled,
    /// So many clients are connected already.
    #[error("{0} clients are connected already, which is the limit")]
    TooManyClients(usize),
    /// The browser answered with an error, or with nonsense.
    #[error("the browser refused: {0}")]
    Protocol(String),
}

/// What a caller hears. What the browser said in [`BrowserError::Protocol`] is guest text, and goes to the log.
impl From<BrowserError> for Error {
    fn from(error: BrowserError) -> Self {
        let text = error.to_string();
        match error {
            BrowserError::Gone(_) => Self::new(Kind::NotFound, format!("{text}; start a new session")),
            BrowserError::Deadline { .. } => Self::new(
                Kind::Conflict,
                format!("{text}; the session goes on: look at the page, or ask again"),
            ),
            BrowserError::Invalid { field, message } if field.is_empty() => {
                Self::invalid(Reason::FieldValidationFailed, message)
            }
            BrowserError::Invalid { field, message } => Self::field(field, message),
            BrowserError::Denied(_) => Self::new(Kind::AccessDenied, text),
            BrowserError::StreamDisabled => Self::new(Kind::Conflict, text),
            BrowserError::TooManyClients(_) => {
                Self::new(Kind::Throttled, format!("{text}; close one, and connect again"))
            }
            BrowserError::Protocol(said) => {
                Self::internal("the browser did not do what it was asked; the server's log says more", said)
            }
        }
    }
}

/// A tier of browsers.
#[async_trait]
pub trait BrowserBackend: Send + Sync + 'static {
    /// `browser`.
    fn name(&self) -> &'static str;
    /// What this backend needs from the host.
    fn probe(&self) -> Result<(), Unavailable>;
    /// A running browser with one page in its default context, from the pool if one is ready.
    async fn start(&self, spec: BrowserSpec) -> Result<Arc<dyn Browser>, StartError>;
    /// Stops everything that is kept ready. Called once.
    async fn shutdown(&self);
}

/// One running browser.
#[async_trait]
pub trait Browser: Send + Sync {
    /// The sandbox that it runs in.
    fn sandbox(&self) -> SandboxId;
    /// What runs.
    fn engine(&self) -> Engine;
    /// As asked for at the start.
    fn viewport(&self) -> Viewport;
    /// Name and value of every wall, as measured.
    fn walls(&self) -> Vec<(String, String)>;
    /// What it was made of.
    fn provenance(&self) -> Provenance {
        Provenance::default()
    }
    /// What it has used; `None` where the host measures nothing.
    fn consumed(&self) -> Option<Consumed> {
        None
    }
    /// What has gone through its way out; `None` for one that has none.
    fn egress(&self) -> Option<EgressReport> {
        None
    }
    /// One of the eight actions, on the page in front. Always answers within a bounded time.
    async fn act(&self, action: Action) -> Result<ActionResult, BrowserError>;
    /// Page actions in order, until one fails; what was done before stays done. `timeout` bounds all of them together.
    async fn perform(&self, steps: Vec<Step>, timeout: Duration) -> Result<Vec<Performed>, BrowserError>;
    /// A CDP client. `target` is a page to be treated as the root (`/devtools/page/<id>`).
    async fn connect(&self, role: Role, target: Option<String>) -> Result<CdpClient, BrowserError>;
    /// Targets as `/json/list` shows them: a JSON array of objects with id, type, title and url.
    async fn targets(&self) -> Result<serde_json::Value, BrowserError>;
    /// Whether automation clients may connect.
    fn stream(&self) -> StreamStatus;
    /// Lets automation clients in, or closes and refuses them.
    fn set_stream(&self, status: StreamStatus);
    /// One of the file tools (read, write, list, remove, range) on the session's files, with its events.
    async fn files(&self, call: ToolCall, deadline: Duration, events: EventSink) -> Result<(), InvokeError>;
    /// Resolves when the browser has ended by itself, with the reason. Clients read it.
    async fn exited(&self) -> String;
    /// The session has ended and its record says so: clients that are still connected are closed with this reason. Comes after
    /// [`Self::stop`].
    fn over(&self, why: &str);
    /// Returns within `grace` plus a kill. Nothing is left afterwards.
    async fn stop(&self, grace: Duration) -> StopReport;
}
