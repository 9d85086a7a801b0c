//! The eight actions of InvokeBrowser: mouse, keyboard and a picture, by coordinates, on the page in front.
//!
//! ```text
//!   act ──▶ a dialog is open? ──yes──▶ dialog.rs   Enter accepts, Escape dismisses, text goes to a prompt
//!              │ no
//!              ├── click · move · drag · scroll ──▶ Input.dispatchMouseEvent
//!              ├── type ──▶ Input.insertText        press · shortcut ──▶ Input.dispatchKeyEvent (keys.rs)
//!              └── screenshot ──▶ Page.captureScreenshot
//! ```
//!
//! An event that opens a dialog is answered by Chromium only when the dialog has gone; it counts as done when the dialog is there.

mod click;
mod dialog;
mod drag;
pub(crate) mod keys;
mod pointer;
mod press;
mod screenshot;
mod scroll;
mod shortcut;
#[cfg(test)]
mod tests;
mod text;

pub(crate) use click::click;
pub(crate) use pointer::glide;
pub(crate) use shortcut::press_together;
pub(crate) use text::insert;

use crate::call_error::CallError;
use crate::page::{Tabs, rescue};
use crate::tab::Tab;
use cloister_core::browser::page::StepError;
use cloister_core::browser::{Action, ActionResult, BrowserError, Viewport};
use serde_json::Value;
use std::time::Duration;

/// How long one event may take until it is answered. A page that takes longer is stuck.
const EVENT: Duration = Duration::from_secs(5);
/// How long one whole action may take; 10,000 characters with line ends are the longest.
const ACTION: Duration = Duration::from_secs(30);

/// Why an action was not done.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The request is wrong.
    Invalid { field: &'static str, message: String },
    /// The page or the browser did not do it.
    Failed(String),
    /// The page did not answer in time.
    Late(String),
    /// The browser is gone.
    Gone(String),
}

impl From<CallError> for Refusal {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Gone(reason) => Self::Gone(reason),
            CallError::Deadline { limit, .. } => {
                Self::Late(format!("the page did not answer within {limit:?}"))
            }
            CallError::Crashed => {
                Self::Failed("the page has crashed; navigate to a URL to get a new one".to_owned())
            }
            CallError::Refused { message, .. } => Self::Failed(format!("the browser refused: {message}")),
            CallError::Unreadable { .. } => Self::Failed(error.to_string()),
        }
    }
}

/// Does one action on the tab in front. Always answers within a bounded time.
pub(crate) async fn act(tabs: &Tabs, action: Action) -> Result<ActionResult, BrowserError> {
    // Until the page has been seen to, the turn is this action's.
    let Ok(_turn) = tokio::time::timeout(ACTION, tabs.turn()).await else {
        let error = format!("the actions before this one have not finished within {ACTION:?}; try again");
        return Ok(ActionResult::Failed { error });
    };
    let tab = match tabs.current() {
        Ok(tab) => tab,
        Err(error) => return Ok(ActionResult::Failed { error: error.message }),
    };
    let done = async {
        check(&action, tabs.viewport())?;
        run(&tab, action).await
    };
    let refusal = match tokio::time::timeout(ACTION, done).await {
        Ok(Ok(data)) => return Ok(ActionResult::Success { data }),
        Ok(Err(refusal)) => refusal,
        Err(_) => Refusal::Late(format!("the action did not finish within {ACTION:?}")),
    };
    match refusal {
        Refusal::Failed(error) => Ok(ActionResult::Failed { error }),
        Refusal::Late(late) => Ok(ActionResult::Failed { error: free(&tab, late).await }),
        Refusal::Gone(reason) => Err(BrowserError::Gone(reason)),
        Refusal::Invalid { field, message } => {
            Err(BrowserError::Invalid { field: field.to_owned(), message })
        }
    }
}

/// Frees a page that a script holds, as after a step, and says what was done.
async fn free(tab: &Tab, late: String) -> String {
    let busy = StepError { code: "timeout", message: late };
    rescue::free(tab, busy).await.message
}

async fn run(tab: &Tab, action: Action) -> Result<Option<bytes::Bytes>, Refusal> {
    if let Some(open) = tab.dialog() {
        return dialog::act(tab, &open, &action).await.map(|()| None);
    }
    if tab.state.borrow().crashed {
        return Err(CallError::Crashed.into());
    }
    match action {
        Action::MouseClick { at, button, count } => click::click(tab, at, button, count).await?,
        Action::MouseMove { to } => pointer::glide(tab, to, None).await?,
        Action::MouseDrag { from, to, button } => drag::drag(tab, from, to, button).await?,
        Action::MouseScroll { at, delta_x, delta_y } => scroll::scroll(tab, at, delta_x, delta_y).await?,
        Action::KeyType { text } => text::keyboard(tab, &text).await?,
        Action::KeyPress { key, presses } => press::press(tab, &key, presses).await?,
        Action::KeyShortcut { keys } => shortcut::shortcut(tab, &keys).await?,
        Action::Screenshot => return screenshot::screenshot(tab).await.map(Some),
    }
    Ok(None)
}

/// Coordinates lie inside of the viewport.
fn check(action: &Action, viewport: Viewport) -> Result<(), Refusal> {
    let points: &[(&'static str, &'static str, (i32, i32))] = match action {
        Action::MouseClick { at: Some(at), .. } | Action::MouseScroll { at, .. } => &[("x", "y", *at)],
        Action::MouseMove { to } => &[("x", "y", *to)],
        Action::MouseDrag { from, to, .. } => &[("startX", "startY", *from), ("endX", "endY", *to)],
        _ => &[],
    };
    for (horizontal, vertical, (x, y)) in points {
        for (field, value, size) in [(*horizontal, *x, viewport.width), (*vertical, *y, viewport.height)] {
            if u32::try_from(value).is_ok_and(|value| value < size) {
                continue;
            }
            let message =
                format!("{field} is {value}, outside of the viewport: 0 to {} are inside", size - 1);
            return Err(Refusal::Invalid { field, message });
        }
    }
    Ok(())
}

/// Sends one input event. Done when the page has handled it, or when a dialog holds the page.
async fn send(tab: &Tab, method: &str, params: Value) -> Result<(), CallError> {
    tokio::select! {
        answer = tab.call(method, params, EVENT) => answer.map(|_| ()),
        () = tab.dialog_opens() => Ok(()),
    }
}

#[cfg(test)]
mod ranges {
    use super::{Refusal, check};
    use cloister_core::browser::{Action, Button, Viewport};

    #[test]
    fn a_point_outside_of_the_viewport_is_refused_with_the_name_of_its_field() {
        let viewport = Viewport { width: 800, height: 600 };
        let inside = Action::MouseMove { to: (799, 599) };
        assert!(check(&inside, viewport).is_ok());
        let drag = Action::MouseDrag { from: (0, 0), to: (10, 600), button: Button::Left };
        for (action, name) in [(Action::MouseMove { to: (800, 0) }, "x"), (drag, "endY")] {
            let Err(Refusal::Invalid { field, message }) = check(&action, viewport) else {
                panic!("{action:?}")
            };
            assert_eq!(field, name);
            assert!(message.contains("outside of the viewport"), "{message}");
        }
        let negative = Action::MouseClick { at: Some((-1, 5)), button: Button::Left, count: 1 };
        assert!(check(&negative, viewport).is_err());
        assert!(check(&Action::MouseClick { at: None, button: Button::Left, count: 1 }, viewport).is_ok());
    }
}
