//! A policy for the eye: every field with its value, its default and what it is for. `cloister policy show` prints it.

use super::fields::Field;
use super::quantity::{size_text, span_text};
use super::{
    AuditRules, BrowserRules, Filesystem, Isolation, Languages, Network, NetworkMode, Output, Packages,
    Policy, Resources, Snapshots, StartMode, Time, Wall,
};

/// One field of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// `resources.memory`.
    pub field: &'static str,
    /// The value in force, as one would write it in a file.
    pub value: String,
    /// The built-in default, written the same way.
    pub default: String,
    /// What the field does.
    pub what: &'static str,
    /// The attack that it stops; empty for a field that is a matter of taste.
    pub attack: &'static str,
}

impl Policy {
    /// Every field of this policy, in the order of the documentation.
    pub fn describe(&self) -> Vec<Row> {
        let defaults = rows(&Self::built_in(&self.name));
        let text = |field: &str| Field::find(field).map_or(("", ""), |found| (found.what, found.attack));
        rows(self)
            .into_iter()
            .zip(defaults)
            .map(|((field, value), (_, default))| {
                let (what, attack) = text(field);
                Row { field, value, default, what, attack }
            })
            .collect()
    }
}

/// Field and value of everything that a file can set, but for `description` and `extends`.
pub(super) fn rows(policy: &Policy) -> Vec<(&'static str, String)> {
    let Policy {
        name: _,
        description: _,
        tier,
        image,
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
        snapshots,
        audit,
        isolation,
    } = policy;
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
    let Packages { install, index, allow, deny, wheels_only, require_hashes, max_bytes, min_age } = packages;
    let Resources { memory, cpu, pids, open_files } = resources;
    let Filesystem { disk, inodes, max_file, exec, workspace } = filesystem;
    let Time { session_default, session_max, call, grace, task } = time;
    let Languages { runtimes, shell } = languages;
    let Output { stream, display, displays, figures, files, files_max, text } = output;
    let BrowserRules { downloads, read_only, recording, recording_bytes } = browser;
    let AuditRules { level, capture_code } = audit;
    let Isolation { require, seccomp } = isolation;
    let size = |bytes: &u64| quoted(&size_text(*bytes));
    vec![
        ("tier", quoted(tier)),
        ("image", quoted(image)),
        ("start", quoted(start.name())),
        ("snapshots", quoted(snapshots.name())),
        ("network.mode", quoted(mode.name())),
        ("network.allowed_domains", list(allowed_domains.iter().map(|d| quoted(d)))),
        ("network.denied_domains", list(denied_domains.iter().map(|d| quoted(d)))),
        ("network.allowed_cidrs", list(allowed_cidrs.iter().map(|c| quoted(c)))),
        ("network.denied_cidrs", list(denied_cidrs.iter().map(|c| quoted(c)))),
        ("network.ports", list(ports.iter().map(ToString::to_string))),
        ("network.connections", connections.to_string()),
        ("network.bytes", size(bytes)),
        ("network.host_bytes", size(host_bytes)),
        ("network.connection_rate", connection_rate.to_string()),
        ("packages.install", quoted(install.name())),
        ("packages.index", quoted(index)),
        ("packages.allow", list(allow.iter().map(|name| quoted(name)))),
        ("packages.deny", list(deny.iter().map(|name| quoted(name)))),
        ("packages.wheels_only", wheels_only.to_string()),
        ("packages.require_hashes", require_hashes.to_string()),
        ("packages.max_bytes", size(max_bytes)),
        ("packages.min_age", quoted(&span_text(*min_age))),
        ("secrets", list(secrets.iter().map(|name| quoted(name)))),
        ("resources.memory", size(memory)),
        ("resources.cpu", format!("{cpu:?}")),
        ("resources.pids", pids.to_string()),
        ("resources.open_files", open_files.to_string()),
        ("filesystem.disk", size(disk)),
        ("filesystem.inodes", inodes.to_string()),
        ("filesystem.max_file", size(max_file)),
        ("filesystem.exec", exec.to_string()),
        ("filesystem.workspace", quoted(workspace)),
        ("time.session_default", quoted(&span_text(*session_default))),
        ("time.session_max", quoted(&span_text(*session_max))),
        ("time.call", quoted(&span_text(*call))),
        ("time.grace", quoted(&span_text(*grace))),
        ("time.task", quoted(&span_text(*task))),
        ("languages.runtimes", list(runtimes.iter().map(|r| quoted(r)))),
        ("languages.shell", shell.to_string()),
        ("output.stream", size(stream)),
        ("output.display", size(display)),
        ("output.displays", displays.to_string()),
        ("output.figures", figures.to_string()),
        ("output.files", files.to_string()),
        ("output.files_max", files_max.to_string()),
        ("output.text", text.to_string()),
        ("browser.downloads", downloads.to_string()),
        ("browser.read_only", read_only.to_string()),
        ("browser.recording", recording.to_string()),
        ("browser.recording_bytes", size(recording_bytes)),
        ("audit.level", quoted(level.name())),
        ("audit.capture_code", quoted(capture_code.name())),
        ("isolation.require", list(require.iter().map(|wall: &Wall| quoted(wall.name())))),
        ("isolation.seccomp", quoted(seccomp)),
    ]
}

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

impl StartMode {
    /// The name in policies.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pool => "pool",
            Self::Zygote => "zygote",
            Self::Exec => "exec",
        }
    }
}

impl Snapshots {
    /// The name in policies.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Call => "call",
            Self::Atomic => "atomic",
        }
    }
}

impl NetworkMode {
    /// The name in policies.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Allowlist => "allowlist",
            Self::Open => "open",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fields::FIELDS;
    use super::*;

    #[test]
    fn every_field_is_described_and_every_description_has_its_field() {
        let rows = Policy::built_in("default").describe();
        assert_eq!(
            rows.iter().map(|r| r.field).collect::<Vec<_>>(),
            FIELDS.iter().map(|field| field.name).collect::<Vec<_>>()
        );
        assert!(rows.iter().all(|row| !row.what.is_empty() && row.value == row.default));
    }
}
