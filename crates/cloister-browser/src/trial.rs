//! A real Chromium for the tests of actions and steps, and a small web server for its pages. Tests only: it has no jail.
//!
//! The descriptors 3 and 4 are given by a shell, which needs no `unsafe`: `3<&0 4>&1`.

use crate::access::Access;
use crate::connection::Connection;
use crate::downloads::Downloads;
use crate::page::{Files, Settings, Tabs, perform};
use async_trait::async_trait;
use bytes::Bytes;
use cloister_core::browser::page::{Given, LoadState, Performed, Selector, Step, StepError};
use cloister_core::browser::{Action, ActionResult, BrowserError, Budget, Button, Viewport};
use cloister_core::policy::Policy;
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const PROGRAM: &str = "/usr/lib/chromium/chromium-headless-shell";
/// An ordinary user: Chromium's own sandbox stays on.
const USER: u32 = 31_500;
pub(crate) const VIEWPORT: Viewport = Viewport { width: 1000, height: 700 };

struct Folder(PathBuf);

#[async_trait]
impl Files for Folder {
    async fn write(&self, path: &str, data: Bytes) -> Result<(), String> {
        let path = self.0.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, data).map_err(|error| error.to_string())
    }

    async fn size(&self, path: &str) -> Result<u64, String> {
        std::fs::metadata(self.0.join(path)).map(|found| found.len()).map_err(|_| "no such file".to_owned())
    }
}

/// A browser with one tab.
pub(crate) struct Trial {
    pub(crate) tabs: Arc<Tabs>,
    chromium: Child,
    folder: tempfile::TempDir,
}

impl Drop for Trial {
    fn drop(&mut self) {
        self.chromium.kill().unwrap();
        self.chromium.wait().unwrap();
        // Its other processes end a moment later, and write until then.
        let path = self.folder.path();
        while path.exists() {
            let _ = std::fs::remove_dir_all(path);
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Starts one; `None`, visibly, where there is no Chromium.
pub(crate) async fn start() -> Option<Trial> {
    if !Path::new(PROGRAM).exists() {
        let required = std::env::var("REQUIRE").is_ok_and(|value| value == "all");
        assert!(!required, "REQUIRE=all, but {PROGRAM} is not there");
        eprintln!("SKIPPED: {PROGRAM} is not there (apt-get install chromium-headless-shell)");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let workspace = folder.path().join("work");
    for path in [folder.path(), &home, &workspace] {
        std::fs::create_dir_all(path).unwrap();
        chown(path, Some(USER), Some(USER)).unwrap();
    }
    let mut chromium = Command::new("/bin/sh")
        .args(["-c", r#"exec "$@" 3<&0 4>&1 </dev/null >/dev/null"#, "sh", PROGRAM])
        .args([
            "--remote-debugging-pipe",
            "--no-first-run",
            "--no-default-browser-check",
            "--hide-scrollbars",
        ])
        .arg(format!("--user-data-dir={}", home.display()))
        .arg("about:blank")
        .env_clear()
        .env("HOME", &home)
        .env("TZ", "UTC")
        .env("PATH", "/usr/bin:/bin")
        .uid(USER)
        .gid(USER)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let to = OwnedFd::from(chromium.stdin.take().unwrap());
    let from = OwnedFd::from(chromium.stdout.take().unwrap());
    let connection = Connection::open(to, from, Budget::new(usize::MAX)).unwrap();
    let files = Arc::new(Folder(workspace.clone()));
    let workspace = workspace.to_str().unwrap().to_owned();
    crate::launch::allow_downloads(&connection, &workspace, &Policy::built_in("x").browser).await.unwrap();
    let (downloads, finished) = Downloads::new();
    let (noted, mut events) = (Arc::clone(&downloads), connection.events(""));
    tokio::spawn(async move {
        // Without a sandbox nothing renames them: they stay under their GUIDs.
        let _finished = finished;
        while let Some(event) = events.next().await {
            if event.method.starts_with("Browser.download") {
                let message = serde_json::json!({"params": event.params}).to_string();
                noted.note(&event.method, message.as_bytes());
            }
        }
    });
    let settings = Settings {
        viewport: VIEWPORT,
        workspace,
        files,
        downloads,
        dialogs: Arc::default(),
        access: Access::Full,
    };
    let tabs = Tabs::open(connection, settings).await.unwrap();
    Some(Trial { tabs, chromium, folder })
}

impl Trial {
    /// The session's files.
    pub(crate) fn file(&self, path: &str) -> PathBuf {
        self.folder.path().join("work").join(path)
    }

    pub(crate) async fn act(&self, action: Action) -> Result<ActionResult, BrowserError> {
        crate::actions::act(&self.tabs, action).await
    }

    /// An action that must succeed.
    pub(crate) async fn does(&self, action: Action) {
        let done = self.act(action.clone()).await.unwrap();
        assert!(matches!(done, ActionResult::Success { .. }), "{action:?}: {done:?}");
    }

    pub(crate) async fn perform(&self, steps: Vec<Step>, seconds: u64) -> Vec<Performed> {
        perform(&self.tabs, steps, Duration::from_secs(seconds)).await.unwrap()
    }

    /// A step that must succeed.
    pub(crate) async fn gives(&self, step: Step) -> Given {
        let shown = format!("{step:?}");
        let performed = self.perform(vec![step], 20).await.pop().unwrap();
        performed.result.unwrap_or_else(|error| panic!("{shown}: {error:?}"))
    }

    /// A step that must fail within some seconds.
    pub(crate) async fn fails(&self, step: Step, seconds: u64) -> StepError {
        let shown = format!("{step:?}");
        let performed = self.perform(vec![step], seconds).await.pop().unwrap();
        performed.result.err().unwrap_or_else(|| panic!("{shown} succeeded"))
    }

    /// Shows a page.
    pub(crate) async fn page(&self, html: &str) {
        let url = format!("data:text/html;charset=utf-8;base64,{}", encode(html.as_bytes()));
        self.gives(Step::Navigate { url, wait: LoadState::Load }).await;
    }

    /// What an expression is in the page.
    pub(crate) async fn value(&self, expression: &str) -> serde_json::Value {
        json(self.gives(Step::Evaluate { expression: expression.to_owned() }).await)
    }
}

pub(crate) fn encode(data: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(data)
}

pub(crate) fn json(given: Given) -> serde_json::Value {
    match given {
        Given::Json(value) => value,
        Given::Done => serde_json::Value::Null,
        other => panic!("no JSON: {other:?}"),
    }
}

pub(crate) fn text(given: Given) -> String {
    match given {
        Given::Text(text) => text,
        other => panic!("no text: {other:?}"),
    }
}

pub(crate) fn css(selector: &str) -> Selector {
    Selector::Css(selector.to_owned())
}

pub(crate) fn click(selector: Selector) -> Step {
    Step::Click { selector, button: Button::Left, count: 1 }
}

pub(crate) fn navigate(url: &str) -> Step {
    Step::Navigate { url: url.to_owned(), wait: LoadState::Load }
}

/// A web server on loopback. Paths that it does not know are 404.
pub(crate) struct Site {
    pub(crate) address: String,
    pages: Arc<Mutex<HashMap<String, String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Site {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let pages: Arc<Mutex<HashMap<String, String>>> = Arc::default();
        let served = Arc::clone(&pages);
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let served = Arc::clone(&served);
                tokio::spawn(async move {
                    let mut request = vec![0; 16384];
                    let read = stream.read(&mut request).await.unwrap_or_default();
                    let head = String::from_utf8_lossy(&request[..read]).into_owned();
                    let path = head.split_whitespace().nth(1).unwrap_or("/");
                    let path = path.split('?').next().unwrap_or_default().to_owned();
                    let known = served.lock().unwrap().get(&path).cloned();
                    let answer =
                        known.unwrap_or_else(|| reply("404 Not Found", "text/html", "", "<h1>Not here</h1>"));
                    let _ = stream.write_all(answer.as_bytes()).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        Self { address, pages, task }
    }

    /// Serves a page of HTML.
    pub(crate) fn page(&self, path: &str, html: &str) -> String {
        self.answer(path, reply("200 OK", "text/html; charset=utf-8", "", html))
    }

    /// Serves an answer as it is.
    pub(crate) fn answer(&self, path: &str, answer: String) -> String {
        self.pages.lock().unwrap().insert(path.to_owned(), answer);
        format!("{}{path}", self.address)
    }
}

pub(crate) fn reply(status: &str, mime: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {mime}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}"
    )
}
