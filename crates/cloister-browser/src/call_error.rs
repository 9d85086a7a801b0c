//! Why a call of ours to the browser gave no answer.

use cloister_core::browser::BrowserError;
use std::time::Duration;

/// Why a call gave no answer. Every call ends: with an answer or with one of these.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The browser has ended, or the CDP session was detached.
    #[error("the browser is gone: {0}")]
    Gone(String),
    /// It did not answer in time. It may still do what was asked.
    #[error("{method} did not finish within {limit:?}")]
    Deadline {
        /// Which call.
        method: String,
        /// How long it had.
        limit: Duration,
    },
    /// The browser answered with an error.
    #[error("{method}: {message} ({code})")]
    Refused {
        /// Which call.
        method: String,
        /// JSON-RPC's code.
        code: i64,
        /// The browser's words.
        message: String,
    },
    /// The renderer of the call's page has crashed. `Page.navigate` revives it.
    #[error("the page has crashed; navigate to revive it")]
    Crashed,
    /// The answer is not what the protocol's types say: the browser is newer or older than they are.
    #[error("the answer to {method} cannot be read: {what}")]
    Unreadable {
        /// Which call.
        method: String,
        /// What does not fit.
        what: String,
    },
}

impl From<CallError> for BrowserError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Gone(reason) => Self::Gone(reason),
            CallError::Deadline { method, limit } => Self::Deadline { what: method, limit },
            CallError::Refused { .. } | CallError::Crashed | CallError::Unreadable { .. } => {
                Self::Protocol(error.to_string())
            }
        }
    }
}
