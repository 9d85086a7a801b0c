//! Holds requests (and, in tests, answers) against the service model's tables and reports every member that
//! breaks them.
//!
//! ```text
//! labels · query · headers · body ──▶ check(table) ──▶ Ok, or ValidationException{FieldValidationFailed, fieldList}
//! ```
//!
//! Clients check only required members and minimum lengths themselves; maxima, patterns and enumerations are
//! ours to enforce. Nothing is ignored in silence: a member that the model does not know is an error, in the
//! body and in the query.

use super::model::{Location, Member, Served, Shape};
use crate::auth::Caller;
use crate::json::Json;
use axum::http::HeaderMap;
use cloister_core::error::{Error, Field, Kind, Reason};
use regex_lite::Regex;
use std::collections::HashMap;
use std::sync::LazyLock;

/// Most entries of a `fieldList`: a list of a million bad entries must not become a larger answer.
const FIELDS: usize = 64;
/// Longest text that a pattern is tried on. The longest that any pattern of the model can mean is an ARN of
/// 2,048 characters; without this a pattern is tried on every position of a body of 100 MB.
const PATTERN_TEXT: usize = 8_192;
/// Longest part of a member's name that is shown back.
const NAME_SHOWN: usize = 100;

/// What came in, sorted by where it travelled.
pub(crate) struct Incoming<'a> {
    /// Who sends it.
    pub(crate) caller: &'a Caller,
    /// Path labels, decoded.
    pub(crate) labels: &'a [(&'static str, String)],
    /// Query parameters, decoded.
    pub(crate) query: &'a [(String, String)],
    /// Headers.
    pub(crate) headers: &'a HeaderMap,
    /// The body; an empty object if there was none.
    pub(crate) body: &'a Json<'a>,
}

impl Incoming<'_> {
    /// The value of a query parameter.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The value of a label.
    pub(crate) fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str())
    }

    fn text(&self, member: &Member) -> Option<Result<&str, &'static str>> {
        match member.location {
            Location::Uri => self.label(member.wire).map(Ok),
            Location::Query => self.query(member.wire).map(Ok),
            Location::Header => {
                let mut values = self.headers.get_all(member.wire).iter();
                let value = values.next()?;
                if values.next().is_some() {
                    return Some(Err("Member must be given once"));
                }
                Some(value.to_str().map_err(|_| "Member must be printable ASCII"))
            }
            Location::Body => None,
        }
    }
}

/// Checks a request against the input shape of its operation.
pub(crate) fn check(operation: &Served, incoming: &Incoming<'_>) -> Result<(), Error> {
    let Shape::Structure { members, .. } = operation.input else { return Ok(()) };
    let mut problems = Problems::default();
    for member in *members {
        match incoming.text(member) {
            Some(Ok(text)) => check_text(member.name, text, member.shape, &mut problems),
            Some(Err(message)) => problems.add(member.name, message),
            None if member.location != Location::Body && member.required => {
                problems.add(member.name, "Member must not be null");
            }
            None => {}
        }
    }
    for (index, (key, _)) in incoming.query.iter().enumerate() {
        if !members.iter().any(|m| m.location == Location::Query && m.wire == key) {
            problems.add(shown(key), "Unknown query parameter");
        } else if incoming.query[..index].iter().any(|(other, _)| other == key) {
            problems.add(shown(key), "Member must be given once");
        }
    }
    let Json::Object(_) = incoming.body else {
        let message = format!("the request body must be a JSON object, and it is {}", incoming.body.kind());
        return Err(Error::invalid(Reason::CannotParse, message));
    };
    check_members("", incoming.body, members, &mut problems);
    problems.into_result()
}

/// Every way in which a JSON text differs from a shape of the model, as `path: message`. For tests that hold
/// answers against the model.
pub fn differences(shape: &'static Shape, text: &[u8]) -> Vec<String> {
    let value = match Json::parse(text) {
        Ok(value) => value,
        Err(error) => return vec![error.message],
    };
    let mut problems = Problems::default();
    check_value("", &value, shape, &mut problems);
    problems.fields.into_iter().map(|field| format!("{}: {}", field.name, field.message)).collect()
}

/// The members at fault, up to [`FIELDS`] of them.
#[derive(Default)]
struct Problems {
    fields: Vec<Field>,
}

impl Problems {
    fn add(&mut self, name: impl Into<String>, message: impl Into<String>) {
        if self.fields.len() < FIELDS {
            self.fields.push(Field { name: name.into(), message: message.into() });
        }
    }

    fn full(&self) -> bool {
        self.fields.len() >= FIELDS
    }

    fn into_result(self) -> Result<(), Error> {
        if self.fields.is_empty() { Ok(()) } else { Err(field_error(self.fields)) }
    }
}

/// One error for several members, in the words that AWS services use.
pub(crate) fn field_error(fields: Vec<Field>) -> Error {
    let count = fields.len();
    let list: Vec<_> = fields
        .iter()
        .map(|f| format!("Value at '{}' failed to satisfy constraint: {}", f.name, f.message))
        .collect();
    let s = if count == 1 { "" } else { "s" };
    let message = format!("{count} validation error{s} detected: {}", list.join("; "));
    Error { reason: Some(Reason::FieldValidationFailed), fields, ..Error::new(Kind::Validation, message) }
}

fn check_members(path: &str, value: &Json<'_>, members: &[Member], problems: &mut Problems) {
    let Json::Object(given) = value else { return };
    for (key, _) in given {
        if !members.iter().any(|m| m.location == Location::Body && m.wire == key) {
            problems.add(join(path, &shown(key)), "Unknown member");
        }
    }
    for member in members.iter().filter(|m| m.location == Location::Body) {
        if problems.full() {
            return;
        }
        match value.get(member.wire) {
            Some(inner) => check_value(&join(path, member.name), inner, member.shape, problems),
            None if member.required => problems.add(join(path, member.name), "Member must not be null"),
            None => {}
        }
    }
}

fn check_value(path: &str, value: &Json<'_>, shape: &'static Shape, problems: &mut Problems) {
    match (shape, value) {
        (Shape::String { .. }, Json::String(text)) => check_text(path, text, shape, problems),
        (Shape::Blob { min, max }, Json::String(text)) => match decoded_length(text) {
            Some(length) => check_length(path, length, *min, *max, problems),
            None => problems.add(path, "Member must be base64 with padding (RFC 4648, section 4)"),
        },
        (Shape::Integer { min, max }, Json::Number(number)) => match number.as_i64() {
            Some(n) => check_range(path, n, *min, *max, problems),
            None => problems.add(path, "Member must be an integer"),
        },
        (Shape::Double, Json::Number(_)) | (Shape::Boolean, Json::Bool(_)) => {}
        (Shape::Timestamp, Json::String(text)) => {
            if !crate::timestamp::is_iso8601(text) {
                problems.add(path, "Member must be a date and time (YYYY-MM-DDThh:mm:ss.sssZ)");
            }
        }
        (Shape::List { min, max, member }, Json::Array(entries)) => {
            check_length(path, entries.len() as u64, *min, *max, problems);
            for (index, entry) in entries.iter().enumerate() {
                if problems.full() {
                    return;
                }
                check_value(&format!("{path}[{index}]"), entry, member, problems);
            }
        }
        (Shape::Structure { union, members }, Json::Object(given)) => {
            check_members(path, value, members, problems);
            if *union && given.iter().filter(|(_, value)| *value != Json::Null).count() != 1 {
                let names: Vec<_> = members.iter().map(|member| member.name).collect();
                problems.add(path, format!("Member must hold exactly one of {}", names.join(", ")));
            }
        }
        (shape, value) => {
            problems.add(path, format!("Member must be {}, and it is {}", expected(shape), value.kind()));
        }
    }
}

fn check_text(path: &str, text: &str, shape: &'static Shape, problems: &mut Problems) {
    let Shape::String { min, max, pattern, values } = shape else {
        // Only strings travel outside the body in the operations that are served; see the test below.
        return problems.add(path, "Member cannot be read here");
    };
    if !values.is_empty() && !values.contains(&text) {
        return problems.add(path, format!("Member must satisfy enum value set: [{}]", values.join(", ")));
    }
    let before = problems.fields.len();
    check_length(path, characters(text, *max), *min, *max, problems);
    if let Some(pattern) = pattern
        && problems.fields.len() == before
        && !matches_whole(pattern, text)
    {
        problems.add(path, format!("Member must satisfy regular expression pattern: {pattern}"));
    }
}

/// The length of a text in characters (Unicode scalar values), as the model counts.
fn characters(text: &str, max: Option<u64>) -> u64 {
    // Bytes are an upper bound of characters and cost nothing to know, so only long texts that could be too
    // long are counted.
    let bytes = text.len() as u64;
    if bytes > 1_024 && max.is_none_or(|max| bytes <= max) { bytes } else { text.chars().count() as u64 }
}

fn check_length(path: &str, length: u64, min: Option<u64>, max: Option<u64>, problems: &mut Problems) {
    if let Some(min) = min.filter(|min| length < *min) {
        problems
            .add(path, format!("Member must have length greater than or equal to {min}, and has {length}"));
    }
    if let Some(max) = max.filter(|max| length > *max) {
        problems.add(path, format!("Member must have length less than or equal to {max}, and has {length}"));
    }
}

fn check_range(path: &str, value: i64, min: Option<i64>, max: Option<i64>, problems: &mut Problems) {
    if let Some(min) = min.filter(|min| value < *min) {
        problems.add(path, format!("Member must have value greater than or equal to {min}, and is {value}"));
    }
    if let Some(max) = max.filter(|max| value > *max) {
        problems.add(path, format!("Member must have value less than or equal to {max}, and is {value}"));
    }
}

/// How many bytes a base64 text stands for; `None` if it is not base64.
fn decoded_length(text: &str) -> Option<u64> {
    let bytes = text.as_bytes();
    if !bytes.len().is_multiple_of(4) {
        return None;
    }
    let padding = bytes.iter().rev().take(2).take_while(|b| **b == b'=').count();
    let (digits, _) = bytes.split_at(bytes.len() - padding);
    let ok = digits.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'+' || *b == b'/');
    ok.then(|| (bytes.len() / 4 * 3 - padding) as u64)
}

/// Patterns of the model are meant for the whole text, although they carry no anchors (`[0-9a-zA-Z]{1,40}` is
/// a session id, not any text that holds a letter).
fn matches_whole(pattern: &str, text: &str) -> bool {
    static COMPILED: LazyLock<HashMap<&'static str, Regex>> = LazyLock::new(|| {
        let compile = |p: &'static str| Some((p, Regex::new(&format!("^(?:{p})$")).ok()?));
        super::model::patterns().into_iter().filter_map(compile).collect()
    });
    // A pattern that did not compile matches nothing: refuse rather than let everything in. A test compiles
    // them all.
    text.len() <= PATTERN_TEXT && COMPILED.get(pattern).is_some_and(|regex| regex.is_match(text))
}

fn expected(shape: &Shape) -> &'static str {
    match shape {
        Shape::String { .. } | Shape::Timestamp => "a string",
        Shape::Blob { .. } => "a string in base64",
        Shape::Integer { .. } => "an integer",
        Shape::Double => "a number",
        Shape::Boolean => "a boolean",
        Shape::List { .. } => "a list",
        Shape::Structure { .. } => "an object",
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// A name from a client, cut to a length that is safe to send back.
fn shown(name: &str) -> String {
    name.chars().take(NAME_SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::super::model::{self, SERVED};
    use super::*;

    fn run(
        operation: &str,
        query: &[(&str, &str)],
        headers: &[(&'static str, &str)],
        body: &str,
    ) -> Vec<Field> {
        let body = Json::parse(body.as_bytes()).unwrap();
        let query: Vec<_> = query.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let headers: HeaderMap = headers
            .iter()
            .map(|(k, v)| (axum::http::HeaderName::from_static(k), v.parse().unwrap()))
            .collect();
        let labels = [("codeInterpreterIdentifier", "aws.codeinterpreter.v1".to_owned())];
        let caller = Caller::local();
        let incoming =
            Incoming { caller: &caller, labels: &labels, query: &query, headers: &headers, body: &body };
        match check(model::served(operation).unwrap(), &incoming) {
            Ok(()) => Vec::new(),
            Err(error) => error.fields,
        }
    }

    fn names(fields: &[Field]) -> Vec<&str> {
        fields.iter().map(|f| f.name.as_str()).collect()
    }

    #[test]
    fn every_pattern_of_the_model_compiles() {
        let patterns = model::patterns();
        assert!(patterns.len() > 5);
        for pattern in patterns {
            Regex::new(&format!("^(?:{pattern})$")).unwrap();
        }
    }

    #[test]
    fn members_outside_the_body_are_strings_so_that_every_one_can_be_checked() {
        for operation in SERVED {
            let Shape::Structure { members, .. } = operation.input else { panic!("{}", operation.name) };
            for member in members.iter().filter(|m| m.location != Location::Body) {
                assert!(matches!(member.shape, Shape::String { .. }), "{}.{}", operation.name, member.name);
            }
        }
    }

    #[test]
    fn every_bad_member_is_named() {
        let long = "x".repeat(101);
        let body =
            format!(r#"{{"name":"{long}","sessionTimeoutSeconds":28801,"clientToken":"short","extra":1}}"#);
        let fields = run("StartCodeInterpreterSession", &[], &[], &body);
        assert_eq!(names(&fields), ["extra", "name", "sessionTimeoutSeconds", "clientToken"]);
    }

    #[test]
    fn limits_are_inclusive() {
        for (seconds, ok) in
            [("0", false), ("1", true), ("28800", true), ("28801", false), ("1.5", false), ("\"60\"", false)]
        {
            let fields = run(
                "StartCodeInterpreterSession",
                &[],
                &[],
                &format!(r#"{{"sessionTimeoutSeconds":{seconds}}}"#),
            );
            assert_eq!(fields.is_empty(), ok, "{seconds}");
        }
        for (length, ok) in [(0, false), (1, true), (100, true), (101, false)] {
            // Characters and not bytes: é has two.
            let fields = run(
                "StartCodeInterpreterSession",
                &[],
                &[],
                &format!(r#"{{"name":"{}"}}"#, "é".repeat(length)),
            );
            assert_eq!(fields.is_empty(), ok, "{length}");
        }
    }

    #[test]
    fn a_session_id_is_checked_as_a_whole_and_wherever_it_travels() {
        assert!(
            run("GetCodeInterpreterSession", &[("sessionId", "01K00Z3F8WZ9KBBW4QGRJCVBHH")], &[], "{}")
                .is_empty()
        );
        for bad in ["", "a-b", "a b", "x\n", "é", &"a".repeat(41)] {
            assert_eq!(
                names(&run("GetCodeInterpreterSession", &[("sessionId", bad)], &[], "{}")),
                ["sessionId"],
                "{bad:?}"
            );
        }
        assert_eq!(names(&run("GetCodeInterpreterSession", &[], &[], "{}")), ["sessionId"]);
        let header = [("x-amzn-code-interpreter-session-id", "../x")];
        assert_eq!(
            names(&run("InvokeCodeInterpreter", &[], &header, r#"{"name":"getTask"}"#)),
            ["sessionId"]
        );
    }

    #[test]
    fn unknown_and_repeated_query_parameters_are_refused() {
        let query = [("sessionId", "A"), ("sessionId", "B"), ("tenant", "x")];
        assert_eq!(names(&run("GetCodeInterpreterSession", &query, &[], "{}")), ["sessionId", "tenant"]);
    }

    #[test]
    fn nested_members_are_named_by_their_path() {
        let body = r#"{"name":"writeFiles","arguments":{"content":[{"path":"a","text":"x"},{"text":1},{"path":"b","blob":"*"}]}}"#;
        let fields = run("InvokeCodeInterpreter", &[], &[], body);
        let expected =
            ["arguments.content[1].path", "arguments.content[1].text", "arguments.content[2].blob"];
        assert_eq!(names(&fields), expected);
    }

    #[test]
    fn a_union_holds_exactly_one_member() {
        for (location, ok) in [
            ("{}", false),
            (
                r#"{"secretsManager":{"secretArn":"arn:aws:secretsmanager:us-west-2:123456789012:secret:x"}}"#,
                true,
            ),
        ] {
            let body = format!(r#"{{"certificates":[{{"location":{location}}}]}}"#);
            assert_eq!(run("StartCodeInterpreterSession", &[], &[], &body).is_empty(), ok);
        }
    }

    #[test]
    fn null_is_the_same_as_absent() {
        assert!(run("StartCodeInterpreterSession", &[], &[], r#"{"name":null}"#).is_empty());
        assert_eq!(names(&run("InvokeCodeInterpreter", &[], &[], r#"{"name":null}"#)), ["name"]);
    }

    #[test]
    fn a_million_bad_entries_give_a_short_list() {
        let body = format!(r#"{{"name":"readFiles","arguments":{{"paths":[{}0]}}}}"#, "0,".repeat(10_000));
        assert_eq!(run("InvokeCodeInterpreter", &[], &[], &body).len(), FIELDS);
    }

    #[test]
    fn blobs_are_counted_in_decoded_bytes() {
        assert_eq!(decoded_length(""), Some(0));
        assert_eq!(decoded_length("QQ=="), Some(1));
        assert_eq!(decoded_length("QUI="), Some(2));
        assert_eq!(decoded_length("QUJD"), Some(3));
        for bad in ["QQ", "QQ=", "Q===", "====", "Q Q=", "QQ==QQ==", "-_-_"] {
            assert_eq!(decoded_length(bad), None, "{bad}");
        }
    }
}
