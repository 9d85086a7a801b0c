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
use cloister_core::egress::Redaction;
use cloister_core::event::{
    Entry, Event, Execution, FileBody, GuestError, Outcome, PathFailure, Rich, TaskStatus,
};
use std::sync::Arc;

/// The redaction of one call.
pub(crate) struct Redact {
    values: Arc<dyn Redaction>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Redact {
    pub(crate) fn new(values: Arc<dyn Redaction>) -> Self {
        Self { values, stdout: Vec::new(), stderr: Vec::new() }
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
                let mut data = Vec::from(data);
                self.values.mask_part(&mut data);
                Outcome::Range { size, modified, data: data.into() }
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
