//! What a click or a key has set off: a navigation, a new tab, a download. Waited for, so that the next step finds it.

use super::downloads;
use super::run::Run;
use crate::tab::Tab;
use cloister_core::browser::page::Given;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// A navigation that takes longer is left to a wait step.
const ARRIVAL: Duration = Duration::from_secs(15);
/// How long a page may take to begin what a click sets off.
const REACTION: Duration = Duration::from_millis(60);
/// How long the browser may take until a window or a download that was asked for is there.
const APPEARANCE: Duration = Duration::from_secs(2);
/// How long after a navigation without a document its download may be told.
const DOWNLOAD: Duration = Duration::from_millis(300);
/// Between looks at a download.
const PAUSE: Duration = Duration::from_millis(10);

/// How things were before.
pub(super) struct Before {
    commits: u64,
    tabs: Vec<String>,
    downloads: u64,
    windows: u64,
    asked: u64,
}

/// Looks before acting.
pub(super) fn before(run: &Run<'_>) -> Before {
    let state = run.tab.state.borrow();
    Before {
        commits: state.commits,
        tabs: run.tabs.all().iter().map(|tab| tab.id.clone()).collect(),
        downloads: run.tabs.log().downloads_begun(),
        windows: state.windows,
        asked: state.downloads,
    }
}

/// Waits for what has been set off, and tells.
pub(super) async fn after(run: &Run<'_>, before: Before) -> Given {
    let mut state = run.tab.state.subscribe();
    let begins = state.wait_for(|state| {
        let asked = state.windows != before.windows || state.downloads != before.asked;
        state.leaving || state.commits != before.commits || asked || state.closed
    });
    let _ = timeout(run.at_most(REACTION), begins).await;
    let left = run.tab.state.borrow().leaving;
    if left || run.tab.state.borrow().commits != before.commits {
        let arrives = state
            .wait_for(|state| state.closed || state.crashed || (!state.leaving && state.document.parsed));
        let _ = timeout(run.at_most(ARRIVAL), arrives).await;
    }
    if left && run.tab.state.borrow().commits == before.commits {
        // It led to no document: a download is told a moment after that.
        let told = state.wait_for(|state| state.downloads != before.asked || state.leaving);
        let _ = timeout(run.at_most(DOWNLOAD), told).await;
    }
    let now = run.tab.state.borrow().clone();
    let mut told = Map::new();
    if now.commits != before.commits {
        told.insert("url".to_owned(), Value::from(now.document.url.clone()));
        if now.response.loader == now.document.loader && now.response.status != 0 {
            told.insert("status".to_owned(), json!(now.response.status));
        }
    }
    if let Some(tab) = opened(run, &before, now.windows != before.windows).await {
        told.insert("openedTab".to_owned(), json!({"tab": tab.id, "url": tab.url()}));
    }
    if now.downloads != before.asked {
        told.insert("download".to_owned(), download(run, &before).await);
    }
    if told.is_empty() { Given::Done } else { Given::Json(Value::Object(told)) }
}

/// The newest tab since then, loaded; waited for if the page has asked for one.
async fn opened(run: &Run<'_>, before: &Before, asked: bool) -> Option<Arc<Tab>> {
    let mut changes = run.tabs.changes();
    let ours = |tab: &Arc<Tab>| !before.tabs.contains(&tab.id) && tab.opener.as_ref() == Some(&run.tab.id);
    let newest = || run.tabs.all().into_iter().rfind(ours);
    if asked {
        // Chromium may have refused the window, so that it never comes.
        let comes = async { while newest().is_none() && changes.changed().await.is_ok() {} };
        let _ = timeout(run.at_most(APPEARANCE), comes).await;
    }
    let tab = newest()?;
    run.tabs.bring(&tab);
    let mut state = tab.state.subscribe();
    let loads = state.wait_for(|state| state.closed || (state.document.parsed && !state.leaving));
    let _ = timeout(run.at_most(ARRIVAL), loads).await;
    Some(tab)
}

/// What the log says of the download that has been asked for. A small one is complete a moment later, with its path.
async fn download(run: &Run<'_>, before: &Before) -> Value {
    let newest = || run.tabs.log().newest_download(&run.tab.target);
    let until = Instant::now() + run.at_most(APPEARANCE);
    while Instant::now() < until {
        let begun = run.tabs.log().downloads_begun() != before.downloads;
        if begun && newest().is_some_and(|download| download.state != "inProgress") {
            break;
        }
        sleep(PAUSE).await;
    }
    newest().map(|download| downloads::shown(run.tabs, &download)).unwrap_or_default()
}
