//! Control groups, version 1, version 2 and the hybrid of both, behind two types.
//!
//! ```text
//!   Host::discover ─┬▶ V1 { memory, pids, cpu, cpuacct }  one directory per controller, joined through `tasks`
//!                   └▶ V2 { base }                        one directory, joined through `cgroup.procs`
//!   Host::create(name) ─▶ Group: the same places, one level deeper
//! ```
//!
//! Attaching is the sandbox's own work (it writes "0" to descriptors that it is given): attaching from outside takes a lock that
//! costs 10 ms and more. That, and hybrid hosts, is why this is not `cgroups-rs` (docs/adr/0002).

mod discover;
mod gauges;
mod group;
mod mounts;
mod sweep;

pub use gauges::{Gauges, Usage};
pub use group::Group;
pub use sweep::{Hold, instance};

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

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

/// A group operation that failed.
#[derive(Debug, thiserror::Error)]
#[error("{what} {path}: {source}")]
pub struct Error {
    /// `create`, `open`, `write`.
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
    ///
    /// Under version 2 this may move the calling process into a group of its own, so that it comes before every fork.
    pub fn discover(instance: &str) -> Result<Self, String> {
        discover::discover(instance)
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
        let group = self.existing(name);
        match group.make(limits) {
            Ok(()) => Ok(group),
            Err(error) => {
                group.remove();
                Err(error)
            }
        }
    }

    /// Names of the groups that exist, for the reconciliation at start-up. A removal that was broken off may have left one in some
    /// hierarchies only.
    pub fn names(&self) -> Vec<String> {
        let entries =
            self.places().into_iter().filter_map(|base| fs::read_dir(base).ok()).flatten().flatten();
        let directories = entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir()));
        let mut names: Vec<String> = directories.filter_map(|e| e.file_name().into_string().ok()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// A group that exists already.
    pub fn existing(&self, name: &str) -> Group {
        Group::at(match self {
            Self::V1 { memory, pids, cpu, cpuacct } => Self::V1 {
                memory: memory.join(name),
                pids: pids.join(name),
                cpu: cpu.join(name),
                cpuacct: cpuacct.join(name),
            },
            Self::V2 { base } => Self::V2 { base: base.join(name) },
        })
    }

    /// Removes the base directories, if empty. For the end of the server.
    pub fn remove(&self) {
        for base in self.places() {
            drop(fs::remove_dir(base));
        }
    }

    /// The distinct directories (controllers may share a mount).
    pub fn places(&self) -> Vec<&Path> {
        let mut places: Vec<&Path> = match self {
            Self::V1 { memory, pids, cpu, cpuacct } => vec![memory, pids, cpu, cpuacct],
            Self::V2 { base } => vec![base],
        };
        places.sort_unstable();
        places.dedup();
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(parent: &Path) -> Host {
        let base = |name: &str| parent.join(name);
        let host =
            Host::V1 { memory: base("memory"), pids: base("pids"), cpu: base("cpu"), cpuacct: base("cpu") };
        host.places().into_iter().for_each(|place| fs::create_dir(place).unwrap());
        host
    }

    #[test]
    fn a_group_that_is_left_in_one_hierarchy_only_is_found_and_removed() {
        let parent = tempfile::tempdir().unwrap();
        let host = host(parent.path());
        fs::create_dir(parent.path().join("cpu/half")).unwrap();
        fs::create_dir(parent.path().join("memory/whole")).unwrap();
        fs::create_dir(parent.path().join("pids/whole")).unwrap();
        assert_eq!(host.names(), ["half", "whole"]);
        for name in host.names() {
            assert!(host.existing(&name).remove().is_empty());
        }
        assert!(host.names().is_empty());
        host.remove();
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }
}
