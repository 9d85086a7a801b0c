//! Jailed browsers: a sandbox whose program is a Chromium, and the two ends of its debugging pipe.
//!
//! ```text
//!   launch ─▶ Maker::make ─▶ init starts Chromium ─▶ Hello{to, from} ─▶ Chromium { sandbox, to, from, workspace }
//! ```
//!
//! What is said over the pipe is not looked at here.

use crate::backend::ProcessBackend;
use crate::inner;
use crate::interpreter::ProcessInterpreter;
use async_trait::async_trait;
use cloister_core::SandboxId;
use cloister_core::backend::{
    Consumed, EventSink, Interpreter, InvokeError, Provenance, StartError, StopReport, Unavailable,
};
use cloister_core::browser::{BrowserHost, Chromium, Proxies};
use cloister_core::command::ToolCall;
use cloister_core::egress::EgressReport;
use cloister_core::lock::lock;
use cloister_core::policy::Policy;
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

/// The browsers that run, by their sandbox: whoever holds one sees an [`Interpreter`], and its life is set through it.
pub(crate) type Browsers = Mutex<HashMap<SandboxId, Weak<ProcessInterpreter>>>;

/// A sandbox with a browser in it: the file tools, and no code.
struct BrowserSandbox {
    inner: Arc<ProcessInterpreter>,
}

#[async_trait]
impl BrowserHost for ProcessBackend {
    fn probe(&self) -> Result<(), Unavailable> {
        let needed = ["namespaces", "root", "seccomp", "landlock"];
        let missing = self.findings().iter().find(|f| !f.ok && needed.contains(&f.wall.as_str()));
        missing.map_or(Ok(()), |f| {
            Err(Unavailable { what: format!("{} ({})", f.wall, f.detail), advice: f.advice.clone() })
        })
    }

    async fn launch(&self, policy: Arc<Policy>, proxies: Proxies) -> Result<Chromium, StartError> {
        let workspace = policy.filesystem.workspace.clone();
        let image = policy.image.clone();
        let sandbox = self.maker.make_with(Arc::clone(&policy), proxies).await?;
        let pipes = lock(&sandbox.browser).take();
        let Some((to, from)) = pipes else {
            sandbox.destroy().await;
            let what =
                "it has no [browser], or the policy's tier is not `browser`; choose another image or policy";
            return Err(StartError::Image { image, what: what.into() });
        };
        let inner = Arc::new(ProcessInterpreter::new(sandbox, policy));
        let mut browsers = lock(&self.browsers);
        browsers.retain(|_, browser| browser.strong_count() > 0);
        browsers.insert(inner.sandbox(), Arc::downgrade(&inner));
        Ok(Chromium { sandbox: Arc::new(BrowserSandbox { inner }), to, from, workspace })
    }

    async fn set_ttl(&self, chromium: &dyn Interpreter, ttl: Duration) -> Result<(), StartError> {
        let step = |source| StartError::Step { step: "set the sandbox's life".into(), source };
        let browser = lock(&self.browsers).get(&chromium.sandbox()).and_then(Weak::upgrade);
        let browser = browser.ok_or_else(|| step(io::ErrorKind::NotConnected.into()))?;
        browser.set_ttl(ttl).await.map_err(step)
    }
}

#[async_trait]
impl Interpreter for BrowserSandbox {
    fn sandbox(&self) -> SandboxId {
        self.inner.sandbox()
    }

    async fn invoke(&self, call: ToolCall, deadline: Duration, events: EventSink) -> Result<(), InvokeError> {
        if call.is_file_tool() {
            return self.inner.invoke(call, deadline, events).await;
        }
        let why = "this session has a browser and runs no code; start a code interpreter session for that";
        Err(InvokeError::NotSupported(why.into()))
    }

    async fn interrupt(&self) {
        // Nothing in the foreground: the file tools answer at once.
    }

    async fn exited(&self) -> String {
        self.inner.exited().await
    }

    async fn stop(&self, grace: Duration) -> StopReport {
        self.inner.stop(grace).await
    }

    fn walls(&self) -> Vec<(String, String)> {
        let mut walls = self.inner.walls();
        walls.extend(self.inner.init().map(inner::walls).unwrap_or_default());
        walls
    }

    fn provenance(&self) -> Provenance {
        self.inner.provenance()
    }

    fn consumed(&self) -> Option<Consumed> {
        self.inner.consumed()
    }

    fn egress(&self) -> Option<EgressReport> {
        self.inner.egress()
    }
}
