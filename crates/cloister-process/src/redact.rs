//! Keeps values of secrets out of what a session says: the last net, behind the proxy that keeps them out of the session.
//!
//! ```text
//!   reply ─▶ Event ─▶ Redact::event ─┬─ stdout, stderr: across pieces, the end held back while it may become a value
//!                                    └─ everything else is whole: masked in place
//! ```
//!
//! A value can be in a session all the same: another host, to which nothing is bound, may know it. Sessions without secrets have no
//! [`Redact`] and pay nothing.

use bytes::Bytes;
use cloister_core::backend::InvokeError;
use cloister_core::command::ToolCall;
use cloister_core::egress::Redaction;
use cloister_core::event::{
    Entry, Event, Execution, FileBody, GuestError, Outcome, PathFailure, Rich, TaskStatus,
};
use std::sync::Arc;

/// Bytes above which what is looked through would keep a thread of the runtime for too long.
const LARGE: usize = 1 << 20;

/// The redaction of one call.
pub(crate) struct Redact {
    values: Arc<dyn Redaction>,
    /// What was asked of a part of a file, which is read with what lies around it: a value that the borders cut up is still one.
    part: Option<Part>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// A part of what was read.
struct Part {
    /// Bytes before it.
    before: u64,
    length: u64,
}

impl Part {
    fn of(&self, data: &Bytes) -> Bytes {
        let within = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(data.len());
        data.slice(within(self.before)..within(self.before.saturating_add(self.length)))
    }
}

impl Redact {
    pub(crate) fn new(values: Arc<dyn Redaction>) -> Self {
        Self { values, part: None, stdout: Vec::new(), stderr: Vec::new() }
    }

    /// The call as it has to be made.
    pub(crate) fn call(&mut self, call: ToolCall) -> ToolCall {
        let ToolCall::ReadRange { path, offset, length } = call else { return call };
        let reach = self.values.longest().saturating_sub(1) as u64;
        let before = reach.min(offset);
        self.part = Some(Part { before, length });
        ToolCall::ReadRange { path, offset: offset - before, length: length.saturating_add(before + reach) }
    }

    /// [`Self::outcome`], off the runtime's threads where there is much to look through: others wait for them.
    pub(crate) async fn looked_through(self, outcome: Outcome) -> Result<Outcome, InvokeError> {
        if weight(&outcome) <= LARGE {
            return Ok(self.outcome(outcome));
        }
        let looked = tokio::task::spawn_blocking(move || self.outcome(outcome)).await;
        looked
            .map_err(|error| InvokeError::Protocol(format!("an answer could not be looked through: {error}")))
    }

    /// The event as clients may have it; `None` if nothing of it can be passed on yet.
    pub(crate) fn event(&mut self, event: Event) -> Option<Event> {
        let some = |bytes: Vec<u8>| (!bytes.is_empty()).then(|| Bytes::from(bytes));
        Some(match event {
            Event::Stdout(bytes) => Event::Stdout(some(self.values.pass(&mut self.stdout, &bytes))?),
            Event::Stderr(bytes) => Event::Stderr(some(self.values.pass(&mut self.stderr, &bytes))?),
            Event::Display(rich) => Event::Display(self.rich(rich)),
            Event::Value(rich) => Event::Value(self.rich(rich)),
            other @ (Event::Receipt(_) | Event::Done(_)) => other,
        })
    }

    /// What was held back of the streams: they have ended.
    pub(crate) fn rest(&mut self) -> impl Iterator<Item = Event> {
        let kept =
            |bytes: &mut Vec<u8>| Some(Bytes::from(std::mem::take(bytes))).filter(|bytes| !bytes.is_empty());
        let rest = [kept(&mut self.stdout).map(Event::Stdout), kept(&mut self.stderr).map(Event::Stderr)];
        rest.into_iter().flatten()
    }

    /// The outcome as clients may have it.
    pub(crate) fn outcome(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Executed(mut execution) => {
                let Execution { error, files, .. } = &mut execution;
                if let Some(GuestError { name, message, traceback }) = error {
                    [name, message, traceback].into_iter().for_each(|text| self.text(text));
                }
                files.iter_mut().for_each(|file| self.text(&mut file.path));
                Outcome::Executed(execution)
            }
            Outcome::Files { files, failed } => Outcome::Files {
                files: files
                    .into_iter()
                    .map(|FileBody { path, data }| FileBody {
                        path: self.texted(path),
                        data: self.bytes(data),
                    })
                    .collect(),
                failed: self.failures(failed),
            },
            Outcome::Listing { entries, truncated } => {
                let masked = |entry: Entry| {
                    let (name, path) = (self.texted(entry.name), self.texted(entry.path));
                    Entry { name, path, ..entry }
                };
                Outcome::Listing { entries: entries.into_iter().map(masked).collect(), truncated }
            }
            Outcome::Task(mut task) => {
                let ended = !matches!(task.status, TaskStatus::Submitted | TaskStatus::Working);
                for stream in [&mut task.stdout, &mut task.stderr] {
                    *stream = if ended { self.bytes(stream.clone()) } else { self.so_far(stream) };
                }
                Outcome::Task(task)
            }
            Outcome::Range { size, modified, data } => {
                let data = self.bytes(data);
                let data = match &self.part {
                    Some(part) => part.of(&data),
                    None => data,
                };
                Outcome::Range { size, modified, data }
            }
            Outcome::Failed { message } => Outcome::Failed { message: self.texted(message) },
            // What the client has said itself, or what no guest has.
            other @ (Outcome::Written { .. }
            | Outcome::Removed { .. }
            | Outcome::Checkpointed { .. }
            | Outcome::Restored { .. }
            | Outcome::Acted(_)
            | Outcome::Performed(_)) => other,
        }
    }

    /// Output of a task that goes on: its end may be the beginning of a value.
    fn so_far(&self, stream: &Bytes) -> Bytes {
        self.values.pass(&mut Vec::new(), stream).into()
    }

    fn rich(&self, rich: Rich) -> Rich {
        let forms = rich.forms.into_iter().map(|(mime, bytes)| (self.texted(mime), self.bytes(bytes)));
        Rich { forms: forms.collect() }
    }

    fn bytes(&self, bytes: Bytes) -> Bytes {
        let mut bytes = Vec::from(bytes);
        self.values.mask(&mut bytes);
        bytes.into()
    }

    fn text(&self, text: &mut String) {
        let mut bytes = std::mem::take(text).into_bytes();
        self.values.mask(&mut bytes);
        // Values are ASCII, so that a text stays one.
        *text = String::from_utf8_lossy(&bytes).into_owned();
    }

    fn texted(&self, mut text: String) -> String {
        self.text(&mut text);
        text
    }

    fn failures(&self, failed: Vec<PathFailure>) -> Vec<PathFailure> {
        let masked = |PathFailure { path, reason }: PathFailure| PathFailure {
            path: self.texted(path),
            reason: self.texted(reason),
        };
        failed.into_iter().map(masked).collect()
    }
}

/// Bytes that have to be looked through.
fn weight(outcome: &Outcome) -> usize {
    match outcome {
        Outcome::Files { files, .. } => files.iter().map(|file| file.data.len()).sum(),
        Outcome::Range { data, .. } => data.len(),
        Outcome::Task(task) => task.stdout.len() + task.stderr.len(),
        _ => 0,
    }
}
