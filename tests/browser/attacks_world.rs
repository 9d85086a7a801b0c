//! The real server and browsers under `browser-open` in the canary's network, and a CDP client over the server's WebSocket.

use crate::attacks_canary::{Canary, until};
use crate::cdp_rig::PLENTY;
use cloister_tests::needs;
use cloister_tests::server::{Place, Server};
use futures_util::{SinkExt as _, StreamExt as _};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::cell::Cell;
use std::collections::VecDeque;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::{Message, WebSocketConfig};

/// Which Chromium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Shell,
    Full,
}

impl Engine {
    /// The policy that has it, with a network.
    pub(crate) fn policy(self) -> &'static str {
        match self {
            Self::Shell => "browser-open",
            Self::Full => "browser-full",
        }
    }

    /// Its image.
    pub(crate) fn image(self) -> &'static str {
        match self {
            Self::Shell => "headless-shell",
            Self::Full => "chromium",
        }
    }
}

/// What a world is made of.
#[derive(Clone)]
pub(crate) struct Making {
    pub(crate) engine: Engine,
    /// Ports on which sessions may reach `localhost`.
    pub(crate) named: &'static [u16],
    /// Children of the engine's policy: a name, and what the file says beside its parent.
    pub(crate) policies: &'static [(&'static str, &'static str)],
    /// Further arguments of the server.
    pub(crate) arguments: &'static [&'static str],
}

impl Making {
    /// With the shell, and nothing else.
    pub(crate) const USUAL: Self = Self { engine: Engine::Shell, named: &[], policies: &[], arguments: &[] };
}

/// A server whose whole world is the canary.
pub(crate) struct World {
    pub(crate) canary: Canary,
    pub(crate) server: Server,
    pub(crate) place: Place,
    pub(crate) engine: Engine,
    crashed: Cell<bool>,
}

/// Runs `test` in a world with the shell; sessions may reach `localhost` on the ports `named`.
pub(crate) fn in_world(named: &'static [u16], test: impl AsyncFnOnce(&World) + Send + 'static) {
    in_world_of(Making { named, ..Making::USUAL }, test);
}

/// Runs `test` in a world with the shell, then in one with the whole Chromium.
pub(crate) fn in_both_worlds(named: &'static [u16], test: impl AsyncFn(&World) + Clone + Send + 'static) {
    for engine in [Engine::Shell, Engine::Full] {
        let test = test.clone();
        in_world_of(Making { engine, named, ..Making::USUAL }, async move |world| test(world).await);
    }
}

/// Runs `test` in such a world.
pub(crate) fn in_world_of(making: Making, test: impl AsyncFnOnce(&World) + Send + 'static) {
    if !nix::unistd::geteuid().is_root() {
        return needs::skip_unless_root("a network of the test's own needs root");
    }
    if !needs::image(making.engine.image()) {
        return;
    }
    // The network and the mounts are this thread's, and those of what it starts.
    let world = std::thread::Builder::new().name(std::thread::current().name().unwrap_or("world").to_owned());
    let done = world.spawn(move || {
        let Some(place) = Place::new() else { return };
        let canary = Canary::new(place.path());
        let server = serve(&place, &making);
        let world = World { canary, server, place, engine: making.engine, crashed: Cell::new(false) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(test(&world));
        let World { server, place, canary: _, engine: _, crashed } = world;
        assert!(server.terminate().success() || crashed.get());
        assert_eq!(place.sandboxes(), Vec::<String>::new());
    });
    if let Err(panic) = done.unwrap().join() {
        std::panic::resume_unwind(panic);
    }
}

/// A server in the canary's network. Its decisions about the network go to a file.
fn serve(place: &Place, making: &Making) -> Server {
    let (config, policies) = (place.path().join("cloister.toml"), place.path().join("policies"));
    std::fs::write(&config, "[server]\npolicies_by_name = 'all'\n").unwrap();
    std::fs::create_dir(&policies).unwrap();
    for (name, text) in making.policies {
        let parent = making.engine.policy();
        std::fs::write(policies.join(format!("{name}.toml")), format!("extends = '{parent}'\n{text}"))
            .unwrap();
    }
    let mut script = format!(
        "RUST_LOG=error,egress=info exec \"$@\" --config '{}' --policies '{}'",
        config.display(),
        policies.display()
    );
    for port in making.named {
        script.push_str(&format!(" --allow-loopback localhost:{port}"));
    }
    for argument in making.arguments {
        script.push_str(&format!(" '{argument}'"));
    }
    script.push_str(&format!(" 2>>'{}'", place.path().join("log").display()));
    place.serve_in(&[], &script)
}

impl World {
    /// The id of a new browser session with a network.
    pub(crate) fn session(&self) -> String {
        self.session_under(self.engine.policy())
    }

    /// The same under another policy.
    pub(crate) fn session_under(&self, policy: &str) -> String {
        let answer = self.server.request("POST", "/v1/sessions", &[], Some(json!({ "interpreter": policy })));
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    /// A client of a session, on its first page.
    pub(crate) async fn client(&self, session: &str) -> Tab {
        let address = self.server.detail(session)["browser"]["automation"].clone();
        let path = address.as_str().unwrap().splitn(4, '/').nth(3).unwrap().to_owned();
        self.connect(&format!("/{path}")).await.unwrap()
    }

    /// A client by any path of the server.
    pub(crate) async fn connect(&self, path: &str) -> Result<Tab, String> {
        let address = self.server.address();
        let request = format!("ws://{address}{path}").into_client_request().unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
        let connected = tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await;
        let (socket, _) = connected.map_err(|error| error.to_string())?;
        let mut tab = Tab { socket, last: 0, page: String::new(), events: VecDeque::new() };
        let opened = tab.browser("Target.createTarget", json!({"url": "about:blank"})).await;
        tab.page = tab.attach(opened["result"]["targetId"].as_str().unwrap()).await;
        tab.call("Page.enable", json!({})).await;
        Ok(tab)
    }

    /// Kills the server as a crash would.
    pub(crate) fn crash(&self) {
        let pid = self.server.pid();
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        self.crashed.set(true);
        until("the server has ended", || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_none_or(|(_, state)| state.starts_with('Z'))
        });
    }

    /// What the server has written down about the network so far.
    pub(crate) fn log(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.place.path().join("log")).unwrap();
        log.lines().map(str::to_owned).collect()
    }

    /// Everything that the world knows: what this test itself and the server's questions for names go to.
    pub(crate) fn known(&self) -> Vec<String> {
        vec![format!("tcp {}", self.server.address()), "udp 127.0.0.1:53".to_owned()]
    }
}

/// A CDP client with a page of its own.
pub(crate) struct Tab {
    socket: WebSocketStream<TcpStream>,
    last: u64,
    page: String,
    events: VecDeque<Value>,
}

impl Tab {
    async fn hear(&mut self) -> Value {
        loop {
            let message =
                tokio::time::timeout(PLENTY, self.socket.next()).await.expect("the browser answers");
            match message.expect("the stream lives").unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    async fn send(&mut self, session: Option<&str>, method: &str, params: Value) -> Value {
        self.last += 1;
        let mut message = json!({"id": self.last, "method": method, "params": params});
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        self.socket.send(Message::text(message.to_string())).await.unwrap();
        loop {
            let message = self.hear().await;
            if message["id"] == self.last {
                return message;
            }
            self.events.push_back(message);
        }
    }

    /// A call to the page whose answer is of interest later, or never comes.
    pub(crate) async fn send_only(&mut self, method: &str, params: Value) {
        self.last += 1;
        let message = json!({"id": self.last, "sessionId": self.page, "method": method, "params": params});
        self.socket.send(Message::text(message.to_string())).await.unwrap();
    }

    /// Every answer that has come by the time that the browser answers one more call.
    pub(crate) async fn settle(&mut self) -> Vec<Value> {
        self.browser("Target.getTargets", json!({})).await;
        let answer = |message: &Value| message["id"].is_number();
        self.events.drain(..).filter(answer).collect()
    }

    /// A call to the browser, and its whole answer.
    pub(crate) async fn browser(&mut self, method: &str, params: Value) -> Value {
        self.send(None, method, params).await
    }

    /// A call to the page.
    pub(crate) async fn call(&mut self, method: &str, params: Value) -> Value {
        let page = self.page.clone();
        self.send(Some(&page), method, params).await
    }

    /// A session on a target.
    pub(crate) async fn attach(&mut self, target: &str) -> String {
        let params = json!({"targetId": target, "flatten": true});
        let attached = self.browser("Target.attachToTarget", params).await;
        attached["result"]["sessionId"].as_str().unwrap_or_else(|| panic!("{attached}")).to_owned()
    }

    /// The next event of this name, its parameters.
    pub(crate) async fn event(&mut self, method: &str) -> Value {
        loop {
            if let Some(at) = self.events.iter().position(|event| event["method"] == method) {
                return self.events.remove(at).unwrap()["params"].clone();
            }
            let message = self.hear().await;
            self.events.push_back(message);
        }
    }

    /// The value of an expression; promises are awaited, and exceptions are values.
    pub(crate) async fn evaluate(&mut self, expression: &str) -> Value {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true, "userGesture": true});
        let answer = self.call("Runtime.evaluate", params).await;
        let thrown = &answer["result"]["exceptionDetails"]["exception"]["description"];
        if thrown.is_string() { thrown.clone() } else { answer["result"]["result"]["value"].clone() }
    }

    /// Goes to a URL and waits until its document is complete; the whole answer.
    pub(crate) async fn navigate(&mut self, url: &str) -> Value {
        let answer = self.call("Page.navigate", json!({ "url": url })).await;
        let complete = "new Promise(done => document.readyState === 'complete' ? done(true) : addEventListener('load', () => done(true)))";
        self.evaluate(complete).await;
        answer
    }

    /// The text of the page.
    pub(crate) async fn text(&mut self) -> String {
        self.evaluate("document.documentElement.innerText").await.as_str().unwrap_or_default().to_owned()
    }

    /// Every target of the browser.
    pub(crate) async fn targets(&mut self) -> Vec<Value> {
        let targets = self.browser("Target.getTargets", json!({})).await;
        targets["result"]["targetInfos"].as_array().cloned().unwrap_or_default()
    }
}
