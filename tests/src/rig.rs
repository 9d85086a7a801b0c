//! Backends of its own for one test, and sessions in them that are easy to talk to.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "support code of tests: a failure here is a failed test"
)]

use crate::leftovers::{self, Traces};
use crate::{needs, tiers};
use cloister_core::backend::{Interpreter, InterpreterBackend, InterpreterSpec, InvokeError, StartError};
use cloister_core::browser::Proxies;
use cloister_core::command::{Language, Runtime, ToolCall};
use cloister_core::egress::{EgressFactory, EgressHandle};
use cloister_core::event::{Event, Execution, Outcome, Rich};
use cloister_core::policy::{Policy, StartMode, Wall};
use cloister_core::{Principal, SandboxId};
use cloister_process::{EngineRoom, ProcessBackend, ProcessConfig, WASM_TIER, WasmBackend, WasmConfig};
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;

/// Refuses to serve: the rig's sandboxes have no network.
struct NoEgress;

impl EgressFactory for NoEgress {
    fn serve(
        &self,
        _: SandboxId,
        _: &Policy,
        _: Proxies,
        _: TcpListener,
    ) -> std::io::Result<Box<dyn EgressHandle>> {
        Err(std::io::Error::other("the rig serves no network"))
    }
}

/// No test lasts so long: sessions are evicted when a test says so.
const NEVER: Duration = Duration::from_secs(24 * 3600);

/// A backend with a directory of its own.
pub struct Rig {
    /// The backend that makes sandboxes.
    pub backend: Arc<ProcessBackend>,
    /// The one that runs sessions in engines, which are sandboxes of the other; for policies of its tier.
    pub wasm: Option<Arc<WasmBackend>>,
    /// What the engines have on this host, by their sandboxes' names.
    engines: Mutex<BTreeMap<String, Traces>>,
    /// The policy of its sessions.
    pub policy: Arc<Policy>,
    /// Its directory.
    pub directory: TempDir,
}

/// The default policy, started from scratch: what most tests want, since it needs no second of imports.
pub fn plain() -> Policy {
    Policy { start: StartMode::Exec, ..Policy::built_in("test") }
}

impl Rig {
    /// `None` (after a visible skip) where the host lacks something.
    pub fn new(policy: Policy) -> Option<Self> {
        Self::with_pool(policy, 0)
    }

    /// The same with ready sandboxes; call inside a runtime.
    pub fn with_pool(policy: Policy, pool_size: usize) -> Option<Self> {
        Self::configured(policy, |config| config.pool_size = pool_size)
    }

    /// The same on a host that lacks the given walls.
    pub fn without(policy: Policy, walls: Vec<Wall>) -> Option<Self> {
        Self::configured(policy, |config| config.without = walls)
    }

    /// The same with a configuration of one's own.
    pub fn configured(policy: Policy, alter: impl FnOnce(&mut ProcessConfig)) -> Option<Self> {
        Self::with_room(policy, tiers::room(), alter)
    }

    /// The same with a room of one's own for engines.
    pub fn with_room(
        policy: Policy,
        room: EngineRoom,
        alter: impl FnOnce(&mut ProcessConfig),
    ) -> Option<Self> {
        // Warnings of the backend belong to a failed test's output; a second initialisation is refused, which is fine.
        drop(
            tracing_subscriber::fmt()
                .with_test_writer()
                .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
                .try_init(),
        );
        let images_dir = needs::images()?;
        let jail_program = needs::built("cloister-jail")?;
        let zygote_library = needs::built("libcloister_jail.so")?;
        let directory = tempfile::tempdir().unwrap();
        let lists = [
            ("seccomp/default.json", include_str!("../../policies/seccomp/default.json")),
            ("seccomp/browser.json", include_str!("../../policies/seccomp/browser.json")),
            ("seccomp/wasm.json", include_str!("../../policies/seccomp/wasm.json")),
        ];
        let compiled = |(name, list): (&str, &str)| {
            (name.to_owned(), cloister_jail::seccomp::compile(list).expect("the shipped lists compile"))
        };
        let filters = lists.map(compiled).into();
        let workshop = if policy.tier == WASM_TIER { Some(tiers::workshop()?) } else { None };
        let policy = Arc::new(policy);
        let mut config = ProcessConfig {
            state_dir: directory.path().join("sandboxes"),
            images_dir,
            jail_program,
            zygote_library,
            filters,
            pool_size: 0,
            orphan: cloister_process::ORPHAN,
            egress: Arc::new(NoEgress),
            without: Vec::new(),
        };
        alter(&mut config);
        let pool_size = config.pool_size;
        let backend = ProcessBackend::new(config, &[Arc::clone(&policy)]).expect("the backend starts");
        if let Err(unavailable) = backend.probe() {
            needs::skip(&unavailable.to_string());
            return None;
        }
        let config = |workshop| WasmConfig { workshop, room, pool_size, evict_after: NEVER };
        let wasm = workshop.map(|workshop| WasmBackend::new(Arc::clone(&backend), config(workshop)));
        if pool_size > 0 && wasm.is_none() {
            backend.warm_up();
        }
        Some(Self { backend, wasm, engines: Mutex::default(), policy, directory })
    }

    /// A session.
    pub async fn session(&self) -> Session {
        self.try_session(Duration::from_secs(600)).await.expect("the session starts")
    }

    /// A session with a life of `ttl`.
    pub async fn try_session(&self, ttl: Duration) -> Result<Session, StartError> {
        self.start(InterpreterSpec { ttl, ..self.spec() }).await
    }

    /// A session of somebody.
    pub async fn session_of(&self, name: &str) -> Session {
        let owner = Principal { tenant: "tests".into(), name: name.into() };
        self.start(InterpreterSpec { owner, ..self.spec() }).await.expect("the session starts")
    }

    /// A copy of a session.
    pub async fn copy(&self, original: &Session) -> Result<Session, StartError> {
        let copy_of = Some(original.interpreter.sandbox());
        self.start(InterpreterSpec { copy_of, ..self.spec() }).await
    }

    /// What the rig's sessions start with.
    pub fn spec(&self) -> InterpreterSpec {
        let (policy, owner) = (Arc::clone(&self.policy), Principal::local());
        InterpreterSpec { policy, ttl: Duration::from_secs(600), owner, copy_of: None }
    }

    /// A session as `spec` wants it.
    pub async fn start(&self, spec: InterpreterSpec) -> Result<Session, StartError> {
        let Some(wasm) = &self.wasm else { return self.backend.start(spec).await.map(Session::new) };
        let interpreter = wasm.start(spec).await?;
        let walls = interpreter.walls();
        let engine = walls.iter().find(|(name, _)| name == "engine").map(|(_, id)| id.clone());
        let engine = engine.expect("a session says which engine it is in");
        self.engines
            .lock()
            .unwrap()
            .entry(engine.clone())
            .or_insert_with(|| Traces::of_engine(&engine, &walls));
        Ok(Session { traces: Traces::of_none(&*interpreter), interpreter })
    }

    /// Processes of the engine that a session is in.
    pub fn pids_of(&self, session: &Session) -> Vec<i32> {
        let walls = session.interpreter.walls();
        let engine =
            walls.iter().find(|(name, _)| name == "engine").map(|(_, id)| id.as_str()).unwrap_or_default();
        self.engines.lock().unwrap().get(engine).map(Traces::pids).unwrap_or_default()
    }

    /// The host's user ids of those engines.
    pub fn engine_users(&self) -> Vec<u32> {
        self.engines.lock().unwrap().values().filter_map(Traces::uid).collect()
    }

    /// Processes of every engine that has been used, as the host numbers them.
    pub fn engine_pids(&self) -> Vec<i32> {
        self.engines.lock().unwrap().values().flat_map(Traces::pids).collect()
    }

    /// Ends the backends and checks that nothing is left.
    pub async fn end(self) {
        if let Some(wasm) = &self.wasm {
            wasm.shutdown().await;
        }
        for engine in self.engines.lock().unwrap().values() {
            let left = engine.left();
            assert!(left.is_empty(), "the engine leaves {left:?}");
        }
        self.backend.shutdown().await;
        let left = leftovers::of_backend(self.directory.path());
        assert!(left.is_empty(), "the backend leaves {left:?}");
    }
}

/// A session of a [`Rig`].
pub struct Session {
    /// The interpreter under test.
    pub interpreter: Arc<dyn Interpreter>,
    /// What its sandbox has on this host.
    pub traces: Traces,
}

/// What a foreground call did.
#[derive(Debug, Default)]
pub struct Ran {
    /// All of descriptor 1.
    pub stdout: String,
    /// All of descriptor 2.
    pub stderr: String,
    /// Displays.
    pub displays: Vec<Rich>,
    /// The last expression.
    pub value: Option<Rich>,
    /// The rest.
    pub execution: Execution,
}

impl Ran {
    /// The value as text.
    pub fn text(&self) -> &str {
        let value = self.value.as_ref().and_then(|v| v.get("text/plain"));
        value.and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or("")
    }
}

impl Session {
    fn new(interpreter: Arc<dyn Interpreter>) -> Self {
        let traces = Traces::of(&*interpreter);
        Self { interpreter, traces }
    }

    /// Whether it is on the wasm tier, which has no processes, threads or shell.
    pub fn is_wasm(&self) -> bool {
        self.interpreter.walls().iter().any(|(name, value)| name == "tier" && value.starts_with(WASM_TIER))
    }

    /// Runs Python.
    pub async fn python(&self, code: &str) -> Ran {
        self.python_within(code, Duration::from_secs(60)).await
    }

    /// Runs Python with a deadline.
    pub async fn python_within(&self, code: &str, deadline: Duration) -> Ran {
        self.run(code_call(Language::Python, Runtime::Python, code), deadline).await
    }

    /// Runs code in any runtime.
    pub async fn code(&self, language: Language, runtime: Runtime, code: &str) -> Ran {
        self.run(code_call(language, runtime, code), Duration::from_secs(60)).await
    }

    /// Runs a shell command.
    pub async fn shell(&self, command: &str) -> Ran {
        self.run(ToolCall::ExecuteCommand { command: command.into() }, Duration::from_secs(60)).await
    }

    /// Runs a foreground call.
    pub async fn run(&self, call: ToolCall, deadline: Duration) -> Ran {
        let mut ran = Ran::default();
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        for event in self.events(call, deadline).await {
            match event {
                Event::Stdout(bytes) => stdout.extend_from_slice(&bytes),
                Event::Stderr(bytes) => stderr.extend_from_slice(&bytes),
                Event::Display(rich) => ran.displays.push(rich),
                Event::Value(rich) => ran.value = Some(rich),
                Event::Receipt(_) => {}
                Event::Done(outcome) => match *outcome {
                    Outcome::Executed(execution) => ran.execution = execution,
                    other => panic!("a foreground call ended with {other:?}"),
                },
            }
        }
        ran.stdout = String::from_utf8_lossy(&stdout).into_owned();
        ran.stderr = String::from_utf8_lossy(&stderr).into_owned();
        ran
    }

    /// The outcome of any other call.
    pub async fn tool(&self, call: ToolCall) -> Outcome {
        match self.events(call, Duration::from_secs(60)).await.pop() {
            Some(Event::Done(outcome)) => *outcome,
            other => panic!("a call ended with {other:?}"),
        }
    }

    /// The outcome of a call that the tier or a dead worker may refuse.
    pub async fn try_tool(&self, call: ToolCall) -> Result<Outcome, InvokeError> {
        match self.try_events(call, Duration::from_secs(60)).await?.pop() {
            Some(Event::Done(outcome)) => Ok(*outcome),
            other => panic!("a call ended with {other:?}"),
        }
    }

    /// All events of a call.
    pub async fn events(&self, call: ToolCall, deadline: Duration) -> Vec<Event> {
        self.try_events(call, deadline).await.expect("the call is carried out")
    }

    async fn try_events(&self, call: ToolCall, deadline: Duration) -> Result<Vec<Event>, InvokeError> {
        let (sender, mut receiver) = tokio::sync::mpsc::channel(64);
        let interpreter = Arc::clone(&self.interpreter);
        let task = tokio::spawn(async move { interpreter.invoke(call, deadline, sender).await });
        let mut events = Vec::new();
        while let Some(event) = receiver.recv().await {
            events.push(event);
        }
        task.await.unwrap()?;
        Ok(events)
    }

    /// Stops it; everything must go.
    pub async fn stop(self) {
        let report = self.interpreter.stop(Duration::from_secs(2)).await;
        assert!(report.left_behind.is_empty(), "left behind: {:?}", report.left_behind);
        let left = self.traces.left();
        assert!(left.is_empty(), "the sandbox leaves {left:?}");
    }
}

fn code_call(language: Language, runtime: Runtime, code: &str) -> ToolCall {
    ToolCall::ExecuteCode { code: code.into(), language, runtime, clear_context: false }
}
