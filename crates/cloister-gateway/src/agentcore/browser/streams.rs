//! `UpdateBrowserStream`: takes control of a browser and gives it back; and page actions on the same path.
//!
//! ```text
//! {"streamUpdate": {"automationStreamUpdate": {"streamStatus": …}}}  the operation of the model
//! {"action": {"navigate": {"url": …}, "click": {"selector": …}}}     ours: page actions, in the order written
//! ```

use super::{Streams, session_id, target};
use crate::agentcore::sessions::{Target, json};
use crate::agentcore::validate::Incoming;
use crate::state::Gateway;
use crate::steps;
use crate::timestamp::iso8601;
use axum::body::Body;
use axum::http::Response;
use cloister_core::Principal;
use cloister_core::browser::StreamStatus;
use cloister_core::error::Error;
use serde::Serialize;
use std::time::SystemTime;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Updated<'a> {
    browser_identifier: &'a str,
    session_id: &'a str,
    streams: Streams,
    updated_at: String,
}

/// The operation. To set a status twice is to set it once, so the client token has nothing to do.
pub(in crate::agentcore) async fn update(
    gateway: &Gateway,
    who: &Principal,
    incoming: &Incoming<'_>,
) -> Result<Response<Body>, Error> {
    let Target { identifier, key } = target(gateway, incoming)?;
    let id = session_id(incoming.query("sessionId"))?;
    let browser = gateway.manager().browser(who, Some(key), &id).await?;
    let update = incoming.body.get("streamUpdate").and_then(|update| update.get("automationStreamUpdate"));
    let status = update.and_then(|update| update.get("streamStatus")).and_then(|status| status.as_str());
    // Without a status nothing changes, and the answer says what there is.
    match status {
        Some("DISABLED") => browser.set_stream(StreamStatus::Disabled),
        Some(_) => browser.set_stream(StreamStatus::Enabled),
        None => {}
    }
    Ok(json(&Updated {
        browser_identifier: identifier,
        session_id: id.as_str(),
        streams: Streams::of(gateway, incoming, key, &id, browser.stream())?,
        updated_at: iso8601(SystemTime::now()),
    }))
}

/// Page actions on the path of the operation: `action` in place of `streamUpdate`.
pub(in crate::agentcore) async fn perform(
    gateway: &Gateway,
    incoming: &Incoming<'_>,
) -> Result<Response<Body>, Error> {
    let Target { identifier, key } = target(gateway, incoming)?;
    let id = session_id(incoming.query("sessionId"))?;
    let request = steps::read(incoming.body, "action")?;
    let mut answer = steps::perform(gateway, incoming.caller, Some(key), &id, request).await?;
    answer["browserIdentifier"] = identifier.into();
    answer["sessionId"] = id.as_str().into();
    Ok(json(&answer))
}
