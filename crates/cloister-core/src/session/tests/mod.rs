//! Promises about sessions, kept on the test doubles with paused time.

mod calls;
mod copies;
mod endings;
mod quotas;
mod starts;

use super::{
    Backends, ForkSession, Interpreters, Invocation, InvokeOptions, ListQuery, ManagerConfig, SessionManager,
    SessionRecord, StartSession, Status,
};
use crate::backend::InterpreterBackend;
use crate::command::{Language, Runtime, ToolCall};
use crate::error::{Error, Kind};
use crate::event::{Event, Execution, Outcome};
use crate::id::{Principal, SessionId};
use crate::policy::Policy;
use crate::store::Store;
use crate::testing::{FakeBackend, MemoryStore};
use std::sync::Arc;
use std::time::Duration;

const KEY: &str = "aws.codeinterpreter.v1";

/// A manager on test doubles.
struct Rig {
    manager: Arc<SessionManager>,
    backend: Arc<FakeBackend>,
    store: Arc<MemoryStore>,
    me: Principal,
}

fn rig() -> Rig {
    rig_with(|_, _| {})
}

fn rig_with(change: impl FnOnce(&mut Policy, &mut ManagerConfig)) -> Rig {
    let (backend, store) = (FakeBackend::new(), Arc::new(MemoryStore::new()));
    let (mut policy, mut config) = (Policy::built_in("default"), ManagerConfig::default());
    change(&mut policy, &mut config);
    let tier: Arc<dyn InterpreterBackend> = Arc::clone(&backend) as _;
    let policy = Arc::new(policy);
    let interpreters = Interpreters::new([KEY, "other"].map(|key| (key.to_owned(), Arc::clone(&policy))));
    let manager = SessionManager::new(
        Backends::default().with_code(tier),
        Arc::clone(&store) as Arc<dyn Store>,
        interpreters,
        config,
    );
    Rig { manager, backend, store, me: Principal::local() }
}

fn request() -> StartSession {
    StartSession { interpreter: KEY.into(), key: KEY.into(), ..StartSession::default() }
}

fn with_token(token: &str, digest: u8) -> StartSession {
    StartSession { client_token: Some(token.into()), fingerprint: [digest; 32], ..request() }
}

fn code(text: &str) -> ToolCall {
    ToolCall::ExecuteCode {
        code: text.into(),
        language: Language::Python,
        runtime: Runtime::Python,
        clear_context: false,
    }
}

fn under(id: &str, digest: u8) -> InvokeOptions {
    InvokeOptions { invocation_id: Some(id.into()), fingerprint: [digest; 32], timeout: None }
}

fn stranger() -> Principal {
    Principal { tenant: "local".into(), name: "stranger".into() }
}

impl Rig {
    async fn start(&self) -> SessionId {
        self.manager.start(&self.me, request()).await.unwrap().id
    }

    async fn invoke(
        &self,
        id: &SessionId,
        call: ToolCall,
        options: InvokeOptions,
    ) -> Result<Invocation, Error> {
        self.manager.invoke(&self.me, None, id, call, options).await
    }

    /// Begins a call without waiting for its end.
    async fn begin(&self, id: &SessionId, text: &str) -> Invocation {
        self.invoke(id, code(text), InvokeOptions::default()).await.unwrap()
    }

    async fn run(&self, id: &SessionId, text: &str) -> Answer {
        drain(self.begin(id, text).await).await
    }

    async fn get(&self, id: &SessionId) -> SessionRecord {
        self.manager.get(&self.me, None, id).await.unwrap()
    }

    async fn stop(&self, id: &SessionId) -> SessionRecord {
        self.manager.stop(&self.me, None, id).await.unwrap()
    }
}

/// A call's whole answer.
#[derive(Debug, Default)]
struct Answer {
    stdout: String,
    outcome: Option<Outcome>,
    error: Option<Error>,
}

impl Answer {
    #[track_caller]
    fn execution(&self) -> &Execution {
        match &self.outcome {
            Some(Outcome::Executed(execution)) => execution,
            _ => panic!("no execution: {self:?}"),
        }
    }

    #[track_caller]
    fn failed(&self, kind: Kind, text: &str) {
        let error = self.error.as_ref().unwrap_or_else(|| panic!("no error: {self:?}"));
        assert!(error.kind == kind && error.message.contains(text), "{error:?}");
    }
}

async fn drain(mut invocation: Invocation) -> Answer {
    let mut answer = Answer::default();
    while let Some(step) = invocation.next().await {
        match step {
            Ok(Event::Stdout(data)) => answer.stdout.push_str(std::str::from_utf8(&data).unwrap()),
            Ok(Event::Done(outcome)) => answer.outcome = Some(*outcome),
            Ok(_) => {}
            Err(error) => answer.error = Some(error),
        }
    }
    assert!(invocation.next().await.is_none(), "nothing comes after the end");
    answer
}

/// Lets every task that can run do so, and the clock go on a little.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}

fn everything() -> ListQuery {
    ListQuery { status: None, limit: 100, after: None }
}
