//! Frees a page whose script never ends.
//!
//! ```text
//!   a step ran out of time ──▶ does the page answer? ──yes──▶ the failure stays as it is
//!                                     │ no
//!                                     └──▶ Runtime.terminateExecution from the watchdog session ──▶ answers again?
//! ```
//!
//! The main session's queue is behind the stuck script; ending a script is the one thing that another session can do meanwhile.

use crate::call_error::CallError;
use crate::tab::Tab;
use cloister_core::browser::page::StepError;
use serde_json::json;
use std::time::Duration;

/// A page that has not answered for so long is held by a script.
const PATIENCE: Duration = Duration::from_millis(250);
/// How often a script is ended: a page may have timers that each hang again.
const ATTEMPTS: usize = 5;
/// All of it together. The session ends seconds after a deadline that was not kept, and a page that prints itself on ten thousand sheets,
/// which no call can stop, is no reason for that.
const LONGEST: Duration = Duration::from_secs(3);

/// Says in the failure what was done about a stuck page.
pub(crate) async fn free(tab: &Tab, mut error: StepError) -> StepError {
    match unstick(tab).await {
        Page::Answers => {}
        Page::Freed => error.message.push_str(
            ": a script of the page held it without end; the script was stopped, and the page can be used again",
        ),
        Page::Crashed => {
            error.code = "crashed";
            error.message = "the page has crashed or was out of memory; navigate to a URL, which makes a new one".into();
        }
        Page::Stuck => error.message.push_str(
            ": the page is held by a script that starts again whenever it is stopped, or by work that nothing stops, like printing; navigate to another site or close the tab",
        ),
    }
    error
}

/// What became of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Page {
    /// Nothing held it.
    Answers,
    /// A script did, and was stopped.
    Freed,
    /// It has crashed.
    Crashed,
    /// Scripts hang again and again.
    Stuck,
}

/// Sees whether the page answers, and ends the scripts that keep it from that.
pub(super) async fn unstick(tab: &Tab) -> Page {
    tokio::time::timeout(LONGEST, attempts(tab)).await.unwrap_or(Page::Stuck)
}

async fn attempts(tab: &Tab) -> Page {
    if let Some(answer) = probe(tab, PATIENCE).await {
        return answer;
    }
    for _ in 0..ATTEMPTS {
        let end =
            tab.connection.call(Some(&tab.watchdog), "Runtime.terminateExecution", json!({}), PATIENCE * 4);
        match end.await {
            Err(CallError::Crashed) => return Page::Crashed,
            Err(CallError::Gone(_)) => return Page::Stuck,
            Ok(_) | Err(_) => {}
        }
        match probe(tab, PATIENCE * 2).await {
            Some(Page::Answers) => return Page::Freed,
            Some(other) => return other,
            None => {}
        }
    }
    Page::Stuck
}

/// `None` if it does not answer. The answer needs the main thread and nothing else.
async fn probe(tab: &Tab, limit: Duration) -> Option<Page> {
    match tab.call("Runtime.evaluate", json!({"expression": "0", "silent": true}), limit).await {
        Err(CallError::Deadline { .. }) => None,
        Err(CallError::Crashed) => Some(Page::Crashed),
        Err(CallError::Gone(_)) => Some(Page::Stuck),
        // The termination may end this very evaluation, which is an answer too.
        Ok(_) | Err(_) => Some(Page::Answers),
    }
}
