//! What is counted of one call for its receipt, and the receipt's payload.

use super::account::{Account, millis};
use super::met::{TAIL, tail};
use super::worker::Worker;
use crate::audit::Seen;
use crate::backend::{Consumed, Provenance};
use crate::command::ToolCall;
use crate::egress::EgressCounters;
use crate::error::Error;
use crate::event::{Ended as How, Event, Execution, FileChange, Outcome, StateAfter};
use crate::receipt::VERSION;
use serde_json::{Map, Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// What is known of a call when it begins.
pub(super) struct Called {
    /// Its number within the session.
    pub(super) number: u64,
    pub(super) invocation: Option<String>,
    pub(super) tool: &'static str,
    pub(super) language: Option<&'static str>,
    /// SHA-256 of the code or command.
    pub(super) code: Option<String>,
    /// What it is to write, for a call that writes files.
    pub(super) files: Vec<Value>,
    /// What its worker had used.
    pub(super) since: Option<Measured>,
    pub(super) reaches: Reaches,
}

/// A worker that says of itself what it has used, for calls whose answer does not: those of browsers.
pub(super) struct Measured {
    worker: Worker,
    before: Option<Consumed>,
    egress: Option<EgressCounters>,
}

impl Measured {
    /// What the worker of a call has used before it.
    pub(super) fn of(call: &ToolCall, worker: &Worker) -> Option<Self> {
        let browses = matches!(call, ToolCall::Act { .. } | ToolCall::Perform { .. });
        browses.then(|| Self { worker: worker.clone(), before: worker.consumed(), egress: passed(worker) })
    }

    /// What it has used since: processor time, and the most memory that it had.
    fn used(&self) -> Option<(Duration, u64)> {
        let (before, after) = self.before.zip(self.worker.consumed())?;
        Some((after.cpu.saturating_sub(before.cpu), after.memory_peak))
    }

    /// Bytes that have come to it through its way out since, and gone.
    fn moved(&self) -> Option<(u64, u64)> {
        let (before, after) = self.egress.zip(passed(&self.worker))?;
        let since = |after: u64, before: u64| after.saturating_sub(before);
        Some((since(after.bytes_in, before.bytes_in), since(after.bytes_out, before.bytes_out)))
    }
}

fn passed(worker: &Worker) -> Option<EgressCounters> {
    worker.egress().map(|report| report.total)
}

/// What has been counted so far.
pub(super) struct Tally {
    pub(super) called: Called,
    began: SystemTime,
    since: Instant,
    stdout: u64,
    stderr: u64,
    /// The end of what it said on descriptor 2, and a little more.
    said: Vec<u8>,
}

/// Whether a call may have connections of its session's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reaches {
    /// It runs code, which has them all.
    Out,
    /// It does not.
    Nothing,
}

/// How a call came to its end.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ended<'e> {
    /// With an answer.
    Answered(&'e Outcome),
    /// With an error in place of one.
    Failed(&'e Error),
}

impl Ended<'_> {
    /// Whether the call did not do what it was asked to.
    pub(super) fn failed(&self) -> bool {
        match self {
            Self::Answered(Outcome::Executed(execution)) => {
                execution.exit_code != 0 || execution.error.is_some()
            }
            Self::Answered(outcome) => matches!(outcome, Outcome::Failed { .. }),
            Self::Failed(_) => true,
        }
    }
}

impl Tally {
    pub(super) fn new(called: Called) -> Self {
        let (began, since) = (SystemTime::now(), Instant::now());
        Self { called, began, since, stdout: 0, stderr: 0, said: Vec::new() }
    }

    /// Counts an event on its way to the answer.
    pub(super) fn count(&mut self, event: &Event) {
        match event {
            Event::Stdout(data) => self.stdout += data.len() as u64,
            Event::Stderr(data) => {
                self.stderr += data.len() as u64;
                if self.said.len() + data.len() > 4 * TAIL {
                    self.said = tail(&self.said).to_vec();
                }
                self.said.extend_from_slice(tail(data));
            }
            Event::Display(_) | Event::Value(_) | Event::Receipt(_) | Event::Done(_) => {}
        }
    }

    /// The end of what the call said on descriptor 2.
    pub(super) fn said(&self) -> &[u8] {
        tail(&self.said)
    }

    /// What the receipt says.
    pub(super) fn payload(self, account: &Account, ended: Ended<'_>, seen: Seen) -> Map<String, Value> {
        let Self { called, began, since, stdout, stderr, said: _ } = self;
        let Called { number, invocation, tool, language, code, files, since: measured, reaches: _ } = called;
        let mut to = Payload::default();
        to.put("version", VERSION);
        to.put("session", account.session().as_str());
        to.put("call", number);
        to.maybe("invocation", invocation);
        to.put("tool", tool);
        to.maybe("language", language);
        to.maybe("code_sha256", code);
        to.put("tier", account.tier.as_str());
        to.put("image", account.image.as_str());
        let provenance = account.provenance().cloned().unwrap_or_default();
        let Provenance { image, artifact } = provenance;
        to.measured("image_digest", image);
        to.maybe("artifact_digest", artifact);
        let policy = account.policy();
        to.put("policy", json!({ "name": policy.name, "version": policy.version }));
        to.put("began_ms", millis(began.duration_since(UNIX_EPOCH).unwrap_or_default()));
        let wall = since.elapsed();
        match ended {
            Ended::Failed(error) => {
                to.put("ended", "failed");
                to.put("error", error.message.as_str());
                to.put("wall_us", micros(wall));
                to.unmeasured(&["cpu_us", "memory_peak_bytes", "files", "bytes_read", "bytes_written"]);
            }
            Ended::Answered(Outcome::Executed(execution)) => to.execution(execution, stdout, stderr),
            Ended::Answered(outcome) => to.other(outcome, wall, files, measured),
        }
        let Seen { egress, omitted, denials } = seen;
        let egress: Vec<Value> = egress
            .into_iter()
            .map(|to| json!({ "host": to.host, "port": to.port, "decision": to.passage.name(), "rule": to.rule, "count": to.count }))
            .collect();
        to.put("egress", egress);
        to.put("egress_omitted", omitted);
        to.put("denials", denials.iter().map(|noted| noted.id.as_str().into()).collect::<Vec<Value>>());
        to.finish()
    }
}

#[derive(Default)]
struct Payload {
    members: Map<String, Value>,
    unmeasured: Vec<&'static str>,
}

impl Payload {
    fn put(&mut self, name: &str, value: impl Into<Value>) {
        self.members.insert(name.to_owned(), value.into());
    }

    fn maybe(&mut self, name: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    fn measured(&mut self, name: &'static str, value: Option<impl Into<Value>>) {
        match value {
            Some(value) => self.put(name, value),
            None => self.unmeasured.push(name),
        }
    }

    fn unmeasured(&mut self, names: &[&'static str]) {
        self.unmeasured.extend(names);
    }

    fn execution(&mut self, execution: &Execution, stdout: u64, stderr: u64) {
        let Execution {
            exit_code,
            ended,
            error,
            limits,
            denials: _,
            meanwhile: _,
            state,
            files,
            files_truncated,
            usage,
        } = execution;
        self.put(
            "ended",
            match ended {
                How::Completed => "completed",
                How::Exited => "exited",
                How::Interrupted => "interrupted",
                How::Killed => "killed",
                How::Died => "died",
            },
        );
        self.put("exit_code", *exit_code);
        self.maybe("exception", error.as_ref().map(|error| error.name.as_str()));
        self.put("limits", limits.iter().map(|limit| limit.code().into()).collect::<Vec<Value>>());
        self.put(
            "state",
            match state {
                StateAfter::Kept => "kept",
                StateAfter::Restored => "restored",
                StateAfter::Lost => "lost",
            },
        );
        self.put("wall_us", micros(usage.wall));
        self.measured("cpu_us", usage.cpu.map(micros));
        self.measured("memory_peak_bytes", usage.memory_peak);
        self.put("stdout_bytes", stdout);
        self.put("stderr_bytes", stderr);
        self.put("files", files.iter().map(file).collect::<Vec<Value>>());
        self.put("files_truncated", *files_truncated);
        self.measured("bytes_read", usage.read);
        self.measured("bytes_written", usage.written);
    }

    fn other(&mut self, outcome: &Outcome, wall: Duration, written: Vec<Value>, measured: Option<Measured>) {
        self.put("ended", if matches!(outcome, Outcome::Failed { .. }) { "failed" } else { "completed" });
        self.put("wall_us", micros(wall));
        let bytes = match outcome {
            Outcome::Files { files, .. } => Some((files.iter().map(|file| file.data.len() as u64).sum(), 0)),
            Outcome::Range { data, .. } => Some((data.len() as u64, 0)),
            Outcome::Written { files } => Some((0, files.iter().map(|(_, size)| *size).sum::<u64>())),
            Outcome::Listing { .. } => Some((0, 0)),
            // What a page has loaded and sent. What a task or a kept state has moved, nobody counts.
            _ => measured.as_ref().and_then(Measured::moved),
        };
        let files = match outcome {
            Outcome::Written { .. } => Some(written),
            Outcome::Files { .. } | Outcome::Range { .. } | Outcome::Listing { .. } => Some(Vec::new()),
            _ => None,
        };
        self.measured("files", files);
        self.measured("bytes_read", bytes.map(|(read, _)| read));
        self.measured("bytes_written", bytes.map(|(_, written)| written));
        if let Outcome::Failed { message } = outcome {
            self.put("error", message.as_str());
        }
        let used = measured.as_ref().and_then(Measured::used);
        self.measured("cpu_us", used.map(|(cpu, _)| micros(cpu)));
        self.measured("memory_peak_bytes", used.map(|(_, memory)| memory));
    }

    fn finish(mut self) -> Map<String, Value> {
        let names: Vec<Value> = self.unmeasured.iter().map(|name| (*name).into()).collect();
        self.put("unmeasured", names);
        self.members
    }
}

fn file(file: &FileChange) -> Value {
    let FileChange { path, size, created, digest } = file;
    // Without a digest the file was too large, or there were too many: the reader sees that it is missing.
    json!({ "path": path, "size": size, "created": created, "sha256": digest })
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
