//! What a policy must satisfy in itself, whatever it extends: values that make sense, and hard bounds of the server.

use super::defaults::{LONGEST_LIFE, MOST_BYTES};
use super::quantity::{size_text, span_text};
use super::room;
use super::target::{Cidr, is_domain};
use super::{NetworkMode, Policy};
use std::collections::HashSet;
use std::fmt::Display;
use std::hash::Hash;
use std::time::Duration;

/// A field and what is wrong with its value.
pub(super) type Complaint = (&'static str, String);

const RUNTIMES: [&str; 3] = ["python", "nodejs", "deno"];

/// Everything that is wrong with a policy.
pub(super) fn complaints(policy: &Policy) -> Vec<Complaint> {
    let mut found = Vec::new();
    choices(policy, &mut found);
    network(policy, &mut found);
    amounts(policy, &mut found);
    times(policy, &mut found);
    lists(policy, &mut found);
    found
}

/// Whether `text` may name a policy, a tier or an image: it becomes part of a path on the host.
pub(super) fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
        && !text.starts_with('-')
}

fn choices(policy: &Policy, found: &mut Vec<Complaint>) {
    for (field, value) in [("tier", &policy.tier), ("image", &policy.image)] {
        if !is_name(value) {
            found.push((field, format!("`{value}` is no name: use lower-case letters, digits, `-` and `_`")));
        }
    }
    let workspace = &policy.filesystem.workspace;
    let parts: Vec<&str> = workspace.split('/').skip(1).collect();
    let part = |part: &&str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    let system = ["proc", "sys", "dev", "etc", "usr", "bin", "sbin", "lib", "lib64", "run", "tmp"];
    if !workspace.starts_with('/')
        || parts.is_empty()
        || !parts.iter().all(part)
        || system.contains(&parts[0])
    {
        let text =
            format!("`{workspace}` is no place for a workspace: use an absolute path such as /workspace");
        found.push(("filesystem.workspace", text));
    }
    let seccomp = &policy.isolation.seccomp;
    let list = seccomp.strip_prefix("seccomp/").and_then(|rest| rest.strip_suffix(".json"));
    if !list.is_some_and(is_name) {
        found.push(("isolation.seccomp", format!("`{seccomp}` is no list: use seccomp/NAME.json")));
    }
}

fn network(policy: &Policy, found: &mut Vec<Complaint>) {
    let network = &policy.network;
    for (field, list) in [
        ("network.allowed_domains", &network.allowed_domains),
        ("network.denied_domains", &network.denied_domains),
    ] {
        for bad in list.iter().filter(|domain| !is_domain(domain)) {
            let text = format!(
                "`{bad}` is no domain: use example.com or *.example.com, in lower case, without a port"
            );
            found.push((field, text));
        }
    }
    for (field, list) in
        [("network.allowed_cidrs", &network.allowed_cidrs), ("network.denied_cidrs", &network.denied_cidrs)]
    {
        for bad in list.iter().filter(|range| Cidr::parse(range).is_none()) {
            let text = format!("`{bad}` is no address range: use 10.1.0.0/16, with zeros after the prefix");
            found.push((field, text));
        }
    }
    if network.ports.contains(&0) {
        found.push(("network.ports", "0 is no port".into()));
    }
    if network.mode == NetworkMode::Open && !network.allowed_domains.is_empty() {
        let text = "has no effect in mode `open`; use mode `allowlist` to allow these domains only";
        found.push(("network.allowed_domains", text.into()));
    }
}

fn amounts(policy: &Policy, found: &mut Vec<Complaint>) {
    const MIB: u64 = 1 << 20;
    let (resources, files, output) = (&policy.resources, &policy.filesystem, &policy.output);
    let mut between = |field, value: u64, least: u64, most: u64, show: fn(u64) -> String| {
        if !(least..=most).contains(&value) {
            let (value, least, most) = (show(value), show(least), show(most));
            found.push((field, format!("{value} is out of bounds: at least {least}, at most {most}")));
        }
    };
    let count: fn(u64) -> String = |n| n.to_string();
    // Below the least values no interpreter comes up; above the most the number is a mistake or the protocol's limit.
    between("network.connections", u64::from(policy.network.connections), 1, 65_535, count);
    between("network.bytes", policy.network.bytes, 1, MOST_BYTES, size_text);
    between("network.host_bytes", policy.network.host_bytes, 1, MOST_BYTES, size_text);
    between("network.connection_rate", u64::from(policy.network.connection_rate), 1, 1_000_000, count);
    between("packages.max_bytes", policy.packages.max_bytes, 1, MOST_BYTES, size_text);
    between("resources.memory", resources.memory, 32 * MIB, 1 << 44, size_text);
    between("resources.pids", resources.pids, 16, 1 << 22, count);
    between("resources.open_files", resources.open_files, 64, 1 << 20, count);
    between("filesystem.disk", files.disk, MIB, 1 << 44, size_text);
    between("filesystem.inodes", files.inodes, 256, 1 << 32, count);
    between("filesystem.max_file", files.max_file, 4096, 1 << 44, size_text);
    between("output.stream", output.stream, 1024, 32 * MIB, size_text);
    // A display crosses the guest protocol as one blob of at most 8 MiB.
    between("output.display", output.display, 1024, 8 * MIB, size_text);
    between("output.displays", u64::from(output.displays), 0, 4096, count);
    // Less holds not even a few pictures.
    between("browser.recording_bytes", policy.browser.recording_bytes, MIB, 1 << 44, size_text);
    between("output.files_max", u64::from(output.files_max), 0, 65_536, count);

    let cpu = resources.cpu;
    if !(0.01..=1024.0).contains(&cpu) {
        found.push(("resources.cpu", format!("{cpu} is out of bounds: at least 0.01 cores, at most 1024")));
    }
    let mut fits = |field, value: u64, within: &str, limit: u64| {
        if value > limit {
            let (value, limit) = (size_text(value), size_text(limit));
            found.push((field, format!("{value} is more than {within} ({limit}), against which it counts")));
        }
    };
    let within = "resources.memory without 16MiB for init and 1KiB for every file of filesystem.inodes";
    fits("filesystem.disk", files.disk, within, room::storage(resources.memory, files.inodes));
    fits("filesystem.max_file", files.max_file, "filesystem.disk", files.disk);
}

fn times(policy: &Policy, found: &mut Vec<Complaint>) {
    let time = &policy.time;
    let second = Duration::from_secs(1);
    for (field, value, least, most) in [
        ("time.session_default", time.session_default, second, LONGEST_LIFE),
        ("time.session_max", time.session_max, second, LONGEST_LIFE),
        ("time.call", time.call, Duration::from_millis(10), LONGEST_LIFE),
        ("time.grace", time.grace, Duration::from_millis(10), Duration::from_secs(30)),
        ("time.task", time.task, Duration::from_millis(10), LONGEST_LIFE),
    ] {
        if !(least..=most).contains(&value) {
            let (value, least, most) = (span_text(value), span_text(least), span_text(most));
            found.push((field, format!("{value} is out of bounds: at least {least}, at most {most}")));
        }
    }
    if time.session_default > time.session_max {
        let (value, limit) = (span_text(time.session_default), span_text(time.session_max));
        found.push(("time.session_default", format!("{value} is more than time.session_max ({limit})")));
    }
}

fn lists(policy: &Policy, found: &mut Vec<Complaint>) {
    let runtimes = &policy.languages.runtimes;
    for bad in runtimes.iter().filter(|runtime| !RUNTIMES.contains(&runtime.as_str())) {
        found.push(("languages.runtimes", format!("`{bad}` is no runtime: use {}", RUNTIMES.join(", "))));
    }
    no_twins("languages.runtimes", runtimes, found);
    for bad in policy.secrets.iter().filter(|name| *name != "*" && !is_secret_name(name)) {
        let text =
            format!("`{bad}` is no name of a secret: use capital letters, digits and `_`, or \"*\" for all");
        found.push(("secrets", text));
    }
    no_twins("secrets", &policy.secrets, found);
    for (field, list) in
        [("packages.allow", &policy.packages.allow), ("packages.deny", &policy.packages.deny)]
    {
        for bad in list.iter().filter(|name| !is_project(name)) {
            let text = format!(
                "`{bad}` is no project: use its normalised name (small letters, digits, single `-`), or end in `*`"
            );
            found.push((field, text));
        }
    }
    no_twins("packages.allow", &policy.packages.allow, found);
    no_twins("network.ports", &policy.network.ports, found);
    no_twins("network.allowed_domains", &policy.network.allowed_domains, found);
    no_twins("network.allowed_cidrs", &policy.network.allowed_cidrs, found);
    no_twins("network.denied_domains", &policy.network.denied_domains, found);
    no_twins("network.denied_cidrs", &policy.network.denied_cidrs, found);
    let walls: Vec<&str> = policy.isolation.require.iter().map(|wall| wall.name()).collect();
    no_twins("isolation.require", &walls, found);
    if walls.len() < 2 {
        let text = "names fewer than two walls: no policy may rest on one boundary alone";
        found.push(("isolation.require", text.into()));
    }
}

/// Whether `text` is a project's name in normal form (PEP 503), or the beginning of one and `*`.
fn is_project(text: &str) -> bool {
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let stem = text.strip_suffix('*').unwrap_or(text);
    let whole = stem == text;
    text.len() <= 100
        && stem.bytes().all(legal)
        && !stem.starts_with('-')
        && !stem.contains("--")
        && !(whole && (stem.is_empty() || stem.ends_with('-')))
}

/// Whether `text` may name a secret: it becomes the name of a variable.
pub fn is_secret_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
        && text.starts_with(|c: char| c.is_ascii_uppercase())
}

fn no_twins<T: Eq + Hash + Display>(field: &'static str, list: &[T], found: &mut Vec<Complaint>) {
    let mut seen = HashSet::new();
    for item in list {
        if !seen.insert(item) {
            found.push((field, format!("names {item} twice")));
        }
    }
}
