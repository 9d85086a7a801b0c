//! `POST /v1/sessions/{id}/actions`: page actions on a browser session, in order, until one fails.

use super::error::NativeError;
use super::request::{read, session_id};
use crate::auth::Caller;
use crate::body;
use crate::json;
use crate::state::Gateway;
use crate::steps;
use axum::Json;
use axum::extract::{Extension, Path, Request, State};
use serde_json::Value;

/// The handler. A page action that fails is part of the answer and no HTTP error.
pub(super) async fn perform(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<Value>, NativeError> {
    let (parts, body) = request.into_parts();
    let id = session_id(&id)?;
    let held = read(&gateway, &parts, body).await?;
    // A foreign, unknown or other kind of session ends here, before its request is looked at.
    gateway.manager().browser(&caller.principal, None, &id).await?;
    let request = steps::read(&json::Json::parse(body::or_empty(&held.bytes))?, "actions")?;
    Ok(Json(steps::perform(&gateway, &caller, None, &id, request).await?))
}
