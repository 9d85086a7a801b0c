//! The outside of CDP messages: whose they are, read without touching what is inside.
//!
//! ```text
//!   from Chromium   {"id":7,"result":{…},"sessionId":"A1…"}      head and tail are looked at; the middle may be 100 MB of picture
//!   from a client   {"id":7,"method":"…","params":{…},…}         parsed strictly and written anew: two readers of one message
//!                                                                (a repeated key, a comment) would be a hole in the filter
//! ```

use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::ops::Range;

/// What a message of Chromium's is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    /// The answer to the call with this id.
    Answer(i64),
    /// An event; where its method stands.
    Event(Range<usize>),
    /// Neither: an error without an id.
    Other,
}

/// A message of Chromium's with what was found out about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Incoming {
    /// The whole message.
    pub(crate) bytes: Vec<u8>,
    /// Answer or event.
    pub(crate) head: Head,
    /// Where the session id stands. It is the last member.
    session: Option<Range<usize>>,
}

const SESSION: &[u8] = b",\"sessionId\":\"";

impl Incoming {
    /// Looks at a message. `None` if it is no CDP message at all.
    pub(crate) fn read(bytes: Vec<u8>) -> Option<Self> {
        match (head(&bytes), tail(&bytes)) {
            (Some(head), Some(session)) => Some(Self { bytes, head, session: Some(session) }),
            // Messages of the root session, of which there are few, and whatever a later Chromium orders otherwise.
            _ => Self::read_slowly(&bytes),
        }
    }

    fn read_slowly(bytes: &[u8]) -> Option<Self> {
        let full: Full<'_> = serde_json::from_slice(bytes).ok()?;
        let mut out = Vec::with_capacity(bytes.len() + 16);
        let mut member = |name: &str, raw: Option<&RawValue>| {
            if let Some(raw) = raw {
                out.push(if out.is_empty() { b'{' } else { b',' });
                out.extend_from_slice(format!("\"{name}\":").as_bytes());
                out.extend_from_slice(raw.get().as_bytes());
            }
        };
        member("id", full.id);
        member("method", full.method);
        member("error", full.error);
        member("result", full.result);
        member("params", full.params);
        member("sessionId", full.session_id);
        if out.is_empty() {
            return None;
        }
        out.push(b'}');
        let head = head(&out).unwrap_or(Head::Other);
        let session = tail(&out);
        // A session id that the tail does not show would be delivered as the root's.
        if full.session_id.is_some() && session.is_none() {
            return None;
        }
        Some(Self { bytes: out, head, session })
    }

    /// The event's method.
    pub(crate) fn method(&self) -> Option<&str> {
        match &self.head {
            Head::Event(range) => str::from_utf8(self.bytes.get(range.clone())?).ok(),
            Head::Answer(_) | Head::Other => None,
        }
    }

    /// The session; `None` is the root.
    pub(crate) fn session(&self) -> Option<&str> {
        str::from_utf8(self.bytes.get(self.session.clone()?)?).ok()
    }

    /// The message as its session's own client knows it: as a root message.
    pub(crate) fn without_session(mut self) -> Vec<u8> {
        if let Some(range) = self.session {
            self.bytes.truncate(range.start - SESSION.len());
            self.bytes.push(b'}');
        }
        self.bytes
    }
}

/// Bytes of both ends of a message that say whose it is: a method, a session's id, and what is around them.
pub(crate) const ENDS: usize = 512;

/// A message of which nothing but the ends was kept.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Lost {
    pub(crate) head: LostHead,
    /// `None` is the root.
    pub(crate) session: Option<String>,
    /// A sentence.
    pub(crate) why: String,
}

/// What it was.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum LostHead {
    /// The answer to the call with this id.
    Answer(i64),
    /// An event, by its method.
    Event(String),
    /// Nobody knows.
    Other,
}

impl Lost {
    /// From the first and the last bytes of the message.
    pub(crate) fn read(start: &[u8], end: &[u8], why: String) -> Self {
        let text =
            |bytes: &[u8], range| str::from_utf8(bytes.get::<Range<usize>>(range)?).ok().map(str::to_owned);
        let head = match head(start) {
            Some(Head::Answer(id)) => LostHead::Answer(id),
            Some(Head::Event(range)) => text(start, range).map_or(LostHead::Other, LostHead::Event),
            Some(Head::Other) | None => LostHead::Other,
        };
        Self { head, session: tail(end).and_then(|range| text(end, range)), why }
    }
}

/// What a message takes at most when it is parsed to a tree of values: each comma and each colon is another one.
pub(crate) fn parsed_cost(json: &[u8]) -> usize {
    /// A value, its key and what lies around them.
    const NODE: usize = 128;
    json.len() + NODE * memchr::memchr2_iter(b',', b':', json).count()
}

/// `{"id":7,` or `{"method":"…",` at the beginning.
fn head(bytes: &[u8]) -> Option<Head> {
    if let Some(rest) = bytes.strip_prefix(b"{\"id\":") {
        let digits = rest.iter().position(|b| !b.is_ascii_digit() && *b != b'-')?;
        let id = str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
        return matches!(rest[digits], b',' | b'}').then_some(Head::Answer(id));
    }
    let start = b"{\"method\":\"".len();
    let rest = bytes.strip_prefix(b"{\"method\":\"")?;
    let length = rest.iter().take(200).position(|b| !b.is_ascii_alphanumeric() && *b != b'.')?;
    (rest[length] == b'"').then_some(Head::Event(start..start + length))
}

/// `,"sessionId":"…"}` at the end. In valid JSON these bytes are the last member of the outermost object and nothing else: the
/// brace closes it, and inside of a string each of the quotes would have a backslash before it.
fn tail(bytes: &[u8]) -> Option<Range<usize>> {
    let rest = bytes.strip_suffix(b"\"}")?;
    let length = rest.iter().rev().take(128).position(|b| !b.is_ascii_alphanumeric())?;
    let start = rest.len() - length;
    rest[..start].ends_with(SESSION).then_some(start..rest.len())
}

#[derive(Deserialize)]
struct Full<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "sessionId")]
    session_id: Option<&'a RawValue>,
}

/// A client's message. A member that is there twice is an error; members that CDP does not have are not passed on.
#[derive(Debug, Deserialize)]
pub(crate) struct Request<'a> {
    /// Chosen by the client, unique in its session.
    pub(crate) id: i64,
    /// `Page.navigate`.
    #[serde(borrow)]
    pub(crate) method: Cow<'a, str>,
    /// As the client wrote them: valid JSON.
    #[serde(borrow, default)]
    pub(crate) params: Option<&'a RawValue>,
    /// `None`: the client's root.
    #[serde(borrow, default, rename = "sessionId")]
    pub(crate) session: Option<Cow<'a, str>>,
}

/// One request for Chromium. `params` is JSON.
pub(crate) fn request(id: i64, method: &str, params: Option<&str>, session: Option<&str>) -> Vec<u8> {
    let params = params.unwrap_or("{}");
    let mut out = Vec::with_capacity(params.len() + method.len() + 120);
    out.extend_from_slice(format!("{{\"id\":{id},\"method\":{}", quoted(method)).as_bytes());
    out.extend_from_slice(b",\"params\":");
    out.extend_from_slice(params.as_bytes());
    if let Some(session) = session {
        out.extend_from_slice(b",\"sessionId\":");
        out.extend_from_slice(quoted(session).as_bytes());
    }
    out.push(b'}');
    out
}

/// An error answer for a client, as Chromium would write it.
pub(crate) fn refusal(id: Option<i64>, code: i64, message: &str, session: Option<&str>) -> String {
    let id = id.map(|id| format!("\"id\":{id},")).unwrap_or_default();
    let session = session.map(|s| format!(",\"sessionId\":{}", quoted(s))).unwrap_or_default();
    format!("{{{id}\"error\":{{\"code\":{code},\"message\":{}}}{session}}}", quoted(message))
}

/// An answer without a result, for a client.
pub(crate) fn done(id: i64, session: Option<&str>) -> String {
    let session = session.map(|s| format!(",\"sessionId\":{}", quoted(s))).unwrap_or_default();
    format!("{{\"id\":{id},\"result\":{{}}{session}}}")
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn read(text: &str) -> Incoming {
        Incoming::read(text.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn an_answer_is_known_by_its_id_and_session() {
        let message = read(r#"{"id":7,"result":{"a":1},"sessionId":"A1B2"}"#);
        assert_eq!(message.head, Head::Answer(7));
        assert_eq!(message.session(), Some("A1B2"));
        assert_eq!(message.without_session(), br#"{"id":7,"result":{"a":1}}"#);
    }

    #[test]
    fn an_event_is_known_by_its_method() {
        let message = read(r#"{"method":"Page.loadEventFired","params":{},"sessionId":"A1"}"#);
        assert_eq!(message.method(), Some("Page.loadEventFired"));
        assert_eq!(message.session(), Some("A1"));
    }

    #[test]
    fn a_session_id_inside_of_a_message_is_not_the_message_s() {
        let text = r#"{"method":"Target.attachedToTarget","params":{"x":1,"sessionId":"INNER"}}"#;
        assert_eq!(read(text).session(), None);
        let text = r#"{"method":"A.b","params":{"t":"\",\"sessionId\":\"FAKE\"}"}}"#;
        assert_eq!(read(text).session(), None);
    }

    #[test]
    fn another_order_of_the_members_changes_nothing() {
        let message = read(r#" {"sessionId":"A1","result":{}, "id": 3} "#);
        assert_eq!((message.head.clone(), message.session()), (Head::Answer(3), Some("A1")));
        assert_eq!(message.without_session(), br#"{"id":3,"result":{}}"#);
    }

    #[test]
    fn a_session_id_that_cannot_be_read_is_not_taken_for_the_root() {
        assert_eq!(Incoming::read(br#"{"id":1,"result":{},"sessionId":"A-1"}"#.to_vec()), None);
        assert_eq!(Incoming::read(br#"{"id":1,"result":{},"sessionId":12}"#.to_vec()), None);
    }

    #[test]
    fn a_member_that_is_there_twice_is_an_error_and_no_choice() {
        for text in [
            r#"{"id":1,"method":"Page.reload","method":"Browser.crash"}"#,
            r#"{"id":1,"method":"Page.reload","params":{},"params":{}}"#,
            r#"{"id":1,"id":2,"method":"Page.reload"}"#,
            r#"{"id":1,"method":"Page.reload","sessionId":"A","sessionId":"B"}"#,
            r#"{"id":1,"method":"Page.reload","method":"Browser.crash"}"#,
        ] {
            assert!(serde_json::from_str::<Request<'_>>(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn fast_and_slow_reading_agree(
            id in any::<i32>(), text in ".*", session in "[0-9A-F]{32}", event in any::<bool>(), root in any::<bool>(),
        ) {
            let mut message = if event {
                json!({"method": "Runtime.consoleAPICalled", "params": {"text": text, "sessionId": "FF"}})
            } else {
                json!({"id": id, "result": {"value": text}})
            };
            let bare = message.clone();
            if !root {
                message["sessionId"] = Value::from(session.clone());
            }
            let bytes = message.to_string().into_bytes();
            let fast = Incoming::read(bytes.clone()).unwrap();
            prop_assert_eq!(&fast, &Incoming::read_slowly(&bytes).unwrap());
            prop_assert_eq!(fast.session(), (!root).then_some(session.as_str()));
            let stripped: Value = serde_json::from_slice(&fast.without_session()).unwrap();
            prop_assert_eq!(stripped, bare);
        }

        #[test]
        fn a_request_is_written_as_it_was_read(id in any::<i32>(), method in "[A-Z][a-z]+\\.[a-z]+", text in ".*") {
            let written = request(id.into(), &method, Some(&json!({"t": text}).to_string()), Some("AB"));
            let read: Request<'_> = serde_json::from_slice(&written).unwrap();
            prop_assert_eq!((read.id, &*read.method, read.session.as_deref()), (i64::from(id), &*method, Some("AB")));
            let params: Value = serde_json::from_str(read.params.unwrap().get()).unwrap();
            prop_assert_eq!(params, json!({"t": text}));
        }

        #[test]
        fn no_bytes_of_the_browser_s_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Incoming::read(bytes);
        }
    }
}
