//! The resident of a sandbox: the one program that is started with it, driven by the server over descriptors that init only passes up.
//!
//! ```text
//!   server ──to──▶ 3 ┐                                      server ◀──socket──▶ 3  engine of the wasm tier
//!                    ├ browser ── 1, 2 ──▶ init keeps the last of it, for the reason of its end
//!   server ◀─from─ 4 ┘
//! ```
//!
//! Init keeps the server's ends as well: a resident ends when its descriptor 3 does, and a server that comes back gets them again. The
//! resident's own ends are its alone, so that its death is the end of what the server holds.

use super::process;
use super::score::{RESIDENT, Score};
use super::worker::{Outputs, null};
use crate::guest::message::Handed;
use crate::plan::Plan;
use crate::spawn::Step;
use crate::sys;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::unistd::{Pid, pipe2};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// Where Chromium reads (`--remote-debugging-pipe`), and where an engine has its socket.
const READS: RawFd = 3;
/// Where Chromium writes.
const WRITES: RawFd = 4;
/// Bytes of its output that are kept.
const KEPT: usize = 2048;

/// A running resident.
#[derive(Debug)]
pub(super) struct Resident {
    /// What it is: `browser` or `engine`.
    pub(super) name: &'static str,
    /// Its pid inside the sandbox.
    pub(super) pid: Pid,
    /// The server's ends.
    handed: Vec<(Handed, OwnedFd)>,
    /// Its descriptors 1 and 2; `None` once the last writer is gone.
    outputs: [Option<OwnedFd>; 2],
    said: Vec<u8>,
}

impl Resident {
    /// Starts what the plan names, if it names one.
    pub(super) fn of(plan: &Plan, score: &Score) -> Result<Option<Self>, Step> {
        let programs = &plan.programs;
        match (&programs.browser, &programs.engine) {
            (Some(browser), _) => Self::browser(plan, score, &browser.argv).map(Some),
            (None, Some(engine)) => Self::engine(plan, score, &engine.argv).map(Some),
            (None, None) => Ok(None),
        }
    }

    fn browser(plan: &Plan, score: &Score, argv: &[String]) -> Result<Self, Step> {
        let (reads, to) = pipe2(OFlag::O_CLOEXEC).map_err(Step::at("pipe"))?;
        let (from, writes) = pipe2(OFlag::O_CLOEXEC).map_err(Step::at("pipe"))?;
        let theirs = [(reads.as_raw_fd(), READS), (writes.as_raw_fd(), WRITES)];
        let handed = vec![(Handed::ToBrowser, to), (Handed::FromBrowser, from)];
        Self::start("browser", plan, score, argv, &theirs, handed)
    }

    fn engine(plan: &Plan, score: &Score, argv: &[String]) -> Result<Self, Step> {
        let (ours, theirs) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
                .map_err(Step::at("socketpair"))?;
        let handed = vec![(Handed::Engine, ours)];
        Self::start("engine", plan, score, argv, &[(theirs.as_raw_fd(), READS)], handed)
    }

    fn start(
        name: &'static str,
        plan: &Plan,
        score: &Score,
        argv: &[String],
        theirs: &[(RawFd, RawFd)],
        handed: Vec<(Handed, OwnedFd)>,
    ) -> Result<Self, Step> {
        let outputs = Outputs::new()?;
        let null = null()?;
        let mut wiring =
            vec![(null.as_raw_fd(), 0), (outputs.stdout.1.as_raw_fd(), 1), (outputs.stderr.1.as_raw_fd(), 2)];
        wiring.extend_from_slice(theirs);
        let fork = || score.fork_with(RESIDENT);
        let pid = process::start_in(plan, fork, argv, &[], &wiring)?;
        let outputs = [Some(outputs.stdout.0), Some(outputs.stderr.0)];
        Ok(Self { name, pid, handed, outputs, said: Vec::new() })
    }

    /// The server's ends.
    pub(super) fn handed(&self) -> impl Iterator<Item = (Handed, RawFd)> {
        self.handed.iter().map(|(what, fd)| (*what, fd.as_raw_fd()))
    }

    /// What to poll for output.
    pub(super) fn outputs(&self) -> impl Iterator<Item = (usize, RawFd)> {
        let open = |(n, fd): (usize, &Option<OwnedFd>)| fd.as_ref().map(|fd| (n, fd.as_raw_fd()));
        self.outputs.iter().enumerate().filter_map(open)
    }

    /// Reads one of its outputs once, and keeps the end of what it has said so far. A full pipe would stop it.
    pub(super) fn listen(&mut self, n: usize) {
        let Some(output) = self.outputs.get_mut(n) else { return };
        let Some(fd) = output.as_ref().map(AsRawFd::as_raw_fd) else { return };
        let mut buffer = [0u8; 16 * 1024];
        match nix::unistd::read(sys::borrow(fd), &mut buffer) {
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Ok(0) | Err(_) => *output = None,
            Ok(read) => {
                self.said.extend_from_slice(buffer.get(..read).unwrap_or_default());
                self.said.drain(..self.said.len().saturating_sub(KEPT));
            }
        }
    }

    /// The last that it said.
    pub(super) fn last_words(mut self) -> String {
        // It has ended, so each pipe holds what is left and no more.
        for n in [0, 1] {
            for _ in 0..8 {
                self.listen(n);
            }
        }
        String::from_utf8_lossy(&self.said).into_owned()
    }
}
