//! The walls where no namespace can be made (a plain container): another user, chroot, Landlock, seccomp, rlimits.
//!
//! ```text
//!   descriptors → cgroups → chroot into the image → identity → no_new_privs → capabilities → Landlock → seccomp → report
//! ```
//!
//! Weaker than [`super::sandbox`], and only ever used under a policy that does not require namespaces: there is no private network stack
//! (so sockets are refused altogether), no private process table (so the user id is what separates sessions), no procfs, and no quota
//! on the storage as a whole (only on each file). A policy has to ask for it; nothing falls back to it silently.

use super::descriptors::errno_of;
use super::{confine, identity};
use crate::plan::Plan;
use crate::spawn::Step;
use crate::sys;
use nix::errno::Errno;
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, chown};
use std::path::Path;

/// Where sessions have their storage inside the image's root. Not readable, so that nobody can look for others; each
/// session's own directory belongs to its user.
const SESSIONS: &str = "sessions";

/// Names, minor numbers of the memory devices (major 1, mem(4), null(4), random(4)).
const DEVICES: [(&str, u64); 5] = [("null", 3), ("zero", 5), ("full", 7), ("random", 8), ("urandom", 9)];

/// Attempts of a sweep, a millisecond apart.
const SWEEPS: u32 = 3000;

/// Directory of a session's storage, inside the image.
pub fn storage(sandbox: &str) -> String {
    format!("/{SESSIONS}/{sandbox}")
}

/// Where a session finds what it is told of itself.
pub fn notices(sandbox: &str) -> String {
    format!("{}/cloister", storage(sandbox))
}

/// Makes the devices of the image's root and the storage of `sandbox`, owned by `uid`, with `told` for it to read. For the server, before
/// the order. Needs root.
pub fn prepare(
    root: &Path,
    sandbox: &str,
    (uid, gid): (u32, u32),
    told: &[(String, String)],
) -> Result<(), Step> {
    let failed = |what: String| move |e: std::io::Error| Step { step: what, errno: errno_of(&e) };
    for (name, minor) in DEVICES {
        let path = root.join("dev").join(name);
        match mknod(&path, SFlag::S_IFCHR, Mode::from_bits_truncate(0o666), makedev(1, minor)) {
            Ok(()) => fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o666))
                .map_err(failed(format!("set the mode of {}", path.display())))?,
            Err(Errno::EEXIST) => {}
            Err(errno) => return Err(Step { step: format!("make the device {}", path.display()), errno }),
        }
    }
    let sessions = root.join(SESSIONS);
    match fs::DirBuilder::new().mode(0o711).create(&sessions) {
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(failed(format!("create {}", sessions.display()))(e));
        }
        _ => {}
    }
    fs::set_permissions(&sessions, std::os::unix::fs::PermissionsExt::from_mode(0o711))
        .map_err(failed(format!("set the mode of {}", sessions.display())))?;
    let own = sessions.join(sandbox);
    let notices = own.join("cloister");
    // Root's: what lies directly in it, the notices too, can be neither moved nor replaced by its user, who may only pass through.
    for (dir, owner, mode) in [
        (&own, 0, 0o710),
        (&own.join("workspace"), uid, 0o700),
        (&own.join("home"), uid, 0o700),
        (&own.join("tmp"), uid, 0o700),
        (&notices, 0, 0o750),
    ] {
        fs::DirBuilder::new()
            .mode(mode)
            .create(dir)
            .and_then(|()| chown(dir, Some(owner), Some(gid)))
            // Whatever the server's umask has taken away: its user must get through.
            .and_then(|()| fs::set_permissions(dir, std::os::unix::fs::PermissionsExt::from_mode(mode)))
            .map_err(failed(format!("create {}", dir.display())))?;
    }
    for (name, text) in told {
        let path = notices.join(name);
        fs::write(&path, text)
            .and_then(|()| fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o444)))
            .map_err(failed(format!("write {}", path.display())))?;
    }
    Ok(())
}

/// Removes the storage of `sandbox`. After [`sweep`], since a living process could go on writing.
pub fn discard(root: &Path, sandbox: &str) -> std::io::Result<()> {
    Ok(super::discard::remove_tree(&root.join(SESSIONS).join(sandbox))?)
}

/// Builds the walls around this process.
pub(crate) fn sandbox(plan: &Plan, cgroups: Vec<OwnedFd>) -> Result<(), Step> {
    super::join(cgroups)?;
    let root = &plan.world.root;
    nix::unistd::chroot(root).map_err(Step::at(format!("chroot into the image {}", root.display())))?;
    std::env::set_current_dir("/").map_err(|e| Step::at("enter the image")(errno_of(&e)))?;
    // Before the change of user, which takes away the right to do it.
    sys::drop_bounding().map_err(Step::at("empty the bounding set"))?;
    identity::become_user(plan.world.outer_uid, plan.world.outer_gid, true)?;
    // Orphans come to init instead of the container's first process, so that init can reap and kill them.
    sys::prctl(libc::PR_SET_CHILD_SUBREAPER, 1).map_err(Step::at("become the reaper of orphans"))?;
    confine::confine(plan)
}

/// Kills every process of the user `uid`: where there is no pid namespace, this is what ends a session. To be called in a
/// process of its own, since it becomes that user.
pub(crate) fn sweep(uid: u32, gid: u32) -> Result<(), Step> {
    identity::become_user(uid, gid, true)?;
    // As that user, "everything that may be signalled" (kill(2), pid -1) is exactly the session. Again until nothing is left: forks may
    // be under way, and the launcher, to which orphans come, has yet to reap.
    for _ in 0..SWEEPS {
        match sys::kill_all(libc::SIGKILL) {
            Ok(()) => std::thread::sleep(std::time::Duration::from_millis(1)),
            Err(Errno::ESRCH) => return Ok(()),
            Err(errno) => return Err(Step { step: "kill the session's processes".into(), errno }),
        }
    }
    Err(Step { step: "kill the session's processes".into(), errno: Errno::EBUSY })
}
