//! Keeps web pages out of a server on localhost: names of the server, origins of pages, and what browsers say
//! about a request.
//!
//! | attack | stopped by |
//! |---|---|
//! | a page's name is rebound to 127.0.0.1 | Host must be a loopback name or listed |
//! | `fetch('http://localhost:8000/…')`, forms, `<img>` | Origin must be listed; Sec-Fetch-Site must not be another site |
//! | a page opens the WebSocket of a live view | Origin must be this server's own: only its own page may |
//! | a second Host header or an absolute request line that disagrees | exactly one Host, equal to the one of the request line |
//!
//! There are no CORS headers on any answer, so no preflight ever succeeds.

use crate::config::GatewayConfig;
use crate::live_view::{self, Place};
use crate::wire_error::Refusal;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use cloister_core::error::{Error, Kind};
use std::net::IpAddr;

/// Refuses a request that does not come from a client of this server.
pub(crate) fn check(
    config: &GatewayConfig,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<(), Refusal> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().map_err(|_| misdirected())?,
        _ => return Err(misdirected()),
    };
    if uri.authority().is_some_and(|authority| authority.as_str() != host) {
        return Err(misdirected());
    }
    if !is_allowed_host(config, host) {
        return Err(misdirected());
    }
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let place = live_view::place(uri.path()).map(|(place, _)| place);
    // Browsers send it with a WebSocket, with a POST, and with scripts that are modules.
    let own_page = place.is_some() || live_view::is_asset(uri.path());
    let is_allowed = |origin: &HeaderValue| {
        config.allowed_origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes())
            || (own_page && is_own(origin, host))
    };
    if origins.any(|origin| !is_allowed(origin)) {
        return Err(foreign_page());
    }
    if headers.contains_key(header::ORIGIN) {
        return Ok(());
    }
    let site = headers.get("sec-fetch-site").map_or(b"none".as_slice(), |v| v.as_bytes());
    if site == b"none" || site == b"same-origin" {
        return Ok(());
    }
    // A link from another page to the documentation or to a live view is fine: the page that opens is ours, and the
    // other one cannot read it, frame it, or hold its window.
    let navigation = headers.get("sec-fetch-mode").is_some_and(|v| v == "navigate");
    let is_page = matches!(uri.path(), "/" | "/docs") || place == Some(Place::Page);
    if navigation && method == Method::GET && is_page {
        return Ok(());
    }
    Err(foreign_page())
}

/// Whether an origin is this server as the request names it. Host has been checked, so no rebound name passes.
fn is_own(origin: &HeaderValue, host: &str) -> bool {
    let origin = origin.to_str().unwrap_or_default();
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
}

/// Whether a Host header (`name`, `name:port`, `[v6]:port`) names this server.
fn is_allowed_host(config: &GatewayConfig, host: &str) -> bool {
    let Some(name) = name_of(host) else { return false };
    if let Ok(address) = name.parse::<IpAddr>() {
        return address.is_loopback() || config.allowed_hosts.iter().any(|allowed| allowed == name);
    }
    name.eq_ignore_ascii_case("localhost")
        || config.allowed_hosts.iter().any(|a| a.eq_ignore_ascii_case(name))
}

/// The name in a Host header, without brackets and port.
fn name_of(host: &str) -> Option<&str> {
    let (name, rest) = match host.strip_prefix('[') {
        Some(inner) => inner.split_once(']')?,
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let port_is_fine = match rest.strip_prefix(':') {
        Some(port) => !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()),
        None => rest.is_empty(),
    };
    (port_is_fine && !name.is_empty()).then_some(name)
}

fn misdirected() -> Refusal {
    let error = Error::new(
        Kind::AccessDenied,
        "the Host header does not name this server; use localhost or a loopback address, or add the name to allowed_hosts",
    );
    Refusal::http(StatusCode::MISDIRECTED_REQUEST, "AccessDeniedException", error)
}

fn foreign_page() -> Refusal {
    Error::new(
        Kind::AccessDenied,
        "requests from web pages are refused unless their origin is in allowed_origins",
    )
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(pairs: &[(&'static str, &str)], path: &str) -> u16 {
        let mut config = GatewayConfig::new([0; 32]);
        config.allowed_hosts = vec!["cloister.example.com".into(), "192.0.2.7".into()];
        config.allowed_origins = vec!["https://console.example.com".into()];
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        match check(&config, &Method::GET, &path.parse().unwrap(), &headers) {
            Ok(()) => 200,
            Err(refusal) => refusal.status().as_u16(),
        }
    }

    #[test]
    fn loopback_names_and_listed_names_pass_with_any_port() {
        for host in [
            "localhost",
            "LOCALHOST:80",
            "127.0.0.1:8000",
            "127.9.9.9",
            "[::1]:8000",
            "[::1]",
            "cloister.example.com:1",
            "192.0.2.7",
        ] {
            assert_eq!(status(&[("host", host)], "/healthz"), 200, "{host}");
        }
    }

    #[test]
    fn every_other_name_is_misdirected() {
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "0.0.0.0",
            "[::]",
            "",
            ":80",
            "localhost:",
            "localhost:80x",
            "localhost:80:80",
            "[::1",
            "[::1]x",
            "xcloister.example.com",
            "2130706433",
        ] {
            assert_eq!(status(&[("host", host)], "/healthz"), 421, "{host:?}");
        }
        assert_eq!(status(&[], "/"), 421);
        assert_eq!(status(&[("host", "localhost"), ("host", "localhost")], "/"), 421);
        assert_eq!(status(&[("host", "localhost")], "http://evil.example/"), 421);
    }

    #[test]
    fn pages_of_other_origins_are_refused() {
        let host = ("host", "localhost");
        for origin in [
            "http://evil.example",
            "null",
            "http://localhost:3000",
            "https://console.example.com.evil.example",
        ] {
            assert_eq!(status(&[host, ("origin", origin)], "/v1/sessions"), 403, "{origin}");
        }
        assert_eq!(status(&[host, ("origin", "https://console.example.com")], "/v1/sessions"), 200);
        assert_eq!(status(&[host, ("sec-fetch-site", "cross-site")], "/v1/sessions"), 403);
        assert_eq!(status(&[host, ("sec-fetch-site", "same-site")], "/v1/sessions"), 403);
        assert_eq!(
            status(&[host, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")], "/docs"),
            200
        );
        assert_eq!(
            status(&[host, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")], "/v1/sessions"),
            403
        );
        assert_eq!(status(&[host, ("sec-fetch-site", "same-origin")], "/v1/sessions"), 200);
    }

    #[test]
    fn the_live_view_is_open_to_its_own_page_and_to_links_only() {
        let (host, base) = (("host", "localhost:8000"), "/browser-streams/b/sessions/s/live-view");
        let own = ("origin", "http://localhost:8000");
        let link = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")];
        for (rest, followed) in [("", 200), ("/stream", 403), ("/control", 403)] {
            let path = format!("{base}{rest}");
            assert_eq!(status(&[host, own], &path), 200, "{path}");
            assert_eq!(status(&[host, ("origin", "https://localhost:8000")], &path), 200, "{path}");
            assert_eq!(status(&[host, link[0], link[1]], &path), followed, "{path}");
            for foreign in
                ["http://localhost:3000", "http://evil.example", "null", "http://localhost", "localhost:8000"]
            {
                assert_eq!(status(&[host, ("origin", foreign)], &path), 403, "{foreign} {path}");
            }
        }
        assert_eq!(status(&[host, own], "/live-view/main.js"), 200);
        assert_eq!(status(&[host, ("origin", "http://evil.example")], "/live-view/main.js"), 403);
        assert_eq!(status(&[host, own], "/browser-streams/b/sessions/s/automation"), 403);
        assert_eq!(status(&[host, own], "/v1/sessions"), 403);
    }
}
