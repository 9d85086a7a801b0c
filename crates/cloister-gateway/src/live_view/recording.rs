//! What the player of a recording asks for: the same as below `/v1`, with the access that its page holds.

use super::access::Access;
use super::held;
use crate::agentcore::identifier;
use crate::auth::Caller;
use crate::native::recording::{lines, manifest, picture};
use crate::native::{NativeError, session_id};
use crate::percent::decode_query;
use crate::state::Gateway;
use axum::Json;
use axum::extract::{Extension, Path, RawQuery, State};
use axum::response::Response;
use cloister_core::Principal;
use cloister_core::session::SessionKind;
use serde_json::{Value, json};

/// `GET …/live-view/recording`: the list, with a new access, so that a page that stays open goes on playing.
pub(crate) async fn recording(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Extension(access): Extension<Access>,
    Path((browser, id)): Path<(String, String)>,
) -> Result<Json<Value>, NativeError> {
    let (key, id) = (identifier::key(SessionKind::Browser, &browser)?, session_id(&id)?);
    let mut list = manifest(&gateway, &caller.principal, Some(key), &id).await?;
    list["access"] = json!(held(&gateway, &caller, &id, access.rights));
    Ok(Json(list))
}

/// `GET …/live-view/recording/frames/{n}`
pub(crate) async fn recording_frame(
    State(gateway): State<Gateway>,
    Extension(who): Extension<Principal>,
    Path((browser, id, number)): Path<(String, String, String)>,
) -> Result<Response, NativeError> {
    let key = identifier::key(SessionKind::Browser, &browser)?;
    Ok(picture(&gateway, &who, Some(key), &session_id(&id)?, &number).await?)
}

/// `GET …/live-view/recording/events`
pub(crate) async fn recording_events(
    State(gateway): State<Gateway>,
    Extension(who): Extension<Principal>,
    Path((browser, id)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, NativeError> {
    let key = identifier::key(SessionKind::Browser, &browser)?;
    let pairs = decode_query(query.as_deref().unwrap_or_default()).unwrap_or_default();
    let offset = pairs.iter().find(|(name, _)| name == "offset").and_then(|(_, value)| value.parse().ok());
    Ok(lines(&gateway, &who, Some(key), &session_id(&id)?, offset.unwrap_or_default()).await?)
}
