//! One page of a recording: its pictures at a slow pace, its console, its requests.
//!
//! ```text
//!   Page.screencastFrame ──▶ tape ──PACE──▶ ack      (the browser sends three ahead, then waits)
//!   QUIET after a burst ──▶ screencast anew: the last picture is the one that stays
//! ```
//!
//! The page domain is not enabled: a session that enables it has to answer the page's dialogs.

use super::line::{NAME, TEXT, URL, cut, now};
use super::writer::Item;
use super::{LIMIT, Tape};
use crate::call_error::CallError;
use crate::connection::Connection;
use crate::events::{CdpEvent, LAGGED};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// Before a picture is acknowledged: what keeps a page that moves without end cheap.
const PACE: Duration = Duration::from_millis(500);
/// Without a picture for so long, a burst is over.
const QUIET: Duration = Duration::from_millis(1000);

/// Records a page until it is closed.
pub(super) async fn record(
    connection: Connection,
    tape: &Tape,
    target: &str,
    page: u32,
) -> Result<(), CallError> {
    let session = connection.attach(target, LIMIT).await?;
    let mut events = connection.events(&session);
    // A page with an open dialog or an endless loop answers none of these until it goes on, and then they count.
    let starts = [
        ("Page.startScreencast", screencast()),
        ("Runtime.enable", json!({})),
        ("Log.enable", json!({})),
        ("Network.enable", json!({ "maxTotalBufferSize": 0, "maxResourceBufferSize": 0 })),
    ];
    for (method, params) in starts {
        later(&connection, &session, method, params, Duration::ZERO);
    }
    let mut shown = Vec::new();
    // When to look again for the picture that stays.
    let mut look: Option<Instant> = None;
    let mut looking = false;
    loop {
        let quiet = async {
            match look {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let event = tokio::select! {
            event = events.next() => event,
            () = quiet => {
                (look, looking) = (None, true);
                let (connection, session) = (connection.clone(), session.clone());
                tokio::spawn(async move {
                    for (method, params) in [("Page.stopScreencast", json!({})), ("Page.startScreencast", screencast())] {
                        let _ = connection.call(Some(&session), method, params, LIMIT).await;
                    }
                });
                continue;
            }
        };
        let Some(event) = event else { return Ok(()) };
        if event.method != "Page.screencastFrame" {
            note(tape, page, &event);
            continue;
        }
        let number = event.params.get("sessionId").cloned().unwrap_or_default();
        let data = event.params.get("data").and_then(Value::as_str).unwrap_or_default();
        let fresh = STANDARD.decode(data).ok().filter(|jpeg| !jpeg.is_empty() && *jpeg != shown);
        if let Some(jpeg) = fresh {
            match connection.budget().hold(jpeg.len()) {
                Ok(held) => {
                    // Waits while the disk is behind, and the browser with it.
                    let frame = Item::Frame { at: now(), page, jpeg: jpeg.clone(), held };
                    if tape.queue.send(frame).await.is_err() {
                        return Ok(());
                    }
                }
                Err(_) => tape.event("lost", json!({ "page": page, "frames": 1 })),
            }
            shown = jpeg;
            look = (!looking).then(|| Instant::now() + QUIET);
        }
        looking = false;
        later(&connection, &session, "Page.screencastFrameAck", json!({ "sessionId": number }), PACE);
    }
}

fn screencast() -> Value {
    json!({ "format": "jpeg", "quality": 50, "maxWidth": 1280, "maxHeight": 1280, "everyNthFrame": 1 })
}

/// A call whose answer changes nothing, after a while. Few are on their way: the browser waits for acknowledgements.
fn later(connection: &Connection, session: &str, method: &'static str, params: Value, wait: Duration) {
    let (connection, session) = (connection.clone(), session.to_owned());
    tokio::spawn(async move {
        sleep(wait).await;
        if let Err(error) = connection.call(Some(&session), method, params, LIMIT).await {
            tracing::debug!(%error, "a call of the recorder was not answered");
        }
    });
}

/// An event as a line. No header, no cookie, no body and no object of the page is in it.
fn note(tape: &Tape, page: u32, event: &CdpEvent) {
    let text =
        |pointer: &str, most| event.params.pointer(pointer).and_then(Value::as_str).map(|t| cut(t, most));
    let request = text("/requestId", NAME);
    match event.method.as_str() {
        "Runtime.consoleAPICalled" => {
            let arguments = event.params.get("args").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            let said: Vec<String> = arguments.iter().map(spoken).collect();
            let members =
                json!({ "page": page, "level": text("/type", NAME), "text": cut(&said.join(" "), TEXT) });
            tape.event("console", members);
        }
        "Runtime.exceptionThrown" => {
            let said = text("/exceptionDetails/exception/description", TEXT);
            let said = said.or_else(|| text("/exceptionDetails/text", TEXT));
            tape.event("console", json!({ "page": page, "level": "exception", "text": said }));
        }
        "Log.entryAdded" => {
            let (level, said) = (text("/entry/level", NAME), text("/entry/text", TEXT));
            tape.event("console", json!({ "page": page, "level": level, "text": said }));
        }
        "Network.requestWillBeSent" => {
            let members = json!({ "page": page, "request": request, "method": text("/request/method", NAME),
                "url": text("/request/url", URL), "type": text("/type", NAME) });
            tape.event("request", members);
        }
        "Network.responseReceived" => {
            let members = json!({ "page": page, "request": request, "status": event.params.pointer("/response/status"),
                "mime": text("/response/mimeType", NAME) });
            tape.event("response", members);
        }
        "Network.loadingFailed" => {
            tape.event(
                "failed",
                json!({ "page": page, "request": request, "error": text("/errorText", TEXT) }),
            );
        }
        LAGGED => tape.event("lost", json!({ "page": page, "events": event.params.get("missed") })),
        _ => {}
    }
}

/// An argument of `console.log`, for people.
fn spoken(argument: &Value) -> String {
    match (argument.get("value"), argument.get("description").and_then(Value::as_str)) {
        (Some(Value::String(text)), _) => cut(text, TEXT),
        (Some(value), _) => cut(&value.to_string(), TEXT),
        (None, Some(text)) => cut(text, TEXT),
        (None, None) => argument.get("type").and_then(Value::as_str).unwrap_or_default().to_owned(),
    }
}
