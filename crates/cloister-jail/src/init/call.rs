//! The foreground call: what it runs on, how much output it has had, and how it is made to end.
//!
//! ```text
//!   Waiting ──driver ready──▶ Running ──deadline, or asked──▶ Interrupted ──grace──▶ Killed
//!                                └───────── done, or the worker died, at any stage ─────────▶ report
//! ```

use super::moved::Moved;
use super::process;
use super::snapshot::Snapshot;
use super::worker::Worker;
use crate::guest::cell::CellRequest;
use crate::guest::frame;
use crate::guest::message::{Ended, Report, Used};
use crate::plan::{Limits, Plan};
use nix::unistd::Pid;
use std::time::{Duration, Instant};

/// What runs the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum On {
    /// A language driver, by runtime name.
    Driver(String),
    /// The persistent shell.
    Shell,
}

impl On {
    /// Key of the worker.
    pub(super) fn key(&self) -> &str {
        match self {
            Self::Driver(name) => name,
            Self::Shell => "shell",
        }
    }
}

/// Since when a call's worker runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Since {
    /// An earlier call, or the sandbox's start.
    Before,
    /// The call.
    Now,
}

/// How far the call is.
#[derive(Debug)]
enum Stage {
    /// The driver is still starting.
    Waiting,
    Running,
    Interrupted(Instant),
    Killed(Instant),
}

/// The running foreground call.
#[derive(Debug)]
pub(super) struct Call {
    /// The server's id.
    pub(super) id: String,
    /// What runs it.
    pub(super) on: On,
    stage: Stage,
    /// What the worker is asked, until it has been.
    request: Option<Vec<u8>>,
    started: Instant,
    /// The same on the clock of the processes' start times.
    born: Duration,
    deadline: Instant,
    deadline_ms: u64,
    /// The deadline has passed (rather than somebody having asked).
    timed_out: bool,
    kept: [u64; 2],
    dropped: [u64; 2],
    /// What of that was dropped before it began.
    missed: u64,
    displays: u32,
    pub(super) error: Option<(String, String)>,
    pub(super) traceback: Vec<u8>,
    before: Snapshot,
    /// What its worker had moved when it began.
    moved: Option<Moved>,
}

/// How long a kill may take before it is widened to every process of the sandbox.
const SECOND_KILL: Duration = Duration::from_millis(500);

/// Output beyond the cap that is read and dropped before the call is interrupted: reading it costs CPU of ours (RES-06).
const FLOOD: u64 = 1 << 30;

impl Call {
    /// A call that starts now; `request` is sent when the worker is ready for it.
    pub(super) fn new(id: String, on: On, deadline_ms: u64, request: Vec<u8>, before: Snapshot) -> Self {
        let started = Instant::now();
        Self {
            id,
            on,
            stage: Stage::Waiting,
            request: Some(request),
            started,
            born: crate::sys::boot_time(),
            deadline: started + Duration::from_millis(deadline_ms),
            deadline_ms,
            timed_out: false,
            kept: [0; 2],
            dropped: [0; 2],
            missed: 0,
            displays: 0,
            error: None,
            traceback: Vec::new(),
            before,
            moved: None,
        }
    }

    /// Its worker runs: from here on, what that moves is the call's. One that was started for it has moved nothing, and cannot be looked
    /// into before it has become its program.
    pub(super) fn on_worker(&mut self, worker: &Worker, since: Since) {
        self.moved = match since {
            Since::Before => Moved::of(worker.pid),
            Since::Now => Some(Moved::default()),
        };
    }

    /// The worker takes requests: give it this one. False if the call has been interrupted before it could begin.
    pub(super) fn begin(&mut self, worker: &mut Worker) -> bool {
        match (self.request.take(), &self.stage) {
            (Some(request), Stage::Waiting) => {
                self.stage = Stage::Running;
                worker.send(request);
                true
            }
            (Some(_), _) => false,
            // A driver that says twice that it is ready.
            (None, _) => true,
        }
    }

    /// Bytes of its request.
    pub(super) fn size(&self) -> usize {
        self.request.as_ref().map_or(0, Vec::len)
    }

    /// How much of `bytes` on stream 0 (stdout) or 1 (stderr) is still within the cap.
    pub(super) fn admit(&mut self, stream: usize, bytes: usize, limits: &Limits) -> usize {
        let (Some(kept), Some(dropped)) = (self.kept.get_mut(stream), self.dropped.get_mut(stream)) else {
            return 0;
        };
        let room = limits.stream.saturating_sub(*kept).min(bytes as u64);
        *kept += room;
        *dropped += bytes as u64 - room;
        room as usize
    }

    /// Counts output that was dropped before the call began.
    pub(super) fn miss(&mut self, stream: usize, bytes: u64) {
        if let Some(dropped) = self.dropped.get_mut(stream) {
            *dropped += bytes;
            self.missed += bytes;
        }
    }

    /// Whether one more display of `size` bytes may pass. The driver keeps to the limits by itself; this is for one that a guest has
    /// taken over.
    pub(super) fn admit_display(&mut self, size: usize, limits: &Limits) -> bool {
        self.displays = self.displays.saturating_add(1);
        // One more is the value.
        self.displays <= limits.displays.saturating_add(1) && size as u64 <= limits.display
    }

    /// When something is due.
    pub(super) fn wake(&self, grace: Duration) -> Option<Instant> {
        match self.stage {
            Stage::Waiting | Stage::Running => Some(self.deadline),
            Stage::Interrupted(since) => Some(since + grace),
            Stage::Killed(since) => Some(since + SECOND_KILL),
        }
    }

    /// Lets time pass: interrupts at the deadline, kills after the grace period.
    pub(super) fn tick(&mut self, now: Instant, worker: Option<&Worker>, plan: &Plan, spared: &[Pid]) {
        let grace = Duration::from_millis(plan.limits.grace_ms);
        let flooded = self.dropped.iter().sum::<u64>() - self.missed > FLOOD;
        match self.stage {
            Stage::Running | Stage::Waiting if now >= self.deadline || flooded => {
                self.timed_out = now >= self.deadline;
                self.interrupt(worker);
            }
            Stage::Interrupted(since) if now >= since + grace => {
                self.stage = Stage::Killed(now);
                if let Some(worker) = worker {
                    process::kill_session(worker.pid, spared);
                }
            }
            // Still not dead: something hides from /proc or forks faster than it is found. Everything goes; init stays.
            Stage::Killed(since) if now >= since + SECOND_KILL => {
                self.stage = Stage::Killed(now);
                let _: Result<(), nix::errno::Errno> = crate::sys::kill_all(nix::libc::SIGKILL);
            }
            _ => {}
        }
    }

    /// Interrupts the worker; after the grace period it is killed.
    pub(super) fn interrupt(&mut self, worker: Option<&Worker>) {
        // A driver that is still starting has nothing to interrupt, but the grace period runs.
        if matches!(self.stage, Stage::Running | Stage::Waiting) {
            if let (Some(worker), Stage::Running) = (worker, &self.stage) {
                worker.interrupt();
            }
            self.stage = Stage::Interrupted(Instant::now());
        }
    }

    /// If the call has been interrupted: when it began, on the clock of [`process::kill_started_since`].
    pub(super) fn interrupted_since(&self) -> Option<Duration> {
        matches!(self.stage, Stage::Interrupted(_)).then_some(self.born)
    }

    /// Whether its worker has been killed, so that only the worker's death can end it.
    pub(super) fn is_killed(&self) -> bool {
        matches!(self.stage, Stage::Killed(_))
    }

    /// The report of a call whose worker has said that it is done. Whether it was interrupted is not for the worker to say.
    pub(super) fn finish(
        self,
        status: &str,
        exit_code: i32,
        worker: Option<&Worker>,
        plan: &Plan,
    ) -> (String, Report, Vec<u8>) {
        let ended = match (&self.stage, status) {
            (Stage::Interrupted(_) | Stage::Killed(_), _) => Ended::Interrupted,
            (_, "exit") => Ended::Exited,
            _ => Ended::Completed,
        };
        let after = worker.and_then(|worker| Moved::of(worker.pid));
        let moved = self.moved.zip(after).map(|(before, after)| after.since(before));
        let (id, mut report, traceback) = self.report(ended, exit_code, false, plan);
        if let Some(Moved { read, written }) = moved {
            report.used = Used { read: Some(read), written: Some(written), ..report.used };
        }
        (id, report, traceback)
    }

    /// The report of a call whose worker has ended with `status`, by a signal or not.
    pub(super) fn worker_ended(self, status: i32, signaled: bool, plan: &Plan) -> (String, Report, Vec<u8>) {
        let ended = match (&self.stage, &self.on) {
            (Stage::Killed(_), _) => Ended::Killed,
            (_, On::Shell) if !signaled => Ended::Exited,
            _ => Ended::Died,
        };
        self.report(ended, status, true, plan)
    }

    /// The report of a call that could not start. What state there is, is untouched.
    pub(super) fn failed_to_start(mut self, why: String, plan: &Plan) -> (String, Report, Vec<u8>) {
        self.error = Some(("StartError".into(), why));
        self.report(Ended::Completed, 126, false, plan)
    }

    fn report(
        self,
        ended: Ended,
        exit_code: i32,
        state_lost: bool,
        plan: &Plan,
    ) -> (String, Report, Vec<u8>) {
        let workspace = plan.world.workspace.as_str();
        let after = Snapshot::take(workspace);
        let (files, files_truncated) = self.before.changes(&after, workspace, plan.limits.files as usize);
        let storage = nix::sys::statvfs::statvfs(workspace);
        let full = storage.map(|fs| (fs.blocks_available() == 0, fs.files_available() == 0));
        let (disk_full, files_full) = full.unwrap_or_default();
        let mut report = Report {
            exit_code,
            ended,
            error: self.error,
            state_lost,
            restored: false,
            dropped: self.dropped,
            disk_full,
            files_full,
            deadline_ms: self.timed_out.then_some(self.deadline_ms),
            files,
            files_truncated,
            wall_us: u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX),
            used: Used::default(),
        };
        report.trim();
        (self.id, report, self.traceback)
    }
}

/// The frame that asks a driver to run `code`.
pub(super) fn cell_request(id: &str, language: &str, clear: bool, code: &[u8], limits: &Limits) -> Vec<u8> {
    let run = CellRequest::Run {
        id: id.to_owned(),
        language: language.to_owned(),
        clear,
        memory: limits.cell_memory,
        display: limits.display,
        displays: limits.displays,
    };
    frame::encode(&run, code).unwrap_or_default()
}

/// The lines that make the shell run `command`: its input is empty, and it cannot write statuses.
pub(super) fn shell_request(id: &str, command: &[u8]) -> Vec<u8> {
    let mut script = b"eval '".to_vec();
    for &byte in command {
        match byte {
            b'\'' => script.extend_from_slice(b"'\\''"),
            0 => {} // bash drops NUL as well, with a warning
            _ => script.push(byte),
        }
    }
    // On its own line: a command that ends the shell's evaluation must not take the status line with it.
    script.extend_from_slice(b"' </dev/null 9>&-\n");
    script.extend_from_slice(format!("builtin printf '%s %d\\n' {id} \"$?\" >&9\n").as_bytes());
    script
}
