//! `/v1/sessions/{id}/fork`, `/checkpoint` and `/restore`: copies of a session, and states of it that are kept.
//!
//! ```text
//!   fork       ─▶ SessionManager::fork             a new session with the same variables and files
//!   checkpoint ─▶ ToolCall::Checkpoint ─▶ name ─▶ restore {"checkpoint": name}
//!                                                  restore {}: one call back
//! ```

use super::error::NativeError;
use super::invoke::unexpected;
use super::request::{Members, read, session_id};
use super::sessions::created;
use crate::answer::collect;
use crate::auth::{Caller, calls};
use crate::fingerprint;
use crate::state::Gateway;
use axum::Json;
use axum::extract::{Extension, Path, Request, State};
use axum::response::Response;
use cloister_core::SessionId;
use cloister_core::command::ToolCall;
use cloister_core::error::Error;
use cloister_core::event::Outcome;
use cloister_core::session::{ForkSession, InvokeOptions};
use serde_json::{Value, json};
use std::time::Duration;

/// Longest name of a checkpoint that is looked for. Ours have less than 30 characters.
const CHECKPOINT: usize = 100;

/// `POST /v1/sessions/{id}/fork`
pub(super) async fn fork(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, NativeError> {
    let (parts, body) = request.into_parts();
    let id = session_id(&id)?;
    let held = read(&gateway, &parts, body).await?;
    let members = Members::of(&held, &["name", "timeout", "clientToken"])?;
    let fork = ForkSession {
        name: members.short("name", 100),
        timeout: members.whole("timeout", 1, 28_800).map(Duration::from_secs),
        client_token: members.short("clientToken", 256),
        // With the original: the same token for a copy of another session is another request.
        fingerprint: fingerprint::of(&["fork", id.as_str()], members.json(), &["clientToken"]),
    };
    members.finish()?;
    let copy = calls::fork(&gateway, &caller, &id, fork).await?;
    Ok(created(gateway.config(), &copy))
}

/// `POST /v1/sessions/{id}/checkpoint`
pub(super) async fn checkpoint(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<Value>, NativeError> {
    let (parts, body) = request.into_parts();
    let id = session_id(&id)?;
    let held = read(&gateway, &parts, body).await?;
    Members::of(&held, &[])?.finish()?;
    match call(&gateway, &caller, &id, ToolCall::Checkpoint).await? {
        Outcome::Checkpointed { checkpoint, bytes } => {
            Ok(Json(json!({ "checkpoint": checkpoint, "bytes": bytes })))
        }
        other => Err(unexpected(&other).into()),
    }
}

/// `POST /v1/sessions/{id}/restore`
pub(super) async fn restore(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<Value>, NativeError> {
    let (parts, body) = request.into_parts();
    let id = session_id(&id)?;
    let held = read(&gateway, &parts, body).await?;
    let members = Members::of(&held, &["checkpoint"])?;
    let checkpoint = members.short("checkpoint", CHECKPOINT);
    members.finish()?;
    match call(&gateway, &caller, &id, ToolCall::Restore { checkpoint }).await? {
        Outcome::Restored { checkpoint } => Ok(Json(json!({ "checkpoint": checkpoint }))),
        other => Err(unexpected(&other).into()),
    }
}

async fn call(gateway: &Gateway, caller: &Caller, id: &SessionId, tool: ToolCall) -> Result<Outcome, Error> {
    let invocation = calls::invoke(gateway, caller, None, id, tool, InvokeOptions::default()).await?;
    Ok(collect(invocation).await?.outcome)
}
