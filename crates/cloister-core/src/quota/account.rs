//! What one principal or tenant has used.

use super::Quota;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// The window of starts.
pub(super) const MINUTE: Duration = Duration::from_secs(60);
/// The window of CPU time.
pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);
/// CPU time is counted in slots of this many seconds since 1970: it leaves the window a slot at a time.
pub(super) const SLOT: u64 = 300;
/// Slots of a day.
pub(super) const SLOTS: u64 = DAY.as_secs() / SLOT;

/// Now, on both clocks: the monotonic one, and seconds since 1970 that go on with it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    pub(super) instant: Instant,
    pub(super) since_1970: Duration,
}

impl Now {
    pub(super) fn slot(&self) -> u64 {
        self.since_1970.as_secs() / SLOT
    }
}

/// The counts of one.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) sessions: u64,
    /// Within the last minute, oldest first.
    starts: VecDeque<Instant>,
    /// Slot and time, oldest first.
    cpu: VecDeque<(u64, Duration)>,
    /// What recordings that are being made may grow to.
    pub(super) reserved: u64,
    /// What is kept.
    pub(super) kept: u64,
}

impl Account {
    /// Forgets what has left its window.
    pub(super) fn forget(&mut self, now: &Now) {
        while self.starts.front().is_some_and(|at| now.instant.duration_since(*at) >= MINUTE) {
            self.starts.pop_front();
        }
        let first = now.slot().saturating_sub(SLOTS - 1);
        while self.cpu.front().is_some_and(|(slot, _)| *slot < first) {
            self.cpu.pop_front();
        }
    }

    /// Whether there is nothing to remember.
    pub(super) fn is_empty(&self) -> bool {
        self.sessions == 0
            && self.starts.is_empty()
            && self.cpu.is_empty()
            && self.reserved == 0
            && self.kept == 0
    }

    pub(super) fn started(&mut self, now: &Now) {
        self.starts.push_back(now.instant);
    }

    /// Adds CPU time. Slots come in any order from a store, and in order otherwise.
    pub(super) fn worked(&mut self, slot: u64, cpu: Duration) {
        let place = self.cpu.partition_point(|(known, _)| *known < slot);
        match self.cpu.get_mut(place) {
            Some((known, sum)) if *known == slot => *sum += cpu,
            _ => self.cpu.insert(place, (slot, cpu)),
        }
    }

    pub(super) fn cpu(&self) -> Duration {
        self.cpu.iter().map(|(_, cpu)| *cpu).sum()
    }

    /// As [`super::Use`] has it.
    pub(super) fn used(&self, quota: Quota) -> u64 {
        match quota {
            Quota::Sessions => self.sessions,
            Quota::Starts => self.starts.len() as u64,
            Quota::Cpu => self.cpu().as_secs(),
            Quota::Stored => self.kept.saturating_add(self.reserved),
        }
    }

    /// How long until another start is within `limit`, if nothing else happens; none if waiting does not help.
    pub(super) fn until_start(&self, limit: u64, now: &Now) -> Option<Duration> {
        // With a limit of n, the n-th newest start has to leave.
        let at = self.starts.len().checked_sub(usize::try_from(limit).ok()?)?;
        let blocking = self.starts.get(at)?;
        Some((*blocking + MINUTE).duration_since(now.instant))
    }

    /// How long until less than `limit` of CPU time is in the window, if nothing else happens; none if waiting does not help.
    pub(super) fn until_cpu(&self, limit: Duration, now: &Now) -> Option<Duration> {
        let mut left = self.cpu();
        self.cpu.iter().find_map(|(slot, cpu)| {
            left = left.saturating_sub(*cpu);
            // A slot is out of the window when the current one is a whole day after it.
            let out = Duration::from_secs((slot + SLOTS) * SLOT);
            (left < limit).then(|| out.saturating_sub(now.since_1970))
        })
    }
}
