//! One event as the members of a JSON object: fixed names, bounded texts, nothing but ASCII, and what others chose below `untrusted`.
//!
//! The first members follow the Open Cybersecurity Schema Framework where it has a class for them, so that collectors can sort
//! records without knowing cloister: `class_uid`, `category_uid`, `activity_id`, `type_uid`, `severity_id`, `status_id`, `time`.

use cloister_core::audit::{Action, Actor, Decision, Event, EventId, Key, Outcome, Trust};
use cloister_core::policy::PolicyRef;
use serde::Serialize;
use serde_json::{Map, Value};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The version of this layout.
const SCHEMA: u32 = 1;
/// Bytes of one text of others.
const UNTRUSTED: usize = 4096;
/// Bytes of the one text that a policy may ask to be kept whole: code.
const CODE: usize = 64 * 1024;
/// Bytes of any other text.
const OWN: usize = 2048;

/// When it is recorded, by both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    pub(super) wall: SystemTime,
    /// Since the machine was started; goes on when the wall clock is set.
    pub(super) boot: Duration,
}

#[derive(Serialize)]
struct Members<'a> {
    id: &'a str,
    time: u64,
    time_ns: String,
    boot_ms: u64,
    schema: u32,
    category_uid: u32,
    class_uid: u32,
    activity_id: u32,
    type_uid: u32,
    severity_id: u32,
    status_id: u32,
    action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<ActorMember<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sandbox: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    denial: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<PolicyMember<'a>>,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Map::is_empty")]
    detail: Map<String, Value>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    untrusted: Map<String, Value>,
}

#[derive(Serialize)]
struct ActorMember<'a> {
    tenant: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    method: &'static str,
}

#[derive(Serialize)]
struct PolicyMember<'a> {
    name: &'a str,
    version: &'a str,
}

/// The members of a record, without braces, for [`super::chain::bind`].
pub(super) fn members(event: &Event, id: &EventId, now: Now) -> String {
    let Event {
        action,
        actor,
        source,
        session,
        sandbox,
        invocation,
        resource,
        decision,
        rule,
        denial,
        policy,
        outcome,
        detail: fields,
    } = event;
    let (mut detail, mut untrusted) = (Map::new(), Map::new());
    for (key, value) in fields {
        let (to, most) = match (key.trust(), key) {
            (Trust::Own, _) => (&mut detail, OWN),
            (Trust::Untrusted, Key::Code) => (&mut untrusted, CODE),
            (Trust::Untrusted, _) => (&mut untrusted, UNTRUSTED),
        };
        to.insert(key.name().to_owned(), bounded(value, most));
    }
    let resource = resource.as_ref().map(|resource| {
        let (kind, name) = resource.words();
        if !name.is_empty() {
            untrusted.insert("resource".to_owned(), cut(name, UNTRUSTED).into());
        }
        kind
    });
    if let Some(invocation) = invocation {
        untrusted.insert("invocation".to_owned(), cut(invocation, UNTRUSTED).into());
    }
    let since = now.wall.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (class_uid, activity_id) = class(*action);
    let members = Members {
        id: id.as_str(),
        time: since.as_millis() as u64,
        time_ns: since.as_nanos().to_string(),
        boot_ms: now.boot.as_millis() as u64,
        schema: SCHEMA,
        category_uid: class_uid / 1000,
        class_uid,
        activity_id,
        type_uid: class_uid * 100 + activity_id,
        severity_id: severity(*action),
        status_id: match outcome {
            Outcome::Pending => 0,
            Outcome::Success => 1,
            Outcome::Failure => 2,
        },
        action: action.name(),
        actor: actor.as_ref().map(|Actor { principal, key, method }| ActorMember {
            tenant: &principal.tenant,
            name: &principal.name,
            key: key.as_deref(),
            method: method.name(),
        }),
        source: source.as_deref(),
        session: session.as_ref().map(|id| id.as_str()),
        sandbox: sandbox.as_ref().map(|id| id.as_str()),
        resource,
        decision: match decision {
            Decision::Allowed => Some("allowed"),
            Decision::Denied => Some("denied"),
            Decision::None => None,
        },
        rule: rule.as_deref(),
        denial: denial.as_ref().map(|id| id.as_str()),
        policy: policy.as_ref().map(|PolicyRef { name, version }| PolicyMember { name, version }),
        outcome: match outcome {
            Outcome::Pending => "pending",
            Outcome::Success => "success",
            Outcome::Failure => "failure",
        },
        detail,
        untrusted,
    };
    // A struct of strings and numbers always serialises; the default is for the type system only.
    let text = serde_json::to_string(&members).unwrap_or_default();
    ascii(text.trim_start_matches('{').strip_suffix('}').unwrap_or_default())
}

/// Class and activity of the framework: 99 is "other" in every class, whose word is then `action`.
fn class(action: Action) -> (u32, u32) {
    match action {
        // Application Lifecycle: start, stop, other.
        Action::ServerStart => (6002, 3),
        Action::ServerStop => (6002, 4),
        Action::LogRecovered | Action::LogRotated | Action::PolicyChange => (6002, 99),
        // API Activity: create, read, update, delete, other.
        Action::SessionStart => (6003, 1),
        Action::SessionStop => (6003, 4),
        Action::SessionReady
        | Action::SessionEnd
        | Action::Call
        | Action::Receipt
        | Action::Connect
        | Action::Disconnect
        | Action::Denied
        | Action::DenialsRepeated
        | Action::WouldDeny
        | Action::SecretUse => (6003, 99),
        // Network Activity: traffic.
        Action::Egress | Action::Package => (4001, 6),
        // Account Change: create, delete.
        Action::KeyCreate => (3001, 1),
        Action::KeyRevoke => (3001, 6),
    }
}

/// 1 informational, 2 low, 3 medium.
fn severity(action: Action) -> u32 {
    match action {
        Action::Denied | Action::DenialsRepeated | Action::WouldDeny => 2,
        Action::LogRecovered => 3,
        _ => 1,
    }
}

fn bounded(value: &Value, most: usize) -> Value {
    match value {
        Value::String(text) => cut(text, most).into(),
        other => other.clone(),
    }
}

/// No more than `most` bytes of a text, with a note of what is missing.
fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let kept = &text[..text.floor_char_boundary(most)];
    format!("{kept}… ({} bytes more)", text.len() - kept.len())
}

/// JSON with everything beyond printable ASCII escaped, so that no terminal and no collector sees anything else. Outside of strings
/// there is nothing else.
fn ascii(json: &str) -> String {
    if json.bytes().all(|b| matches!(b, 0x20..=0x7e)) {
        return json.to_owned();
    }
    let mut out = String::with_capacity(json.len() + 64);
    for c in json.chars() {
        if matches!(c, ' '..='~') {
            out.push(c);
        } else {
            let mut units = [0u16; 2];
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Now {
        Now { wall: UNIX_EPOCH + Duration::new(1_764_444_444, 5), boot: Duration::from_secs(7) }
    }

    #[test]
    fn what_a_guest_says_cannot_leave_its_field_its_line_or_its_length() {
        let hostile = "\"},\"seq\":0,\n\u{1b}[31m\u{202e}\u{85}".repeat(1000);
        let event = Event::new(Action::Denied).with(Key::Asked, hostile.as_str()).with(Key::Layer, "egress");
        let id = EventId::at(now().wall).unwrap();
        let text = members(&event, &id, now());
        assert!(text.bytes().all(|b| matches!(b, 0x20..=0x7e)), "{text}");
        assert!(text.len() < 4 * UNTRUSTED + 1000, "{}", text.len());
        let value: Value = serde_json::from_str(&format!("{{{text}}}")).unwrap();
        assert!(
            value["untrusted"]["asked"].as_str().unwrap().starts_with("\"},\"seq\":0,\n\u{1b}[31m\u{202e}")
        );
        assert_eq!(value["detail"], serde_json::json!({ "layer": "egress" }));
        assert_eq!(
            (&value["time"], &value["time_ns"]),
            (&1_764_444_444_000_u64.into(), &"1764444444000000005".into())
        );
    }

    #[test]
    fn classes_and_types_agree() {
        for action in Action::ALL {
            let id = EventId::at(now().wall).unwrap();
            let text = members(&Event::new(action), &id, now());
            let value: Value = serde_json::from_str(&format!("{{{text}}}")).unwrap();
            let number = |name: &str| value[name].as_u64().unwrap();
            assert_eq!(number("type_uid"), number("class_uid") * 100 + number("activity_id"));
            assert_eq!(number("category_uid"), number("class_uid") / 1000);
        }
    }
}
