//! What is a browser's in native requests and answers: the start, the detail, and the stream's status.

use super::error::NativeError;
use super::request::{Members, read, session_id};
use crate::agentcore::Endpoints;
use crate::auth::Caller;
use crate::config::GatewayConfig;
use crate::json::Json as Given;
use crate::state::Gateway;
use axum::Json;
use axum::extract::{Extension, Path, Request, State};
use axum::http::HeaderMap;
use cloister_core::Principal;
use cloister_core::SessionId;
use cloister_core::browser::{Engine, Proxies, StartBrowser, StreamStatus, UpstreamProxy, Viewport};
use cloister_core::error::Error;
use cloister_core::session::BrowserDetail;
use serde_json::{Value, json};

/// Most proxies, and most patterns of one list, as at the AWS service.
const PROXIES: usize = 5;
const PATTERNS: usize = 100;

/// The words for the stream's status.
const STATUSES: &[(&str, StreamStatus)] =
    &[("enabled", StreamStatus::Enabled), ("disabled", StreamStatus::Disabled)];

/// The member `browser` of a start: `{"viewport": {"width", "height"}, "proxies": […], "bypass": […]}`.
pub(super) fn start(members: &Members<'_>) -> Option<StartBrowser> {
    let given = members.json().get("browser")?;
    only(members, "browser", given, &["viewport", "proxies", "bypass"]);
    let upstream = list(members, "browser.proxies", given.get("proxies"), PROXIES);
    let upstream: Vec<_> = upstream.iter().enumerate().map(|(at, one)| proxy(members, at, one)).collect();
    let bypass = patterns(members, "browser.bypass", given.get("bypass"));
    Some(StartBrowser { viewport: viewport(members, given), proxies: Proxies { upstream, bypass } })
}

fn viewport(members: &Members<'_>, given: &Given<'_>) -> Viewport {
    let Some(given) = given.get("viewport") else { return Viewport::default() };
    only(members, "browser.viewport", given, &["width", "height"]);
    let side = |name: &str, least: u32, most: u32| {
        let side = given.get(name).and_then(Given::as_u64).and_then(|n| u32::try_from(n).ok());
        side.filter(|n| (least..=most).contains(n)).unwrap_or_else(|| {
            let message = format!("must be a whole number from {least} to {most}");
            members.bad(&format!("browser.viewport.{name}"), message);
            least
        })
    };
    Viewport { width: side("width", 320, 3840), height: side("height", 240, 2160) }
}

fn proxy(members: &Members<'_>, at: usize, given: &Given<'_>) -> UpstreamProxy {
    let path = format!("browser.proxies[{at}]");
    only(members, &path, given, &["server", "port", "domains"]);
    let server = given.get("server").and_then(Given::as_str).unwrap_or_default();
    if !(1..=253).contains(&server.len())
        || !server.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
    {
        members.bad(&format!("{path}.server"), "must be a host name or an IPv4 address");
    }
    let port = given.get("port").and_then(Given::as_u64).and_then(|n| u16::try_from(n).ok()).unwrap_or(0);
    if port == 0 {
        members.bad(&format!("{path}.port"), "must be a whole number from 1 to 65535");
    }
    let domains = patterns(members, &format!("{path}.domains"), given.get("domains"));
    UpstreamProxy { server: server.to_owned(), port, domains }
}

fn patterns(members: &Members<'_>, path: &str, given: Option<&Given<'_>>) -> Vec<String> {
    let plain = |text: &str| {
        let domain = text.strip_prefix('.').unwrap_or(text);
        (1..=253).contains(&domain.len())
            && domain.split('.').all(|label| {
                !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            })
    };
    let list = list(members, path, given, PATTERNS);
    let found: Vec<_> = list.iter().filter_map(Given::as_str).filter(|text| plain(text)).collect();
    if found.len() != list.len() {
        members.bad(path, "must hold domains: example.com is exactly that, .example.com its subdomains");
    }
    found.into_iter().map(str::to_owned).collect()
}

fn list<'a>(members: &Members<'_>, path: &str, given: Option<&'a Given<'a>>, most: usize) -> &'a [Given<'a>] {
    match given {
        None => &[],
        Some(Given::Array(entries)) if entries.len() <= most => entries,
        Some(_) => {
            members.bad(path, format!("must be a list of at most {most} entries"));
            &[]
        }
    }
}

/// Notes what is no object, and every member that is not known.
fn only(members: &Members<'_>, path: &str, given: &Given<'_>, names: &[&str]) {
    let Given::Object(given) = given else {
        return members.bad(path, format!("must be an object, and it is {}", given.kind()));
    };
    for (name, _) in given.iter().filter(|(name, _)| !names.contains(&name.as_ref())) {
        let shown: String = name.chars().take(100).collect();
        members.bad(&format!("{path}.{shown}"), format!("is unknown; known here are {}", names.join(", ")));
    }
}

/// A live browser session's browser, and where its streams are.
pub(super) fn detail(
    config: &GatewayConfig,
    headers: &HeaderMap,
    caller: &Caller,
    key: &str,
    id: &SessionId,
    browser: &BrowserDetail,
) -> Result<Value, Error> {
    let BrowserDetail { asked: StartBrowser { viewport, proxies }, engine, stream } = browser;
    let Engine { product, user_agent, protocol, js_version, revision } = engine;
    let endpoints = Endpoints::of(config, headers, caller, key, id)?;
    let proxy = |p: &UpstreamProxy| json!({ "server": p.server, "port": p.port, "domains": p.domains });
    Ok(json!({
        "viewport": { "width": viewport.width, "height": viewport.height },
        "proxies": proxies.upstream.iter().map(proxy).collect::<Vec<_>>(),
        "bypass": proxies.bypass,
        "engine": {
            "product": product,
            "userAgent": user_agent,
            "protocol": protocol,
            "jsVersion": js_version,
            "revision": revision,
        },
        "stream": status(*stream),
        "automation": endpoints.automation(),
        "liveView": endpoints.live_view,
    }))
}

/// `PUT /v1/sessions/{id}/stream`: closes automation clients out, or lets them in again.
pub(super) async fn stream(
    State(gateway): State<Gateway>,
    Extension(who): Extension<Principal>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<Value>, NativeError> {
    let (parts, body) = request.into_parts();
    let id = session_id(&id)?;
    let held = read(&gateway, &parts, body).await?;
    let members = Members::of(&held, &["status"])?;
    let wanted = members.choice("status", STATUSES);
    if !members.has("status") {
        members.bad("status", "must be there: enabled or disabled");
    }
    members.finish()?;
    let browser = gateway.manager().browser(&who, None, &id).await?;
    if let Some(wanted) = wanted {
        browser.set_stream(wanted);
    }
    Ok(Json(json!({ "status": status(browser.stream()) })))
}

fn status(status: StreamStatus) -> &'static str {
    match status {
        StreamStatus::Enabled => "enabled",
        StreamStatus::Disabled => "disabled",
    }
}
