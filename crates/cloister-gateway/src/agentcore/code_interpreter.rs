//! The five Code Interpreter operations.
//!
//! ```text
//! start · get · list · stop ─▶ SessionManager ─▶ JSON
//! invoke ─▶ SessionManager::invoke ─▶ collect ─┬─ ended within first_byte ─▶ 200 or an error with its own status
//!                                              └─ still running ─▶ 200, heartbeat…, result or exception in the stream
//! ```

use super::event_stream::{CONTENT_TYPE, heartbeat};
use super::result::{Options, events};
use super::validate::{Incoming, field_error};
use super::{error, identifier, tool_call};
use crate::answer::{Answer, collect};
use crate::cursor::{self, Scope};
use crate::fingerprint;
use crate::json::Json;
use crate::state::Gateway;
use crate::timestamp::iso8601;
use axum::body::Body;
use axum::http::{HeaderValue, Response, header};
use bytes::Bytes;
use cloister_core::error::{Error, Field, Kind};
use cloister_core::policy::Policy;
use cloister_core::session::{InvokeOptions, ListQuery, SessionRecord, StartSession, Status};
use cloister_core::{Principal, SessionId};
use futures_util::stream;
use serde::Serialize;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout};

/// Names the session of an invocation, in the request and in the answer.
const SESSION_HEADER: &str = "x-amzn-code-interpreter-session-id";
/// The same in all attempts of one SDK call.
const INVOCATION_HEADER: &str = "amz-sdk-invocation-id";
/// Longest invocation id that is remembered. SDKs send UUIDs of 36 characters.
const INVOCATION_ID: usize = 128;
/// Sessions of a page when the client asks for no number, as the model documents it.
const PAGE: usize = 10;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Started<'a> {
    code_interpreter_identifier: &'a str,
    session_id: &'a str,
    created_at: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Got<'a> {
    code_interpreter_identifier: &'a str,
    session_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    created_at: String,
    session_timeout_seconds: u64,
    status: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary<'a> {
    code_interpreter_identifier: &'a str,
    session_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    status: &'static str,
    created_at: String,
    last_updated_at: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed<'a> {
    items: Vec<Summary<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Stopped<'a> {
    code_interpreter_identifier: &'a str,
    session_id: &'a str,
    last_updated_at: String,
}

/// `StartCodeInterpreterSession`
pub(super) async fn start(
    gateway: &Gateway,
    who: &Principal,
    incoming: &Incoming<'_>,
) -> Result<Response<Body>, Error> {
    let (identifier, key) = interpreter(incoming)?;
    let body = incoming.body;
    let unsupported: Vec<Field> = ["certificates", "filesystemConfigurations"]
        .into_iter()
        .filter(|name| body.get(name).is_some_and(|given| !given.entries().is_empty()))
        .map(|name| Field {
            name: name.into(),
            message: "This server does not support this member: it would need AWS resources (Secrets Manager, S3, EFS). \
                      Leave it out, and put files into the session with writeFiles"
                .into(),
        })
        .collect();
    if !unsupported.is_empty() {
        return Err(field_error(unsupported));
    }
    let text = |name: &str| body.get(name).and_then(Json::as_str).map(str::to_owned);
    let request = StartSession {
        interpreter: identifier.to_owned(),
        key: key.to_owned(),
        name: text("name"),
        timeout: body.get("sessionTimeoutSeconds").and_then(Json::as_u64).map(Duration::from_secs),
        client_token: text("clientToken"),
        fingerprint: fingerprint::of(&[key], body, &["clientToken"]),
    };
    let record = gateway.manager().start(who, request).await?;
    Ok(json(&Started {
        // As this request wrote it, also when a token leads to a session that was started under the other
        // spelling.
        code_interpreter_identifier: identifier,
        session_id: record.id.as_str(),
        created_at: iso8601(record.created),
    }))
}

/// `GetCodeInterpreterSession`
pub(super) async fn get(
    gateway: &Gateway,
    who: &Principal,
    incoming: &Incoming<'_>,
) -> Result<Response<Body>, Error> {
    let (identifier, key) = interpreter(incoming)?;
    let id = session_id(incoming.query("sessionId"))?;
    let record = gateway.manager().get(who, Some(key), &id).await?;
    Ok(json(&Got {
        code_interpreter_identifier: identifier,
        session_id: record.id.as_str(),
        name: record.name.as_deref(),
        created_at: iso8601(record.created),
        session_timeout_seconds: record.ttl.as_secs(),
        status: status_name(record.status),
    }))
}

/// `ListCodeInterpreterSessions`
pub(super) async fn list(
    gateway: &Gateway,
    who: &Principal,
    incoming: &Incoming<'_>,
) -> Result<Response<Body>, Error> {
    let (_, key) = interpreter(incoming)?;
    if gateway.manager().policy(key).is_none() {
        return Err(Error::new(Kind::NotFound, format!("there is no code interpreter {key}")));
    }
    let body = incoming.body;
    let status = match body.get("status").and_then(Json::as_str) {
        Some("READY") => Some(Status::Ready),
        Some(_) => Some(Status::Terminated),
        None => None,
    };
    let limit =
        body.get("maxResults").and_then(Json::as_u64).map_or(PAGE, |n| usize::try_from(n).unwrap_or(PAGE));
    let scope = Scope { who, key: Some(key), status };
    let secret = &gateway.config().cursor_key;
    let after = match body.get("nextToken").and_then(Json::as_str) {
        None => None,
        Some(token) => Some(cursor::open(secret, scope, token).ok_or_else(|| {
            let message = "Member must be a nextToken of this list, with the same status filter".into();
            field_error(vec![Field { name: "nextToken".into(), message }])
        })?),
    };
    let page = gateway.manager().list(who, Some(key), ListQuery { status, limit, after }).await?;
    let items = page.items.iter().map(summary).collect();
    let next_token = page.next.as_ref().and_then(|id| cursor::seal(secret, scope, id));
    Ok(json(&Listed { items, next_token }))
}

/// `StopCodeInterpreterSession`. Stopping a session that has ended succeeds, so that a retry does; an unknown
/// one is not found.
pub(super) async fn stop(
    gateway: &Gateway,
    who: &Principal,
    incoming: &Incoming<'_>,
) -> Result<Response<Body>, Error> {
    let (identifier, key) = interpreter(incoming)?;
    let id = session_id(incoming.query("sessionId"))?;
    let record = gateway.manager().stop(who, Some(key), &id).await?;
    Ok(json(&Stopped {
        code_interpreter_identifier: identifier,
        session_id: record.id.as_str(),
        last_updated_at: iso8601(record.updated),
    }))
}

/// `InvokeCodeInterpreter`
pub(super) async fn invoke(
    gateway: &Gateway,
    who: &Principal,
    incoming: &Incoming<'_>,
) -> Result<Response<Body>, Error> {
    let (_, key) = interpreter(incoming)?;
    let header = |name: &str| incoming.headers.get(name).and_then(|value| value.to_str().ok());
    // Optional in the model, and without it there is nothing to call.
    let id = session_id(header(SESSION_HEADER))?;
    let policy = gateway.manager().policy(key);
    let call = tool_call::parse(incoming.body, policy.as_deref())?;
    let invocation_id = match header(INVOCATION_HEADER) {
        Some(id) if id.len() > INVOCATION_ID => {
            let message = format!("Member must have length less than or equal to {INVOCATION_ID}");
            return Err(field_error(vec![Field { name: INVOCATION_HEADER.into(), message }]));
        }
        other => other.filter(|id| !id.is_empty()).map(str::to_owned),
    };
    let options = InvokeOptions {
        invocation_id,
        fingerprint: fingerprint::of(&[key], incoming.body, &[]),
        ..InvokeOptions::default()
    };
    let invocation = gateway.manager().invoke(who, Some(key), &id, call, options).await?;
    let context = Context { policy, files_url: crate::native::files_url(gateway.config(), &id) };
    let mut running: Running = Box::pin(collect(invocation));
    let body = match timeout(gateway.config().first_byte, &mut running).await {
        Ok(answer) => Body::from(join(context.events(answer?))),
        Err(_) => Body::from_stream(with_heartbeats(running, context, gateway.config().heartbeat)),
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        headers.insert(SESSION_HEADER, value);
    }
    Ok(response)
}

type Running = Pin<Box<dyn Future<Output = Result<Answer, Error>> + Send>>;

/// What the answer's form depends on besides the answer.
struct Context {
    policy: Option<Arc<Policy>>,
    files_url: String,
}

impl Context {
    fn events(&self, answer: Answer) -> Vec<Bytes> {
        let output = self.policy.as_ref().map(|policy| &policy.output);
        let options = Options {
            figures: output.is_none_or(|output| output.figures),
            files: output.is_none_or(|output| output.files),
            text: output.is_none_or(|output| output.text),
            files_url: &self.files_url,
        };
        events(answer, options)
    }
}

enum Phase {
    Running(Running, Context),
    Sending(VecDeque<Bytes>),
}

/// Heartbeats while the call runs, then its events or an exception. The first heartbeat goes out at once: it
/// carries the status and the headers to the client.
fn with_heartbeats(
    running: Running,
    context: Context,
    every: Duration,
) -> impl stream::Stream<Item = Result<Bytes, Infallible>> {
    let start = (Phase::Running(running, context), Instant::now());
    stream::unfold(start, move |(phase, due)| async move {
        match phase {
            Phase::Running(mut running, context) => tokio::select! {
                biased;
                answer = &mut running => {
                    let mut messages: VecDeque<Bytes> = match answer {
                        Ok(answer) => context.events(answer).into(),
                        Err(error) => VecDeque::from([error::in_stream(error)]),
                    };
                    let first = messages.pop_front()?;
                    Some((Ok(first), (Phase::Sending(messages), due)))
                }
                () = sleep_until(due) => {
                    Some((Ok(heartbeat()), (Phase::Running(running, context), Instant::now() + every)))
                }
            },
            Phase::Sending(mut messages) => {
                let next = messages.pop_front()?;
                Some((Ok(next), (Phase::Sending(messages), due)))
            }
        }
    })
}

fn join(mut messages: Vec<Bytes>) -> Bytes {
    if messages.len() == 1 { messages.pop().unwrap_or_default() } else { messages.concat().into() }
}

/// The identifier as the client wrote it, and the key of the interpreter that it means.
fn interpreter<'a>(incoming: &'a Incoming<'_>) -> Result<(&'a str, &'a str), Error> {
    let identifier = incoming.label("codeInterpreterIdentifier").unwrap_or_default();
    Ok((identifier, identifier::key(identifier)?))
}

fn session_id(text: Option<&str>) -> Result<SessionId, Error> {
    text.and_then(SessionId::parse).ok_or_else(|| {
        let message =
            "Member must not be null: it is the sessionId that StartCodeInterpreterSession returned".into();
        field_error(vec![Field { name: "sessionId".into(), message }])
    })
}

fn summary(record: &SessionRecord) -> Summary<'_> {
    Summary {
        code_interpreter_identifier: &record.interpreter,
        session_id: record.id.as_str(),
        name: record.name.as_deref(),
        status: status_name(record.status),
        created_at: iso8601(record.created),
        last_updated_at: iso8601(record.updated),
    }
}

fn status_name(status: Status) -> &'static str {
    match status {
        Status::Ready => "READY",
        Status::Terminated => "TERMINATED",
    }
}

fn json<T: Serialize>(value: &T) -> Response<Body> {
    // Structs of strings and numbers always serialise.
    let mut response = Response::new(Body::from(serde_json::to_vec(value).unwrap_or_default()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
