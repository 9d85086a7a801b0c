//! The streams of a browser session: CDP over a WebSocket, and what CDP clients ask over HTTP before they connect.
//!
//! ```text
//! /browser-streams/{browser}/sessions/{session}/automation      WebSocket; its root is the browser
//!   …/automation/devtools/page/{target}                         WebSocket; its root is one page
//!   …/automation/json/version · json/list · json                for clients that are given an http URL
//!
//! route ─▶ Browser::connect ─ refused ─▶ HTTP error, before anything is a WebSocket
//!                           └─ CdpClient ─▶ 101 ─▶ bridge.rs
//! ```
//!
//! | refused | status |
//! |---|---|
//! | unknown, foreign or ended session, unknown target | 404 |
//! | the automation stream is disabled | 409: whoever has control may give it back |
//! | too many clients | 429 |
//! | no WebSocket where one is wanted | 426 |

mod bridge;
mod endpoints;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod record;
mod websocket;

pub(crate) use endpoints::Endpoints;
pub(crate) use record::Asking;
pub(crate) use websocket::Upgrade;

use super::identifier;
use super::sessions;
use crate::auth::{Action, Caller, Resource, authorize};
use crate::percent;
use crate::state::Gateway;
use crate::wire_error::Refusal;
use axum::body::Body;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{Method, Response, StatusCode};
use cloister_core::SessionId;
use cloister_core::browser::{Browser, CdpClient, Role};
use cloister_core::error::{Error, Kind};
use cloister_core::session::SessionKind;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::sync::Arc;
use websocket::code;

/// What is offered, as the OpenAPI document has it.
pub(crate) const PATHS: [&str; 5] = [
    "/browser-streams/{browserIdentifier}/sessions/{sessionId}/automation",
    "/browser-streams/{browserIdentifier}/sessions/{sessionId}/automation/devtools/page/{target}",
    "/browser-streams/{browserIdentifier}/sessions/{sessionId}/automation/json",
    "/browser-streams/{browserIdentifier}/sessions/{sessionId}/automation/json/list",
    "/browser-streams/{browserIdentifier}/sessions/{sessionId}/automation/json/version",
];

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What<'p> {
    Root,
    Page(&'p str),
    Version,
    Targets,
    Protocol,
}

/// A path below `/browser-streams/`, split and not yet decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    browser: String,
    session: String,
    /// Everything behind the session, without a slash at the end.
    rest: String,
}

impl Place {
    /// The session, as it stands in the path.
    pub(crate) fn session(&self) -> &str {
        &self.session
    }
}

/// Recognises a path of a stream; split before it is decoded, like every other path with an ARN in it.
pub(crate) fn route(path: &str) -> Option<Place> {
    let mut parts = path.strip_prefix("/browser-streams/")?.splitn(4, '/');
    let (browser, sessions, session) = (parts.next()?, parts.next()?, parts.next()?);
    let rest = parts.next()?.trim_end_matches('/');
    let place = Place { browser: browser.into(), session: session.into(), rest: rest.into() };
    (sessions == "sessions" && !browser.is_empty() && what(rest).is_some()).then_some(place)
}

fn what(rest: &str) -> Option<What<'_>> {
    let below = rest.strip_prefix("automation")?;
    if let Some(target) = below.strip_prefix("/devtools/page/") {
        let plain = !target.is_empty() && target.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        return plain.then_some(What::Page(target));
    }
    match below {
        "" => Some(What::Root),
        "/json/version" => Some(What::Version),
        "/json" | "/json/list" => Some(What::Targets),
        "/json/protocol" => Some(What::Protocol),
        _ => None,
    }
}

/// Answers a request for a stream.
pub(super) async fn answer(
    gateway: &Gateway,
    caller: &Caller,
    place: Place,
    request: Request,
) -> Result<Response<Body>, Refusal> {
    let (mut parts, _) = request.into_parts();
    if parts.method != Method::GET {
        let error = Error::new(Kind::Validation, "a stream takes GET only");
        return Err(Refusal::http(StatusCode::METHOD_NOT_ALLOWED, "ValidationException", error));
    }
    authorize(gateway, caller, Action::CdpCall, Resource::Session(&place.session))?;
    let who = &caller.principal;
    let Some(what) = what(&place.rest) else { return Err(not_found("there is no such stream").into()) };
    let decoded = percent::decode(&place.browser).unwrap_or_default();
    let key = identifier::key(SessionKind::Browser, &decoded)?;
    gateway.manager().expect_kind(SessionKind::Browser, key)?;
    let id = SessionId::parse(&place.session).ok_or_else(|| not_found("no such session"))?;
    let browser = gateway.manager().browser(who, Some(key), &id).await.map_err(|error| match error.kind {
        Kind::NotFound => not_found(&error.message),
        _ => error,
    })?;
    match what {
        What::Root | What::Page(_) => {
            let target = if let What::Page(target) = what { Some(target) } else { None };
            let asking = Asking::new(gateway, caller, &id, browser.as_ref(), Role::Driver, target);
            upgrade(gateway, caller, &mut parts, browser.as_ref(), asking).await
        }
        What::Version => {
            Ok(version(&browser, &Endpoints::of(gateway.config(), &parts.headers, caller, key, &id)?))
        }
        What::Targets => {
            let endpoints = Endpoints::of(gateway.config(), &parts.headers, caller, key, &id)?;
            let targets = browser.targets().await.map_err(Error::from)?;
            Ok(sessions::json(&listed(targets, &endpoints)))
        }
        What::Protocol => {
            Err(not_offered("the protocol's description: ask a Chromium of the version in json/version"))
        }
    }
}

/// Makes the connection a WebSocket, if the browser lets the client in.
async fn upgrade(
    gateway: &Gateway,
    caller: &Caller,
    parts: &mut Parts,
    browser: &dyn Browser,
    asking: Asking,
) -> Result<Response<Body>, Refusal> {
    let socket = websocket(parts)?;
    let client = asking.connect(browser).await.map_err(|error| {
        // The only thing of a connection that a client chooses is its target.
        if error.kind == Kind::Validation { not_found(&error.message) } else { error }
    })?;
    Ok(serve(gateway, caller, socket, client, asking))
}

/// The WebSocket that a request asks for; refused before anything is connected if it asks for none.
pub(crate) fn websocket(parts: &mut Parts) -> Result<Upgrade, Refusal> {
    websocket::asked(parts).ok_or_else(|| {
        let error = Error::new(
            Kind::Validation,
            "this is a WebSocket that speaks CDP: connect with ws:// (RFC 6455, version 13, HTTP/1.1)",
        );
        Refusal::http(StatusCode::UPGRADE_REQUIRED, "ValidationException", error)
    })
}

/// Joins a WebSocket and a client of the browser, until one of them ends, the server is told to stop, or the caller's key ends.
pub(crate) fn serve(
    gateway: &Gateway,
    caller: &Caller,
    socket: Upgrade,
    client: CdpClient,
    asking: Asking,
) -> Response<Body> {
    let (drained, revoked) = (gateway.drained(), gateway.revoked(caller));
    let cut = async move {
        tokio::select! {
            () = drained => (code::AWAY, "the server is shutting down"),
            () = revoked => (code::POLICY, "the key that opened this connection is good no more"),
        }
    };
    let response = websocket::switched(&socket);
    let mut record = asking.accepted();
    tokio::spawn(async move {
        // The client's part comes first: without one nobody hears of the browser, and the client is dropped.
        match socket.connection.await {
            Ok(connection) => bridge::run(TokioIo::new(connection), client, cut, &mut record).await,
            Err(error) => tracing::debug!(%error, "a connection broke before it was a WebSocket"),
        }
    });
    response
}

/// What `/json/version` of a Chromium says, with the URL that leads back here.
fn version(browser: &Arc<dyn Browser>, endpoints: &Endpoints) -> Response<Body> {
    let engine = browser.engine();
    sessions::json(&json!({
        "Browser": engine.product,
        "Protocol-Version": engine.protocol,
        "User-Agent": engine.user_agent,
        "V8-Version": engine.js_version,
        "WebKit-Version": engine.revision,
        "webSocketDebuggerUrl": endpoints.automation(),
    }))
}

/// The targets, each with the URL under which it is a root of its own.
fn listed(mut targets: Value, endpoints: &Endpoints) -> Value {
    for target in targets.as_array_mut().into_iter().flatten() {
        if let Some(id) = target["id"].as_str() {
            target["webSocketDebuggerUrl"] = endpoints.page(id).into();
        }
    }
    targets
}

/// In the words of the AWS service, which people search for.
fn not_found(why: &str) -> Error {
    Error::new(Kind::NotFound, format!("Required resources not found for session: {why}"))
}

fn not_offered(what: &str) -> Refusal {
    let error = Error::new(Kind::Validation, format!("this server does not offer {what}"));
    Refusal::http(StatusCode::NOT_IMPLEMENTED, "UnknownOperationException", error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_path_is_a_stream() {
        for path in PATHS {
            assert!(route(&path.replace(['{', '}'], "")).is_some(), "{path}");
        }
    }

    fn asked(path: &str) -> Option<String> {
        route(path).map(|place| format!("{:?}", what(&place.rest).unwrap()))
    }

    #[test]
    fn paths_lead_to_streams_with_and_without_a_slash_at_the_end() {
        for (rest, wanted) in [
            ("automation", "Root"),
            ("automation/", "Root"),
            ("automation/json/version", "Version"),
            ("automation/json/version/", "Version"),
            ("automation/json", "Targets"),
            ("automation/json/list", "Targets"),
            ("automation/json/protocol", "Protocol"),
            ("automation/devtools/page/A-1", "Page(\"A-1\")"),
        ] {
            assert_eq!(asked(&format!("/browser-streams/x/sessions/S/{rest}")).as_deref(), Some(wanted));
        }
    }

    #[test]
    fn other_paths_are_none() {
        for path in [
            "/browser-streams/x/sessions/S",
            "/browser-streams//sessions/S/automation",
            "/browser-streams/x/session/S/automation",
            "/browser-streams/x/sessions/S/automationx",
            "/browser-streams/x/sessions/S/automation/devtools/page/",
            "/browser-streams/x/sessions/S/automation/devtools/page/../x",
            "/browser-streams/x/sessions/S/automation/devtools/browser/x",
            "/browsers/x/sessions/S/automation",
        ] {
            assert_eq!(asked(path), None, "{path}");
        }
    }
}
