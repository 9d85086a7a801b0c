//! Control groups, version 1, version 2 and the hybrid of both, behind one type.
//!
//! ```text
//!   Host::discover ──▶ V1 { memory, pids, cpu }  one directory per controller, joined through `tasks`
//!                  └─▶ V2 { base }               one directory, joined through `cgroup.procs`
//! ```
//!
//! Attaching is the sandbox's own work (it writes "0" to descriptors that it is given): attaching from outside takes a lock that
//! costs 10 ms and more. That, and hybrid hosts, is why this is not `cgroups-rs` (docs/adr/0002).

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a group may use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Bytes, swap excluded (none is allowed).
    pub memory: u64,
    /// Processes and threads.
    pub pids: u64,
    /// Cores.
    pub cpu: f64,
}

/// What a group has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// User and system time.
    pub cpu: Duration,
    /// Highest memory so far, in bytes.
    pub memory_peak: u64,
    /// Memory now.
    pub memory: u64,
    /// Processes that the out-of-memory killer took.
    pub oom_kills: u64,
    /// Forks that the limit on processes refused.
    pub pids_refused: u64,
}

/// A group operation that failed.
#[derive(Debug, thiserror::Error)]
#[error("{what} {path}: {source}")]
pub struct Error {
    /// `create`, `write`, `read`.
    pub what: &'static str,
    /// Where.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// The controllers of this host that this process may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// Version 1: a base directory per controller.
    V1 {
        /// `memory`
        memory: PathBuf,
        /// `pids`
        pids: PathBuf,
        /// `cpu`
        cpu: PathBuf,
        /// `cpuacct`; often the same mount as `cpu`.
        cpuacct: PathBuf,
    },
    /// Version 2: one base directory with the three controllers enabled.
    V2 {
        /// Where groups are made.
        base: PathBuf,
    },
}

impl Host {
    /// Finds and prepares the place for groups of this server, below the group that it runs in; `instance` names it.
    pub fn discover(instance: &str) -> Result<Self, String> {
        let mounts =
            fs::read_to_string("/proc/self/mountinfo").map_err(|e| format!("/proc/self/mountinfo: {e}"))?;
        let own = fs::read_to_string("/proc/self/cgroup").map_err(|e| format!("/proc/self/cgroup: {e}"))?;
        let v1 = |controller: &str| -> Option<PathBuf> {
            let mount = v1_mount(&mounts, controller)?;
            let path = own_path(&own, controller)?;
            let base = mount.join(path.trim_start_matches('/')).join("cloister").join(instance);
            fs::create_dir_all(&base).ok()?;
            // Really doing it is the only honest test: a read-only or foreign hierarchy fails here.
            let trial = base.join("probe");
            fs::create_dir(&trial).or_else(already).ok()?;
            fs::remove_dir(&trial).ok()?;
            Some(base)
        };
        if let (Some(memory), Some(pids), Some(cpu), Some(cpuacct)) =
            (v1("memory"), v1("pids"), v1("cpu"), v1("cpuacct"))
        {
            return Ok(Self::V1 { memory, pids, cpu, cpuacct });
        }
        let mount = v2_mount(&mounts)
            .ok_or("no cgroup file system with the memory, pids and cpu controllers is mounted")?;
        let path = own_path(&own, "").ok_or("this process is in no cgroup v2 group")?;
        prepare_v2(&mount.join(path.trim_start_matches('/')), instance).map(|base| Self::V2 { base })
    }

    /// `v1` or `v2`, for people.
    pub fn layout(&self) -> &'static str {
        match self {
            Self::V1 { .. } => "v1",
            Self::V2 { .. } => "v2",
        }
    }

    /// Makes a group with its limits set. What was made is removed again if a step fails.
    pub fn create(&self, name: &str, limits: Limits) -> Result<Group, Error> {
        let group = match self {
            Self::V1 { memory, pids, cpu, cpuacct } => Group::V1 {
                memory: memory.join(name),
                pids: pids.join(name),
                cpu: cpu.join(name),
                cpuacct: cpuacct.join(name),
            },
            Self::V2 { base } => Group::V2 { dir: base.join(name) },
        };
        match group.make(limits) {
            Ok(()) => Ok(group),
            Err(error) => {
                group.remove();
                Err(error)
            }
        }
    }

    /// Names of the groups that exist, for the reconciliation at start-up.
    pub fn names(&self) -> Vec<String> {
        let base = match self {
            Self::V1 { memory, .. } => memory,
            Self::V2 { base } => base,
        };
        let Ok(entries) = fs::read_dir(base) else { return Vec::new() };
        let directories = entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir()));
        directories.filter_map(|e| e.file_name().into_string().ok()).collect()
    }

    /// A group that exists already.
    pub fn existing(&self, name: &str) -> Group {
        match self {
            Self::V1 { memory, pids, cpu, cpuacct } => Group::V1 {
                memory: memory.join(name),
                pids: pids.join(name),
                cpu: cpu.join(name),
                cpuacct: cpuacct.join(name),
            },
            Self::V2 { base } => Group::V2 { dir: base.join(name) },
        }
    }

    /// Removes the base directories, if empty. For the end of the server.
    pub fn remove(&self) {
        let bases: Vec<&PathBuf> = match self {
            Self::V1 { memory, pids, cpu, cpuacct } => vec![memory, pids, cpu, cpuacct],
            Self::V2 { base } => vec![base],
        };
        for base in bases {
            drop(fs::remove_dir(base));
        }
    }
}

fn already(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) }
}

/// Mount point of a version 1 controller. mountinfo(5): the file system type and its options stand behind " - ".
fn v1_mount(mounts: &str, controller: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let mut right = right.split(' ');
        let is_v1 = right.next()? == "cgroup";
        let has = right.nth(1)?.split(',').any(|option| option == controller);
        (is_v1 && has).then(|| left.split(' ').nth(4).map(PathBuf::from))?
    })
}

fn v2_mount(mounts: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        right.starts_with("cgroup2 ").then(|| left.split(' ').nth(4).map(PathBuf::from))?
    })
}

/// Path of this process in a hierarchy; the empty name is version 2.
fn own_path<'a>(own: &'a str, controller: &str) -> Option<&'a str> {
    own.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (_, names, path) = (parts.next()?, parts.next()?, parts.next()?);
        let here =
            if controller.is_empty() { names.is_empty() } else { names.split(',').any(|n| n == controller) };
        here.then_some(path)
    })
}

/// Version 2: a group with processes cannot hand controllers to children, so the server moves itself into a leaf first.
fn prepare_v2(own: &Path, instance: &str) -> Result<PathBuf, String> {
    let text = |what: &str, e: io::Error| {
        format!(
            "{what} in {}: {e} (run the server in a delegated group: systemd's Delegate=yes)",
            own.display()
        )
    };
    let controllers =
        fs::read_to_string(own.join("cgroup.controllers")).map_err(|e| text("read the controllers", e))?;
    for needed in ["memory", "pids", "cpu"] {
        if !controllers.split_whitespace().any(|c| c == needed) {
            return Err(format!("the {needed} controller is not delegated to {}", own.display()));
        }
    }
    let enable = |dir: &Path| fs::write(dir.join("cgroup.subtree_control"), "+memory +pids +cpu");
    if enable(own).is_err() {
        let leaf = own.join("cloister-server");
        fs::create_dir(&leaf).or_else(already).map_err(|e| text("make a leaf group", e))?;
        fs::write(leaf.join("cgroup.procs"), std::process::id().to_string())
            .map_err(|e| text("move into the leaf group", e))?;
        enable(own).map_err(|e| text("enable controllers", e))?;
    }
    let base = own.join("cloister").join(instance);
    fs::create_dir_all(&base).map_err(|e| text("make the base group", e))?;
    enable(&own.join("cloister")).and_then(|()| enable(&base)).map_err(|e| text("enable controllers", e))?;
    Ok(base)
}

/// One sandbox's group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Group {
    /// Version 1.
    V1 {
        /// `memory`
        memory: PathBuf,
        /// `pids`
        pids: PathBuf,
        /// `cpu`
        cpu: PathBuf,
        /// `cpuacct`
        cpuacct: PathBuf,
    },
    /// Version 2.
    V2 {
        /// The directory.
        dir: PathBuf,
    },
}

impl Group {
    fn make(&self, limits: Limits) -> Result<(), Error> {
        for dir in self.dirs() {
            fs::create_dir(dir).or_else(already).map_err(|source| Error {
                what: "create",
                path: dir.clone(),
                source,
            })?;
        }
        // cfs_period_us is 100 ms by default in both versions.
        let quota = (limits.cpu * 100_000.0).round().max(1000.0) as u64;
        match self {
            Self::V1 { memory, pids, cpu, .. } => {
                put(&memory.join("memory.limit_in_bytes"), limits.memory)?;
                // Absent where the kernel does not account swap.
                let swap = memory.join("memory.memsw.limit_in_bytes");
                if swap.exists() {
                    put(&swap, limits.memory)?;
                }
                put(&pids.join("pids.max"), limits.pids)?;
                put(&cpu.join("cpu.cfs_quota_us"), quota)
            }
            Self::V2 { dir } => {
                put(&dir.join("memory.max"), limits.memory)?;
                if dir.join("memory.swap.max").exists() {
                    put(&dir.join("memory.swap.max"), 0)?;
                }
                put(&dir.join("pids.max"), limits.pids)?;
                put(&dir.join("cpu.max"), format!("{quota} 100000"))
            }
        }
    }

    /// The distinct directories (controllers may share a mount).
    fn dirs(&self) -> Vec<&PathBuf> {
        let mut dirs = match self {
            Self::V1 { memory, pids, cpu, cpuacct } => vec![memory, pids, cpu, cpuacct],
            Self::V2 { dir } => vec![dir],
        };
        dirs.dedup();
        dirs
    }

    /// Descriptors to which the sandbox writes "0" to join. The kernel checks the permissions of whoever opened them.
    pub fn doors(&self) -> Result<Vec<OwnedFd>, Error> {
        let file = match self {
            Self::V1 { .. } => "tasks",
            Self::V2 { .. } => "cgroup.procs",
        };
        let open = |dir: &PathBuf| {
            let path = dir.join(file);
            let opened = OpenOptions::new().write(true).open(&path);
            opened.map(OwnedFd::from).map_err(|source| Error { what: "open", path, source })
        };
        self.dirs().into_iter().map(open).collect()
    }

    /// What it has used so far. Unreadable values are zero: usage is information, not a wall.
    pub fn usage(&self) -> Usage {
        match self {
            Self::V1 { memory, pids, cpuacct, .. } => Usage {
                cpu: Duration::from_nanos(number(&cpuacct.join("cpuacct.usage"))),
                memory_peak: number(&memory.join("memory.max_usage_in_bytes")),
                memory: number(&memory.join("memory.usage_in_bytes")),
                oom_kills: keyed(&memory.join("memory.oom_control"), "oom_kill"),
                pids_refused: keyed(&pids.join("pids.events"), "max"),
            },
            Self::V2 { dir } => Usage {
                cpu: Duration::from_micros(keyed(&dir.join("cpu.stat"), "usage_usec")),
                memory_peak: number(&dir.join("memory.peak")),
                memory: number(&dir.join("memory.current")),
                oom_kills: keyed(&dir.join("memory.events"), "oom_kill"),
                pids_refused: keyed(&dir.join("pids.events"), "max"),
            },
        }
    }

    /// Whether no process is left in it.
    pub fn is_empty(&self) -> bool {
        let listed = |dir: &PathBuf| fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
        self.dirs().into_iter().all(|dir| listed(dir).trim().is_empty())
    }

    /// Kills what is in it. Version 2 does it at once; for version 1 the sandbox's init has been killed before, and this is
    /// for what a broken start may have left.
    pub fn kill(&self) {
        match self {
            Self::V2 { dir } if dir.join("cgroup.kill").exists() => {
                drop(fs::write(dir.join("cgroup.kill"), "1"));
            }
            _ => {
                for dir in self.dirs() {
                    let listed = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
                    for pid in listed.lines().filter_map(|l| l.trim().parse().ok()) {
                        let pid = nix::unistd::Pid::from_raw(pid);
                        // Gone already is as good as killed.
                        let _: Result<(), _> = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
                    }
                }
            }
        }
    }

    /// Removes its directories; returns those that could not be removed (a process is left in them).
    pub fn remove(&self) -> Vec<PathBuf> {
        let failed = |dir: &&PathBuf| fs::remove_dir(dir).is_err_and(|e| e.kind() != io::ErrorKind::NotFound);
        self.dirs().into_iter().filter(failed).cloned().collect()
    }
}

fn put(path: &Path, value: impl std::fmt::Display) -> Result<(), Error> {
    let opened = OpenOptions::new().write(true).open(path);
    let written =
        opened.and_then(|mut file: File| io::Write::write_all(&mut file, value.to_string().as_bytes()));
    written.map_err(|source| Error { what: "write", path: path.to_owned(), source })
}

fn number(path: &Path) -> u64 {
    fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// A value of a `key value` file.
fn keyed(path: &Path, key: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    line.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "30 25 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                          31 25 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                          32 25 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";

    #[test]
    fn controllers_that_share_a_mount_are_found_by_either_name() {
        assert_eq!(v1_mount(MOUNTS, "cpuacct"), Some("/sys/fs/cgroup/cpu,cpuacct".into()));
        assert_eq!(v1_mount(MOUNTS, "memory"), Some("/sys/fs/cgroup/memory".into()));
        assert_eq!(v1_mount(MOUNTS, "pids"), None);
        assert_eq!(v2_mount(MOUNTS), Some("/sys/fs/cgroup/unified".into()));
    }

    #[test]
    fn the_own_group_is_read_per_hierarchy() {
        let own = "5:cpu,cpuacct:/a\n3:memory:/b\n0::/user.slice\n";
        assert_eq!(own_path(own, "cpu"), Some("/a"));
        assert_eq!(own_path(own, "memory"), Some("/b"));
        assert_eq!(own_path(own, ""), Some("/user.slice"));
        assert_eq!(own_path(own, "pids"), None);
    }
}
