//! Where the kernel says that the hierarchies are mounted, and where in them this process is.

use std::path::{Path, PathBuf};

/// A mounted hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount<'a> {
    /// What of the hierarchy is mounted; in a container often the container's own group and not `/`.
    root: &'a str,
    /// Where.
    point: &'a str,
}

impl Mount<'_> {
    /// The directory of the group `path`.
    pub(super) fn directory(&self, path: &str) -> PathBuf {
        let below = Path::new(path).strip_prefix(self.root);
        let below = below.unwrap_or_else(|_| Path::new(path.trim_start_matches('/')));
        Path::new(self.point).join(below)
    }
}

/// The mount of a version 1 controller. proc_pid_mountinfo(5): the file system type and its options stand behind " - ".
pub(super) fn v1<'a>(mounts: &'a str, controller: &str) -> Option<Mount<'a>> {
    mounts.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let mut right = right.split(' ');
        let is_v1 = right.next()? == "cgroup";
        let has = right.nth(1)?.split(',').any(|option| option == controller);
        (is_v1 && has).then(|| mount(left))?
    })
}

/// The mount of version 2.
pub(super) fn v2(mounts: &str) -> Option<Mount<'_>> {
    mounts.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        right.starts_with("cgroup2 ").then(|| mount(left))?
    })
}

fn mount(left: &str) -> Option<Mount<'_>> {
    let mut fields = left.split(' ').skip(3);
    Some(Mount { root: fields.next()?, point: fields.next()? })
}

/// Path of this process in a hierarchy; the empty name is version 2.
pub(super) fn own_path<'a>(own: &'a str, controller: &str) -> Option<&'a str> {
    own.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (_, names, path) = (parts.next()?, parts.next()?, parts.next()?);
        let here =
            if controller.is_empty() { names.is_empty() } else { names.split(',').any(|n| n == controller) };
        here.then_some(path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "30 25 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                          31 25 0:28 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                          32 25 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";

    fn directory(mount: Option<Mount<'_>>, path: &str) -> PathBuf {
        mount.unwrap().directory(path)
    }

    #[test]
    fn controllers_that_share_a_mount_are_found_by_either_name() {
        assert_eq!(v1(MOUNTS, "cpuacct"), v1(MOUNTS, "cpu"));
        assert_eq!(directory(v1(MOUNTS, "cpu"), "/a/b"), Path::new("/sys/fs/cgroup/cpu,cpuacct/a/b"));
        assert_eq!(directory(v1(MOUNTS, "cpu"), "/"), Path::new("/sys/fs/cgroup/cpu,cpuacct"));
        assert_eq!(v1(MOUNTS, "pids"), None);
        assert_eq!(directory(v2(MOUNTS), "/user.slice"), Path::new("/sys/fs/cgroup/unified/user.slice"));
    }

    #[test]
    fn what_a_container_has_mounted_is_not_looked_for_below_itself() {
        assert_eq!(directory(v1(MOUNTS, "memory"), "/docker/abc/x"), Path::new("/sys/fs/cgroup/memory/x"));
        assert_eq!(directory(v1(MOUNTS, "memory"), "/docker/abc"), Path::new("/sys/fs/cgroup/memory"));
        assert_eq!(directory(v1(MOUNTS, "memory"), "/other"), Path::new("/sys/fs/cgroup/memory/other"));
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
