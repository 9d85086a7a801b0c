//! The worker of the fake browser backend: notes actions, plays one page, and answers CDP clients with their own words.

use super::fake_browser_backend::Shared;
use super::fake_interpreter::{FakeInterpreter, FakeStart};
use super::fake_page::{self, Page};
use crate::backend::{EventSink, Interpreter, InterpreterSpec, InvokeError, StopReport};
use crate::browser::page::{Performed, Step};
use crate::browser::{
    Action, ActionResult, Browser, BrowserError, BrowserSpec, Budget, CdpClient, Engine, Role, StreamStatus,
    Text, ToClient, Viewport,
};
use crate::command::ToolCall;
use crate::id::{Principal, SandboxId};
use crate::lock::lock;
use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Value, json};
use std::future::pending;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// CDP clients of one browser.
const CLIENTS: usize = 8;

/// One fake browser. Its files are a fake interpreter's.
#[derive(Debug)]
pub(super) struct FakeBrowser {
    spec: BrowserSpec,
    shared: Arc<Shared>,
    files: FakeInterpreter,
    page: Mutex<Page>,
    stream: watch::Sender<StreamStatus>,
    over: watch::Sender<Option<String>>,
}

impl FakeBrowser {
    pub(super) fn new(spec: BrowserSpec, shared: Arc<Shared>) -> Result<Arc<Self>, getrandom::Error> {
        let under = InterpreterSpec {
            policy: Arc::clone(&spec.policy),
            ttl: spec.ttl,
            owner: Principal::local(),
            copy_of: None,
        };
        let files = FakeInterpreter::new(under, Arc::clone(&shared.counters), FakeStart::default())?;
        let stream = watch::channel(StreamStatus::Enabled).0;
        Ok(Arc::new(Self {
            spec,
            shared,
            files,
            page: Mutex::default(),
            stream,
            over: watch::Sender::new(None),
        }))
    }

    fn check(&self, (x, y): (i32, i32)) -> Result<(), BrowserError> {
        let Viewport { width, height } = self.spec.viewport;
        let inside = |n: i32, size: u32| u32::try_from(n).is_ok_and(|n| n < size);
        for (field, n, size) in [("x", x, width), ("y", y, height)] {
            if !inside(n, size) {
                let message = format!("must be inside of the viewport: 0 to {}", size - 1);
                return Err(BrowserError::Invalid { field: field.into(), message });
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Browser for FakeBrowser {
    fn sandbox(&self) -> SandboxId {
        self.files.sandbox()
    }

    fn engine(&self) -> Engine {
        Engine {
            product: "TestDouble/1.0".into(),
            user_agent: "no browser at all".into(),
            protocol: "1.3".into(),
            js_version: "0".into(),
            revision: "0".into(),
        }
    }

    fn viewport(&self) -> Viewport {
        self.spec.viewport
    }

    fn walls(&self) -> Vec<(String, String)> {
        self.files.walls()
    }

    async fn act(&self, action: Action) -> Result<ActionResult, BrowserError> {
        match &action {
            Action::MouseClick { at: Some(at), .. }
            | Action::MouseMove { to: at }
            | Action::MouseScroll { at, .. } => self.check(*at)?,
            Action::MouseDrag { from, to, .. } => {
                self.check(*from)?;
                self.check(*to)?;
            }
            Action::KeyPress { key, .. } if key.starts_with("no") => {
                let message = format!("`{key}` is no key");
                return Err(BrowserError::Invalid { field: "key".into(), message });
            }
            _ => {}
        }
        lock(&self.shared.actions).push(action.clone());
        let word = match &action {
            Action::KeyType { text } => text.as_str(),
            _ => "",
        };
        match word {
            "fail" => Ok(ActionResult::Failed { error: "the page did not want it".into() }),
            "hang" => pending().await,
            "slow" => Err(BrowserError::Deadline { what: "typing".into(), limit: Duration::from_secs(5) }),
            "nonsense" => Err(BrowserError::Protocol("<b>gibberish</b>".into())),
            "die" => {
                self.files.finish("it died of `die`");
                Err(BrowserError::Gone("it died of `die`".into()))
            }
            _ => {
                let picture = (action == Action::Screenshot)
                    .then(|| Bytes::from_static(super::fake_interpreter::PIXEL));
                Ok(ActionResult::Success { data: picture })
            }
        }
    }

    /// Plays a page whose text is its URL. `#missing` and text `missing` are not found; `https://fails.test/` is not
    /// loaded; a step on `#hang` never ends, and is given up at the timeout.
    async fn perform(&self, steps: Vec<Step>, timeout: Duration) -> Result<Vec<Performed>, BrowserError> {
        let mut performed = Vec::new();
        for step in steps {
            lock(&self.shared.steps).push(step.name());
            if fake_page::hangs(&step) {
                tokio::time::sleep(timeout).await;
            }
            let done = lock(&self.page).play(&step);
            let failed = done.result.is_err();
            performed.push(done);
            if failed {
                break;
            }
        }
        Ok(performed)
    }

    async fn connect(&self, role: Role, target: Option<String>) -> Result<CdpClient, BrowserError> {
        if role == Role::Driver && *self.stream.borrow() == StreamStatus::Disabled {
            return Err(BrowserError::StreamDisabled);
        }
        if target.as_ref().is_some_and(|target| target != "page-1") {
            let message = "there is no such target".into();
            return Err(BrowserError::Invalid { field: "target".into(), message });
        }
        if self.shared.clients.fetch_add(1, Ordering::SeqCst) >= CLIENTS {
            self.shared.clients.fetch_sub(1, Ordering::SeqCst);
            return Err(BrowserError::TooManyClients(CLIENTS));
        }
        let (to_browser, asked) = mpsc::channel(16);
        let (answers, from_browser) = mpsc::channel(16);
        let (engine, shared) = (self.engine(), Arc::clone(&self.shared));
        let client = Client { role, asked, answers, root: target, engine, shared };
        tokio::spawn(client.serve(self.stream.subscribe(), self.over.subscribe()));
        Ok(CdpClient { to_browser, from_browser, budget: Budget::new(usize::MAX) })
    }

    async fn targets(&self) -> Result<Value, BrowserError> {
        let page = lock(&self.page);
        Ok(json!([{ "id": "page-1", "type": "page", "title": page.title(), "url": page.url() }]))
    }

    fn stream(&self) -> StreamStatus {
        *self.stream.borrow()
    }

    fn set_stream(&self, status: StreamStatus) {
        self.stream.send_replace(status);
    }

    async fn files(&self, call: ToolCall, deadline: Duration, events: EventSink) -> Result<(), InvokeError> {
        self.files.invoke(call, deadline, events).await
    }

    async fn exited(&self) -> String {
        self.files.exited().await
    }

    fn over(&self, why: &str) {
        self.over.send_replace(Some(why.to_owned()));
    }

    async fn stop(&self, grace: Duration) -> StopReport {
        self.files.stop(grace).await
    }
}

/// One connected client.
struct Client {
    role: Role,
    asked: mpsc::Receiver<Text>,
    answers: mpsc::Sender<ToClient>,
    root: Option<String>,
    engine: Engine,
    shared: Arc<Shared>,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.shared.clients.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Client {
    async fn serve(
        mut self,
        mut stream: watch::Receiver<StreamStatus>,
        mut end: watch::Receiver<Option<String>>,
    ) {
        loop {
            let disabled =
                async { stream.wait_for(|status| *status == StreamStatus::Disabled).await.is_ok() };
            let ended = async { end.wait_for(Option::is_some).await.ok().and_then(|why| why.clone()) };
            let asked = tokio::select! {
                biased;
                why = ended => return self.close(1001, &why.unwrap_or_default()).await,
                // People stay: it is for them that drivers are held.
                _ = disabled, if self.role == Role::Driver => None,
                asked = self.asked.recv() => Some(asked),
            };
            let Some(asked) = asked else {
                return self.close(1008, "the automation stream was disabled").await;
            };
            let Some(asked) = asked else { return };
            let message: Value = serde_json::from_str(&asked).unwrap_or_default();
            match message["method"].as_str() {
                Some("Browser.getVersion") => {
                    let result =
                        json!({ "product": self.engine.product, "protocolVersion": self.engine.protocol });
                    self.send(json!({ "id": message["id"], "result": result })).await;
                }
                Some("Test.flood") => {
                    for number in 0..message["params"]["messages"].as_u64().unwrap_or_default() {
                        self.send(json!({ "method": "Test.drop", "params": { "number": number } })).await;
                    }
                }
                Some("Test.close") => {
                    self.close(4001, "closed by the double").await;
                    return;
                }
                Some("Test.end") => return,
                _ => self.send(json!({ "root": self.root, "echo": message, "length": asked.len() })).await,
            }
        }
    }

    async fn send(&self, message: Value) {
        // A client that has gone away is noticed by the next read.
        drop(self.answers.send(ToClient::Text(message.to_string().into())).await);
    }

    async fn close(&self, code: u16, reason: &str) {
        drop(self.answers.send(ToClient::Close { code, reason: reason.into() }).await);
    }
}
