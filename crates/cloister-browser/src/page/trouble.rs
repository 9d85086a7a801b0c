//! From a failed call to the failure of a step: a code for programs and a sentence for whoever reads it.

use crate::call_error::CallError;
use cloister_core::browser::page::StepError;

/// Why a step stopped.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The step failed; the session lives.
    Step(StepError),
    /// The browser is gone, and the session with it.
    Gone(String),
}

/// What a part of a step gives.
pub(super) type Outcome<T> = Result<T, Trouble>;

/// A step's failure.
pub(super) fn failed(code: &'static str, message: impl Into<String>) -> Trouble {
    Trouble::Step(StepError { code, message: message.into() })
}

/// What a crashed page says.
pub(super) fn crashed() -> Trouble {
    failed("crashed", "the page has crashed or was out of memory; navigate to a URL, which makes a new one")
}

impl From<CallError> for Trouble {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Gone(reason) => Self::Gone(reason),
            CallError::Deadline { limit, .. } => {
                failed("timeout", format!("the page did not answer within {} ms", limit.as_millis()))
            }
            CallError::Crashed => crashed(),
            CallError::Refused { ref message, .. } if is_between_documents(&error) => {
                failed("page_error", format!("the page went elsewhere meanwhile ({message}); try again"))
            }
            CallError::Refused { .. } | CallError::Unreadable { .. } => {
                failed("page_error", error.to_string())
            }
        }
    }
}

/// Whether a call failed because its document has been replaced: what looks for something looks again.
pub(super) fn is_between_documents(error: &CallError) -> bool {
    const WORDS: [&str; 8] = [
        "Cannot find context",
        "context was destroyed",
        "navigated or closed",
        "No frame for given id",
        "Frame with the given id was not found",
        "Could not find object",
        "Cannot find execution context",
        "Node with given id does not belong",
    ];
    matches!(error, CallError::Refused { message, .. } if WORDS.iter().any(|words| message.contains(words)))
}
