//! `POST /v1/sessions/{id}/invoke`: run code or a command, answered in one piece or as output arrives.

use super::error::NativeError;
use super::request::{Members, read, session_id};
use super::{sse, view};
use crate::agentcore::runtime_of;
use crate::answer::{Answer, collect, lossy, notes, refused};
use crate::auth::{Caller, calls};
use crate::config::GatewayConfig;
use crate::fingerprint;
use crate::state::Gateway;
use axum::Json;
use axum::extract::{Extension, Path, Request, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use cloister_core::SessionId;
use cloister_core::command::{Language, Runtime, ToolCall};
use cloister_core::error::{Error, Kind};
use cloister_core::event::Outcome;
use cloister_core::receipt::Receipt;
use cloister_core::session::InvokeOptions;
use serde_json::{Map, Value, json};

const LANGUAGES: &[(&str, Language)] = &[
    ("python", Language::Python),
    ("javascript", Language::JavaScript),
    ("typescript", Language::TypeScript),
];
const RUNTIMES: &[(&str, Runtime)] =
    &[("python", Runtime::Python), ("nodejs", Runtime::Nodejs), ("deno", Runtime::Deno)];

/// The handler.
pub(super) async fn invoke(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, NativeError> {
    let (parts, body) = request.into_parts();
    let id = session_id(&id)?;
    let held = read(&gateway, &parts, body).await?;
    let names = ["code", "language", "runtime", "clearContext", "command", "timeout", "stream"];
    let members = Members::of(&held, &names)?;
    // The session's own policy decides on the default runtime; a foreign or unknown session ends here.
    let detail = gateway.manager().detail(&caller.principal, &id).await?;
    let call = call(&members, detail.policy.as_deref());
    let timeout = members.seconds("timeout");
    let streamed = members.flag("stream") || wants_events(&parts.headers);
    members.finish()?;
    let call = call.ok_or_else(|| Error::field("code", "or command must be there"))?;
    let options = InvokeOptions {
        invocation_id: None,
        fingerprint: fingerprint::of(&[], members.json(), &["stream"]),
        timeout,
    };
    let invocation = calls::invoke(&gateway, &caller, None, &id, call, options).await?;
    if streamed {
        return Ok(sse::response(invocation, gateway, id, detail.record.tier));
    }
    let answer = collect(invocation).await?;
    Ok(Json(whole(gateway.config(), &id, &detail.record.tier, answer)?).into_response())
}

fn call(members: &Members<'_>, policy: Option<&cloister_core::policy::Policy>) -> Option<ToolCall> {
    let command = members.text("command");
    let code = members.text("code");
    if members.has("command") {
        for other in ["code", "language", "runtime", "clearContext"] {
            if members.has(other) {
                members.bad(other, "does not go with command");
            }
        }
        let command = command?;
        if command.contains('\0') {
            members.bad("command", "must not hold NUL characters: no shell can read them");
        }
        return Some(ToolCall::ExecuteCommand { command });
    }
    if !members.has("code") {
        members.bad("code", "or command must be there");
    }
    let language = members.choice("language", LANGUAGES).unwrap_or(Language::Python);
    let asked = members.choice("runtime", RUNTIMES);
    let clear_context = members.flag("clearContext");
    let runtime =
        runtime_of(language, asked, policy).map_err(|message| members.bad("runtime", message)).ok()?;
    Some(ToolCall::ExecuteCode { code: code?, language, runtime, clear_context })
}

/// Whether a client asks for server-sent events in its Accept header.
fn wants_events(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|part| part.trim().starts_with("text/event-stream"))
}

/// The answer in one piece.
fn whole(config: &GatewayConfig, id: &SessionId, tier: &str, answer: Answer) -> Result<Value, Error> {
    let mut members = Map::new();
    let mut put = |name: &str, value: Value| members.insert(name.to_owned(), value);
    put("output", lossy(&answer.output).into());
    put("stdout", lossy(&answer.stdout).into());
    put("stderr", lossy(&answer.stderr).into());
    put("result", answer.value.as_ref().map(view::rich).into());
    put("displays", answer.displays.iter().map(view::rich).collect());
    members.extend(done(config, id, tier, &answer.outcome, answer.receipt.as_deref())?);
    Ok(Value::Object(members))
}

/// The members that say how the call ended, and on which tier it ran; also the data of the event `done`.
pub(super) fn done(
    config: &GatewayConfig,
    id: &SessionId,
    tier: &str,
    outcome: &Outcome,
    receipt: Option<&Receipt>,
) -> Result<Map<String, Value>, Error> {
    let mut members = match outcome {
        Outcome::Executed(execution) => {
            let mut members = view::execution(config, id, execution);
            // What the code itself has said of a refusal may have been streamed already.
            members.insert("notes".into(), [refused(execution, &[]), notes(execution)].concat().into());
            members
        }
        Outcome::Failed { message } => {
            let error = json!({ "name": "Refused", "message": message, "traceback": "" });
            Map::from_iter([("error".to_owned(), error)])
        }
        other => return Err(unexpected(other)),
    };
    members.insert("tier".into(), tier.into());
    members.insert("receipt".into(), receipt.map(Receipt::to_json).into());
    Ok(members)
}

/// An outcome that the call cannot have.
pub(super) fn unexpected(outcome: &Outcome) -> Error {
    match outcome {
        Outcome::Failed { message } => Error::new(Kind::Conflict, message.clone()),
        _ => Error::internal("the session answered something else", "outcome of another tool"),
    }
}
