//! The door for `curl` and for every other language: plain JSON, server-sent events and files over HTTP,
//! under `/v1/`.
//!
//! ```text
//! ROUTES (method, path, handler) ──▶ axum::Router ──▶ sessions · snapshots · invoke · actions · tasks · files ──▶ SessionManager
//!    └── compared with openapi.json by a test
//! ```

mod actions;
mod browser;
mod denials;
mod disposition;
mod error;
mod files;
mod invoke;
mod live_view;
mod quotas;
mod ranges;
mod receipt_key;
pub(crate) mod recording;
mod request;
mod sessions;
mod snapshots;
mod sse;
mod tasks;
mod view;

use crate::auth::Action;
use crate::config::GatewayConfig;
use crate::door;
use crate::live_view as viewer;
use crate::pages;
use crate::percent;
use crate::state::Gateway;
use axum::middleware::from_fn;
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
    /// What its caller wants to do; `door.rs` asks whether it may.
    pub(crate) action: Action,
    handler: fn(MethodFilter) -> MethodRouter<Gateway>,
}

/// Every route that is not an operation of the AWS service.
pub(crate) const ROUTES: &[Route] = &[
    Route {
        method: "GET",
        path: "/",
        action: Action::ReadServer,
        handler: |method| on(method, pages::index),
    },
    Route {
        method: "GET",
        path: "/docs",
        action: Action::ReadServer,
        handler: |method| on(method, pages::docs),
    },
    Route {
        method: "GET",
        path: "/openapi.json",
        action: Action::ReadServer,
        handler: |method| on(method, pages::openapi),
    },
    Route {
        method: "GET",
        path: "/version",
        action: Action::ReadServer,
        handler: |method| on(method, pages::version),
    },
    Route {
        method: "GET",
        path: "/healthz",
        action: Action::Public,
        handler: |method| on(method, pages::live),
    },
    Route {
        method: "GET",
        path: "/livez",
        action: Action::Public,
        handler: |method| on(method, pages::live),
    },
    Route {
        method: "GET",
        path: "/readyz",
        action: Action::Public,
        handler: |method| on(method, pages::ready),
    },
    Route {
        method: "GET",
        path: "/v1/quotas",
        action: Action::ReadQuotas,
        handler: |method| on(method, quotas::show),
    },
    Route {
        method: "GET",
        path: "/v1/denials/{denial}",
        action: Action::GetSession,
        handler: |method| on(method, denials::show),
    },
    Route {
        method: "GET",
        path: "/v1/receipt-key",
        action: Action::ReadServer,
        handler: |method| on(method, receipt_key::show),
    },
    Route {
        method: "POST",
        path: "/v1/sessions",
        action: Action::Start,
        handler: |method| on(method, sessions::start),
    },
    Route {
        method: "GET",
        path: "/v1/sessions",
        action: Action::ListSessions,
        handler: |method| on(method, sessions::list),
    },
    Route {
        method: "GET",
        path: "/v1/sessions/{id}",
        action: Action::GetSession,
        handler: |method| on(method, sessions::detail),
    },
    Route {
        method: "DELETE",
        path: "/v1/sessions/{id}",
        action: Action::StopSession,
        handler: |method| on(method, sessions::stop),
    },
    Route {
        method: "POST",
        path: "/v1/sessions/{id}/fork",
        action: Action::Start,
        handler: |method| on(method, snapshots::fork),
    },
    Route {
        method: "POST",
        path: "/v1/sessions/{id}/checkpoint",
        action: Action::Invoke,
        handler: |method| on(method, snapshots::checkpoint),
    },
    Route {
        method: "POST",
        path: "/v1/sessions/{id}/restore",
        action: Action::Invoke,
        handler: |method| on(method, snapshots::restore),
    },
    Route {
        method: "POST",
        path: "/v1/sessions/{id}/invoke",
        action: Action::Invoke,
        handler: |method| on(method, invoke::invoke),
    },
    Route {
        method: "POST",
        path: "/v1/sessions/{id}/actions",
        action: Action::Act,
        handler: |method| on(method, actions::perform),
    },
    Route {
        method: "PUT",
        path: "/v1/sessions/{id}/stream",
        action: Action::ControlBrowser,
        handler: |method| on(method, browser::stream),
    },
    Route {
        method: "POST",
        path: "/v1/sessions/{id}/tasks",
        action: Action::Invoke,
        handler: |method| on(method, tasks::start),
    },
    Route {
        method: "GET",
        path: "/v1/sessions/{id}/tasks/{task}",
        action: Action::GetSession,
        handler: |method| on(method, tasks::get),
    },
    Route {
        method: "DELETE",
        path: "/v1/sessions/{id}/tasks/{task}",
        action: Action::Invoke,
        handler: |method| on(method, tasks::stop),
    },
    Route {
        method: "POST",
        path: "/v1/sessions/{id}/live-view",
        action: Action::ViewLive,
        handler: |method| on(method, live_view::link),
    },
    Route {
        method: "GET",
        path: LIVE_VIEW,
        action: Action::ViewLive,
        handler: |method| on(method, viewer::page),
    },
    Route {
        method: "GET",
        path: STREAM,
        action: Action::ViewLive,
        handler: |method| on(method, viewer::stream),
    },
    Route {
        method: "GET",
        path: CONTROL,
        action: Action::ViewLive,
        handler: |method| on(method, viewer::show),
    },
    Route {
        method: "POST",
        path: CONTROL,
        action: Action::ControlBrowser,
        handler: |method| on(method, viewer::control),
    },
    Route {
        method: "GET",
        path: PLAYER,
        action: Action::ViewLive,
        handler: |method| on(method, viewer::recording),
    },
    Route {
        method: "GET",
        path: PLAYER_FRAME,
        action: Action::ViewLive,
        handler: |method| on(method, viewer::recording_frame),
    },
    Route {
        method: "GET",
        path: PLAYER_EVENTS,
        action: Action::ViewLive,
        handler: |method| on(method, viewer::recording_events),
    },
    Route {
        method: "GET",
        path: "/v1/sessions/{id}/recording",
        action: Action::ViewLive,
        handler: |method| on(method, recording::show),
    },
    Route {
        method: "GET",
        path: "/v1/sessions/{id}/recording/frames/{n}",
        action: Action::ViewLive,
        handler: |method| on(method, recording::frame),
    },
    Route {
        method: "GET",
        path: "/v1/sessions/{id}/recording/events",
        action: Action::ViewLive,
        handler: |method| on(method, recording::events),
    },
    Route {
        method: "GET",
        path: "/live-view/{file}",
        action: Action::Public,
        handler: |method| on(method, viewer::asset),
    },
    Route {
        method: "GET",
        path: "/v1/sessions/{id}/files",
        action: Action::DownloadFile,
        handler: |method| on(method, files::list),
    },
    Route {
        method: "GET",
        path: FILE,
        action: Action::DownloadFile,
        handler: |method| on(method, files::download),
    },
    Route {
        method: "PUT",
        path: FILE,
        action: Action::UploadFile,
        handler: |method| on(method, files::upload),
    },
    Route {
        method: "DELETE",
        path: FILE,
        action: Action::UploadFile,
        handler: |method| on(method, files::remove),
    },
];

const LIVE_VIEW: &str = "/browser-streams/{browserId}/sessions/{sessionId}/live-view";
const STREAM: &str = "/browser-streams/{browserId}/sessions/{sessionId}/live-view/stream";
const CONTROL: &str = "/browser-streams/{browserId}/sessions/{sessionId}/live-view/control";
const PLAYER: &str = "/browser-streams/{browserId}/sessions/{sessionId}/live-view/recording";
const PLAYER_FRAME: &str = "/browser-streams/{browserId}/sessions/{sessionId}/live-view/recording/frames/{n}";
const PLAYER_EVENTS: &str = "/browser-streams/{browserId}/sessions/{sessionId}/live-view/recording/events";
const FILE: &str = "/v1/sessions/{id}/files/{path}";

/// The routes as axum has them.
pub(crate) fn router(gateway: &Gateway) -> axum::Router<Gateway> {
    ROUTES.iter().fold(axum::Router::new(), |router, route| {
        let path = if route.path == FILE { "/v1/sessions/{id}/files/{*path}" } else { route.path };
        let (action, gateway) = (route.action, gateway.clone());
        let permit = from_fn(move |request, next| door::permit(gateway.clone(), action, request, next));
        router.route(path, (route.handler)(filter(route.method)).route_layer(permit))
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
