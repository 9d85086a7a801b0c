//! What a session uses of its owner's quotas, from its driver's side.
//!
//! ```text
//!   a worker that is measured (a sandbox in a group of its own) ── at each call's end, every 10 s, before its stop ──▶ what is new
//!   any other ── each call's own report, or the time that it took ──────────────────────────────────────────────────▶ Book
//! ```

use super::records;
use super::worker::Worker;
use crate::audit::Desk;
use crate::command::ToolCall;
use crate::error::Error;
use crate::event::{Event, Outcome};
use crate::id::{Principal, SessionId};
use crate::lock::lock;
use crate::quota::{Book, Meter, Unsaved};
use crate::recording::Recordings;
use crate::store::Store;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// How often what works without a call is looked at: pages, background commands. By so much time a quota may be overdrawn.
const LOOK: Duration = Duration::from_secs(10);

/// Whose quotas they are, and where they are kept.
#[derive(Clone)]
pub(super) struct Counted {
    pub(super) owner: Principal,
    pub(super) book: Arc<Book>,
    pub(super) desk: Arc<Desk>,
    pub(super) store: Arc<dyn Store>,
    /// Set if the session is recorded.
    pub(super) recordings: Option<Arc<dyn Recordings>>,
    /// Of a worker that is measured.
    pub(super) seen: Arc<Mutex<Seen>>,
}

/// How much of a worker's CPU time has been counted.
#[derive(Debug, Default)]
pub(super) struct Seen {
    cpu: Duration,
    /// When it is looked at next; never if it cannot be measured.
    next: Option<Instant>,
}

impl Counted {
    /// The session takes calls. What its worker has used before, in a pool for instance, is nobody's.
    pub(super) fn begin(&self, worker: &Worker) {
        if let Some(used) = worker.consumed() {
            *lock(&self.seen) = Seen { cpu: used.cpu, next: Some(Instant::now() + LOOK) };
        }
    }

    /// When the worker is to be looked at.
    pub(super) fn next_look(&self) -> Option<Instant> {
        lock(&self.seen).next
    }

    /// Looks at the worker if it is time.
    pub(super) fn look(&self, worker: Option<&Worker>, now: Instant) {
        let due = {
            let mut seen = lock(&self.seen);
            let due = seen.next.is_some_and(|next| next <= now);
            if due {
                seen.next = Some(now + LOOK);
            }
            due
        };
        if let (true, Some(worker)) = (due, worker) {
            self.catch_up(worker);
            self.save_if_due();
        }
    }

    /// Counts what a worker has used since it was counted last, if it is measured.
    pub(super) fn catch_up(&self, worker: &Worker) {
        let Some(used) = worker.consumed() else { return };
        let mut seen = lock(&self.seen);
        // A group that is gone reads as zero.
        let new = used.cpu.saturating_sub(seen.cpu);
        seen.cpu = seen.cpu.max(used.cpu);
        drop(seen);
        if !new.is_zero() {
            self.book.worked(&self.owner, new);
        }
    }

    /// Lets a call in, if it uses nothing that is used up.
    pub(super) fn admit(&self, call: &ToolCall) -> Result<(), Error> {
        if !works(call) {
            return Ok(());
        }
        self.book.admit_call(&self.owner).map_err(|up| up.error(&self.desk, "a call"))
    }

    /// Counts a call, if it is one that is counted.
    pub(super) fn meter(&self, call: &ToolCall, worker: &Worker) -> Option<CallMeter> {
        if !works(call) {
            return None;
        }
        if lock(&self.seen).next.is_some() {
            return Some(CallMeter::Worker(self.clone(), worker.clone()));
        }
        let reports = matches!(call, ToolCall::ExecuteCode { .. } | ToolCall::ExecuteCommand { .. });
        reports.then(|| CallMeter::Report(self.book.meter(&self.owner)))
    }

    /// Brings what was used to the store, if some of it has waited for long enough. Keeps nobody waiting.
    pub(super) fn save_if_due(&self) {
        let due = self.book.unsaved(Unsaved::Due);
        if !due.is_empty() {
            let (book, store) = (Arc::clone(&self.book), Arc::clone(&self.store));
            tokio::spawn(async move { save(&book, &store, due).await });
        }
    }

    /// Counts what the recording of a session has become, instead of what it could have become.
    pub(super) async fn keep_recording(&self, id: &SessionId) {
        let Some(recordings) = self.recordings.clone() else { return };
        let session = id.clone();
        match tokio::task::spawn_blocking(move || recordings.summary(&session)).await {
            Ok(Ok(found)) => self.book.keep(id, &self.owner, found.map_or(0, |summary| summary.bytes())),
            Ok(Err(error)) => tracing::warn!(session = %id, %error, "the size of a recording is not known"),
            Err(error) => tracing::warn!(session = %id, %error, "the size of a recording is not known"),
        }
    }
}

/// Counts one call when it is over, whatever has become of it.
pub(super) enum CallMeter {
    /// By what its worker has used meanwhile.
    Worker(Counted, Worker),
    /// By its own report, or else by the time that it took.
    Report(Meter),
}

impl CallMeter {
    /// An event on its way to the answer. What a call has used is counted before its answer is there: the next one may come at once.
    pub(super) fn count(&mut self, event: &Event) {
        let Event::Done(outcome) = event else { return };
        match self {
            Self::Worker(counted, worker) => counted.catch_up(worker),
            Self::Report(meter) => {
                if let Outcome::Executed(execution) = outcome.as_ref() {
                    // Where a tier cannot measure CPU time, a call counts by the time that it took.
                    meter.report(execution.usage.cpu.unwrap_or(execution.usage.wall));
                }
            }
        }
    }
}

impl Drop for CallMeter {
    fn drop(&mut self) {
        if let Self::Worker(counted, worker) = self {
            counted.catch_up(worker);
        }
    }
}

/// Brings everything that was used to the store.
pub(super) async fn save_all(book: &Arc<Book>, store: &Arc<dyn Store>) {
    let all = book.unsaved(Unsaved::All);
    if !all.is_empty() {
        save(book, store, all).await;
    }
}

async fn save(book: &Arc<Book>, store: &Arc<dyn Store>, records: Vec<crate::quota::CpuRecord>) {
    let (first, added) = (book.first_slot(), records.clone());
    if let Err(error) = records::ask(store, move |store| store.add_cpu(&added, first)).await {
        tracing::warn!(%error, "CPU time of callers could not be kept; it is tried again");
        book.not_saved(records);
    }
}

/// Whether a call has programs or pages work.
fn works(call: &ToolCall) -> bool {
    matches!(
        call,
        ToolCall::ExecuteCode { .. }
            | ToolCall::ExecuteCommand { .. }
            | ToolCall::StartCommandExecution { .. }
            | ToolCall::Act { .. }
            | ToolCall::Perform { .. }
    )
}
