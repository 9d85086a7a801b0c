//! A gateway on a port of its own, and a plain HTTP client for it.

use crate::keys::TestKeys;
use bytes::Bytes;
use cloister_core::audit::Desk;
use cloister_core::policy::Policy;
use cloister_core::session::Backends;
use cloister_core::session::config::ManagerConfig;
use cloister_core::session::interpreters::Interpreters;
use cloister_core::session::manager::SessionManager;
use cloister_core::testing::{FakeBackend, FakeBrowserBackend, MemoryAudit, MemoryRecordings, MemoryStore};
use cloister_gateway::{Auth, Gateway, GatewayConfig};
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The interpreter that every test may use.
pub const KEY: &str = "aws.codeinterpreter.v1";
/// The interpreter whose sessions can be copied and kept.
pub const WASM: &str = "wasm";
/// The browser that every test may use.
pub const BROWSER: &str = "aws.browser.v1";

/// A server under test.
pub struct Server {
    pub address: SocketAddr,
    pub manager: Arc<SessionManager>,
    pub backend: Arc<FakeBackend>,
    pub wasm: Arc<FakeBackend>,
    pub browsers: Arc<FakeBrowserBackend>,
    pub store: Arc<MemoryStore>,
    pub recordings: Arc<MemoryRecordings>,
    pub audit: Arc<MemoryAudit>,
    shutdown: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<std::io::Result<()>>>,
}

type Change<T> = Box<dyn FnOnce(&mut T)>;

/// What a test may change.
#[derive(Default)]
pub struct Setup {
    pub gateway: Option<Change<GatewayConfig>>,
    pub manager: Option<Change<ManagerConfig>>,
    pub policy: Option<Change<Policy>>,
    pub browser_policy: Option<Change<Policy>>,
    pub wasm_policy: Option<Change<Policy>>,
}

impl Setup {
    pub fn gateway(mut self, change: impl FnOnce(&mut GatewayConfig) + 'static) -> Self {
        self.gateway = Some(Box::new(change));
        self
    }

    pub fn manager(mut self, change: impl FnOnce(&mut ManagerConfig) + 'static) -> Self {
        self.manager = Some(Box::new(change));
        self
    }

    pub fn policy(mut self, change: impl FnOnce(&mut Policy) + 'static) -> Self {
        self.policy = Some(Box::new(change));
        self
    }

    pub fn browser_policy(mut self, change: impl FnOnce(&mut Policy) + 'static) -> Self {
        self.browser_policy = Some(Box::new(change));
        self
    }

    /// A further change of the gateway's settings.
    pub fn gateway_too(mut self, change: impl FnOnce(&mut GatewayConfig) + 'static) -> Self {
        let before = self.gateway.take();
        self.gateway(move |config| {
            if let Some(before) = before {
                before(config);
            }
            change(config);
        })
    }

    /// A server that wants a key, and knows one: this token's.
    pub fn token(self, token: &'static str) -> Self {
        self.keys(&TestKeys::with_token(token))
    }

    /// A server that wants one of these keys.
    pub fn keys(self, keys: &Arc<TestKeys>) -> Self {
        let keys = keys.clone();
        self.gateway(move |config| config.auth = Auth::On(keys))
    }

    /// Changes the policy of the interpreter on the wasm tier.
    pub fn wasm_policy(mut self, change: impl FnOnce(&mut Policy) + 'static) -> Self {
        self.wasm_policy = Some(Box::new(change));
        self
    }

    pub async fn start(self) -> Server {
        let (backend, browsers) = (FakeBackend::new(), FakeBrowserBackend::new());
        let wasm = FakeBackend::with_snapshots();
        let store = Arc::new(MemoryStore::new());
        let mut policy = Policy::built_in("default");
        if let Some(change) = self.policy {
            change(&mut policy);
        }
        let policy = Arc::new(policy);
        let mut browsing = Policy::built_in("browser");
        browsing.tier = "browser".into();
        browsing.time.session_default = Duration::from_secs(3600);
        if let Some(change) = self.browser_policy {
            change(&mut browsing);
        }
        let browsing = Arc::new(browsing);
        let code = [KEY, "other-abcdefghij"].map(|key| (key.to_owned(), policy.clone()));
        let browser = [BROWSER, "mine-abcdefghij"].map(|key| (key.to_owned(), browsing.clone()));
        let mut copyable = Policy { tier: "wasm".into(), ..Policy::built_in("wasm") };
        if let Some(change) = self.wasm_policy {
            change(&mut copyable);
        }
        let copyable = [(WASM.to_owned(), Arc::new(copyable))];
        let interpreters = Interpreters::new(code.into_iter().chain(browser).chain(copyable));
        let mut config = ManagerConfig::default();
        if let Some(change) = self.manager {
            change(&mut config);
        }
        let backends = Backends::default().with_code(backend.clone()).with_code(wasm.clone());
        let backends = backends.with_browsers(browsers.clone());
        let recordings = Arc::new(MemoryRecordings::default());
        let backends = backends.with_recordings(recordings.clone());
        let audit = Arc::new(MemoryAudit::default());
        let backends = backends.with_desk(Arc::new(Desk::new(audit.clone())));
        let manager = SessionManager::new(backends, store.clone(), interpreters, config);
        let mut config = GatewayConfig::new([7; 32]);
        config.drain = Duration::from_secs(5);
        if let Some(change) = self.gateway {
            change(&mut config);
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let gateway = Gateway::new(manager.clone(), config);
        let (shutdown, stopped) = oneshot::channel();
        let serving = tokio::spawn(cloister_gateway::serve(listener, gateway, async {
            drop(stopped.await);
        }));
        Server {
            address,
            manager,
            backend,
            wasm,
            browsers,
            store,
            recordings,
            audit,
            shutdown: Some(shutdown),
            serving: Some(serving),
        }
    }
}

impl Server {
    pub async fn new() -> Self {
        Setup::default().start().await
    }

    /// Tells the server to stop; resolves when it has.
    pub fn shut_down(&mut self) -> JoinHandle<std::io::Result<()>> {
        drop(self.shutdown.take());
        self.serving.take().unwrap()
    }

    pub fn request(&self, method: &str, path: &str) -> Call {
        Call::new(self.address, method, path)
    }

    pub fn get(&self, path: &str) -> Call {
        self.request("GET", path)
    }

    /// A session over the native door.
    pub async fn session(&self) -> String {
        let answer = self.request("POST", "/v1/sessions").send().await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["id"].as_str().unwrap().to_owned()
    }
}

/// A request in the making.
pub struct Call {
    address: SocketAddr,
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

impl Call {
    fn new(address: SocketAddr, method: &str, path: &str) -> Self {
        let headers = vec![("host".to_owned(), address.to_string())];
        Self { address, method: method.into(), path: path.into(), headers, body: Bytes::new() }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        if name == "host" {
            self.headers.retain(|(name, _)| name != "host");
        }
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    pub fn json(self, body: impl Into<Value>) -> Self {
        self.header("content-type", "application/json").body(body.into().to_string())
    }

    /// JSON as it stands, for bodies that serde_json would not write.
    pub fn raw_json(self, body: impl Into<Bytes>) -> Self {
        self.header("content-type", "application/json").body(body)
    }

    /// Sends it and waits for the head of the answer.
    pub async fn open(self) -> hyper::Response<hyper::body::Incoming> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(async move { drop(connection.await) });
        let mut request = Request::builder().method(self.method.as_str()).uri(&self.path);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let response = sender.send_request(request.body(Full::new(self.body)).unwrap()).await.unwrap();
        // The connection must live until the body has been read; dropping the sender closes it after that.
        response
    }

    /// Sends it and reads the whole answer.
    pub async fn send(self) -> Answer {
        let (head, body) = self.open().await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: head.status, headers: head.headers, body }
    }
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {:?}", self.body))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}
