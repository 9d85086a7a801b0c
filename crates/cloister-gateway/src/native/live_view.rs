//! `/v1/sessions/{id}/live-view`: links for people.

use super::error::NativeError;
use super::request::{Members, read, session_id};
use crate::agentcore::identifier;
use crate::auth::{Action, Caller, Resource, authorize, now};
use crate::live_view::signature::{self, Rights, Subject, Use};
use crate::live_view::{self, place_url};
use crate::state::Gateway;
use crate::timestamp;
use axum::Json;
use axum::extract::{Extension, Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use cloister_core::error::Error;
use cloister_core::session::SessionKind;
use serde_json::json;

/// Life of a link in seconds: unless asked, and at most.
const DEFAULT: u64 = 300;
const LONGEST: u64 = 3_600;

/// `POST /v1/sessions/{id}/live-view`
pub(super) async fn link(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, NativeError> {
    let (parts, body) = request.into_parts();
    let held = read(&gateway, &parts, body).await?;
    let members = Members::of(&held, &["role", "seconds"])?;
    let roles = [("control", Rights::Control), ("view", Rights::View)];
    let rights = members.choice("role", &roles).unwrap_or(Rights::Control);
    let seconds = members.whole("seconds", 1, LONGEST).unwrap_or(DEFAULT);
    members.finish()?;
    if rights == Rights::Control {
        authorize(&gateway, &caller, Action::ControlBrowser, Resource::Session(&id))?;
    }
    let (who, id) = (&caller.principal, session_id(&id)?);
    if let Err(gone) = gateway.manager().browser(who, None, &id).await
        && !live_view::is_recorded(&gateway, who, &id).await?
    {
        return Err(gone.into());
    }
    let record = gateway.manager().get(who, None, &id).await?;
    let key = identifier::key(SessionKind::Browser, &record.interpreter)?;
    // A token of an issuer cannot be revoked: what it makes ends with it.
    let end = caller.expires.filter(|_| caller.key.is_none()).unwrap_or(u64::MAX);
    let expires = (now() + seconds).min(end);
    let config = gateway.config();
    let subject = Subject::of(&caller, &id);
    let query = signature::query(&config.cursor_key, subject, Use::Link, rights, expires)
        .ok_or_else(|| Error::internal("the link could not be made", "it could not be signed"))?;
    let url = format!("{}?{query}", place_url(&config.public_url, key, &id));
    let expires = timestamp::iso8601(timestamp::from_epoch(i64::try_from(expires).unwrap_or(i64::MAX)));
    let answer = Json(json!({ "url": url, "role": rights.word(), "expires": expires }));
    Ok((StatusCode::CREATED, [(header::LOCATION, url)], answer).into_response())
}
