//! The launcher's loop: take an order, clone, answer with a pidfd; reap what has ended.
//!
//! ```text
//!   server ──Order + descriptors──▶ launcher ──clone3──▶ sandbox (setup, then init)
//!      ◀──── Answer + pidfd ─────────   │    ──clone3──▶ zygote  (setup, then exec of the image's interpreter)
//! ```
//!
//! It ends when the server closes the socket. Sandboxes are not tied to it: they outlive it until their own limits end them.

use crate::plan::{Answer, GUEST_ID, Jail, Order, Plan, SANDBOX_IDS, VERSION, ZygotePlan};
use crate::spawn::{self, Side, Step};
use crate::{fdpass, init, setup, sys};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// Runs until the server goes away.
pub fn run() -> Result<(), Step> {
    let Some(socket) = sys::adopt(0) else {
        return Err(Step { step: "descriptor 0 is not the server's socket".into(), errno: Errno::EBADF });
    };
    // What a sandbox without a pid namespace leaves behind comes here to be reaped, whatever the host's init does.
    sys::prctl(libc::PR_SET_CHILD_SUBREAPER, 1).map_err(Step::at("become the reaper of orphans"))?;
    give_up_oom_protection()?;
    // A server may have been started with precedence over the rest of the machine; its guests must not have it.
    sys::be_no_less_nice().map_err(Step::at("give up precedence"))?;
    // A dying launcher must not leave zombies of sandboxes that it forked: their next reaper is the host's init.
    let mut chld = SigSet::empty();
    chld.add(Signal::SIGCHLD);
    let fd = nix::sys::signalfd::SignalFd::with_flags(
        &chld,
        nix::sys::signalfd::SfdFlags::SFD_CLOEXEC | nix::sys::signalfd::SfdFlags::SFD_NONBLOCK,
    )
    .map_err(Step::at("signalfd"))?;
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&chld), None).map_err(Step::at("block SIGCHLD"))?;
    let mut zygotes: Vec<OwnedFd> = Vec::new();
    loop {
        let mut polls =
            [PollFd::new(socket.as_fd(), PollFlags::POLLIN), PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
        match poll(&mut polls, PollTimeout::NONE) {
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
                farewell(&zygotes);
                return Ok(());
            }
            // One order that cannot be read (too long, or no descriptor left for what came with it) is refused; the next one is whole.
            Err(errno @ (Errno::EPROTO | Errno::EMSGSIZE)) => {
                refuse(&socket, Step { step: "read an order".into(), errno })?;
                continue;
            }
            Err(errno) => return Err(Step { step: "read an order".into(), errno }),
        };
        let made = match order {
            Order::Sandbox { plan } => make_sandbox(&plan, fds),
            Order::Zygote { plan } => {
                let made = make_zygote(&plan, fds);
                zygotes.retain(|pidfd| !has_ended(pidfd, PollTimeout::ZERO));
                zygotes.extend(made.iter().filter_map(|(_, pidfd)| pidfd.try_clone().ok()));
                made
            }
            Order::Sweep { uid, gid } => sweep(uid, gid),
        };
        match made {
            Ok((pid, pidfd)) => fdpass::send(&socket, &Answer::Spawned { pid }, &[pidfd.as_raw_fd()])
                .map_err(Step::at("answer the server"))?,
            Err(step) => refuse(&socket, step)?,
        }
    }
}

fn refuse(socket: &OwnedFd, Step { step, errno }: Step) -> Result<(), Step> {
    let refusal = Answer::Refused { step, errno: errno as i32 };
    fdpass::send(socket, &refusal, &[]).map_err(Step::at("answer the server"))
}

/// A service manager may have protected the server from the out-of-memory killer. Whoever forks from it could go back to that
/// protection at any time (the kernel keeps the lowest score that was ever granted), guests included; a privileged write moves that floor.
fn give_up_oom_protection() -> Result<(), Step> {
    const SCORE: &str = "/proc/self/oom_score_adj";
    let text = std::fs::read_to_string(SCORE).unwrap_or_default();
    if text.trim().parse().is_ok_and(|score: i32| score <= 0) { spawn::put(SCORE, "0") } else { Ok(()) }
}

fn reap() {
    while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        if status == WaitStatus::StillAlive {
            break;
        }
    }
}

/// Ends the zygotes, which would end by themselves only after their imports, so that none is left to an init that may not reap, or to
/// the next server. Sandboxes that live on (the server has crashed) are not waited for.
fn farewell(zygotes: &[OwnedFd]) {
    for zygote in zygotes {
        // Gone already, or on its way.
        let _: Result<(), Errno> = crate::kill(zygote);
    }
    for zygote in zygotes {
        has_ended(zygote, PollTimeout::from(1000u16));
    }
    reap();
}

/// Whether the process behind a pidfd ends within `time`.
fn has_ended(pidfd: &OwnedFd, time: PollTimeout) -> bool {
    let mut polls = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
    matches!(poll(&mut polls, time), Ok(n) if n > 0)
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
    match spawn::into_namespaces(plan.namespaces(), &uids, &gids, plan.world.privileged)? {
        Side::Parent { pid, pidfd } => Ok((pid, pidfd)),
        Side::Child(gate) => {
            init::enter(plan, fds, Some(gate), setup::Inside::No);
            sys::exit_now(70)
        }
    }
}

fn sweep(uid: u32, gid: u32) -> Result<(i32, OwnedFd), Step> {
    // Only ids that cannot be anybody else's: a wrong one here would kill strangers.
    if !SANDBOX_IDS.contains(&uid) || !SANDBOX_IDS.contains(&gid) {
        return Err(Step {
            step: format!("user {uid} of group {gid} is no sandbox's"),
            errno: Errno::EINVAL,
        });
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_but_a_sandboxs_user_is_ever_swept() {
        let inside = SANDBOX_IDS.start + 1;
        for (uid, gid) in
            [(0, inside), (1000, inside), (u32::MAX, inside), (inside, u32::MAX), (SANDBOX_IDS.end, inside)]
        {
            assert!(matches!(sweep(uid, gid), Err(Step { errno: Errno::EINVAL, .. })), "{uid} {gid}");
        }
    }
}
