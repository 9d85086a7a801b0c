//! Why a measurement cannot be taken.

use std::io;

/// A bench that fails says what it was doing; it never reports a number for it.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The host refused something.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The server answered with an error.
    #[error("{request} was answered with {status}: {body}")]
    Answer {
        /// Method and path.
        request: String,
        /// HTTP status.
        status: u16,
        /// Start of the body.
        body: String,
    },
    /// Something ran, and its result was not the one that every case must produce.
    #[error("{who} answered {said:?}, which does not hold {expected:?}")]
    WrongResult {
        /// The program or the server.
        who: String,
        /// What it said.
        said: String,
        /// What it should have said.
        expected: String,
    },
    /// The alternative does not run on this host; the table shows the reason.
    #[error("not runnable here: {0}")]
    Unavailable(String),
}

impl Failure {
    /// For `map_err`: names what was being done.
    pub fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// A result that lacks what it should hold.
    pub fn wrong(who: &str, said: &[u8], expected: &str) -> Self {
        Self::WrongResult { who: who.to_owned(), said: excerpt(said), expected: expected.to_owned() }
    }
}

/// The start of an answer, for a message.
pub fn excerpt(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(400)]).into_owned()
}
