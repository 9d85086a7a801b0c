//! Wait for something.

use super::locate::{Need, locate, look, state, words};
use super::navigate::settled;
use super::run::Run;
use super::trouble::{Outcome, failed};
use super::world::{On, attempt};
use cloister_core::browser::page::{Given, Selector, WaitFor};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

const TEXT: &str = include_str!("js/text.js");
/// Between looks.
const PAUSE: Duration = Duration::from_millis(100);

/// The step.
pub(super) async fn wait(run: &Run<'_>, until: WaitFor) -> Outcome<Given> {
    match until {
        WaitFor::Selector(selector) => {
            locate(run, &selector, Need::Visible).await?;
        }
        WaitFor::Hidden(selector) => hidden(run, &selector).await?,
        WaitFor::Text(text) => shown(run, &text).await?,
        WaitFor::Url(part) => url(run, &part).await?,
        WaitFor::Load(state) => settled(run, state).await?,
        WaitFor::Time(time) => {
            if Instant::now() + time > run.deadline {
                return Err(failed(
                    "invalid",
                    format!("{time:?} is more than what is left of the request's time"),
                ));
            }
            sleep(time).await;
        }
    }
    Ok(Given::Done)
}

async fn hidden(run: &Run<'_>, selector: &Selector) -> Outcome<()> {
    loop {
        // A reference of an element that is gone is what is waited for.
        let found = match look(run, selector).await {
            Err(super::trouble::Trouble::Step(error)) if error.code == "not_found" => None,
            other => other?,
        };
        let Some(handle) = found else { return Ok(()) };
        match state(run, &handle, false).await? {
            Some(state) if state.visible => {}
            _ => return Ok(()),
        }
        pause(run, || format!("what matches {} is still visible", words(selector))).await?;
    }
}

async fn shown(run: &Run<'_>, wanted: &str) -> Outcome<()> {
    let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    let needle = plain(wanted);
    loop {
        let text = attempt(&run.tab, On::Page, TEXT, &[json!(true)], run.left()).await?;
        if text.as_ref().and_then(Value::as_str).is_some_and(|text| plain(text).contains(&needle)) {
            return Ok(());
        }
        pause(run, || format!("the text {wanted:?} did not appear")).await?;
    }
}

async fn url(run: &Run<'_>, part: &str) -> Outcome<()> {
    let mut state = run.tab.state.subscribe();
    let there = state.wait_for(|state| state.closed || state.crashed || state.document.url.contains(part));
    match timeout_at(run.deadline, there).await {
        Ok(_) => Ok(()),
        Err(_) => {
            Err(failed("timeout", format!("the URL is {} and does not contain {part:?}", run.tab.url())))
        }
    }
}

async fn pause(run: &Run<'_>, late: impl FnOnce() -> String) -> Outcome<()> {
    if Instant::now() + PAUSE >= run.deadline {
        return Err(failed("timeout", late()));
    }
    sleep(PAUSE).await;
    Ok(())
}
