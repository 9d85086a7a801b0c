//! Back, forward, and load again.

use super::navigate::{met, net_error};
use super::run::Run;
use super::trouble::{Outcome, failed};
use cloister_core::browser::page::Given;
use serde_json::{Value, json};
use tokio::time::timeout_at;

/// One entry back (-1) or forward (1).
pub(super) async fn step(run: &Run<'_>, by: i64) -> Outcome<Given> {
    let history = run.tab.call("Page.getNavigationHistory", json!({}), run.left()).await?;
    let at = history.get("currentIndex").and_then(Value::as_i64).unwrap_or_default() + by;
    let entry = usize::try_from(at).ok().and_then(|at| history.pointer(&format!("/entries/{at}")));
    let Some(id) = entry.and_then(|entry| entry.get("id")).and_then(Value::as_i64) else {
        let (end, way) = if by < 0 { ("first", "back") } else { ("last", "forward") };
        return Err(failed("invalid", format!("this is the tab's {end} page: there is none to go {way} to")));
    };
    go(run, "Page.navigateToHistoryEntry", json!({"entryId": id})).await
}

/// Load again.
pub(super) async fn reload(run: &Run<'_>) -> Outcome<Given> {
    go(run, "Page.reload", json!({})).await
}

async fn go(run: &Run<'_>, method: &str, params: Value) -> Outcome<Given> {
    let (before, crashes) = {
        let state = run.tab.state.borrow();
        (state.commits, state.crashes)
    };
    run.tab.call(method, params, run.left()).await?;
    let mut state = run.tab.state.subscribe();
    let there = state.wait_for(|state| {
        state.crashes != crashes
            || state.closed
            || (state.commits != before && !state.leaving && state.document.loaded)
    });
    if timeout_at(run.deadline, there).await.is_err() {
        return Err(failed(
            "timeout",
            "the page did not load in time; read it, or wait for what is needed of it",
        ));
    }
    if run.tab.url().starts_with("chrome-error:") {
        return Err(net_error(&run.tab.url(), "net::ERR_FAILED"));
    }
    Ok(met(run).await)
}
