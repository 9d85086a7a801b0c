//! The child's side of a sandbox: every wall, in the one order in which they can be built.
//!
//! ```text
//!   descriptors → cgroups → cgroup namespace → id maps → root (bind) → identity → storage, proc, dev, masks → pivot
//!               → loopback, host name, proxy listener → no_new_privs → capabilities → Landlock → seccomp → report
//! ```
//!
//! The order is the kernel's: the image is bound while the caller's own id can still reach it; mounts need the capabilities that come
//! with the user namespace; a new procfs can be mounted only while an old one is visible; and seccomp comes last, since it forbids the rest.

pub mod confine;
pub mod container;
pub mod descriptors;
mod discard;
mod identity;
mod network;
mod procfs;
mod root;
mod storage;
pub mod zygote;

use crate::plan::Plan;
use crate::spawn::{Gate, Step};
use nix::sched::{CloneFlags, unshare};
use std::net::TcpListener;
use std::os::fd::OwnedFd;

/// Whether the caller is outside of the image (launcher) or already inside (zygote).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inside {
    /// The image must be bound and pivoted into.
    No,
    /// The current root is the image.
    Yes,
}

/// Builds every wall of `plan` around this process. Returns the listener for the egress proxy if the plan has one.
///
/// On an error the process must exit: what it has built so far lives in its own namespaces and goes with it.
pub fn sandbox(
    plan: &Plan,
    cgroups: Vec<OwnedFd>,
    gate: Gate,
    inside: Inside,
) -> Result<Option<TcpListener>, Step> {
    join(cgroups)?;
    unshare(CloneFlags::CLONE_NEWCGROUP).map_err(Step::at("unshare the cgroup namespace"))?;
    gate.wait()?;
    let base = match inside {
        Inside::No => root::bind(&plan.world.root)?,
        Inside::Yes => "",
    };
    identity::become_guest(plan.world.privileged)?;
    if inside == Inside::No {
        root::devices(base)?;
    }
    storage::mount(base, plan)?;
    procfs::mount(base)?;
    procfs::mask(base)?;
    if inside == Inside::No {
        root::pivot()?;
    }
    if plan.own_network() {
        network::loopback()?;
    }
    nix::unistd::sethostname(&plan.sandbox).map_err(Step::at("set the host name"))?;
    let listener = plan.proxy.then(network::proxy_listener).transpose()?;
    confine::confine(plan)?;
    Ok(listener)
}

/// Joins the cgroups behind `doors`.
fn join(doors: Vec<OwnedFd>) -> Result<(), Step> {
    for (n, group) in doors.into_iter().enumerate() {
        // Self-attachment by "0" of a single-threaded process skips the lock that makes attaching from outside cost 10 ms.
        nix::unistd::write(&group, b"0").map_err(Step::at(format!("join cgroup {n}")))?;
    }
    Ok(())
}
