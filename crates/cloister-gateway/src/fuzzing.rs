//! Readers of foreign bytes as functions of bytes, for `tests/fuzz` and cargo-fuzz. Each fails where a promise about its result does not
//! hold; that a reader may refuse is no failure.

pub use crate::agentcore::fuzzing::{event_stream, websocket};
pub use crate::auth::fuzzing::signature;

use crate::config::GatewayConfig;
use crate::json::Json;
use crate::{host_check, percent};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use std::net::IpAddr;

/// Headers from lines `name: value`, as far as they are headers.
pub(crate) fn headers<'a>(lines: impl Iterator<Item = &'a str>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            headers.append(name, value);
        }
    }
    headers
}

/// `METHOD target` and headers: whoever is let through named this machine, or nothing at all lets him through.
pub fn host(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.lines();
    let (method, target) = lines.next().and_then(|line| line.split_once(' ')).unwrap_or(("GET", "/"));
    let (Ok(method), Ok(uri)) = (method.parse::<Method>(), target.parse::<Uri>()) else { return };
    let headers = headers(lines);
    if host_check::check(&GatewayConfig::new([7; 32]), &method, &uri, &headers).is_ok() {
        let hosts: Vec<_> = headers.get_all("host").iter().collect();
        assert_eq!(hosts.len(), 1, "exactly one Host");
        let host = hosts[0].to_str().unwrap_or_default().to_ascii_lowercase();
        let name = match host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => host.split(':').next().unwrap_or_default(),
        };
        let loopback = name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        assert!(loopback || name == "localhost", "{host} is let through");
    }
}

/// What the strict reader takes, every reader takes, and as the same text.
pub fn json(data: &[u8]) {
    let Ok(read) = Json::parse(data) else { return };
    let other = serde_json::from_slice::<serde_json::Value>(data);
    assert!(other.is_ok(), "the strict reader takes what another refuses");
    if let (Some(text), Ok(other)) = (read.as_str(), other) {
        assert_eq!(other.as_str(), Some(text));
    }
}

/// What is decoded and encoded again decodes to the same.
pub fn query(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some(pairs) = percent::decode_query(text) else { return };
    let again: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", percent::encode_query(name), percent::encode_query(value)))
        .collect();
    assert_eq!(percent::decode_query(&again.join("&")), Some(pairs));
}
