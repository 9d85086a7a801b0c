//! Pid 1 of a sandbox: owns the control channel, starts the drivers, runs the file tools, keeps the time.
//!
//! ```text
//!            ctl.sock                                  ┌─ cell channel + 2 pipes ─▶ driver (python, nodejs, deno)
//!   server ───────────▶ Init { connection, call, … } ──┼─ script + status pipe ───▶ bash
//!                         one poll(2) loop             ├─ 2 pipes each ───────────▶ background commands
//!                                                      └─ passed up ──────────────▶ resident (a browser, an engine)
//! ```
//!
//! It is confined like everything that it starts, so taking it over would gain a guest nothing but its own session; and it is
//! not dumpable, so a guest cannot try. It ends, and the kernel with it the whole pid namespace (without one, it kills before it
//! ends), when told to, at the sandbox's age limit, or when no server has been attached for too long: nothing depends on a server
//! that may have crashed.

mod call;
mod children;
mod connection;
mod events;
mod files;
mod moved;
mod name;
mod output;
mod process;
mod remove;
mod requests;
mod resident;
mod results;
mod score;
mod snapshot;
mod task;
mod walls;
mod worker;

use crate::plan::{Jail, Plan, Started};
use crate::setup::{self, Inside};
use crate::spawn::{Gate, Step};
use crate::sys;
use nix::errno::Errno;
use std::os::fd::{AsRawFd, OwnedFd};

/// Builds the walls of `plan` around this process and becomes its init. Without a gate there are no id maps to wait for and no
/// namespaces ([`crate::plan::Jail::Container`]).
///
/// Returns in one case only: with [`Inside::Yes`], in the interpreter that init has forked off itself, whose descriptors 0 to 3 are
/// then /dev/null, two pipes and the cell channel. Every other path ends in `_exit`.
pub fn enter(plan: &Plan, fds: Vec<OwnedFd>, gate: Option<Gate>, inside: Inside) {
    let mut fds = fds.into_iter();
    let (Some(listener), Some(report)) = (fds.next(), fds.next()) else { sys::exit_now(73) };
    let groups: Vec<OwnedFd> = fds.take(plan.cgroups).collect();
    let mut keep = vec![listener.as_raw_fd(), report.as_raw_fd()];
    keep.extend(gate.iter().map(AsRawFd::as_raw_fd));
    keep.extend(groups.iter().map(AsRawFd::as_raw_fd));
    if let Err(step) = setup::descriptors::keep_only(&keep) {
        fail(report, step);
    }
    #[cfg(debug_assertions)]
    if plan.missing == Some(crate::plan::Missing::Links) {
        files::FOLLOWS_ALL.store(true, std::sync::atomic::Ordering::Relaxed);
    }
    let score = score::Score::open();
    let built = match gate {
        Some(gate) => setup::sandbox(plan, groups, gate, inside),
        None => setup::container::sandbox(plan, groups).map(|()| None),
    };
    let proxy = match built {
        Ok(proxy) => proxy,
        Err(step) => fail(report, step),
    };
    let warm = match inside {
        Inside::No => None,
        Inside::Yes => match worker::fork_warm(plan, &score) {
            Ok(worker::Forked::Interpreter) => {
                // Closed by number when the interpreter's descriptors were arranged.
                std::mem::forget((listener, report, proxy, score));
                return;
            }
            Ok(worker::Forked::Init(worker)) => Some(*worker),
            Err(step) => fail(report, step),
        },
    };
    let init = match events::Init::new(plan.clone(), score, listener, proxy, warm) {
        Ok(init) => init,
        Err(step) => fail(report, step),
    };
    say(&report, &Started::Up);
    drop(report);
    let ran = init.run();
    if plan.jail == Jail::Container {
        process::kill_everything();
    }
    sys::exit_now(if ran.is_ok() { 0 } else { 74 })
}

fn fail(report: OwnedFd, Step { step, errno }: Step) -> ! {
    say(&report, &Started::Failed { step, errno: errno as i32 });
    sys::exit_now(72)
}

fn say(report: &OwnedFd, what: &Started) {
    if let Ok(json) = serde_json::to_vec(what) {
        // Nobody left to tell if this fails; the server reads an empty pipe and says so.
        let _: Result<usize, Errno> = nix::unistd::write(report, &json);
    }
}
