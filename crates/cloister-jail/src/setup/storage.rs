//! The writable storage of a sandbox: one tmpfs with one quota, seen at four places.

use super::descriptors::errno_of;
use crate::plan::{GUEST_ID, NOTICES, Plan, TRUSTED};
use crate::spawn::Step;
use crate::sys;
use nix::mount::{MntFlags, MsFlags, umount2};
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};

/// Mounts the storage. Size and inode limits stop disk and inode filling; the pages are charged to the sandbox's memory cgroup as well.
pub(super) fn mount(base: &str, plan: &Plan) -> Result<(), Step> {
    let world = &plan.world;
    let mut flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    if !world.storage_exec {
        flags |= MsFlags::MS_NOEXEC;
    }
    // Assembled under /run, then taken away from there: what stays are the four directories.
    let whole = format!("{base}/run");
    let options = format!(
        "mode=0700,uid={GUEST_ID},gid={GUEST_ID},size={},nr_inodes={}",
        world.storage_bytes, world.storage_inodes
    );
    nix::mount::mount(Some("storage"), whole.as_str(), Some("tmpfs"), flags, Some(options.as_str()))
        .map_err(Step::at("mount the storage"))?;
    for (name, place, mode) in [
        ("workspace", world.workspace.as_str(), 0o700),
        ("home", world.home.as_str(), 0o700),
        ("tmp", "/tmp", 0o1777),
        ("shm", "/dev/shm", 0o1777),
    ] {
        let from = format!("{whole}/{name}");
        fs::DirBuilder::new()
            .mode(mode)
            .create(&from)
            .map_err(|e| Step::at(format!("create {name}"))(errno_of(&e)))?;
        fs::set_permissions(&from, fs::Permissions::from_mode(mode))
            .map_err(|e| Step::at(format!("set the mode of {name}"))(errno_of(&e)))?;
        bind(&from, &format!("{base}{place}"))?;
    }
    for (name, text) in [("machine-id", &plan.machine_id), ("hostname", &plan.sandbox)] {
        replace(base, &whole, &format!("/etc/{name}"), &format!("{text}\n"))?;
    }
    if let Some(certificate) = &world.trust {
        // Every program of an image asks this one file, so that no variable or option has to be found out for each.
        let read = fs::read_to_string(format!("{base}{TRUSTED}"));
        let bundle = read.map_err(|e| Step::at(format!("read {TRUSTED}"))(errno_of(&e)))?;
        replace(base, &whole, TRUSTED, &format!("{bundle}{certificate}"))?;
    }
    let told = if world.notices.is_empty() { None } else { Some(lay(&whole, &world.notices)?) };
    umount2(whole.as_str(), MntFlags::MNT_DETACH).map_err(Step::at("hide the whole storage"))?;
    let Some(told) = told else { return Ok(()) };
    // Where the storage was, since no image has another place for them, and none has to be rebuilt.
    sys::attach_mount(&told, &whole).map_err(Step::at("mount the notices"))?;
    sys::mount_setattr(&whole, libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOEXEC, false)
        .map_err(Step::at("protect the notices"))
}

/// Writes the notices into the storage, and takes the folder around theirs out of it. Read-only from the start: the guest's id owns the
/// files, but nobody can lift what a mount was made with (the same holds for /etc/machine-id).
fn lay(whole: &str, notices: &[(String, String)]) -> Result<OwnedFd, Step> {
    let around = format!("{whole}/run");
    let folder = format!("{around}/{}", NOTICES.rsplit('/').next().unwrap_or_default());
    let failed = |what: &'static str| move |e: std::io::Error| Step::at(what)(errno_of(&e));
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(&folder)
        .map_err(failed("create the notices"))?;
    for (name, text) in notices {
        let path = format!("{folder}/{name}");
        fs::write(&path, text)
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o444)))
            .map_err(failed("write a notice"))?;
    }
    for path in [&folder, &around] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o555))
            .map_err(failed("protect the notices"))?;
    }
    sys::clone_mount(&around).map_err(Step::at("take out the notices"))
}

/// Puts a file of this sandbox's own, which it cannot change, over one of the image.
fn replace(base: &str, whole: &str, path: &str, text: &str) -> Result<(), Step> {
    let from = format!("{whole}/{}", path.rsplit('/').next().unwrap_or_default());
    let to = format!("{base}{path}");
    fs::write(&from, text)
        .and_then(|()| fs::set_permissions(&from, fs::Permissions::from_mode(0o444)))
        .map_err(|e| Step::at(format!("write {path}"))(errno_of(&e)))?;
    bind(&from, &to)?;
    sys::mount_setattr(&to, libc::MOUNT_ATTR_RDONLY, false).map_err(Step::at(format!("protect {to}")))
}

fn bind(from: &str, to: &str) -> Result<(), Step> {
    nix::mount::mount(Some(from), to, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .map_err(Step::at(format!("bind {to}")))
}
