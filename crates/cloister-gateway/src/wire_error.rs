//! The one table from kinds of errors to statuses and names, for both doors and for errors inside a stream.

use axum::http::{HeaderValue, StatusCode};
use cloister_core::Kind;
use cloister_core::error::Error;
#[cfg(test)]
pub(crate) use rows::KINDS;

/// How one kind of error looks from outside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    /// Name in `x-amzn-ErrorType`; with a lower-case first letter it is the member of the stream's union.
    pub(crate) exception: &'static str,
    /// Name in the stream's union.
    pub(crate) stream: &'static str,
    /// Name in native errors.
    pub(crate) native: &'static str,
    /// The status.
    pub(crate) status: StatusCode,
}

/// The table. Statuses are the service model's; 402 for quotas is no typing error.
pub(crate) const fn row(kind: Kind) -> Row {
    macro_rules! row {
        ($exception:literal, $stream:literal, $native:literal, $status:ident) => {
            Row { exception: $exception, stream: $stream, native: $native, status: StatusCode::$status }
        };
    }
    match kind {
        Kind::Validation => row!("ValidationException", "validationException", "validation", BAD_REQUEST),
        Kind::AccessDenied => {
            row!("AccessDeniedException", "accessDeniedException", "access_denied", FORBIDDEN)
        }
        Kind::NotFound => {
            row!("ResourceNotFoundException", "resourceNotFoundException", "not_found", NOT_FOUND)
        }
        Kind::Conflict => row!("ConflictException", "conflictException", "conflict", CONFLICT),
        Kind::QuotaExceeded => {
            row!(
                "ServiceQuotaExceededException",
                "serviceQuotaExceededException",
                "quota_exceeded",
                PAYMENT_REQUIRED
            )
        }
        Kind::Throttled => row!("ThrottlingException", "throttlingException", "throttled", TOO_MANY_REQUESTS),
        Kind::Internal => {
            row!("InternalServerException", "internalServerException", "internal", INTERNAL_SERVER_ERROR)
        }
    }
}

/// Why a request gets no answer from an operation: an error of the core, or one of HTTP itself with a status
/// of its own.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// What the body says.
    pub(crate) error: Error,
    /// Replaces the status (and the exception name, for the AWS door) of the error's kind.
    pub(crate) http: Option<(StatusCode, &'static str)>,
}

impl Refusal {
    /// An error of HTTP: `status`, and the exception name for clients that go by names.
    pub(crate) fn http(status: StatusCode, exception: &'static str, error: Error) -> Self {
        Self { error, http: Some((status, exception)) }
    }

    /// The status of the answer.
    pub(crate) fn status(&self) -> StatusCode {
        self.http.map_or(row(self.error.kind).status, |(status, _)| status)
    }

    /// The exception name of the answer.
    pub(crate) fn exception(&self) -> &'static str {
        self.http.map_or(row(self.error.kind).exception, |(_, name)| name)
    }

    /// The header that says when another try is worth it, if the error does.
    pub(crate) fn retry_after(&self) -> Option<HeaderValue> {
        self.error.retry_after.map(|wait| HeaderValue::from(wait.as_secs()))
    }

    /// Internal causes go to the log, because they never go to the caller.
    pub(crate) fn log(&self) {
        if self.error.kind == Kind::Internal {
            let cause = self.error.source.as_ref().map(ToString::to_string).unwrap_or_default();
            tracing::error!(message = %self.error, cause, "request failed");
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self { error, http: None }
    }
}

#[cfg(test)]
mod rows {
    use cloister_core::Kind;

    pub(crate) const KINDS: [Kind; 7] = [
        Kind::Validation,
        Kind::AccessDenied,
        Kind::NotFound,
        Kind::Conflict,
        Kind::QuotaExceeded,
        Kind::Throttled,
        Kind::Internal,
    ];
}
