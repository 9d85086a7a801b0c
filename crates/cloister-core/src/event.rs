//! What a call answers: output as it arrives, then exactly one outcome.

use crate::browser::action::ActionResult;
use crate::browser::page::Performed;
use crate::denial::Noted;
use crate::receipt::Receipt;
use bytes::Bytes;
use std::time::Duration;

/// One step of an answer. `Done` comes last and exactly once.
#[derive(Clone, Debug)]
pub enum Event {
    /// Bytes that the guest wrote to descriptor 1.
    Stdout(Bytes),
    /// Bytes that the guest wrote to descriptor 2.
    Stderr(Bytes),
    /// Something shown: a figure, a table, `display(x)`.
    Display(Rich),
    /// The value of a last bare expression.
    Value(Rich),
    /// What the call used, changed and reached. Comes before the end; made by the session, not by a worker.
    Receipt(Box<Receipt>),
    /// The end of the call.
    Done(Box<Outcome>),
}

/// One value in several forms, keyed by MIME type. `text/plain` is always among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rich {
    /// MIME type and content; text types are UTF-8.
    pub forms: Vec<(String, Bytes)>,
}

impl Rich {
    /// The content of one MIME type.
    pub fn get(&self, mime: &str) -> Option<&Bytes> {
        self.forms.iter().find(|(m, _)| m == mime).map(|(_, b)| b)
    }
}

/// How a call ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// A foreground call ran (well or not).
    Executed(Execution),
    /// `ReadFiles`: what was found and what was not.
    Files {
        /// In the order of the request.
        files: Vec<FileBody>,
        /// One entry per path that could not be read.
        failed: Vec<PathFailure>,
    },
    /// `ListFiles`.
    Listing {
        /// Sorted by name.
        entries: Vec<Entry>,
        /// The directory had more entries than are listed here.
        truncated: bool,
    },
    /// `WriteFiles`: all were written.
    Written {
        /// Path (as asked) and size.
        files: Vec<(String, u64)>,
    },
    /// `RemoveFiles`: what was removed and what was not.
    Removed {
        /// Paths as asked.
        removed: Vec<String>,
        /// One entry per path that could not be removed.
        failed: Vec<PathFailure>,
    },
    /// `StartCommandExecution`, `GetTask`, `StopTask`.
    Task(Task),
    /// `ReadRange`.
    Range {
        /// Size of the whole file.
        size: u64,
        /// Last modification, seconds since the epoch.
        modified: i64,
        /// The bytes asked for, as far as the file has them.
        data: Bytes,
    },
    /// `Checkpoint`.
    Checkpointed {
        /// What `Restore` takes.
        checkpoint: String,
        /// Bytes that it holds.
        bytes: u64,
    },
    /// `Restore`.
    Restored {
        /// Which: as `Checkpoint` returned it, or `previous`.
        checkpoint: String,
    },
    /// `Act`.
    Acted(ActionResult),
    /// `Perform`: one entry per page action that was begun; only the last one can have failed.
    Performed(Vec<Performed>),
    /// The tool could not do it; the session is fine. `isError` on the wire.
    Failed {
        /// What happened, to what, and what to do.
        message: String,
    },
}

/// A foreground call that ran.
#[derive(Clone, Debug, Default)]
pub struct Execution {
    /// What a shell would report: 0, the program's status, 128 + signal.
    pub exit_code: i32,
    /// How it ended.
    pub ended: Ended,
    /// The uncaught exception, if there was one.
    pub error: Option<GuestError>,
    /// Limits that the call ran into, in the order in which they were noticed.
    pub limits: Vec<LimitHit>,
    /// What its programs were refused, each once; filled in by the session, not by a worker.
    pub denials: Vec<Noted>,
    /// What else the session was refused while it ran, by the way out for the most part: by the call, or by something in the background.
    pub meanwhile: Vec<Noted>,
    /// What became of the runtime's state.
    pub state: StateAfter,
    /// Files that the call created or changed.
    pub files: Vec<FileChange>,
    /// More files changed than are listed.
    pub files_truncated: bool,
    /// What it used.
    pub usage: Usage,
}

/// How a foreground call ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with or without an exception.
    #[default]
    Completed,
    /// `sys.exit`, `process.exit`, `exit`.
    Exited,
    /// The deadline came and the interrupt was enough.
    Interrupted,
    /// The deadline came, the interrupt was ignored, and the runtime was killed.
    Killed,
    /// The runtime died: a crash, `os._exit`, or the out-of-memory killer (see the limits).
    Died,
}

/// What became of the variables, imports and working directory of the runtime.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StateAfter {
    /// All there.
    #[default]
    Kept,
    /// As it was before the call, files included: the call has been undone.
    Restored,
    /// Gone; the next call starts with an empty context. Files are still there.
    Lost,
}

/// An uncaught exception.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuestError {
    /// `ZeroDivisionError`.
    pub name: String,
    /// `division by zero`.
    pub message: String,
    /// As the language prints it, own frames only.
    pub traceback: String,
}

/// A limit that a call ran into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LimitHit {
    /// `out of memory`
    Memory {
        /// Bytes.
        limit: u64,
    },
    /// `too many processes`
    Processes {
        /// Count.
        limit: u64,
    },
    /// `disk quota`
    Disk {
        /// Bytes.
        limit: u64,
    },
    /// `too many files`
    Files {
        /// Count.
        limit: u64,
    },
    /// `output truncated at N bytes`
    Output {
        /// `stdout` or `stderr`.
        stream: &'static str,
        /// Bytes kept.
        limit: u64,
        /// Bytes dropped.
        dropped: u64,
    },
    /// `deadline`
    Deadline {
        /// The time that the call had.
        limit: Duration,
    },
}

impl LimitHit {
    /// The name in native answers and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Memory { .. } => "memory",
            Self::Processes { .. } => "processes",
            Self::Disk { .. } => "disk",
            Self::Files { .. } => "files",
            Self::Output { .. } => "output",
            Self::Deadline { .. } => "deadline",
        }
    }

    /// The field of the policy whose refusal says the same with an id; `None` for one that is no refusal.
    pub fn rule(&self) -> Option<&'static str> {
        Some(match self {
            Self::Memory { .. } => "resources.memory",
            Self::Processes { .. } => "resources.pids",
            Self::Disk { .. } => "filesystem.disk",
            Self::Files { .. } => "filesystem.inodes",
            Self::Output { .. } | Self::Deadline { .. } => return None,
        })
    }

    /// One sentence for the person who reads the answer.
    pub fn sentence(&self) -> String {
        match self {
            Self::Memory { limit } => format!("out of memory: the session may use {}", bytes_text(*limit)),
            Self::Processes { limit } => {
                format!("too many processes: the session may have {limit} processes and threads")
            }
            Self::Disk { limit } => format!(
                "disk quota: the session may store {}; remove files or ask for a larger policy",
                bytes_text(*limit)
            ),
            Self::Files { limit } => {
                format!(
                    "too many files: the session may have {limit} files and directories; remove some or ask for a larger policy"
                )
            }
            Self::Output { stream, limit, dropped } => {
                format!("output truncated at {limit} bytes: {dropped} more bytes of {stream} were dropped")
            }
            Self::Deadline { limit } => {
                format!("deadline: the call was stopped after {} s", limit.as_secs_f64())
            }
        }
    }
}

/// `1.5 GiB`, for sentences.
pub fn bytes_text(n: u64) -> String {
    let units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let mut value = n as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    let text = format!("{value:.1}");
    format!("{} {}", text.strip_suffix(".0").unwrap_or(&text), units[unit])
}

/// What a call used. Measured outside the guest where the host has cgroups; otherwise by the sandbox's init.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// From the call's arrival at the sandbox to its end.
    pub wall: Duration,
    /// User and system time of all processes of the session during the call; `None` where it cannot be measured.
    pub cpu: Option<Duration>,
    /// Highest memory of the session so far, in bytes; on the wasm tier, since a call was last undone. `None` where it cannot be measured.
    pub memory_peak: Option<u64>,
    /// Bytes that what ran has read; `None` where they cannot be counted. What is counted depends on the tier (`policies/README.md`).
    pub read: Option<u64>,
    /// Bytes that it has written; the same.
    pub written: Option<u64>,
}

/// A file that a call created or changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileChange {
    /// Relative to the workspace.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// New, or there before.
    pub created: bool,
    /// SHA-256 of the content, in hexadecimal digits; `None` for files above the tier's bounds.
    pub digest: Option<String>,
}

/// A file's whole content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileBody {
    /// As asked.
    pub path: String,
    /// The content.
    pub data: Bytes,
}

/// A path that a file tool could not handle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathFailure {
    /// As asked.
    pub path: String,
    /// `no such file`, `is a directory`, …
    pub reason: String,
}

/// What an entry of a directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, not followed.
    Symlink,
    /// A FIFO, socket or device.
    Other,
}

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name, percent-encoded where it is not UTF-8 or holds control characters.
    pub name: String,
    /// Relative to the workspace when it lies inside, absolute otherwise.
    pub path: String,
    /// What it is.
    pub kind: EntryKind,
    /// Bytes, for files.
    pub size: u64,
    /// Last modification, seconds since the epoch.
    pub modified: i64,
}

/// The state of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskStatus {
    /// Accepted.
    Submitted,
    /// Running.
    Working,
    /// Ended with status 0.
    Completed,
    /// Stopped by `StopTask`.
    Canceled,
    /// Ended with another status, or died.
    Failed,
}

/// A background command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its id.
    pub id: String,
    /// Its state.
    pub status: TaskStatus,
    /// What it has written to descriptor 1 so far (capped).
    pub stdout: Bytes,
    /// What it has written to descriptor 2 so far (capped).
    pub stderr: Bytes,
    /// Set once it ended.
    pub exit_code: Option<i32>,
    /// Since it started.
    pub wall: Duration,
}
