//! Native errors: `{"error":{"kind","message","fields"}}`, with the statuses of the AWS door.

use crate::wire_error::{Refusal, row};
use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;
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
    json!({ "kind": row(error.kind).native, "message": error.message, "fields": fields })
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
