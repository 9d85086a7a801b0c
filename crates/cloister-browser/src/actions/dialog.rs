//! Actions while a JavaScript dialog is open: the keyboard answers it, and everything else says what is in the way.
//!
//! The page's main thread waits for the dialog, so that it neither paints nor takes events; the browser process answers all the same.

use super::{EVENT, Refusal};
use crate::call_error::CallError;
use crate::tab::{Dialog, Tab};
use cloister_core::browser::Action;
use serde_json::json;

/// What a key does to a dialog.
enum Answer {
    Accept,
    Dismiss,
}

/// Acts on the dialog.
pub(super) async fn act(tab: &Tab, open: &Dialog, action: &Action) -> Result<(), Refusal> {
    match action {
        Action::KeyType { text } => return write(tab, open, text).await,
        Action::KeyPress { key, .. } => {
            if let Some(answer) = answer(key) {
                return close(tab, open, &answer).await;
            }
            if open.kind == "prompt" && key.chars().count() == 1 {
                return write(tab, open, key).await;
            }
        }
        Action::KeyShortcut { keys } => {
            if let [key] = keys.as_slice()
                && let Some(answer) = answer(key)
            {
                return close(tab, open, &answer).await;
            }
        }
        _ => {}
    }
    Err(in_the_way(open))
}

fn answer(key: &str) -> Option<Answer> {
    match super::keys::find(key)?.key.as_str() {
        "Enter" | " " => Some(Answer::Accept),
        "Escape" => Some(Answer::Dismiss),
        _ => None,
    }
}

/// Text for a prompt waits until Enter; a line end at its end is Enter.
async fn write(tab: &Tab, open: &Dialog, text: &str) -> Result<(), Refusal> {
    if open.kind != "prompt" {
        if matches!(text, "\n" | "\r\n" | "\r") {
            return close(tab, open, &Answer::Accept).await;
        }
        return Err(in_the_way(open));
    }
    let typed = text.trim_end_matches(['\n', '\r']);
    tab.input_for_prompt().push_str(typed);
    if typed.len() < text.len() {
        return close(tab, open, &Answer::Accept).await;
    }
    Ok(())
}

async fn close(tab: &Tab, open: &Dialog, answer: &Answer) -> Result<(), Refusal> {
    let accept = matches!(answer, Answer::Accept);
    let mut params = json!({"accept": accept});
    if open.kind == "prompt" && accept {
        // A prompt opens with its proposal selected: typing replaces it.
        let typed = std::mem::take(&mut *tab.input_for_prompt());
        params["promptText"] = if typed.is_empty() { open.proposal.clone() } else { typed }.into();
    }
    match tab.call("Page.handleJavaScriptDialog", params, EVENT).await {
        Ok(_) => {}
        // Somebody else has answered it in the meantime, which is as good.
        Err(CallError::Refused { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let mut state = tab.state.subscribe();
    let gone = state.wait_for(|state| state.dialog.as_ref() != Some(open));
    let _ = tokio::time::timeout(EVENT, gone).await;
    Ok(())
}

fn in_the_way(open: &Dialog) -> Refusal {
    let Dialog { kind, message, .. } = open;
    let shown: String = message.chars().take(300).collect();
    let text = if kind == "prompt" { ", type text for it" } else { "" };
    Refusal::Failed(format!(
        "a JavaScript {kind} dialog is open and says {shown:?}: press enter to accept it, escape to dismiss it{text}"
    ))
}
