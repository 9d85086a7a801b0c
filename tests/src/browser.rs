//! A jailed browser of its own for one test, and a thin client of its debugging pipe.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "support code of tests: a failure here is a failed test"
)]

use crate::leftovers::Traces;
use crate::needs;
use crate::rig::Rig;
use cloister_core::backend::Interpreter;
use cloister_core::browser::{BrowserHost, Chromium, Proxies};
use cloister_core::policy::{Policy, Sources};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::pipe;

/// Longer than anything here takes; what takes longer hangs.
const PLENTY: Duration = Duration::from_secs(30);

/// A policy as it is shipped: `browser` or `browser-open`.
pub fn shipped(name: &str) -> Policy {
    let mut sources = Sources::new();
    for (name, text) in [
        ("browser", include_str!("../../policies/browser.toml")),
        ("browser-open", include_str!("../../policies/browser-open.toml")),
    ] {
        sources.add(name, format!("policies/{name}.toml"), text);
    }
    sources.load(name).expect("the shipped policies load")
}

/// A rig for browsers under `policy`; `None` (after a visible skip) where the host lacks something.
pub fn rig(policy: Policy) -> Option<Rig> {
    if !needs::image(&policy.image) {
        return None;
    }
    Rig::new(policy)
}

/// A running browser.
pub struct Driven {
    /// Its sandbox.
    pub sandbox: Arc<dyn Interpreter>,
    to: pipe::Sender,
    from: BufReader<pipe::Receiver>,
    last: u64,
}

/// Launches a browser.
pub async fn launch(rig: &Rig) -> Driven {
    let launched = rig.backend.launch(Arc::clone(&rig.policy), Proxies::default()).await;
    Driven::new(launched.expect("the browser starts"))
}

/// Runs `test` with a browser under `policy`, then checks that nothing is left.
pub async fn with_browser(policy: Policy, test: impl AsyncFnOnce(&mut Driven)) {
    let Some(rig) = rig(policy) else { return };
    let mut browser = launch(&rig).await;
    test(&mut browser).await;
    browser.stop().await;
    rig.end().await;
}

impl Driven {
    /// Takes the pipes over.
    pub fn new(chromium: Chromium) -> Self {
        let Chromium { sandbox, to, from, workspace: _ } = chromium;
        let to = pipe::Sender::from_owned_fd(to).expect("a pipe to the browser");
        let from = pipe::Receiver::from_owned_fd(from).expect("a pipe from the browser");
        Self { sandbox, to, from: BufReader::new(from), last: 0 }
    }

    /// The next message; `None` at the end of the pipe.
    pub async fn message(&mut self) -> Option<Value> {
        let mut bytes = Vec::new();
        let read = tokio::time::timeout(PLENTY, self.from.read_until(0, &mut bytes)).await;
        read.expect("the browser answers").unwrap();
        if bytes.pop() == Some(0) { serde_json::from_slice(&bytes).ok() } else { None }
    }

    /// Sends a command, in a session if one is given, without waiting.
    pub async fn send(&mut self, session: Option<&str>, method: &str, params: Value) -> u64 {
        self.last += 1;
        let mut message = json!({"id": self.last, "method": method, "params": params});
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.to.write_all(&bytes).await.expect("the browser reads");
        self.last
    }

    /// Calls a method; events that come meanwhile are dropped.
    pub async fn call(&mut self, session: Option<&str>, method: &str, params: Value) -> Value {
        let id = self.send(session, method, params).await;
        loop {
            let message = self.message().await.expect("the browser lives");
            if message["id"] == id {
                return message;
            }
        }
    }

    /// Attaches to the first page and returns the session's id.
    pub async fn page(&mut self) -> String {
        loop {
            let targets = self.call(None, "Target.getTargets", json!({})).await;
            let all = targets["result"]["targetInfos"].as_array().cloned().unwrap_or_default();
            // The first page opens a moment after the pipe.
            let Some(page) = all.iter().find(|target| target["type"] == "page") else {
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            };
            let params = json!({"targetId": page["targetId"], "flatten": true});
            let attached = self.call(None, "Target.attachToTarget", params).await;
            return attached["result"]["sessionId"].as_str().expect("a session").to_owned();
        }
    }

    /// Evaluates an expression in a page; promises are awaited.
    pub async fn evaluate(&mut self, session: &str, expression: &str) -> Value {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let answer = self.call(Some(session), "Runtime.evaluate", params).await;
        answer["result"]["result"]["value"].clone()
    }

    /// Goes to a URL and waits until its document is complete.
    pub async fn navigate(&mut self, session: &str, url: &str) -> Value {
        let answer = self.call(Some(session), "Page.navigate", json!({"url": url})).await;
        let complete = "new Promise(done => document.readyState === 'complete' ? done(true) : addEventListener('load', () => done(true)))";
        self.evaluate(session, complete).await;
        answer["result"].clone()
    }

    /// Every process of its sandbox, init first.
    pub fn processes(&self) -> Vec<Process> {
        Traces::of_tree(&*self.sandbox).pids().into_iter().map(|pid| Process { pid }).collect()
    }

    /// The value of a wall; empty if it is not among them.
    pub fn wall(&self, name: &str) -> String {
        let walls = self.sandbox.walls();
        walls.into_iter().find(|(n, _)| n == name).map(|(_, value)| value).unwrap_or_default()
    }

    /// Stops it; everything must go.
    pub async fn stop(self) {
        let traces = Traces::of_tree(&*self.sandbox);
        let report = self.sandbox.stop(Duration::from_secs(2)).await;
        assert!(report.left_behind.is_empty(), "left behind: {:?}", report.left_behind);
        let left = traces.left();
        assert!(left.is_empty(), "the sandbox leaves {left:?}");
    }
}

/// A process of a browser's sandbox, as this host's /proc shows it.
#[derive(Debug)]
pub struct Process {
    /// Its number on this host.
    pub pid: i32,
}

impl Process {
    /// A line of its status; empty if it has gone.
    pub fn field(&self, name: &str) -> String {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or("").trim().to_owned()
    }

    /// In how many nested pid namespaces it has a number.
    pub fn depth(&self) -> usize {
        self.field("NSpid").split_whitespace().count()
    }

    /// Which namespace it is in; needs root for most.
    pub fn namespace(&self, name: &str) -> String {
        let link = std::fs::read_link(format!("/proc/{}/ns/{name}", self.pid));
        link.map(|link| link.display().to_string()).unwrap_or_default()
    }

    /// Its command line. What a zygote has forked has one string with spaces.
    pub fn command(&self) -> Vec<String> {
        let line = std::fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        let words = line.split(|&b| b == 0 || b == b' ').filter(|word| !word.is_empty());
        words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
    }

    /// Whether it draws pages.
    pub fn is_renderer(&self) -> bool {
        self.command().iter().any(|word| word == "--type=renderer")
    }

    /// Whether it is the browser's main process.
    pub fn is_browser(&self) -> bool {
        let command = self.command();
        command.iter().any(|word| word == "--remote-debugging-pipe")
            && !command.iter().any(|word| word.starts_with("--type="))
    }
}
