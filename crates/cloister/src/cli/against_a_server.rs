//! Commands against a server with the fake backend behind it: what they ask for arrives, and refusals reach the person.

use super::{Cli, Failure, dispatch};
use crate::output::Output;
use clap::Parser;
use cloister_core::policy::Policy;
use cloister_core::session::{
    Backends, Interpreters, ListQuery, ManagerConfig, SessionManager, SessionRecord,
};
use cloister_core::testing::{FakeBackend, MemoryStore};
use cloister_core::{Principal, SessionId};
use cloister_gateway::{Gateway, GatewayConfig};
use std::process::ExitCode;
use std::sync::Arc;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

/// A server on a runtime of its own, since every command makes one, too.
struct Server {
    runtime: Runtime,
    url: String,
    manager: Arc<SessionManager>,
    wasm: Arc<FakeBackend>,
    stop: Option<oneshot::Sender<()>>,
}

impl Server {
    fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let wasm = FakeBackend::with_snapshots();
        let backends = Backends::default().with_code(FakeBackend::new()).with_code(wasm.clone());
        let on = |tier: &str| Arc::new(Policy { tier: tier.into(), ..Policy::built_in(tier) });
        let interpreters = [("aws.codeinterpreter.v1", "process"), ("py", "wasm")];
        let interpreters = Interpreters::new(interpreters.map(|(key, tier)| (key.to_owned(), on(tier))));
        let (store, config) = (Arc::new(MemoryStore::new()), ManagerConfig::default());
        let manager = SessionManager::new(backends, store, interpreters, config);
        let gateway = Gateway::new(Arc::clone(&manager), GatewayConfig::new([7; 32]));
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel();
        runtime.spawn(cloister_gateway::serve(listener, gateway, async {
            drop(stopped.await);
        }));
        Self { runtime, url, manager, wasm, stop: Some(stop) }
    }

    fn run(&self, line: &str) -> Result<ExitCode, Failure> {
        let (command, rest) = line.split_once(' ').unwrap();
        let words = ["cloister", command, "--endpoint", &self.url].into_iter().chain(rest.split_whitespace());
        let cli = Cli::try_parse_from(words).unwrap();
        dispatch(cli.command, Output::new(cli.json))
    }

    fn refuses(&self, line: &str, says: &str) {
        let message = self.run(line).unwrap_err().message;
        assert!(message.contains(says), "{line}: {message}");
    }

    /// Newest first.
    fn sessions(&self) -> Vec<SessionRecord> {
        let all = ListQuery { status: None, limit: 100, after: None };
        self.runtime.block_on(self.manager.list(&Principal::local(), None, all)).unwrap().items
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
    }
}

/// A program of the fake backend.
fn program(folder: &tempfile::TempDir, text: &str) -> String {
    let path = folder.path().join("app.py");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_program_runs_on_the_tier_that_is_asked_for() {
    let (server, folder) = (Server::new(), tempfile::tempdir().unwrap());
    let file = program(&folder, "print hello");
    server.run(&format!("run --tier wasm --keep {file}")).unwrap();
    let [session] = &server.sessions()[..] else { panic!("one session") };
    assert_eq!((session.tier.as_str(), session.interpreter.as_str()), ("wasm", "py"));
    server.run(&format!("run --json {file}")).unwrap();
    assert_eq!(server.sessions()[0].tier, "process");
    server.refuses(&format!("run --tier moon {file}"), "process, wasm");
    assert_eq!(server.sessions().len(), 2);
}

#[test]
fn a_session_is_copied_kept_put_back_and_taken_one_call_back() {
    let (server, folder) = (Server::new(), tempfile::tempdir().unwrap());
    let file = program(&folder, "set x 1");
    server.run(&format!("run --tier wasm --keep {file}")).unwrap();
    let id = server.sessions()[0].id.clone();
    server.run(&format!("checkpoint {id}")).unwrap();
    server.run(&format!("fork {id} --name copy --timeout 60 --json")).unwrap();
    let copy = server.sessions()[0].clone();
    assert_eq!((copy.name.as_deref(), copy.ttl.as_secs(), copy.tier.as_str()), (Some("copy"), 60, "wasm"));
    assert_eq!(server.wasm.counts().live, 2);
    server.run(&format!("restore {id} checkpoint-1 --json")).unwrap();
    server.refuses(&format!("restore {id} checkpoint-9"), "no such checkpoint");
    // Nothing has run since the checkpoint came back, and in the copy nothing at all.
    server.refuses(&format!("undo {id}"), "no call to undo");
    server.refuses(&format!("restore {}", copy.id), "no call to undo");
}

#[test]
fn an_undo_takes_back_one_call() {
    let (server, folder) = (Server::new(), tempfile::tempdir().unwrap());
    let file = program(&folder, "set x 1");
    server.run(&format!("run --tier wasm --keep {file}")).unwrap();
    let id = server.sessions()[0].id.clone();
    server.run(&format!("undo {id}")).unwrap();
    server.run(&format!("exec {id} -- get-nothing")).unwrap();
    server.run(&format!("restore {id}")).unwrap();
}

#[test]
fn what_cannot_be_done_names_the_tier_and_what_is_not_there_is_not_found() {
    let (server, folder) = (Server::new(), tempfile::tempdir().unwrap());
    let file = program(&folder, "print x");
    server.run(&format!("run --keep {file}")).unwrap();
    let id: SessionId = server.sessions()[0].id.clone();
    for command in ["fork", "checkpoint", "restore", "undo"] {
        server.refuses(&format!("{command} {id}"), "process tier");
        server.refuses(&format!("{command} 01K00Z3F8WZ9KBBW4QGRJCVBHH"), "no such session");
    }
}

#[test]
fn the_quotas_are_those_of_the_caller() {
    let server = Server::new();
    server.run("quota --json").unwrap();
    let (command, url) = ("quota", server.url.as_str());
    let cli = Cli::try_parse_from(["cloister", command, "--endpoint", url]).unwrap();
    dispatch(cli.command, Output::new(false)).unwrap();
}
