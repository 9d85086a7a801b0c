//! Sessions of the browser backend on jailed Chromiums, and CDP clients of them.

use cloister_browser::{BrowserConfig, ChromiumBackend};
use cloister_core::browser::{
    Browser, BrowserBackend, BrowserSpec, CdpClient, Proxies, Role, ToClient, Viewport,
};
use cloister_core::policy::{Policy, StartMode};
use cloister_tests::browser::{rig, shipped};
use cloister_tests::rig::Rig;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Longer than anything here takes; what takes longer hangs.
pub(crate) const PLENTY: Duration = Duration::from_secs(60);

/// A size that nothing has by default.
pub(crate) const VIEWPORT: Viewport = Viewport { width: 1111, height: 777 };

/// A backend with `pool` ready browsers; `None` (after a visible skip) where the host lacks something.
pub(crate) fn backend(pool: usize) -> Option<(Rig, Arc<ChromiumBackend>)> {
    let start = if pool > 0 { StartMode::Pool } else { StartMode::Exec };
    let rig = rig(Policy { start, ..shipped("browser") })?;
    let config = BrowserConfig { pool_size: pool, ..BrowserConfig::default() };
    let host: Arc<dyn cloister_core::browser::BrowserHost> = rig.backend.clone();
    let backend = ChromiumBackend::new(host, config, &[Arc::clone(&rig.policy)]).unwrap();
    Some((rig, backend))
}

/// What a session of these tests asks for.
pub(crate) fn spec(rig: &Rig) -> BrowserSpec {
    let (policy, proxies) = (Arc::clone(&rig.policy), Proxies::default());
    let ttl = Duration::from_secs(600);
    BrowserSpec { policy, ttl, viewport: VIEWPORT, proxies, recording: None }
}

/// Runs `test` with one session, then checks that nothing is left.
pub(crate) async fn with_session(test: impl AsyncFnOnce(&Arc<dyn Browser>)) {
    let Some((rig, backend)) = backend(0) else { return };
    let browser = backend.start(spec(&rig)).await.unwrap();
    test(&browser).await;
    let report = browser.stop(Duration::from_secs(2)).await;
    assert!(report.left_behind.is_empty(), "{:?}", report.left_behind);
    backend.shutdown().await;
    rig.end().await;
}

/// A CDP client.
pub(crate) struct Client {
    pub(crate) wire: CdpClient,
    last: i64,
    events: VecDeque<Value>,
}

impl Client {
    pub(crate) async fn connect(browser: &Arc<dyn Browser>, role: Role) -> Self {
        let wire = browser.connect(role, None).await.unwrap();
        Self { wire, last: 0, events: VecDeque::new() }
    }

    /// The next message.
    pub(crate) async fn message(&mut self) -> Result<Value, (u16, String)> {
        match tokio::time::timeout(PLENTY, self.wire.from_browser.recv()).await.unwrap().unwrap() {
            ToClient::Text(text) => Ok(serde_json::from_str(&text).unwrap()),
            ToClient::Close { code, reason } => Err((code, reason)),
        }
    }

    /// A call and its whole answer.
    pub(crate) async fn call(&mut self, session: Option<&str>, method: &str, params: Value) -> Value {
        self.last += 1;
        let mut message = json!({"id": self.last, "method": method, "params": params});
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        self.wire.to_browser.send(message.to_string().into()).await.unwrap();
        loop {
            let message = self.message().await.unwrap();
            if message["id"] == self.last {
                return message;
            }
            self.events.push_back(message);
        }
    }

    /// The next event of this name, its parameters.
    pub(crate) async fn event(&mut self, method: &str) -> Value {
        loop {
            if let Some(at) = self.events.iter().position(|event| event["method"] == method) {
                return self.events.remove(at).unwrap()["params"].clone();
            }
            let message = self.message().await.unwrap();
            self.events.push_back(message);
        }
    }

    /// Target and session of a new page in the default context.
    pub(crate) async fn open(&mut self, url: &str) -> (String, String) {
        let created = self.call(None, "Target.createTarget", json!({"url": url})).await;
        let target = created["result"]["targetId"].as_str().unwrap().to_owned();
        let session = self.attach(&target).await;
        (target, session)
    }

    /// A session on a target.
    pub(crate) async fn attach(&mut self, target: &str) -> String {
        let attached = self.call(None, "Target.attachToTarget", json!({"targetId": target})).await;
        attached["result"]["sessionId"].as_str().unwrap().to_owned()
    }

    /// The first page's target.
    pub(crate) async fn first_page(&mut self) -> String {
        let targets = self.call(None, "Target.getTargets", json!({})).await;
        let all = targets["result"]["targetInfos"].as_array().unwrap();
        all.iter().find(|t| t["type"] == "page").unwrap()["targetId"].as_str().unwrap().to_owned()
    }

    /// The value of an expression.
    pub(crate) async fn evaluate(&mut self, session: &str, expression: &str) -> Value {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true, "userGesture": true});
        let answer = self.call(Some(session), "Runtime.evaluate", params).await;
        answer["result"]["result"]["value"].clone()
    }
}
