//! The tabs of a session: those of the default context, whoever opened them, and which one is in front.
//!
//! ```text
//!   browser session ──Target.setAutoAttach──▶ attachedToTarget ──▶ watchdog session ──▶ prepare ──▶ in the list
//!                                             detachedFromTarget ──▶ out of it; the opener comes to the front
//!   tabs of other contexts (a CDP client's own) are let go at once
//! ```
//!
//! Tasks hold the desk weakly: when it goes, the connection goes, and with it their events.

use super::dialogs::{self, Dialogs};
use super::files::Files;
use super::log::{Download, Log};
use super::{downloads, prepare, watch};
use crate::access::Access;
use crate::call_error::CallError;
use crate::connection::Connection;
use crate::downloads::Downloads;
use crate::events::{CdpEvent, Events};
use crate::tab::Tab;
use cloister_core::browser::Viewport;
use cloister_core::browser::page::StepError;
use cloister_core::lock::lock;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use tokio::sync::{MutexGuard, watch as signal};
use tokio::time::timeout;

/// What a call to the browser process may take.
pub(super) const BROWSER: Duration = Duration::from_secs(5);
/// Tabs that a session may have. A page that opens windows without end gets the newest closed.
const TABS: usize = 50;

/// What the tabs of a session need.
pub(crate) struct Settings {
    /// Of every tab.
    pub(crate) viewport: Viewport,
    /// The session's files as the browser sees them.
    pub(crate) workspace: String,
    /// The session's files.
    pub(crate) files: Arc<dyn Files>,
    /// Where finished downloads lie.
    pub(crate) downloads: Arc<Downloads>,
    /// What dialogs get.
    pub(crate) dialogs: Arc<Dialogs>,
    /// What the session's policy lets clients do.
    pub(crate) access: Access,
}

#[derive(Default)]
struct Open {
    tabs: Vec<Arc<Tab>>,
    current: Option<String>,
    last: u32,
    /// Attached, and not yet in the list.
    coming: usize,
    /// How many windows the page of a tab has been given, by the tab's id.
    given: HashMap<String, u64>,
    /// How often somebody has put a tab in front.
    brought: u64,
}

/// The tabs of one session.
pub(crate) struct Tabs {
    pub(super) connection: Connection,
    session: String,
    context: Option<String>,
    settings: Settings,
    open: Mutex<Open>,
    changed: signal::Sender<u64>,
    turn: tokio::sync::Mutex<()>,
    log: Arc<Log>,
}

fn text<'a>(of: &'a Value, pointer: &str) -> &'a str {
    of.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

impl Tabs {
    /// Attaches to every tab of the default context, now and later. There is at least one afterwards.
    pub(crate) async fn open(connection: Connection, settings: Settings) -> Result<Arc<Self>, CallError> {
        let attached = connection.call(None, "Target.attachToBrowserTarget", json!({}), BROWSER).await?;
        let session = text(&attached, "/sessionId").to_owned();
        let contexts =
            connection.call(Some(&session), "Target.getBrowserContexts", json!({}), BROWSER).await?;
        let context = contexts.get("defaultBrowserContextId").and_then(Value::as_str).map(str::to_owned);
        let events = connection.events(&session);
        // Downloads are told to the session that has allowed them, which is the root.
        let root = connection.events("");
        let tabs = Arc::new(Self {
            connection,
            session,
            context,
            settings,
            open: Mutex::default(),
            changed: signal::Sender::new(0),
            turn: tokio::sync::Mutex::default(),
            log: Arc::default(),
        });
        tokio::spawn(listen(Arc::downgrade(&tabs), events, Tabs::event));
        tokio::spawn(listen(Arc::downgrade(&tabs), root, Tabs::root_event));
        let attach = json!({"autoAttach": true, "waitForDebuggerOnStart": true, "flatten": true,
            "filter": [{"type": "page"}]});
        tabs.browser("Target.setAutoAttach", attach).await?;
        if timeout(Duration::from_secs(2), tabs.any()).await.is_err() {
            tabs.create("about:blank").await?;
        }
        Ok(tabs)
    }

    /// One call on the session of the browser itself.
    pub(super) async fn browser(&self, method: &str, params: Value) -> Result<Value, CallError> {
        self.connection.call(Some(&self.session), method, params, BROWSER).await
    }

    /// One request at a time acts on the tabs.
    pub(crate) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// The size of the page area.
    pub(crate) fn viewport(&self) -> Viewport {
        self.settings.viewport
    }

    /// The session's files as the browser sees them.
    pub(super) fn workspace(&self) -> &str {
        &self.settings.workspace
    }

    /// The session's files.
    pub(super) fn files(&self) -> &dyn Files {
        &*self.settings.files
    }

    /// Where finished downloads lie.
    pub(super) fn downloads(&self) -> &Downloads {
        &self.settings.downloads
    }

    /// What the session's policy lets clients do.
    pub(super) fn access(&self) -> Access {
        self.settings.access
    }

    /// The rule for dialogs.
    pub(super) fn dialogs(&self) -> &Dialogs {
        &self.settings.dialogs
    }

    /// What has happened.
    pub(super) fn log(&self) -> &Log {
        &self.log
    }

    /// Why the browser has ended, if it has.
    pub(super) async fn ended(&self) -> Option<String> {
        timeout(Duration::from_millis(20), self.connection.ended()).await.ok()
    }

    /// The tab in front.
    pub(crate) fn current(&self) -> Result<Arc<Tab>, StepError> {
        let open = lock(&self.open);
        let front = open.tabs.iter().find(|tab| Some(&tab.id) == open.current.as_ref());
        front.or_else(|| open.tabs.last()).cloned().ok_or_else(|| StepError {
            code: "page_error",
            message: "there is no tab: every one was closed; open one".to_owned(),
        })
    }

    /// Every tab, oldest first.
    pub(super) fn all(&self) -> Vec<Arc<Tab>> {
        lock(&self.open).tabs.clone()
    }

    /// Puts a tab in front.
    pub(super) fn bring(&self, tab: &Tab) {
        let mut open = lock(&self.open);
        open.current = Some(tab.id.clone());
        open.brought += 1;
    }

    /// Counts the changes of the list.
    pub(super) fn changes(&self) -> signal::Receiver<u64> {
        self.changed.subscribe()
    }

    async fn any(&self) {
        let mut changes = self.changes();
        while lock(&self.open).tabs.is_empty() {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Opens a tab, waits until it is ready, and puts it in front.
    pub(super) async fn create(&self, url: &str) -> Result<Arc<Tab>, CallError> {
        let mut changes = self.changes();
        let answer = self.browser("Target.createTarget", json!({"url": url})).await?;
        let target = text(&answer, "/targetId").to_owned();
        let ready = timeout(BROWSER, async {
            loop {
                if let Some(tab) = self.all().into_iter().find(|tab| tab.target == target) {
                    return Some(tab);
                }
                changes.changed().await.ok()?;
            }
        });
        let deadline = || CallError::Deadline { method: "Target.createTarget".to_owned(), limit: BROWSER };
        let tab = ready.await.ok().flatten().ok_or_else(deadline)?;
        self.bring(&tab);
        Ok(tab)
    }

    /// Dialogs that opened before the steps began get the same answer as those that open meanwhile.
    pub(super) async fn answer_open_dialogs(&self) {
        for tab in self.all() {
            if let Some(open) = tab.dialog() {
                dialogs::answer(&tab, &self.settings.dialogs, &open).await;
            }
        }
    }

    fn attached(self: &Arc<Self>, params: &Value) {
        let (session, target) =
            (text(params, "/sessionId").to_owned(), text(params, "/targetInfo/targetId").to_owned());
        // The watchdogs are attached by ourselves, beside the automatic ones.
        if text(params, "/targetInfo/type") != "page"
            || lock(&self.open).tabs.iter().any(|tab| tab.target == target)
        {
            return;
        }
        let context = text(params, "/targetInfo/browserContextId");
        let foreign = self.context.as_deref().is_some_and(|own| own != context);
        let (flood, brought) = {
            let mut open = lock(&self.open);
            let flood = open.tabs.len() + open.coming >= TABS;
            open.coming += usize::from(!foreign && !flood);
            (flood, open.brought)
        };
        let opener = text(params, "/targetInfo/openerId").to_owned();
        let desk = Arc::clone(self);
        tokio::spawn(async move {
            if foreign || flood {
                desk.let_go(&session, if foreign { None } else { Some(&target) }).await;
                return;
            }
            if let Err(error) = desk.admit(session, target, &opener, brought).await {
                tracing::warn!(%error, "a tab could not be made ready");
            }
            lock(&desk.open).coming -= 1;
        });
    }

    /// Detaches from a tab that is not ours, or closes one that is too many.
    async fn let_go(&self, session: &str, close: Option<&str>) {
        let run = self.connection.call(Some(session), "Runtime.runIfWaitingForDebugger", json!({}), BROWSER);
        let _ = run.await;
        let _ = match close {
            Some(target) => {
                self.log.line("", "closed", "a page opened more tabs than a session may have", "");
                self.browser("Target.closeTarget", json!({"targetId": target})).await
            }
            None => self.browser("Target.detachFromTarget", json!({"sessionId": session})).await,
        };
    }

    async fn admit(
        self: &Arc<Self>,
        session: String,
        target: String,
        opener: &str,
        brought: u64,
    ) -> Result<(), CallError> {
        let id = {
            let mut open = lock(&self.open);
            open.last += 1;
            format!("t{}", open.last)
        };
        let watchdog = self.connection.attach(&target, BROWSER).await?;
        let mut tab = Tab::new(self.connection.clone(), id, target, (session, watchdog));
        let parent = self.parent(opener);
        tab.opener = parent.as_ref().map(|tab| tab.id.clone());
        let tab = Arc::new(tab);
        let events = self.connection.events(&tab.session);
        tokio::spawn(pump(
            Arc::downgrade(&tab),
            events,
            Arc::clone(&self.log),
            Arc::clone(&self.settings.dialogs),
        ));
        let prepared = prepare::prepare(&tab, self.settings.viewport).await;
        {
            let mut open = lock(&self.open);
            // A page's window comes to the front, as on a desktop, if its opener was there and nobody has chosen another since.
            // While steps run, the step that has set it off brings it: the next one must not find itself elsewhere by chance.
            let follows = parent.is_some()
                && open.current == tab.opener
                && open.brought == brought
                && !self.settings.dialogs.answers_now();
            if open.current.is_none() || follows {
                open.current = Some(tab.id.clone());
            }
            open.tabs.push(tab);
        }
        self.changed.send_modify(|n| *n += 1);
        prepared
    }

    /// Whose page has opened a window. Chromium does not say it of windows without an opener (`noopener`, which `target=_blank` is):
    /// then it is the tab in front, if its page has asked for more windows than it was given.
    fn parent(&self, opener: &str) -> Option<Arc<Tab>> {
        let mut open = lock(&self.open);
        let front = open.tabs.iter().find(|tab| {
            let given = open.given.get(&tab.id).copied().unwrap_or_default();
            opener.is_empty() && Some(&tab.id) == open.current.as_ref() && tab.state.borrow().windows > given
        });
        let parent = open.tabs.iter().find(|tab| tab.target == opener).or(front).cloned()?;
        *open.given.entry(parent.id.clone()).or_default() += 1;
        Some(parent)
    }

    fn detached(&self, params: &Value) {
        let session = text(params, "/sessionId");
        let mut open = lock(&self.open);
        let Some(at) = open.tabs.iter().position(|tab| tab.session == session) else { return };
        let gone = open.tabs.remove(at);
        gone.state.send_modify(|state| state.closed = true);
        if open.current.as_ref() == Some(&gone.id) {
            let opener = open.tabs.iter().find(|tab| Some(&tab.id) == gone.opener.as_ref());
            let next = opener.or_else(|| open.tabs.get(at.saturating_sub(1))).map(|tab| tab.id.clone());
            open.current = next;
        }
        drop(open);
        self.changed.send_modify(|n| *n += 1);
    }

    fn event(self: &Arc<Self>, event: &CdpEvent) {
        let params = &event.params;
        match event.method.as_str() {
            "Target.attachedToTarget" => self.attached(params),
            "Target.detachedFromTarget" => self.detached(params),
            _ => {}
        }
    }

    fn root_event(self: &Arc<Self>, event: &CdpEvent) {
        let params = &event.params;
        match event.method.as_str() {
            "Browser.downloadWillBegin" => self.log.download(Download {
                id: text(params, "/guid").to_owned(),
                frame: text(params, "/frameId").to_owned(),
                name: text(params, "/suggestedFilename").to_owned(),
                url: super::log::cut(text(params, "/url")),
                state: "inProgress".to_owned(),
                size: 0,
            }),
            "Browser.downloadProgress" => downloads::progress(self, params),
            _ => {}
        }
    }
}

async fn listen(desk: Weak<Tabs>, mut events: Events, react: fn(&Arc<Tabs>, &CdpEvent)) {
    while let Some(event) = events.next().await {
        let Some(desk) = desk.upgrade() else { return };
        react(&desk, &event);
    }
}

async fn pump(tab: Weak<Tab>, mut events: Events, log: Arc<Log>, dialogs: Arc<Dialogs>) {
    while let Some(event) = events.next().await {
        let Some(tab) = tab.upgrade() else { return };
        if let Some(open) = watch::apply(&tab, &event, &log)
            && dialogs.answers_now()
        {
            let dialogs = Arc::clone(&dialogs);
            tokio::spawn(async move { dialogs::answer(&tab, &dialogs, &open).await });
        }
    }
}
