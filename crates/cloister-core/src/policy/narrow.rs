//! Narrower and wider: which of two policies grants more, field by field, and the most that both grant.
//!
//! Three kinds of fields: *limits* and *rights*, which have an order (smaller, fewer, false is narrower); *walls and
//! denials*, whose order is the other way round (more is narrower); and *choices* (image, workspace, snapshots, the text block),
//! which grant nothing and are free. Both functions take policies apart without `..`: a new field must be decided here.

use super::target::{Cover, Domains, Names, Ranges};
use super::{
    AuditRules, BrowserRules, Filesystem, Install, Isolation, Languages, Network, NetworkMode, Output,
    Packages, Policy, Resources, StartMode, Time,
};
use std::collections::HashSet;
use std::hash::Hash;

/// The fields in which `child` grants more than `parent`; empty if `child` ⊆ `parent`.
pub fn widenings(child: &Policy, parent: &Policy) -> Vec<&'static str> {
    let Policy {
        name: _,
        description: _,
        tier,
        image: _,
        start,
        network,
        packages,
        secrets,
        resources,
        filesystem,
        time,
        languages,
        output,
        browser,
        snapshots: _, // a choice: a session's own past grants nothing
        audit,
        isolation,
    } = child;
    let mut wider = Vec::new();
    let mut check = |field, within: bool| {
        if !within {
            wider.push(field);
        }
    };
    check("tier", narrower_tier(tier, &parent.tier) == tier);
    check("start", strictness(*start) >= strictness(parent.start));

    let Network {
        mode,
        allowed_domains,
        denied_domains,
        allowed_cidrs,
        denied_cidrs,
        ports,
        connections,
        bytes,
        host_bytes,
        connection_rate,
    } = network;
    let p = &parent.network;
    check("network.mode", reach(*mode) <= reach(p.mode));
    // Where one of the modes makes the list meaningless, the mode alone decides.
    let lists_count = *mode == NetworkMode::Allowlist && p.mode == NetworkMode::Allowlist;
    check(
        "network.allowed_domains",
        !lists_count || all_covered::<Domains<'_>>(allowed_domains, &p.allowed_domains),
    );
    check("network.denied_domains", all_covered::<Domains<'_>>(&p.denied_domains, denied_domains));
    check("network.allowed_cidrs", all_covered::<Ranges>(allowed_cidrs, &p.allowed_cidrs));
    check("network.denied_cidrs", all_covered::<Ranges>(&p.denied_cidrs, denied_cidrs));
    check("network.ports", ports.iter().all(|port| p.ports.contains(port)));
    check("network.connections", *connections <= p.connections);
    check("network.bytes", *bytes <= p.bytes);
    check("network.host_bytes", *host_bytes <= p.host_bytes);
    check("network.connection_rate", *connection_rate <= p.connection_rate);

    let Packages { install, index, allow, deny, wheels_only, require_hashes, max_bytes, min_age } = packages;
    let p = &parent.packages;
    let installs = *install == Install::Mirror;
    check("packages.install", !installs || p.install == Install::Mirror);
    // A ceiling need not name a mirror; a parent that does decides. Without an index in use, neither name means anything.
    check("packages.index", !installs || p.index.is_empty() || *index == p.index);
    check("packages.allow", all_covered::<Names<'_>>(allow, &p.allow));
    check("packages.deny", all_covered::<Names<'_>>(&p.deny, deny));
    check("packages.wheels_only", *wheels_only >= p.wheels_only);
    check("packages.require_hashes", *require_hashes >= p.require_hashes);
    check("packages.max_bytes", *max_bytes <= p.max_bytes);
    check("packages.min_age", *min_age >= p.min_age);
    check("secrets", all_covered::<Names<'_>>(secrets, &parent.secrets));

    let Resources { memory, cpu, pids, open_files } = resources;
    let p = &parent.resources;
    check("resources.memory", *memory <= p.memory);
    check("resources.cpu", *cpu <= p.cpu);
    check("resources.pids", *pids <= p.pids);
    check("resources.open_files", *open_files <= p.open_files);

    let Filesystem { disk, inodes, max_file, exec, workspace: _ } = filesystem;
    let p = &parent.filesystem;
    check("filesystem.disk", *disk <= p.disk);
    check("filesystem.inodes", *inodes <= p.inodes);
    check("filesystem.max_file", *max_file <= p.max_file);
    check("filesystem.exec", *exec <= p.exec);

    let Time { session_default, session_max, call, grace, task } = time;
    let p = &parent.time;
    check("time.session_default", *session_default <= p.session_default);
    check("time.session_max", *session_max <= p.session_max);
    check("time.call", *call <= p.call);
    check("time.grace", *grace <= p.grace);
    check("time.task", *task <= p.task);

    let Languages { runtimes, shell } = languages;
    let p = &parent.languages;
    check("languages.runtimes", runtimes.iter().all(|runtime| p.runtimes.contains(runtime)));
    check("languages.shell", *shell <= p.shell);

    let Output { stream, display, displays, figures, files, files_max, text: _ } = output;
    let p = &parent.output;
    check("output.stream", *stream <= p.stream);
    check("output.display", *display <= p.display);
    check("output.displays", *displays <= p.displays);
    check("output.figures", *figures <= p.figures);
    check("output.files", *files <= p.files);
    check("output.files_max", *files_max <= p.files_max);

    let BrowserRules { downloads, read_only, recording, recording_bytes } = browser;
    let p = &parent.browser;
    check("browser.downloads", *downloads <= p.downloads);
    check("browser.read_only", *read_only >= p.read_only);
    // What is recorded protects the operator: the other way round, as with walls.
    check("browser.recording", *recording >= p.recording);
    check("browser.recording_bytes", *recording_bytes <= p.recording_bytes);

    let AuditRules { level, capture_code } = audit;
    let p = &parent.audit;
    // What is recorded protects the operator, too.
    check("audit.level", *level >= p.level);
    check("audit.capture_code", *capture_code >= p.capture_code);

    let Isolation { require, seccomp } = isolation;
    let p = &parent.isolation;
    check("isolation.require", p.require.iter().all(|wall| require.contains(wall)));
    // Names of system call lists have no order, so a child keeps its parent's; but the wasm tier's own is the smallest that there is.
    check("isolation.seccomp", *seccomp == p.seccomp || is_smallest(child, parent));
    wider
}

/// The most that both policies grant. Choices are those of `a`; where nothing but equality is narrower, `b` decides.
pub fn meet(a: &Policy, b: &Policy) -> Policy {
    let (n, m) = (&a.network, &b.network);
    let (r, s) = (&a.resources, &b.resources);
    let (f, g) = (&a.filesystem, &b.filesystem);
    let (t, u) = (&a.time, &b.time);
    let (o, p) = (&a.output, &b.output);
    Policy {
        name: a.name.clone(),
        description: a.description.clone(),
        tier: narrower_tier(&a.tier, &b.tier).to_owned(),
        image: a.image.clone(),
        start: if strictness(a.start) >= strictness(b.start) { a.start } else { b.start },
        network: Network {
            mode: if reach(n.mode) <= reach(m.mode) { n.mode } else { m.mode },
            allowed_domains: match (n.mode, m.mode) {
                (NetworkMode::Open, NetworkMode::Allowlist) => m.allowed_domains.clone(),
                (NetworkMode::Allowlist, NetworkMode::Allowlist) => {
                    common::<Domains<'_>>(&n.allowed_domains, &m.allowed_domains)
                }
                _ => n.allowed_domains.clone(),
            },
            denied_domains: union(&m.denied_domains, &n.denied_domains),
            allowed_cidrs: common::<Ranges>(&n.allowed_cidrs, &m.allowed_cidrs),
            denied_cidrs: union(&m.denied_cidrs, &n.denied_cidrs),
            ports: n.ports.iter().copied().filter(|port| m.ports.contains(port)).collect(),
            connections: n.connections.min(m.connections),
            bytes: n.bytes.min(m.bytes),
            host_bytes: n.host_bytes.min(m.host_bytes),
            connection_rate: n.connection_rate.min(m.connection_rate),
        },
        packages: meet_packages(&a.packages, &b.packages),
        secrets: common::<Names<'_>>(&a.secrets, &b.secrets),
        resources: Resources {
            memory: r.memory.min(s.memory),
            cpu: r.cpu.min(s.cpu),
            pids: r.pids.min(s.pids),
            open_files: r.open_files.min(s.open_files),
        },
        filesystem: Filesystem {
            disk: f.disk.min(g.disk),
            inodes: f.inodes.min(g.inodes),
            max_file: f.max_file.min(g.max_file),
            exec: f.exec && g.exec,
            workspace: f.workspace.clone(),
        },
        time: Time {
            session_default: t.session_default.min(u.session_default),
            session_max: t.session_max.min(u.session_max),
            call: t.call.min(u.call),
            grace: t.grace.min(u.grace),
            task: t.task.min(u.task),
        },
        languages: Languages {
            runtimes: a
                .languages
                .runtimes
                .iter()
                .filter(|r| b.languages.runtimes.contains(r))
                .cloned()
                .collect(),
            shell: a.languages.shell && b.languages.shell,
        },
        output: Output {
            stream: o.stream.min(p.stream),
            display: o.display.min(p.display),
            displays: o.displays.min(p.displays),
            figures: o.figures && p.figures,
            files: o.files && p.files,
            files_max: o.files_max.min(p.files_max),
            text: o.text,
        },
        browser: BrowserRules {
            downloads: a.browser.downloads && b.browser.downloads,
            read_only: a.browser.read_only || b.browser.read_only,
            recording: a.browser.recording || b.browser.recording,
            recording_bytes: a.browser.recording_bytes.min(b.browser.recording_bytes),
        },
        snapshots: a.snapshots,
        audit: AuditRules {
            level: a.audit.level.max(b.audit.level),
            capture_code: a.audit.capture_code.max(b.audit.capture_code),
        },
        isolation: Isolation {
            require: union(&b.isolation.require, &a.isolation.require),
            seccomp: if is_smallest(a, b) {
                a.isolation.seccomp.clone()
            } else {
                b.isolation.seccomp.clone()
            },
        },
    }
}

fn meet_packages(a: &Packages, b: &Packages) -> Packages {
    let one = a.index == b.index || a.index.is_empty() || b.index.is_empty();
    let both = a.install == Install::Mirror && b.install == Install::Mirror && one;
    Packages {
        // From two different mirrors, nothing.
        install: if both { Install::Mirror } else { Install::Off },
        index: if b.index.is_empty() { a.index.clone() } else { b.index.clone() },
        allow: common::<Names<'_>>(&a.allow, &b.allow),
        deny: union(&b.deny, &a.deny),
        wheels_only: a.wheels_only || b.wheels_only,
        require_hashes: a.require_hashes || b.require_hashes,
        max_bytes: a.max_bytes.min(b.max_bytes),
        min_age: a.min_age.max(b.min_age),
    }
}

/// A policy and a ceiling that have no common ground.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "policy `{policy}` is on the tier `{wanted}`, and the ceiling `{ceiling}` allows the tier `{allowed}` only"
)]
pub struct Beyond {
    /// The policy.
    pub policy: String,
    /// Its tier.
    pub wanted: String,
    /// The ceiling.
    pub ceiling: String,
    /// The ceiling's tier.
    pub allowed: String,
}

/// What is left of `policy` under a ceiling that is not its parent: the deployment's, or its tenant's.
///
/// The same as [`meet`], but for the two fields whose names have no order. A ceiling on the tier `process`, the default, bounds
/// sessions of every tier, since all of them are jailed processes; each tier keeps the list of system calls that its own program
/// needs. A ceiling on another tier admits that tier only.
pub fn narrow(policy: &Policy, ceiling: &Policy) -> Result<Policy, Beyond> {
    if ceiling.tier != policy.tier && ceiling.tier != "process" {
        return Err(Beyond {
            policy: policy.name.clone(),
            wanted: policy.tier.clone(),
            ceiling: ceiling.name.clone(),
            allowed: ceiling.tier.clone(),
        });
    }
    let mut within = meet(policy, ceiling);
    if policy.tier != ceiling.tier {
        within.tier.clone_from(&policy.tier);
        within.isolation.seccomp.clone_from(&policy.isolation.seccomp);
    }
    Ok(within)
}

/// Whether `a` is on the narrower tier with that tier's own list.
fn is_smallest(a: &Policy, b: &Policy) -> bool {
    a.tier != b.tier && narrower_tier(&a.tier, &b.tier) == a.tier && a.isolation.seccomp == WASM_LIST
}

/// `first`, and what `second` has in addition.
pub(super) fn union<T: Clone + Eq + Hash>(first: &[T], second: &[T]) -> Vec<T> {
    let known: HashSet<&T> = first.iter().collect();
    let more = second.iter().filter(|item| !known.contains(item));
    first.iter().chain(more).cloned().collect()
}

/// The list of the wasm tier's engines: `default.json` without files to change, sockets and devices.
const WASM_LIST: &str = "seccomp/wasm.json";

/// A wasm worker sits in the same jail and makes far fewer system calls, so it is the narrower one. Other names have no
/// order: the parent's stays.
fn narrower_tier<'a>(child: &'a str, parent: &'a str) -> &'a str {
    if (child, parent) == ("wasm", "process") { child } else { parent }
}

fn strictness(start: StartMode) -> u8 {
    match start {
        StartMode::Pool => 0,
        StartMode::Zygote => 1,
        StartMode::Exec => 2,
    }
}

fn reach(mode: NetworkMode) -> u8 {
    match mode {
        NetworkMode::None => 0,
        NetworkMode::Allowlist => 1,
        NetworkMode::Open => 2,
    }
}

fn all_covered<'a, C: Cover<'a>>(narrow: &[String], wide: &'a [String]) -> bool {
    let wide = C::of(wide);
    narrow.iter().all(|narrow| wide.covers(narrow))
}

/// What both lists match: of each the entries that the other one covers.
fn common<'a, C: Cover<'a>>(a: &'a [String], b: &'a [String]) -> Vec<String> {
    let (in_a, in_b) = (C::of(a), C::of(b));
    let of_a = a.iter().filter(|entry| in_b.covers(entry));
    let of_b = b.iter().filter(|entry| in_a.covers(entry));
    let mut seen = HashSet::new();
    of_a.chain(of_b).filter(|entry| seen.insert(*entry)).cloned().collect()
}
