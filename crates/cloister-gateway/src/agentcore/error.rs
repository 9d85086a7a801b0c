//! Errors as AWS clients read them: a header with the exception's name, and a JSON body; or a message inside
//! a stream.

use super::event_stream;
use crate::wire_error::{Refusal, row};
use axum::body::Body;
use axum::http::{HeaderValue, Response, header};
use bytes::Bytes;
use cloister_core::error::{Error, Kind, Reason};
use serde::Serialize;

/// The header that botocore prefers over everything in the body.
const ERROR_TYPE: &str = "x-amzn-errortype";

#[derive(Serialize)]
struct ErrorBody<'a> {
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(rename = "fieldList", skip_serializing_if = "Vec::is_empty")]
    field_list: Vec<WireField<'a>>,
}

#[derive(Serialize)]
struct WireField<'a> {
    name: &'a str,
    message: &'a str,
}

/// The answer for an error before the first byte.
pub(crate) fn response(refusal: &Refusal) -> Response<Body> {
    refusal.log();
    let mut response = Response::new(Body::from(body(&refusal.error)));
    *response.status_mut() = refusal.status();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ERROR_TYPE, HeaderValue::from_static(refusal.exception()));
    headers.extend(refusal.retry_after().map(|wait| (header::RETRY_AFTER, wait)));
    response
}

/// The message for an error after heartbeats have begun.
pub(crate) fn in_stream(error: Error) -> Bytes {
    let refusal = Refusal::from(error);
    refusal.log();
    event_stream::exception(row(refusal.error.kind).stream, &body(&refusal.error))
}

fn body(error: &Error) -> Vec<u8> {
    let reason = (error.kind == Kind::Validation).then(|| reason_name(error.reason));
    let field_list =
        error.fields.iter().map(|field| WireField { name: &field.name, message: &field.message }).collect();
    // A struct of strings always serialises; the default is for the type system only.
    serde_json::to_vec(&ErrorBody { message: &error.message, reason, field_list }).unwrap_or_default()
}

fn reason_name(reason: Option<Reason>) -> &'static str {
    match reason {
        Some(Reason::CannotParse) => "CannotParse",
        Some(Reason::FieldValidationFailed) | None => "FieldValidationFailed",
        Some(Reason::IdempotentParameterMismatch) => "IdempotentParameterMismatchException",
        Some(Reason::EventInOtherSession) => "EventInOtherSession",
        Some(Reason::ResourceConflict) => "ResourceConflict",
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::{ERRORS, Shape, VALIDATION_EXCEPTION_REASON};
    use super::super::validate::differences;
    use super::*;
    use crate::wire_error::KINDS;

    #[test]
    fn every_kind_has_the_name_and_the_status_of_the_model() {
        let mut ours: Vec<_> = KINDS.iter().map(|k| (row(*k).exception, row(*k).status.as_u16())).collect();
        ours.sort_unstable();
        let model: Vec<_> = ERRORS.iter().map(|(name, status, _)| (*name, *status)).collect();
        assert_eq!(ours, model);
    }

    #[test]
    fn names_in_streams_are_those_of_the_union() {
        for kind in KINDS {
            let row = row(kind);
            let (first, rest) = row.exception.split_at(1);
            assert_eq!(row.stream, first.to_lowercase() + rest);
        }
    }

    #[test]
    fn every_reason_is_in_the_models_enum() {
        let Shape::String { values, .. } = &VALIDATION_EXCEPTION_REASON else { panic!() };
        for reason in [
            Reason::CannotParse,
            Reason::FieldValidationFailed,
            Reason::IdempotentParameterMismatch,
            Reason::EventInOtherSession,
            Reason::ResourceConflict,
        ] {
            assert!(values.contains(&reason_name(Some(reason))));
        }
    }

    #[test]
    fn bodies_have_the_models_shape_and_never_the_cause() {
        for kind in KINDS {
            let (_, _, shape) = ERRORS.iter().find(|(name, ..)| *name == row(kind).exception).unwrap();
            let text = body(&Error::new(kind, "what happened").with_source("a secret"));
            assert_eq!(differences(shape, &text), [""; 0]);
            assert!(!String::from_utf8(text).unwrap().contains("secret"));
        }
    }
}
