//! Page actions over HTTP: a list in a request, and what each of them gave in the answer.
//!
//! ```text
//! {"actions":[{"navigate":{"url":…}},{"click":{"selector":"#a"}}]} ─parse.rs─▶ Vec<Step> ─▶ SessionManager::invoke
//!                 {"results":[{"action":"navigate",…}],"failed":null} ◀─view.rs─ Vec<Performed> ◀─┘
//! ```
//!
//! Every mistake in a request is named with its path before anything is done: a list that stops in the middle because of
//! a typing error would leave the page in a state that nobody wanted.

mod arguments;
mod parse;
mod selector;
mod view;

use crate::answer::collect;
use crate::auth::{Caller, calls};
use crate::json::Json;
use crate::state::Gateway;
use cloister_core::SessionId;
use cloister_core::browser::Step;
use cloister_core::command::ToolCall;
use cloister_core::error::{Error, Field, Reason};
use cloister_core::event::Outcome;
use cloister_core::session::InvokeOptions;
use serde_json::Value;
use std::cell::RefCell;
use std::time::Duration;

/// Longest time that a client may ask for; the policy's own limit is usually shorter.
const LONGEST: f64 = 28_800.0;

/// A list of page actions.
#[derive(Debug)]
pub(crate) struct Request {
    steps: Vec<Step>,
    /// For all of them together; the policy's limit of a call if absent.
    timeout: Option<Duration>,
}

/// Reads a request whose page actions stand in `member`: a list, or one object with several.
pub(crate) fn read(body: &Json<'_>, member: &str) -> Result<Request, Error> {
    let mistakes = Mistakes::default();
    let Json::Object(given) = body else {
        let message = format!("the request body must be a JSON object, and it is {}", body.kind());
        return Err(Error::invalid(Reason::CannotParse, message));
    };
    for (name, _) in given {
        if ![member, "timeout", "clientToken"].contains(&name.as_ref()) {
            mistakes.add(name.as_ref(), format!("is unknown; known here are {member}, timeout"));
        }
    }
    let steps = match body.get(member) {
        Some(actions) => parse::steps(actions, member, &mistakes),
        None => {
            mistakes
                .add(member, "must be there: page actions such as {\"navigate\": {\"url\": \"https://…\"}}");
            Vec::new()
        }
    };
    let timeout = body.get("timeout").and_then(|given| {
        let seconds = match given {
            Json::Number(number) => number.as_f64().filter(|seconds| *seconds > 0.0 && *seconds <= LONGEST),
            _ => None,
        };
        if seconds.is_none() {
            mistakes.add("timeout", format!("must be a number of seconds above 0 and up to {LONGEST}"));
        }
        seconds.map(Duration::from_secs_f64)
    });
    mistakes.finish()?;
    Ok(Request { steps, timeout })
}

/// Carries a request out. A page action that fails is part of the answer and no error.
pub(crate) async fn perform(
    gateway: &Gateway,
    caller: &Caller,
    key: Option<&str>,
    id: &SessionId,
    request: Request,
) -> Result<Value, Error> {
    let options = InvokeOptions { timeout: request.timeout, ..InvokeOptions::default() };
    let call = ToolCall::Perform { steps: request.steps };
    let invocation = calls::invoke(gateway, caller, key, id, call, options).await?;
    match collect(invocation).await?.outcome {
        Outcome::Performed(performed) => Ok(view::answer(gateway.config(), id, &performed)),
        _ => Err(Error::internal("the browser answered something else", "outcome of another call")),
    }
}

/// The mistakes found so far, each with the path of its member.
#[derive(Default)]
struct Mistakes {
    fields: RefCell<Vec<Field>>,
}

impl Mistakes {
    /// Most mistakes that are named: a list of a million bad entries must not become a larger answer.
    const MOST: usize = 64;

    fn add(&self, path: impl Into<String>, message: impl Into<String>) {
        let mut fields = self.fields.borrow_mut();
        if fields.len() < Self::MOST {
            let name: String = path.into().chars().take(200).collect();
            fields.push(Field { name, message: message.into() });
        }
    }

    fn none(&self) -> bool {
        self.fields.borrow().is_empty()
    }

    fn finish(self) -> Result<(), Error> {
        let fields = self.fields.into_inner();
        if fields.is_empty() {
            return Ok(());
        }
        let list: Vec<_> = fields.iter().map(|field| format!("{} {}", field.name, field.message)).collect();
        Err(Error { fields, ..Error::invalid(Reason::FieldValidationFailed, list.join("; ")) })
    }
}
