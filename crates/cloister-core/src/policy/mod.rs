//! What a session may do: one plain struct, complete, in which nothing is optional that a wall depends on.
//!
//! ```text
//!   policies/*.toml ──load (unknown field = error)──▶ Document ──extends (narrowing only)──▶ Policy ──lower──▶ JailPlan
//! ```
//!
//! The field docs say what each field does, its unit, its default and the attack that it stops; `policies/README.md` is
//! checked against them. Every `lower.rs` takes a `Policy` apart without `..`, so a new field cannot be forgotten there.

mod ask;
mod audit;
mod check;
mod defaults;
pub mod describe;
mod document;
mod fields;
pub mod load;
pub mod narrow;
mod quantity;
mod room;
mod target;
#[cfg(test)]
mod tests;
mod trace;
mod version;

pub use ask::{Ask, Refused};
pub use audit::{AuditLevel, AuditRules, Capture};
pub use check::is_secret_name;
pub use describe::Row;
pub use fields::{FIELDS, Field, Kind, schema};
pub use load::{LoadError, Problem, Resolved, Sources};
pub use quantity::{read_size, read_span, size_text, span_text};
pub use trace::Origin;
pub use version::PolicyRef;

use crate::session::SessionKind;
use std::time::Duration;

/// A complete policy. Made by [`crate::policy::load`] only, so a `Policy` in hand has passed its checks.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// The name by which interpreters and errors refer to it.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// Which backend runs it: `process` (default), `wasm`, `browser`.
    pub tier: String,
    /// The folder of `sandbox-images/` that sessions run in. Default `analysis`.
    pub image: String,
    /// How a session starts.
    pub start: StartMode,
    /// Where it may connect.
    pub network: Network,
    /// What may be installed from a package mirror.
    pub packages: Packages,
    /// Secrets of the server that it may use without seeing them, by name; `*` is all. Default none.
    pub secrets: Vec<String>,
    /// Memory, CPU, processes, descriptors.
    pub resources: Resources,
    /// Disk.
    pub filesystem: Filesystem,
    /// How long things may take.
    pub time: Time,
    /// What it may run.
    pub languages: Languages,
    /// What comes back.
    pub output: Output,
    /// What browser sessions may do, and what is kept of them.
    pub browser: BrowserRules,
    /// What is kept of a session's state before a call, on tiers that can. Default `call`.
    pub snapshots: Snapshots,
    /// How much of it goes into the audit log.
    pub audit: AuditRules,
    /// Walls that the host must be able to build.
    pub isolation: Isolation,
}

/// The tier whose sessions are browsers.
pub const BROWSER_TIER: &str = "browser";
/// The tier whose sessions are Python in WebAssembly: no system calls of their own, and no network.
pub const WASM_TIER: &str = "wasm";

impl Policy {
    /// What sessions of this policy are for.
    pub fn kind(&self) -> SessionKind {
        if self.tier == BROWSER_TIER { SessionKind::Browser } else { SessionKind::Code }
    }
}

/// How a session starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartMode {
    /// From the pool of ready sandboxes, else forked from the zygote (default). Sandboxes of one zygote share its memory layout.
    Pool,
    /// Forked from the zygote on demand.
    Zygote,
    /// Strict: a new program from the image, with its own layout and hash seed. Costs the imports.
    Exec,
}

/// What is kept of a session's state before each call. Only the wasm tier can; others ignore it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Snapshots {
    /// Nothing: a call that must be cut off loses the variables.
    None,
    /// The state before the call: a call that must be cut off is undone, and `restore` without a checkpoint undoes the last one.
    Call,
    /// The same, and a call that ends with an exception is undone as well.
    Atomic,
}

/// Where a session may connect. Without a network there is no route, no resolver and no proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Default none.
    pub mode: NetworkMode,
    /// For `allowlist`: `example.com`, `*.example.com` (leftmost label only). Stops exfiltration to anywhere else.
    pub allowed_domains: Vec<String>,
    /// Refused even when allowed above or in `open` mode.
    pub denied_domains: Vec<String>,
    /// Private or special ranges that may be dialled all the same, in CIDR form. Metadata addresses stay refused.
    pub allowed_cidrs: Vec<String>,
    /// Ranges that are not dialled, whatever name leads there and whatever is allowed above, in CIDR form.
    pub denied_cidrs: Vec<String>,
    /// TCP ports. Default 443 and 80.
    pub ports: Vec<u16>,
    /// Connections at once. Default 64. Stops port scans and connection floods.
    pub connections: u32,
    /// Bytes in and out per session. Default 1 GiB. Bounds what can be carried out through an allowed host.
    pub bytes: u64,
    /// Bytes to and from one host per session; beside `bytes`, which holds for all of them together. Default 2^50: no bound of its own.
    pub host_bytes: u64,
    /// New connections per minute. Default 3000. Stops scans that close every connection at once.
    pub connection_rate: u32,
}

/// What sessions may install through the proxy's own package index (Python only).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packages {
    /// Whether there is an index at all. Default off.
    pub install: Install,
    /// The operator's mirror: a simple index (PEP 503 or 691). Default none.
    pub index: String,
    /// Projects by their normalised names; `types-*` is all that begin so, `*` is all. Default none. Stops typing errors and invented names.
    pub allow: Vec<String>,
    /// Refused even when allowed above.
    pub deny: Vec<String>,
    /// Wheels only. Default true: installing a source archive runs its code.
    pub wheels_only: bool,
    /// Only files whose SHA-256 the mirror states; it is checked on the way. Default true.
    pub require_hashes: bool,
    /// Bytes of files per session. Default 1 GiB.
    pub max_bytes: u64,
    /// Only files that the index has had for so long. Default zero. Stops packages that are found out within days.
    pub min_age: Duration,
}

/// Where packages come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Install {
    /// From wherever the network part allows; there is no index of the proxy's own.
    Off,
    /// From the mirror.
    Mirror,
}

impl Install {
    /// The name in policies.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Mirror => "mirror",
        }
    }
}

/// The network mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkMode {
    /// Nothing, not even DNS (SANDBOX of the AWS API, and stricter than there).
    None,
    /// Listed domains through the egress proxy.
    Allowlist,
    /// Public addresses through the egress proxy (PUBLIC of the AWS API).
    Open,
}

/// Limits of the whole session, enforced by cgroups where the host has them and by rlimits in any case.
#[derive(Clone, Debug, PartialEq)]
pub struct Resources {
    /// Bytes, files in the workspace included. Default 2 GiB. Stops memory exhaustion of the host.
    pub memory: u64,
    /// Cores. Default 2.0. Stops CPU starvation of the neighbours.
    pub cpu: f64,
    /// Processes and threads. Default 256. Stops fork and thread bombs.
    pub pids: u64,
    /// Descriptors per process. Default 1024. Stops exhaustion of the host's file table.
    pub open_files: u64,
}

/// The session's own writable storage (workspace, home, /tmp and /dev/shm share it).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filesystem {
    /// Bytes. Default 1 GiB. Counts against `memory`, since it is a tmpfs. Stops disk filling.
    pub disk: u64,
    /// Files and directories. Default 65,536. Stops inode exhaustion.
    pub inodes: u64,
    /// Bytes of one file. Default 512 MiB. Stops one runaway file.
    pub max_file: u64,
    /// Whether programs in writable places may be executed. Default true (venvs and compiled extensions need it).
    pub exec: bool,
    /// The working directory of sessions. Default `/workspace`; other names become links to it.
    pub workspace: String,
}

/// How long things may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Time {
    /// Session life when the client asks for none. Default 900 s, as the AWS service.
    pub session_default: Duration,
    /// Longest session life. Default and maximum 28,800 s.
    pub session_max: Duration,
    /// Deadline of one call: interrupt first, then kill. Default 900 s. Stops endless loops.
    pub call: Duration,
    /// Between interrupt and kill. Default 2 s.
    pub grace: Duration,
    /// Life of a background command. Default 28,800 s.
    pub task: Duration,
}

/// What a session may run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Languages {
    /// Of `python`, `nodejs`, `deno`. Default all.
    pub runtimes: Vec<String>,
    /// Whether `executeCommand` and tasks are allowed. Default true.
    pub shell: bool,
}

/// What comes back, and how much of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Bytes of stdout and of stderr kept per call, each. Default 1 MiB. Stops output floods.
    pub stream: u64,
    /// Bytes of one display or value. Default 5 MiB. Stops picture bombs.
    pub display: u64,
    /// Displays per call. Default 64.
    pub displays: u32,
    /// Return displayed figures as `image` blocks. Default true.
    pub figures: bool,
    /// Return files that a call created or changed as `resource_link` blocks. Default true.
    pub files: bool,
    /// At most so many of them. Default 256.
    pub files_max: u32,
    /// Add a text block to answers that the AWS service leaves without (listings, tasks), for clients that read text only. Default true.
    pub text: bool,
}

/// What a browser session may do, and what the server keeps of it. Sessions of other tiers ignore it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrowserRules {
    /// Whether pages and clients may save files. Default true. Stops a browser from bringing foreign files into a session.
    pub downloads: bool,
    /// Whether clients may only go to pages and look at them: no input, no scripts, no uploads. Default false. Stops an agent that
    /// a page has talked into something from doing it.
    pub read_only: bool,
    /// Whether sessions are recorded. Default false. A recording protects the operator, so a policy that extends may only switch it on.
    pub recording: bool,
    /// Bytes of one recording. Default 256 MiB. Stops a page that moves without end from filling the server's disk.
    pub recording_bytes: u64,
}

/// Walls. A wall that is listed and that the host cannot build means that the policy is refused, never that it is weaker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Isolation {
    /// Default: all of [`Wall::ALL`] but `cgroup`, which an ordinary user often lacks (rlimits and tmpfs sizes hold then).
    pub require: Vec<Wall>,
    /// Path below `policies/` of the system call list. Default `seccomp/default.json`.
    pub seccomp: String,
}

/// One wall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Wall {
    /// Its own user, pid, mount, net, ipc, uts and cgroup namespaces.
    Namespaces,
    /// Its own read-only root file system from the image.
    Root,
    /// System call filter with architecture check.
    Seccomp,
    /// Landlock domain inside the namespaces.
    Landlock,
    /// Memory, pids and CPU limits by cgroup.
    Cgroup,
}

impl Wall {
    /// Every wall, in the order in which `doctor` lists them.
    pub const ALL: [Self; 5] = [Self::Namespaces, Self::Root, Self::Seccomp, Self::Landlock, Self::Cgroup];

    /// The name in policies.
    pub fn name(self) -> &'static str {
        match self {
            Self::Namespaces => "namespaces",
            Self::Root => "root",
            Self::Seccomp => "seccomp",
            Self::Landlock => "landlock",
            Self::Cgroup => "cgroup",
        }
    }
}
