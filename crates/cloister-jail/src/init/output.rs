//! What workers write to descriptors 1 and 2: to the running call up to its cap, and between calls to the next one.

use super::events::Init;
use crate::guest::message::Reply;
use nix::fcntl::{FcntlArg, fcntl};
use nix::unistd::read;

/// Bytes that one read takes of a stream. They are memory of every session, even of one that only ever prints a line.
const ONE_READ: usize = 16 << 10;

impl Init {
    /// Forwards what a worker has written to a stream, and returns how much that was.
    pub(super) fn output(&mut self, name: &str, stream: usize) -> usize {
        let Some(worker) = self.workers.get_mut(name) else { return 0 };
        let mut buffer = [0u8; ONE_READ];
        let Ok(n) = read(worker.pipe(stream), &mut buffer) else { return 0 };
        if n == 0 {
            worker.quiet.iter_mut().skip(stream).take(1).for_each(|quiet| *quiet = true);
        }
        self.forward(name, stream, buffer.get(..n).unwrap_or_default());
        n
    }

    /// Passes output on to the running call. What is written between calls (by a thread, by a child) waits for the next one.
    fn forward(&mut self, name: &str, stream: usize, bytes: &[u8]) {
        let Some(call) = self.call.as_mut().filter(|c| c.on.key() == name) else {
            if let Some(worker) = self.workers.get_mut(name) {
                worker.keep_late(stream, bytes, self.plan.limits.stream);
            }
            return;
        };
        let kept = call.admit(stream, bytes.len(), &self.plan.limits);
        if kept > 0 {
            let id = call.id.clone();
            let reply = if stream == 0 { Reply::Stdout { id } } else { Reply::Stderr { id } };
            self.connection.send(&reply, bytes.get(..kept).unwrap_or_default());
        }
    }

    /// Gives the call that has just begun what its worker wrote since the last one.
    pub(super) fn forward_late(&mut self, name: &str) {
        let late = self.workers.get_mut(name).map(|w| std::mem::take(&mut w.late));
        for late in self.last_words.remove(name).into_iter().chain(late) {
            for (stream, (bytes, dropped)) in late.into_iter().enumerate() {
                self.forward(name, stream, &bytes);
                if let Some(call) = &mut self.call {
                    call.miss(stream, dropped);
                }
            }
        }
    }

    /// Reads both pipes as they are now: the end of a call's output. What they can hold is all that can have been written before;
    /// a background writer could keep them filled for ever.
    pub(super) fn drain(&mut self, name: &str) {
        for stream in [0, 1] {
            let Some(worker) = self.workers.get(name) else { return };
            let size = fcntl(worker.pipe(stream), FcntlArg::F_GETPIPE_SZ).unwrap_or(1 << 20);
            let mut left = usize::try_from(size).unwrap_or(0);
            while left > 0 {
                match self.output(name, stream) {
                    0 => break,
                    n => left = left.saturating_sub(n),
                }
            }
        }
    }
}
