//! The plan of a jail: everything that will be done, as data, complete before the first side effect.
//!
//! Policy and image are lowered to a [`Plan`] in safe code that has no privileges (`cloister-process/src/lower.rs`); the jail
//! program only executes it. Whatever a client or a guest chose has been turned into one of these fields before.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Version of this document; the jail program refuses any other.
pub const VERSION: u32 = 1;
/// The user and group id that a guest has inside its sandbox.
pub const GUEST_ID: u32 = 65532;
/// First kernel id of sandboxes that root makes. High enough to be nobody's: distributions hand out subordinate ids from 100,000 to about
/// 600 million.
pub const FIRST_SANDBOX_ID: u32 = 0x7000_0000;
/// All of them. The last is far below the -1 that means "leave it" to setresuid(2), and with it root.
pub const SANDBOX_IDS: std::ops::Range<u32> = FIRST_SANDBOX_ID..FIRST_SANDBOX_ID + 0x0100_0000;
/// Where the in-sandbox end of the egress proxy listens, for sandboxes with a network.
pub const PROXY_PORT: u16 = 3128;
/// The bundle of certificates of every image.
pub const TRUSTED: &str = "/etc/ssl/certs/ca-certificates.crt";
/// The folder in which a sandbox finds what it is told of itself. Below /run, which is empty in every image.
pub const NOTICES: &str = "/run/cloister";

/// One sandbox.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// [`VERSION`].
    pub version: u32,
    /// Its id: host name inside, names of cgroups and directories outside.
    pub sandbox: String,
    /// What the server must present on the control channel: 128 random bits in hex.
    pub nonce: String,
    /// Content of /etc/machine-id: synthetic, so that sandboxes cannot be linked to each other or to the host.
    pub machine_id: String,
    /// What the sandbox sees.
    pub world: World,
    /// What its walls are made of.
    pub jail: Jail,
    /// What it may use.
    pub limits: Limits,
    /// Programs that init starts.
    pub programs: Programs,
    /// System call filters in the order of installation, each a BPF program of packed `sock_filter`s.
    pub filters: Vec<Vec<u64>>,
    /// Confine by Landlock inside the namespaces as well.
    pub landlock: bool,
    /// Open the listener of the egress proxy inside the network namespace.
    pub proxy: bool,
    /// How many cgroup descriptors come with the plan (v1 `tasks` or v2 `cgroup.procs`), to be joined by the sandbox itself.
    pub cgroups: usize,
    /// The sandbox ends itself at this age, whatever happens to the server.
    pub ttl_ms: u64,
    /// It also ends itself when no server has been attached for so long.
    pub orphan_ms: u64,
    /// A wall that is left out. Builds for debugging only: a release does not have this member, and refuses a plan that has it.
    #[cfg(debug_assertions)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<Missing>,
}

/// A wall that is left out, so that tests can show that it is what holds their attacks back (`tests/kernel/attacks/controls.rs`).
#[cfg(debug_assertions)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// The network namespace.
    Network,
    /// Landlock.
    Landlock,
    /// That file tools do not follow the links of /proc.
    Links,
}

/// What the walls of a sandbox are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Jail {
    /// Namespaces and a root of its own, with the other walls inside.
    Namespaces,
    /// A user of its own, chroot, Landlock and seccomp (`setup/container.rs`): for hosts that make no namespaces.
    Container,
}

impl Plan {
    /// The namespaces of its processes.
    pub(crate) fn namespaces(&self) -> u64 {
        #[cfg(debug_assertions)]
        if self.missing == Some(Missing::Network) {
            return crate::sys::SANDBOX_NAMESPACES & !(libc::CLONE_NEWNET as u64);
        }
        crate::sys::SANDBOX_NAMESPACES
    }

    /// Whether the network is its own, and so its loopback interface.
    pub(crate) fn own_network(&self) -> bool {
        self.namespaces() & libc::CLONE_NEWNET as u64 != 0
    }

    /// Whether Landlock confines it.
    pub(crate) fn confined_by_landlock(&self) -> bool {
        #[cfg(debug_assertions)]
        if self.missing == Some(Missing::Landlock) {
            return false;
        }
        self.landlock
    }

    /// Overwrites what tells sandboxes apart. A zygote does so after each order, on both sides of the fork: the memory of a freed
    /// plan is part of every interpreter that it forks from then on, and guests can read all of theirs.
    pub fn wipe(&mut self) {
        for text in [&mut self.nonce, &mut self.sandbox, &mut self.machine_id] {
            wipe(std::mem::take(text).into_bytes());
        }
    }
}

/// Overwrites bytes in a way that the compiler does not take for useless.
pub(crate) fn wipe(mut bytes: Vec<u8>) {
    bytes.fill(0);
    std::hint::black_box(&bytes);
}

/// The file system and the identity of a sandbox.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct World {
    /// The image's root; bound read-only. Unused when a zygote is already inside it.
    pub root: PathBuf,
    /// The kernel's user id that [`GUEST_ID`] stands for, as seen from the namespace of the process that executes the plan.
    pub outer_uid: u32,
    /// The same for the group.
    pub outer_gid: u32,
    /// Whether the executing process may write arbitrary id maps; otherwise `setgroups` is denied first.
    pub privileged: bool,
    /// Bytes of the storage that workspace, home, /tmp and /dev/shm share.
    pub storage_bytes: u64,
    /// Its inodes.
    pub storage_inodes: u64,
    /// Whether programs in it may be executed.
    pub storage_exec: bool,
    /// Working directory; a mount point of the image.
    pub workspace: String,
    /// Home directory; a mount point of the image.
    pub home: String,
    /// Directory for temporary files.
    pub tmp: String,
    /// Environment of guest programs.
    pub env: Vec<(String, String)>,
    /// A certificate (PEM) that is added to the image's bundle, as this sandbox sees it.
    pub trust: Option<String>,
    /// Files that the guest can read and never change, by their names in [`NOTICES`]. Where nothing can be mounted, whoever gives the
    /// order has laid them (`setup/container.rs`), and this is empty.
    #[serde(default)]
    pub notices: Vec<(String, String)>,
}

/// Limits that init enforces or sets.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Soft data segment of a cell in bytes: turns most overruns into a `MemoryError` with the state kept.
    pub cell_memory: u64,
    /// RLIMIT_NPROC; counted per user namespace.
    pub pids: u64,
    /// RLIMIT_NOFILE.
    pub open_files: u64,
    /// RLIMIT_FSIZE.
    pub file_bytes: u64,
    /// Bytes of stdout and stderr kept per call, each.
    pub stream: u64,
    /// Bytes of one display.
    pub display: u64,
    /// Displays per call.
    pub displays: u32,
    /// Changed files reported per call.
    pub files: u32,
    /// Between interrupt and kill.
    pub grace_ms: u64,
    /// Life of a background command.
    pub task_ms: u64,
    /// Background commands at once.
    pub tasks: u32,
}

/// What init can start. Paths are inside the image.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Programs {
    /// By runtime name.
    pub runners: BTreeMap<String, Runner>,
    /// The persistent shell; empty if the policy has none.
    pub shell: Vec<String>,
    /// The runner to have ready before the first call.
    pub eager: Option<String>,
    /// A browser that runs from the sandbox's start to its end.
    #[serde(default)]
    pub browser: Option<BrowserProgram>,
    /// An engine of the wasm tier that runs from the sandbox's start to its end.
    #[serde(default)]
    pub engine: Option<EngineProgram>,
}

/// An engine, which takes orders on its descriptor 3 ([`crate::guest::engine`]).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineProgram {
    /// Program and arguments.
    pub argv: Vec<String>,
}

/// A Chromium, driven over a pipe: its descriptor 3 takes messages, its descriptor 4 gives them.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrowserProgram {
    /// Program and arguments.
    pub argv: Vec<String>,
}

/// A language driver.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Runner {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// How to interrupt a cell.
    pub interrupt: Interrupt,
}

/// How a driver is interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interrupt {
    /// SIGINT.
    Signal,
    /// A byte on a pipe.
    Pipe,
}

/// A zygote: the image's interpreter with its libraries imported, waiting to be forked. It never runs guest code.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ZygotePlan {
    /// [`VERSION`].
    pub version: u32,
    /// The image's root.
    pub root: PathBuf,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Its environment, which its children's interpreters inherit.
    pub env: Vec<(String, String)>,
    /// Lines of its `uid_map`: inside, outside, count.
    pub uids: Vec<(u32, u32, u32)>,
    /// Lines of its `gid_map`.
    pub gids: Vec<(u32, u32, u32)>,
    /// Whether the launcher may write arbitrary id maps.
    pub privileged: bool,
}

/// A request to the launcher (with descriptors as ancillary data).
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum Order {
    /// Make a sandbox. Descriptors: control listener, report pipe, cgroups.
    Sandbox {
        /// The plan.
        plan: Box<Plan>,
    },
    /// Kill every process of a user: the end of a sandbox without a pid namespace. No descriptors.
    Sweep {
        /// Kernel user id.
        uid: u32,
        /// Kernel group id.
        gid: u32,
    },
    /// Start a zygote. Descriptors: its end of the order socket, the shared object to load, its log (descriptors 1 and 2).
    Zygote {
        /// The plan.
        plan: Box<ZygotePlan>,
    },
}

/// An answer of the launcher or a zygote.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "ev", rename_all = "snake_case", deny_unknown_fields)]
pub enum Answer {
    /// A zygote has its imports done.
    Ready,
    /// The process exists; its pidfd is attached. Steps inside it are reported on the report pipe.
    Spawned {
        /// Process id as seen by the answering process.
        pid: i32,
    },
    /// It could not be made; nothing is left.
    Refused {
        /// What was being done.
        step: String,
        /// The kernel's answer.
        errno: i32,
    },
}

/// What a sandbox says on its report pipe, once: an empty pipe at its end means that it died before it could say anything.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "ev", rename_all = "snake_case", deny_unknown_fields)]
pub enum Started {
    /// All walls stand.
    Up,
    /// A step failed and the sandbox has exited.
    Failed {
        /// The step.
        step: String,
        /// The kernel's answer.
        errno: i32,
    },
}
