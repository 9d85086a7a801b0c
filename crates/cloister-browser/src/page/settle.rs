//! What a click or a key has set off: a navigation, a new tab, a download. Waited for, so that the next step finds it.

use super::run::Run;
use cloister_core::browser::page::Given;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// A navigation that takes longer is left to a wait step.
const ARRIVAL: Duration = Duration::from_secs(15);
/// How long a page may take to begin what a click sets off.
const REACTION: Duration = Duration::from_millis(40);

/// How things were before.
pub(super) struct Before {
    commits: u64,
    tabs: Vec<String>,
    downloads: u64,
}

/// Looks before acting.
pub(super) fn before(run: &Run<'_>) -> Before {
    Before {
        commits: run.tab.state.borrow().commits,
        tabs: run.tabs.all().iter().map(|tab| tab.id.clone()).collect(),
        downloads: run.tabs.log().downloads_begun(),
    }
}

/// Waits for what has been set off, and tells.
pub(super) async fn after(run: &Run<'_>, before: Before) -> Given {
    let mut state = run.tab.state.subscribe();
    let begins = state.wait_for(|state| state.leaving || state.commits != before.commits || state.closed);
    let began = timeout(run.at_most(REACTION), begins).await.is_ok();
    if began {
        let arrives = state
            .wait_for(|state| state.closed || state.crashed || (!state.leaving && state.document.parsed));
        let _ = timeout(run.at_most(ARRIVAL), arrives).await;
    }
    let mut told = Map::new();
    let now = run.tab.state.borrow().clone();
    if now.commits != before.commits {
        told.insert("url".to_owned(), Value::from(now.document.url.clone()));
        if now.response.loader == now.document.loader && now.response.status != 0 {
            told.insert("status".to_owned(), json!(now.response.status));
        }
    }
    let opened: Vec<_> = run.tabs.all().into_iter().filter(|tab| !before.tabs.contains(&tab.id)).collect();
    if let Some(tab) = opened.last() {
        let tab = Arc::clone(tab);
        let mut state = tab.state.subscribe();
        let loads = state.wait_for(|state| state.closed || (state.document.parsed && !state.leaving));
        let _ = timeout(run.at_most(ARRIVAL), loads).await;
        told.insert("openedTab".to_owned(), json!({"tab": tab.id, "url": tab.url()}));
    }
    if run.tabs.log().downloads_begun() != before.downloads {
        // A small one is complete a moment later, with its path.
        sleep(run.at_most(REACTION)).await;
        if let Some(download) = run.tabs.log().newest_download(&run.tab.target) {
            told.insert("download".to_owned(), json!(download));
        }
    }
    if told.is_empty() { Given::Done } else { Given::Json(Value::Object(told)) }
}
