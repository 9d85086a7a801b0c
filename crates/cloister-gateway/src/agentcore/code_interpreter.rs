//! The Code Interpreter operations but those that both kinds of sessions share (records.rs).
//!
//! ```text
//! start · get ─▶ SessionManager ─▶ JSON
//! invoke ─▶ SessionManager::invoke ─▶ collect ─┬─ ended within first_byte ─▶ 200 or an error with its own status
//!                                              └─ still running ─▶ 200, heartbeat…, result or exception in the stream
//! ```

use super::event_stream::{CONTENT_TYPE, heartbeat};
use super::result::{Options, events};
use super::sessions::{self, Target, invoke_options, json, status_name, without};
use super::validate::Incoming;
use super::{error, tool_call};
use crate::answer::{Answer, collect};
use crate::auth::calls;
use crate::fingerprint;
use crate::json::Json;
use crate::state::Gateway;
use crate::timestamp::iso8601;
use axum::body::Body;
use axum::http::{HeaderValue, Response, header};
use bytes::Bytes;
use cloister_core::error::Error;
use cloister_core::policy::Policy;
use cloister_core::session::{SessionKind, StartSession};
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

/// `StartCodeInterpreterSession`
pub(super) async fn start(gateway: &Gateway, incoming: &Incoming<'_>) -> Result<Response<Body>, Error> {
    let Target { identifier, key } = target(gateway, incoming)?;
    let body = incoming.body;
    let files = "Leave it out, and put files into the session with writeFiles";
    without(body, &[("certificates", files), ("filesystemConfigurations", files)])?;
    let text = |name: &str| body.get(name).and_then(Json::as_str).map(str::to_owned);
    let request = StartSession {
        interpreter: identifier.to_owned(),
        key: key.to_owned(),
        name: text("name"),
        timeout: body.get("sessionTimeoutSeconds").and_then(Json::as_u64).map(Duration::from_secs),
        browser: None,
        copy_of: None,
        narrowing: None,
        client_token: text("clientToken"),
        fingerprint: fingerprint::of(&[key], body, &["clientToken"]),
    };
    let record = calls::start(gateway, incoming.caller, request).await?;
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
    let Target { identifier, key } = target(gateway, incoming)?;
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

/// `InvokeCodeInterpreter`
pub(super) async fn invoke(gateway: &Gateway, incoming: &Incoming<'_>) -> Result<Response<Body>, Error> {
    let key = target(gateway, incoming)?.key;
    let header = |name: &str| incoming.headers.get(name).and_then(|value| value.to_str().ok());
    // Optional in the model, and without it there is nothing to call.
    let id = session_id(header(SESSION_HEADER))?;
    let policy = gateway.manager().policy(key);
    let call = tool_call::parse(incoming.body, policy.as_deref())?;
    let options = invoke_options(incoming, fingerprint::of(&[key], incoming.body, &[]))?;
    let invocation = calls::invoke(gateway, incoming.caller, Some(key), &id, call, options).await?;
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

fn target<'a>(gateway: &Gateway, incoming: &'a Incoming<'_>) -> Result<Target<'a>, Error> {
    Target::of(gateway, SessionKind::Code, incoming)
}

fn session_id(text: Option<&str>) -> Result<SessionId, Error> {
    sessions::session_id(SessionKind::Code, text)
}
