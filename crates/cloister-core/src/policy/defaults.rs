//! The built-in defaults: the only place in the tree where they are numbers.
//!
//! They are also the policy of `policies/default.toml`, which sets nothing. Why each is what it is stands in the field docs.

use super::{
    AuditRules, BrowserRules, Filesystem, Install, Isolation, Languages, Network, NetworkMode, Output,
    Packages, Policy, Resources, Snapshots, StartMode, Time, Wall,
};
use std::time::Duration;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// 8 hours: the longest life of a session at the AWS service, and here.
pub(super) const LONGEST_LIFE: Duration = Duration::from_secs(28_800);

/// What no session gets to move: a bound that is none.
pub(super) const MOST_BYTES: u64 = 1 << 50;

impl Policy {
    /// The policy that a file without a single field describes.
    pub fn built_in(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            description: String::new(),
            tier: "process".into(),
            image: "analysis".into(),
            start: StartMode::Pool,
            network: Network {
                mode: NetworkMode::None,
                allowed_domains: Vec::new(),
                denied_domains: Vec::new(),
                allowed_cidrs: Vec::new(),
                denied_cidrs: Vec::new(),
                ports: vec![443, 80],
                connections: 64,
                bytes: GIB,
                host_bytes: MOST_BYTES,
                connection_rate: 3000,
            },
            packages: Packages {
                install: Install::Off,
                index: String::new(),
                allow: Vec::new(),
                deny: Vec::new(),
                wheels_only: true,
                require_hashes: true,
                max_bytes: GIB,
                min_age: Duration::ZERO,
            },
            secrets: Vec::new(),
            resources: Resources { memory: 2 * GIB, cpu: 2.0, pids: 256, open_files: 1024 },
            filesystem: Filesystem {
                disk: GIB,
                inodes: 64 * KIB,
                max_file: 512 * MIB,
                exec: true,
                workspace: "/workspace".into(),
            },
            time: Time {
                session_default: Duration::from_secs(900),
                session_max: LONGEST_LIFE,
                call: Duration::from_secs(900),
                grace: Duration::from_secs(2),
                task: LONGEST_LIFE,
            },
            languages: Languages {
                runtimes: ["python", "nodejs", "deno"].map(str::to_owned).to_vec(),
                shell: true,
            },
            output: Output {
                stream: MIB,
                display: 5 * MIB,
                displays: 64,
                figures: true,
                files: true,
                files_max: 256,
                text: true,
            },
            browser: BrowserRules {
                downloads: true,
                read_only: false,
                recording: false,
                recording_bytes: 256 * MIB,
            },
            snapshots: Snapshots::Call,
            audit: AuditRules::default(),
            isolation: Isolation {
                require: vec![Wall::Namespaces, Wall::Root, Wall::Seccomp, Wall::Landlock],
                seccomp: "seccomp/default.json".into(),
            },
        }
    }
}
