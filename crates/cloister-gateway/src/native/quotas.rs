//! `/v1/quotas`: what a caller and its tenant have used, and what they may.

use crate::state::Gateway;
use axum::Json;
use axum::extract::{Extension, State};
use cloister_core::Principal;
use serde_json::{Value, json};

/// `GET /v1/quotas`
pub(super) async fn show(
    State(gateway): State<Gateway>,
    Extension(who): Extension<Principal>,
) -> Json<Value> {
    let uses = gateway.manager().uses(&who);
    let quotas: Vec<_> = uses
        .iter()
        .map(|found| {
            json!({
                "quota": found.quota.name(),
                "of": found.scope.name(),
                "used": found.used,
                "limit": found.limit,
                "windowSeconds": found.quota.window().map(|window| window.as_secs()),
            })
        })
        .collect();
    Json(json!({ "tenant": who.tenant, "name": who.name, "quotas": quotas }))
}
