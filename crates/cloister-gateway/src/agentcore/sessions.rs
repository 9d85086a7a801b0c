//! What the operations of both kinds of sessions have in common: identifiers, ids, pages, and members that need AWS.

use super::identifier;
use super::validate::{Incoming, field_error};
use crate::cursor::{self, Scope};
use crate::json::Json;
use crate::state::Gateway;
use axum::body::Body;
use axum::http::{HeaderValue, Response, header};
use cloister_core::error::{Error, Field};
use cloister_core::session::{InvokeOptions, ListQuery, SessionKind, SessionRecord, Status};
use cloister_core::{Principal, SessionId};
use serde::Serialize;

/// Sessions of a page when the client asks for no number, as the model documents it.
const PAGE: usize = 10;
/// The same in all attempts of one SDK call.
const INVOCATION_HEADER: &str = "amz-sdk-invocation-id";
/// Longest invocation id that is remembered. SDKs send UUIDs of 36 characters.
const INVOCATION_ID: usize = 128;

/// Whose sessions a request is about.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    /// The identifier as the client wrote it.
    pub(super) identifier: &'a str,
    /// The configured interpreter or browser that it means.
    pub(super) key: &'a str,
}

impl<'a> Target<'a> {
    /// From the label of the path. An identifier of the other kind is not found, as one that nobody configured.
    pub(super) fn of(
        gateway: &Gateway,
        kind: SessionKind,
        incoming: &'a Incoming<'_>,
    ) -> Result<Self, Error> {
        let identifier = incoming.label(identifier::label(kind)).unwrap_or_default();
        let key = identifier::key(kind, identifier)?;
        gateway.manager().expect_kind(kind, key)?;
        Ok(Self { identifier, key })
    }
}

/// The session id of a request, which the tables have checked if it is there.
pub(super) fn session_id(kind: SessionKind, text: Option<&str>) -> Result<SessionId, Error> {
    text.and_then(SessionId::parse).ok_or_else(|| {
        let start = match kind {
            SessionKind::Code => "StartCodeInterpreterSession",
            SessionKind::Browser => "StartBrowserSession",
        };
        let message = format!("Member must not be null: it is the sessionId that {start} returned");
        field_error(vec![Field { name: "sessionId".into(), message }])
    })
}

/// The page that a list operation asks for, and the token of the next one.
pub(super) async fn page(
    gateway: &Gateway,
    who: &Principal,
    key: &str,
    body: &Json<'_>,
) -> Result<(Vec<SessionRecord>, Option<String>), Error> {
    let status = match body.get("status").and_then(Json::as_str) {
        Some("READY") => Some(Status::Ready),
        Some(_) => Some(Status::Terminated),
        None => None,
    };
    let limit =
        body.get("maxResults").and_then(Json::as_u64).map_or(PAGE, |n| usize::try_from(n).unwrap_or(PAGE));
    let scope = Scope { who, key: Some(key), status };
    let secret = &gateway.config().cursor_key;
    let after = match body.get("nextToken").and_then(Json::as_str) {
        None => None,
        Some(token) => Some(cursor::open(secret, scope, token).ok_or_else(|| {
            let message = "Member must be a nextToken of this list, with the same status filter".into();
            field_error(vec![Field { name: "nextToken".into(), message }])
        })?),
    };
    let page = gateway.manager().list(who, Some(key), ListQuery { status, limit, after }).await?;
    let next = page.next.as_ref().and_then(|id| cursor::seal(secret, scope, id));
    Ok((page.items, next))
}

/// Refuses members that would need resources of AWS. To ignore them would be to run without what they ask for.
pub(super) fn without(body: &Json<'_>, members: &[(&str, &str)]) -> Result<(), Error> {
    let empty = |given: &Json<'_>| matches!(given, Json::Array(entries) if entries.is_empty());
    let fields: Vec<Field> = members
        .iter()
        .filter(|(name, _)| body.get(name).is_some_and(|given| !empty(given)))
        .map(|(name, instead)| Field {
            name: (*name).into(),
            message: format!(
                "This server does not support this member: it would need AWS resources. {instead}"
            ),
        })
        .collect();
    if fields.is_empty() { Ok(()) } else { Err(field_error(fields)) }
}

/// The options of a call, with the id that SDKs repeat when they send it again.
pub(super) fn invoke_options(incoming: &Incoming<'_>, fingerprint: [u8; 32]) -> Result<InvokeOptions, Error> {
    let header = incoming.headers.get(INVOCATION_HEADER).and_then(|value| value.to_str().ok());
    let invocation_id = match header {
        Some(id) if id.len() > INVOCATION_ID => {
            let message = format!("Member must have length less than or equal to {INVOCATION_ID}");
            return Err(field_error(vec![Field { name: INVOCATION_HEADER.into(), message }]));
        }
        other => other.filter(|id| !id.is_empty()).map(str::to_owned),
    };
    Ok(InvokeOptions { invocation_id, fingerprint, ..InvokeOptions::default() })
}

/// A status as the model names it.
pub(super) fn status_name(status: Status) -> &'static str {
    match status {
        Status::Ready => "READY",
        Status::Terminated => "TERMINATED",
    }
}

/// A JSON answer.
pub(super) fn json<T: Serialize>(value: &T) -> Response<Body> {
    // Structs of strings and numbers always serialise.
    let mut response = Response::new(Body::from(serde_json::to_vec(value).unwrap_or_default()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
