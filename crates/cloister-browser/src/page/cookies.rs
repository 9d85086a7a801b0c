//! Read, set and remove cookies.

use super::run::Run;
use super::trouble::{Outcome, failed};
use crate::call_error::CallError;
use cloister_core::browser::page::{Cookie, Given};
use serde_json::{Map, Value, json};

/// What the current page or the given URLs would send.
pub(super) async fn get(run: &Run<'_>, urls: &[String]) -> Outcome<Given> {
    let params = if urls.is_empty() { json!({"urls": [run.tab.url()]}) } else { json!({"urls": urls}) };
    let answer = run.tab.call("Network.getCookies", params, run.left()).await?;
    let cookies = answer.get("cookies").and_then(Value::as_array).into_iter().flatten();
    Ok(Given::Json(cookies.map(read).collect()))
}

fn read(cookie: &Value) -> Value {
    let mut told = Map::new();
    for name in ["name", "value", "domain", "path", "httpOnly", "secure", "sameSite"] {
        if let Some(value) = cookie.get(name) {
            told.insert(name.to_owned(), value.clone());
        }
    }
    // Chromium says -1 for a cookie of the session.
    if let Some(expires) = cookie.get("expires").filter(|value| value.as_f64().is_some_and(|at| at >= 0.0)) {
        told.insert("expires".to_owned(), expires.clone());
    }
    Value::Object(told)
}

/// Sets them: all or, if one makes no sense, none.
pub(super) async fn set(run: &Run<'_>, cookies: &[Cookie]) -> Outcome<Given> {
    let mut params = Vec::new();
    for cookie in cookies {
        params.push(write(cookie, &run.tab.url())?);
    }
    match run.tab.call("Network.setCookies", json!({"cookies": params}), run.left()).await {
        Ok(_) => Ok(Given::Done),
        Err(CallError::Refused { message, .. }) => {
            Err(failed("invalid", format!("the browser refused a cookie: {message}")))
        }
        Err(error) => Err(error.into()),
    }
}

fn write(cookie: &Cookie, page: &str) -> Outcome<Value> {
    let Cookie { name, value, domain, path, url, expires, http_only, secure, same_site } = cookie;
    if name.is_empty() {
        return Err(failed("invalid", "a cookie needs a name"));
    }
    let mut told = json!({"name": name, "value": value, "httpOnly": http_only, "secure": secure});
    if !path.is_empty() {
        told["path"] = path.as_str().into();
    }
    if let Some(url) = url {
        told["url"] = url.as_str().into();
    } else if !domain.is_empty() {
        told["domain"] = domain.as_str().into();
    } else if page.starts_with("http") {
        told["url"] = page.into();
    } else {
        let message = format!("the cookie {name:?} needs a domain or a url: the current page has none");
        return Err(failed("invalid", message));
    }
    if let Some(expires) = expires {
        told["expires"] = json!(expires);
    }
    match same_site.as_deref() {
        None => {}
        Some(kind @ ("Strict" | "Lax" | "None")) => told["sameSite"] = kind.into(),
        Some(other) => {
            return Err(failed(
                "invalid",
                format!("sameSite is {other:?}: Strict, Lax and None are possible"),
            ));
        }
    }
    Ok(told)
}

/// Removes all.
pub(super) async fn clear(run: &Run<'_>) -> Outcome<Given> {
    run.tab.call("Network.clearBrowserCookies", json!({}), run.left()).await?;
    Ok(Given::Done)
}
