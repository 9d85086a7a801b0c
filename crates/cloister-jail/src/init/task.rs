//! Background commands: each in a shell and a session of its own, with capped output and a limited life.

use super::process;
use super::score::Score;
use super::worker::{Outputs, null};
use crate::guest::message::ToolResult;
use crate::plan::Plan;
use crate::spawn::Step;
use nix::errno::Errno;
use nix::unistd::{Pid, read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// Time that a kill has before it is tried again.
const AGAIN: Duration = Duration::from_millis(500);

/// One background command.
#[derive(Debug)]
pub(super) struct Task {
    /// The server's id of it.
    pub(super) id: String,
    /// Leader of its session.
    pub(super) pid: Pid,
    pub(super) stdout: Capped,
    pub(super) stderr: Capped,
    started: Instant,
    /// When it will be killed, or killed again.
    pub(super) deadline: Instant,
    ended: Option<(Duration, i32)>,
    canceled: bool,
}

/// A pipe read up to a limit. What is above it is read and dropped, so that the writer does not block for ever.
#[derive(Debug)]
pub(super) struct Capped {
    /// Closed once the last writer is gone.
    pub(super) pipe: Option<OwnedFd>,
    kept: Vec<u8>,
    limit: usize,
}

impl Capped {
    /// Reads what is there, up to a megabyte: several writers could keep the pipe filled for ever, and init with it.
    pub(super) fn drain(&mut self) {
        let mut buffer = [0u8; 65536];
        for _ in 0..16 {
            let Some(pipe) = &self.pipe else { return };
            match read(pipe, &mut buffer) {
                Ok(0) => self.pipe = None,
                Ok(n) => {
                    let room = self.limit.saturating_sub(self.kept.len()).min(n);
                    self.kept.extend_from_slice(buffer.get(..room).unwrap_or_default());
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return,
                Err(_) => self.pipe = None,
            }
        }
    }
}

impl Task {
    /// Starts `command`.
    pub(super) fn start(plan: &Plan, score: &Score, id: String, command: &str) -> Result<Self, Step> {
        let outputs = Outputs::new()?;
        let null = null()?;
        let mut argv = plan.programs.shell.clone();
        argv.extend(["-c".to_owned(), command.to_owned()]);
        let wiring =
            [(null.as_raw_fd(), 0), (outputs.stdout.1.as_raw_fd(), 1), (outputs.stderr.1.as_raw_fd(), 2)];
        let pid = process::start(plan, score, &argv, &[], &wiring)?;
        let limit = usize::try_from(plan.limits.stream).unwrap_or(usize::MAX);
        let capped = |pipe| Capped { pipe: Some(pipe), kept: Vec::new(), limit };
        let started = Instant::now();
        Ok(Self {
            id,
            pid,
            stdout: capped(outputs.stdout.0),
            stderr: capped(outputs.stderr.0),
            started,
            deadline: started + Duration::from_millis(plan.limits.task_ms),
            ended: None,
            canceled: false,
        })
    }

    /// Whether it is still running.
    pub(super) fn running(&self) -> bool {
        self.ended.is_none()
    }

    /// Its leader has ended with `status`.
    pub(super) fn ended(&mut self, status: i32) {
        self.stdout.drain();
        self.stderr.drain();
        self.ended = Some((self.started.elapsed(), status));
    }

    /// Kills it and everything of its session, because somebody wants it.
    pub(super) fn cancel(&mut self, spared: &[Pid]) {
        if self.running() {
            self.canceled = true;
            self.kill(spared);
        }
    }

    /// Its time is over. What does not die at once (it may be giving back gigabytes) is not killed in every turn of init's loop.
    pub(super) fn overdue(&mut self, now: Instant, spared: &[Pid]) {
        self.deadline = now + AGAIN;
        self.kill(spared);
    }

    fn kill(&self, spared: &[Pid]) {
        process::kill_session(self.pid, spared);
    }

    /// The answer to the request that started it.
    pub(super) fn submitted(&self) -> (ToolResult, Vec<u8>) {
        let task = self.id.clone();
        (
            ToolResult::Task { task, status: "submitted".into(), stdout: 0, exit_code: None, wall_ms: 0 },
            Vec::new(),
        )
    }

    /// What the client gets to see, with the output as one blob.
    pub(super) fn report(&mut self) -> (ToolResult, Vec<u8>) {
        self.stdout.drain();
        self.stderr.drain();
        let (wall, exit_code) =
            self.ended.map_or((self.started.elapsed(), None), |(wall, code)| (wall, Some(code)));
        let status = match exit_code {
            _ if self.canceled => "canceled",
            None => "working",
            Some(0) => "completed",
            Some(_) => "failed",
        };
        let mut blob = self.stdout.kept.clone();
        blob.extend_from_slice(&self.stderr.kept);
        let result = ToolResult::Task {
            task: self.id.clone(),
            status: status.into(),
            stdout: self.stdout.kept.len() as u64,
            exit_code,
            wall_ms: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX),
        };
        (result, blob)
    }
}
