//! List, open, switch and close tabs.

use super::run::Run;
use super::trouble::{Outcome, Trouble, failed};
use super::{navigate, run};
use crate::tab::Tab;
use cloister_core::browser::page::{Given, LoadState};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How long a page may think about being closed.
const CLOSING: Duration = Duration::from_secs(3);

/// Every tab, oldest first.
pub(super) async fn list(run: &Run<'_>) -> Outcome<Given> {
    let current = run.tabs.current().map_err(Trouble::Step)?;
    let targets = run.tabs.browser("Target.getTargets", json!({})).await?;
    let mut told = Vec::new();
    for tab in run.tabs.all() {
        let infos = targets.get("targetInfos").and_then(Value::as_array).into_iter().flatten();
        let info =
            infos.into_iter().find(|info| info.get("targetId").and_then(Value::as_str) == Some(&tab.target));
        let title = info.and_then(|info| info.get("title")).and_then(Value::as_str).unwrap_or_default();
        let state = tab.state.borrow();
        told.push(json!({"tab": tab.id, "url": state.document.url, "title": title, "current": tab.id == current.id,
            "openedBy": tab.opener, "crashed": state.crashed, "dialog": state.dialog.as_ref().map(|dialog| &dialog.kind)}));
    }
    Ok(Given::Json(Value::Array(told)))
}

/// A new tab in front; its URL loads as by a navigate step.
pub(super) async fn open(run: &Run<'_>, url: Option<String>) -> Outcome<Given> {
    if let Some(url) = &url {
        navigate::check(url)?;
    }
    let tab = run.tabs.create("about:blank").await?;
    let id = tab.id.clone();
    let inner = run::Run { tabs: run.tabs, tab, deadline: run.deadline };
    let met = match url {
        Some(url) => navigate::navigate(&inner, &url, LoadState::Load).await?,
        None => navigate::met(&inner).await,
    };
    Ok(match met {
        Given::Json(mut told) => {
            told["tab"] = id.into();
            Given::Json(told)
        }
        other => other,
    })
}

fn find(run: &Run<'_>, name: &str) -> Outcome<Arc<Tab>> {
    let all = run.tabs.all();
    let found = all.iter().find(|tab| tab.id == name || tab.target == name).cloned();
    found.ok_or_else(|| {
        let names: Vec<_> = all.iter().map(|tab| tab.id.as_str()).collect();
        failed("not_found", format!("there is no tab {name:?}; there are {}", names.join(", ")))
    })
}

/// Another tab comes to the front.
pub(super) async fn switch(run: &Run<'_>, name: &str) -> Outcome<Given> {
    let tab = find(run, name)?;
    run.tabs.bring(&tab);
    run.tabs.browser("Target.activateTarget", json!({"targetId": tab.target})).await?;
    Ok(Given::Json(json!({"tab": tab.id, "url": tab.url()})))
}

/// Closes a tab. The last one is replaced by an empty one, since a session without a page is of no use.
pub(super) async fn close(run: &Run<'_>, name: Option<&str>) -> Outcome<Given> {
    let tab = match name {
        Some(name) => find(run, name)?,
        None => Arc::clone(&run.tab),
    };
    if run.tabs.all().len() == 1 {
        run.tabs.create("about:blank").await?;
    }
    run.tabs.browser("Target.closeTarget", json!({"targetId": tab.target})).await?;
    let mut state = tab.state.subscribe();
    let closed = state.wait_for(|state| state.closed);
    if timeout(run.at_most(CLOSING), closed).await.is_err() {
        return Err(failed("timeout", format!("the tab {} did not close in time", tab.id)));
    }
    let current = run.tabs.current().map_err(Trouble::Step)?;
    Ok(Given::Json(json!({"tab": current.id, "url": current.url()})))
}
