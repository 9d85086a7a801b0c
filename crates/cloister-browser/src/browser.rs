//! One browser session: what the trait asks, answered by pages, broker, sandbox and connection.

use crate::access::Access;
use crate::broker::{Broker, OnLeave};
use crate::connection::Connection;
use crate::downloads::Downloads;
use crate::filter::{Filter, Notary, Table};
use crate::launch::{Launched, allow_downloads};
use crate::page::{Dialogs, SandboxFiles, Settings, Tabs};
use crate::pages::Pages;
use crate::recorder::Recorder;
use async_trait::async_trait;
use cloister_core::audit::Desk;
use cloister_core::backend::{Consumed, EventSink, Interpreter, InvokeError, Provenance, StopReport};
use cloister_core::browser::page::{Performed, Step};
use cloister_core::browser::{
    Action, ActionResult, Browser, BrowserError, CdpClient, Engine, Role, StreamStatus, Viewport,
};
use cloister_core::command::ToolCall;
use cloister_core::egress::EgressReport;
use cloister_core::id::SandboxId;
use cloister_core::recording::Recording;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;

/// How long the sandbox may take to say why Chromium has ended, once its pipe is closed.
const REASON: Duration = Duration::from_secs(2);

/// A Chromium with a session.
pub(crate) struct ChromiumBrowser {
    sandbox: Arc<dyn Interpreter>,
    connection: Connection,
    pages: Arc<Pages>,
    broker: Arc<Broker>,
    engine: Engine,
    viewport: Viewport,
    downloads: Arc<Downloads>,
    dialogs: Arc<Dialogs>,
    workspace: String,
    access: Access,
    /// Attached at the first action or step: a session that only CDP clients use has no second view of its pages.
    tabs: OnceCell<Arc<Tabs>>,
    recorder: Option<Arc<Recorder>>,
}

impl ChromiumBrowser {
    /// Makes a launched browser a session's. It already has its viewport.
    pub(crate) fn new(
        launched: Launched,
        table: Arc<Table>,
        viewport: Viewport,
        clients: usize,
        recording: Option<Recording>,
        desk: Option<Arc<Desk>>,
    ) -> Self {
        let Launched { sandbox, connection, pages, downloads, engine, workspace, rules } = launched;
        let recorder = recording.map(|recording| Recorder::start(connection.clone(), &engine, recording));
        let notary = desk.map(|desk| Notary { desk, sandbox: sandbox.sandbox() });
        let filter = Filter::new(table, &workspace, &rules).noting(notary);
        let own = workspace.clone();
        let restored = (Arc::clone(&pages), connection.clone(), rules.clone());
        let on_leave: OnLeave = Arc::new(move || {
            let ((pages, connection, rules), workspace) = (restored.clone(), workspace.clone());
            tokio::spawn(async move {
                pages.apply().await;
                if let Err(error) = allow_downloads(&connection, &workspace, &rules).await {
                    tracing::debug!(%error, "downloads were not set again after a client had left");
                }
            });
        });
        let dialogs = Arc::<Dialogs>::default();
        let broker = Broker::new(
            connection.clone(),
            filter,
            Arc::clone(&downloads),
            clients,
            on_leave,
            recorder.clone(),
            Arc::clone(&dialogs),
        );
        Self {
            sandbox,
            connection,
            pages,
            broker,
            engine,
            viewport,
            downloads,
            dialogs,
            workspace: own,
            access: Access::of(&rules),
            tabs: OnceCell::new(),
            recorder,
        }
    }

    fn noted(&self, action: &'static str, outcome: &str) {
        if let Some(recorder) = &self.recorder {
            recorder.action(action, outcome);
        }
    }

    /// The tabs as actions and steps use them.
    async fn tabs(&self) -> Result<Arc<Tabs>, BrowserError> {
        let open = || {
            let settings = Settings {
                viewport: self.viewport,
                workspace: self.workspace.clone(),
                files: Arc::new(SandboxFiles::new(Arc::clone(&self.sandbox))),
                downloads: Arc::clone(&self.downloads),
                dialogs: Arc::clone(&self.dialogs),
                access: self.access,
            };
            Tabs::open(self.connection.clone(), settings)
        };
        Ok(self.tabs.get_or_try_init(open).await.map(Arc::clone)?)
    }
}

#[async_trait]
impl Browser for ChromiumBrowser {
    fn sandbox(&self) -> SandboxId {
        self.sandbox.sandbox()
    }

    fn engine(&self) -> Engine {
        self.engine.clone()
    }

    fn viewport(&self) -> Viewport {
        self.viewport
    }

    fn walls(&self) -> Vec<(String, String)> {
        self.sandbox.walls()
    }

    fn provenance(&self) -> Provenance {
        self.sandbox.provenance()
    }

    fn consumed(&self) -> Option<Consumed> {
        self.sandbox.consumed()
    }

    fn egress(&self) -> Option<EgressReport> {
        self.sandbox.egress()
    }

    async fn act(&self, action: Action) -> Result<ActionResult, BrowserError> {
        let name = action.name();
        // Before as well: an action that never ends has been asked for all the same.
        self.noted(name, "asked");
        if let Err(error) = self.access.permits_action(&action) {
            self.noted(name, "failed");
            return Ok(ActionResult::Failed { error });
        }
        let result = crate::actions::act(&*self.tabs().await?, action).await;
        let failed = matches!(result, Ok(ActionResult::Failed { .. }) | Err(_));
        self.noted(name, if failed { "failed" } else { "done" });
        result
    }

    async fn perform(&self, steps: Vec<Step>, timeout: Duration) -> Result<Vec<Performed>, BrowserError> {
        steps.iter().for_each(|step| self.noted(step.name(), "asked"));
        let performed = crate::page::perform(&*self.tabs().await?, steps, timeout).await?;
        for step in &performed {
            self.noted(step.name, if step.result.is_ok() { "done" } else { "failed" });
        }
        Ok(performed)
    }

    async fn connect(&self, role: Role, target: Option<String>) -> Result<CdpClient, BrowserError> {
        if target.is_none() {
            self.pages.ensure().await?;
        }
        self.broker.connect(role, target).await
    }

    async fn targets(&self) -> Result<serde_json::Value, BrowserError> {
        let targets = self.pages.targets().await?;
        let shown = targets.iter().filter(|target| !matches!(target.kind.as_str(), "browser" | "tab"));
        Ok(shown
            .map(|t| json!({ "id": t.target_id, "type": t.kind, "title": t.title, "url": t.url }))
            .collect())
    }

    fn stream(&self) -> StreamStatus {
        self.broker.status()
    }

    fn set_stream(&self, status: StreamStatus) {
        self.broker.set_status(status);
    }

    async fn files(&self, call: ToolCall, deadline: Duration, events: EventSink) -> Result<(), InvokeError> {
        self.sandbox.invoke(call, deadline, events).await
    }

    async fn exited(&self) -> String {
        tokio::select! {
            reason = self.sandbox.exited() => reason,
            reason = self.connection.ended() => {
                // The sandbox knows more: a signal, the out-of-memory killer.
                tokio::time::timeout(REASON, self.sandbox.exited()).await.unwrap_or(reason)
            }
        }
    }

    fn over(&self, why: &str) {
        self.broker.end(why);
    }

    async fn stop(&self, grace: Duration) -> StopReport {
        if let Some(recorder) = &self.recorder {
            recorder.end().await;
        }
        self.sandbox.stop(grace).await
    }
}
