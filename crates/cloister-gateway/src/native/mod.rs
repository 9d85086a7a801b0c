//! The door for `curl` and for every other language: plain JSON, server-sent events and files over HTTP,
//! under `/v1/`.
//!
//! ```text
//! ROUTES (method, path, handler) ──▶ axum::Router ──▶ sessions · invoke · actions · tasks · files ──▶ SessionManager
//!    └── compared with openapi.json by a test
//! ```

mod actions;
mod browser;
mod disposition;
mod error;
mod files;
mod invoke;
mod live_view;
mod ranges;
pub(crate) mod recording;
mod request;
mod sessions;
mod sse;
mod tasks;
mod view;

use crate::config::GatewayConfig;
use crate::live_view as viewer;
use crate::pages;
use crate::percent;
use crate::state::Gateway;
use axum::routing::{MethodFilter, MethodRouter, on};
use cloister_core::SessionId;

pub(crate) use error::{NativeError, method_not_allowed, not_found, response as error_response};
pub(crate) use request::{Members, session_id};

/// One route: what a client sends, and what answers.
pub(crate) struct Route {
    /// As in the OpenAPI document; `HEAD` comes with every `GET`.
    pub(crate) method: &'static str,
    /// As in the OpenAPI document; `{path}` at the end takes everything that follows.
    pub(crate) path: &'static str,
    handler: fn(MethodFilter) -> MethodRouter<Gateway>,
}

/// Every route that is not an operation of the AWS service.
pub(crate) const ROUTES: &[Route] = &[
    Route { method: "GET", path: "/", handler: |method| on(method, pages::index) },
    Route { method: "GET", path: "/docs", handler: |method| on(method, pages::docs) },
    Route { method: "GET", path: "/openapi.json", handler: |method| on(method, pages::openapi) },
    Route { method: "GET", path: "/version", handler: |method| on(method, pages::version) },
    Route { method: "GET", path: "/healthz", handler: |method| on(method, pages::live) },
    Route { method: "GET", path: "/livez", handler: |method| on(method, pages::live) },
    Route { method: "GET", path: "/readyz", handler: |method| on(method, pages::ready) },
    Route { method: "POST", path: "/v1/sessions", handler: |method| on(method, sessions::start) },
    Route { method: "GET", path: "/v1/sessions", handler: |method| on(method, sessions::list) },
    Route { method: "GET", path: "/v1/sessions/{id}", handler: |method| on(method, sessions::detail) },
    Route { method: "DELETE", path: "/v1/sessions/{id}", handler: |method| on(method, sessions::stop) },
    Route { method: "POST", path: "/v1/sessions/{id}/invoke", handler: |method| on(method, invoke::invoke) },
    Route {
        method: "POST",
        path: "/v1/sessions/{id}/actions",
        handler: |method| on(method, actions::perform),
    },
    Route { method: "PUT", path: "/v1/sessions/{id}/stream", handler: |method| on(method, browser::stream) },
    Route { method: "POST", path: "/v1/sessions/{id}/tasks", handler: |method| on(method, tasks::start) },
    Route { method: "GET", path: "/v1/sessions/{id}/tasks/{task}", handler: |method| on(method, tasks::get) },
    Route {
        method: "DELETE",
        path: "/v1/sessions/{id}/tasks/{task}",
        handler: |method| on(method, tasks::stop),
    },
    Route {
        method: "POST",
        path: "/v1/sessions/{id}/live-view",
        handler: |method| on(method, live_view::link),
    },
    Route { method: "GET", path: LIVE_VIEW, handler: |method| on(method, viewer::page) },
    Route { method: "GET", path: STREAM, handler: |method| on(method, viewer::stream) },
    Route { method: "GET", path: CONTROL, handler: |method| on(method, viewer::show) },
    Route { method: "POST", path: CONTROL, handler: |method| on(method, viewer::control) },
    Route { method: "GET", path: PLAYER, handler: |method| on(method, viewer::recording) },
    Route { method: "GET", path: PLAYER_FRAME, handler: |method| on(method, viewer::recording_frame) },
    Route { method: "GET", path: PLAYER_EVENTS, handler: |method| on(method, viewer::recording_events) },
    Route {
        method: "GET",
        path: "/v1/sessions/{id}/recording",
        handler: |method| on(method, recording::show),
    },
    Route {
        method: "GET",
        path: "/v1/sessions/{id}/recording/frames/{n}",
        handler: |method| on(method, recording::frame),
    },
    Route {
        method: "GET",
        path: "/v1/sessions/{id}/recording/events",
        handler: |method| on(method, recording::events),
    },
    Route { method: "GET", path: "/live-view/{file}", handler: |method| on(method, viewer::asset) },
    Route { method: "GET", path: "/v1/sessions/{id}/files", handler: |method| on(method, files::list) },
    Route { method: "GET", path: FILE, handler: |method| on(method, files::download) },
    Route { method: "PUT", path: FILE, handler: |method| on(method, files::upload) },
    Route { method: "DELETE", path: FILE, handler: |method| on(method, files::remove) },
];

const LIVE_VIEW: &str = "/browser-streams/{browserId}/sessions/{sessionId}/live-view";
const STREAM: &str = "/browser-streams/{browserId}/sessions/{sessionId}/live-view/stream";
const CONTROL: &str = "/browser-streams/{browserId}/sessions/{sessionId}/live-view/control";
const PLAYER: &str = "/browser-streams/{browserId}/sessions/{sessionId}/live-view/recording";
const PLAYER_FRAME: &str = "/browser-streams/{browserId}/sessions/{sessionId}/live-view/recording/frames/{n}";
const PLAYER_EVENTS: &str = "/browser-streams/{browserId}/sessions/{sessionId}/live-view/recording/events";
const FILE: &str = "/v1/sessions/{id}/files/{path}";

/// The routes as axum has them.
pub(crate) fn router() -> axum::Router<Gateway> {
    ROUTES.iter().fold(axum::Router::new(), |router, route| {
        let path = if route.path == FILE { "/v1/sessions/{id}/files/{*path}" } else { route.path };
        router.route(path, (route.handler)(filter(route.method)))
    })
}

fn filter(method: &str) -> MethodFilter {
    match method {
        "POST" => MethodFilter::POST,
        "PUT" => MethodFilter::PUT,
        "DELETE" => MethodFilter::DELETE,
        // With HEAD, which axum answers from it.
        _ => MethodFilter::GET,
    }
}

/// Whether a path belongs to this door, so that its errors are native ones.
pub(crate) fn is_native(path: &str) -> bool {
    path == "/v1"
        || path.starts_with("/v1/")
        || path.starts_with("/live-view/")
        || viewer::place(path).is_some()
        || ROUTES.iter().any(|route| route.path == path)
}

/// Where a session's files are, without a slash at the end.
pub(crate) fn files_url(config: &GatewayConfig, id: &SessionId) -> String {
    format!("{}/v1/sessions/{id}/files", config.public_url)
}

/// Where one file of a session is.
pub(crate) fn file_url(config: &GatewayConfig, id: &SessionId, path: &str) -> String {
    format!("{}/{}", files_url(config, id), percent::encode_path(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agentcore::model::OPERATIONS;

    #[test]
    fn no_route_of_ours_takes_a_path_of_the_aws_service() {
        for operation in OPERATIONS {
            let first = |path: &'static str| path.split('/').nth(1).unwrap_or_default();
            assert!(
                ROUTES.iter().all(|route| first(route.path) != first(operation.uri)),
                "{}",
                operation.name
            );
            assert!(!is_native(operation.uri));
        }
    }
}
