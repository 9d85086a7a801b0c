//! `/v1/sessions/{id}/recording`: what is kept of a browser session, while it lives and after.
//!
//! ```text
//! recording            the list: when each picture was taken, and where the rest is
//! recording/frames/n   a JPEG picture
//! recording/events     whole lines of NDJSON from ?offset=; fewer than asked for means: ask on from there
//! ```

use super::error::NativeError;
use super::request::{Members, session_id};
use crate::state::Gateway;
use crate::timestamp::iso8601;
use axum::Json;
use axum::extract::{Extension, Path, Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use cloister_core::error::{Error, Kind};
use cloister_core::session::Status;
use cloister_core::{Principal, SessionId};
use serde_json::{Value, json};

/// Bytes of events in one answer, unless a single line is longer. Stops a long recording from being held in memory.
const EVENTS: u64 = 1 << 20;

/// `GET /v1/sessions/{id}/recording`
pub(super) async fn show(
    State(gateway): State<Gateway>,
    Extension(who): Extension<Principal>,
    Path(id): Path<String>,
) -> Result<Json<Value>, NativeError> {
    Ok(Json(manifest(&gateway, &who, None, &session_id(&id)?).await?))
}

/// `GET /v1/sessions/{id}/recording/frames/{n}`
pub(super) async fn frame(
    State(gateway): State<Gateway>,
    Extension(who): Extension<Principal>,
    Path((id, number)): Path<(String, String)>,
) -> Result<Response, NativeError> {
    Ok(picture(&gateway, &who, None, &session_id(&id)?, &number).await?)
}

/// `GET /v1/sessions/{id}/recording/events`
pub(super) async fn events(
    State(gateway): State<Gateway>,
    Extension(who): Extension<Principal>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, NativeError> {
    let (parts, _) = request.into_parts();
    let members = Members::of_query(&parts, &["offset"])?;
    let offset = members.whole("offset", 0, 1 << 50).unwrap_or_default();
    members.finish()?;
    Ok(lines(&gateway, &who, None, &session_id(&id)?, offset).await?)
}

/// Where the list of a session's recording is; `root` is the server's URL.
pub(crate) fn url(root: &str, id: &SessionId) -> String {
    format!("{root}/v1/sessions/{id}/recording")
}

/// The list.
pub(crate) async fn manifest(
    gateway: &Gateway,
    who: &Principal,
    key: Option<&str>,
    id: &SessionId,
) -> Result<Value, Error> {
    let record = gateway.manager().get(who, key, id).await?;
    let session = id.clone();
    let summary = gateway.manager().recording(who, key, id, move |all| all.summary(&session)).await?;
    let root = url(&gateway.config().public_url, id);
    let frames = summary.frames.iter().map(|f| json!({ "at": f.at, "page": f.page, "size": f.length }));
    Ok(json!({
        "session": id.as_str(),
        "startedAt": iso8601(record.created),
        "endedAt": (record.status == Status::Terminated).then(|| iso8601(record.updated)),
        "full": summary.full,
        "events": { "url": format!("{root}/events"), "size": summary.event_bytes },
        "frameUrl": format!("{root}/frames/{{n}}"),
        "frames": frames.collect::<Vec<_>>(),
    }))
}

/// One picture.
pub(crate) async fn picture(
    gateway: &Gateway,
    who: &Principal,
    key: Option<&str>,
    id: &SessionId,
    number: &str,
) -> Result<Response, Error> {
    let Ok(number) = number.parse::<u64>() else {
        return Err(Error::new(Kind::NotFound, "a picture has a whole number from 0 on"));
    };
    let session = id.clone();
    let jpeg = gateway.manager().recording(who, key, id, move |all| all.frame(&session, number)).await?;
    Ok(([(header::CONTENT_TYPE, "image/jpeg")], jpeg).into_response())
}

/// Lines of events.
pub(crate) async fn lines(
    gateway: &Gateway,
    who: &Principal,
    key: Option<&str>,
    id: &SessionId,
    offset: u64,
) -> Result<Response, Error> {
    let session = id.clone();
    let lines =
        gateway.manager().recording(who, key, id, move |all| all.events(&session, offset, EVENTS)).await?;
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], lines).into_response())
}
