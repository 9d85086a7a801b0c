//! From a started Chromium to a browser that can be handed out: attached, prepared, and not yet anybody's.
//!
//! ```text
//!   BrowserHost::launch ──▶ Connection ──▶ version ──▶ pages ──▶ downloads ──▶ Launched ──▶ (pool) ──▶ ChromiumBrowser
//! ```

use crate::call_error::CallError;
use crate::connection::Connection;
use crate::downloads::Downloads;
use crate::filter::DOWNLOADS;
use crate::pages::Pages;
use cloister_core::backend::StartError;
use cloister_core::browser::{BrowserHost, Budget, Chromium, Engine, Proxies, Viewport};
use cloister_core::policy::{BrowserRules, Policy};
use serde_json::{Value, json};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// How long Chromium may take until it answers at all. A cold start on a busy machine takes seconds.
const READY: Duration = Duration::from_secs(30);
/// How long a call to the browser process may take afterwards.
const LIMIT: Duration = Duration::from_secs(10);

/// A browser that nobody has used.
pub(crate) struct Launched {
    pub(crate) sandbox: Arc<dyn cloister_core::backend::Interpreter>,
    pub(crate) connection: Connection,
    pub(crate) pages: Arc<Pages>,
    pub(crate) downloads: Arc<Downloads>,
    pub(crate) engine: Engine,
    pub(crate) workspace: String,
    pub(crate) rules: BrowserRules,
}

impl Launched {
    /// Starts and prepares one. Nothing is left behind if that fails.
    pub(crate) async fn new(
        host: &dyn BrowserHost,
        policy: Arc<Policy>,
        proxies: Proxies,
        viewport: Viewport,
        budget: Budget,
    ) -> Result<Self, StartError> {
        let rules = policy.browser.clone();
        let Chromium { sandbox, to, from, workspace } = host.launch(policy, proxies).await?;
        let prepared = async {
            let connection = Connection::open(to, from, budget)
                .map_err(|source| StartError::Step { step: "open the debugging pipe".to_owned(), source })?;
            prepare(connection, Arc::clone(&sandbox), workspace, viewport, rules).await.map_err(failed)
        };
        match prepared.await {
            Ok(launched) => Ok(launched),
            Err(error) => {
                // What Chromium itself says, if it has ended, is more than that its pipe was closed.
                let reason = tokio::time::timeout(Duration::from_millis(200), sandbox.exited()).await;
                for left in sandbox.stop(Duration::ZERO).await.left_behind {
                    tracing::warn!(left, "left behind by a browser that did not start");
                }
                match reason {
                    Ok(reason) => Err(StartError::Step {
                        step: "start the browser".to_owned(),
                        source: io::Error::other(reason),
                    }),
                    Err(_) => Err(error),
                }
            }
        }
    }

    /// Whether it still runs.
    pub(crate) fn lives(&self) -> bool {
        self.connection.lives()
    }

    /// Stops one that nobody took.
    pub(crate) async fn destroy(self) {
        for left in self.sandbox.stop(Duration::ZERO).await.left_behind {
            tracing::warn!(left, "left behind by a ready browser");
        }
    }
}

fn failed(error: CallError) -> StartError {
    StartError::Step { step: "prepare the browser".to_owned(), source: io::Error::other(error) }
}

async fn prepare(
    connection: Connection,
    sandbox: Arc<dyn cloister_core::backend::Interpreter>,
    workspace: String,
    viewport: Viewport,
    rules: BrowserRules,
) -> Result<Launched, CallError> {
    let version = connection.call(None, "Browser.getVersion", json!({}), READY).await?;
    let text = |name: &str| version.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let engine = Engine {
        product: text("product"),
        user_agent: text("userAgent"),
        protocol: text("protocolVersion"),
        js_version: text("jsVersion"),
        revision: text("revision"),
    };
    let (downloads, finished) = Downloads::new();
    let mut events = connection.events("");
    // Neither needs the other, and the page takes the longer.
    let (pages, ()) = tokio::try_join!(
        Pages::open(connection.clone(), viewport),
        allow_downloads(&connection, &workspace, &rules)
    )?;
    let noted = Arc::downgrade(&downloads);
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            let Some(downloads) = noted.upgrade() else { return };
            if event.method.starts_with("Browser.download") {
                downloads.note(&event.method, json!({ "params": event.params }).to_string().as_bytes());
            }
        }
    });
    let keeper = Arc::clone(&downloads).keep(finished, Arc::clone(&sandbox));
    let ends = connection.ended_signal();
    tokio::spawn(async move {
        tokio::select! {
            () = keeper => {}
            _ = ends => {}
        }
    });
    Ok(Launched { sandbox, connection, pages, downloads, engine, workspace, rules })
}

/// Downloads of the default context go to the session's folder, or nowhere if its policy says so. A client's override ends with the client, and this with it, so it
/// is said again then.
pub(crate) async fn allow_downloads(
    connection: &Connection,
    workspace: &str,
    rules: &BrowserRules,
) -> Result<(), CallError> {
    let workspace = workspace.trim_end_matches('/');
    let behavior = if rules.downloads { "allowAndName" } else { "deny" };
    let params = json!({ "behavior": behavior, "downloadPath": format!("{workspace}/{DOWNLOADS}"), "eventsEnabled": true });
    connection.call(None, "Browser.setDownloadBehavior", params, LIMIT).await.map(|_| ())
}
