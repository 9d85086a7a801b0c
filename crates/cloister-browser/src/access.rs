//! What clients of a browser session may do by actions and steps, by its policy. CDP has the same line in `filter/`.
//!
//! A session that is read-only goes to pages and looks at them. It bounds whoever drives the browser: what a page does by itself when
//! it is opened, its scripts and its requests, is the page's own and is bounded by the network rules.

use crate::filter::allowed_to_readers;
use cloister_core::browser::Action;
use cloister_core::browser::page::Step;
use cloister_core::policy::BrowserRules;

/// How far clients may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everything that there is.
    Full,
    /// Go to pages and look at them.
    ReadOnly,
}

impl Access {
    /// As the policy says.
    pub(crate) fn of(rules: &BrowserRules) -> Self {
        if rules.read_only { Self::ReadOnly } else { Self::Full }
    }

    /// Whether an action may be done; an error is the sentence that the client hears.
    pub(crate) fn permits_action(self, action: &Action) -> Result<(), String> {
        match action {
            Action::Screenshot | Action::MouseScroll { .. } => Ok(()),
            Action::MouseClick { .. }
            | Action::MouseMove { .. }
            | Action::MouseDrag { .. }
            | Action::KeyType { .. }
            | Action::KeyPress { .. }
            | Action::KeyShortcut { .. } => self.full(action.name()),
        }
    }

    /// Whether a step may be done; an error is the sentence that the client hears.
    pub(crate) fn permits_step(self, step: &Step) -> Result<(), String> {
        match step {
            Step::Navigate { url, .. } | Step::OpenTab { url: Some(url) } if self == Self::ReadOnly => {
                allowed_to_readers(url)
            }
            Step::Navigate { .. }
            | Step::OpenTab { .. }
            | Step::Back
            | Step::Forward
            | Step::Reload
            | Step::Scroll { .. }
            | Step::Wait { .. }
            | Step::Extract { .. }
            | Step::Snapshot
            | Step::Screenshot { .. }
            | Step::Pdf { .. }
            | Step::Tabs
            | Step::SwitchTab { .. }
            | Step::CloseTab { .. }
            | Step::Console
            | Step::Network
            | Step::Downloads => Ok(()),
            Step::Click { .. }
            | Step::Type { .. }
            | Step::Press { .. }
            | Step::Select { .. }
            | Step::Hover { .. }
            | Step::Evaluate { .. }
            | Step::Cookies { .. }
            | Step::SetCookies { .. }
            | Step::ClearCookies
            | Step::Upload { .. }
            | Step::Dialogs { .. } => self.full(step.name()),
        }
    }

    fn full(self, what: &str) -> Result<(), String> {
        match self {
            Self::Full => Ok(()),
            Self::ReadOnly => Err(format!(
                "{what} is not for sessions that only look: their policy says browser.read_only = true; use a browser whose policy \
                 does not"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_core::browser::page::LoadState;

    fn goes(url: &str) -> bool {
        let step = Step::Navigate { url: url.into(), wait: LoadState::Load };
        Access::ReadOnly.permits_step(&step).is_ok() && Access::Full.permits_step(&step).is_ok()
    }

    #[test]
    fn who_may_only_look_goes_to_pages_and_does_nothing_there() {
        assert!(goes("https://example.com/") && !goes("data:text/html,<script>1</script>"));
        let click = Action::MouseClick { at: None, button: cloister_core::browser::Button::Left, count: 1 };
        for refused in [
            Access::ReadOnly.permits_action(&click),
            Access::ReadOnly.permits_step(&Step::Evaluate { expression: "1".into() }),
            Access::ReadOnly.permits_step(&Step::Press { key: "Enter".into() }),
            Access::ReadOnly.permits_step(&Step::ClearCookies),
        ] {
            assert!(refused.unwrap_err().contains("browser.read_only"));
        }
        assert!(Access::ReadOnly.permits_action(&Action::Screenshot).is_ok());
        assert!(Access::Full.permits_action(&click).is_ok());
    }
}
