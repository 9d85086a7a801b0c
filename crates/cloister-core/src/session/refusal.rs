//! The texts of every refusal and failure that sessions give, in one place.

use super::state::Refusal;
use super::{EndReason, SessionKind};
use crate::backend::{InvokeError, StartError};
use crate::command::ToolCall;
use crate::denial::{Denial, Layer};
use crate::error::{Error, Field, Kind, Reason};
use crate::id::SessionId;
use crate::policy::narrow::Beyond;
use crate::policy::{Policy, Refused};
use std::time::Duration;

/// One text for "never existed" and for "belongs to somebody else": a caller must not learn which.
pub(super) fn no_such_session(id: &SessionId) -> Error {
    Error::new(Kind::NotFound, format!("no such session: {id}; list the sessions to see yours"))
}

pub(super) fn no_such_interpreter(kind: SessionKind, key: &str) -> Error {
    let (what, example) = match kind {
        SessionKind::Code => ("code interpreter", "aws.codeinterpreter.v1"),
        SessionKind::Browser => ("browser", "aws.browser.v1"),
    };
    Error::new(Kind::NotFound, format!("no such {what}: {key}; `{example}` is built in"))
}

pub(super) fn no_such_tier(policy: &Policy) -> Error {
    let (name, tier) = (&policy.name, &policy.tier);
    let advice = match policy.kind() {
        SessionKind::Code => "run `cloister doctor` on the server",
        SessionKind::Browser => {
            "run `make images` on the server, start it again, and ask `cloister doctor` if that does not help"
        }
    };
    let text = format!("policy `{name}` wants the tier `{tier}`, which this server does not have; {advice}");
    Error::new(Kind::Internal, text)
}

/// The caller's tenant may not have this interpreter at all.
pub(super) fn beyond(what: Beyond) -> Error {
    let Beyond { policy, wanted, ceiling, allowed } = what;
    let text = format!(
        "policy `{policy}` runs on the tier `{wanted}`, and the ceiling `{ceiling}` of the caller's tenant allows the tier `{allowed}` \
         only; use an interpreter of that tier, or ask whoever runs this server"
    );
    Error::new(Kind::AccessDenied, text)
}

/// A start asks for more than its interpreter's policy gives.
pub(super) fn not_granted(refused: Vec<Refused>) -> Error {
    let fields: Vec<Field> = refused
        .into_iter()
        .map(|Refused { field, message }| Field { name: format!("policy.{field}"), message })
        .collect();
    let texts: Vec<_> = fields.iter().map(|field| format!("{}: {}", field.name, field.message)).collect();
    Error { fields, ..Error::invalid(Reason::FieldValidationFailed, texts.join("; ")) }
}

/// The session is a browser's and the request is not for browsers, or the other way round.
pub(super) fn other_kind(id: &SessionId, kind: SessionKind, call: &str) -> Error {
    let text = match kind {
        SessionKind::Code => format!("session {id} runs code and has no browser, so it cannot {call}"),
        SessionKind::Browser => {
            format!(
                "session {id} is a browser and runs no code, so it cannot {call}; start a session of a code interpreter for that"
            )
        }
    };
    Error::invalid(Reason::FieldValidationFailed, text)
}

/// The session is the caller's own and takes no calls any more.
pub(super) fn session_over(id: &SessionId, reason: EndReason) -> Error {
    let why = why(reason);
    Error::new(Kind::NotFound, format!("session {id} has ended: {why}; start a new one"))
}

/// What a call hears when its session ends under it.
pub(super) fn ended_under_call(id: &SessionId, reason: EndReason, detail: Option<&str>) -> Error {
    let why = why(reason);
    let detail = detail.map(|text| format!(" ({text})")).unwrap_or_default();
    Error::new(
        Kind::Conflict,
        format!("session {id} ended while the call ran or waited: {why}{detail}; start a new session"),
    )
}

/// What a client hears that is still connected when its session is over.
pub(super) fn farewell(reason: EndReason, cause: Option<&str>) -> String {
    match cause {
        Some(cause) => format!("session ended: {cause}"),
        None => format!("session ended: {}", why(reason)),
    }
}

/// What the starter hears when its session is not wanted any more before it is up.
pub(super) fn ended_while_starting(id: &SessionId, reason: EndReason) -> Error {
    match reason {
        EndReason::Drained => shutting_down(),
        other => {
            Error::new(Kind::Conflict, format!("session {id} ended while it was starting: {}", why(other)))
        }
    }
}

pub(super) fn shutting_down() -> Error {
    Error::new(Kind::Throttled, "the server is shutting down; try again in a moment")
}

fn why(reason: EndReason) -> &'static str {
    match reason {
        EndReason::Stopped => "the session was stopped",
        EndReason::Expired => "its time was up",
        EndReason::Drained => "the server shut down",
        EndReason::Failed => "its worker ended",
        EndReason::Lost => "the server was restarted without it",
    }
}

pub(super) fn too_many_sessions(limit: usize) -> Error {
    Error::new(
        Kind::QuotaExceeded,
        format!("all {limit} sessions of this server are in use; stop one, or raise `max_sessions`"),
    )
}

pub(super) fn not_admitted(id: &SessionId, refusal: Refusal) -> Error {
    match refusal {
        Refusal::Starting => Error::new(
            Kind::Conflict,
            format!("session {id} is still starting; call it when the start has answered"),
        ),
        Refusal::Ending(reason) => session_over(id, reason),
        Refusal::QueueFull(limit) => Error::new(
            Kind::Throttled,
            format!("{limit} calls wait in session {id} already; wait for answers, or use more sessions"),
        ),
        Refusal::TooManyAtOnce(limit) => Error::new(
            Kind::Throttled,
            format!("{limit} file and task calls run in session {id} already; wait for answers"),
        ),
    }
}

/// Between two calls only, and there is none between.
pub(super) fn not_at_rest(id: &SessionId, call: &ToolCall) -> Error {
    let name = call.name();
    Error::new(
        Kind::Conflict,
        format!(
            "a call runs or waits in session {id}, so there is nothing to {name} yet; wait for its answer"
        ),
    )
}

pub(super) fn too_much_waiting(id: &SessionId, limit: usize) -> Error {
    let limit = crate::event::bytes_text(limit as u64);
    Error::new(
        Kind::Throttled,
        format!("more than {limit} of code waits in session {id} already; wait for answers"),
    )
}

pub(super) fn mismatched_invocation(id: &str) -> Error {
    Error::invalid(
        Reason::IdempotentParameterMismatch,
        format!("invocation id {id} was used before with other parameters; use a new id for a new call"),
    )
}

pub(super) fn spent_invocation(id: &str) -> Error {
    Error::new(
        Kind::Conflict,
        format!(
            "the call with invocation id {id} has run and its answer is no longer kept; it was not run again. Use a new \
             id to run it again"
        ),
    )
}

pub(super) fn out_of_invocation_ids(id: &SessionId, limit: usize) -> Error {
    Error::new(
        Kind::QuotaExceeded,
        format!(
            "session {id} has had {limit} calls with an invocation id, which is all it may; start a new session"
        ),
    )
}

pub(super) fn mismatched_token() -> Error {
    Error::invalid(
        Reason::IdempotentParameterMismatch,
        "the client token was used before with other parameters; use a new token for another session",
    )
}

/// The refusal of a call that the policy does not allow; `None` if it does.
pub fn forbidden(policy: &Policy, call: &ToolCall) -> Option<Denial> {
    let name = &policy.name;
    let (rule, asked, why, how, matched) = match call {
        ToolCall::ExecuteCode { runtime, .. } => {
            let runtime = runtime.name();
            if policy.languages.runtimes.iter().any(|r| r == runtime) {
                return None;
            }
            let allowed = policy.languages.runtimes.join(", ");
            (
                "languages.runtimes",
                format!("code for the runtime {runtime}"),
                format!(
                    "policy `{name}` does not allow the runtime {runtime} (languages.runtimes allows: {allowed})"
                ),
                format!("add \"{runtime}\" to languages.runtimes in the session's policy"),
                allowed,
            )
        }
        ToolCall::ExecuteCommand { .. } | ToolCall::StartCommandExecution { .. }
            if !policy.languages.shell =>
        {
            (
                "languages.shell",
                "a shell command".to_owned(),
                format!("policy `{name}` does not allow shell commands (languages.shell = false)"),
                "set languages.shell = true in the session's policy".to_owned(),
                "false".to_owned(),
            )
        }
        _ => return None,
    };
    Some(Denial::new(Layer::Policy, rule, asked, why, how).matched(matched))
}

/// What the caller hears of a start that failed. The whole story goes to the log.
pub(super) fn start_failed(policy: &Policy, error: StartError) -> Error {
    let name = &policy.name;
    let text = match &error {
        StartError::Unavailable(missing) => {
            let wall = &missing.what;
            format!(
                "this host cannot build {wall}, which policy `{name}` requires; run `cloister doctor` on the server"
            )
        }
        StartError::Image { image, .. } => {
            format!(
                "image `{image}` of policy `{name}` is missing or damaged; run `make images` on the server"
            )
        }
        StartError::NotSupported(why) => {
            return Error::invalid(Reason::FieldValidationFailed, why.clone());
        }
        StartError::Busy(why) => return Error::new(Kind::Conflict, why.clone()),
        StartError::Full(why) => return Error::new(Kind::Throttled, why.clone()),
        StartError::Step { .. } => {
            format!(
                "the sandbox could not be started under policy `{name}`; the server's log says at which step"
            )
        }
    };
    Error::internal(text, error)
}

pub(super) fn start_overdue(after: Duration) -> Error {
    let seconds = after.as_secs_f64();
    Error::new(
        Kind::Internal,
        format!(
            "the sandbox was not up after {seconds} s; try again, and see the server's log if it persists"
        ),
    )
}

/// What the caller hears of a call that its backend could not carry out.
pub(super) fn call_failed(id: &SessionId, error: InvokeError) -> Error {
    match error {
        InvokeError::WorkerGone { reason } => ended_under_call(id, EndReason::Failed, Some(&reason)),
        InvokeError::NotSupported(text) => Error::invalid(Reason::FieldValidationFailed, text),
        InvokeError::Refused(error) => error,
        InvokeError::Protocol(_) => Error::internal(
            format!("session {id} had to be ended: its worker broke the protocol; start a new session"),
            error,
        ),
    }
}

pub(super) fn silent_worker(id: &SessionId) -> Error {
    Error::new(
        Kind::Internal,
        format!(
            "session {id} had to be ended: its worker did not answer when the deadline came; start a new session"
        ),
    )
}

/// A part of the server ended where it must not.
pub(super) fn broke_off(what: &str) -> Error {
    Error::new(Kind::Internal, format!("{what} broke off inside the server; the server's log says why"))
}
