//! What runs a session: an interpreter or a browser, behind the few things that the driver asks of either.
//!
//! ```text
//!   driver ──start · invoke · exited · stop──▶ Worker ─┬─ Code    ──▶ dyn Interpreter
//!                                                      └─ Browser ──▶ dyn Browser: act · perform · files
//! ```

use super::StartSession;
use super::backends::Tier;
use crate::backend::{
    Consumed, EventSink, Interpreter, InterpreterSpec, InvokeError, Provenance, StartError, StopReport,
};
use crate::browser::{ActionResult, Browser, BrowserError, BrowserSpec, StartBrowser};
use crate::command::ToolCall;
use crate::egress::EgressReport;
use crate::event::{Event, Outcome};
use crate::id::{Principal, SandboxId};
use crate::policy::Policy;
use crate::recording::Recording;
use std::sync::Arc;
use std::time::Duration;

/// A running worker.
#[derive(Clone)]
pub(super) enum Worker {
    /// Runs code.
    Code(Arc<dyn Interpreter>),
    /// Shows pages.
    Browser(Arc<dyn Browser>),
}

/// A worker that is yet to be started.
pub(super) struct Order {
    tier: Tier,
    policy: Arc<Policy>,
    ttl: Duration,
    owner: Principal,
    copy_of: Option<SandboxId>,
    browser: StartBrowser,
    recording: Option<Recording>,
}

impl Order {
    /// `ttl` is how long the worker may live at most.
    pub(super) fn new(
        tier: Tier,
        policy: Arc<Policy>,
        ttl: Duration,
        owner: Principal,
        request: &StartSession,
    ) -> Self {
        let browser = request.browser.clone().unwrap_or_default();
        Self { tier, policy, ttl, owner, copy_of: None, browser, recording: None }
    }

    /// The same, as a copy of what runs in a sandbox.
    pub(super) fn copying(self, copy_of: Option<SandboxId>) -> Self {
        Self { copy_of, ..self }
    }

    /// The same, recorded.
    pub(super) fn recorded(self, recording: Option<Recording>) -> Self {
        Self { recording, ..self }
    }

    pub(super) async fn start(self) -> Result<Worker, StartError> {
        let Self { tier, policy, ttl, owner, copy_of, browser, recording } = self;
        match tier {
            Tier::Code(backend) => {
                let spec = InterpreterSpec { policy, ttl, owner, copy_of };
                backend.start(spec).await.map(Worker::Code)
            }
            Tier::Browser(backend) => {
                let StartBrowser { viewport, proxies } = browser;
                let spec = BrowserSpec { policy, ttl, viewport, proxies, recording };
                backend.start(spec).await.map(Worker::Browser)
            }
        }
    }
}

impl Worker {
    pub(super) fn sandbox(&self) -> SandboxId {
        match self {
            Self::Code(interpreter) => interpreter.sandbox(),
            Self::Browser(browser) => browser.sandbox(),
        }
    }

    pub(super) fn walls(&self) -> Vec<(String, String)> {
        match self {
            Self::Code(interpreter) => interpreter.walls(),
            Self::Browser(browser) => browser.walls(),
        }
    }

    pub(super) fn provenance(&self) -> Provenance {
        match self {
            Self::Code(interpreter) => interpreter.provenance(),
            Self::Browser(browser) => browser.provenance(),
        }
    }

    pub(super) fn writable(&self) -> Vec<String> {
        match self {
            Self::Code(interpreter) => interpreter.writable(),
            Self::Browser(_) => Vec::new(),
        }
    }

    pub(super) fn consumed(&self) -> Option<Consumed> {
        match self {
            Self::Code(interpreter) => interpreter.consumed(),
            Self::Browser(browser) => browser.consumed(),
        }
    }

    pub(super) fn egress(&self) -> Option<EgressReport> {
        match self {
            Self::Code(interpreter) => interpreter.egress(),
            Self::Browser(browser) => browser.egress(),
        }
    }

    pub(super) async fn exited(&self) -> String {
        match self {
            Self::Code(interpreter) => interpreter.exited().await,
            Self::Browser(browser) => browser.exited().await,
        }
    }

    pub(super) async fn stop(&self, grace: Duration) -> StopReport {
        match self {
            Self::Code(interpreter) => interpreter.stop(grace).await,
            Self::Browser(browser) => browser.stop(grace).await,
        }
    }

    /// The session is over, and its record says so.
    pub(super) fn over(&self, why: &str) {
        match self {
            Self::Code(_) => {}
            Self::Browser(browser) => browser.over(why),
        }
    }

    pub(super) async fn invoke(
        &self,
        call: ToolCall,
        deadline: Duration,
        events: EventSink,
    ) -> Result<(), InvokeError> {
        match self {
            Self::Code(interpreter) => interpreter.invoke(call, deadline, events).await,
            Self::Browser(browser) => browse(browser.as_ref(), call, deadline, events).await,
        }
    }
}

/// One call of a browser session.
async fn browse(
    browser: &dyn Browser,
    call: ToolCall,
    deadline: Duration,
    events: EventSink,
) -> Result<(), InvokeError> {
    let outcome = match call {
        ToolCall::Act { action } => match browser.act(action).await {
            Ok(result) => Outcome::Acted(result),
            // The page's own fault, which the action's result has words for.
            Err(error @ BrowserError::Deadline { .. }) => {
                Outcome::Acted(ActionResult::Failed { error: error.to_string() })
            }
            Err(error) => return Err(refused(error)),
        },
        ToolCall::Perform { steps } => match browser.perform(steps, deadline).await {
            Ok(performed) => Outcome::Performed(performed),
            Err(error) => return Err(refused(error)),
        },
        call if call.is_file_tool() => return browser.files(call, deadline, events).await,
        call => {
            let text = format!("a browser session does not take {}", call.name());
            return Err(InvokeError::NotSupported(text));
        }
    };
    // Nobody may be left who listens; the call is over all the same.
    let _ = events.send(Event::Done(Box::new(outcome))).await;
    Ok(())
}

fn refused(error: BrowserError) -> InvokeError {
    match error {
        BrowserError::Gone(reason) => InvokeError::WorkerGone { reason },
        other => InvokeError::Refused(other.into()),
    }
}
