//! The messages of the control channel, between server and init. What init says about a call is measured.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of the control channel; init and server refuse each other when it differs.
pub const PROTOCOL: u32 = 3;

/// Server to init.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// First message of a connection: proves that the peer is the server that made the plan.
    Attach {
        /// The nonce of the plan.
        nonce: String,
        /// What is left of the sandbox's life, in milliseconds; 0 leaves it as it is.
        ttl_ms: u64,
    },
    /// Run a cell; the blob is the code.
    Execute {
        /// The server's id of the call.
        id: String,
        /// `python`, `nodejs`, `deno`.
        runtime: String,
        /// `python`, `javascript`, `typescript`.
        language: String,
        /// Start from an empty context.
        clear: bool,
        /// Deadline in milliseconds.
        deadline_ms: u64,
    },
    /// Run a command in the persistent shell; the blob is the command.
    Command {
        /// The server's id of the call.
        id: String,
        /// Deadline in milliseconds.
        deadline_ms: u64,
    },
    /// Start a background command; the blob is the command.
    TaskStart {
        /// The server's id of the call.
        id: String,
        /// The id that the task gets.
        task: String,
    },
    /// State of a task.
    TaskGet {
        /// The server's id of the call.
        id: String,
        /// The task.
        task: String,
    },
    /// Kill a task.
    TaskStop {
        /// The server's id of the call.
        id: String,
        /// The task.
        task: String,
    },
    /// Read whole files.
    Read {
        /// The server's id of the call.
        id: String,
        /// As the client gave them.
        paths: Vec<String>,
    },
    /// Write files, all or none; the blob holds their contents one after the other.
    Write {
        /// The server's id of the call.
        id: String,
        /// Path and length of each.
        files: Vec<WriteFile>,
    },
    /// List one directory.
    List {
        /// The server's id of the call.
        id: String,
        /// The directory.
        path: String,
    },
    /// Remove files and trees.
    Remove {
        /// The server's id of the call.
        id: String,
        /// What to remove.
        paths: Vec<String>,
    },
    /// Give a file another name in its folder, the first that is free: `stem.ext`, `stem (1).ext`, …
    Name {
        /// The server's id of the call.
        id: String,
        /// The file.
        path: String,
        /// Without a separator.
        stem: String,
        /// With its dot, or empty.
        extension: String,
    },
    /// Read a range of one file.
    Range {
        /// The server's id of the call.
        id: String,
        /// The file.
        path: String,
        /// First byte.
        offset: u64,
        /// At most so many bytes.
        length: u64,
    },
    /// Keep the state as it is. Engines only.
    Checkpoint {
        /// The server's id of the call.
        id: String,
    },
    /// Go back to a state that was kept. Engines only.
    Restore {
        /// The server's id of the call.
        id: String,
        /// Which; the state before the last cell if absent.
        checkpoint: Option<String>,
    },
    /// Fault in what a first call needs, so that it is quick.
    Warm,
    /// End the running foreground call as its deadline would.
    Interrupt,
    /// End the sandbox.
    Shutdown,
}

/// One file of a [`Request::Write`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WriteFile {
    /// As the client gave it.
    pub path: String,
    /// Bytes of the blob that are its content.
    pub len: u64,
}

/// Init to server.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "ev", rename_all = "snake_case")]
pub enum Reply {
    /// Answer to `Attach`.
    Hello {
        /// [`PROTOCOL`].
        protocol: u32,
        /// What init sees of its own walls: name and value.
        walls: BTreeMap<String, String>,
        /// What the descriptors are that come with this frame (as ancillary data), in their order.
        handed: Vec<Handed>,
    },
    /// The resident (a browser, an engine) has ended, and the sandbox ends with it. The last frame of a connection.
    ResidentEnded {
        /// `browser` or `engine`.
        name: String,
        /// Its exit code, or 128 and the number of the signal that killed it.
        status: i32,
        /// The last that it wrote to descriptors 1 and 2: text of the guest.
        said: String,
    },
    /// Answer to `Warm`.
    Warmed,
    /// Output; the blob is the bytes.
    Stdout {
        /// The call.
        id: String,
    },
    /// Output; the blob is the bytes.
    Stderr {
        /// The call.
        id: String,
    },
    /// Something shown; the blob holds the forms.
    Display {
        /// The call.
        id: String,
        /// MIME types and lengths.
        forms: Vec<Form>,
    },
    /// The value of the last expression; the blob holds the forms.
    Value {
        /// The call.
        id: String,
        /// MIME types and lengths.
        forms: Vec<Form>,
    },
    /// One file of a `Read`; the blob is its content.
    File {
        /// The call.
        id: String,
        /// As asked.
        path: String,
        /// Why it could not be read.
        error: Option<String>,
    },
    /// A foreground call ended; the blob is the traceback.
    Executed {
        /// The call.
        id: String,
        /// The rest.
        report: Report,
    },
    /// A file tool or a task request ended.
    Done {
        /// The call.
        id: String,
        /// Its result.
        result: ToolResult,
    },
}

/// A descriptor that init hands to the server. A server that attaches again gets it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Handed {
    /// The listener of the egress proxy.
    Proxy,
    /// What is written to it arrives at the browser's descriptor 3.
    ToBrowser,
    /// What the browser writes to its descriptor 4 is read from it.
    FromBrowser,
    /// The socket for orders to the engine ([`super::engine`]).
    Engine,
}

/// One form of a display.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Form {
    /// MIME type.
    pub mime: String,
    /// Bytes of the blob.
    pub len: u64,
}

/// How a foreground call ended, as init measured it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// What a shell would report.
    pub exit_code: i32,
    /// How it ended.
    pub ended: Ended,
    /// Name and message of the uncaught exception.
    pub error: Option<(String, String)>,
    /// The runtime's state is gone.
    pub state_lost: bool,
    /// The session is as it was before the call, files included.
    #[serde(default)]
    pub restored: bool,
    /// Bytes of stdout and stderr that were dropped above the cap.
    pub dropped: [u64; 2],
    /// The storage is full.
    pub disk_full: bool,
    /// It holds as many files as it may.
    #[serde(default)]
    pub files_full: bool,
    /// The deadline that was hit, in milliseconds.
    pub deadline_ms: Option<u64>,
    /// Created or changed files.
    pub files: Vec<Changed>,
    /// There were more.
    pub files_truncated: bool,
    /// Duration in microseconds.
    pub wall_us: u64,
    /// What else is known of it where it ran.
    #[serde(default)]
    pub used: Used,
}

/// What a call has used, as far as who carried it out can tell. What the server measures from outside is not in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// Processor time in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_us: Option<u64>,
    /// Highest memory of the session so far, in bytes, where the server cannot tell it from that of others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Bytes read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<u64>,
    /// Bytes written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<u64>,
}

/// Bytes of an exception's name and message in a report.
const SAID: usize = 64 << 10;
/// Bytes of the changed files in a report, of the mebibyte that a message has.
const FILES: usize = 512 << 10;

impl Report {
    /// Shortens what a guest can make long: a report that is too large for the channel would close it, and the session with it.
    pub fn trim(&mut self) {
        if let Some((name, message)) = &mut self.error {
            cut(name, SAID / 16);
            cut(message, SAID);
        }
        let mut left = FILES;
        let fit = self.files.iter().take_while(|file| {
            // Escaped, a path has at most twice its length: control characters are not in it (`guest/path.rs`).
            let size = 2 * file.path.len() + 144;
            left.checked_sub(size).inspect(|rest| left = *rest).is_some()
        });
        let fit = fit.count();
        self.files_truncated |= fit < self.files.len();
        self.files.truncate(fit);
    }
}

/// Shortens `text` to at most `most` bytes of JSON, and says so in it.
fn cut(text: &mut String, most: usize) {
    let mut size = 0;
    let end = text.char_indices().find(|(_, c)| {
        // `\u0001` is the longest that a character becomes.
        size += if c.is_ascii_control() { 6 } else { 2 * c.len_utf8() };
        size > most
    });
    if let Some((end, _)) = end {
        text.truncate(end);
        text.push('…');
    }
}

/// See `cloister_core::event::Ended`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// By itself.
    #[default]
    Completed,
    /// By an exit call.
    Exited,
    /// By the interrupt.
    Interrupted,
    /// By the kill.
    Killed,
    /// By a crash.
    Died,
}

/// A created or changed file.
#[derive(Debug, Serialize, Deserialize)]
pub struct Changed {
    /// Relative to the workspace.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// It was not there before.
    pub created: bool,
    /// SHA-256 in hexadecimal digits; none beyond the bounds of `digest.rs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// The result of a file tool or a task request.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ToolResult {
    /// The `File` frames before were the result.
    Read,
    /// All files were written.
    Written {
        /// Path and size of each.
        files: Vec<(String, u64)>,
    },
    /// A directory.
    Listing {
        /// Sorted by name.
        entries: Vec<ListedEntry>,
        /// There were more.
        truncated: bool,
    },
    /// What was removed.
    Removed {
        /// As asked.
        removed: Vec<String>,
        /// As asked, with the reason.
        failed: Vec<(String, String)>,
    },
    /// A range; the blob is the bytes.
    Range {
        /// Size of the file.
        size: u64,
        /// Seconds since the epoch.
        modified: i64,
    },
    /// A task; the blob is stdout, then stderr.
    Task {
        /// Its id.
        task: String,
        /// `submitted` (in the answer to a start), `working`, `completed`, `canceled`, `failed`.
        status: String,
        /// Bytes of the blob that are stdout.
        stdout: u64,
        /// Set once it ended.
        exit_code: Option<i32>,
        /// Milliseconds since it started.
        wall_ms: u64,
    },
    /// The state was kept.
    Checkpointed {
        /// What `Restore` takes.
        checkpoint: String,
        /// Bytes that it holds.
        bytes: u64,
    },
    /// A state that was kept is the session's again.
    Restored {
        /// Which, or `previous`.
        checkpoint: String,
    },
    /// What the request names does not exist.
    Unknown {
        /// What was looked for.
        message: String,
    },
    /// The tool could not do it.
    Failed {
        /// What happened, to what, and what to do.
        message: String,
    },
}

/// One entry of a listing.
#[derive(Debug, Serialize, Deserialize)]
pub struct ListedEntry {
    /// Percent-encoded where it is not UTF-8 or holds control characters.
    pub name: String,
    /// Relative to the workspace inside it, else absolute.
    pub path: String,
    /// `file`, `directory`, `symlink`, `other`.
    pub kind: String,
    /// Bytes.
    pub size: u64,
    /// Seconds since the epoch.
    pub modified: i64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::frame::{CONTROL, head};

    #[test]
    fn whatever_a_guest_does_its_report_fits_the_channel() {
        for long in ["x", "\"", "\\", "\u{1}", "漢", "😀"] {
            let long = long.repeat(1 << 20);
            let path = "\"".repeat(12_000);
            let changed = || Changed {
                path: path.clone(),
                size: u64::MAX,
                created: true,
                digest: Some("0".repeat(64)),
            };
            let mut report = Report {
                error: Some((long.clone(), long)),
                files: std::iter::repeat_with(changed).take(256).collect(),
                ..Report::default()
            };
            report.trim();
            assert!(report.files_truncated && !report.files.is_empty());
            assert!(report.error.as_ref().is_some_and(|(_, message)| message.ends_with('…')));
            assert!(head(&report, 0, CONTROL).is_ok());
        }
    }

    #[test]
    fn what_is_short_is_left_alone() {
        let changed = Changed { path: "größe.csv".into(), size: 1, created: true, digest: None };
        let mut report = Report {
            error: Some(("ValueError".into(), "it's \"so\"".into())),
            files: vec![changed],
            ..Report::default()
        };
        report.trim();
        assert_eq!(report.error, Some(("ValueError".into(), "it's \"so\"".into())));
        assert!(!report.files_truncated && report.files.len() == 1);
    }
}
