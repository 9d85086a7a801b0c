//! The pages of the default context: each has the session's viewport, and there is always one when a client connects.
//!
//! ```text
//!   Target.targetCreated (page, default context) ──▶ attach ──▶ window size + device metrics
//!   a client leaves ──▶ metrics again: what its sessions had overridden falls back to the window, not to ours
//! ```
//!
//! Pages of contexts that clients make are theirs: they have viewports of their own.

use crate::call_error::CallError;
use crate::connection::Connection;
use crate::events::{CdpEvent, Events, LAGGED};
use cloister_core::browser::Viewport;
use cloister_core::lock::lock;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::timeout;

/// How long a call to the browser process may take.
const LIMIT: Duration = Duration::from_secs(10);
/// How long Chromium may take to open its first page.
const FIRST: Duration = Duration::from_secs(5);

/// A target as `Target.TargetInfo` describes it, as far as it is needed.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Target {
    pub(crate) target_id: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) title: String,
    pub(crate) url: String,
    pub(crate) browser_context_id: Option<String>,
    /// Set for a page that is prerendered and not shown.
    #[serde(default)]
    pub(crate) subtype: Option<String>,
}

/// The pages of one browser's default context.
pub(crate) struct Pages {
    connection: Connection,
    context: String,
    viewport: Mutex<Viewport>,
    /// Target to our session.
    attached: Mutex<HashMap<String, String>>,
}

impl Pages {
    /// Finds the default context and its pages, and attaches to them. Makes one if there is none.
    pub(crate) async fn open(connection: Connection, viewport: Viewport) -> Result<Arc<Self>, CallError> {
        let contexts = connection.call(None, "Target.getBrowserContexts", json!({}), LIMIT).await?;
        let context = contexts.get("defaultBrowserContextId").and_then(Value::as_str).ok_or_else(|| {
            let what = "it names no default context: the browser is too old".to_owned();
            CallError::Unreadable { method: "Target.getBrowserContexts".to_owned(), what }
        })?;
        let pages = Arc::new(Self {
            connection,
            context: context.to_owned(),
            viewport: Mutex::new(viewport),
            attached: Mutex::default(),
        });
        let mut events = pages.connection.events("");
        let discover = json!({ "discover": true });
        pages.connection.call(None, "Target.setDiscoverTargets", discover, LIMIT).await?;
        pages.first(&mut events).await?;
        pages.attach_all().await?;
        let watched = Arc::downgrade(&pages);
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                let Some(pages) = watched.upgrade() else { return };
                pages.react(&event);
            }
        });
        Ok(pages)
    }

    /// All targets of the browser.
    pub(crate) async fn targets(&self) -> Result<Vec<Target>, CallError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Answer {
            target_infos: Vec<Target>,
        }
        let method = "Target.getTargets";
        let answer = self.connection.call(None, method, json!({}), LIMIT).await?;
        let read = serde_json::from_value::<Answer>(answer);
        read.map(|answer| answer.target_infos)
            .map_err(|error| CallError::Unreadable { method: method.to_owned(), what: error.to_string() })
    }

    /// Waits for the page that Chromium opens by itself, a moment after it answers; without one, opens it.
    async fn first(&self, events: &mut Events) -> Result<(), CallError> {
        let opened = async {
            while !self.targets().await?.iter().any(|target| self.is_ours(target)) {
                if events.next().await.is_none() {
                    break;
                }
            }
            Ok::<(), CallError>(())
        };
        match timeout(FIRST, opened).await {
            Ok(Err(error)) => Err(error),
            Ok(Ok(())) | Err(_) => self.ensure().await,
        }
    }

    /// Opens a page if the default context has none: clients take the first one for granted.
    pub(crate) async fn ensure(&self) -> Result<(), CallError> {
        if !self.targets().await?.iter().any(|target| self.is_ours(target)) {
            self.connection.call(None, "Target.createTarget", json!({ "url": "about:blank" }), LIMIT).await?;
        }
        Ok(())
    }

    /// Gives every page this viewport, now and later, and sees that the first one really has it.
    pub(crate) async fn set_viewport(&self, viewport: Viewport) -> Result<(), CallError> {
        // Every page took the old one when it was attached, and resizing a page costs a frame.
        if std::mem::replace(&mut *lock(&self.viewport), viewport) != viewport {
            self.apply().await;
        }
        let session = lock(&self.attached).values().next().cloned();
        let Some(session) = session else { return Ok(()) };
        let method = "Runtime.evaluate";
        let params = json!({ "expression": "[innerWidth, innerHeight]", "returnByValue": true });
        let answer = self.connection.call(Some(&session), method, params, LIMIT).await?;
        let size = answer.pointer("/result/value");
        if size == Some(&json!([viewport.width, viewport.height])) {
            return Ok(());
        }
        let what = format!("the page is {size:?} in place of {}x{}", viewport.width, viewport.height);
        Err(CallError::Unreadable { method: method.to_owned(), what })
    }

    /// Applies the viewport to every page that is there.
    pub(crate) async fn apply(&self) {
        let attached: Vec<(String, String)> =
            lock(&self.attached).iter().map(|(target, session)| (target.clone(), session.clone())).collect();
        for (target, session) in attached {
            if let Err(error) = self.size(&target, &session).await {
                tracing::debug!(%error, "a page did not take the viewport");
            }
        }
    }

    /// The window is what remains when a client's own metrics go; the metrics make `screen` agree with it.
    async fn size(&self, target: &str, session: &str) -> Result<(), CallError> {
        let Viewport { width, height } = *lock(&self.viewport);
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false,
            "screenWidth": width, "screenHeight": height });
        let override_ = async {
            // Said twice, the same metrics are no change to Chromium, even when a client's have replaced them in the page.
            // Both are sent at once, in this order, which a session keeps.
            let (clear, set) = ("Emulation.clearDeviceMetricsOverride", "Emulation.setDeviceMetricsOverride");
            let (cleared, set) = tokio::join!(
                biased;
                self.connection.call(Some(session), clear, json!({}), LIMIT),
                self.connection.call(Some(session), set, metrics, LIMIT)
            );
            cleared.and(set)
        };
        let window = async {
            let params = json!({ "targetId": target });
            let found = self.connection.call(None, "Browser.getWindowForTarget", params, LIMIT).await?;
            let id = found.get("windowId").cloned().unwrap_or_default();
            let params = json!({ "windowId": id, "width": width, "height": height });
            self.connection.call(None, "Browser.setContentsSize", params, LIMIT).await
        };
        let (override_, window) = tokio::join!(override_, window);
        override_.and(window).map(|_| ())
    }

    async fn attach_all(self: &Arc<Self>) -> Result<(), CallError> {
        for target in self.targets().await?.iter().filter(|target| self.is_ours(target)) {
            self.attach(&target.target_id).await?;
        }
        Ok(())
    }

    async fn attach(&self, target: &str) -> Result<(), CallError> {
        if lock(&self.attached).contains_key(target) {
            return Ok(());
        }
        let session = self.connection.attach(target, LIMIT).await?;
        let earlier = lock(&self.attached).insert(target.to_owned(), session.clone());
        if let Some(earlier) = earlier {
            // Two events of one target met; one session is enough.
            self.connection.detach(&earlier, LIMIT).await?;
        }
        self.size(target, &session).await
    }

    fn is_ours(&self, target: &Target) -> bool {
        target.kind == "page"
            && target.subtype.is_none()
            && target.browser_context_id.as_deref() == Some(&self.context)
    }

    fn react(self: &Arc<Self>, event: &CdpEvent) {
        match event.method.as_str() {
            "Target.targetCreated" => {
                let info = event.params.get("targetInfo").cloned().unwrap_or_default();
                let Ok(target) = serde_json::from_value::<Target>(info) else { return };
                if self.is_ours(&target) {
                    let pages = Arc::clone(self);
                    tokio::spawn(async move {
                        if let Err(error) = pages.attach(&target.target_id).await {
                            // Gone before it was looked at, as a page does that closes what it opens.
                            tracing::debug!(%error, "a new page was not prepared");
                        }
                    });
                }
            }
            "Target.targetDestroyed" => {
                let target = event.params.get("targetId").and_then(Value::as_str).unwrap_or_default();
                lock(&self.attached).remove(target);
            }
            LAGGED => {
                let pages = Arc::clone(self);
                tokio::spawn(async move {
                    if let Err(error) = pages.attach_all().await {
                        tracing::debug!(%error, "pages were not counted again");
                    }
                });
            }
            _ => {}
        }
    }
}
