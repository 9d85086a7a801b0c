//! Who has control of a session: automation clients, or a person who has taken it.
//!
//! Taking control disables the automation stream, as `UpdateBrowserStream` does: its clients are closed and refused until
//! control is released. Control is the session's and not the page's: who closes the page still has it.

use super::access::Access;
use super::signature::Rights;
use crate::agentcore::identifier;
use crate::body;
use crate::native::{Members, NativeError, session_id};
use crate::state::Gateway;
use axum::Json;
use axum::extract::{Extension, Path, Request, State};
use cloister_core::Principal;
use cloister_core::browser::{Browser, StreamStatus};
use cloister_core::error::{Error, Kind};
use cloister_core::session::SessionKind;
use serde_json::{Value, json};
use std::sync::Arc;

/// `GET …/live-view/control`
pub(crate) async fn show(
    State(gateway): State<Gateway>,
    Extension(who): Extension<Principal>,
    Extension(access): Extension<Access>,
    Path(path): Path<(String, String)>,
) -> Result<Json<Value>, NativeError> {
    let browser = browser(&gateway, &who, &path).await?;
    Ok(Json(state(browser.stream(), access.rights)))
}

/// `POST …/live-view/control`
pub(crate) async fn control(
    State(gateway): State<Gateway>,
    Extension(who): Extension<Principal>,
    Extension(access): Extension<Access>,
    Path(path): Path<(String, String)>,
    request: Request,
) -> Result<Json<Value>, NativeError> {
    if access.rights != Rights::Control {
        return Err(
            Error::new(Kind::AccessDenied, "this link is for watching only; it takes no control").into()
        );
    }
    let (parts, body) = request.into_parts();
    let held = body::read_json(&gateway, &parts, body).await?;
    let members = Members::of(&held, &["take"])?;
    let take = members.flag("take");
    if !members.has("take") {
        members.bad("take", "is required: true takes control, false releases it");
    }
    members.finish()?;
    let browser = browser(&gateway, &who, &path).await?;
    browser.set_stream(if take { StreamStatus::Disabled } else { StreamStatus::Enabled });
    Ok(Json(state(browser.stream(), access.rights)))
}

/// The browser that the path names.
pub(super) async fn browser(
    gateway: &Gateway,
    who: &Principal,
    (browser, id): &(String, String),
) -> Result<Arc<dyn Browser>, NativeError> {
    let key = identifier::key(SessionKind::Browser, browser)?;
    Ok(gateway.manager().browser(who, Some(key), &session_id(id)?).await?)
}

/// What a page is told of a session, here and over its stream.
pub(super) fn state(stream: StreamStatus, rights: Rights) -> Value {
    let automation = match stream {
        StreamStatus::Enabled => "ENABLED",
        StreamStatus::Disabled => "DISABLED",
    };
    json!({ "automation": automation, "role": rights.word() })
}
