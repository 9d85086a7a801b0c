//! Copies of sessions, and states that are kept of them.

use super::{
    Backends, ForkSession, Interpreters, ManagerConfig, Rig, SessionManager, StartSession, code, drain,
    stranger,
};
use crate::backend::InterpreterBackend;
use crate::command::ToolCall;
use crate::error::Kind;
use crate::event::Outcome;
use crate::id::{Principal, SessionId};
use crate::policy::Policy;
use crate::session::{InvokeOptions, Status};
use crate::store::Store;
use crate::testing::{FakeBackend, MemoryStore};
use std::sync::Arc;
use std::time::Duration;

const WASM: &str = "wasm";

fn rig() -> Rig {
    let (backend, store) = (FakeBackend::with_snapshots(), Arc::new(MemoryStore::new()));
    let tier: Arc<dyn InterpreterBackend> = Arc::clone(&backend) as _;
    let policy = Arc::new(Policy { tier: WASM.into(), ..Policy::built_in(WASM) });
    let manager = SessionManager::new(
        Backends::default().with_code(tier),
        Arc::clone(&store) as Arc<dyn Store>,
        Interpreters::new([(WASM.to_owned(), policy)]),
        ManagerConfig::default(),
    );
    Rig { manager, backend, store, me: Principal::local() }
}

impl Rig {
    async fn copyable(&self) -> SessionId {
        let request = StartSession { interpreter: WASM.into(), key: WASM.into(), ..StartSession::default() };
        self.manager.start(&self.me, request).await.unwrap().id
    }
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_takes_no_place_in_the_queue_and_calls_that_come_later_wait_for_it() {
    let rig = rig();
    let id = rig.copyable().await;
    let running = rig.begin(&id, "sleep 5").await;
    for call in [ToolCall::Checkpoint, ToolCall::Restore { checkpoint: None }] {
        let error = rig.invoke(&id, call, InvokeOptions::default()).await.unwrap_err();
        assert!(error.kind == Kind::Conflict && error.message.contains("runs or waits"), "{error}");
    }
    assert_eq!(rig.manager.counts().queued, 0);
    drain(running).await.execution();
    // Without a pause: the answer is there, so the call is over for whoever has read it.
    let kept = rig.invoke(&id, ToolCall::Checkpoint, InvokeOptions::default()).await.unwrap();
    let later = rig.begin(&id, "print later").await;
    assert!(matches!(drain(kept).await.outcome, Some(Outcome::Checkpointed { .. })));
    assert_eq!(drain(later).await.stdout, "later\n");
}

#[tokio::test(start_paused = true)]
async fn file_calls_do_not_keep_a_session_from_being_at_rest() {
    let rig = rig();
    let id = rig.copyable().await;
    let read = ToolCall::ReadFiles { paths: vec!["a".into()] };
    let (read, kept) = tokio::join!(
        rig.invoke(&id, read, InvokeOptions::default()),
        rig.invoke(&id, ToolCall::Checkpoint, InvokeOptions::default())
    );
    drain(read.unwrap()).await;
    assert!(matches!(drain(kept.unwrap()).await.outcome, Some(Outcome::Checkpointed { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_fork_of_a_session_that_starts_or_belongs_to_somebody_else_leaves_nothing() {
    let rig = rig();
    let id = rig.copyable().await;
    let error = rig.manager.fork(&stranger(), &id, ForkSession::default()).await.unwrap_err();
    assert!(error.kind == Kind::NotFound && error.message.contains("no such session"), "{error}");
    rig.backend.set_start_delay(Duration::from_secs(5));
    let request = StartSession { interpreter: WASM.into(), key: WASM.into(), ..StartSession::default() };
    let (started, error) = tokio::join!(rig.manager.start(&rig.me, request), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let starting = rig.store.all().into_iter().find(|session| session.record.id != id).unwrap();
        rig.manager.fork(&rig.me, &starting.record.id, ForkSession::default()).await.unwrap_err()
    });
    assert!(started.is_ok());
    assert!(error.kind == Kind::Conflict && error.message.contains("still starting"), "{error}");
    assert_eq!((rig.store.all().len(), rig.backend.counts().starts), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_fork_lives_its_own_life() {
    let rig = rig();
    let id = rig.copyable().await;
    rig.run(&id, "set x 1").await;
    let fork = ForkSession { timeout: Some(Duration::from_secs(60)), ..ForkSession::default() };
    let copy = rig.manager.fork(&rig.me, &id, fork).await.unwrap();
    assert_eq!(copy.ttl, Duration::from_secs(60));
    assert_eq!(rig.run(&copy.id, "get x").await.stdout, "1\n");
    tokio::time::sleep(Duration::from_secs(70)).await;
    assert_eq!(
        (rig.get(&copy.id).await.status, rig.get(&id).await.status),
        (Status::Terminated, Status::Ready)
    );
    assert_eq!(
        drain(rig.invoke(&id, code("get x"), InvokeOptions::default()).await.unwrap()).await.stdout,
        "1\n"
    );
}
