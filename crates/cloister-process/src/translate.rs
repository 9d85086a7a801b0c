//! Replies of init as events of a call.

use crate::control::End;
use bytes::Bytes;
use cloister_core::event::{
    Ended, Entry, EntryKind, Event, Execution, FileChange, GuestError, LimitHit, Outcome, PathFailure, Rich,
    StateAfter, Task, TaskStatus, Usage,
};
use cloister_core::policy::Policy;
use cloister_jail::cgroup;
use cloister_jail::guest::message::{self, Form, Report, ToolResult};
use std::time::Duration;

/// Forms of one display. Drivers send at most 16; ten thousand empty ones would cost the server more than they say.
const FORMS: usize = 32;

/// The forms of a display; lengths that do not fit the blob are a guest's nonsense and end the list.
pub(crate) fn rich(forms: Vec<Form>, blob: &Bytes) -> Rich {
    let mut rest = blob.clone();
    let mut rich = Rich::default();
    for form in forms.into_iter().take(FORMS) {
        let Ok(length) = usize::try_from(form.len) else { break };
        if length > rest.len() {
            break;
        }
        rich.forms.push((form.mime, rest.split_to(length)));
    }
    rich
}

/// Characters of a resident's own last words in the reason of its end.
const LAST_WORDS: usize = 300;

/// The end of a browser or an engine, in a sentence. What it has said is a guest's text: one line, without control characters.
pub(crate) fn resident_end(name: &str, status: i32, said: &str) -> End {
    let mut why = match status {
        0 => format!("the {name} has ended"),
        129.. => format!("the {name} was killed by signal {}", status - 128),
        status => format!("the {name} has ended with exit code {status}"),
    };
    let words = said.split(|c: char| c.is_control() || c.is_whitespace()).filter(|word| !word.is_empty());
    let said = words.collect::<Vec<_>>().join(" ");
    if status != 0 && !said.is_empty() {
        let skip = said.chars().count().saturating_sub(LAST_WORDS);
        why.push_str("; the last that it said: ");
        why.extend(said.chars().skip(skip));
    }
    End { why, killed: status == 128 + KILL }
}

/// SIGKILL.
const KILL: i32 = 9;

/// What the cgroup said before and after a call.
pub(crate) type Measured = Option<(cgroup::Usage, cgroup::Usage)>;

/// The outcome of a foreground call.
pub(crate) fn execution(report: Report, traceback: &Bytes, measured: Measured, policy: &Policy) -> Outcome {
    let traceback = String::from_utf8_lossy(traceback).into_owned();
    let limits = limits(&report, &traceback, measured, policy);
    let error = report.error.map(|(name, message)| GuestError { name, message, traceback });
    let ended = match report.ended {
        message::Ended::Completed => Ended::Completed,
        message::Ended::Exited => Ended::Exited,
        message::Ended::Interrupted => Ended::Interrupted,
        message::Ended::Killed => Ended::Killed,
        message::Ended::Died => Ended::Died,
    };
    let (files, used) = (report.files.into_iter(), report.used);
    Outcome::Executed(Execution {
        exit_code: report.exit_code,
        ended,
        error,
        limits,
        denials: Vec::new(),
        meanwhile: Vec::new(),
        state: match (report.restored, report.state_lost) {
            (true, _) => StateAfter::Restored,
            (false, true) => StateAfter::Lost,
            (false, false) => StateAfter::Kept,
        },
        files: files
            .map(|f| FileChange {
                path: f.path,
                size: f.size,
                created: f.created,
                digest: f.digest.filter(|digest| digest.len() == 64),
            })
            .collect(),
        files_truncated: report.files_truncated,
        usage: Usage {
            wall: Duration::from_micros(report.wall_us),
            cpu: match measured {
                Some((before, after)) => Some(after.cpu.saturating_sub(before.cpu)),
                None => used.cpu_us.map(Duration::from_micros),
            },
            memory_peak: measured.map(|(_, after)| after.memory_peak).or(used.memory),
            read: used.read,
            written: used.written,
        },
    })
}

/// EAGAIN is also what a socket that is not ready says, so the traceback has to name a fork.
fn refused_to_fork(report: &Report, traceback: &str) -> bool {
    report.error.as_ref().is_some_and(|(name, message)| {
        message.contains("can't start new thread") || name == "BlockingIOError" && traceback.contains("fork")
    })
}

fn limits(report: &Report, traceback: &str, measured: Measured, policy: &Policy) -> Vec<LimitHit> {
    let mut hits = Vec::new();
    if let Some(ms) = report.deadline_ms {
        hits.push(LimitHit::Deadline { limit: Duration::from_millis(ms) });
    }
    let killed_for_memory = measured.is_some_and(|(before, after)| after.oom_kills > before.oom_kills);
    let refused = report.error.as_ref().is_some_and(|(name, _)| name == "MemoryError");
    if killed_for_memory || refused {
        hits.push(LimitHit::Memory { limit: policy.resources.memory });
    }
    // Without a group nobody counts the forks that were refused; the exception is all there is.
    let no_fork = match measured {
        Some((before, after)) => after.pids_refused > before.pids_refused,
        None => refused_to_fork(report, traceback),
    };
    if no_fork {
        hits.push(LimitHit::Processes { limit: policy.resources.pids });
    }
    // The errno in the exception's text, for guests that clean up behind themselves.
    let no_space = report.error.as_ref().is_some_and(|(_, m)| m.contains("No space left on device"));
    if report.files_full {
        hits.push(LimitHit::Files { limit: policy.filesystem.inodes });
    }
    if report.disk_full || no_space && !report.files_full {
        hits.push(LimitHit::Disk { limit: policy.filesystem.disk });
    }
    for (stream, dropped) in ["stdout", "stderr"].into_iter().zip(report.dropped) {
        if dropped > 0 {
            hits.push(LimitHit::Output { stream, limit: policy.output.stream, dropped });
        }
    }
    hits
}

/// The outcome of a file tool or a task request, but for `Read`, whose files have come before.
pub(crate) fn tool(result: ToolResult, blob: Bytes) -> Option<Outcome> {
    Some(match result {
        ToolResult::Read => return None,
        ToolResult::Written { files } => Outcome::Written { files },
        ToolResult::Listing { entries, truncated } => {
            Outcome::Listing { entries: entries.into_iter().map(entry).collect(), truncated }
        }
        ToolResult::Removed { removed, failed } => Outcome::Removed {
            removed,
            failed: failed.into_iter().map(|(path, reason)| PathFailure { path, reason }).collect(),
        },
        ToolResult::Checkpointed { checkpoint, bytes } => Outcome::Checkpointed { checkpoint, bytes },
        ToolResult::Restored { checkpoint } => Outcome::Restored { checkpoint },
        ToolResult::Range { size, modified } => Outcome::Range { size, modified, data: blob },
        ToolResult::Task { task, status, stdout, exit_code, wall_ms } => {
            let split = usize::try_from(stdout).unwrap_or(usize::MAX).min(blob.len());
            let mut stderr = blob;
            let stdout = stderr.split_to(split);
            let status = match status.as_str() {
                "submitted" => TaskStatus::Submitted,
                "working" => TaskStatus::Working,
                "completed" => TaskStatus::Completed,
                "canceled" => TaskStatus::Canceled,
                _ => TaskStatus::Failed,
            };
            Outcome::Task(Task {
                id: task,
                status,
                stdout,
                stderr,
                exit_code,
                wall: Duration::from_millis(wall_ms),
            })
        }
        ToolResult::Unknown { message } | ToolResult::Failed { message } => Outcome::Failed { message },
    })
}

fn entry(listed: message::ListedEntry) -> Entry {
    let kind = match listed.kind.as_str() {
        "file" => EntryKind::File,
        "directory" => EntryKind::Directory,
        "symlink" => EntryKind::Symlink,
        _ => EntryKind::Other,
    };
    Entry { name: listed.name, path: listed.path, kind, size: listed.size, modified: listed.modified }
}

/// The last event of a call.
pub(crate) fn done(outcome: Outcome) -> Event {
    Event::Done(Box::new(outcome))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_that_claim_more_than_the_blob_has_end_the_list() {
        let form = |mime: &str, len| Form { mime: mime.into(), len };
        let rich = rich(
            vec![form("text/plain", 2), form("image/png", u64::MAX), form("text/html", 1)],
            &"abc".into(),
        );
        assert_eq!(rich.forms, [("text/plain".to_owned(), Bytes::from("ab"))]);
    }
}
