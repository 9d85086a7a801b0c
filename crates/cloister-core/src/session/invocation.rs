//! One call's answer: an append-only log of events that any number of consumers replay from the start.
//!
//! ```text
//!   call task ──append──▶ Log [stdout, stdout, display, …, Done] ──next──▶ Invocation (first request)
//!                              kept by the ledger for retries    ──next──▶ Invocation (a retry with the same id)
//! ```
//!
//! The writer never waits for a consumer: a call goes on when every consumer is gone. What keeps the log small is the
//! policy's output limits and, behind them, a cap on the bytes of one log.

use crate::browser::action::ActionResult;
use crate::browser::page::{Given, Performed};
use crate::error::{Error, Kind};
use crate::event::{Event, LimitHit, Outcome, Rich};
use crate::lock::lock;
use crate::receipt::Receipt;
use bytes::Bytes;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// A consumer of one call's events, starting with the first.
#[derive(Debug)]
pub struct Invocation {
    log: Arc<Log>,
    position: usize,
    over: bool,
}

impl Invocation {
    pub(super) fn of(log: Arc<Log>) -> Self {
        Self { log, position: 0, over: false }
    }

    /// The next event; `None` after `Done` or an error. Dropping the future loses nothing, so it may stand in a `select!`.
    pub async fn next(&mut self) -> Option<Result<Event, Error>> {
        if self.over {
            return None;
        }
        let log = Arc::clone(&self.log);
        loop {
            let mut changed = pin!(log.changed.notified());
            // Registered before the look, so that an event between the look and the wait is not missed.
            changed.as_mut().enable();
            match log.read(self.position) {
                Step::Event(event) => {
                    self.position += 1;
                    return Some(Ok(event));
                }
                Step::Failed(error) => {
                    self.over = true;
                    return Some(Err(error));
                }
                Step::End => {
                    self.over = true;
                    return None;
                }
                Step::Wait => changed.await,
            }
        }
    }
}

/// The events of one call so far, and how it ended.
#[derive(Debug)]
pub(super) struct Log {
    inner: Mutex<Inner>,
    changed: Notify,
    /// Bytes of output events that are kept; see [`super::ManagerConfig::call_bytes`].
    cap: usize,
}

#[derive(Debug, Default)]
struct Inner {
    events: Vec<Event>,
    bytes: usize,
    dropped: u64,
    end: Option<End>,
}

#[derive(Debug)]
enum End {
    Answered,
    Failed(Error),
}

enum Step {
    Event(Event),
    Failed(Error),
    End,
    Wait,
}

impl Log {
    pub(super) fn new(cap: usize) -> Arc<Self> {
        Arc::new(Self { inner: Mutex::default(), changed: Notify::new(), cap })
    }

    /// Adds an event. `Done` ends the log; what comes after the end is ignored.
    pub(super) fn append(&self, event: Event) {
        {
            let mut inner = lock(&self.inner);
            if inner.end.is_some() {
                return;
            }
            let size = weight(&event);
            match event {
                Event::Done(mut outcome) => {
                    note_dropped(&mut outcome, self.cap, inner.dropped);
                    inner.bytes += size;
                    inner.events.push(Event::Done(outcome));
                    inner.end = Some(End::Answered);
                }
                _ if inner.bytes + size > self.cap => inner.dropped += size as u64,
                other => {
                    inner.bytes += size;
                    inner.events.push(other);
                }
            }
        }
        self.changed.notify_waiters();
    }

    /// Ends the log with an error. The first end counts.
    pub(super) fn fail(&self, error: Error) {
        {
            let mut inner = lock(&self.inner);
            if inner.end.is_some() {
                return;
            }
            inner.end = Some(End::Failed(error));
        }
        self.changed.notify_waiters();
    }

    /// Whether the call has its answer, so that its client may have seen it.
    pub(super) fn is_over(&self) -> bool {
        lock(&self.inner).end.is_some()
    }

    /// Bytes that keeping this log costs.
    pub(super) fn bytes(&self) -> usize {
        lock(&self.inner).bytes
    }

    fn read(&self, position: usize) -> Step {
        let inner = lock(&self.inner);
        if let Some(event) = inner.events.get(position) {
            return Step::Event(event.clone());
        }
        match &inner.end {
            None => Step::Wait,
            Some(End::Answered) => Step::End,
            Some(End::Failed(error)) => Step::Failed(error.repeat()),
        }
    }
}

/// An answer that is shorter than what the guest said must say so.
fn note_dropped(outcome: &mut Outcome, cap: usize, dropped: u64) {
    if let (Outcome::Executed(execution), 1..) = (outcome, dropped) {
        execution.limits.push(LimitHit::Output { stream: "output", limit: cap as u64, dropped });
    }
}

/// The memory that an event holds, near enough: its payload and a little for the entry itself.
fn weight(event: &Event) -> usize {
    const ENTRY: usize = 64;
    let rich =
        |rich: &Rich| rich.forms.iter().map(|(mime, data)| ENTRY + mime.len() + data.len()).sum::<usize>();
    ENTRY
        + match event {
            Event::Stdout(data) | Event::Stderr(data) => data.len(),
            Event::Display(value) | Event::Value(value) => rich(value),
            Event::Receipt(receipt) => receipt_bytes(receipt),
            Event::Done(outcome) => match outcome.as_ref() {
                Outcome::Executed(execution) => {
                    let error = execution.error.as_ref().map_or(0, |e| e.message.len() + e.traceback.len());
                    let denials = execution.denials.iter().chain(&execution.meanwhile);
                    let denials = denials.map(|noted| noted.text().len() + 4 * ENTRY).sum::<usize>();
                    error + denials + execution.files.iter().map(|f| ENTRY + f.path.len()).sum::<usize>()
                }
                Outcome::Files { files, failed } => {
                    files.iter().map(|f| ENTRY + f.path.len() + f.data.len()).sum::<usize>()
                        + failed.len() * ENTRY
                }
                Outcome::Listing { entries, .. } => {
                    entries.iter().map(|e| ENTRY + e.name.len() + e.path.len()).sum::<usize>()
                }
                Outcome::Written { files } => files.iter().map(|(path, _)| ENTRY + path.len()).sum::<usize>(),
                Outcome::Removed { removed, failed } => (removed.len() + failed.len()) * 2 * ENTRY,
                Outcome::Task(task) => task.stdout.len() + task.stderr.len(),
                Outcome::Range { data, .. } => data.len(),
                Outcome::Checkpointed { checkpoint, .. } | Outcome::Restored { checkpoint } => {
                    checkpoint.len()
                }
                Outcome::Acted(ActionResult::Success { data }) => data.as_ref().map_or(0, Bytes::len),
                Outcome::Acted(ActionResult::Failed { error }) => error.len(),
                Outcome::Performed(steps) => steps.iter().map(|step| ENTRY + performed(step)).sum::<usize>(),
                Outcome::Failed { message } => message.len(),
            },
        }
}

/// The memory that a receipt holds, near enough: its files and destinations.
fn receipt_bytes(receipt: &Receipt) -> usize {
    let items = |name: &str| receipt.payload[name].as_array().map_or(0, Vec::len);
    1024 + (items("files") + items("egress")) * 256
}

/// The memory that the result of one page action holds; JSON counts as its text.
fn performed(step: &Performed) -> usize {
    step.url.len()
        + match &step.result {
            Ok(Given::Done) => 0,
            Ok(Given::Text(text)) => text.len(),
            Ok(Given::Json(value)) => value.to_string().len(),
            Ok(Given::Binary { data, .. }) => data.len(),
            Err(error) => error.message.len(),
        }
}

/// The error of a call whose backend said that all was well and sent no outcome.
pub(super) fn no_answer() -> Error {
    Error::new(
        Kind::Internal,
        "the call ended without an answer; its effects on files may be there all the same",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Execution;

    fn out(text: &'static str) -> Event {
        Event::Stdout(Bytes::from_static(text.as_bytes()))
    }

    fn done() -> Event {
        Event::Done(Box::new(Outcome::Executed(Execution::default())))
    }

    async fn all(mut invocation: Invocation) -> (String, Option<Error>) {
        let mut text = String::new();
        while let Some(step) = invocation.next().await {
            match step {
                Ok(Event::Stdout(data)) => text.push_str(std::str::from_utf8(&data).unwrap()),
                Ok(Event::Done(_)) => text.push('.'),
                Ok(_) => {}
                Err(error) => return (text, Some(error)),
            }
        }
        (text, None)
    }

    #[tokio::test]
    async fn every_consumer_sees_every_event_from_the_first_whenever_it_comes() {
        let log = Log::new(1 << 20);
        let early = tokio::spawn(all(Invocation::of(Arc::clone(&log))));
        log.append(out("a"));
        tokio::task::yield_now().await;
        let middle = tokio::spawn(all(Invocation::of(Arc::clone(&log))));
        log.append(out("b"));
        log.append(done());
        log.append(out("never"));
        let late = all(Invocation::of(log)).await;
        for (text, error) in [early.await.unwrap(), middle.await.unwrap(), late] {
            assert_eq!(text, "ab.");
            assert!(error.is_none());
        }
    }

    #[tokio::test]
    async fn the_first_end_counts_and_an_error_comes_after_the_events_before_it() {
        let log = Log::new(1 << 20);
        log.append(out("a"));
        log.fail(Error::new(Kind::Conflict, "first"));
        log.fail(Error::new(Kind::Internal, "second"));
        log.append(done());
        let (text, error) = all(Invocation::of(log)).await;
        assert_eq!((text.as_str(), error.unwrap().message.as_str()), ("a", "first"));
    }

    #[tokio::test]
    async fn a_flood_is_cut_at_the_cap_and_the_answer_says_so() {
        let log = Log::new(1000);
        for _ in 0..100 {
            log.append(Event::Stdout(Bytes::from(vec![b'x'; 36])));
        }
        log.append(done());
        let mut invocation = Invocation::of(Arc::clone(&log));
        let mut kept = 0;
        loop {
            match invocation.next().await.unwrap().unwrap() {
                Event::Stdout(_) => kept += 1,
                Event::Done(outcome) => {
                    let Outcome::Executed(execution) = *outcome else { panic!() };
                    assert_eq!(
                        execution.limits,
                        [LimitHit::Output { stream: "output", limit: 1000, dropped: 9000 }]
                    );
                    break;
                }
                _ => {}
            }
        }
        assert_eq!(kept, 10);
    }
}
