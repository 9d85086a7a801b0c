//! The browser operations but those that both kinds of sessions share (records.rs).
//!
//! ```text
//! start (start.rs) · get (get.rs) · update (streams.rs) ─▶ SessionManager ─▶ JSON
//! invoke (invoke.rs): body ─action.rs─▶ Action ─▶ SessionManager::invoke ─▶ SUCCESS or FAILED, as the action went
//! ```

mod action;
mod get;
mod invoke;
mod proxies;
mod start;
mod streams;

pub(super) use get::get;
pub(super) use invoke::invoke;
pub(super) use start::start;
pub(super) use streams::{perform, update};

use super::sessions::{self, Target};
use super::stream::Endpoints;
use super::validate::Incoming;
use crate::state::Gateway;
use cloister_core::SessionId;
use cloister_core::browser::StreamStatus;
use cloister_core::error::Error;
use cloister_core::session::SessionKind;
use serde::Serialize;

/// Where a session's streams are (`BrowserSessionStream`).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Streams {
    automation_stream: Automation,
    live_view_stream: LiveView,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Automation {
    stream_endpoint: String,
    stream_status: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LiveView {
    stream_endpoint: String,
}

impl Streams {
    fn of(
        gateway: &Gateway,
        incoming: &Incoming<'_>,
        key: &str,
        id: &SessionId,
        status: StreamStatus,
    ) -> Result<Self, Error> {
        let endpoints = Endpoints::of(gateway.config(), incoming.headers, incoming.caller, key, id)?;
        let stream_status = match status {
            StreamStatus::Enabled => "ENABLED",
            StreamStatus::Disabled => "DISABLED",
        };
        Ok(Self {
            automation_stream: Automation { stream_endpoint: endpoints.automation(), stream_status },
            live_view_stream: LiveView { stream_endpoint: endpoints.live_view },
        })
    }
}

fn target<'a>(gateway: &Gateway, incoming: &'a Incoming<'_>) -> Result<Target<'a>, Error> {
    Target::of(gateway, SessionKind::Browser, incoming)
}

fn session_id(text: Option<&str>) -> Result<SessionId, Error> {
    sessions::session_id(SessionKind::Browser, text)
}
