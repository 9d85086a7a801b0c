//! Chromium's own walls inside a sandbox, as this host's /proc shows them: read from outside, where no guest decides what is seen.
//!
//! ```text
//!   init ─┬─ browser ─ zygote ─ renderer      NSpid: one number per pid namespace; ours is the second
//!         └─ (orphans)                        ns/user, ns/net: another link is another namespace
//! ```
//!
//! Which process is a renderer is known by its command line, and that is a guest's word; what is said of it is the kernel's.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

/// What is known of one process.
struct Process {
    pid: i32,
    parent: i32,
}

/// Name and value of each wall; without a renderer yet, only what can be said.
pub(crate) fn walls(init: i32) -> Vec<(String, String)> {
    let tree = descendants(init);
    let renderers: Vec<i32> = tree.iter().copied().filter(|&pid| is_renderer(pid)).collect();
    let mut walls = BTreeMap::new();
    walls.insert("browser_processes", tree.len().to_string());
    walls.insert("browser_renderers", renderers.len().to_string());
    if !renderers.is_empty() {
        // The weakest counts.
        let depth = renderers.iter().map(|&pid| depth(pid)).min().unwrap_or(0);
        // Of these, one is the host's and one the sandbox's.
        walls.insert("renderer_pid_namespaces", depth.saturating_sub(1).to_string());
        let modes = renderers.iter().map(|&pid| field(pid, "Seccomp"));
        let modes: BTreeSet<String> = modes.map(Option::unwrap_or_default).collect();
        walls.insert("renderer_seccomp_mode", modes.iter().cloned().collect::<Vec<_>>().join(" "));
        let user = ("renderer_user_namespace", "user");
        for (name, namespace) in [user, ("renderer_network_namespace", "net")] {
            walls.insert(name, whose(init, &renderers, namespace).into());
        }
        let filters = |pid| field(pid, "Seccomp_filters").and_then(|n| n.parse::<u32>().ok()).unwrap_or(0);
        let more = renderers.iter().all(|&pid| filters(pid) > filters(init));
        // A pid namespace inside ours takes a user namespace inside ours: nobody in the sandbox has a capability.
        let own = match (depth > 2, more) {
            (true, true) => "on: namespaces, seccomp",
            (true, false) => "partly: namespaces only",
            (false, true) => "partly: seccomp only",
            (false, false) => "off",
        };
        walls.insert("chromium_sandbox", own.into());
    }
    walls.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Every process below `init`.
fn descendants(init: i32) -> Vec<i32> {
    let all = processes();
    let mut found = vec![init];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(all.iter().filter(|p| p.parent == parent).map(|p| p.pid));
        next += 1;
    }
    found.remove(0);
    found
}

fn processes() -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            Some(Process { pid, parent: field(pid, "PPid")?.parse().ok()? })
        })
        .collect()
}

fn is_renderer(pid: i32) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    // A child of the zygote has one string with spaces, a program that was executed has several.
    line.split(|&b| b == 0 || b == b' ').any(|word| word == b"--type=renderer")
}

/// In how many nested pid namespaces it has a number.
fn depth(pid: i32) -> usize {
    field(pid, "NSpid").map_or(0, |numbers| numbers.split_whitespace().count())
}

fn field(pid: i32, name: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.trim().to_owned())
}

/// Whose namespace the processes are in. Init and renderers are not dumpable, so that a server without root may not look.
fn whose(init: i32, processes: &[i32], namespace: &str) -> &'static str {
    let link = |pid: i32| -> Option<PathBuf> { fs::read_link(format!("/proc/{pid}/ns/{namespace}")).ok() };
    let Some(ours) = link(init) else { return "not known" };
    let theirs: Option<Vec<PathBuf>> = processes.iter().map(|&pid| link(pid)).collect();
    match theirs {
        None => "not known",
        Some(links) if links.iter().all(|link| *link != ours) => "own",
        Some(_) => "the sandbox's",
    }
}
