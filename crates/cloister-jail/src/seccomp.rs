//! System call lists (`policies/seccomp/*.json`, a reason per line) compiled to filters.
//!
//! ```text
//!   JSON ──parse, check──▶ List ──▶ 1. the x32 numbering is killed
//!                                   2. calls with an errno of their own
//!                                   3. allowed calls, else the default errno; another architecture is killed
//! ```
//! The kernel runs all filters and obeys the strictest answer (seccomp(2)). The list of allowed calls comes last, because it does not
//! allow installing filters.

mod ruling;
mod search;

pub use ruling::{Ruling, ruling};

use crate::syscalls;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// What is wrong with a list.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a document of this form.
    #[error("the system call list cannot be read: {0}")]
    Parse(#[from] serde_json::Error),
    /// A version, architecture, call, errno or number that does not exist.
    #[error("the system call list names an unknown {what}: {name}")]
    Unknown {
        /// What it should be.
        what: &'static str,
        /// What was given.
        name: String,
    },
    /// Rules that would undo each other: conditions beside an unconditional rule, or an errno beside either.
    #[error(
        "the system call list has rules for {0} that contradict each other; a call is allowed, allowed under conditions, or refused with an errno"
    )]
    Contradiction(String),
    /// A rule without a reason.
    #[error("the system call list gives no reason for {0}")]
    NoReason(String),
    /// A call that no list may allow.
    #[error("the system call list allows {0}, which is on the list of calls that are never allowed")]
    Never(String),
    /// The compiler refused it.
    #[error("the system call list cannot be compiled: {0}")]
    Compile(#[from] seccompiler::BackendError),
}

/// A list as it stands in its file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// 1.
    pub version: u32,
    /// `x86_64`.
    pub architecture: String,
    /// For every call that no rule allows.
    pub default: Refusal,
    /// `kill_process`.
    pub foreign_architecture: String,
    /// `kill_process`.
    pub x32: String,
    /// Alternatives: a call is allowed when any rule that names it matches.
    pub rules: Vec<Rule>,
    /// Calls that may not be allowed by any list.
    pub never: Vec<Never>,
}

/// Refuse with an errno.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// `EPERM`, `ENOSYS`, …
    pub errno: String,
}

/// What a rule does.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Action {
    /// `"allow"`.
    Word(String),
    /// `{"errno": "ENOSYS"}`.
    Refuse(Refusal),
}

/// One line of the list.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Names.
    pub calls: Vec<String>,
    /// What to do.
    pub action: Action,
    /// All must hold.
    #[serde(default)]
    pub when: Vec<Condition>,
    /// The reason; never empty.
    pub why: String,
}

/// One comparison of an argument.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// 0 to 5.
    pub arg: u8,
    /// `eq`, `ne`, `lt`, `le`, `gt`, `ge`, `masked_eq`.
    pub op: String,
    /// Decimal or 0x.
    pub value: String,
    /// For `masked_eq`.
    #[serde(default)]
    pub mask: Option<String>,
    /// 64 (default) or 32 bits.
    #[serde(default)]
    pub width: Option<u8>,
}

/// Calls that no list may allow, with the reason.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Never {
    /// Names.
    pub calls: Vec<String>,
    /// The reason.
    pub why: String,
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// The filters of a list, in the order of installation, as packed `sock_filter`s (see `plan.rs`).
pub fn compile(json: &str) -> Result<Vec<Vec<u64>>, Error> {
    let list: List = serde_json::from_str(json)?;
    for (what, given, known) in [
        ("version", list.version.to_string(), "1"),
        ("architecture", list.architecture.clone(), "x86_64"),
        ("foreign_architecture", list.foreign_architecture.clone(), "kill_process"),
        ("x32", list.x32.clone(), "kill_process"),
    ] {
        if given != known {
            return Err(Error::Unknown { what, name: given });
        }
    }
    let (allowed, refused) = sort(&list)?;
    let default = SeccompAction::Errno(errno(&list.default.errno)?);
    let mut filters = vec![x32()];
    for (number, rules) in refused {
        let calls = numbers(&rules);
        let program = filter(rules, SeccompAction::Allow, SeccompAction::Errno(number))?;
        filters.push(search::allow_others(&calls, &program));
    }
    let (always, by_argument): (Rules, Rules) = allowed.into_iter().partition(|(_, rules)| rules.is_empty());
    let program = filter(by_argument, default, SeccompAction::Allow)?;
    filters.push(search::allow(&numbers(&always), &program));
    Ok(filters)
}

fn numbers(rules: &Rules) -> BTreeSet<u32> {
    rules.keys().filter_map(|&number| u32::try_from(number).ok()).collect()
}

/// The list whose `never` holds for every other list as well.
const SHIPPED: &str = include_str!("../../../policies/seccomp/default.json");

/// The calls that no list may allow: the shipped ones, and the list's own.
fn forbidden(list: &List) -> Result<BTreeSet<String>, Error> {
    let shipped: List = serde_json::from_str(SHIPPED)?;
    Ok(shipped.never.into_iter().chain(list.never.iter().cloned()).flat_map(|never| never.calls).collect())
}

/// How a call has been treated so far.
#[derive(PartialEq, Eq)]
enum Form {
    Allowed,
    Conditional,
    Refused,
}

fn sort(list: &List) -> Result<(Rules, BTreeMap<u32, Rules>), Error> {
    let never = forbidden(list)?;
    let mut allowed = Rules::new();
    let mut refused: BTreeMap<u32, Rules> = BTreeMap::new();
    let mut forms: BTreeMap<&str, Form> = BTreeMap::new();
    for rule in &list.rules {
        if rule.why.trim().is_empty() {
            return Err(Error::NoReason(rule.calls.join(", ")));
        }
        for name in &rule.calls {
            let form = match (&rule.action, rule.when.is_empty()) {
                (Action::Word(_), true) => Form::Allowed,
                (Action::Word(_), false) => Form::Conditional,
                (Action::Refuse(_), true) => Form::Refused,
                (Action::Refuse(_), false) => return Err(Error::Contradiction(name.clone())),
            };
            // Only conditions may stand beside each other. Anything else would silently open the call or shadow a rule.
            let both_conditional =
                form == Form::Conditional && forms.get(name.as_str()) == Some(&Form::Conditional);
            if forms.insert(name, form).is_some() && !both_conditional {
                return Err(Error::Contradiction(name.clone()));
            }
            let call =
                syscalls::number(name).ok_or_else(|| Error::Unknown { what: "call", name: name.clone() })?;
            let rules = match &rule.action {
                Action::Word(word) if word == "allow" => {
                    if never.contains(name) {
                        return Err(Error::Never(name.clone()));
                    }
                    &mut allowed
                }
                Action::Word(word) => return Err(Error::Unknown { what: "action", name: word.clone() }),
                Action::Refuse(refusal) => {
                    // The list of allowed calls must let it pass, so that the other filter's errno counts.
                    allowed.insert(call, Vec::new());
                    refused.entry(errno(&refusal.errno)?).or_default()
                }
            };
            let chain = rules.entry(call).or_default();
            if !rule.when.is_empty() {
                let conditions = rule.when.iter().map(condition).collect::<Result<Vec<_>, _>>()?;
                chain.push(SeccompRule::new(conditions)?);
            }
        }
    }
    Ok((allowed, refused))
}

fn condition(condition: &Condition) -> Result<SeccompCondition, Error> {
    let width = match condition.width {
        None | Some(64) => SeccompCmpArgLen::Qword,
        Some(32) => SeccompCmpArgLen::Dword,
        Some(other) => return Err(Error::Unknown { what: "width", name: other.to_string() }),
    };
    let op = match (condition.op.as_str(), &condition.mask) {
        ("eq", None) => SeccompCmpOp::Eq,
        ("ne", None) => SeccompCmpOp::Ne,
        ("lt", None) => SeccompCmpOp::Lt,
        ("le", None) => SeccompCmpOp::Le,
        ("gt", None) => SeccompCmpOp::Gt,
        ("ge", None) => SeccompCmpOp::Ge,
        ("masked_eq", Some(mask)) => SeccompCmpOp::MaskedEq(value(mask)?),
        (op, _) => return Err(Error::Unknown { what: "comparison", name: op.to_owned() }),
    };
    Ok(SeccompCondition::new(condition.arg, width, op, value(&condition.value)?)?)
}

fn value(text: &str) -> Result<u64, Error> {
    let parsed = text.strip_prefix("0x").map_or_else(|| text.parse(), |hex| u64::from_str_radix(hex, 16));
    parsed.map_err(|_| Error::Unknown { what: "number", name: text.to_owned() })
}

fn errno(name: &str) -> Result<u32, Error> {
    [
        ("EPERM", libc::EPERM),
        ("EACCES", libc::EACCES),
        ("ENOSYS", libc::ENOSYS),
        ("EAFNOSUPPORT", libc::EAFNOSUPPORT),
        ("EINVAL", libc::EINVAL),
    ]
    .into_iter()
    .find(|&(n, _)| n == name)
    .map(|(_, number)| number as u32)
    .ok_or_else(|| Error::Unknown { what: "errno", name: name.to_owned() })
}

fn filter(rules: Rules, otherwise: SeccompAction, matching: SeccompAction) -> Result<Vec<u64>, Error> {
    let program: BpfProgram =
        SeccompFilter::new(rules, otherwise, matching, TargetArch::x86_64)?.try_into()?;
    Ok(program.iter().map(|i| pack(i.code, i.jt, i.jf, i.k)).collect())
}

/// Kills what uses the x32 numbering (bit 30 of the call number), under which a list by number could be walked around.
fn x32() -> Vec<u64> {
    const JUMP_IF_AT_LEAST: u16 = 0x0035;
    one_test(JUMP_IF_AT_LEAST, 0x4000_0000, libc::SECCOMP_RET_KILL_PROCESS)
}

/// Installs compiled filters on every thread of this process, on top of those that stand already. Needs no_new_privs.
pub fn install(filters: &[Vec<u64>]) -> Result<(), nix::errno::Errno> {
    filters.iter().try_for_each(|filter| crate::sys::seccomp_all_threads(filter))
}

/// A filter that refuses one call with an errno and allows the rest. Stacked under a list, whose architecture check it relies on.
pub fn refuse(call: i64, errno: i32) -> Vec<u64> {
    const JUMP_IF_EQUAL: u16 = 0x0015;
    one_test(JUMP_IF_EQUAL, call as u32, libc::SECCOMP_RET_ERRNO | errno as u32)
}

/// Compares the call's number once: `action` if it holds, else the call is allowed.
fn one_test(jump: u16, number: u32, action: u32) -> Vec<u64> {
    const LOAD_NUMBER: u16 = 0x0020;
    const RETURN: u16 = 0x0006;
    vec![
        pack(LOAD_NUMBER, 0, 0, 0),
        pack(jump, 0, 1, number),
        pack(RETURN, 0, 0, action),
        pack(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
    ]
}

fn pack(code: u16, jt: u8, jf: u8, k: u32) -> u64 {
    u64::from(code) << 48 | u64::from(jt) << 40 | u64::from(jf) << 32 | u64::from(k)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(rules: &str) -> String {
        format!(
            r#"{{"version":1,"architecture":"x86_64","default":{{"errno":"EPERM"}},"foreign_architecture":"kill_process",
               "x32":"kill_process","rules":[{rules}],"never":[{{"calls":["ptrace"],"why":"reads other processes"}}]}}"#
        )
    }

    #[test]
    fn a_list_that_allows_a_forbidden_call_is_refused() {
        let json = list(r#"{"calls":["ptrace"],"action":"allow","why":"debugging"}"#);
        assert!(matches!(compile(&json), Err(Error::Never(name)) if name == "ptrace"));
    }

    #[test]
    fn misspelt_calls_fields_and_actions_are_refused() {
        for rules in [
            r#"{"calls":["raed"],"action":"allow","why":"x"}"#,
            r#"{"calls":["read"],"action":"alow","why":"x"}"#,
            r#"{"calls":["read"],"action":"allow","wen":[],"why":"x"}"#,
            r#"{"calls":["read"],"action":"allow"}"#,
        ] {
            assert!(compile(&list(rules)).is_err(), "{rules}");
        }
    }

    #[test]
    fn rules_that_would_open_a_call_by_their_order_are_refused() {
        let conditional =
            r#"{"calls":["socket"],"action":"allow","when":[{"arg":0,"op":"eq","value":"1"}],"why":"x"}"#;
        let allow = r#"{"calls":["socket"],"action":"allow","why":"x"}"#;
        let refuse = r#"{"calls":["socket"],"action":{"errno":"ENOSYS"},"why":"x"}"#;
        assert!(compile(&list(&format!("{conditional},{conditional}"))).is_ok());
        for pair in [
            [conditional, allow],
            [allow, conditional],
            [conditional, refuse],
            [refuse, allow],
            [allow, allow],
        ] {
            assert!(matches!(compile(&list(&pair.join(","))), Err(Error::Contradiction(_))), "{pair:?}");
        }
        assert!(matches!(
            compile(&list(r#"{"calls":["read"],"action":"allow","why":" "}"#)),
            Err(Error::NoReason(_))
        ));
    }

    #[test]
    fn the_shipped_lists_compile_and_the_defaults_never_holds_for_every_other_list() {
        assert!(compile(SHIPPED).is_ok());
        assert!(compile(include_str!("../../../policies/seccomp/browser.json")).is_ok());
        let json = list(r#"{"calls":["bpf"],"action":"allow","why":"tracing"}"#);
        assert!(matches!(compile(&json), Err(Error::Never(name)) if name == "bpf"));
    }

    #[test]
    fn own_errnos_get_a_filter_of_their_own_and_x32_comes_first() {
        let json = list(
            r#"{"calls":["read"],"action":"allow","why":"x"},
               {"calls":["clone3"],"action":{"errno":"ENOSYS"},"why":"flags behind a pointer"}"#,
        );
        let filters = compile(&json).unwrap();
        assert_eq!(filters.len(), 3);
        assert_eq!(filters.first(), Some(&x32()));
    }
}
