//! One session's interpreter in a sandbox of its own.

use crate::calls::{self, Peer};
use crate::sandbox::Sandbox;
use async_trait::async_trait;
use cloister_core::SandboxId;
use cloister_core::backend::{Consumed, EventSink, Interpreter, InvokeError, Provenance, StopReport};
use cloister_core::command::ToolCall;
use cloister_core::egress::{EgressReport, Redaction};
use cloister_core::policy::Policy;
use cloister_jail::guest::message::Request;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// A sandbox in use by a session.
pub(crate) struct ProcessInterpreter {
    sandbox: Sandbox,
    policy: Arc<Policy>,
    redaction: Option<Arc<dyn Redaction>>,
}

impl ProcessInterpreter {
    pub(crate) fn new(sandbox: Sandbox, policy: Arc<Policy>) -> Self {
        let redaction = sandbox.redaction();
        Self { sandbox, policy, redaction }
    }

    /// Sets what is left of the sandbox's life.
    pub(crate) async fn set_ttl(&self, ttl: Duration) -> io::Result<()> {
        self.sandbox.control.set_ttl(ttl).await
    }

    /// The sandbox's init, as this host numbers it; `None` when it has been taken down.
    pub(crate) fn init(&self) -> Option<i32> {
        self.sandbox.init()
    }
}

#[async_trait]
impl Interpreter for ProcessInterpreter {
    fn sandbox(&self) -> SandboxId {
        self.sandbox.id.clone()
    }

    async fn invoke(&self, call: ToolCall, deadline: Duration, events: EventSink) -> Result<(), InvokeError> {
        if call.needs_rest() {
            let why = "this interpreter is on the process tier, which keeps no snapshots of a session's state; start a \
                       session of an interpreter on the wasm tier";
            return Err(InvokeError::NotSupported(why.into()));
        }
        let sandbox = &self.sandbox;
        let usage = || sandbox.usage();
        let peer = Peer {
            control: &sandbox.control,
            policy: &self.policy,
            gone: &sandbox.gone,
            usage: &usage,
            redaction: self.redaction.as_ref(),
        };
        peer.carry_out(call, deadline, &events).await
    }

    async fn interrupt(&self) {
        if let Err(error) = self.sandbox.control.send(&Request::Interrupt, b"").await {
            tracing::debug!(sandbox = %self.sandbox.id, %error, "nothing to interrupt: the channel is closed");
        }
    }

    async fn exited(&self) -> String {
        calls::exited(&self.sandbox.gone).await
    }

    async fn stop(&self, _grace: Duration) -> StopReport {
        // Guests get no last word: a session's end is a kill of its namespace, and files that matter have been fetched.
        self.sandbox.destroy().await
    }

    fn walls(&self) -> Vec<(String, String)> {
        self.sandbox.walls.clone()
    }

    fn provenance(&self) -> Provenance {
        self.sandbox.provenance.clone()
    }

    fn writable(&self) -> Vec<String> {
        self.sandbox.writable.clone()
    }

    fn consumed(&self) -> Option<Consumed> {
        self.sandbox.consumed()
    }

    fn egress(&self) -> Option<EgressReport> {
        self.sandbox.egress()
    }
}
