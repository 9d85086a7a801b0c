//! What the server says about itself: health, version, the OpenAPI document and a page that shows it without
//! any other file.

mod docs;

pub(crate) use docs::escape;

use crate::state::Gateway;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{Html, IntoResponse};
use serde_json::{Value, json};

/// The OpenAPI document. Written by hand; tests compare its paths with the routes of both doors.
pub(crate) const OPENAPI: &str = include_str!("openapi.json");

/// Pages have no scripts and load nothing, so nothing is allowed but their own style.
const PAGE: [(HeaderName, &str); 1] = [(
    header::CONTENT_SECURITY_POLICY,
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
)];

/// `GET /healthz` and `GET /livez`: the process answers.
pub(crate) async fn live() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// `GET /readyz`: new requests are taken.
pub(crate) async fn ready(State(gateway): State<Gateway>) -> (StatusCode, Json<Value>) {
    if gateway.is_draining() || gateway.manager().counts().draining {
        return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": "draining" })));
    }
    (StatusCode::OK, Json(json!({ "status": "ready" })))
}

/// `GET /version`
pub(crate) async fn version(State(gateway): State<Gateway>) -> Json<Value> {
    let version = &gateway.config().version;
    Json(json!({ "name": "cloister", "version": version.version, "commit": version.commit }))
}

/// `GET /openapi.json`
pub(crate) async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI)
}

/// `GET /docs`
pub(crate) async fn docs() -> impl IntoResponse {
    (PAGE, Html(docs::page()))
}

/// `GET /`
pub(crate) async fn index(State(gateway): State<Gateway>) -> impl IntoResponse {
    let counts = gateway.manager().counts();
    (PAGE, Html(docs::index(&gateway.config().version.version, counts.ready, counts.running)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{agentcore, native};
    use std::collections::BTreeSet;

    fn document() -> Value {
        serde_json::from_str(OPENAPI).unwrap()
    }

    #[test]
    fn every_route_is_in_the_document_and_every_path_of_the_document_is_a_route() {
        let mut documented = BTreeSet::new();
        for (path, item) in document()["paths"].as_object().unwrap() {
            for method in
                item.as_object().unwrap().keys().filter(|key| *key != "parameters" && *key != "head")
            {
                documented.insert((method.to_uppercase(), path.clone()));
            }
        }
        let native = native::ROUTES.iter().map(|route| (route.method.to_owned(), route.path.to_owned()));
        let aws = agentcore::ROWS.iter().map(|row| (row.method.to_owned(), row.uri.to_owned()));
        let streams = agentcore::STREAMS.iter().map(|path| ("GET".to_owned(), (*path).to_owned()));
        assert_eq!(documented, native.chain(aws).chain(streams).collect::<BTreeSet<_>>());
    }

    #[test]
    fn every_operation_has_a_summary_a_success_and_an_error() {
        for (path, item) in document()["paths"].as_object().unwrap() {
            for (method, operation) in
                item.as_object().unwrap().iter().filter(|(key, _)| *key != "parameters")
            {
                assert!(operation["summary"].is_string(), "{method} {path}");
                let responses = operation["responses"].as_object().unwrap();
                // A WebSocket's success is that it is one.
                let success = |status: &String| status.starts_with('2') || status == "101";
                assert!(responses.keys().any(success), "{method} {path}");
                assert!(!path.starts_with("/v1/") || responses.contains_key("default"), "{method} {path}");
            }
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document();
        let mut open = vec![&document];
        while let Some(value) = open.pop() {
            match value {
                Value::Object(members) => {
                    if let Some(Value::String(reference)) = members.get("$ref") {
                        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
                    }
                    open.extend(members.values());
                }
                Value::Array(entries) => open.extend(entries),
                _ => {}
            }
        }
    }

    #[test]
    fn the_page_shows_every_path_and_loads_nothing() {
        let page = docs::page();
        for path in document()["paths"].as_object().unwrap().keys() {
            assert!(page.contains(&docs::escape(path)), "{path}");
        }
        for outside in ["=\"http", "='http", "src=", "<script", "@import", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
    }
}
