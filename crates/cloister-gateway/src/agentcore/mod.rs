//! The door for AWS clients: the Amazon Bedrock AgentCore API, byte for byte as its SDKs expect it.
//!
//! ```text
//! request ─┬─operations::route──▶ row ──validate (model tables)──▶ code_interpreter · browser ──▶ SessionManager
//!          │                      └──▶ known, not served: 501 · unknown: 404   (typed errors, never HTML)
//!          └─stream::route──▶ WebSocket of a browser session, and what its clients ask over HTTP before
//! ```
//!
//! AWS operation names, URIs and exception names live below this module only.

mod browser;
mod code_interpreter;
mod error;
mod event_stream;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
pub(crate) mod identifier;
pub mod model;
mod operations;
mod records;
mod result;
mod sessions;
pub(crate) mod stream;
mod tool_call;
mod validate;

pub use validate::differences;

use crate::auth::{Action, Caller, Resource, authorize};
use crate::body;
use crate::json::Json;
use crate::native;
use crate::percent;
use crate::state::Gateway;
use crate::wire_error::Refusal;
use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::{Response, StatusCode};
use cloister_core::error::{Error, Field, Kind, Reason};
use cloister_core::session::SessionKind;
use operations::{Op, Routed, Row};
use validate::Incoming;

pub(crate) use error::response as error_response;
#[cfg(test)]
pub(crate) use operations::ROWS;
pub(crate) use stream::Endpoints;
#[cfg(test)]
pub(crate) use stream::PATHS as STREAMS;
pub(crate) use tool_call::runtime_of;

/// Method, path and action of every operation and stream.
pub(crate) fn routes() -> impl Iterator<Item = (&'static str, &'static str, Action)> {
    let operations = operations::ROWS.iter().map(|row| (row.method, row.uri, row.op.action()));
    operations.chain(stream::PATHS.iter().map(|path| ("GET", *path, Action::CdpCall)))
}

/// Answers every request that is no route of the native door.
pub(crate) async fn dispatch(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response<Body> {
    if native::is_native(request.uri().path()) {
        return native::not_found();
    }
    let answered = match stream::route(request.uri().path()) {
        Some(place) => stream::answer(&gateway, &caller, place, request).await,
        None => answer(&gateway, &caller, request).await,
    };
    match answered {
        Ok(response) => response,
        Err(refusal) => error::response(&refusal),
    }
}

async fn answer(gateway: &Gateway, caller: &Caller, request: Request) -> Result<Response<Body>, Refusal> {
    let (parts, body) = request.into_parts();
    let (row, labels) = match operations::route(parts.method.as_str(), parts.uri.path()) {
        Routed::Served(row, labels) => (row, labels),
        Routed::BadLabel(name) => {
            let message = "Member must be UTF-8 in percent-encoding";
            return Err(
                validate::field_error(vec![Field { name: name.into(), message: message.into() }]).into()
            );
        }
        Routed::NotServed(operation) => {
            let error = Error::new(
                Kind::Validation,
                format!(
                    "this server does not offer {} of {}",
                    operation.name,
                    operations::service(operation.plane)
                ),
            );
            return Err(Refusal::http(StatusCode::NOT_IMPLEMENTED, "UnknownOperationException", error));
        }
        Routed::Unknown => {
            let error = Error::new(
                Kind::Validation,
                "no operation has this method and path; GET /openapi.json lists those that exist",
            );
            return Err(Refusal::http(StatusCode::NOT_FOUND, "UnknownOperationException", error));
        }
    };
    // Before the body: whoever may not do it need not send it.
    let named = labels.first().map_or("", |(_, text)| text.as_str());
    authorize(gateway, caller, row.op.action(), Resource::Interpreter(identifier::bare(named)))?;
    let held = body::read_json(gateway, &parts, body).await?;
    let json = Json::parse(body::or_empty(&held.bytes))?;
    let query = percent::decode_query(parts.uri.query().unwrap_or_default())
        .ok_or_else(|| Error::invalid(Reason::CannotParse, "the query is not UTF-8 in percent-encoding"))?;
    let incoming = Incoming { caller, labels: &labels, query: &query, headers: &parts.headers, body: &json };
    run(gateway, row, &incoming).await
}

async fn run(gateway: &Gateway, row: &Row, incoming: &Incoming<'_>) -> Result<Response<Body>, Refusal> {
    let who = &incoming.caller.principal;
    // Ours, and not of the model: page actions in place of a stream's status.
    if row.op == Op::UpdateBrowserStream && incoming.body.get("action").is_some() {
        authorize(
            gateway,
            incoming.caller,
            Action::Act,
            Resource::Session(incoming.query("sessionId").unwrap_or_default()),
        )?;
        return Ok(browser::perform(gateway, incoming).await?);
    }
    let shapes = model::served(row.name).ok_or_else(|| {
        Error::internal("the operation's tables are missing", format!("no shapes for {}", row.name))
    })?;
    validate::check(shapes, incoming)?;
    let answer = match row.op {
        Op::StartCodeInterpreterSession => code_interpreter::start(gateway, incoming).await,
        Op::GetCodeInterpreterSession => code_interpreter::get(gateway, who, incoming).await,
        Op::ListCodeInterpreterSessions => records::list(gateway, who, SessionKind::Code, incoming).await,
        Op::StopCodeInterpreterSession => records::stop(gateway, who, SessionKind::Code, incoming).await,
        Op::InvokeCodeInterpreter => code_interpreter::invoke(gateway, incoming).await,
        Op::StartBrowserSession => browser::start(gateway, incoming).await,
        Op::GetBrowserSession => browser::get(gateway, who, incoming).await,
        Op::ListBrowserSessions => records::list(gateway, who, SessionKind::Browser, incoming).await,
        Op::StopBrowserSession => records::stop(gateway, who, SessionKind::Browser, incoming).await,
        Op::UpdateBrowserStream => browser::update(gateway, who, incoming).await,
        Op::InvokeBrowser => browser::invoke(gateway, who, incoming).await,
    };
    Ok(answer?)
}
