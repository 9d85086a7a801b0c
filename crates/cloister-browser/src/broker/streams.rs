//! Stream handles that a client was given: read from the answers to its own calls.

use crate::envelope::{Head, Incoming};
use cloister_core::lock::lock;
use serde_json::Value;
use std::collections::HashSet;
use std::sync::Mutex;

/// Calls whose answer may hold a handle.
const CALLS: [&str; 2] = ["Fetch.takeResponseBodyAsStream", "Page.printToPDF"];
/// The event that holds one.
const EVENT: &str = "Tracing.tracingComplete";
/// Handles and calls that are remembered; a client that never closes any loses the right to further ones.
const MAX: usize = 4096;

#[derive(Default)]
struct Known {
    asked: HashSet<(String, i64)>,
    given: HashSet<String>,
}

/// The streams of one client.
#[derive(Default)]
pub(super) struct Streams(Mutex<Known>);

impl Streams {
    /// The client makes a call.
    pub(super) fn asked(&self, session: &str, id: i64, method: &str) {
        if CALLS.contains(&method) {
            let mut known = lock(&self.0);
            if known.asked.len() < MAX {
                known.asked.insert((session.to_owned(), id));
            }
        }
    }

    /// The client is sent a message.
    pub(super) fn answered(&self, message: &Incoming) {
        let holds = match message.head {
            Head::Answer(id) => {
                let mut known = lock(&self.0);
                // Nearly always empty, and then nothing is copied for the look.
                !known.asked.is_empty()
                    && known.asked.remove(&(message.session().unwrap_or_default().to_owned(), id))
            }
            Head::Event(_) => message.method() == Some(EVENT),
            Head::Other => false,
        };
        if !holds {
            return;
        }
        let body: Value = serde_json::from_slice(&message.bytes).unwrap_or_default();
        let handle = body.pointer("/result/stream").or_else(|| body.pointer("/params/stream"));
        let mut known = lock(&self.0);
        if let Some(handle) = handle.and_then(Value::as_str)
            && known.given.len() < MAX
        {
            known.given.insert(handle.to_owned());
        }
    }

    /// Whether the client was given this handle.
    pub(super) fn owns(&self, handle: &str) -> bool {
        lock(&self.0).given.contains(handle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn incoming(text: &str) -> Incoming {
        Incoming::read(text.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn a_handle_belongs_to_the_client_whose_call_it_answers() {
        let streams = Streams::default();
        streams.asked("A1", 3, "Page.printToPDF");
        streams.answered(&incoming(r#"{"id":3,"result":{"stream":"9"},"sessionId":"B2"}"#));
        assert!(!streams.owns("9"), "another session's answer");
        streams.answered(&incoming(r#"{"id":3,"result":{"stream":"1"},"sessionId":"A1"}"#));
        assert!(streams.owns("1"));
        streams.answered(&incoming(
            r#"{"method":"Tracing.tracingComplete","params":{"stream":"2"},"sessionId":"A1"}"#,
        ));
        assert!(streams.owns("2"));
    }

    #[test]
    fn a_page_cannot_forge_a_handle() {
        let streams = Streams::default();
        streams.asked("A1", 3, "Runtime.evaluate");
        streams.answered(&incoming(r#"{"id":3,"result":{"stream":"9"},"sessionId":"A1"}"#));
        assert!(!streams.owns("9"));
    }
}
