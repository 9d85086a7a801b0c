//! Go to a URL, and wait until it is there.

use super::run::Run;
use super::trouble::{Outcome, failed};
use crate::call_error::CallError;
use crate::tab::{State, Tab};
use cloister_core::browser::page::{Given, LoadState};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// No request for so long is idle.
const IDLE: Duration = Duration::from_millis(500);
/// All that is told of a crash has been told by then.
const AFTER_CRASH: Duration = Duration::from_millis(100);
/// A download begins at about the time when its navigation ends.
const DOWNLOAD: Duration = Duration::from_millis(300);

/// Refuses what a session may not open. The minimal root of the sandbox is behind this.
pub(super) fn check(url: &str) -> Outcome<()> {
    let lower = url.trim().to_ascii_lowercase();
    if lower == "about:blank" || lower.starts_with("data:") {
        return Ok(());
    }
    if let Some(rest) = lower.strip_prefix("http://").or_else(|| lower.strip_prefix("https://")) {
        return if rest.is_empty() || rest.starts_with(['/', '?', '#', ':']) {
            Err(failed("invalid", format!("{url:?} names no host")))
        } else {
            Ok(())
        };
    }
    match lower.split_once(':') {
        Some((scheme, _))
            if !scheme.is_empty()
                && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
                && !scheme.contains('.')
                && scheme != "localhost" =>
        {
            Err(failed(
                "denied",
                format!("{scheme}: URLs are not opened: http, https, data and about:blank are"),
            ))
        }
        _ => Err(failed("invalid", format!("{url:?} is no absolute URL: write https://{}", url.trim()))),
    }
}

/// The step.
pub(super) async fn navigate(run: &Run<'_>, url: &str, wait: LoadState) -> Outcome<Given> {
    check(url)?;
    let begun = run.tabs.log().downloads_begun();
    let (before, answer) = match set_off(run, url).await {
        // A crash is told more than once: a late word of the last one ends the call that is the way out of it.
        (_, Err(CallError::Crashed)) => {
            sleep(run.at_most(AFTER_CRASH)).await;
            set_off(run, url).await
        }
        other => other,
    };
    let answer = answer?;
    let loader = answer.get("loaderId").and_then(Value::as_str).map(str::to_owned);
    let error = answer.get("errorText").and_then(Value::as_str).filter(|text| !text.is_empty());
    let download = answer.get("isDownload").and_then(Value::as_bool).unwrap_or_default();
    if download || error == Some("net::ERR_ABORTED") {
        return aborted(run, url, begun).await;
    }
    if let Some(error) = error {
        return Err(net_error(url, error));
    }
    // Without a loader it was a jump within the document.
    if let Some(loader) = loader {
        arrive(run, &loader, wait, &before).await?;
    }
    Ok(met(run).await)
}

/// What a tab was when it was sent elsewhere.
struct Before {
    crashes: u64,
    commits: u64,
    loader: String,
}

/// Sends the tab to a URL. Gives what was there before that, and the answer.
async fn set_off(run: &Run<'_>, url: &str) -> (Before, Result<Value, CallError>) {
    let before = {
        let state = run.tab.state.borrow();
        let loader = state.document.loader.clone();
        Before { crashes: state.crashes, commits: state.commits, loader }
    };
    (before, run.tab.call("Page.navigate", json!({ "url": url.trim() }), run.left()).await)
}

/// A navigation that did not end in a document: a download, or an answer without a body.
async fn aborted(run: &Run<'_>, url: &str, begun: u64) -> Outcome<Given> {
    let until = (Instant::now() + DOWNLOAD).min(run.deadline);
    while Instant::now() < until && run.tabs.log().downloads_begun() == begun {
        sleep(Duration::from_millis(10)).await;
    }
    if run.tabs.log().downloads_begun() == begun {
        return Err(failed(
            "navigation_failed",
            format!(
                "{url} gave no page (net::ERR_ABORTED): it answered without content, or the page went elsewhere"
            ),
        ));
    }
    let finished = |run: &Run<'_>| {
        run.tabs.log().newest_download(&run.tab.target).filter(|download| download.state != "inProgress")
    };
    while finished(run).is_none() && Instant::now() + DOWNLOAD < run.deadline {
        sleep(Duration::from_millis(20)).await;
    }
    let download = run.tabs.log().newest_download(&run.tab.target);
    let download = download.map(|download| super::downloads::shown(run.tabs, &download));
    Ok(Given::Json(json!({"url": run.tab.url(), "download": download})))
}

/// A network error by its name, with what it means where that helps.
pub(super) fn net_error(url: &str, error: &str) -> super::trouble::Trouble {
    let hint = match error {
        "net::ERR_NAME_NOT_RESOLVED" => ": there is no host of this name",
        "net::ERR_CONNECTION_REFUSED" => ": nothing listens there",
        "net::ERR_TUNNEL_CONNECTION_FAILED" => {
            ": the session's network policy refuses this host, or it cannot be reached"
        }
        "net::ERR_PROXY_CONNECTION_FAILED" | "net::ERR_INTERNET_DISCONNECTED" => {
            ": the session has no network"
        }
        "net::ERR_TIMED_OUT" | "net::ERR_CONNECTION_TIMED_OUT" => ": the host did not answer",
        error if error.starts_with("net::ERR_CERT") => ": its certificate is not valid",
        _ => "",
    };
    failed("navigation_failed", format!("{url}: {error}{hint}"))
}

/// Waits until the document of a navigation has come as far as asked. A crash from before the navigation is none of this document.
async fn arrive(run: &Run<'_>, loader: &str, wait: LoadState, before: &Before) -> Outcome<()> {
    let mut state = run.tab.state.subscribe();
    let there = state.wait_for(|state| {
        state.crashes != before.crashes || state.closed || here(state, loader, wait, before)
    });
    match timeout_at(run.deadline, there).await {
        Ok(Ok(state)) if state.crashes != before.crashes => return Err(super::trouble::crashed()),
        Ok(_) => {}
        Err(_) => return Err(late(&run.tab, wait)),
    }
    if wait == LoadState::NetworkIdle { idle(run).await } else { Ok(()) }
}

/// Whether the navigation's document is there, or the one to which a script of it has sent the page on.
///
/// INVARIANT: the document from before is neither. The answer to Page.navigate may come before the events that tell of the new one.
fn here(state: &State, loader: &str, wait: LoadState, before: &Before) -> bool {
    let document = &state.document;
    // A page may also be sent on to where it came from, whose loader may then be the old one.
    let new = document.loader != before.loader || state.commits > before.commits + 1;
    let sent_on = new && !document.loader.is_empty() && !state.leaving && document.loaded;
    (document.loader == loader || sent_on) && reached(state, wait)
}

fn reached(state: &State, wait: LoadState) -> bool {
    match wait {
        LoadState::Commit => true,
        LoadState::DomContentLoaded => state.document.parsed,
        LoadState::Load | LoadState::NetworkIdle => state.document.loaded,
    }
}

fn late(tab: &Tab, wait: LoadState) -> super::trouble::Trouble {
    let state = tab.state.borrow();
    let now = if state.document.loaded {
        "it has loaded, and still makes requests"
    } else if state.document.parsed {
        "its document is there (DOMContentLoaded), and can be read and used"
    } else {
        "nothing of it can be used yet"
    };
    failed("timeout", format!("{} did not reach {wait:?} in time: {now}", state.document.url))
}

/// Waits for a load state of what is shown now.
pub(super) async fn settled(run: &Run<'_>, wait: LoadState) -> Outcome<()> {
    let mut state = run.tab.state.subscribe();
    let there =
        state.wait_for(|state| state.crashed || state.closed || (!state.leaving && reached(state, wait)));
    if timeout_at(run.deadline, there).await.is_err() {
        return Err(late(&run.tab, wait));
    }
    if wait == LoadState::NetworkIdle { idle(run).await } else { Ok(()) }
}

/// Waits until no request has been open for half a second.
async fn idle(run: &Run<'_>) -> Outcome<()> {
    loop {
        let (quiet, since) = {
            let state = run.tab.state.borrow();
            (state.open_requests.is_empty(), state.traffic)
        };
        let now = Instant::now();
        if quiet && now.saturating_duration_since(since) >= IDLE {
            return Ok(());
        }
        if now >= run.deadline {
            return Err(late(&run.tab, LoadState::NetworkIdle));
        }
        sleep(Duration::from_millis(50).min(run.left())).await;
    }
}

/// What a navigation met: URL, title, and the HTTP status where there is one.
pub(super) async fn met(run: &Run<'_>) -> Given {
    let state = run.tab.state.borrow().clone();
    let mut told = json!({"url": state.document.url});
    if state.response.loader == state.document.loader && state.response.status != 0 {
        told["status"] = json!(state.response.status);
        told["mimeType"] = json!(state.response.mime);
    }
    if let Ok(title) = title(&run.tab, run.at_most(Duration::from_millis(500))).await {
        told["title"] = Value::from(title);
    }
    Given::Json(told)
}

/// The document's title.
pub(super) async fn title(tab: &Tab, limit: Duration) -> Result<String, CallError> {
    let history = tab.call("Page.getNavigationHistory", json!({}), limit).await?;
    let at = history.get("currentIndex").and_then(Value::as_u64).unwrap_or_default();
    let title = history.pointer(&format!("/entries/{at}/title")).and_then(Value::as_str);
    Ok(title.unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::trouble::Trouble;
    use super::{Before, check, here};
    use crate::tab::{Document, State};
    use cloister_core::browser::page::LoadState;

    fn code(url: &str) -> &'static str {
        match check(url) {
            Ok(()) => "",
            Err(Trouble::Step(error)) => error.code,
            Err(Trouble::Gone(_)) => "gone",
        }
    }

    #[test]
    fn only_urls_of_the_web_and_data_are_opened() {
        for url in
            ["http://a.example", "HTTPS://a.example/x", "about:blank", "data:text/html,x", "http://[::1]:8/"]
        {
            assert_eq!(code(url), "", "{url}");
        }
        for url in [
            "file:///etc/passwd",
            "chrome://version",
            "view-source:http://a.example",
            "javascript:alert(1)",
            "devtools://x",
            "about:config",
            "blob:x",
            " file:///x",
            "ftp://a.example",
        ] {
            assert_eq!(code(url), "denied", "{url}");
        }
        for url in ["", "a.example", "a.example:80/x", "localhost:8080", "/path", "http://", "https:///x"] {
            assert_eq!(code(url), "invalid", "{url}");
        }
    }

    #[test]
    fn the_document_from_before_is_never_taken_for_the_one_that_was_asked_for() {
        let before = Before { crashes: 0, commits: 7, loader: "old".into() };
        let state = |loader: &str, commits| State {
            document: Document { loader: loader.into(), url: String::new(), parsed: true, loaded: true },
            commits,
            ..State::new(String::new())
        };
        let arrived = |state: &State| here(state, "new", LoadState::Load, &before);
        // The answer has come, and no event yet.
        assert!(!arrived(&state("old", 7)));
        assert!(!arrived(&State { leaving: true, ..state("old", 7) }));
        assert!(arrived(&state("new", 8)));
        // A script of the new document has sent the page on, or back.
        assert!(arrived(&state("next", 9)));
        assert!(arrived(&state("old", 9)));
        assert!(!arrived(&State { leaving: true, ..state("next", 9) }));
    }
}
