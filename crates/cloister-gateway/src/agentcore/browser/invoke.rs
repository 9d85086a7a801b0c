//! `InvokeBrowser`: one action by coordinates. What the page did not want is a FAILED result and no error.

use super::{action, session_id, target};
use crate::agentcore::sessions::{invoke_options, json};
use crate::agentcore::validate::{Incoming, field_error};
use crate::answer::collect;
use crate::auth::calls;
use crate::fingerprint;
use crate::state::Gateway;
use axum::body::Body;
use axum::http::{HeaderValue, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cloister_core::Principal;
use cloister_core::browser::ActionResult;
use cloister_core::command::ToolCall;
use cloister_core::error::{Error, Field, Kind, Reason};
use cloister_core::event::Outcome;
use serde_json::{Map, Value, json as value};

/// Names the session, in the request and in the answer.
const SESSION_HEADER: &str = "x-amzn-browser-session-id";

/// The operation.
pub(in crate::agentcore) async fn invoke(
    gateway: &Gateway,
    who: &Principal,
    incoming: &Incoming<'_>,
) -> Result<Response<Body>, Error> {
    let key = target(gateway, incoming)?.key;
    let id = session_id(incoming.headers.get(SESSION_HEADER).and_then(|value| value.to_str().ok()))?;
    let viewport = gateway.manager().browser(who, Some(key), &id).await?.viewport();
    let (name, action) = action::read(incoming.body, viewport)?;
    let options = invoke_options(incoming, fingerprint::of(&[key], incoming.body, &[]))?;
    let call = ToolCall::Act { action };
    let invocation = calls::invoke(gateway, incoming.caller, Some(key), &id, call, options).await?;
    let answer = collect(invocation).await.map_err(|error| in_words_of_the_model(error, name))?;
    let result = match answer.outcome {
        Outcome::Acted(ActionResult::Success { data }) => {
            let mut result = value!({ "status": "SUCCESS" });
            if let Some(data) = data {
                result["data"] = STANDARD.encode(data).into();
            }
            result
        }
        Outcome::Acted(ActionResult::Failed { error }) => value!({ "status": "FAILED", "error": error }),
        _ => return Err(Error::internal("the browser answered something else", "outcome of another call")),
    };
    let mut response =
        json(&value!({ "result": Map::from_iter([(name.to_owned(), result)]) as Map<String, Value> }));
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        response.headers_mut().insert(SESSION_HEADER, value);
    }
    Ok(response)
}

/// Members get their whole path; and a session that ends under the action is one that is not there: the operation has no
/// conflict among its errors.
fn in_words_of_the_model(error: Error, name: &str) -> Error {
    match (error.kind, error.reason) {
        (Kind::Validation, Some(Reason::FieldValidationFailed)) if !error.fields.is_empty() => {
            let path = |field: Field| Field { name: format!("action.{name}.{}", field.name), ..field };
            field_error(error.fields.into_iter().map(path).collect())
        }
        (Kind::Conflict, _) => Error { kind: Kind::NotFound, ..error },
        _ => error,
    }
}
