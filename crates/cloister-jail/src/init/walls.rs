//! What init sees of its own walls: the values that `GET /v1/sessions/{id}` shows, read and not assumed.

use std::collections::BTreeMap;

/// Name and value of each. `landlock` says that the domain was asked for; its set-up has been checked, or init would not run.
pub(super) fn look(landlock: bool) -> BTreeMap<String, String> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map(|v| v.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    let mut walls = BTreeMap::new();
    for (key, name) in [
        ("uid", "Uid"),
        ("gid", "Gid"),
        ("groups", "Groups"),
        ("pid_namespace", "NSpid"),
        ("capabilities_effective", "CapEff"),
        ("capabilities_bounding", "CapBnd"),
        ("no_new_privs", "NoNewPrivs"),
        ("seccomp_mode", "Seccomp"),
        ("seccomp_filters", "Seccomp_filters"),
    ] {
        if let Some(value) = field(name) {
            walls.insert(key.to_owned(), value);
        }
    }
    walls.insert("landlock".into(), if landlock { "enforced" } else { "not asked for" }.into());
    for name in ["user", "pid", "mnt", "net", "ipc", "uts", "cgroup"] {
        if let Ok(link) = std::fs::read_link(format!("/proc/self/ns/{name}")) {
            walls.insert(format!("namespace_{name}"), link.to_string_lossy().into_owned());
        }
    }
    walls
}
