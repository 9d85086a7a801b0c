//! Finds out where groups can be made, by making some: a read-only or foreign hierarchy shows itself only then.

use super::{Host, mounts};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The group below a delegated one into which a version 2 server moves itself.
const LEAF: &str = "cloister-server";

pub(super) fn discover(instance: &str) -> Result<Host, String> {
    let read = |path: &str| fs::read_to_string(path).map_err(|e| format!("{path}: {e}"));
    let (mounted, own) = (read("/proc/self/mountinfo")?, read("/proc/self/cgroup")?);
    let mut made = Vec::new();
    let mut v1 = |controller: &str| -> Option<PathBuf> {
        let group = mounts::v1(&mounted, controller)?.directory(mounts::own_path(&own, controller)?);
        let base = group.join("cloister").join(instance);
        fs::create_dir_all(&base).ok()?;
        made.push(base.clone());
        let trial = base.join("probe");
        fs::create_dir(&trial).or_else(already).ok()?;
        fs::remove_dir(&trial).ok()?;
        Some(base)
    };
    if let (Some(memory), Some(pids), Some(cpu), Some(cpuacct)) =
        (v1("memory"), v1("pids"), v1("cpu"), v1("cpuacct"))
    {
        return Ok(Host::V1 { memory, pids, cpu, cpuacct });
    }
    // Some of them are no use without the others.
    made.iter().for_each(|base| drop(fs::remove_dir(base)));
    let mount = mounts::v2(&mounted)
        .ok_or("no cgroup file system with the memory, pids and cpu controllers is mounted")?;
    let path = mounts::own_path(&own, "").ok_or("this process is in no cgroup v2 group")?;
    prepare_v2(home(&mount.directory(path)), instance).map(|base| Host::V2 { base })
}

pub(super) fn already(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) }
}

/// The group that was delegated: a server that has moved into its leaf, and what it has started, are one level below it.
fn home(own: &Path) -> &Path {
    match own.parent() {
        Some(parent) if own.ends_with(LEAF) => parent,
        _ => own,
    }
}

/// Version 2: a group with processes cannot hand controllers to children, so the server moves itself into a leaf first.
fn prepare_v2(home: &Path, instance: &str) -> Result<PathBuf, String> {
    let text = |what: &str, e: io::Error| {
        format!(
            "{what} in {}: {e} (run the server in a delegated group: systemd's Delegate=yes)",
            home.display()
        )
    };
    let controllers =
        fs::read_to_string(home.join("cgroup.controllers")).map_err(|e| text("read the controllers", e))?;
    for needed in ["memory", "pids", "cpu"] {
        if !controllers.split_whitespace().any(|c| c == needed) {
            return Err(format!("the {needed} controller is not delegated to {}", home.display()));
        }
    }
    let enable = |dir: &Path| fs::write(dir.join("cgroup.subtree_control"), "+memory +pids +cpu");
    if enable(home).is_err() {
        let leaf = home.join(LEAF);
        fs::create_dir(&leaf).or_else(already).map_err(|e| text("make a leaf group", e))?;
        fs::write(leaf.join("cgroup.procs"), std::process::id().to_string())
            .map_err(|e| text("move into the leaf group", e))?;
        enable(home).map_err(|e| text("enable controllers", e))?;
    }
    let base = home.join("cloister").join(instance);
    fs::create_dir_all(&base).map_err(|e| text("make the base group", e))?;
    enable(&home.join("cloister")).and_then(|()| enable(&base)).map_err(|e| text("enable controllers", e))?;
    Ok(base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_in_its_leaf_starts_finds_the_delegated_group() {
        assert_eq!(home(Path::new("/cg/user.scope/cloister-server")), Path::new("/cg/user.scope"));
        assert_eq!(home(Path::new("/cg/user.scope")), Path::new("/cg/user.scope"));
        assert_eq!(home(Path::new("/cg/not-cloister-server")), Path::new("/cg/not-cloister-server"));
    }

    #[test]
    fn a_group_without_all_three_controllers_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("cgroup.controllers"), "cpuset cpu io memory\n").unwrap();
        let why = prepare_v2(dir.path(), "i").unwrap_err();
        assert!(why.contains("pids controller is not delegated"), "{why}");
        fs::write(dir.path().join("cgroup.controllers"), "cpu memory pids\n").unwrap();
        assert_eq!(prepare_v2(dir.path(), "i").unwrap(), dir.path().join("cloister/i"));
        assert!(!dir.path().join(LEAF).exists(), "no move where none is needed");
    }
}
