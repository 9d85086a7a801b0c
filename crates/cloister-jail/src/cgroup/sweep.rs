//! Groups of servers that have died: found, and removed where nothing runs in them.
//!
//! ```text
//!   cloister/server-A ── shared lock of A's server ── stays
//!   cloister/server-B ── nobody's lock, no process ── its groups, then itself, are removed
//! ```
//!
//! A crashed server cannot remove its groups, and its successor knows those of its own data folder only. A lock on a directory ends
//! with the process that holds it, whatever ended that.

use super::Host;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// What the names of groups begin with whose servers hold a lock. Others are not touched.
const MARK: &str = "server-";

/// The hold on a server's groups, for as long as it lives.
#[derive(Debug)]
pub struct Hold(#[expect(dead_code, reason = "held, never read")] Vec<File>);

/// The name of the group of the server `of` ([`Host::discover`]), which [`Host::hold`] protects.
pub fn instance(of: &str) -> String {
    format!("{MARK}{of}")
}

impl Host {
    /// Tells other servers that this one lives. Fails where another server has just swept the groups away; they have to be made anew.
    pub fn hold(&self) -> io::Result<Hold> {
        let lock = |base: &Path| {
            let directory = File::open(base)?;
            directory.lock_shared()?;
            // Locked is locked, also what was removed between the opening and the lock.
            if base.exists() { Ok(directory) } else { Err(io::Error::from(io::ErrorKind::NotFound)) }
        };
        self.places().into_iter().map(lock).collect::<io::Result<_>>().map(Hold)
    }

    /// Removes the groups of dead servers beside this one's, if no process is in them. Returns the directories that are gone.
    pub fn sweep(&self) -> Vec<PathBuf> {
        self.places().into_iter().flat_map(sweep_beside).collect()
    }
}

fn sweep_beside(base: &Path) -> Vec<PathBuf> {
    let beside = base.parent().map(directories).unwrap_or_default();
    let marked =
        |path: &PathBuf| path.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(MARK.as_bytes()));
    beside.into_iter().filter(|path| path != base && marked(path) && remove_dead(path)).collect()
}

/// Whether it was a dead server's, empty, and is gone.
fn remove_dead(instance: &Path) -> bool {
    let Ok(directory) = File::open(instance) else { return false };
    if directory.try_lock().is_err() {
        return false;
    }
    let groups = directories(instance);
    // The kernel refuses to remove a group with a process in it; asked before, so that a sandbox that lives keeps the rest as well.
    if groups.iter().any(|group| occupied(group)) {
        return false;
    }
    groups.iter().for_each(|group| drop(fs::remove_dir(group)));
    fs::remove_dir(instance).is_ok()
}

fn occupied(group: &Path) -> bool {
    fs::read_to_string(group.join("cgroup.procs")).is_ok_and(|listed| !listed.trim().is_empty())
}

fn directories(of: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(of).into_iter().flatten().flatten();
    entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_dead_servers_go_and_those_of_living_ones_of_running_sandboxes_and_of_strangers_stay() {
        let all = tempfile::tempdir().unwrap();
        let host = |name: &str| {
            let base = all.path().join(name);
            fs::create_dir_all(base.join("sandbox")).unwrap();
            Host::V2 { base }
        };
        let (own, living) = (host("server-own"), host("server-living"));
        let _held = (own.hold().unwrap(), living.hold().unwrap());
        host("server-dead");
        host("somebody");
        host("server-orphans");
        fs::write(all.path().join("server-orphans/sandbox/cgroup.procs"), "42\n").unwrap();
        assert_eq!(own.sweep(), [all.path().join("server-dead")]);
        let mut left: Vec<_> = directories(all.path());
        left.sort();
        let stay =
            ["server-living", "server-orphans", "server-own", "somebody"].map(|name| all.path().join(name));
        assert_eq!(left, stay);
    }

    #[test]
    fn a_server_whose_groups_were_swept_away_before_it_held_them_is_told() {
        let all = tempfile::tempdir().unwrap();
        let host = Host::V2 { base: all.path().join("server-x") };
        assert!(host.hold().is_err());
    }
}
