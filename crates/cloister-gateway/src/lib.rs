//! The HTTP doors of cloister: the AgentCore-compatible API for AWS clients, and a native JSON API beside it.
//!
//! ```text
//!                         ┌─ agentcore/  PUT /code-interpreters/{id}/sessions/start …   event streams, AWS errors
//! TCP ─ serve ─ door ─────┤                                                                      ├──▶ SessionManager
//!        (limits) (host,  ├─ native/     /v1/sessions …                        JSON, SSE, files  │
//!                  auth)  ├─ live_view/  …/sessions/{id}/live-view             a page for people   │
//!                         └─ pages/      /healthz /readyz /version /openapi.json /docs
//! ```
//!
//! INVARIANT: this is the only crate that knows HTTP or AWS names. Bad requests end here and never reach a
//! worker.
#![forbid(unsafe_code)]

pub mod agentcore;
mod answer;
mod auth;
mod body;
mod config;
mod cursor;
mod door;
mod fingerprint;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod guest_path;
mod host_check;
mod json;
mod live_view;
mod mime;
mod native;
mod pages;
mod peer;
mod percent;
mod serve;
mod socket;
mod state;
mod steps;
mod timestamp;
mod wire_error;

pub use auth::{Access, AccessMode, Action, Authorizer, ByRole, Decision, Details, Query, Refused, Resource};
pub use auth::{Auth, BadKeySet, Grant, Issuer, IssuerSettings, Keys, Role, SigningKey, Tenant};
pub use config::{GatewayConfig, Version};
pub use peer::{Relayed, RelayedConnection};
pub use serve::serve;
pub use state::Gateway;
pub use timestamp::iso8601;

use cloister_core::session::manager::SessionManager;
use std::sync::Arc;

/// Every route and operation as method, path and what its caller wants to do, as the first question about it says.
pub fn routes() -> Vec<(&'static str, &'static str, Action)> {
    let native = native::ROUTES.iter().map(|route| (route.method, route.path, route.action));
    native.chain(agentcore::routes()).collect()
}

/// Both doors as one axum router, for embedding. [`serve`] adds what only a connection can have: timeouts,
/// limits of the head, and a graceful end.
pub fn router(manager: Arc<SessionManager>, config: GatewayConfig) -> axum::Router {
    gateway_router(Gateway::new(manager, config))
}

fn gateway_router(gateway: Gateway) -> axum::Router {
    native::router(&gateway)
        .fallback(agentcore::dispatch)
        .method_not_allowed_fallback(native::method_not_allowed)
        .layer(axum::extract::DefaultBodyLimit::disable())
        .layer(axum::middleware::from_fn_with_state(gateway.clone(), door::pass))
        .with_state(gateway)
}
