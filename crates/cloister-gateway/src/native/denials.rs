//! `GET /v1/denials/{denial}`: what was refused, by which rule, and what would allow it. For whoever was refused it, and nobody else.

use super::error::{self, NativeError};
use crate::state::Gateway;
use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::response::{IntoResponse, Response};
use cloister_core::Principal;
use cloister_core::audit::Audit as _;
use cloister_core::denial::DenialId;
use cloister_core::error::{Error, Kind};
use std::sync::Arc;

/// The handler.
pub(super) async fn show(
    State(gateway): State<Gateway>,
    Extension(who): Extension<Principal>,
    Path(text): Path<String>,
) -> Result<Response, NativeError> {
    // One answer for what never was, what is somebody else's and what is too long ago.
    let none = || Error::new(Kind::NotFound, "no such denial; its id stands in the text of what was refused");
    let id = DenialId::parse(&text).ok_or_else(none)?;
    let desk = Arc::clone(gateway.manager().desk());
    // One at a time: each may read files, and the ids of others' requests must not make this server read without end.
    let _turn = gateway.look_up().await;
    let found = tokio::task::spawn_blocking(move || desk.denial(&id)).await;
    let found = found.map_err(|error| Error::internal("the denial could not be looked up", error))?;
    let noted = found
        .map_err(|error| Error::internal("the denial could not be looked up", error))?
        .filter(|noted| noted.denial.owner.as_ref() == Some(&who))
        .ok_or_else(none)?;
    Ok(Json(error::denial(&noted)).into_response())
}
