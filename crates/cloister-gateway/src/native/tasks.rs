//! `/v1/sessions/{id}/tasks`: commands that go on while calls are answered.

use super::error::NativeError;
use super::invoke::unexpected;
use super::request::{Members, read, session_id};
use super::view;
use crate::answer::collect;
use crate::auth::{Caller, calls};
use crate::state::Gateway;
use axum::Json;
use axum::extract::{Extension, Path, Request, State};
use axum::http::StatusCode;
use cloister_core::SessionId;
use cloister_core::command::ToolCall;
use cloister_core::error::{Error, Kind};
use cloister_core::event::{Outcome, Task};
use cloister_core::session::InvokeOptions;
use serde_json::Value;

/// Longest task id that is looked for. Ours have 26 characters.
const TASK_ID: usize = 128;

/// `POST /v1/sessions/{id}/tasks`
pub(super) async fn start(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    request: Request,
) -> Result<(StatusCode, Json<Value>), NativeError> {
    let (parts, body) = request.into_parts();
    let id = session_id(&id)?;
    let held = read(&gateway, &parts, body).await?;
    let members = Members::of(&held, &["command"])?;
    let command = members.text("command").unwrap_or_default();
    if !members.has("command") || command.contains('\0') {
        members.bad("command", "must be there, without NUL characters");
    }
    members.finish()?;
    match call(&gateway, &caller, &id, ToolCall::StartCommandExecution { command }).await? {
        Ok(task) => Ok((StatusCode::ACCEPTED, Json(view::task(&task)))),
        Err(message) => Err(Error::new(Kind::Conflict, message).into()),
    }
}

/// `GET /v1/sessions/{id}/tasks/{task}`
pub(super) async fn get(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path((id, task_id)): Path<(String, String)>,
) -> Result<Json<Value>, NativeError> {
    known(&gateway, &caller, &id, ToolCall::GetTask { task_id }).await
}

/// `DELETE /v1/sessions/{id}/tasks/{task}`
pub(super) async fn stop(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path((id, task_id)): Path<(String, String)>,
) -> Result<Json<Value>, NativeError> {
    known(&gateway, &caller, &id, ToolCall::StopTask { task_id }).await
}

/// A call about a task that must exist.
async fn known(
    gateway: &Gateway,
    caller: &Caller,
    id: &str,
    tool: ToolCall,
) -> Result<Json<Value>, NativeError> {
    let id = session_id(id)?;
    if let ToolCall::GetTask { task_id } | ToolCall::StopTask { task_id } = &tool
        && (task_id.len() > TASK_ID || !task_id.bytes().all(|b| b.is_ascii_graphic()))
    {
        return Err(Error::new(Kind::NotFound, "there is no such task").into());
    }
    match call(gateway, caller, &id, tool).await? {
        Ok(task) => Ok(Json(view::task(&task))),
        Err(message) => Err(Error::new(Kind::NotFound, message).into()),
    }
}

/// The task, or why the session refused.
async fn call(
    gateway: &Gateway,
    caller: &Caller,
    id: &SessionId,
    tool: ToolCall,
) -> Result<Result<Task, String>, Error> {
    let invocation = calls::invoke(gateway, caller, None, id, tool, InvokeOptions::default()).await?;
    match collect(invocation).await?.outcome {
        Outcome::Task(task) => Ok(Ok(task)),
        Outcome::Failed { message } => Ok(Err(message)),
        other => Err(unexpected(&other)),
    }
}
