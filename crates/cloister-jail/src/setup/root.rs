//! The root of a sandbox: the image, read-only, with a /dev of its own.

use super::descriptors::errno_of;
use crate::spawn::Step;
use crate::sys;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::fs;
use std::path::Path;

/// Where the image is assembled before it becomes the root. Any directory of the host that every user can reach does: the mount is
/// made in the sandbox's own mount namespace, and the guest's id could not walk through, say, root's home to reach the image itself.
const ASSEMBLY: &str = "/tmp";

/// Device nodes of a sandbox. Bound from the host, since mknod is impossible in a user namespace.
const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];

/// Binds the image and returns the prefix under which the new root can be reached until [`pivot`].
pub(super) fn bind(image: &Path) -> Result<&'static str, Step> {
    const NONE: Option<&str> = None;
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)
        .map_err(Step::at("make mounts private"))?;
    mount(Some(image), ASSEMBLY, NONE, MsFlags::MS_BIND, NONE)
        .map_err(Step::at(format!("bind the image {}", image.display())))?;
    // NODEV and NOSUID: an image has neither devices nor setuid files, and nothing may change that.
    sys::mount_setattr(
        ASSEMBLY,
        libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV,
        false,
    )
    .map_err(Step::at("make the image read-only"))?;
    std::env::set_current_dir(ASSEMBLY).map_err(|e| Step::at("enter the image")(errno_of(&e)))?;
    Ok(ASSEMBLY)
}

/// A tmpfs at /dev with the harmless devices and the usual links; read-only when done.
pub(super) fn devices(base: &str) -> Result<(), Step> {
    let dev = format!("{base}/dev");
    mount(
        Some("dev"),
        dev.as_str(),
        Some("tmpfs"),
        MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC,
        Some("mode=0755,size=64k,nr_inodes=32"),
    )
    .map_err(Step::at("mount /dev"))?;
    for name in DEVICES {
        let node = format!("{dev}/{name}");
        fs::File::create(&node).map_err(|e| Step::at(format!("create {node}"))(errno_of(&e)))?;
        mount(
            Some(format!("/dev/{name}").as_str()),
            node.as_str(),
            None::<&str>,
            MsFlags::MS_BIND,
            None::<&str>,
        )
        .map_err(Step::at(format!("bind /dev/{name}")))?;
    }
    let made = fs::create_dir(format!("{dev}/shm")).and_then(|()| {
        let link = |target: &str, name: &str| std::os::unix::fs::symlink(target, format!("{dev}/{name}"));
        link("/proc/self/fd", "fd")?;
        link("/proc/self/fd/0", "stdin")?;
        link("/proc/self/fd/1", "stdout")?;
        link("/proc/self/fd/2", "stderr")
    });
    made.map_err(|e| Step::at("fill /dev")(errno_of(&e)))?;
    // With the nodes: they can be written to all the same, but their times, which all sandboxes and the host see, cannot be changed.
    sys::mount_setattr(&dev, libc::MOUNT_ATTR_RDONLY, true).map_err(Step::at("make /dev read-only"))
}

/// Makes the assembled tree the root and lets go of the old one.
pub(super) fn pivot() -> Result<(), Step> {
    // The working directory is still the image's root as it was bound; `.` as both arguments stacks the old root on top of it,
    // so that no directory for it is needed (pivot_root(2), NOTES).
    nix::unistd::pivot_root(".", ".").map_err(Step::at("pivot into the image"))?;
    umount2(".", MntFlags::MNT_DETACH).map_err(Step::at("detach the old root"))?;
    std::env::set_current_dir("/").map_err(|e| Step::at("enter the new root")(errno_of(&e)))
}
