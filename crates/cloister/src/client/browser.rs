//! What page actions gave, as the native door says it: `{"results": [{"action", "url", …}], "failed": null | {…}}`.

use super::{Client, ClientError};
use serde::Deserialize;
use serde_json::Value;

/// An answer of `POST /v1/sessions/{id}/actions`.
#[derive(Debug)]
pub(crate) struct Performed {
    /// One entry per action that was begun.
    pub(crate) results: Vec<ActionResult>,
    /// Which action failed, and why, in one sentence.
    pub(crate) failed: Option<String>,
}

/// What one action gave. The JSON is kept as it came.
#[derive(Debug)]
pub(crate) struct ActionResult {
    /// Its name.
    pub(crate) action: String,
    json: Value,
}

#[derive(Deserialize)]
struct Failed {
    index: usize,
    action: String,
    code: String,
    message: String,
}

impl Performed {
    /// Reads an answer of `client`.
    pub(crate) fn read(answer: &Value, client: &Client) -> Result<Self, ClientError> {
        Self::parse(answer).ok_or_else(|| client.broken("the answer is not one to page actions".to_owned()))
    }

    fn parse(answer: &Value) -> Option<Self> {
        let result = |json: &Value| {
            Some(ActionResult { action: json["action"].as_str()?.to_owned(), json: json.clone() })
        };
        let results = answer["results"].as_array()?.iter().map(result).collect::<Option<_>>()?;
        let failed = Option::<Failed>::deserialize(&answer["failed"]).ok()?;
        let sentence = |failed: Failed| {
            let Failed { index, action, code, message } = failed;
            format!("action {} ({action}): {message} ({code})", index + 1)
        };
        Some(Self { results, failed: failed.map(sentence) })
    }

    /// The results for programs. What has been taken out of them is no longer there.
    pub(crate) fn json(&self) -> Vec<&Value> {
        self.results.iter().map(|result| &result.json).collect()
    }
}

impl ActionResult {
    /// Takes out a picture or a PDF, in base64.
    pub(crate) fn take_data(&mut self) -> Option<String> {
        match self.json.as_object_mut()?.shift_remove("data")? {
            Value::String(data) => Some(data),
            _ => None,
        }
    }

    /// What a person wants to see of it: texts, values, and where a file lies. A navigation's details are not asked for.
    pub(crate) fn shown(&self) -> Option<String> {
        if let Some(text) = self.json["text"].as_str() {
            return Some(text.to_owned());
        }
        if let Some(path) = self.json["file"]["path"].as_str() {
            return Some(path.to_owned());
        }
        match &self.json["value"] {
            Value::Null => None,
            _ if matches!(self.action.as_str(), "navigate" | "back" | "forward" | "reload") => None,
            Value::String(text) => Some(text.clone()),
            value => serde_json::to_string_pretty(value).ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn results_are_shown_and_their_data_is_taken_out_once() {
        let answer = json!({
            "results": [
                { "action": "navigate", "url": "http://a/", "seconds": 0.1, "value": { "status": 200 } },
                { "action": "extract", "url": "http://a/", "text": "# A" },
                { "action": "evaluate", "url": "http://a/", "value": [1] },
                { "action": "screenshot", "url": "http://a/", "mimeType": "image/png", "size": 3, "data": "AAAA" },
                { "action": "pdf", "url": "http://a/", "file": { "path": "a.pdf", "url": "http://x" } }
            ],
            "failed": null
        });
        let mut performed = Performed::parse(&answer).unwrap();
        let shown: Vec<_> = performed.results.iter().filter_map(ActionResult::shown).collect();
        assert_eq!(shown, ["# A", "[\n  1\n]", "a.pdf"]);
        assert_eq!(performed.results[3].take_data().as_deref(), Some("AAAA"));
        assert_eq!(performed.results[3].take_data(), None);
        assert!(performed.failed.is_none() && performed.json()[3].get("data").is_none());
    }

    #[test]
    fn a_failure_is_one_sentence_and_nonsense_is_noticed() {
        let failed =
            json!({ "index": 1, "action": "click", "code": "not_found", "message": "no element matches #a" });
        let performed = Performed::parse(&json!({ "results": [], "failed": failed })).unwrap();
        assert_eq!(performed.failed.as_deref(), Some("action 2 (click): no element matches #a (not_found)"));
        for nonsense in
            [json!({}), json!({ "results": [{}], "failed": null }), json!({ "results": [], "failed": 3 })]
        {
            assert!(Performed::parse(&nonsense).is_none(), "{nonsense}");
        }
    }
}
