//! Listing and stopping sessions of either kind: the operations differ in the name of one member.

use super::sessions::{Target, json, page, session_id, status_name};
use super::validate::Incoming;
use crate::state::Gateway;
use crate::timestamp::iso8601;
use axum::body::Body;
use axum::http::Response;
use cloister_core::Principal;
use cloister_core::error::{Error, Kind};
use cloister_core::session::{SessionKind, SessionRecord};
use serde::Serialize;

/// The identifier of an interpreter or a browser, under the name that the model has for it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Identifier<'a> {
    CodeInterpreterIdentifier(&'a str),
    BrowserIdentifier(&'a str),
}

impl<'a> Identifier<'a> {
    fn of(kind: SessionKind, text: &'a str) -> Self {
        match kind {
            SessionKind::Code => Self::CodeInterpreterIdentifier(text),
            SessionKind::Browser => Self::BrowserIdentifier(text),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary<'a> {
    #[serde(flatten)]
    identifier: Identifier<'a>,
    session_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    status: &'static str,
    created_at: String,
    last_updated_at: String,
}

impl<'a> Summary<'a> {
    fn of(kind: SessionKind, record: &'a SessionRecord) -> Self {
        Self {
            identifier: Identifier::of(kind, &record.interpreter),
            session_id: record.id.as_str(),
            name: record.name.as_deref(),
            status: status_name(record.status),
            created_at: iso8601(record.created),
            last_updated_at: iso8601(record.updated),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed<'a> {
    items: Vec<Summary<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Stopped<'a> {
    #[serde(flatten)]
    identifier: Identifier<'a>,
    session_id: &'a str,
    last_updated_at: String,
}

/// `ListCodeInterpreterSessions`, `ListBrowserSessions`.
pub(super) async fn list(
    gateway: &Gateway,
    who: &Principal,
    kind: SessionKind,
    incoming: &Incoming<'_>,
) -> Result<Response<Body>, Error> {
    let key = Target::of(gateway, kind, incoming)?.key;
    if gateway.manager().policy(key).is_none() {
        let what = match kind {
            SessionKind::Code => "code interpreter",
            SessionKind::Browser => "browser",
        };
        return Err(Error::new(Kind::NotFound, format!("there is no {what} {key}")));
    }
    let (records, next_token) = page(gateway, who, key, incoming.body).await?;
    let items = records.iter().map(|record| Summary::of(kind, record)).collect();
    Ok(json(&Listed { items, next_token }))
}

/// `StopCodeInterpreterSession`, `StopBrowserSession`. Stopping a session that has ended succeeds, so that a retry does; an unknown
/// one is not found.
pub(super) async fn stop(
    gateway: &Gateway,
    who: &Principal,
    kind: SessionKind,
    incoming: &Incoming<'_>,
) -> Result<Response<Body>, Error> {
    let Target { identifier, key } = Target::of(gateway, kind, incoming)?;
    let id = session_id(kind, incoming.query("sessionId"))?;
    let record = gateway.manager().stop(who, Some(key), &id).await?;
    Ok(json(&Stopped {
        identifier: Identifier::of(kind, identifier),
        session_id: record.id.as_str(),
        last_updated_at: iso8601(record.updated),
    }))
}
