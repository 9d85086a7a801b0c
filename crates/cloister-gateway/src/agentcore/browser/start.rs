//! `StartBrowserSession`.

use super::{Streams, proxies, target};
use crate::agentcore::sessions::{Target, json, without};
use crate::agentcore::validate::{Incoming, field_error};
use crate::auth::calls;
use crate::fingerprint;
use crate::json::Json;
use crate::state::Gateway;
use crate::timestamp::iso8601;
use axum::body::Body;
use axum::http::Response;
use cloister_core::browser::{StartBrowser, StreamStatus, Viewport};
use cloister_core::error::Error;
use cloister_core::session::StartSession;
use serde::Serialize;
use std::time::Duration;

/// Members that need AWS resources, and what to do instead.
const UNSUPPORTED: &[(&str, &str)] = &[
    ("extensions", "Leave it out: browsers here run without extensions"),
    ("profileConfiguration", "Leave it out, and set cookies with page actions or over CDP"),
    ("enterprisePolicies", "Leave it out: the policy of the browser is configured on the server"),
    ("certificates", "Leave it out: certificate authorities are configured on the server"),
    ("filesystemConfigurations", "Leave it out, and put files into the session over /v1/sessions/{id}/files"),
];

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Started<'a> {
    browser_identifier: &'a str,
    session_id: &'a str,
    created_at: String,
    streams: Streams,
}

/// The operation.
pub(in crate::agentcore) async fn start(
    gateway: &Gateway,
    incoming: &Incoming<'_>,
) -> Result<Response<Body>, Error> {
    let Target { identifier, key } = target(gateway, incoming)?;
    let body = incoming.body;
    without(body, UNSUPPORTED)?;
    let (proxies, refused) = body.get("proxyConfiguration").map(proxies::read).unwrap_or_default();
    if !refused.is_empty() {
        return Err(field_error(refused));
    }
    let viewport = body.get("viewPort").map_or_else(Viewport::default, viewport);
    let text = |name: &str| body.get(name).and_then(Json::as_str).map(str::to_owned);
    let request = StartSession {
        interpreter: identifier.to_owned(),
        key: key.to_owned(),
        name: text("name"),
        timeout: body.get("sessionTimeoutSeconds").and_then(Json::as_u64).map(Duration::from_secs),
        browser: Some(StartBrowser { viewport, proxies }),
        copy_of: None,
        narrowing: None,
        client_token: text("clientToken"),
        fingerprint: fingerprint::of(&[key], body, &["clientToken"]),
    };
    let (caller, who) = (incoming.caller, &incoming.caller.principal);
    let record = calls::start(gateway, caller, request).await?;
    // A token may lead to a session that somebody has taken control of since.
    let status = match gateway.manager().browser(who, Some(key), &record.id).await {
        Ok(browser) => browser.stream(),
        Err(_) => StreamStatus::Enabled,
    };
    Ok(json(&Started {
        browser_identifier: identifier,
        session_id: record.id.as_str(),
        created_at: iso8601(record.created),
        streams: Streams::of(gateway, incoming, key, &record.id, status)?,
    }))
}

/// The tables have checked both members and their ranges.
fn viewport(given: &Json<'_>) -> Viewport {
    let Viewport { width, height } = Viewport::default();
    let side = |name, other| {
        given.get(name).and_then(Json::as_u64).and_then(|n| u32::try_from(n).ok()).unwrap_or(other)
    };
    Viewport { width: side("width", width), height: side("height", height) }
}
