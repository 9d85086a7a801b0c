//! The page of the live view and its files: no script or style of anybody else, and nobody else's frame around it.

use super::access::Access;
use super::held;
use crate::agentcore::identifier;
use crate::auth::Caller;
use crate::native::NativeError;
use crate::percent::{decode_query, encode_path};
use crate::state::Gateway;
use crate::wire_error::Refusal;
use axum::body::Body;
use axum::extract::{Extension, Path, RawQuery, State};
use axum::http::{HeaderName, Response, header};
use axum::response::{Html, IntoResponse};
use cloister_core::error::{Error, Kind};
use cloister_core::session::SessionKind;
use cloister_core::{Principal, SessionId};

/// The page, with `{{names}}` for what differs.
const INDEX: &str = include_str!("page/index.html");

/// The page of a recording.
const PLAYER: &str = include_str!("page/player.html");

/// Every file that the pages load: name, type, text.
const FILES: [(&str, &str, &str); 8] = [
    ("main.js", SCRIPT, include_str!("page/main.js")),
    ("cdp.js", SCRIPT, include_str!("page/cdp.js")),
    ("dialogs.js", SCRIPT, include_str!("page/dialogs.js")),
    ("input.js", SCRIPT, include_str!("page/input.js")),
    ("player.js", SCRIPT, include_str!("page/player.js")),
    ("screen.js", SCRIPT, include_str!("page/screen.js")),
    ("tabs.js", SCRIPT, include_str!("page/tabs.js")),
    ("style.css", "text/css; charset=utf-8", include_str!("page/style.css")),
];
const SCRIPT: &str = "text/javascript; charset=utf-8";
const FOLDER: &str = "/live-view/";

/// The page shows what a hostile page has drawn: as pixels only, and this is the second wall behind that. The opener policy
/// keeps a page that has linked here from holding a handle to the window.
const HEADERS: [(HeaderName, &str); 2] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data: blob:; \
         frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// Whether a path is one of the page's files. They are the same for everybody and need no credential: who opens a signed link
/// has none to send with them.
pub(crate) fn is_asset(path: &str) -> bool {
    path.strip_prefix(FOLDER).is_some_and(|name| FILES.iter().any(|(file, ..)| *file == name))
}

/// `GET /live-view/{file}`
pub(crate) async fn asset(Path(name): Path<String>) -> Response<Body> {
    match FILES.iter().find(|(file, ..)| *file == name) {
        Some((_, mime, text)) => ([(header::CONTENT_TYPE, *mime)], *text).into_response(),
        None => crate::native::not_found(),
    }
}

/// `GET /browser-streams/{browserId}/sessions/{sessionId}/live-view`
pub(crate) async fn page(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Extension(access): Extension<Access>,
    Path((browser, id)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Response<Body> {
    let pairs = decode_query(query.as_deref().unwrap_or_default()).unwrap_or_default();
    let replay = pairs.iter().any(|(name, value)| name == "show" && value == "recording");
    match opened(&gateway, &caller, access, &browser, &id, replay).await {
        Ok(text) => (HEADERS, Html(text)).into_response(),
        Err(error) => refused(&error.into_refusal()),
    }
}

async fn opened(
    gateway: &Gateway,
    caller: &Caller,
    access: Access,
    browser: &str,
    id: &str,
    replay: bool,
) -> Result<String, NativeError> {
    let (who, key) = (&caller.principal, identifier::key(SessionKind::Browser, browser)?);
    let id = crate::native::session_id(id)?;
    // The recording of a session that has ended is what is left to see.
    let gone = gateway.manager().browser(who, Some(key), &id).await.err();
    let recorded = is_recorded(gateway, who, &id).await?;
    let replay = recorded && (replay || gone.is_some());
    if let Some(gone) = gone.filter(|_| !replay) {
        return Err(gone.into());
    }
    let held = held(gateway, caller, &id, access.rights)
        .ok_or_else(|| Error::internal("the page could not be made", "its access could not be signed"))?;
    let place = place_url("", browser, &id);
    let recording = format!("{place}/recording");
    if replay {
        let values = [("session", id.as_str()), ("recording", &recording), ("access", &held)];
        return Ok(filled(PLAYER, &values));
    }
    let recording = if recorded { recording.as_str() } else { "" };
    Ok(filled(
        INDEX,
        &[
            ("session", id.as_str()),
            ("recording", recording),
            ("stream", &format!("{place}/stream")),
            ("control", &format!("{place}/control")),
            ("access", &held),
            ("role", access.rights.word()),
        ],
    ))
}

/// Whether there is a recording of a session.
pub(crate) async fn is_recorded(gateway: &Gateway, who: &Principal, id: &SessionId) -> Result<bool, Error> {
    let session = id.clone();
    match gateway.manager().recording(who, None, id, move |all| all.contains(&session)).await {
        Ok(()) => Ok(true),
        Err(error) if error.kind == Kind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Where a session's live view is; `root` is the server's URL, or empty.
pub(crate) fn place_url(root: &str, browser: &str, id: &SessionId) -> String {
    format!("{root}/browser-streams/{}/sessions/{id}/live-view", encode_path(browser).replace('/', "%2F"))
}

/// The page with its values. Each is escaped: an identifier is a client's text.
fn filled(page: &str, values: &[(&str, &str)]) -> String {
    values.iter().fold(page.to_owned(), |page, (name, value)| {
        page.replace(&format!("{{{{{name}}}}}"), &crate::pages::escape(value))
    })
}

/// A refusal for people: why there is no live view, and what to do.
pub(crate) fn refused(refusal: &Refusal) -> Response<Body> {
    refusal.log();
    let text = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>No live view</title><link rel=\"icon\" href=\"data:,\"><link rel=\"stylesheet\" href=\"/live-view/style.css\"></head>\
         <body><main class=\"refused\"><h1>No live view</h1><p>{}</p></main></body></html>",
        crate::pages::escape(&refusal.error.message)
    );
    let mut response = (HEADERS, Html(text)).into_response();
    *response.status_mut() = refusal.status();
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::StatusCode;

    #[test]
    fn the_page_loads_its_own_files_only_and_every_file_is_loaded() {
        let texts: String = FILES.iter().map(|(_, _, text)| *text).chain([INDEX, PLAYER]).collect();
        for (name, ..) in FILES {
            let loaded = texts.contains(&format!("'./{name}'"))
                || [INDEX, PLAYER].iter().any(|page| page.contains(&format!("\"{FOLDER}{name}\"")));
            assert!(loaded && is_asset(&format!("{FOLDER}{name}")), "{name}");
        }
        for outside in [
            "http://",
            "https://www",
            "//cdn",
            "@import",
            "url(",
            "eval(",
            "innerHTML",
            " style=",
            "onclick=",
        ] {
            assert!(!texts.contains(outside), "{outside}");
        }
        assert!(!is_asset("/live-view/index.html") && !is_asset("/live-view/../main.js"));
    }

    #[test]
    fn every_value_of_the_page_is_filled_in_and_escaped() {
        let hostile = "\"><script>";
        let live = ["session", "stream", "control", "access", "role", "recording"];
        for (page, names) in [(INDEX, &live[..]), (PLAYER, &["session", "recording", "access"])] {
            let values: Vec<_> = names.iter().map(|name| (*name, hostile)).collect();
            let page = filled(page, &values);
            assert!(!page.contains("{{") && !page.contains(hostile));
            assert_eq!(page.matches("&quot;&gt;&lt;script&gt;").count(), names.len());
        }
    }

    #[test]
    fn a_refusal_is_a_page_with_its_status_and_its_reason() {
        let error = Error::new(cloister_core::Kind::AccessDenied, "this <link> has expired");
        let response = refused(&error.into());
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        assert!(response.headers()[header::CONTENT_TYPE].to_str().unwrap().starts_with("text/html"));
        assert!(response.headers().contains_key(header::CONTENT_SECURITY_POLICY));
    }
}
