//! Counts what passes through one sandbox's listener, and says stop at the policy's byte budget.

use cloister_core::egress::EgressCounters;
use std::collections::HashSet;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

/// Most distinct names that one session may have resolved. A name is a message to whoever serves its domain, so endless
/// fresh names below an allowed wildcard are a tunnel; real work stays far below.
const MAX_NAMES: usize = 512;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From the sandbox to the outside.
    Out,
    /// From the outside to the sandbox.
    In,
}

/// The budget of one sandbox and what it has used of it.
#[derive(Debug)]
pub(crate) struct Meter {
    budget: u64,
    bytes_out: AtomicU64,
    bytes_in: AtomicU64,
    allowed: AtomicU64,
    refused: AtomicU64,
    names: Mutex<HashSet<String>>,
}

impl Meter {
    /// A fresh meter with `budget` bytes for both directions together.
    pub(crate) fn new(budget: u64) -> Self {
        Self {
            budget,
            bytes_out: AtomicU64::new(0),
            bytes_in: AtomicU64::new(0),
            allowed: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            names: Mutex::new(HashSet::new()),
        }
    }

    /// Counts bytes before they are passed on; an error means that the budget does not cover them.
    pub(crate) fn spend(&self, direction: Direction, bytes: usize) -> io::Result<()> {
        let counter = match direction {
            Direction::Out => &self.bytes_out,
            Direction::In => &self.bytes_in,
        };
        counter.fetch_add(bytes as u64, Relaxed);
        if self.used() > self.budget {
            return Err(io::Error::new(
                io::ErrorKind::QuotaExceeded,
                "the session's network budget is used up",
            ));
        }
        Ok(())
    }

    /// Whether nothing more may pass.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.used() >= self.budget
    }

    fn used(&self) -> u64 {
        self.bytes_out.load(Relaxed).saturating_add(self.bytes_in.load(Relaxed))
    }

    /// Notes a name that is about to be resolved; `false` if the session has asked for too many different ones.
    pub(crate) fn may_resolve(&self, name: &str) -> bool {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.contains(name) || (names.len() < MAX_NAMES && names.insert(name.to_owned()))
    }

    /// Notes a connection that is let through.
    pub(crate) fn allowed(&self) {
        self.allowed.fetch_add(1, Relaxed);
    }

    /// Notes a request that a rule refused.
    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    /// The state of the counters.
    pub(crate) fn counters(&self) -> EgressCounters {
        EgressCounters {
            bytes_out: self.bytes_out.load(Relaxed),
            bytes_in: self.bytes_in.load(Relaxed),
            allowed: self.allowed.load(Relaxed),
            refused: self.refused.load(Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directions_share_the_budget() {
        let meter = Meter::new(10);
        assert!(meter.spend(Direction::Out, 6).is_ok() && !meter.is_exhausted());
        assert!(meter.spend(Direction::In, 4).is_ok() && meter.is_exhausted());
        assert_eq!(meter.spend(Direction::Out, 1).unwrap_err().kind(), io::ErrorKind::QuotaExceeded);
    }

    #[test]
    fn endless_fresh_names_are_refused_and_known_ones_still_work() {
        let meter = Meter::new(1);
        assert!((0..MAX_NAMES).all(|n| meter.may_resolve(&format!("{n}.example.com"))));
        assert!(!meter.may_resolve("fresh.example.com"));
        assert!(meter.may_resolve("0.example.com"));
    }
}
