//! /proc of a sandbox: its own processes only, and none of the files that speak of the host.

use crate::spawn::Step;
use crate::sys;
use nix::errno::Errno;
use nix::mount::{MsFlags, mount as mount2};

/// Files that leak addresses, keys, timers, hardware or the boot parameters of the host, among which people put tokens (PRC-03),
/// or that act on it when written (FS-09). Most are root's alone anyway; masking makes that independent of their modes.
const FILES: [&str; 19] = [
    "bootconfig",
    "cmdline",
    "config.gz",
    "execdomains",
    "interrupts",
    "iomem",
    "ioports",
    "kallsyms",
    "kcore",
    "keys",
    "key-users",
    "kmsg",
    "latency_stats",
    "modules",
    "sched_debug",
    "slabinfo",
    "sysrq-trigger",
    "timer_list",
    "vmallocinfo",
];

/// Directories that do.
const DIRECTORIES: [&str; 6] = ["acpi", "asound", "driver", "dynamic_debug", "scsi", "pressure"];

/// Trees that stay readable and become read-only.
const READ_ONLY: [&str; 4] = ["bus", "fs", "irq", "sys"];

/// Mounts a fresh procfs. `hidepid=invisible` hides what the caller may not trace: init, which is not dumpable.
pub(super) fn mount(base: &str) -> Result<(), Step> {
    mount2(
        Some("proc"),
        format!("{base}/proc").as_str(),
        Some("proc"),
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC,
        Some("hidepid=invisible"),
    )
    .map_err(Step::at("mount /proc"))
}

/// Covers and protects parts of it. What a kernel does not have needs no mask.
pub(super) fn mask(base: &str) -> Result<(), Step> {
    for name in FILES {
        let path = format!("{base}/proc/{name}");
        let covered = mount2(
            Some(format!("{base}/dev/null").as_str()),
            path.as_str(),
            None::<&str>,
            MsFlags::MS_BIND,
            None::<&str>,
        );
        unless_absent(covered, "mask", &path)?;
    }
    for name in DIRECTORIES {
        let path = format!("{base}/proc/{name}");
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC | MsFlags::MS_RDONLY;
        let covered =
            mount2(Some("none"), path.as_str(), Some("tmpfs"), flags, Some("size=4k,nr_inodes=1,mode=0555"));
        unless_absent(covered, "mask", &path)?;
    }
    for name in READ_ONLY {
        let path = format!("{base}/proc/{name}");
        let bound = mount2(Some(path.as_str()), path.as_str(), None::<&str>, MsFlags::MS_BIND, None::<&str>);
        if unless_absent(bound, "bind", &path)? {
            sys::mount_setattr(&path, libc::MOUNT_ATTR_RDONLY, false)
                .map_err(Step::at(format!("protect {path}")))?;
        }
    }
    Ok(())
}

fn unless_absent(result: Result<(), Errno>, verb: &str, path: &str) -> Result<bool, Step> {
    match result {
        Ok(()) => Ok(true),
        Err(Errno::ENOENT) => Ok(false),
        Err(errno) => Err(Step { step: format!("{verb} {path}"), errno }),
    }
}
