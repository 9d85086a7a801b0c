//! The out-of-memory score of guest programs, given to them at birth: the killer takes them before init, which is left to report it.
//!
//! INVARIANT: a fork of init never becomes dumpable before its exec. Until then it is a copy of init, and guests could read the
//! copy through `/proc/PID/mem`, the control channel's nonce included (PRC-01). Only a dumpable process may open its own
//! score, so init raises its own for the moment of the fork, by a descriptor from the time before it became undumpable.

use crate::spawn::Step;
use crate::sys;
use nix::errno::Errno;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::FileExt;

/// The score of guest programs: the highest there is.
const GUESTS: &[u8] = b"1000";

/// The score of a resident (a browser, an engine): above init's, and below those that it gives to its own children (200, 300), so that a hungry page costs
/// the page.
pub(super) const RESIDENT: &[u8] = b"100";

/// Init's score, and how to change it.
#[derive(Debug)]
pub(super) struct Score(Option<(File, Vec<u8>)>);

impl Score {
    /// Opens the score of this process, which is still dumpable. Without a procfs there is no namespace either, and the score is
    /// the container's business.
    pub(super) fn open() -> Self {
        let open = || {
            let mut file = OpenOptions::new().read(true).write(true).open("/proc/self/oom_score_adj")?;
            let mut own = Vec::new();
            file.read_to_end(&mut own)?;
            std::io::Result::Ok((file, own))
        };
        Self(open().ok())
    }

    /// Forks; `Ok(None)` in the child, which has the guests' score.
    pub(super) fn fork(&self) -> Result<Option<i32>, Step> {
        self.fork_with(GUESTS)
    }

    /// The same with a score of its own.
    pub(super) fn fork_with(&self, score: &[u8]) -> Result<Option<i32>, Step> {
        let write = |bytes: &[u8]| self.0.as_ref().map_or(Ok(0), |(file, _)| file.write_at(bytes, 0));
        write(score).map_err(|e| {
            Step::at("raise the out-of-memory score")(Errno::from_raw(e.raw_os_error().unwrap_or(libc::EIO)))
        })?;
        let forked = sys::fork();
        if !matches!(forked, Ok(None)) {
            // Going back to what was granted before cannot be refused; if it were, init would only be killed as early as its guests.
            drop(self.0.as_ref().map(|(_, own)| write(own)));
        }
        forked.map_err(Step::at("fork"))
    }
}
