//! `GetBrowserSession`.

use super::proxies::{self, Shown};
use super::{Streams, session_id, target};
use crate::agentcore::sessions::{Target, json, status_name};
use crate::agentcore::validate::Incoming;
use crate::live_view;
use crate::native::recording;
use crate::state::Gateway;
use crate::timestamp::iso8601;
use axum::body::Body;
use axum::http::Response;
use cloister_core::Principal;
use cloister_core::browser::{StreamStatus, Viewport};
use cloister_core::error::Error;
use cloister_core::session::Status;
use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Got<'a> {
    browser_identifier: &'a str,
    session_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    view_port: Option<ViewPort>,
    session_timeout_seconds: u64,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    streams: Option<Streams>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy_configuration: Option<Shown<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_replay_artifact: Option<String>,
    last_updated_at: String,
}

#[derive(Serialize)]
struct ViewPort {
    width: u32,
    height: u32,
}

/// `GetBrowserSession`. Streams, view port and proxies are a live session's only: nothing can be connected to any more.
pub(in crate::agentcore) async fn get(
    gateway: &Gateway,
    who: &Principal,
    incoming: &Incoming<'_>,
) -> Result<Response<Body>, Error> {
    let Target { identifier, key } = target(gateway, incoming)?;
    let id = session_id(incoming.query("sessionId"))?;
    // The first asks whether it is this browser's at all.
    gateway.manager().get(who, Some(key), &id).await?;
    let detail = gateway.manager().detail(who, &id).await?;
    let (record, browser) = (&detail.record, detail.browser.as_ref());
    let status = browser.map_or(StreamStatus::Enabled, |browser| browser.stream);
    let streams = match record.status {
        Status::Ready => Some(Streams::of(gateway, incoming, key, &id, status)?),
        Status::Terminated => None,
    };
    let recorded = live_view::is_recorded(gateway, who, &id).await?;
    Ok(json(&Got {
        browser_identifier: identifier,
        session_id: record.id.as_str(),
        name: record.name.as_deref(),
        created_at: iso8601(record.created),
        view_port: browser.map(|browser| {
            let Viewport { width, height } = browser.asked.viewport;
            ViewPort { width, height }
        }),
        session_timeout_seconds: record.ttl.as_secs(),
        status: status_name(record.status),
        streams,
        proxy_configuration: browser.and_then(|browser| proxies::show(&browser.asked.proxies)),
        session_replay_artifact: recorded.then(|| recording::url(&gateway.config().public_url, &id)),
        last_updated_at: iso8601(record.updated),
    }))
}
