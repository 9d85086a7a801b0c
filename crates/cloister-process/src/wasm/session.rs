//! A session of an engine, as the session manager knows it.

use super::engine::Link;
use crate::calls::{self, Peer};
use crate::lower;
use async_trait::async_trait;
use cloister_core::SandboxId;
use cloister_core::backend::{EventSink, Interpreter, InvokeError, Provenance, StopReport};
use cloister_core::command::{Language, ToolCall};
use cloister_core::lock::lock;
use cloister_core::policy::Policy;
use cloister_jail::guest::message::Request;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long a session may take to end beyond its grace period. A running cell is cut off at the next tick; what takes long is a
/// machine under load.
const ENDING: Duration = Duration::from_secs(10);

/// One session.
pub(crate) struct WasmInterpreter {
    id: SandboxId,
    policy: Arc<Policy>,
    pub(super) link: Link,
    stopped: AtomicBool,
    /// When it was last used, and how many of its calls are under way.
    used: Mutex<(Instant, u32)>,
    /// It lies on disk, and has not been used since.
    evicted: AtomicBool,
}

impl WasmInterpreter {
    pub(super) fn new(id: SandboxId, policy: Arc<Policy>, link: Link) -> Self {
        Self {
            id,
            policy,
            link,
            stopped: AtomicBool::new(false),
            used: Mutex::new((Instant::now(), 0)),
            evicted: AtomicBool::new(false),
        }
    }

    /// How long nothing has been asked of it; zero while something is under way.
    pub(super) fn idle(&self) -> Duration {
        let (since, calls) = *lock(&self.used);
        if calls > 0 { Duration::ZERO } else { since.elapsed() }
    }

    /// Whether it lies on disk.
    pub(super) fn is_evicted(&self) -> bool {
        self.evicted.load(Ordering::Relaxed)
    }

    /// It has been written to disk.
    pub(super) fn evicted(&self) {
        self.evicted.store(true, Ordering::Relaxed);
    }

    pub(super) fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }
}

/// Counts a call from its beginning to its end, however it ends.
struct Use<'a>(&'a Mutex<(Instant, u32)>);

impl<'a> Use<'a> {
    fn of(used: &'a Mutex<(Instant, u32)>) -> Self {
        lock(used).1 += 1;
        Self(used)
    }
}

impl Drop for Use<'_> {
    fn drop(&mut self) {
        let mut used = lock(self.0);
        *used = (Instant::now(), used.1 - 1);
    }
}

/// What the wasm tier cannot do, in a sentence that names what can; `None` for what it can.
pub fn unsupported(call: &ToolCall) -> Option<String> {
    let what = match call {
        ToolCall::ExecuteCode { language: Language::Python, .. } => return None,
        ToolCall::ExecuteCode { .. } => "runs Python only, and no JavaScript or TypeScript",
        ToolCall::ExecuteCommand { .. } => "has no shell",
        ToolCall::StartCommandExecution { .. } | ToolCall::GetTask { .. } | ToolCall::StopTask { .. } => {
            "has no shell and no background commands"
        }
        _ => return None,
    };
    Some(format!(
        "this interpreter is on the wasm tier, which {what}; start a session of an interpreter on the process tier, \
         for example aws.codeinterpreter.v1"
    ))
}

#[async_trait]
impl Interpreter for WasmInterpreter {
    fn sandbox(&self) -> SandboxId {
        self.id.clone()
    }

    async fn invoke(&self, call: ToolCall, deadline: Duration, events: EventSink) -> Result<(), InvokeError> {
        if let Some(why) = unsupported(&call) {
            return Err(InvokeError::NotSupported(why));
        }
        let _use = Use::of(&self.used);
        self.evicted.store(false, Ordering::Relaxed);
        // The engine's group measures all of its sessions together, which says nothing about one.
        let usage = || None;
        let Link { control, gone, .. } = &self.link;
        Peer { control, policy: &self.policy, gone, usage: &usage, redaction: None }
            .carry_out(call, deadline, &events)
            .await
    }

    async fn interrupt(&self) {
        if let Err(error) = self.link.control.send(&Request::Interrupt, b"").await {
            tracing::debug!(sandbox = %self.id, %error, "nothing to interrupt: the channel is closed");
        }
    }

    async fn exited(&self) -> String {
        calls::exited(&self.link.gone).await
    }

    async fn stop(&self, grace: Duration) -> StopReport {
        if self.stopped.swap(true, Ordering::Relaxed) {
            return StopReport::default();
        }
        let engine = &self.link.engine;
        let Some(closed) = engine.expect(self.link.number) else { return StopReport::default() };
        // Guests get no last word: what runs is cut off, and files that matter have been fetched.
        if self.link.control.send(&Request::Shutdown, b"").await.is_err()
            || engine.closed(closed, grace + ENDING).await
        {
            return StopReport::default();
        }
        tracing::error!(sandbox = %self.id, "a session of the wasm tier does not end; its engine is ended with all others");
        StopReport { killed: true, ..engine.sandbox.destroy().await }
    }

    fn walls(&self) -> Vec<(String, String)> {
        let engine = &self.link.engine;
        let mut walls = engine.sandbox.walls.clone();
        walls.push(("tier".into(), "wasm: an instance of its own in an engine of this principal".into()));
        walls.push(("engine".into(), engine.sandbox.id.to_string()));
        walls.extend(engine.facts.clone());
        walls
    }

    fn writable(&self) -> Vec<String> {
        lower::writable(&self.policy)
    }

    fn provenance(&self) -> Provenance {
        self.link.engine.sandbox.provenance.clone()
    }
}
