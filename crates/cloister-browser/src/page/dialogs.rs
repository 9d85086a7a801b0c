//! What JavaScript dialogs get: the rule while steps run. At other times they stay open, for an action, a person or a CDP client.

use super::run::Run;
use crate::call_error::CallError;
use crate::tab::{Dialog, Tab};
use cloister_core::browser::page::Given;
use cloister_core::lock::lock;
use serde_json::json;
use std::sync::Mutex;
use std::time::Duration;

/// A dialog is answered by the browser process, which the page cannot hold up.
const ANSWER: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
struct Rule {
    accept: bool,
    text: Option<String>,
    steps: usize,
}

/// The rule of one session.
#[derive(Debug, Default)]
pub(crate) struct Dialogs {
    rule: Mutex<Rule>,
}

/// While this lives, dialogs are answered by the rule.
pub(super) struct Answering<'a> {
    dialogs: &'a Dialogs,
}

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        lock(&self.dialogs.rule).steps -= 1;
    }
}

impl Dialogs {
    /// Dialogs are answered until the guard goes.
    pub(super) fn while_steps_run(&self) -> Answering<'_> {
        lock(&self.rule).steps += 1;
        Answering { dialogs: self }
    }

    /// Whether a dialog that opens now is answered at once.
    pub(super) fn answers_now(&self) -> bool {
        lock(&self.rule).steps > 0
    }

    /// What the rule does with a dialog: accept or not, and the text for a prompt.
    pub(crate) fn answer(&self, dialog: &Dialog) -> (bool, Option<String>) {
        let rule = lock(&self.rule);
        // Who navigates has decided to leave.
        let accept = rule.accept || dialog.kind == "beforeunload";
        let text = rule.text.clone().unwrap_or_else(|| dialog.proposal.clone());
        (accept, (accept && dialog.kind == "prompt").then_some(text))
    }
}

/// Answers the dialog of a tab by the rule. Somebody else may have been faster, which is as good.
pub(super) async fn answer(tab: &Tab, dialogs: &Dialogs, open: &Dialog) {
    let (accept, text) = dialogs.answer(open);
    let mut params = json!({"accept": accept});
    if let Some(text) = text {
        params["promptText"] = text.into();
    }
    if let Err(error @ (CallError::Deadline { .. } | CallError::Unreadable { .. })) =
        tab.call("Page.handleJavaScriptDialog", params, ANSWER).await
    {
        tracing::warn!(tab = tab.id, %error, "a dialog was not answered");
    }
}

/// The step that sets the rule.
pub(super) fn rule(run: &Run<'_>, accept: bool, text: Option<String>) -> Given {
    let mut rule = lock(&run.tabs.dialogs().rule);
    rule.accept = accept;
    rule.text = text;
    Given::Done
}
