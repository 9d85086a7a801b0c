//! Runs steps in order, each within what is left of the time, and stops at the first that fails.

use super::desk::Tabs;
use super::trouble::{Outcome, Trouble, crashed, failed};
use super::{
    capture, click, console, cookies, dialogs, downloads, evaluate, extract, history, navigate, network, pdf,
    press, rescue, scroll, select, snapshot, tabs, typing, upload, wait, world,
};
use crate::call_error::CallError;
use crate::tab::Tab;
use cloister_core::browser::BrowserError;
use cloister_core::browser::page::{Given, Performed, Step, StepError};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// A call gets at least this long, so that the last moment of a step is not spent on a call that cannot end.
const LEAST: Duration = Duration::from_millis(50);

/// One step at work.
pub(super) struct Run<'a> {
    /// All tabs.
    pub(super) tabs: &'a Tabs,
    /// The current one when the step began.
    pub(super) tab: Arc<Tab>,
    /// When the whole request ends.
    pub(super) deadline: Instant,
}

impl Run<'_> {
    /// What is left of the time.
    pub(super) fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now()).max(LEAST)
    }

    /// Waits for input events, within what is left.
    pub(super) async fn act<T>(&self, action: impl Future<Output = Result<T, CallError>>) -> Outcome<T> {
        let left = self.left();
        let late = || CallError::Deadline { method: "Input".to_owned(), limit: left };
        Ok(tokio::time::timeout(left, action).await.unwrap_or_else(|_| Err(late()))?)
    }

    /// What is left, but at most this.
    pub(super) fn at_most(&self, limit: Duration) -> Duration {
        self.left().min(limit)
    }
}

/// See [`cloister_core::browser::Browser::perform`].
pub(crate) async fn perform(
    tabs: &Tabs,
    steps: Vec<Step>,
    timeout: Duration,
) -> Result<Vec<Performed>, BrowserError> {
    let deadline = Instant::now() + timeout;
    let Ok(_turn) = timeout_at(deadline, tabs.turn()).await else {
        return Err(BrowserError::Deadline {
            what: "the steps of an earlier request".to_owned(),
            limit: timeout,
        });
    };
    let _answering = tabs.dialogs().while_steps_run();
    tabs.answer_open_dialogs().await;
    let mut performed = Vec::new();
    for step in steps {
        let began = Instant::now();
        let name = name(&step);
        let result = match one(tabs, step, deadline).await {
            Ok(given) => Ok(given),
            Err(Trouble::Step(error)) => Err(error),
            Err(Trouble::Gone(reason)) => match tabs.ended().await {
                Some(reason) => return Err(BrowserError::Gone(reason)),
                None => {
                    Err(StepError { code: "page_error", message: format!("the tab was closed ({reason})") })
                }
            },
        };
        let url = tabs.current().map(|tab| tab.url()).unwrap_or_default();
        let failed = result.is_err();
        performed.push(Performed { name, took: began.elapsed(), url, result });
        if failed {
            break;
        }
    }
    Ok(performed)
}

async fn one(tabs: &Tabs, step: Step, deadline: Instant) -> Outcome<Given> {
    if Instant::now() >= deadline {
        return Err(failed(
            "timeout",
            "the time of the request was over before this step began; give it more",
        ));
    }
    tabs.access().permits_step(&step).map_err(|message| failed("denied", message))?;
    let tab = tabs.current().map_err(Trouble::Step)?;
    let run = Run { tabs, tab, deadline };
    if run.tab.state.borrow().crashed && reads_or_writes_the_page(&step) {
        return Err(crashed());
    }
    let result = dispatch(&run, step).await;
    let crashed_now = run.tab.state.borrow().crashed;
    match result {
        Err(Trouble::Step(error)) if crashed_now && error.code != "crashed" => Err(crashed()),
        Err(Trouble::Step(error)) if error.code == "timeout" => {
            Err(Trouble::Step(rescue::free(&run.tab, error).await))
        }
        other => {
            if !crashed_now && other.is_ok() {
                world::release(&run.tab).await;
            }
            other
        }
    }
}

async fn dispatch(run: &Run<'_>, step: Step) -> Outcome<Given> {
    match step {
        Step::Navigate { url, wait } => navigate::navigate(run, &url, wait).await,
        Step::Back => history::step(run, -1).await,
        Step::Forward => history::step(run, 1).await,
        Step::Reload => history::reload(run).await,
        Step::Click { selector, button, count } => click::click(run, &selector, button, count).await,
        Step::Hover { selector } => click::hover(run, &selector).await,
        Step::Type { selector, text, clear, submit } => {
            let how = typing::How { replace: clear, submit };
            typing::text(run, selector.as_ref(), &text, how).await
        }
        Step::Press { key } => press::press(run, &key).await,
        Step::Select { selector, values } => select::select(run, &selector, &values).await,
        Step::Scroll { selector, x, y } => scroll::scroll(run, selector.as_ref(), x, y).await,
        Step::Wait { until } => wait::wait(run, until).await,
        Step::Extract { selector, what } => extract::extract(run, selector.as_ref(), what).await,
        Step::Snapshot => snapshot::snapshot(run).await,
        Step::Evaluate { expression } => evaluate::evaluate(run, &expression).await,
        Step::Screenshot { selector, full_page, format, path } => {
            let area = match selector {
                Some(selector) => capture::Area::Element(selector),
                None if full_page => capture::Area::Page,
                None => capture::Area::Viewport,
            };
            capture::capture(run, area, format, path).await
        }
        Step::Pdf { path } => pdf::pdf(run, path).await,
        Step::Cookies { urls } => cookies::get(run, &urls).await,
        Step::SetCookies { cookies } => cookies::set(run, &cookies).await,
        Step::ClearCookies => cookies::clear(run).await,
        Step::Tabs => tabs::list(run).await,
        Step::OpenTab { url } => tabs::open(run, url).await,
        Step::SwitchTab { tab } => tabs::switch(run, &tab).await,
        Step::CloseTab { tab } => tabs::close(run, tab.as_deref()).await,
        Step::Upload { selector, paths } => upload::upload(run, &selector, &paths).await,
        Step::Dialogs { accept, text } => Ok(dialogs::rule(run, accept, text)),
        Step::Console => Ok(console::read(run)),
        Step::Network => Ok(network::read(run)),
        Step::Downloads => Ok(downloads::read(run)),
    }
}

/// Whether a step needs a live page. The others work on a crashed one, and some of them are the way out.
fn reads_or_writes_the_page(step: &Step) -> bool {
    !matches!(
        step,
        Step::Navigate { .. }
            | Step::Back
            | Step::Forward
            | Step::Reload
            | Step::Tabs
            | Step::OpenTab { .. }
            | Step::SwitchTab { .. }
            | Step::CloseTab { .. }
            | Step::Dialogs { .. }
            | Step::Console
            | Step::Network
            | Step::Downloads
            | Step::ClearCookies
    )
}

/// A step's name on the wire.
fn name(step: &Step) -> &'static str {
    match step {
        Step::Navigate { .. } => "navigate",
        Step::Back => "back",
        Step::Forward => "forward",
        Step::Reload => "reload",
        Step::Click { .. } => "click",
        Step::Type { .. } => "type",
        Step::Press { .. } => "press",
        Step::Select { .. } => "select",
        Step::Scroll { .. } => "scroll",
        Step::Hover { .. } => "hover",
        Step::Wait { .. } => "wait",
        Step::Extract { .. } => "extract",
        Step::Snapshot => "snapshot",
        Step::Evaluate { .. } => "evaluate",
        Step::Screenshot { .. } => "screenshot",
        Step::Pdf { .. } => "pdf",
        Step::Cookies { .. } => "cookies",
        Step::SetCookies { .. } => "setCookies",
        Step::ClearCookies => "clearCookies",
        Step::Tabs => "tabs",
        Step::OpenTab { .. } => "openTab",
        Step::SwitchTab { .. } => "switchTab",
        Step::CloseTab { .. } => "closeTab",
        Step::Upload { .. } => "upload",
        Step::Dialogs { .. } => "dialogs",
        Step::Console => "console",
        Step::Network => "network",
        Step::Downloads => "downloads",
    }
}
