//! Questions that were answered with yes within this second: a client in a loop asks the same again, and the answer is the same.
//!
//! ```text
//!   question ─▶ key: everything in it that a policy can see ─▶ allowed in this second? ─▶ yes
//!                                                               └─no─▶ evaluate ─▶ keep, if it is a yes
//! ```
//!
//! Policies are functions of what they are asked: the clock is part of the question and counts whole seconds, so within one second and
//! for one set of policies a repetition has one answer (Cedar has no other input). Denials are evaluated each time, for their words.

use cloister_core::lock::lock;
use cloister_gateway::{Details, Query, Resource};
use std::collections::HashSet;
use std::sync::Mutex;

/// Questions that are kept. Stops memory exhaustion by ever new ones within a second.
const KEPT: usize = 4096;
/// Bytes of texts of a question that is kept. Stops the same by long ones: the scheme and host of an address are the caller's, and may
/// be as long as a request.
const LONGEST: usize = 1024;

/// What was allowed. It belongs to one set of policies, and goes with it.
#[derive(Debug, Default)]
pub(crate) struct Memo(Mutex<Second>);

#[derive(Debug, Default)]
struct Second {
    time: u64,
    allowed: HashSet<Vec<u8>>,
}

impl Memo {
    /// Whether this was allowed in the second of `time`.
    pub(crate) fn holds(&self, time: u64, key: &[u8]) -> bool {
        let second = lock(&self.0);
        second.time == time && second.allowed.contains(key)
    }

    /// Keeps what was allowed in the second of `time`.
    pub(crate) fn keep(&self, time: u64, key: Vec<u8>) {
        let mut second = lock(&self.0);
        if second.time != time {
            *second = Second { time, allowed: HashSet::new() };
        }
        if second.allowed.len() < KEPT {
            second.allowed.insert(key);
        }
    }
}

/// Everything of a question but its time. `by_id`: whether some policy looks at which session or interpreter it is about; where none
/// does, the sessions of one caller are one question. `None` if it is too long to be kept.
pub(crate) fn key(query: &Query<'_>, by_id: bool) -> Option<Vec<u8>> {
    let Query { principal, roles, source, time: _, action, resource, details } = *query;
    let Details { timeout, language, runtime, scheme, host } = details;
    let (kind, id) = match resource {
        Resource::Server => ("server", ""),
        Resource::Interpreter(id) => ("interpreter", id),
        Resource::Session(id) => ("session", id),
    };
    let texts = [&principal.tenant, &principal.name, id, scheme.unwrap_or(""), host.unwrap_or("")];
    if texts.iter().map(|text| text.len()).sum::<usize>() > LONGEST {
        return None;
    }
    let mut key = Vec::with_capacity(160);
    // Each with its length, so that no two questions are the same bytes.
    let mut put = |text: Option<&str>| {
        let length = text.map_or(u64::MAX, |text| text.len() as u64);
        key.extend_from_slice(&length.to_le_bytes());
        key.extend_from_slice(text.unwrap_or_default().as_bytes());
    };
    put(Some(&principal.tenant));
    put(Some(&principal.name));
    put(Some(action.word()));
    put(Some(kind));
    put(Some(id).filter(|_| by_id));
    [language, runtime, scheme, host].into_iter().for_each(&mut put);
    put(source.map(|ip| ip.to_string()).as_deref());
    put(timeout.map(|asked| asked.as_nanos().to_string()).as_deref());
    roles.iter().for_each(|role| put(Some(role.word())));
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_core::Principal;
    use cloister_gateway::{Action, Role};
    use std::time::Duration;

    fn asked<'a>(who: &'a Principal, roles: &'a [Role], resource: Resource<'a>) -> Query<'a> {
        let details = Details::default();
        Query { principal: who, roles, source: None, time: 7, action: Action::InvokeCode, resource, details }
    }

    #[test]
    fn a_question_that_differs_in_anything_is_another_one() {
        let who = Principal { tenant: "ab".into(), name: "c".into() };
        let roles = [Role::User];
        let first = asked(&who, &roles, Resource::Session("s1"));
        let mut seen = HashSet::from([key(&first, true)]);
        assert_ne!(key(&first, true), None);
        let neighbour = Principal { tenant: "a".into(), name: "bc".into() };
        let limited = |millis| Details { timeout: Some(Duration::from_millis(millis)), ..Details::default() };
        let others = [
            Query { principal: &neighbour, ..first },
            Query { roles: &[Role::User, Role::Viewer], ..first },
            Query { source: Some([127, 0, 0, 1].into()), ..first },
            Query { action: Action::StopSession, ..first },
            Query { resource: Resource::Session("s2"), ..first },
            Query { resource: Resource::Interpreter("s1"), ..first },
            Query { resource: Resource::Server, ..first },
            Query { details: limited(1), ..first },
            Query { details: limited(1000), ..first },
            Query { details: Details { language: Some("python"), ..Details::default() }, ..first },
            Query { details: Details { runtime: Some("python"), ..Details::default() }, ..first },
            Query { details: Details { scheme: Some("http"), ..Details::default() }, ..first },
            Query { details: Details { host: Some("http"), ..Details::default() }, ..first },
            Query { details: Details { host: Some(""), ..Details::default() }, ..first },
        ];
        for other in &others {
            assert!(seen.insert(key(other, true)), "{other:?}");
        }
        let other = asked(&who, &roles, Resource::Session("s2"));
        assert_eq!(key(&first, false), key(&other, false));
        assert_ne!(key(&first, false), key(&asked(&who, &roles, Resource::Interpreter("s1")), false));
        let host = "h".repeat(LONGEST);
        let long = Query { details: Details { host: Some(&host), ..Details::default() }, ..first };
        assert_eq!(key(&long, true), None, "a question that is too long is not kept");
    }

    #[test]
    fn what_was_allowed_is_forgotten_with_its_second_and_never_more_than_there_is_room_for() {
        let memo = Memo::default();
        assert!(!memo.holds(0, b"a"));
        memo.keep(7, b"a".to_vec());
        assert!(memo.holds(7, b"a") && !memo.holds(7, b"b") && !memo.holds(8, b"a"));
        memo.keep(8, b"b".to_vec());
        assert!(!memo.holds(7, b"a") && !memo.holds(8, b"a") && memo.holds(8, b"b"));
        for n in 0..2 * KEPT {
            memo.keep(8, n.to_le_bytes().to_vec());
        }
        assert_eq!(lock(&memo.0).allowed.len(), KEPT);
    }
}
