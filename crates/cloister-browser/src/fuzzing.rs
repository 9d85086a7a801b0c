//! Readers of CDP as functions of bytes, for `tests/fuzz` and cargo-fuzz. Each fails where a promise about its result does not hold.

use crate::envelope::{Head, Incoming, Request, request};
use crate::filter::{Filter, Table, Verdict};
use cloister_core::browser::Role;
use cloister_core::policy::Policy;
use serde_json::Value;
use std::sync::{Arc, OnceLock};

fn table() -> Option<&'static Arc<Table>> {
    static TABLE: OnceLock<Option<Arc<Table>>> = OnceLock::new();
    TABLE.get_or_init(|| Table::built_in().ok().map(Arc::new)).as_ref()
}

/// A client's message: what passes is one message that every reader reads alike, and names no file of the machine as a place to go.
pub fn from_client(data: &[u8]) {
    let Some(table) = table() else { return };
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(Request { id, method, params, session }) = serde_json::from_str::<Request<'_>>(text) else {
        return;
    };
    let rules = Policy::built_in("fuzzed").browser;
    let filter = Filter::new(Arc::clone(table), "/workspace", &rules);
    for role in [Role::Driver, Role::Human, Role::Observer] {
        let passed = match filter.check(role, &method, params, |_| false) {
            Verdict::Pass => params.map(|params| params.get().to_owned()),
            Verdict::Changed(params) => Some(params),
            Verdict::Refused(why) => {
                assert!(!why.is_empty());
                continue;
            }
            Verdict::Disconnect => continue,
        };
        let out = request(id, &method, passed.as_deref(), session.as_deref());
        let read: Result<Value, _> = serde_json::from_slice(&out);
        assert!(read.as_ref().is_ok_and(|read| read["method"] == method.as_ref()), "{out:?}");
        let url = read.as_ref().ok().and_then(|read| read["params"]["url"].as_str()).unwrap_or_default();
        let scheme: String = url.chars().filter(|c| !c.is_ascii_control() && *c != ' ').take(5).collect();
        let goes = ["Page.navigate", "Target.createTarget"].contains(&method.as_ref());
        assert!(!goes || !scheme.eq_ignore_ascii_case("file:"), "{role:?} {method} {url}");
    }
}

/// A message of the browser's: what is found in it is inside of it.
pub fn from_browser(data: &[u8]) {
    let Some(incoming) = Incoming::read(data.to_vec()) else { return };
    if let Head::Event(range) = &incoming.head {
        assert!(incoming.bytes.get(range.clone()).is_some());
    }
    let _ = (incoming.method(), incoming.session());
    assert!(incoming.without_session().len() <= data.len() + 16);
}
