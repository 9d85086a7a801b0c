//! Becomes the guest: one user id, one group id, no supplementary groups.

use crate::plan::GUEST_ID;
use crate::spawn::Step;
use crate::sys;
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

/// Switches to [`GUEST_ID`] with the capabilities of the user namespace kept: the mounts still need them.
///
/// `may_set_groups` is false where an ordinary user made the namespace: the kernel then forbids `setgroups`, and the user's
/// groups stay as unmapped ids. They open nothing, because no file of the host is in the sandbox.
pub(super) fn become_guest(may_set_groups: bool) -> Result<(), Step> {
    become_user(GUEST_ID, GUEST_ID, may_set_groups)
}

/// The same for any id.
pub(super) fn become_user(uid: u32, gid: u32, may_set_groups: bool) -> Result<(), Step> {
    sys::prctl(libc::PR_SET_KEEPCAPS, 1).map_err(Step::at("keep capabilities"))?;
    if may_set_groups {
        setgroups(&[]).map_err(Step::at("drop supplementary groups"))?;
    }
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    setresgid(gid, gid, gid).map_err(Step::at("become the guest's group"))?;
    setresuid(uid, uid, uid).map_err(Step::at("become the guest's user"))?;
    // The bit would go on to a warm interpreter, where no exec clears it.
    sys::prctl(libc::PR_SET_KEEPCAPS, 0).map_err(Step::at("let go of keeping capabilities"))?;
    nix::unistd::setsid().map_err(Step::at("leave the terminal"))?;
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
    Ok(())
}
