//! Native errors: `{"error":{"kind","message","fields"}}`, with the statuses of the AWS door.

use crate::timestamp::iso8601;
use crate::wire_error::{Refusal, row};
use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;
use cloister_core::denial::{Denial, Noted};
use cloister_core::error::{Error, Kind};
use serde_json::{Value, json};

/// A refusal that handlers may return with `?`.
pub(crate) struct NativeError(Refusal);

impl NativeError {
    /// For a door that says it in other words.
    pub(crate) fn into_refusal(self) -> Refusal {
        self.0
    }
}

impl<E: Into<Refusal>> From<E> for NativeError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for NativeError {
    fn into_response(self) -> Response<Body> {
        response(&self.0)
    }
}

/// The answer for an error.
pub(crate) fn response(refusal: &Refusal) -> Response<Body> {
    refusal.log();
    let body = json!({ "error": body(&refusal.error) });
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = refusal.status();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().extend(refusal.retry_after().map(|wait| (header::RETRY_AFTER, wait)));
    response
}

/// The object inside, which also travels in server-sent events.
pub(super) fn body(error: &Error) -> Value {
    let fields: Vec<_> =
        error.fields.iter().map(|field| json!({ "name": field.name, "message": field.message })).collect();
    let mut body = json!({ "kind": row(error.kind).native, "message": error.message, "fields": fields });
    if let Some(noted) = &error.denial {
        body["denial"] = denial(noted);
    }
    body
}

/// A denial, as answers and `GET /v1/denials/{denial}` show it.
pub(super) fn denial(noted: &Noted) -> Value {
    let Noted { id, at, denial } = noted;
    let Denial { layer, rule, asked, why, how: _, matched, policy, session, sandbox: _, owner: _ } = denial;
    json!({
        "id": id.as_str(),
        "at": iso8601(*at),
        "layer": layer.name(),
        "rule": rule,
        "asked": asked,
        "why": why,
        "how": noted.how(),
        "matched": matched,
        "policy": policy.as_ref().map(|policy| json!({ "name": policy.name, "version": policy.version })),
        "session": session.as_ref().map(|id| id.as_str()),
    })
}

/// The answer to a method that a path does not have.
pub(crate) async fn method_not_allowed() -> Response<Body> {
    let error = Error::new(
        Kind::Validation,
        "this path does not take this method; GET /openapi.json lists what it takes",
    );
    response(&Refusal::http(StatusCode::METHOD_NOT_ALLOWED, "ValidationException", error))
}

/// The answer to a path of this door that does not exist.
pub(crate) fn not_found() -> Response<Body> {
    response(
        &Error::new(Kind::NotFound, "there is nothing here; GET /openapi.json lists what there is").into(),
    )
}
