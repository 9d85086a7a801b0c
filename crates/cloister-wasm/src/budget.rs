//! Bytes that the sessions of one process may have grown to together, so that a session meets `MemoryError` before the process meets
//! the killer, which would take every session (RES-02).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use wasmtime::ResourceLimiter;

/// What is left for everybody.
#[derive(Debug)]
pub struct Budget {
    limit: u64,
    used: AtomicU64,
}

impl Budget {
    /// A budget of `limit` bytes.
    pub fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicU64::new(0) })
    }

    /// Takes `bytes`, or nothing.
    pub fn take(&self, bytes: u64) -> bool {
        let taken = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(bytes).filter(|used| *used <= self.limit)
        });
        taken.is_ok()
    }

    /// Gives `bytes` back.
    pub fn give(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// What one session holds of it, and its own limits.
#[derive(Debug)]
pub struct Share {
    budget: Arc<Budget>,
    held: u64,
    /// Files and kept states.
    besides: u64,
    /// Bytes of its linear memory.
    memory: usize,
    /// What its memory began with: the image, of which it pays for what it writes to.
    image: usize,
    /// It was refused memory during this call.
    pub refused: bool,
}

/// What a session costs before it does anything: the pages that a first call writes to (measured: 0.6 MiB), and its records.
const ENTRY: u64 = 1 << 20;
/// By which files grow during a call.
const STEP: u64 = 1 << 20;
/// Entries of the table of functions: the interpreter's own, which does not grow.
const TABLE: usize = 1 << 16;

impl Share {
    /// The share of a new session; `None` if there is no room for one.
    pub fn new(budget: &Arc<Budget>, memory: u64, image: usize) -> Option<Self> {
        // Taken first: a share that was never granted must not give anything back when it is dropped.
        budget.take(ENTRY).then(|| Self {
            budget: Arc::clone(budget),
            held: ENTRY,
            besides: 0,
            memory: usize::try_from(memory).unwrap_or(usize::MAX).max(image),
            image,
            refused: false,
        })
    }

    /// Says how much the session holds besides its linear memory; false if there is no room for it, and what it held before counts.
    pub fn holds(&mut self, bytes: u64) -> bool {
        if bytes > self.besides && !self.budget.take(bytes - self.besides) {
            return false;
        }
        if bytes < self.besides {
            self.budget.give(self.besides - bytes);
        }
        self.besides = bytes;
        true
    }

    /// The same for files while a call runs: in steps, so that most calls change nothing.
    pub fn holds_files(&mut self, bytes: u64) -> bool {
        bytes <= self.besides || self.holds(bytes.next_multiple_of(STEP))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.give(self.held + self.besides);
    }
}

impl ResourceLimiter for Share {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        if desired <= self.image {
            return Ok(true);
        }
        let grows = desired.saturating_sub(current.max(self.image)) as u64;
        let granted = desired <= self.memory && self.budget.take(grows);
        if granted {
            self.held += grows;
        }
        self.refused |= !granted;
        Ok(granted)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE)
    }

    fn instances(&self) -> usize {
        1
    }

    fn tables(&self) -> usize {
        1
    }

    fn memories(&self) -> usize {
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_together_never_hold_more_than_the_budget_and_give_all_of_it_back() {
        let budget = Budget::new(10 << 20);
        let mut shares: Vec<Share> = std::iter::from_fn(|| Share::new(&budget, 64 << 20, 4 << 20)).collect();
        assert_eq!(shares.len(), 10, "a session costs a mebibyte");
        shares.truncate(2);
        let share = shares.first_mut().unwrap();
        assert!(share.memory_growing(0, 4 << 20, None).unwrap(), "the image costs nothing");
        assert!(share.memory_growing(4 << 20, 12 << 20, None).unwrap());
        assert!(!share.memory_growing(12 << 20, 13 << 20, None).unwrap() && share.refused);
        assert!(!shares.last_mut().unwrap().holds(1), "files count as well");
        drop(shares);
        assert!(budget.take(10 << 20));
    }

    #[test]
    fn a_session_does_not_grow_beyond_its_own_limit() {
        let budget = Budget::new(1 << 40);
        let mut share = Share::new(&budget, 8 << 20, 4 << 20).unwrap();
        assert!(share.memory_growing(4 << 20, 8 << 20, None).unwrap());
        assert!(!share.memory_growing(8 << 20, (8 << 20) + 65536, None).unwrap());
        assert!(!share.table_growing(0, TABLE + 1, None).unwrap());
    }
}
