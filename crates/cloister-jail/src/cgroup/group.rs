//! One sandbox's group: its limits, the doors into it, and its end.

use super::discover::already;
use super::{Error, Gauges, Host, Limits};
use crate::sys;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// One sandbox's group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group(Host);

impl Group {
    pub(super) fn at(places: Host) -> Self {
        Self(places)
    }

    /// What is known of a group by one directory only: enough to kill and to remove, whatever the version is.
    pub fn of_directory(path: &Path) -> Self {
        Self(Host::V2 { base: path.to_owned() })
    }

    /// Its directories.
    pub fn directories(&self) -> Vec<PathBuf> {
        self.0.places().into_iter().map(Path::to_owned).collect()
    }

    pub(super) fn make(&self, limits: Limits) -> Result<(), Error> {
        for dir in self.0.places() {
            let failed = |source| Error { what: "create", path: dir.to_owned(), source };
            fs::create_dir(dir).or_else(already).map_err(failed)?;
        }
        // cfs_period_us is 100 ms by default in both versions.
        let quota = (limits.cpu * 100_000.0).round().max(1000.0) as u64;
        match &self.0 {
            Host::V1 { memory, pids, cpu, .. } => {
                put(&memory.join("memory.limit_in_bytes"), limits.memory)?;
                // Absent where the kernel does not account swap.
                let swap = memory.join("memory.memsw.limit_in_bytes");
                if swap.exists() {
                    put(&swap, limits.memory)?;
                }
                put(&pids.join("pids.max"), limits.pids)?;
                put(&cpu.join("cpu.cfs_quota_us"), quota)
            }
            Host::V2 { base } => {
                put(&base.join("memory.max"), limits.memory)?;
                if base.join("memory.swap.max").exists() {
                    put(&base.join("memory.swap.max"), 0)?;
                }
                put(&base.join("pids.max"), limits.pids)?;
                put(&base.join("cpu.max"), format!("{quota} 100000"))
            }
        }
    }

    /// Descriptors to which the sandbox writes "0" to join. The kernel checks the permissions of whoever opened them.
    pub fn doors(&self) -> Result<Vec<OwnedFd>, Error> {
        let file = match &self.0 {
            Host::V1 { .. } => "tasks",
            Host::V2 { .. } => "cgroup.procs",
        };
        let open = |dir: &Path| {
            let path = dir.join(file);
            let opened = OpenOptions::new().write(true).open(&path);
            opened.map(OwnedFd::from).map_err(|source| Error { what: "open", path, source })
        };
        self.0.places().into_iter().map(open).collect()
    }

    /// Opens what says how much it uses.
    pub fn gauges(&self) -> Gauges {
        Gauges::open(&self.0)
    }

    /// Kills what is in it. Version 2 does it at once; for version 1 the sandbox's init has been killed before, and this is
    /// for what a broken start may have left.
    pub fn kill(&self) {
        match &self.0 {
            Host::V2 { base } if base.join("cgroup.kill").exists() => {
                drop(fs::write(base.join("cgroup.kill"), "1"));
            }
            places => places.places().into_iter().for_each(kill_listed),
        }
    }

    /// Removes its directories; returns those that could not be removed (a process is left in them).
    pub fn remove(&self) -> Vec<PathBuf> {
        let failed = |dir: &&Path| fs::remove_dir(dir).is_err_and(|e| e.kind() != io::ErrorKind::NotFound);
        self.0.places().into_iter().filter(failed).map(Path::to_owned).collect()
    }
}

/// Kills the processes of one directory, never a stranger that has been given the number of one of them.
fn kill_listed(dir: &Path) {
    let listed = || -> Vec<i32> {
        let text = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
        text.lines().filter_map(|line| line.trim().parse().ok()).collect()
    };
    // "0" is a process of another pid namespace, and for kill(2) it would be the caller's own group; no pidfd is to be had of it.
    let held: Vec<(i32, OwnedFd)> =
        listed().into_iter().filter_map(|pid| Some((pid, sys::pidfd_open(pid).ok()?))).collect();
    // Listed again: what still is was in the group while its descriptor was open.
    let still = listed();
    for (_, pidfd) in held.iter().filter(|(pid, _)| still.contains(pid)) {
        // Gone already is as good as killed.
        let _: Result<(), nix::errno::Errno> = sys::pidfd_kill(pidfd.as_fd());
    }
}

fn put(path: &Path, value: impl std::fmt::Display) -> Result<(), Error> {
    let opened = OpenOptions::new().write(true).open(path);
    let written =
        opened.and_then(|mut file: File| io::Write::write_all(&mut file, value.to_string().as_bytes()));
    written.map_err(|source| Error { what: "write", path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_listed_is_killed() {
        let dir = tempfile::tempdir().unwrap();
        let sleep = || std::process::Command::new("/bin/sleep").arg("60").spawn().unwrap();
        let (mut member, mut stranger) = (sleep(), sleep());
        fs::write(dir.path().join("cgroup.procs"), format!("0\n{}\n", member.id())).unwrap();
        kill_listed(dir.path());
        assert!(!member.wait().unwrap().success());
        assert!(stranger.try_wait().unwrap().is_none());
        stranger.kill().unwrap();
        stranger.wait().unwrap();
    }
}
