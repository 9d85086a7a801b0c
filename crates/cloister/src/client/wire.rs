//! The native door's JSON, as far as the command line reads or writes it. Members that it does not know are ignored.

use serde::Deserialize;
use serde_json::{Map, Value};

/// A session, as `POST /v1/sessions` and the list give it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Session {
    pub(crate) id: String,
    /// `code` or `browser`.
    pub(crate) kind: String,
    pub(crate) interpreter: String,
    pub(crate) name: Option<String>,
    pub(crate) status: String,
    pub(crate) created_at: String,
    pub(crate) policy: String,
}

/// The data of the event `done`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Done {
    /// Absent when the session refused the call; then there is an error.
    pub(crate) exit_code: Option<i32>,
    pub(crate) error: Option<GuestError>,
    /// Sentences about limits and about the state.
    pub(crate) notes: Vec<String>,
    pub(crate) files: Vec<File>,
}

/// An uncaught exception, or a refusal.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct GuestError {
    pub(crate) name: String,
    pub(crate) message: String,
    pub(crate) traceback: String,
}

/// A file that a call created or changed.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) size: u64,
}

/// One step of an answer.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Standard output.
    Stdout(String),
    /// Standard error.
    Stderr(String),
    /// Something shown: MIME type to content.
    Display(Map<String, Value>),
    /// The value of a last bare expression, in the same form.
    Value(Map<String, Value>),
    /// The end, with the JSON as it came.
    Done(Box<Done>, Value),
    /// The server could not finish the call, in its words.
    Error(String),
    /// An event of a later version.
    Unknown,
}

impl Step {
    /// Reads an event; `None` if its data is not what its name promises.
    pub(super) fn read(name: &str, data: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(data).ok()?;
        let text = |value: &Value| value["text"].as_str().map(str::to_owned);
        let forms = |value: Value| match value {
            Value::Object(forms) => Some(forms),
            _ => None,
        };
        match name {
            "stdout" => text(&value).map(Self::Stdout),
            "stderr" => text(&value).map(Self::Stderr),
            "display" => forms(value).map(Self::Display),
            "value" => forms(value).map(Self::Value),
            "done" if value.is_object() => Some(Self::Done(Box::new(Done::deserialize(&value).ok()?), value)),
            "error" => value["message"].as_str().map(|message| Self::Error(message.to_owned())),
            "done" => None,
            _ => Some(Self::Unknown),
        }
    }
}

/// Kind and message of an error body: `{"error":{"kind","message","fields"}}`.
pub(super) fn refusal(body: &[u8]) -> Option<(String, String)> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let error = &value["error"];
    Some((error["kind"].as_str()?.to_owned(), error["message"].as_str()?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_by_name_and_nonsense_is_noticed() {
        assert!(
            matches!(Step::read("stdout", r#"{"text":"hi\n"}"#), Some(Step::Stdout(text)) if text == "hi\n")
        );
        assert!(
            matches!(Step::read("value", r#"{"text/plain":"4"}"#), Some(Step::Value(forms)) if forms["text/plain"] == "4")
        );
        let done = r#"{"exitCode":3,"files":[{"name":"a","mimeType":"b","size":4,"url":"c"}],"error":null,"notes":["n"],"new":1}"#;
        let Some(Step::Done(done, _)) = Step::read("done", done) else { panic!("not done") };
        assert_eq!((done.exit_code, done.files[0].size, done.notes.len()), (Some(3), 4, 1));
        assert!(matches!(Step::read("from-the-future", "{}"), Some(Step::Unknown)));
        for (name, data) in [("stdout", "{}"), ("stdout", "text"), ("done", "[]"), ("error", "{}")] {
            assert!(Step::read(name, data).is_none(), "{name} {data}");
        }
    }

    #[test]
    fn an_error_body_gives_kind_and_message() {
        let body = br#"{"error":{"kind":"not_found","message":"there is no such session","fields":[]}}"#;
        assert_eq!(refusal(body), Some(("not_found".into(), "there is no such session".into())));
        assert_eq!(refusal(b"<html>"), None);
    }
}
