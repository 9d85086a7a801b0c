//! The one error type that crosses crate borders: a kind for the machine, a message for the person, a cause for the log.

use crate::denial::Noted;
use std::error::Error as StdError;
use std::time::Duration;

/// What went wrong, in seven words. `cloister-gateway` maps each to a wire name and a status in one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request is malformed or breaks a limit of the API.
    Validation,
    /// The caller may not do this, or the policy forbids it.
    AccessDenied,
    /// The thing does not exist, or belongs to somebody else (the two are indistinguishable on purpose).
    NotFound,
    /// The thing is in a state that excludes the request.
    Conflict,
    /// A quota of the caller is used up.
    QuotaExceeded,
    /// Too fast; the same request may succeed later.
    Throttled,
    /// Our fault. The cause goes to the log and never to the caller.
    Internal,
}

/// Why a request was refused as invalid; the wire's `reason` member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The body is not what the operation takes at all.
    CannotParse,
    /// One or more members break their constraints; see [`Error::fields`].
    FieldValidationFailed,
    /// A client token was used before with other parameters.
    IdempotentParameterMismatch,
    /// The id belongs to an event of another session.
    EventInOtherSession,
    /// The named resource is in the way.
    ResourceConflict,
}

/// One member of a request that is wrong, by its path in the request (`content[3].path`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Path of the member, as the client wrote it.
    pub name: String,
    /// What is wrong with it and what would be right.
    pub message: String,
}

/// An error with a kind, a message for the caller and a cause for the log.
///
/// The message is a sentence fragment that names what happened, to what, and what to do about it. It must never hold a
/// host path, a secret or a cause's text: those belong in `source`.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// The machine-readable kind.
    pub kind: Kind,
    /// The text for the caller.
    pub message: String,
    /// Set for [`Kind::Validation`] only.
    pub reason: Option<Reason>,
    /// The members at fault, for [`Reason::FieldValidationFailed`].
    pub fields: Vec<Field>,
    /// When the same request is worth another try, if waiting helps: whole seconds.
    pub retry_after: Option<Duration>,
    /// The denial, if a rule said no: its text is the message, and its id is in the audit log.
    pub denial: Option<Box<Noted>>,
    /// What the log should say in addition.
    #[source]
    pub source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of `kind` with a message for the caller.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            reason: None,
            fields: Vec::new(),
            retry_after: None,
            denial: None,
            source: None,
        }
    }

    /// A validation error that names one member.
    pub fn field(name: impl Into<String>, message: impl Into<String>) -> Self {
        let field = Field { name: name.into(), message: message.into() };
        let text = format!("{}: {}", field.name, field.message);
        Self {
            reason: Some(Reason::FieldValidationFailed),
            fields: vec![field],
            ..Self::new(Kind::Validation, text)
        }
    }

    /// A validation error with a reason and no particular member.
    pub fn invalid(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason: Some(reason), ..Self::new(Kind::Validation, message) }
    }

    /// An internal error: `what` is safe to show, `source` is for the log.
    pub fn internal(what: impl Into<String>, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { source: Some(source.into()), ..Self::new(Kind::Internal, what) }
    }

    /// A rule said no: an error of `kind` with the text of the denial.
    pub fn denied(kind: Kind, noted: Noted) -> Self {
        let text = noted.text();
        Self { denial: Some(Box::new(noted)), ..Self::new(kind, text) }
    }

    /// The same error for one more receiver. The cause stays with the original, which has been logged once.
    #[must_use]
    pub fn repeat(&self) -> Self {
        Self {
            reason: self.reason,
            fields: self.fields.clone(),
            retry_after: self.retry_after,
            denial: self.denial.clone(),
            ..Self::new(self.kind, self.message.clone())
        }
    }

    /// The same error, worth another try after `wait`.
    #[must_use]
    pub fn with_retry_after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    /// The same error with a cause attached.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}
