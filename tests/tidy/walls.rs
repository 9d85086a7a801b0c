//! Lists that decide about walls: a reason on every line, and every wall with a file that builds it and a test that attacks it.

use crate::tree::{files, read};
use serde_json::Value;
use std::collections::BTreeSet;

fn lists() -> Vec<(String, Value)> {
    let lists: Vec<_> = files()
        .into_iter()
        .filter(|file| file.path.starts_with("policies/seccomp/") && file.extension() == "json")
        .map(|file| (file.path, serde_json::from_str(&file.text).unwrap()))
        .collect();
    assert!(!lists.is_empty(), "policies/seccomp/ holds no list");
    lists
}

#[test]
fn every_rule_of_a_system_call_list_has_a_reason() {
    for (path, list) in lists() {
        for part in ["rules", "never"] {
            let rules = list[part].as_array().unwrap();
            assert!(!rules.is_empty(), "{path}: {part} is empty");
            for rule in rules {
                let why = rule["why"].as_str().unwrap_or_default().trim();
                assert!(
                    why.len() >= 10 && why.ends_with(['.', ')']),
                    "{path}: not a reason: {why:?} of {}",
                    rule["calls"]
                );
            }
        }
    }
}

#[test]
fn a_system_call_list_refuses_by_default_and_kills_foreign_numbering() {
    for (path, list) in lists() {
        assert_eq!(list["default"]["errno"], "EPERM", "{path}");
        assert_eq!(list["foreign_architecture"], "kill_process", "{path}");
        assert_eq!(list["x32"], "kill_process", "{path}");
    }
}

#[test]
fn no_system_call_list_allows_what_is_never_allowed_or_opens_a_namespace() {
    const NEVER: [&str; 12] = [
        "bpf",
        "init_module",
        "finit_module",
        "io_uring_setup",
        "kexec_load",
        "keyctl",
        "mount",
        "open_by_handle_at",
        "perf_event_open",
        "ptrace",
        "setns",
        "userfaultfd",
    ];
    for (path, list) in lists() {
        let names = |part: &str, only_allow: bool| -> BTreeSet<String> {
            let rules = list[part].as_array().into_iter().flatten();
            let rules = rules.filter(|rule| !only_allow || rule["action"] == "allow");
            rules
                .flat_map(|rule| rule["calls"].as_array().cloned().unwrap_or_default())
                .filter_map(|c| c.as_str().map(str::to_owned))
                .collect()
        };
        let (allowed, never) = (names("rules", true), names("never", false));
        assert!(
            allowed.is_disjoint(&never),
            "{path}: {:?}",
            allowed.intersection(&never).collect::<Vec<_>>()
        );
        let missing: Vec<_> = NEVER.iter().filter(|call| !never.contains(**call)).collect();
        assert!(missing.is_empty(), "{path}: not on its list of calls that no list may allow: {missing:?}");
    }
}

#[test]
fn policies_name_lists_that_exist() {
    let named: BTreeSet<String> = files()
        .iter()
        .filter(|file| file.path.starts_with("policies/") && file.extension() == "toml")
        .filter_map(|file| file.text.parse::<toml::Table>().ok())
        .filter_map(|policy| policy.get("isolation")?.get("seccomp")?.as_str().map(str::to_owned))
        .chain(["seccomp/default.json".to_owned()])
        .collect();
    let there: BTreeSet<String> = lists()
        .into_iter()
        .filter_map(|(path, _)| path.strip_prefix("policies/").map(str::to_owned))
        .collect();
    assert!(named.is_subset(&there), "named {named:?}, there {there:?}");
}

#[test]
fn the_security_document_names_a_builder_and_an_attack_for_every_wall_of_a_policy() {
    let document = read("SECURITY.md");
    let rows: Vec<Vec<&str>> = document
        .lines()
        .skip_while(|line| !line.starts_with("| wall |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    assert!(rows.len() > 10, "the table of walls was not found");
    for row in &rows {
        assert_eq!(row.len(), 4, "{row:?}");
        assert!(row[2].contains('`'), "no file builds this wall: {row:?}");
        assert!(row[3].contains("test"), "nothing attacks this wall: {row:?}");
    }
    // The variants of the enum in the policy, by the names that policies use.
    for wall in ["namespaces", "root", "system calls", "Landlock", "limits"] {
        assert!(rows.iter().any(|row| row[0] == wall), "SECURITY.md has no row for {wall}");
    }
    let walls = read("crates/cloister-core/src/policy/mod.rs");
    assert!(
        walls.contains("pub const ALL: [Self; 5]"),
        "a new wall needs a row in SECURITY.md and a name in this test"
    );
}
