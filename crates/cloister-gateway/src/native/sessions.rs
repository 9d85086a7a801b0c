//! `/v1/sessions`: start, list, look at, stop.

use super::error::NativeError;
use super::request::{Members, read, session_id};
use super::{browser, view};
use crate::auth::{Caller, calls};
use crate::config::GatewayConfig;
use crate::cursor::{self, Scope};
use crate::fingerprint;
use crate::state::Gateway;
use axum::Json;
use axum::extract::{Extension, Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use cloister_core::Principal;
use cloister_core::browser::StartBrowser;
use cloister_core::session::{ListQuery, SessionKind, SessionRecord, StartSession, Status};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// The interpreter of clients that name none.
const DEFAULT: &str = "aws.codeinterpreter.v1";
/// The same for those that ask for a browser.
const DEFAULT_BROWSER: &str = "aws.browser.v1";

/// `POST /v1/sessions`
pub(super) async fn start(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, NativeError> {
    let (parts, body) = request.into_parts();
    let held = read(&gateway, &parts, body).await?;
    let members =
        Members::of(&held, &["interpreter", "tier", "name", "timeout", "browser", "policy", "clientToken"])?;
    let default = if members.has("browser") { DEFAULT_BROWSER } else { DEFAULT };
    let interpreter = interpreter(&gateway, &members, default);
    // Whoever names a browser means one, also without a word about its size.
    let named = gateway.manager().policy(&interpreter).is_some_and(|p| p.kind() == SessionKind::Browser);
    let browser = browser::start(&members).or_else(|| named.then(StartBrowser::default));
    let start = StartSession {
        key: interpreter.clone(),
        interpreter,
        name: members.short("name", 100),
        timeout: members.whole("timeout", 1, 28_800).map(Duration::from_secs),
        browser,
        copy_of: None,
        narrowing: members.policy("policy"),
        client_token: members.short("clientToken", 256),
        fingerprint: fingerprint::of(&[], members.json(), &["clientToken"]),
    };
    members.finish()?;
    let record = calls::start(&gateway, &caller, start).await?;
    Ok(created(gateway.config(), &record))
}

/// The interpreter that a client names, or the one that its tier means.
fn interpreter(gateway: &Gateway, members: &Members<'_>, default: &str) -> String {
    let named = members.short("interpreter", 100);
    if named.is_some() && members.has("tier") {
        members.bad("tier", "does not go with interpreter, which has one");
    }
    let Some(tier) = members.short("tier", 100) else {
        return named.unwrap_or_else(|| default.to_owned());
    };
    let interpreters = gateway.manager().interpreters();
    interpreters.on_tier(&tier, default).unwrap_or_else(|| {
        let tiers = interpreters.tiers().join(", ");
        members
            .bad("tier", format!("has no interpreter on this server; the tiers that have one are {tiers}"));
        default.to_owned()
    })
}

/// The answer to a start.
pub(super) fn created(config: &GatewayConfig, record: &SessionRecord) -> Response {
    let location = format!("{}/v1/sessions/{}", config.public_url, record.id);
    (StatusCode::CREATED, [(header::LOCATION, location)], Json(view::session(record))).into_response()
}

/// `GET /v1/sessions`
pub(super) async fn list(
    State(gateway): State<Gateway>,
    Extension(who): Extension<Principal>,
    request: Request,
) -> Result<Json<Value>, NativeError> {
    let (parts, _) = request.into_parts();
    let members = Members::of_query(&parts, &["interpreter", "status", "limit", "cursor"])?;
    let key = members.short("interpreter", 100);
    let status = members.choice("status", &[("ready", Status::Ready), ("terminated", Status::Terminated)]);
    let limit = members.whole("limit", 1, 100).map_or(50, |n| usize::try_from(n).unwrap_or(50));
    let scope = Scope { who: &who, key: key.as_deref(), status };
    let secret = &gateway.config().cursor_key;
    let after = members.text("cursor").and_then(|cursor| {
        let place = cursor::open(secret, scope, &cursor);
        if place.is_none() {
            members.bad(
                "cursor",
                "is not a cursor of this list; use the `next` of a page with the same filters",
            );
        }
        place
    });
    members.finish()?;
    let page = gateway.manager().list(&who, key.as_deref(), ListQuery { status, limit, after }).await?;
    Ok(Json(json!({
        "sessions": page.items.iter().map(view::session).collect::<Vec<_>>(),
        "next": page.next.as_ref().and_then(|id| cursor::seal(secret, scope, id)),
    })))
}

/// `GET /v1/sessions/{id}`
pub(super) async fn detail(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, NativeError> {
    let id = session_id(&id)?;
    let detail = gateway.manager().detail(&caller.principal, &id).await?;
    let mut session = view::session(&detail.record);
    let walls: Map<_, _> =
        detail.walls.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
    session["sandbox"] = json!(detail.sandbox.map(|sandbox| sandbox.to_string()));
    session["walls"] = Value::Object(walls);
    session["egress"] = json!(detail.egress.as_ref().map(view::egress));
    session["limits"] = json!(detail.policy.as_deref().map(view::policy));
    if let Some(found) = &detail.browser {
        session["browser"] = browser::detail(gateway.config(), &headers, &caller, &detail.key, &id, found)?;
    }
    Ok(Json(session))
}

/// `DELETE /v1/sessions/{id}`; succeeds for a session that has ended.
pub(super) async fn stop(
    State(gateway): State<Gateway>,
    Extension(who): Extension<Principal>,
    Path(id): Path<String>,
) -> Result<Json<Value>, NativeError> {
    let id = session_id(&id)?;
    let record = gateway.manager().stop(&who, None, &id).await?;
    Ok(Json(view::session(&record)))
}
