//! SYS-01: every system call by number, against what the policy's list says about it. `sys_lists.rs` tries the other lists.
//!
//! The list is evaluated here once more, from its text, so that an error of the compiler in `seccomp.rs` shows as a difference.

use super::{Attack, attack};
use cloister_core::command::ToolCall;
use cloister_core::event::Outcome;
use cloister_tests::rig::plain;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

const LIST: &str = include_str!("../../../policies/seccomp/default.json");
const PROGRAM: &str = include_str!("../guests/table.c");

/// Numbers beyond the newest known call: what the next kernels will bring must be refused too.
const FUTURE: u64 = 64;
/// A page that the program has mapped.
const BUFFER: u64 = 0x1000_0000;

/// Allowed calls for which the kernel itself answers EPERM to such arguments, with the reason.
pub(super) const EPERM_OF_THE_KERNEL: [(&str, &str); 2] = [
    (
        "rt_sigqueueinfo",
        "a signal that pretends to come from the kernel, to a process that is not the caller",
    ),
    ("rt_tgsigqueueinfo", "the same"),
];

/// Calls that the kernel lets pass by every filter since 6.14, because it makes them itself in traced programs. Anybody else gets these.
const PAST_EVERY_FILTER: [(&str, Observed); 2] =
    [("uretprobe", Observed::Killed(nix::libc::SIGILL)), ("uprobe", Observed::Errno(nix::libc::ENXIO))];

/// Calls that are not made, with the reason.
const NOT_MADE: [(&str, &str); 1] =
    [("vfork", "the child would run on its parent's stack; SYS-03 makes it by way of a library")];

pub(super) type Arguments = [u64; 6];

/// What the list says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Declared {
    Allowed,
    Refused(i32),
    Killed,
}

/// What the kernel did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Observed {
    Errno(i32),
    Returned,
    Killed(i32),
    Ended,
}

fn errno(name: &str) -> i32 {
    match name {
        "EPERM" => nix::libc::EPERM,
        "ENOSYS" => nix::libc::ENOSYS,
        "EACCES" => nix::libc::EACCES,
        "EAFNOSUPPORT" => nix::libc::EAFNOSUPPORT,
        "EINVAL" => nix::libc::EINVAL,
        other => panic!("the test does not know {other}"),
    }
}

fn number(text: &Value) -> u64 {
    let text = text.as_str().unwrap();
    text.strip_prefix("0x").map_or_else(|| text.parse().unwrap(), |hex| u64::from_str_radix(hex, 16).unwrap())
}

/// Whether one comparison of a rule holds.
fn holds(condition: &Value, arguments: &Arguments) -> bool {
    let narrow = condition["width"] == 32;
    let cut = |value: u64| if narrow { value & 0xffff_ffff } else { value };
    let (given, wanted) =
        (cut(arguments[condition["arg"].as_u64().unwrap() as usize]), cut(number(&condition["value"])));
    match condition["op"].as_str().unwrap() {
        "eq" => given == wanted,
        "ne" => given != wanted,
        "lt" => given < wanted,
        "le" => given <= wanted,
        "gt" => given > wanted,
        "ge" => given >= wanted,
        "masked_eq" => given & cut(number(&condition["mask"])) == wanted,
        other => panic!("the test does not know {other}"),
    }
}

fn conditions(rule: &Value) -> &[Value] {
    rule["when"].as_array().map_or(&[], Vec::as_slice)
}

fn declared(list: &Value, rules: &[&Value], arguments: &Arguments) -> Declared {
    for rule in rules {
        if let Some(name) = rule["action"]["errno"].as_str() {
            return Declared::Refused(errno(name));
        }
        if conditions(rule).iter().all(|condition| holds(condition, arguments)) {
            return Declared::Allowed;
        }
    }
    Declared::Refused(errno(list["default"]["errno"].as_str().unwrap()))
}

/// Arguments for a call: harmless ones, absurd ones, and for every comparison of its rules the values on both sides of it, also with
/// bits set above the 32 that the kernel looks at.
fn arguments(rules: &[&Value]) -> BTreeSet<Arguments> {
    let mut all = BTreeSet::from([[0; 6], [u64::MAX; 6], [BUFFER, 64, BUFFER, 64, 0, 0], [BUFFER; 6]]);
    for rule in rules {
        // What satisfies the rule as a whole, as far as one value per argument can.
        let mut base = [0; 6];
        for condition in conditions(rule) {
            let (arg, value) = (condition["arg"].as_u64().unwrap() as usize, number(&condition["value"]));
            match condition["op"].as_str().unwrap() {
                "eq" | "ge" | "le" | "masked_eq" => base[arg] = value,
                "gt" => base[arg] = value + 1,
                _ => {}
            }
        }
        all.insert(base);
        for condition in conditions(rule) {
            let (arg, value) = (condition["arg"].as_u64().unwrap() as usize, number(&condition["value"]));
            let mask = condition["mask"].as_str().map_or(0, |_| number(&condition["mask"]));
            let lowest = mask & mask.wrapping_neg();
            for near in [
                value,
                value.wrapping_sub(1),
                value.wrapping_add(1),
                value ^ lowest,
                value | mask,
                value | (1 << 32),
                value | (0xffff_ffff << 32),
            ] {
                let mut arguments = base;
                arguments[arg] = near;
                all.insert(arguments);
            }
        }
    }
    all
}

/// A call to be made: by which gate, its number, its arguments, and what the list says of it.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) gate: &'static str,
    pub(super) number: u64,
    pub(super) arguments: Arguments,
    pub(super) declared: Declared,
}

/// Names of calls by number.
pub(super) fn names() -> BTreeMap<u64, &'static str> {
    cloister_jail::syscalls::X86_64.iter().map(|&(name, number)| (number.unsigned_abs(), name)).collect()
}

/// Every number up to those that the next kernels will bring.
pub(super) fn plan(list: &Value) -> Vec<Planned> {
    let names = names();
    let highest = *names.keys().next_back().unwrap();
    let mut planned = Vec::new();
    for number in 0..=highest + FUTURE {
        let name = names.get(&number).copied().unwrap_or("");
        if NOT_MADE.iter().any(|(skipped, _)| *skipped == name) {
            continue;
        }
        let named = |rule: &&Value| rule["calls"].as_array().unwrap().iter().any(|call| call == name);
        let rules: Vec<&Value> = list["rules"].as_array().unwrap().iter().filter(named).collect();
        planned.extend(arguments(&rules).into_iter().map(|arguments| {
            let declared = declared(list, &rules, &arguments);
            Planned { gate: "", number, arguments, declared }
        }));
    }
    planned
}

/// Has the calls made inside, under the filters in the file `filters` if there is one. `None` after a skip.
pub(super) async fn observe(a: &Attack, planned: &[Planned], filters: &str) -> Option<Vec<Observed>> {
    if !a.program("table", PROGRAM).await {
        return None;
    }
    let mut input = String::new();
    for Planned { gate, number, arguments, .. } in planned {
        let _: std::fmt::Result = write!(input, "{gate}{number:x}");
        for argument in arguments {
            let _: std::fmt::Result = write!(input, " {argument:x}");
        }
        input.push('\n');
    }
    a.session.write(&[("calls", input.as_bytes())]).await.unwrap();
    a.shell(&format!("mkdir -p in && cd in && ../table {filters} < ../calls > ../results 2> ../errors"))
        .await;
    let results = match a.session.tool(ToolCall::ReadFiles { paths: vec!["results".into()] }).await {
        Outcome::Files { files, .. } => String::from_utf8(files[0].data.to_vec()).unwrap(),
        other => panic!("no results: {other:?}"),
    };
    let observed: Vec<Observed> = results.lines().map(parse).collect();
    let said = a.shell("cat errors; tail -1 results").await.stdout;
    assert_eq!(observed.len(), planned.len(), "the program has not finished: {said}");
    Some(observed)
}

/// Fails for every call that did something else than what the list says. `by_kernel`: allowed calls to which the kernel answers EPERM.
pub(super) fn compare(planned: &[Planned], observed: &[Observed], by_kernel: &[(&str, &str)]) {
    let names = names();
    let mut wrong = Vec::new();
    for (Planned { gate, number, arguments, declared }, observed) in planned.iter().zip(observed) {
        let name = names.get(number).copied().unwrap_or("unknown");
        let refused_by_kernel = by_kernel.iter().any(|(call, _)| *call == name);
        let exempt = PAST_EVERY_FILTER.iter().any(|(call, instead)| *call == name && instead == observed);
        let fits = exempt
            || match declared {
                Declared::Refused(errno) => *observed == Observed::Errno(*errno),
                // A kernel without the 32-bit gate has no such instruction.
                Declared::Killed => [nix::libc::SIGSYS, nix::libc::SIGSEGV]
                    .iter()
                    .any(|signal| *observed == Observed::Killed(*signal)),
                Declared::Allowed => match observed {
                    Observed::Errno(nix::libc::EPERM) => refused_by_kernel,
                    Observed::Killed(signal) => *signal != nix::libc::SIGSYS,
                    _ => true,
                },
            };
        if !fits {
            wrong.push(format!(
                "{gate}{number} {name} {arguments:x?}: declared {declared:?}, observed {observed:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {}: {wrong:#?}", wrong.len(), planned.len());
}

/// SYS-01: every number, benign and hostile arguments.
#[tokio::test(flavor = "multi_thread")]
async fn every_system_call_does_what_the_list_says_for_every_side_of_every_condition() {
    let list: Value = serde_json::from_str(LIST).unwrap();
    let planned = plan(&list);
    attack(plain(), async |a| {
        let Some(observed) = observe(a, &planned, "").await else { return };
        compare(&planned, &observed, &EPERM_OF_THE_KERNEL);
        let refused = planned.iter().filter(|call| matches!(call.declared, Declared::Refused(_))).count();
        assert!(
            refused > 1000 && planned.len() - refused > 1000,
            "{} calls, {refused} refused",
            planned.len()
        );
    })
    .await;
}

fn parse(line: &str) -> Observed {
    let (kind, value) = line.split_once(' ').unwrap_or((line, "0"));
    let value = value.parse().unwrap();
    match kind {
        "e" => Observed::Errno(value),
        "r" => Observed::Returned,
        "s" => Observed::Killed(value),
        "x" => Observed::Ended,
        _ => panic!("the program said {line:?}"),
    }
}
