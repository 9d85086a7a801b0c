//! Evaluate JavaScript in the page's own world; promises are awaited.

use super::run::Run;
use super::trouble::Outcome;
use super::world::{HANDLES, refuse_exception};
use cloister_core::browser::page::Given;
use serde_json::{Value, json};

/// The step. Statements are taken too, as in a console; the value is the last expression's.
pub(super) async fn evaluate(run: &Run<'_>, expression: &str) -> Outcome<Given> {
    let params = |expression: &str, console: bool| {
        json!({"expression": expression, "awaitPromise": true, "userGesture": true, "replMode": console,
            "silent": true, "objectGroup": HANDLES})
    };
    let mut answer = run.tab.call("Runtime.evaluate", params(expression, true), run.left()).await?;
    if is_return_outside(&answer) {
        let body = format!("(async () => {{ {expression}\n}})()");
        answer = run.tab.call("Runtime.evaluate", params(&body, false), run.left()).await?;
    }
    refuse_exception(&answer)?;
    // A console gives promises as they are; here they are awaited, and objects become JSON.
    if let Some(id) = answer.pointer("/result/objectId").and_then(Value::as_str) {
        let params = json!({"objectId": id, "functionDeclaration": "function () { return this; }",
            "awaitPromise": true, "returnByValue": true, "silent": true});
        answer = run.tab.call("Runtime.callFunctionOn", params, run.left()).await?;
        refuse_exception(&answer)?;
    }
    let result = answer.get_mut("result").map(Value::take).unwrap_or_default();
    if let Some(value) = result.get("value") {
        return Ok(Given::Json(value.clone()));
    }
    // NaN, Infinity, -0 and big integers have no JSON.
    let odd = result.get("unserializableValue").and_then(Value::as_str).map(str::to_owned);
    Ok(Given::Json(odd.map_or(Value::Null, Value::from)))
}

/// `return x` at the top, as in the body of a function.
fn is_return_outside(answer: &Value) -> bool {
    let description = answer.pointer("/exceptionDetails/exception/description").and_then(Value::as_str);
    description.is_some_and(|text| text.starts_with("SyntaxError: Illegal return"))
}
