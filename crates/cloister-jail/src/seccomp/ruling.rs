//! What a list says of one call, for people who want to know why something was refused.

use super::{Action, Condition, Error, List, SHIPPED, sort};
use crate::syscalls;

/// What becomes of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// It is let through, whatever its arguments.
    Allowed {
        /// The reason in the list.
        why: String,
    },
    /// It is let through if any of these holds, and refused otherwise.
    If {
        /// Each a rule with its conditions: `arg0 == 1 and arg2 & 0xf == 0`, and the reason.
        rules: Vec<(String, String)>,
    },
    /// It fails with this errno.
    Refused {
        /// `EPERM`, …
        errno: String,
        /// The reason, if a rule names the call; else it is the answer to everything that no rule names.
        why: Option<String>,
    },
    /// It fails with this errno, and no list may allow it.
    Never {
        /// `EPERM`, …
        errno: String,
        /// The reason.
        why: String,
    },
}

/// What the list `json` says of `call`. The list is read and judged as it is for compiling.
pub fn ruling(json: &str, call: &str) -> Result<Ruling, Error> {
    let list: List = serde_json::from_str(json)?;
    sort(&list)?;
    if syscalls::number(call).is_none() {
        return Err(Error::Unknown { what: "call", name: call.to_owned() });
    }
    let names = |calls: &[String]| calls.iter().any(|name| name == call);
    let rules: Vec<_> = list.rules.iter().filter(|rule| names(&rule.calls)).collect();
    let conditional = |rule: &&super::Rule| !rule.when.is_empty();
    match rules.first().map(|rule| &rule.action) {
        Some(Action::Refuse(refusal)) => Ok(Ruling::Refused {
            errno: refusal.errno.clone(),
            why: rules.first().map(|rule| rule.why.clone()),
        }),
        Some(Action::Word(_)) if rules.iter().any(conditional) => {
            let rules = rules.iter().map(|rule| {
                let conditions: Vec<_> = rule.when.iter().map(text).collect();
                (conditions.join(" and "), rule.why.clone())
            });
            Ok(Ruling::If { rules: rules.collect() })
        }
        Some(Action::Word(_)) => {
            Ok(Ruling::Allowed { why: rules.first().map(|rule| rule.why.clone()).unwrap_or_default() })
        }
        None => {
            let errno = list.default.errno.clone();
            let shipped: List = serde_json::from_str(SHIPPED)?;
            let never = list.never.iter().chain(&shipped.never).find(|never| names(&never.calls));
            Ok(match never {
                Some(never) => Ruling::Never { errno, why: never.why.clone() },
                None => Ruling::Refused { errno, why: None },
            })
        }
    }
}

fn text(condition: &Condition) -> String {
    let Condition { arg, op, value, mask, width: _ } = condition;
    let sign = match op.as_str() {
        "ne" => "!=",
        "lt" => "<",
        "le" => "<=",
        "gt" => ">",
        "ge" => ">=",
        _ => "==",
    };
    match mask {
        Some(mask) => format!("arg{arg} & {mask} == {value}"),
        None => format!("arg{arg} {sign} {value}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::search::{X86_64, tests::run};
    use super::super::{compile, errno};
    use super::*;

    /// The answer of the compiled filters: the strictest of all.
    fn enforced(filters: &[Vec<u64>], number: u32) -> Option<u32> {
        filters
            .iter()
            .map(|filter| run(filter, number, X86_64, [0; 6]).0)
            .find(|answer| *answer != libc::SECCOMP_RET_ALLOW)
    }

    #[test]
    fn what_is_said_of_a_call_is_what_the_filter_does_for_every_call_and_shipped_list() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/seccomp");
        for file in ["default.json", "browser.json", "wasm.json", "engine.json"] {
            let json = std::fs::read_to_string(folder.join(file)).unwrap();
            let filters = compile(&json).unwrap();
            let mut seen = [0; 4];
            for &(name, number) in syscalls::X86_64 {
                let number = u32::try_from(number).unwrap();
                let answer = enforced(&filters, number);
                let refused = |name: &str| Some(libc::SECCOMP_RET_ERRNO | errno(name).unwrap());
                match ruling(&json, name).unwrap() {
                    Ruling::Allowed { .. } => {
                        seen[0] += 1;
                        assert_eq!(answer, None, "{file}: {name}");
                    }
                    Ruling::If { rules } => {
                        seen[1] += 1;
                        assert!(rules.iter().all(|(conditions, _)| !conditions.is_empty()), "{file}: {name}");
                    }
                    Ruling::Refused { errno, .. } => {
                        seen[2] += 1;
                        assert_eq!(answer, refused(&errno), "{file}: {name}");
                    }
                    Ruling::Never { errno, why } => {
                        seen[3] += 1;
                        assert_eq!(answer, refused(&errno), "{file}: {name}");
                        assert!(!why.is_empty());
                    }
                }
            }
            assert!(seen[0] > 10 && seen[2] > 10, "{file}: {seen:?}");
        }
    }

    #[test]
    fn a_call_that_does_not_exist_is_an_error() {
        assert!(matches!(ruling(SHIPPED, "raed"), Err(Error::Unknown { .. })));
    }
}
