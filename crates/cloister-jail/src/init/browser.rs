//! The browser of a sandbox: started with it, driven by the server over two pipes that init only passes up.
//!
//! ```text
//!   server ──to──▶ 3 ┐
//!                    ├ browser ── 1, 2 ──▶ init keeps the last of it, for the reason of its end
//!   server ◀─from─ 4 ┘
//! ```
//!
//! Init keeps the server's ends as well: a browser ends when its descriptor 3 does, and a server that comes back gets both again. The
//! browser's own ends are the browser's alone, so that its death is the end of both pipes.

use super::process;
use super::score::{BROWSER, Score};
use super::worker::{Outputs, null};
use crate::guest::message::Handed;
use crate::plan::{BrowserProgram, Plan};
use crate::spawn::Step;
use crate::sys;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::{Pid, pipe2};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// Where Chromium reads (`--remote-debugging-pipe`).
const READS: RawFd = 3;
/// And writes.
const WRITES: RawFd = 4;
/// Bytes of its output that are kept.
const KEPT: usize = 2048;

/// A running browser.
#[derive(Debug)]
pub(super) struct Browser {
    /// Its pid inside the sandbox.
    pub(super) pid: Pid,
    to: OwnedFd,
    from: OwnedFd,
    /// Its descriptors 1 and 2; `None` once the last writer is gone.
    outputs: [Option<OwnedFd>; 2],
    said: Vec<u8>,
}

impl Browser {
    /// Starts it.
    pub(super) fn start(plan: &Plan, score: &Score, program: &BrowserProgram) -> Result<Self, Step> {
        let outputs = Outputs::new()?;
        let (reads, to) = pipe2(OFlag::O_CLOEXEC).map_err(Step::at("pipe"))?;
        let (from, writes) = pipe2(OFlag::O_CLOEXEC).map_err(Step::at("pipe"))?;
        let null = null()?;
        let wiring = [
            (null.as_raw_fd(), 0),
            (outputs.stdout.1.as_raw_fd(), 1),
            (outputs.stderr.1.as_raw_fd(), 2),
            (reads.as_raw_fd(), READS),
            (writes.as_raw_fd(), WRITES),
        ];
        let fork = || score.fork_with(BROWSER);
        let pid = process::start_in(plan, fork, &program.argv, &[], &wiring)?;
        let outputs = [Some(outputs.stdout.0), Some(outputs.stderr.0)];
        Ok(Self { pid, to, from, outputs, said: Vec::new() })
    }

    /// The server's ends.
    pub(super) fn handed(&self) -> [(Handed, RawFd); 2] {
        [(Handed::ToBrowser, self.to.as_raw_fd()), (Handed::FromBrowser, self.from.as_raw_fd())]
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
