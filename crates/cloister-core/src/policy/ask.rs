//! What a start asks for beyond its interpreter: the same fields as a policy file, which may only narrow.
//!
//! ```text
//!   deployment's ceiling ⊇ tenant's ceiling ⊇ the interpreter's policy ⊇ what a request asks for
//!         └────────── narrow (silently, at every start) ──────────┘         └ refused with field and both values
//! ```
//!
//! Ceilings bound what others wrote, so they clamp. A request is written for this one session, so what it cannot have is an error:
//! a client that asked for three gibibytes must not find out later that it has two.

use super::Policy;
use super::check::complaints;
use super::describe::rows;
use super::document::Document;
use super::narrow::widenings;
use serde::Deserialize;

/// The `policy` member of a start: fields of a policy file, but none of those that choose another world to run in.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Ask(Document);

/// A field that was asked for and cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// `resources.memory`.
    pub field: &'static str,
    /// Both values, and what would be right.
    pub message: String,
}

impl Policy {
    /// This policy with what a request asks for laid over it. A field that would widen, and one that is none of a request's business,
    /// is refused; so is a result that makes no sense.
    pub fn asked(&self, ask: &Ask) -> Result<Self, Vec<Refused>> {
        let document = &ask.0;
        let foreign = [
            ("extends", document.extends.is_some()),
            ("ceiling", document.ceiling),
            ("tier", document.tier.is_some()),
            ("image", document.image.is_some()),
        ];
        let foreign: Vec<_> = foreign
            .into_iter()
            .filter(|(_, set)| *set)
            .map(|(field, _)| Refused {
                field,
                message: "is chosen with the interpreter and not by a request".to_owned(),
            })
            .collect();
        if !foreign.is_empty() {
            return Err(foreign);
        }
        let mut asked = document.clone().over(self.clone(), &self.name);
        asked.description.clone_from(&self.description);
        let (wanted, given) = (rows(&asked), rows(self));
        let value = |rows: &[(&'static str, String)], field| {
            rows.iter().find(|(name, _)| *name == field).map_or(String::new(), |(_, value)| value.clone())
        };
        let wider = widenings(&asked, self).into_iter().map(|field| Refused {
            field,
            message: format!(
                "{} is wider than policy `{}` gives, which is {}; a request may only narrow",
                value(&wanted, field),
                self.name,
                value(&given, field)
            ),
        });
        let senseless = complaints(&asked).into_iter().map(|(field, message)| Refused { field, message });
        let refused: Vec<_> = wider.chain(senseless).collect();
        if refused.is_empty() { Ok(asked) } else { Err(refused) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn ask(value: Value) -> Ask {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_request_may_narrow_any_field_and_keeps_the_rest() {
        let policy = Policy::built_in("p");
        let ask = ask(json!({
            "start": "exec",
            "resources": { "memory": "256MiB", "cpu": 1 },
            "languages": { "runtimes": ["python"], "shell": false },
            "time": { "call": 10 },
            "network": { "denied_domains": ["a.com"] },
        }));
        let asked = policy.asked(&ask).unwrap();
        assert_eq!((asked.resources.memory, asked.resources.cpu), (256 << 20, 1.0));
        assert_eq!((asked.languages.shell, asked.time.call.as_secs()), (false, 10));
        assert_eq!(asked.network.denied_domains, ["a.com"]);
        assert_eq!((asked.name.as_str(), asked.output.stream), ("p", policy.output.stream));
        assert!(widenings(&asked, &policy).is_empty());
    }

    #[test]
    fn an_empty_request_changes_nothing() {
        let policy = Policy::built_in("p");
        assert_eq!(policy.asked(&Ask::default()).unwrap(), policy);
    }

    #[test]
    fn asking_for_more_is_refused_with_the_field_and_both_values() {
        let policy = Policy::built_in("p");
        for (asked, field, both) in [
            (json!({ "resources": { "memory": "3GiB" } }), "resources.memory", ["3GiB", "2GiB"]),
            (json!({ "network": { "mode": "open" } }), "network.mode", ["open", "none"]),
            (json!({ "time": { "call": "2h" } }), "time.call", ["7200s", "900s"]),
            (
                json!({ "isolation": { "seccomp": "seccomp/other.json" } }),
                "isolation.seccomp",
                ["other", "default"],
            ),
            (
                json!({ "isolation": { "require": ["root", "seccomp"] } }),
                "isolation.require",
                ["root", "landlock"],
            ),
        ] {
            let refused = policy.asked(&ask(asked.clone())).unwrap_err();
            assert_eq!(refused.len(), 1, "{asked}: {refused:?}");
            assert_eq!(refused[0].field, field);
            assert!(both.iter().all(|value| refused[0].message.contains(value)), "{refused:?}");
        }
    }

    #[test]
    fn another_world_is_not_chosen_by_a_request() {
        for (asked, field) in [
            (json!({ "tier": "wasm" }), "tier"),
            (json!({ "image": "other" }), "image"),
            (json!({ "extends": "public" }), "extends"),
            (json!({ "ceiling": true }), "ceiling"),
        ] {
            let refused = Policy::built_in("p").asked(&ask(asked)).unwrap_err();
            assert_eq!(refused.iter().map(|r| r.field).collect::<Vec<_>>(), [field]);
        }
    }

    #[test]
    fn a_request_that_is_no_policy_is_not_read() {
        for bad in [
            json!({ "resources": { "memroy": 1 } }),
            json!({ "resources": { "memory": "2GB" } }),
            json!({ "resources": { "memory": -1 } }),
            json!({ "resources": { "memory": null, "pids": -1 } }),
            json!({ "network": [] }),
            json!([]),
            json!("default"),
        ] {
            assert!(serde_json::from_value::<Ask>(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_request_that_makes_no_sense_is_refused() {
        let refused = Policy::built_in("p").asked(&ask(json!({ "resources": { "pids": 1 } }))).unwrap_err();
        assert_eq!(refused[0].field, "resources.pids");
    }
}
