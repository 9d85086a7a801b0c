//! Memory of processes, from `smaps_rollup`: what a process has for itself, and its share of what it shares.

use crate::failure::Failure;
use std::fs;
use std::path::{Path, PathBuf};

/// Memory of one or more processes, in KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Private_Clean + Private_Dirty: what the host gets back when the process ends.
    pub private: u64,
    /// Proportional set size: private memory, and shared pages divided by the number of those that share them.
    pub pss: u64,
}

impl Memory {
    /// Of one process.
    pub fn of(pid: u32) -> Result<Self, Failure> {
        let path = format!("/proc/{pid}/smaps_rollup");
        let text = fs::read_to_string(&path).map_err(Failure::io(format!("read {path}")))?;
        Ok(Self::parse(&text))
    }

    fn parse(text: &str) -> Self {
        let field = |name: &str| -> u64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.split_whitespace().next()).and_then(|kib| kib.parse().ok()).unwrap_or(0)
        };
        Self { private: field("Private_Clean:") + field("Private_Dirty:"), pss: field("Pss:") }
    }

    /// Of both.
    pub fn plus(self, other: Self) -> Self {
        Self { private: self.private + other.private, pss: self.pss + other.pss }
    }

    /// The mean over `count`.
    pub fn per(self, count: usize) -> Self {
        let count = (count as u64).max(1);
        Self { private: self.private / count, pss: self.pss / count }
    }
}

/// A process in a pid namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id on the host.
    pub pid: u32,
    /// Its namespace, as the kernel names it: `pid:[4026532411]`.
    pub namespace: PathBuf,
    /// Whether it is the first process of its namespace.
    pub is_init: bool,
}

/// Every process of the host that can be looked at.
pub fn processes() -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(process).collect()
}

fn process(pid: u32) -> Option<Process> {
    let namespace = fs::read_link(format!("/proc/{pid}/ns/pid")).ok()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let ids = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    Some(Process { pid, namespace, is_init: ids.split_whitespace().last() == Some("1") })
}

/// What the kernel charges to the cgroup of a process, in KiB: its memory, its files in tmpfs and its kernel objects.
/// `None` where it is in no memory cgroup of its own.
pub fn charged(pid: u32) -> Option<(PathBuf, u64)> {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let group = group_folder(&groups)?;
    let usage = ["memory.usage_in_bytes", "memory.current"]
        .iter()
        .find_map(|file| fs::read_to_string(group.join(file)).ok());
    Some((group, usage?.trim().parse::<u64>().ok()? / 1024))
}

/// The processes of a cgroup and of the groups below it, whatever pid namespaces they are in.
pub fn members(group: &Path) -> Vec<u32> {
    let listed = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    let mut pids: Vec<u32> = listed.lines().filter_map(|pid| pid.parse().ok()).collect();
    for below in fs::read_dir(group).into_iter().flatten().flatten() {
        if below.file_type().is_ok_and(|kind| kind.is_dir()) {
            pids.extend(members(&below.path()));
        }
    }
    pids
}

/// From the lines of `/proc/<pid>/cgroup`, `id:controllers:path`: the memory hierarchy of cgroup v1, or the tree of v2.
fn group_folder(groups: &str) -> Option<PathBuf> {
    let of = |wanted: &str| {
        groups.lines().find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            controllers.split(',').any(|c| c == wanted).then(|| path.trim_start_matches('/'))
        })
    };
    let mounts = PathBuf::from("/sys/fs/cgroup");
    of("memory").map(|path| mounts.join("memory").join(path)).or_else(|| of("").map(|path| mounts.join(path)))
}

/// Memory that the whole host could still give, in KiB.
pub fn available() -> Result<u64, Failure> {
    let text = fs::read_to_string("/proc/meminfo").map_err(Failure::io("read /proc/meminfo"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()).and_then(|kib| kib.parse().ok());
    kib.ok_or_else(|| Failure::wrong("/proc/meminfo", text.as_bytes(), "MemAvailable"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_memory_is_clean_and_dirty_and_the_proportional_share_is_the_first_one() {
        let text = "00400000-7ff [rollup]\nRss:  9000 kB\nPss:  3000 kB\nPss_Dirty:  10 kB\nPrivate_Clean:  40 kB\nPrivate_Dirty:  2 kB\n";
        assert_eq!(Memory::parse(text), Memory { private: 42, pss: 3000 });
    }

    #[test]
    fn the_memory_group_is_found_on_hosts_of_either_cgroup_version() {
        let hybrid = "12:pids:/p\n5:memory:/a/b\n0::/u\n";
        assert_eq!(group_folder(hybrid), Some(PathBuf::from("/sys/fs/cgroup/memory/a/b")));
        assert_eq!(group_folder("0::/user.slice/x\n"), Some(PathBuf::from("/sys/fs/cgroup/user.slice/x")));
        assert_eq!(group_folder("1:name=systemd:/\n"), None);
    }

    #[test]
    fn this_process_is_found_and_has_memory() {
        let me = std::process::id();
        assert!(processes().iter().any(|process| process.pid == me));
        assert!(Memory::of(me).unwrap().private > 0);
        assert!(available().unwrap() > 0);
    }
}
