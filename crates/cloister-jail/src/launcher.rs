//! The launcher's loop: take an order, clone, answer with a pidfd; reap what has ended.
//!
//! ```text
//!   server ──Order + descriptors──▶ launcher ──clone3──▶ sandbox (setup, then init)
//!      ◀──── Answer + pidfd ─────────   │    ──clone3──▶ zygote  (setup, then exec of the image's interpreter)
//! ```
//!
//! It ends when the server closes the socket. Sandboxes are not tied to it: they outlive it until their own limits end them.

use crate::plan::FIRST_SANDBOX_ID;
use crate::plan::{Answer, GUEST_ID, Jail, Order, Plan, VERSION, ZygotePlan};
use crate::spawn::{self, Side, Step};
use crate::{fdpass, init, setup, sys};
use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use std::os::fd::{AsRawFd, OwnedFd};

/// Runs until the server goes away.
pub fn run() -> Result<(), Step> {
    let Some(socket) = sys::adopt(0) else {
        return Err(Step { step: "descriptor 0 is not the server's socket".into(), errno: Errno::EBADF });
    };
    // What a sandbox without a pid namespace leaves behind comes here to be reaped, whatever the host's init does.
    sys::prctl(libc::PR_SET_CHILD_SUBREAPER, 1).map_err(Step::at("become the reaper of orphans"))?;
    // A dying launcher must not leave zombies of sandboxes that it forked: their next reaper is the host's init.
    let mut chld = SigSet::empty();
    chld.add(Signal::SIGCHLD);
    let fd = nix::sys::signalfd::SignalFd::with_flags(
        &chld,
        nix::sys::signalfd::SfdFlags::SFD_CLOEXEC | nix::sys::signalfd::SfdFlags::SFD_NONBLOCK,
    )
    .map_err(Step::at("signalfd"))?;
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&chld), None).map_err(Step::at("block SIGCHLD"))?;
    loop {
        let mut polls = [
            nix::poll::PollFd::new(std::os::fd::AsFd::as_fd(&socket), nix::poll::PollFlags::POLLIN),
            nix::poll::PollFd::new(std::os::fd::AsFd::as_fd(&fd), nix::poll::PollFlags::POLLIN),
        ];
        match nix::poll::poll(&mut polls, nix::poll::PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(Step { step: "poll".into(), errno }),
        }
        while let Ok(Some(_)) = fd.read_signal() {}
        reap();
        let [orders, _] = &polls;
        if !orders.any().unwrap_or(false) {
            continue;
        }
        let (order, fds) = match fdpass::receive::<Order>(&socket) {
            Ok(Some(order)) => order,
            Ok(None) => {
                farewell();
                return Ok(());
            }
            Err(errno) => return Err(Step { step: "read an order".into(), errno }),
        };
        let made = match order {
            Order::Sandbox { plan } => make_sandbox(&plan, fds),
            Order::Zygote { plan } => make_zygote(&plan, fds),
            Order::Sweep { uid, gid } => sweep(uid, gid),
        };
        let sent = match made {
            Ok((pid, pidfd)) => fdpass::send(&socket, &Answer::Spawned { pid }, &[pidfd.as_raw_fd()]),
            Err(Step { step, errno }) => {
                fdpass::send(&socket, &Answer::Refused { step, errno: errno as i32 }, &[])
            }
        };
        sent.map_err(Step::at("answer the server"))?;
    }
}

fn reap() {
    while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        if status == WaitStatus::StillAlive {
            break;
        }
    }
}

/// Waits a moment for zygotes, which end when their own sockets close, so that none is left to an init that may not reap. Sandboxes
/// that live on (the server has crashed) are not waited for.
fn farewell() {
    for _ in 0..100 {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Err(_) => return,
            Ok(WaitStatus::StillAlive) => std::thread::sleep(std::time::Duration::from_millis(10)),
            Ok(_) => {}
        }
    }
}

fn check_version(version: u32) -> Result<(), Step> {
    if version == VERSION {
        return Ok(());
    }
    Err(Step { step: format!("plan version {version}, this program knows {VERSION}"), errno: Errno::EPROTO })
}

fn make_sandbox(plan: &Plan, fds: Vec<OwnedFd>) -> Result<(i32, OwnedFd), Step> {
    check_version(plan.version)?;
    if plan.jail == Jail::Container {
        return match sys::clone(0).map_err(Step::at("fork the sandbox"))? {
            sys::Clone::Parent(pid, pidfd) => Ok((pid, pidfd)),
            sys::Clone::Child => {
                init::enter(plan, fds, None, setup::Inside::No);
                sys::exit_now(70)
            }
        };
    }
    let uids = [(GUEST_ID, plan.world.outer_uid, 1)];
    let gids = [(GUEST_ID, plan.world.outer_gid, 1)];
    match spawn::into_namespaces(sys::SANDBOX_NAMESPACES, &uids, &gids, plan.world.privileged)? {
        Side::Parent { pid, pidfd } => Ok((pid, pidfd)),
        Side::Child(gate) => {
            init::enter(plan, fds, Some(gate), setup::Inside::No);
            sys::exit_now(70)
        }
    }
}

fn sweep(uid: u32, gid: u32) -> Result<(i32, OwnedFd), Step> {
    // Only ids that cannot be anybody else's: a wrong one here would kill strangers.
    if uid < FIRST_SANDBOX_ID {
        return Err(Step { step: format!("user {uid} is no sandbox's"), errno: Errno::EINVAL });
    }
    match sys::clone(0).map_err(Step::at("fork the sweeper"))? {
        sys::Clone::Parent(pid, pidfd) => Ok((pid, pidfd)),
        sys::Clone::Child => sys::exit_now(i32::from(setup::container::sweep(uid, gid).is_err())),
    }
}

fn make_zygote(plan: &ZygotePlan, fds: Vec<OwnedFd>) -> Result<(i32, OwnedFd), Step> {
    check_version(plan.version)?;
    match spawn::into_namespaces(sys::ZYGOTE_NAMESPACES, &plan.uids, &plan.gids, plan.privileged)? {
        Side::Parent { pid, pidfd } => Ok((pid, pidfd)),
        Side::Child(gate) => setup::zygote::become_zygote(plan, fds, gate),
    }
}
