//! What workers answer: frames of a driver on its cell channel, lines of the shell on its status pipe.

use super::call::On;
use super::events::Init;
use super::worker::Link;
use crate::guest::cell::CellEvent;
use crate::guest::message::Reply;
use crate::sys;
use nix::errno::Errno;
use nix::unistd::{Pid, read};

/// What one look at a worker's answers has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Something, and there may be more.
    Something,
    /// Nothing now, or nothing any more.
    Nothing,
}

impl Init {
    /// Reads once what a worker has to say.
    pub(super) fn results(&mut self, name: &str) -> Look {
        let Some(worker) = self.workers.get_mut(name).filter(|worker| !worker.mute) else {
            return Look::Nothing;
        };
        let (fd, mut line) = (sys::borrow(worker.results()), [0u8; LINES]);
        let got = match &mut worker.link {
            Link::Cell { reader, .. } => reader.fill(|room| read(fd, room)),
            Link::Shell { .. } => read(fd, &mut line),
        };
        let n = match got {
            Ok(n) => n,
            Err(Errno::EINTR) => return Look::Something,
            Err(Errno::EAGAIN) => return Look::Nothing,
            Err(_) => 0,
        };
        if n == 0 {
            // Closed: it is dying, or has become another program, whose status ends the call. Between calls it is of no use.
            worker.mute = true;
            let pid = worker.pid;
            if self.call.as_ref().is_none_or(|c| c.on.key() != name) {
                self.abandon(pid);
            }
            return Look::Nothing;
        }
        match &mut worker.link {
            Link::Cell { .. } => self.cell_frames(name),
            Link::Shell { partial, .. } => {
                for line in whole_lines(partial, line.get(..n).unwrap_or_default()) {
                    self.shell_line(name, &line);
                }
            }
        }
        Look::Something
    }

    fn shell_line(&mut self, name: &str, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        let Some((id, code)) = text.split_once(' ') else { return };
        if self.call.as_ref().is_some_and(|c| c.id == id && c.on == On::Shell) {
            let code = code.trim().parse().unwrap_or(1);
            self.finish(name, "ok", code);
        }
    }

    fn cell_frames(&mut self, name: &str) {
        loop {
            let Some(worker) = self.workers.get_mut(name) else { return };
            let Link::Cell { reader, ready, .. } = &mut worker.link else { return };
            match reader.take::<CellEvent>() {
                Ok(None) => return,
                Ok(Some((CellEvent::Ready { .. }, _))) => {
                    *ready = true;
                    let call = self.call.as_mut().filter(|c| c.on.key() == name);
                    if call.is_some_and(|call| !call.begin(worker)) {
                        // Interrupted before it began: there is nothing to wait for.
                        self.finish(name, "ok", 130);
                    }
                }
                Ok(Some((CellEvent::Warmed, _))) => self.warmed(name),
                Ok(Some((event, blob))) => self.cell_event(name, event, blob),
                Err(_) => {
                    worker.mute = true;
                    let pid = worker.pid;
                    return self.abandon(pid);
                }
            }
        }
    }

    /// The driver has warmed up, or has ended over it.
    pub(super) fn warmed(&mut self, name: &str) {
        if self.warming.take_if(|warming| warming == name).is_some() {
            self.connection.send(&Reply::Warmed, b"");
        }
    }

    fn cell_event(&mut self, name: &str, event: CellEvent, blob: Vec<u8>) {
        let Some(call) = self.call.as_mut().filter(|c| c.on.key() == name) else { return };
        match event {
            CellEvent::Display { id, forms }
                if id == call.id && call.admit_display(blob.len(), &self.plan.limits) =>
            {
                self.connection.send(&Reply::Display { id, forms }, &blob);
            }
            CellEvent::Value { id, forms }
                if id == call.id && call.admit_display(blob.len(), &self.plan.limits) =>
            {
                self.connection.send(&Reply::Value { id, forms }, &blob);
            }
            CellEvent::Error { id, name, message } if id == call.id => {
                call.error = Some((name, message));
                call.traceback = blob;
            }
            CellEvent::Done { id, status, exit_code } if id == call.id => {
                self.finish(name, &status, exit_code);
            }
            _ => {}
        }
    }

    /// Kills a worker with which no conversation is possible any more.
    fn abandon(&mut self, pid: Pid) {
        let others = self.leaders(Some(pid));
        super::process::kill_session(pid, &others);
        self.reap();
    }

    /// The worker says that the running call is done. Once it has been killed, its death says how the call ended.
    fn finish(&mut self, name: &str, status: &str, exit_code: i32) {
        if self.call.as_ref().is_some_and(|call| call.is_killed()) {
            return;
        }
        self.drain(name);
        if let Some(call) = self.call.take() {
            if let (Some(since), Some(worker)) = (call.interrupted_since(), self.workers.get(call.on.key())) {
                super::process::kill_started_since(worker.pid, since, &self.leaders(Some(worker.pid)));
            }
            let worker = self.workers.get(name);
            let (id, report, traceback) = call.finish(status, exit_code, worker, &self.plan);
            self.connection.send(&Reply::Executed { id, report }, &traceback);
        }
    }
}

/// Longer than any status, which is an id and a number.
const LINE: usize = 256;
/// Bytes that one look at the shell's statuses takes. There is one for each call.
const LINES: usize = 1024;

/// The lines that `bytes` complete; the beginning of another one stays in `partial`.
fn whole_lines(partial: &mut Vec<u8>, bytes: &[u8]) -> Vec<Vec<u8>> {
    partial.extend_from_slice(bytes);
    let Some(end) = partial.iter().rposition(|&b| b == b'\n') else {
        // No line of ours. The shell has the pipe to itself, but a guest may dig it out, and must not fill init's memory by it.
        if partial.len() > LINE {
            partial.clear();
        }
        return Vec::new();
    };
    let rest = partial.split_off(end + 1);
    let whole = std::mem::replace(partial, rest);
    partial.truncate(LINE);
    whole.split(|&b| b == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_comes_in_pieces_is_one_line() {
        let text = b"9f 12\n9e 7\n";
        for cut in 0..=text.len() {
            let mut partial = Vec::new();
            let mut lines = whole_lines(&mut partial, &text[..cut]);
            lines.extend(whole_lines(&mut partial, &text[cut..]));
            assert_eq!(lines, [b"9f 12".to_vec(), b"9e 7".to_vec()], "cut at {cut}");
            assert!(partial.is_empty());
        }
    }

    #[test]
    fn a_flood_without_a_line_costs_no_memory() {
        let mut partial = Vec::new();
        for _ in 0..100 {
            assert!(whole_lines(&mut partial, &[b'x'; 1000]).is_empty());
            assert!(partial.len() <= LINE);
        }
        assert_eq!(whole_lines(&mut partial, b"\n9f 0\n"), [b"9f 0".to_vec()]);
    }
}
