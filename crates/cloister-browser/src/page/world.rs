//! Our scripts in a page: in a world of their own, which the page neither sees nor changes.
//!
//! ```text
//!   script(job.js) ──▶ function (…args) { seen.js; return (job.js).apply(this, args) } ──▶ Runtime.callFunctionOn
//! ```
//!
//! An isolated world has the page's DOM and its own JavaScript: an overwritten `querySelector` or `Array.prototype` does not reach it.
//! It has access to the documents of frames in the same process, whatever their origin.

use super::trouble::{Outcome, failed, is_between_documents};
use crate::call_error::CallError;
use crate::tab::Tab;
use serde_json::{Value, json};
use std::time::Duration;

/// Its name, which only CDP clients see.
const NAME: &str = "cloister";
/// Group of the handles that steps take; released after each step.
pub(super) const HANDLES: &str = "cloister";
/// What every script may use.
const SEEN: &str = include_str!("js/seen.js");

/// An element that the page still holds or has dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Handle(pub(super) String);

/// The isolated world of a frame; the main frame's if none is named. Making it again gives the same one.
pub(super) async fn world(tab: &Tab, frame: Option<&str>, limit: Duration) -> Result<i64, CallError> {
    let frame = frame.unwrap_or(&tab.target);
    let params = json!({"frameId": frame, "worldName": NAME, "grantUniveralAccess": true});
    let answer = tab.call("Page.createIsolatedWorld", params, limit).await?;
    Ok(answer.get("executionContextId").and_then(Value::as_i64).unwrap_or_default())
}

/// What a script is called on.
#[derive(Clone, Copy, Debug)]
pub(super) enum On<'a> {
    /// The main document.
    Page,
    /// An element.
    Element(&'a Handle),
}

/// Whether the answer is a JSON value or a handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gives {
    Value,
    Handle,
}

async fn call(
    tab: &Tab,
    on: On<'_>,
    job: &str,
    args: &[Value],
    gives: Gives,
    limit: Duration,
) -> Result<Value, CallError> {
    let body = format!("function (...given) {{\n{SEEN}\nreturn (\n{job}\n).apply(this, given); }}");
    let arguments: Vec<Value> = args.iter().map(|value| json!({"value": value})).collect();
    let mut params = json!({"functionDeclaration": body, "arguments": arguments, "awaitPromise": true,
        "returnByValue": gives == Gives::Value, "objectGroup": HANDLES, "silent": true, "userGesture": true});
    match on {
        On::Page => params["executionContextId"] = world(tab, None, limit).await?.into(),
        On::Element(Handle(id)) => params["objectId"] = id.as_str().into(),
    }
    tab.call("Runtime.callFunctionOn", params, limit).await
}

/// Runs a script and gives its JSON value; `None` if the document went away meanwhile.
pub(super) async fn attempt(
    tab: &Tab,
    on: On<'_>,
    job: &str,
    args: &[Value],
    limit: Duration,
) -> Outcome<Option<Value>> {
    let mut answer = match call(tab, on, job, args, Gives::Value, limit).await {
        Ok(answer) => answer,
        Err(error) if is_between_documents(&error) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    refuse_exception(&answer)?;
    Ok(Some(answer.pointer_mut("/result/value").map(Value::take).unwrap_or_default()))
}

/// Runs a script and gives its JSON value.
pub(super) async fn script(
    tab: &Tab,
    on: On<'_>,
    job: &str,
    args: &[Value],
    limit: Duration,
) -> Outcome<Value> {
    let mut answer = call(tab, on, job, args, Gives::Value, limit).await?;
    refuse_exception(&answer)?;
    Ok(answer.pointer_mut("/result/value").map(Value::take).unwrap_or_default())
}

/// What a script that looks for an element gives.
#[derive(Debug)]
pub(super) enum Sought {
    Found(Handle),
    Nothing,
    /// The selector makes no sense, and why.
    Wrong(String),
}

/// Runs a script that gives an element, nothing, or a string that says what is wrong.
pub(super) async fn seek(tab: &Tab, job: &str, args: &[Value], limit: Duration) -> Outcome<Sought> {
    let answer = match call(tab, On::Page, job, args, Gives::Handle, limit).await {
        Ok(answer) => answer,
        Err(error) if is_between_documents(&error) => return Ok(Sought::Nothing),
        Err(error) => return Err(error.into()),
    };
    refuse_exception(&answer)?;
    if let Some(id) = answer.pointer("/result/objectId").and_then(Value::as_str) {
        return Ok(Sought::Found(Handle(id.to_owned())));
    }
    match answer.pointer("/result/value").and_then(Value::as_str) {
        Some(wrong) => Ok(Sought::Wrong(wrong.to_owned())),
        None => Ok(Sought::Nothing),
    }
}

/// A node of the DOM as a handle in our world of its frame; `None` if it is gone.
pub(super) async fn resolve(tab: &Tab, node: i64, frame: &str, limit: Duration) -> Outcome<Option<Handle>> {
    let context = match world(tab, Some(frame), limit).await {
        Ok(context) => context,
        Err(CallError::Refused { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let params = json!({"backendNodeId": node, "executionContextId": context, "objectGroup": HANDLES});
    match tab.call("DOM.resolveNode", params, limit).await {
        Ok(answer) => {
            Ok(answer.pointer("/object/objectId").and_then(Value::as_str).map(|id| Handle(id.to_owned())))
        }
        Err(CallError::Refused { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Lets go of every handle. A page that does not answer keeps them until its next document.
pub(super) async fn release(tab: &Tab) {
    let params = json!({"objectGroup": HANDLES});
    let _ = tab.call("Runtime.releaseObjectGroup", params, Duration::from_millis(200)).await;
}

/// An exception of a script is the failure of its step.
pub(super) fn refuse_exception(answer: &Value) -> Outcome<()> {
    match answer.get("exceptionDetails") {
        Some(details) => Err(failed("page_error", exception(details))),
        None => Ok(()),
    }
}

/// What an exception says, with its stack where it has one.
pub(super) fn exception(details: &Value) -> String {
    let described = details.pointer("/exception/description").and_then(Value::as_str);
    let thrown = details.pointer("/exception/value").map(|value| format!("thrown: {value}"));
    let text = details.get("text").and_then(Value::as_str).unwrap_or("an exception without a text");
    let whole = described.map(str::to_owned).or(thrown).unwrap_or_else(|| text.to_owned());
    whole.chars().take(2000).collect()
}
