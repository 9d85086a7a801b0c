//! After every test nothing is left behind: no process, cgroup, mount or directory.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// What there is now, as far as sandboxes could add to it.
#[derive(Debug, PartialEq, Eq)]
pub struct Inventory {
    processes: BTreeSet<String>,
    mounts: usize,
}

impl Inventory {
    /// Processes with an id of the sandboxes' range or a sandbox program's name, and the mounts of this namespace.
    pub fn take() -> Self {
        let mut processes = BTreeSet::new();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse::<u32>().ok()) else { continue };
            let status = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
            let field = |name: &str| status.lines().find_map(|l| l.strip_prefix(name)).unwrap_or("").trim().to_owned();
            let uid: u32 = field("Uid:").split_whitespace().next().and_then(|u| u.parse().ok()).unwrap_or(0);
            if uid >= 0x7000_0000 {
                processes.insert(format!("{pid} {} {}", field("Name:"), field("State:")));
            }
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default().lines().count();
        Self { processes, mounts }
    }
}

/// Names of directories below `dir`.
pub fn directories(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let directories = entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir()));
    directories.map(|e| e.file_name().to_string_lossy().into_owned()).collect()
}
