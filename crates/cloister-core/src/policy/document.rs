//! A policy file as it is written: every field optional, unknown fields refused, and how it is laid over its parent.

use super::narrow::union;
use super::quantity::{Size, Span};
use super::room;
use super::{AuditLevel, Capture, Install, NetworkMode, Policy, Snapshots, StartMode, Wall};
use serde::Deserialize;

/// One file of `policies/`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    pub(super) description: Option<String>,
    /// The policy that this one narrows.
    pub(super) extends: Option<String>,
    /// This file only bounds others: what it sets is the most that they may grant, not what they get.
    #[serde(default)]
    pub(super) ceiling: bool,
    pub(super) tier: Option<String>,
    pub(super) image: Option<String>,
    start: Option<Start>,
    snapshots: Option<SnapshotsName>,
    #[serde(default)]
    network: NetworkPart,
    #[serde(default)]
    packages: PackagesPart,
    secrets: Option<Vec<String>>,
    #[serde(default)]
    resources: ResourcesPart,
    #[serde(default)]
    filesystem: FilesystemPart,
    #[serde(default)]
    time: TimePart,
    #[serde(default)]
    languages: LanguagesPart,
    #[serde(default)]
    output: OutputPart,
    #[serde(default)]
    browser: BrowserPart,
    #[serde(default)]
    audit: AuditPart,
    #[serde(default)]
    isolation: IsolationPart,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct NetworkPart {
    mode: Option<Mode>,
    allowed_domains: Option<Vec<String>>,
    denied_domains: Option<Vec<String>>,
    allowed_cidrs: Option<Vec<String>>,
    denied_cidrs: Option<Vec<String>>,
    ports: Option<Vec<u16>>,
    connections: Option<u32>,
    bytes: Option<Size>,
    host_bytes: Option<Size>,
    connection_rate: Option<u32>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct PackagesPart {
    install: Option<InstallName>,
    index: Option<String>,
    allow: Option<Vec<String>>,
    deny: Option<Vec<String>>,
    wheels_only: Option<bool>,
    require_hashes: Option<bool>,
    max_bytes: Option<Size>,
    min_age: Option<Span>,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum InstallName {
    Off,
    Mirror,
}

impl From<InstallName> for Install {
    fn from(install: InstallName) -> Self {
        match install {
            InstallName::Off => Self::Off,
            InstallName::Mirror => Self::Mirror,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResourcesPart {
    memory: Option<Size>,
    cpu: Option<f64>,
    pids: Option<u64>,
    open_files: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct FilesystemPart {
    disk: Option<Size>,
    inodes: Option<u64>,
    max_file: Option<Size>,
    exec: Option<bool>,
    workspace: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct TimePart {
    session_default: Option<Span>,
    session_max: Option<Span>,
    call: Option<Span>,
    grace: Option<Span>,
    task: Option<Span>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct LanguagesPart {
    runtimes: Option<Vec<String>>,
    shell: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct OutputPart {
    stream: Option<Size>,
    display: Option<Size>,
    displays: Option<u32>,
    figures: Option<bool>,
    files: Option<bool>,
    files_max: Option<u32>,
    text: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct BrowserPart {
    downloads: Option<bool>,
    read_only: Option<bool>,
    recording: Option<bool>,
    recording_bytes: Option<Size>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct AuditPart {
    level: Option<AuditLevel>,
    capture_code: Option<Capture>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct IsolationPart {
    require: Option<Vec<WallName>>,
    seccomp: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Start {
    Pool,
    Zygote,
    Exec,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SnapshotsName {
    None,
    Call,
    Atomic,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    None,
    Allowlist,
    Open,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WallName {
    Namespaces,
    Root,
    Seccomp,
    Landlock,
    Cgroup,
}

impl Document {
    /// The policy `name` that results from laying this document over `base`.
    ///
    /// A field that is absent keeps the value of `base`, or as much of it as still fits under a limit that is given here:
    /// a file that only sets `session_max = "5m"` means sessions of 5 minutes and not a contradiction.
    pub(super) fn over(self, base: Policy, name: &str) -> Policy {
        let Self {
            description,
            extends: _,
            ceiling: _,
            tier,
            image,
            start,
            snapshots,
            network,
            packages,
            secrets,
            resources,
            filesystem,
            time,
            languages,
            output,
            browser,
            audit,
            isolation,
        } = self;
        let mut policy =
            Policy { name: name.to_owned(), description: description.unwrap_or_default(), ..base };
        set(&mut policy.tier, tier);
        set(&mut policy.image, image);
        set(&mut policy.start, start.map(StartMode::from));
        set(&mut policy.snapshots, snapshots.map(Snapshots::from));

        let NetworkPart {
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
        let to = &mut policy.network;
        set(&mut to.mode, mode.map(NetworkMode::from));
        set(&mut to.allowed_domains, allowed_domains);
        // Denials add up: a child cannot lift one, and need not repeat it.
        to.denied_domains = union(&to.denied_domains, &denied_domains.unwrap_or_default());
        set(&mut to.allowed_cidrs, allowed_cidrs);
        to.denied_cidrs = union(&to.denied_cidrs, &denied_cidrs.unwrap_or_default());
        set(&mut to.ports, ports);
        set(&mut to.connections, connections);
        set(&mut to.bytes, bytes.map(|size| size.0));
        set(&mut to.host_bytes, host_bytes.map(|size| size.0));
        set(&mut to.connection_rate, connection_rate);

        let PackagesPart { install, index, allow, deny, wheels_only, require_hashes, max_bytes, min_age } =
            packages;
        let to = &mut policy.packages;
        set(&mut to.install, install.map(Install::from));
        set(&mut to.index, index);
        set(&mut to.allow, allow);
        to.deny = union(&to.deny, &deny.unwrap_or_default());
        set(&mut to.wheels_only, wheels_only);
        set(&mut to.require_hashes, require_hashes);
        set(&mut to.max_bytes, max_bytes.map(|size| size.0));
        set(&mut to.min_age, min_age.map(|span| span.0));
        set(&mut policy.secrets, secrets);

        let ResourcesPart { memory, cpu, pids, open_files } = resources;
        let to = &mut policy.resources;
        set(&mut to.memory, memory.map(|size| size.0));
        set(&mut to.cpu, cpu);
        set(&mut to.pids, pids);
        set(&mut to.open_files, open_files);
        let memory = to.memory;

        let FilesystemPart { disk, inodes, max_file, exec, workspace } = filesystem;
        let to = &mut policy.filesystem;
        to.inodes = inodes.unwrap_or_else(|| to.inodes.min(room::inodes(memory)));
        to.disk = disk.map_or_else(|| to.disk.min(room::storage(memory, to.inodes)), |size| size.0);
        to.max_file = max_file.map_or_else(|| to.max_file.min(to.disk), |size| size.0);
        set(&mut to.exec, exec);
        set(&mut to.workspace, workspace);

        let TimePart { session_default, session_max, call, grace, task } = time;
        let to = &mut policy.time;
        set(&mut to.session_max, session_max.map(|span| span.0));
        to.session_default =
            session_default.map_or_else(|| to.session_default.min(to.session_max), |span| span.0);
        set(&mut to.call, call.map(|span| span.0));
        set(&mut to.grace, grace.map(|span| span.0));
        set(&mut to.task, task.map(|span| span.0));

        let LanguagesPart { runtimes, shell } = languages;
        set(&mut policy.languages.runtimes, runtimes);
        set(&mut policy.languages.shell, shell);

        let OutputPart { stream, display, displays, figures, files, files_max, text } = output;
        let to = &mut policy.output;
        set(&mut to.stream, stream.map(|size| size.0));
        set(&mut to.display, display.map(|size| size.0));
        set(&mut to.displays, displays);
        set(&mut to.figures, figures);
        set(&mut to.files, files);
        set(&mut to.files_max, files_max);
        set(&mut to.text, text);

        let BrowserPart { downloads, read_only, recording, recording_bytes } = browser;
        set(&mut policy.browser.downloads, downloads);
        set(&mut policy.browser.read_only, read_only);
        set(&mut policy.browser.recording, recording);
        set(&mut policy.browser.recording_bytes, recording_bytes.map(|size| size.0));

        let AuditPart { level, capture_code } = audit;
        set(&mut policy.audit.level, level);
        set(&mut policy.audit.capture_code, capture_code);

        let IsolationPart { require, seccomp } = isolation;
        set(&mut policy.isolation.require, require.map(|walls| walls.into_iter().map(Wall::from).collect()));
        set(&mut policy.isolation.seccomp, seccomp);
        policy
    }
}

fn set<T>(to: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *to = value;
    }
}

impl From<Start> for StartMode {
    fn from(start: Start) -> Self {
        match start {
            Start::Pool => Self::Pool,
            Start::Zygote => Self::Zygote,
            Start::Exec => Self::Exec,
        }
    }
}

impl From<SnapshotsName> for Snapshots {
    fn from(snapshots: SnapshotsName) -> Self {
        match snapshots {
            SnapshotsName::None => Self::None,
            SnapshotsName::Call => Self::Call,
            SnapshotsName::Atomic => Self::Atomic,
        }
    }
}

impl From<Mode> for NetworkMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::None => Self::None,
            Mode::Allowlist => Self::Allowlist,
            Mode::Open => Self::Open,
        }
    }
}

impl From<WallName> for Wall {
    fn from(wall: WallName) -> Self {
        match wall {
            WallName::Namespaces => Self::Namespaces,
            WallName::Root => Self::Root,
            WallName::Seccomp => Self::Seccomp,
            WallName::Landlock => Self::Landlock,
            WallName::Cgroup => Self::Cgroup,
        }
    }
}
