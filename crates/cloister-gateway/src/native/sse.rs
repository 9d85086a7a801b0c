//! Server-sent events: output as it arrives.
//!
//! ```text
//! event: stdout   data: {"text":"…"}          event: display  data: {"image/png":"…","text/plain":"…"}
//! event: stderr   data: {"text":"…"}          event: value    data: {"text/plain":"…"}
//! event: done     data: {"exitCode":0,…}      event: error    data: {"kind":"…","message":"…","fields":[]}
//! ```
//!
//! Data is always one line of JSON. Guest output stands inside JSON strings, in which line ends are escaped,
//! so no output can end an event or begin another.

use super::{error, invoke, view};
use crate::state::Gateway;
use axum::body::Body;
use axum::http::{HeaderValue, Response, header};
use bytes::Bytes;
use cloister_core::SessionId;
use cloister_core::error::Error;
use cloister_core::event::Event;
use cloister_core::receipt::Receipt;
use cloister_core::session::invocation::Invocation;
use futures_util::stream;
use serde_json::{Value, json};
use std::convert::Infallible;
use tokio::time::timeout;

struct Streaming {
    invocation: Invocation,
    gateway: Gateway,
    id: SessionId,
    tier: String,
    receipt: Option<Box<Receipt>>,
    stdout: Utf8,
    stderr: Utf8,
    over: bool,
}

/// The answer: it begins at once and ends with `done` or `error`.
pub(super) fn response(
    invocation: Invocation,
    gateway: Gateway,
    id: SessionId,
    tier: String,
) -> Response<Body> {
    let (stdout, stderr) = (Utf8::default(), Utf8::default());
    let state = Streaming { invocation, gateway, id, tier, receipt: None, stdout, stderr, over: false };
    let events = stream::unfold(state, |mut state| async move {
        if state.over {
            return None;
        }
        let bytes = state.next().await;
        Some((Ok::<_, Infallible>(bytes), state))
    });
    let mut response = Response::new(Body::from_stream(events));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    // Some proxies hold back what looks like a page.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

impl Streaming {
    async fn next(&mut self) -> Bytes {
        let every = self.gateway.config().heartbeat;
        let Ok(event) = timeout(every, self.invocation.next()).await else {
            return Bytes::from_static(b": still running\n\n");
        };
        match event {
            Some(Ok(Event::Stdout(bytes))) => text("stdout", self.stdout.push(&bytes)),
            Some(Ok(Event::Stderr(bytes))) => text("stderr", self.stderr.push(&bytes)),
            Some(Ok(Event::Display(rich))) => frame("display", &view::rich(&rich)),
            Some(Ok(Event::Value(rich))) => frame("value", &view::rich(&rich)),
            // It is a part of the last event.
            Some(Ok(Event::Receipt(receipt))) => {
                self.receipt = Some(receipt);
                Bytes::new()
            }
            Some(Ok(Event::Done(outcome))) => {
                let receipt = self.receipt.as_deref();
                match invoke::done(self.gateway.config(), &self.id, &self.tier, &outcome, receipt) {
                    Ok(members) => self.last("done", &Value::Object(members)),
                    Err(failure) => self.last("error", &error::body(&failure)),
                }
            }
            Some(Err(failure)) => self.last("error", &error::body(&failure)),
            None => {
                let failure =
                    Error::internal("the call ended without an answer", "the invocation's log has no Done");
                self.last("error", &error::body(&failure))
            }
        }
    }

    /// The last event, after what is left of a character that was never finished.
    fn last(&mut self, name: &str, data: &Value) -> Bytes {
        self.over = true;
        let rest =
            [text("stdout", self.stdout.rest()), text("stderr", self.stderr.rest()), frame(name, data)];
        rest.concat().into()
    }
}

fn text(name: &str, text: String) -> Bytes {
    if text.is_empty() { Bytes::new() } else { frame(name, &json!({ "text": text })) }
}

fn frame(name: &str, data: &Value) -> Bytes {
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}

/// Turns bytes into text although characters are cut between chunks; what is not UTF-8 becomes U+FFFD.
#[derive(Debug, Default)]
struct Utf8 {
    /// The beginning of a character, at most three bytes.
    pending: Vec<u8>,
}

impl Utf8 {
    fn push(&mut self, bytes: &[u8]) -> String {
        let mut all = std::mem::take(&mut self.pending);
        all.extend_from_slice(bytes);
        let mut out = String::with_capacity(all.len());
        let mut rest = all.as_slice();
        loop {
            match std::str::from_utf8(rest) {
                Ok(valid) => {
                    out.push_str(valid);
                    return out;
                }
                Err(error) => {
                    let (valid, after) = rest.split_at(error.valid_up_to());
                    out.push_str(&String::from_utf8_lossy(valid));
                    let Some(bad) = error.error_len() else {
                        self.pending = after.to_vec();
                        return out;
                    };
                    out.push(char::REPLACEMENT_CHARACTER);
                    rest = after.get(bad..).unwrap_or_default();
                }
            }
        }
    }

    fn rest(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.pending)).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_cut_between_chunks_arrive_whole() {
        let text = "aé€😀z".as_bytes();
        for at in 0..=text.len() {
            let mut utf8 = Utf8::default();
            let joined = utf8.push(&text[..at]) + &utf8.push(&text[at..]) + &utf8.rest();
            assert_eq!(joined.as_bytes(), text, "cut at {at}");
        }
        let mut utf8 = Utf8::default();
        assert_eq!(utf8.push(b"a\xffb\xe2\x82") + &utf8.rest(), "a\u{fffd}b\u{fffd}");
    }

    #[test]
    fn no_output_can_end_an_event() {
        let hostile = "x\n\nevent: done\ndata: {}\r\n\r\n\u{2028}\u{85}";
        let frame = frame("stdout", &json!({ "text": hostile }));
        let frame = std::str::from_utf8(&frame).unwrap();
        assert_eq!(frame.matches('\n').count(), 3);
        assert!(
            !frame.contains('\r') && frame.starts_with("event: stdout\ndata: {") && frame.ends_with("}\n\n")
        );
    }
}
