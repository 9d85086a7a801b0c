//! The classification of all methods, from `policies/cdp/methods.json`.

use super::checks::Check;
use cloister_core::policy::BrowserRules;
use serde::Deserialize;
use std::collections::{HashMap, HashSet};

const METHODS: &str = include_str!("../../../../policies/cdp/methods.json");

/// What the policy says about a method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Passed on as it is.
    Allow,
    /// Looked into.
    Check(Check),
    /// Refused, with the reason.
    Deny(String),
}

/// The CDP policy. One for all sessions.
#[derive(Debug)]
pub struct Table {
    methods: HashMap<String, Action>,
    observer: HashSet<String>,
    reader: HashSet<String>,
    permissions: HashSet<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Policy {
    version: u32,
    rules: Vec<Rule>,
    observer: Observer,
    reader: Observer,
    permissions: Permissions,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    domain: String,
    action: Word,
    by: Option<Check>,
    why: String,
    methods: Vec<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Allow,
    Check,
    Deny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Observer {
    #[serde(rename = "why")]
    _why: String,
    methods: HashSet<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Permissions {
    #[serde(rename = "why")]
    _why: String,
    names: HashSet<String>,
}

impl Table {
    /// The policy that the program was built with; an error is one of the file.
    pub fn built_in() -> Result<Self, String> {
        Self::parse(METHODS).map_err(|what| format!("policies/cdp/methods.json: {what}"))
    }

    /// The line of `policies/cdp/methods.json` that names a method, counted from 1.
    pub fn line(method: &str) -> Option<usize> {
        let (domain, name) = method.split_once('.')?;
        let (begin, quoted) = (format!("{{\"domain\": \"{domain}\","), format!("\"{name}\""));
        let mut inside = false;
        let found = METHODS.lines().position(|line| {
            if line.contains("{\"domain\": ") {
                inside = line.contains(&begin);
            }
            inside && line.contains(&quoted)
        });
        found.map(|line| line + 1)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let policy: Policy = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if policy.version != 1 {
            return Err(format!("version {} is not known", policy.version));
        }
        let mut methods = HashMap::new();
        for Rule { domain, action, by, why, methods: names } in policy.rules {
            let action = match (action, by) {
                (Word::Allow, None) => Action::Allow,
                (Word::Deny, None) => Action::Deny(why),
                (Word::Check, Some(check)) => Action::Check(check),
                _ => return Err(format!("{domain}: `by` belongs to `check`, and to nothing else")),
            };
            for name in names {
                let name = format!("{domain}.{name}");
                if methods.insert(name.clone(), action.clone()).is_some() {
                    return Err(format!("{name} is there twice"));
                }
            }
        }
        for (who, names) in [("observers", &policy.observer.methods), ("readers", &policy.reader.methods)] {
            let unknown = names.iter().find(|name| match methods.get(*name) {
                None | Some(Action::Deny(_)) => true,
                Some(Action::Allow | Action::Check(_)) => false,
            });
            if let Some(name) = unknown {
                return Err(format!("{who} may use {name}, which nobody may"));
            }
        }
        let (observer, reader) = (policy.observer.methods, policy.reader.methods);
        Ok(Self { methods, observer, reader, permissions: policy.permissions.names })
    }

    /// What is to be checked of a method's parameters, if anything; an error is the sentence of its refusal. `read_only` sessions
    /// have less.
    pub(super) fn judge(&self, method: &str, read_only: bool) -> Result<Option<Check>, String> {
        match self.methods.get(method) {
            None => Err(format!("{method} is not known to the CDP policy, so it is denied")),
            Some(Action::Deny(why)) => Err(format!("{method} is denied by the CDP policy: {why}")),
            Some(_) if read_only && !self.for_readers(method) => Err(format!(
                "{method} is not for sessions that only look: their policy says browser.read_only = true"
            )),
            Some(Action::Allow) => Ok(None),
            Some(Action::Check(check)) => Ok(Some(*check)),
        }
    }

    /// Whether a driver may ask this method at all, in a session of such rules; an error is the sentence that it would hear. Its
    /// parameters may be refused all the same.
    pub fn admits(&self, method: &str, rules: &BrowserRules) -> Result<(), String> {
        self.judge(method, rules.read_only).map(drop)
    }

    pub(super) fn for_observers(&self, method: &str) -> bool {
        self.observer.contains(method)
    }

    /// Whether clients of a session that is read-only may ask it.
    fn for_readers(&self, method: &str) -> bool {
        self.observer.contains(method) || self.reader.contains(method)
    }

    pub(super) fn grants(&self, permission: &str) -> bool {
        self.permissions.contains(permission)
    }

    /// Every method that the policy classifies.
    pub fn methods(&self) -> impl Iterator<Item = &str> {
        self.methods.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const PROTOCOL: &str = include_str!("../../../../policies/cdp/protocol.json");

    fn rules(rule: &str) -> String {
        format!(
            r#"{{"version": 1, "rules": [{rule}], "observer": {{"why": "", "methods": []}},
                "reader": {{"why": "", "methods": []}},
                "permissions": {{"why": "", "names": []}}}}"#
        )
    }

    #[test]
    fn every_method_of_the_protocol_is_classified_and_no_other() {
        #[derive(Deserialize)]
        struct Protocol {
            domains: HashMap<String, Vec<String>>,
        }
        let protocol: Protocol = serde_json::from_str(PROTOCOL).unwrap();
        let known: BTreeSet<String> = protocol
            .domains
            .iter()
            .flat_map(|(domain, names)| names.iter().map(move |name| format!("{domain}.{name}")))
            .collect();
        let table = Table::built_in().unwrap();
        let classified: BTreeSet<String> = table.methods().map(str::to_owned).collect();
        let open: Vec<_> = known.difference(&classified).collect();
        let idle: Vec<_> = classified.difference(&known).collect();
        assert!(
            open.is_empty() && idle.is_empty(),
            "not classified: {open:?}; not in the protocol: {idle:?}"
        );
        assert!(known.len() > 600, "{}", known.len());
    }

    #[test]
    fn a_method_in_two_rules_is_an_error() {
        let rule = r#"{"domain": "Page", "action": "allow", "why": "", "methods": ["enable", "enable"]}"#;
        assert!(Table::parse(&rules(rule)).unwrap_err().contains("twice"));
    }

    #[test]
    fn a_check_without_its_name_and_a_name_without_a_check_are_errors() {
        for rule in [
            r#"{"domain": "Page", "action": "check", "why": "", "methods": ["navigate"]}"#,
            r#"{"domain": "Page", "action": "allow", "by": "navigation", "why": "", "methods": ["navigate"]}"#,
            r#"{"domain": "Page", "action": "check", "by": "hope", "why": "", "methods": ["navigate"]}"#,
        ] {
            assert!(Table::parse(&rules(rule)).is_err(), "{rule}");
        }
    }
}
