//! One tab's events, applied to its state and to the session's log.
//!
//! [`apply`] is the only function that changes a tab's state, and it waits for nothing.

use super::log::{Log, Request, cut};
use super::world::exception;
use crate::events::{CdpEvent, LAGGED};
use crate::tab::{Dialog, Document, Response, State, Tab};
use serde_json::Value;
use tokio::time::Instant;

/// Requests that a tab may have open; more are not waited for. A page that opens without end must not fill our memory.
const OPEN_REQUESTS: usize = 2000;

fn text<'a>(of: &'a Value, pointer: &str) -> &'a str {
    of.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Applies one event. Gives the dialog that has just opened.
pub(super) fn apply(tab: &Tab, event: &CdpEvent, log: &Log) -> Option<Dialog> {
    let CdpEvent { method, params, .. } = event;
    let in_main_frame = text(params, "/frameId") == tab.target;
    match method.as_str() {
        "Page.frameNavigated" => navigated(tab, params),
        "Page.navigatedWithinDocument" if in_main_frame => change(tab, |state| {
            state.document.url = text(params, "/url").to_owned();
            state.commits += 1;
            state.leaving = false;
        }),
        "Page.lifecycleEvent" if in_main_frame => lifecycle(tab, params),
        "Page.frameStartedNavigating" if in_main_frame => {
            let within = matches!(text(params, "/navigationType"), "sameDocument" | "historySameDocument");
            change(tab, |state| state.leaving = !within);
        }
        "Page.frameRequestedNavigation" if in_main_frame => {
            let here = text(params, "/disposition") == "currentTab";
            let script = text(params, "/url").starts_with("javascript:");
            let saved = text(params, "/disposition") == "download";
            change(tab, |state| {
                state.leaving |= here && !script;
                state.downloads += u64::from(saved);
            });
        }
        "Page.frameStoppedLoading" if in_main_frame => change(tab, |state| state.leaving = false),
        "Page.downloadWillBegin" => change(tab, |state| {
            state.downloads += 1;
            state.leaving &= !in_main_frame;
        }),
        "Page.windowOpen" => change(tab, |state| state.windows += 1),
        "Page.javascriptDialogOpening" => return Some(dialog(tab, params, log)),
        "Page.javascriptDialogClosed" => {
            change(tab, |state| state.dialog = None);
            tab.input_for_prompt().clear();
        }
        "Inspector.targetCrashed" => {
            log.line(&tab.id, "crash", "the page has crashed", &tab.url());
            change(tab, |state| {
                state.crashed = true;
                state.crashes += 1;
                state.dialog = None;
                state.leaving = false;
                state.open_requests.clear();
            });
        }
        "Inspector.targetReloadedAfterCrash" => change(tab, |state| state.crashed = false),
        "Network.requestWillBeSent" => request(tab, params, log),
        "Network.responseReceived" => response(tab, params, log),
        "Network.loadingFinished" => {
            let bytes =
                params.get("encodedDataLength").and_then(Value::as_f64).map_or(0, |n| n.max(0.0) as u64);
            ended(tab, params, log, |request| request.bytes = Some(bytes));
        }
        "Network.loadingFailed" => {
            let blocked = text(params, "/blockedReason");
            let why = if blocked.is_empty() { text(params, "/errorText") } else { blocked };
            ended(tab, params, log, |request| request.error = Some(cut(why)));
        }
        "Runtime.consoleAPICalled" => console(tab, params, log),
        "Runtime.exceptionThrown" => {
            let details = params.get("exceptionDetails").cloned().unwrap_or_default();
            log.line(&tab.id, "exception", &exception(&details), text(&details, "/url"));
        }
        "Log.entryAdded" => {
            let entry = |pointer| text(params, pointer);
            log.line(&tab.id, entry("/entry/level"), entry("/entry/text"), entry("/entry/url"));
        }
        LAGGED => {
            let note =
                format!("{} events of the page came too fast and were not seen", text_of_number(params));
            log.line(&tab.id, "lost", &note, "");
            change(tab, |state| state.open_requests.clear());
        }
        _ => {}
    }
    None
}

fn text_of_number(params: &Value) -> String {
    params.get("missed").map(Value::to_string).unwrap_or_default()
}

fn change(tab: &Tab, how: impl FnOnce(&mut State)) {
    tab.state.send_modify(how);
}

fn navigated(tab: &Tab, params: &Value) {
    if params.pointer("/frame/parentId").is_some() {
        return;
    }
    let restored = text(params, "/type") == "BackForwardCacheRestore";
    let unreachable = text(params, "/frame/unreachableUrl");
    let shown = if unreachable.is_empty() { text(params, "/frame/url") } else { unreachable };
    let url = format!("{shown}{}", text(params, "/frame/urlFragment"));
    let loader = text(params, "/frame/loaderId").to_owned();
    change(tab, |state| {
        state.document = Document { loader: loader.clone(), url, parsed: restored, loaded: restored };
        state.commits += 1;
        state.leaving = false;
        state.crashed = false;
        state.open_requests.retain(|id| *id == loader);
        state.traffic = Instant::now();
    });
}

fn lifecycle(tab: &Tab, params: &Value) {
    let (name, loader) = (text(params, "/name"), text(params, "/loaderId"));
    change(tab, |state| {
        if state.document.loader == loader {
            state.document.parsed |= matches!(name, "DOMContentLoaded" | "load");
            state.document.loaded |= name == "load";
        }
    });
}

fn dialog(tab: &Tab, params: &Value, log: &Log) -> Dialog {
    let open = Dialog {
        kind: text(params, "/type").to_owned(),
        message: cut(text(params, "/message")),
        proposal: cut(text(params, "/defaultPrompt")),
    };
    log.line(&tab.id, "dialog", &format!("{}: {}", open.kind, open.message), text(params, "/url"));
    tab.input_for_prompt().clear();
    change(tab, |state| state.dialog = Some(open.clone()));
    open
}

fn request(tab: &Tab, params: &Value, log: &Log) {
    let id = text(params, "/requestId");
    if let Some(redirect) = params.get("redirectResponse") {
        let status = redirect.get("status").and_then(Value::as_u64).and_then(|n| u16::try_from(n).ok());
        log.change_request(&tab.id, id, |request| request.status = status);
    }
    let kind = text(params, "/type");
    log.request(Request {
        id: id.to_owned(),
        tab: tab.id.clone(),
        method: text(params, "/request/method").to_owned(),
        url: text(params, "/request/url").chars().take(500).collect(),
        kind: kind.to_owned(),
        ..Request::default()
    });
    // These stay open as long as their page.
    if matches!(kind, "EventSource" | "WebSocket" | "Ping" | "Media") {
        return;
    }
    change(tab, |state| {
        if state.open_requests.len() < OPEN_REQUESTS {
            state.open_requests.insert(id.to_owned());
        }
        state.traffic = Instant::now();
    });
}

fn response(tab: &Tab, params: &Value, log: &Log) {
    let id = text(params, "/requestId");
    let status = params.pointer("/response/status").and_then(Value::as_u64);
    let status = status.and_then(|n| u16::try_from(n).ok()).unwrap_or_default();
    let mime = text(params, "/response/mimeType");
    log.change_request(&tab.id, id, |request| {
        request.status = Some(status);
        request.mime = cut(mime);
    });
    let in_main_frame = text(params, "/frameId") == tab.target;
    if in_main_frame && text(params, "/type") == "Document" {
        let loader = text(params, "/loaderId").to_owned();
        change(tab, |state| state.response = Response { loader, status, mime: cut(mime) });
    }
}

fn ended(tab: &Tab, params: &Value, log: &Log, how: impl FnOnce(&mut Request)) {
    let id = text(params, "/requestId");
    log.change_request(&tab.id, id, how);
    change(tab, |state| {
        state.open_requests.remove(id);
        state.traffic = Instant::now();
    });
}

fn console(tab: &Tab, params: &Value, log: &Log) {
    let none = Vec::new();
    let args = params.get("args").and_then(Value::as_array).unwrap_or(&none);
    let said: Vec<String> = args.iter().take(20).map(shown).collect();
    log.line(&tab.id, text(params, "/type"), &said.join(" "), text(params, "/stackTrace/callFrames/0/url"));
}

/// An argument of console.log as text.
fn shown(argument: &Value) -> String {
    if let Some(properties) = argument.pointer("/preview/properties").and_then(Value::as_array) {
        let parts: Vec<String> = properties
            .iter()
            .map(|property| format!("{}: {}", text(property, "/name"), text(property, "/value")))
            .collect();
        return format!("{} {{{}}}", text(argument, "/description"), parts.join(", "));
    }
    match argument.get("value") {
        Some(Value::String(value)) => cut(value),
        Some(value) => cut(&value.to_string()),
        None => {
            let described = text(argument, "/description");
            cut(if described.is_empty() { text(argument, "/type") } else { described })
        }
    }
}
