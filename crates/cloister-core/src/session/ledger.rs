//! Which calls a session has had, by invocation id, so that a client's retry never runs code twice.
//!
//! ```text
//!   begin ──▶ Running(log) ──finish──▶ Kept(log) ──10 min · 64 calls · 16 MiB──▶ Spent
//!              retry: attach           retry: replay                             retry: refused (or looks again)
//! ```
//!
//! The SDKs send the same id again after a read timeout or a 5xx answer. An id that was ever seen is remembered for the
//! life of the session; only its answer is forgotten.

use super::config::ManagerConfig;
use super::invocation::Log;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use tokio::time::Instant;

/// The invocation ids of one session.
#[derive(Debug)]
pub(super) struct Ledger {
    entries: HashMap<String, Entry>,
    /// Ids whose answers are kept, oldest first.
    kept: VecDeque<(String, Instant)>,
    bytes: usize,
    config: Arc<ManagerConfig>,
}

#[derive(Debug)]
struct Entry {
    fingerprint: [u8; 32],
    answer: Answer,
}

#[derive(Debug)]
enum Answer {
    Running(Arc<Log>),
    Kept(Arc<Log>, usize),
    Spent,
}

/// What the ledger knows of an id.
#[derive(Debug)]
pub(super) enum Known {
    /// Never seen.
    New,
    /// Running or kept: replay this.
    Answer(Arc<Log>),
    /// Seen with other parameters.
    Mismatch,
    /// Seen, and its answer is gone.
    Spent,
    /// Never seen, and there is no room to remember it.
    Full,
}

impl Ledger {
    pub(super) fn new(config: Arc<ManagerConfig>) -> Self {
        Self { entries: HashMap::new(), kept: VecDeque::new(), bytes: 0, config }
    }

    pub(super) fn look(&mut self, id: &str, fingerprint: &[u8; 32], now: Instant) -> Known {
        self.evict(now);
        match self.entries.get(id) {
            None if self.entries.len() >= self.config.known_ids => Known::Full,
            None => Known::New,
            Some(entry) if entry.fingerprint != *fingerprint => Known::Mismatch,
            Some(Entry { answer: Answer::Running(log) | Answer::Kept(log, _), .. }) => {
                Known::Answer(Arc::clone(log))
            }
            Some(Entry { answer: Answer::Spent, .. }) => Known::Spent,
        }
    }

    /// The call has been admitted. Not before: a call that was refused may be tried again under the same id.
    pub(super) fn begin(&mut self, id: String, fingerprint: [u8; 32], log: Arc<Log>) {
        self.entries.insert(id, Entry { fingerprint, answer: Answer::Running(log) });
    }

    /// The call has ended; its answer stays for a while.
    pub(super) fn finish(&mut self, id: &str, now: Instant) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        let Answer::Running(log) = &entry.answer else { return };
        let bytes = log.bytes();
        entry.answer = Answer::Kept(Arc::clone(log), bytes);
        self.bytes += bytes;
        self.kept.push_back((id.to_owned(), now));
        self.evict(now);
    }

    /// Forgets answers that are too old or too many. Never an id.
    pub(super) fn evict(&mut self, now: Instant) {
        while let Some((id, finished)) = self.kept.front() {
            let keep = now.duration_since(*finished) < self.config.retained_for
                && self.kept.len() <= self.config.retained_calls
                && self.bytes <= self.config.retained_bytes;
            if keep {
                break;
            }
            if let Some(entry) = self.entries.get_mut(id) {
                if let Answer::Kept(_, bytes) = entry.answer {
                    self.bytes -= bytes;
                }
                entry.answer = Answer::Spent;
            }
            self.kept.pop_front();
        }
    }

    /// When the oldest answer is to be forgotten.
    pub(super) fn next_eviction(&self) -> Option<Instant> {
        self.kept.front().map(|(_, finished)| *finished + self.config.retained_for)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use bytes::Bytes;
    use std::time::Duration;

    fn ledger(change: impl FnOnce(&mut ManagerConfig)) -> Ledger {
        let mut config = ManagerConfig::default();
        change(&mut config);
        Ledger::new(Arc::new(config))
    }

    fn run(ledger: &mut Ledger, id: &str, bytes: usize, now: Instant) {
        let log = Log::new(usize::MAX);
        log.append(Event::Stdout(Bytes::from(vec![0; bytes])));
        ledger.begin(id.into(), [1; 32], log);
        ledger.finish(id, now);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_forgotten_after_its_time_and_the_id_never() {
        let mut ledger = ledger(|_| {});
        let start = Instant::now();
        run(&mut ledger, "a", 10, start);
        assert!(matches!(ledger.look("a", &[1; 32], start + Duration::from_secs(599)), Known::Answer(_)));
        assert_eq!(ledger.next_eviction(), Some(start + Duration::from_secs(600)));
        assert!(matches!(ledger.look("a", &[1; 32], start + Duration::from_secs(600)), Known::Spent));
        assert!(matches!(ledger.look("a", &[2; 32], start + Duration::from_secs(600)), Known::Mismatch));
        assert_eq!((ledger.bytes, ledger.next_eviction()), (0, None));
    }

    #[tokio::test(start_paused = true)]
    async fn many_or_large_answers_push_out_the_oldest() {
        let now = Instant::now();
        let mut few = ledger(|c| c.retained_calls = 2);
        let mut small = ledger(|c| c.retained_bytes = 1000);
        for id in ["a", "b", "c"] {
            run(&mut few, id, 1, now);
            run(&mut small, id, 400, now);
        }
        for ledger in [&mut few, &mut small] {
            assert!(matches!(ledger.look("a", &[1; 32], now), Known::Spent));
            assert!(matches!(ledger.look("b", &[1; 32], now), Known::Answer(_)));
            assert!(matches!(ledger.look("c", &[1; 32], now), Known::Answer(_)));
        }
        run(&mut small, "huge", 5000, now);
        assert!(
            matches!(small.look("huge", &[1; 32], now), Known::Spent),
            "an answer over the cap is not kept at all"
        );
        assert_eq!(small.bytes, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_ledger_takes_no_new_id_and_still_knows_the_old_ones() {
        let now = Instant::now();
        let mut ledger = ledger(|c| c.known_ids = 1);
        run(&mut ledger, "a", 1, now);
        assert!(matches!(ledger.look("b", &[1; 32], now), Known::Full));
        assert!(matches!(ledger.look("a", &[1; 32], now), Known::Answer(_)));
    }
}
