//! What operators write: policies and system call lists.

use cloister_core::policy::Sources;
use cloister_core::policy::narrow::widenings;

/// A policy that loads is within itself and within the ceiling that it extends.
pub(super) fn policy(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut sources = Sources::new();
    let ceiling = include_str!("../../../policies/ceiling.toml");
    sources.add("ceiling", "ceiling.toml", ceiling);
    sources.add("fuzzed", "fuzzed.toml", text);
    match sources.resolve("fuzzed") {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(fuzzed) => {
            assert_eq!(widenings(&fuzzed.policy, &fuzzed.policy), [""; 0], "wider than itself");
            assert!(fuzzed.policy.describe().len() > 10);
            if text.lines().any(|line| line.trim() == "extends = \"ceiling\"") {
                let above = sources.resolve("ceiling").expect("the shipped ceiling");
                assert_eq!(widenings(&fuzzed.policy, &above.policy), [""; 0], "wider than its ceiling");
            }
        }
    }
}

/// A list that compiles allows no call that is never allowed.
pub(super) fn call_list(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(filters) = cloister_jail::seccomp::compile(text) else { return };
    assert!(!filters.is_empty() && filters.iter().all(|filter| !filter.is_empty() && filter.len() <= 4096));
    let list: serde_json::Value = serde_json::from_str(text).expect("what compiles is JSON");
    let calls = |part: &str, allowed: bool| -> Vec<String> {
        let rules = list[part].as_array().into_iter().flatten();
        let rules = rules.filter(|rule| !allowed || rule["action"] == "allow");
        rules
            .flat_map(|rule| rule["calls"].as_array().into_iter().flatten())
            .map(ToString::to_string)
            .collect()
    };
    let never = calls("never", false);
    assert!(calls("rules", true).iter().all(|call| !never.contains(call)), "a call is allowed that never is");
}
