//! One budget for the bytes of CDP that the server holds for browsers and their clients, with a share for each session.
//!
//! ```text
//!   Budget (server) ──share──▶ Budget (session) ──hold──▶ Held, which travels with the bytes and gives them back when it goes
//! ```
//!
//! Everything that grows with what a client or a browser sends is held here: messages that are put together, messages that wait
//! on either side, pictures on their way into an answer. Each queue has a bound of its own, but there are as many queues as
//! clients. INVARIANT: nobody waits for the budget, so that nobody who holds a part of it can wait for himself; who gets nothing
//! is refused and told so.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that may be held. Clones are the same budget.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Pot>);

#[derive(Debug)]
struct Pot {
    limit: usize,
    used: AtomicUsize,
    above: Option<Budget>,
}

/// Nothing is left of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Exhausted {
    /// Of the session's share, which has so many bytes.
    #[error("the session's share of the memory for CDP messages ({0} bytes) is used up")]
    Session(usize),
    /// Of the server's budget, which has so many bytes.
    #[error("the server's memory for CDP messages ({0} bytes) is used up")]
    Server(usize),
}

impl Budget {
    /// The budget of a server.
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Pot { limit, used: AtomicUsize::new(0), above: None }))
    }

    /// A budget within this one: what it holds, both hold.
    pub fn share(&self, limit: usize) -> Self {
        Self(Arc::new(Pot { limit, used: AtomicUsize::new(0), above: Some(self.clone()) }))
    }

    /// So many bytes are held now.
    pub fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }

    /// Holds nothing yet; [`Held::grow`] takes from this budget.
    pub fn none(&self) -> Held {
        Held { budget: Some(self.clone()), bytes: 0 }
    }

    /// Holds `bytes`.
    pub fn hold(&self, bytes: usize) -> Result<Held, Exhausted> {
        let mut held = self.none();
        held.grow(bytes)?;
        Ok(held)
    }

    fn take(&self, bytes: usize) -> Result<(), Exhausted> {
        let Pot { limit, used, above } = &*self.0;
        let fits = |now: usize| now.checked_add(bytes).filter(|sum| sum <= limit);
        if used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_err() {
            return Err(match above {
                Some(_) => Exhausted::Session(*limit),
                None => Exhausted::Server(*limit),
            });
        }
        if let Some(above) = above
            && let Err(exhausted) = above.take(bytes)
        {
            used.fetch_sub(bytes, Ordering::Relaxed);
            return Err(exhausted);
        }
        Ok(())
    }

    fn give_back(&self, bytes: usize) {
        self.0.used.fetch_sub(bytes, Ordering::Relaxed);
        if let Some(above) = &self.0.above {
            above.give_back(bytes);
        }
    }
}

/// Bytes of a budget; they go back when this goes. The default holds nothing, of no budget.
#[derive(Default)]
pub struct Held {
    budget: Option<Budget>,
    bytes: usize,
}

impl Held {
    /// So many.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Holds so many more. On failure it holds what it held.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Exhausted> {
        if let Some(budget) = &self.budget {
            budget.take(bytes)?;
            self.bytes += bytes;
        }
        Ok(())
    }

    /// Gives back so many, or all that there are.
    pub fn shrink(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        if let Some(budget) = &self.budget {
            budget.give_back(bytes);
            self.bytes -= bytes;
        }
    }

    /// So many of the same budget again: a copy of what this stands for is made.
    pub fn again(&self, bytes: usize) -> Result<Self, Exhausted> {
        match &self.budget {
            Some(budget) => budget.hold(bytes),
            None => Ok(Self::default()),
        }
    }

    /// Everything, leaving nothing.
    pub fn take(&mut self) -> Self {
        Self { budget: self.budget.clone(), bytes: std::mem::take(&mut self.bytes) }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shrink(self.bytes);
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Held({})", self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_bounded_by_itself_and_by_the_whole() {
        let server = Budget::new(100);
        let (a, b) = (server.share(60), server.share(60));
        let first = a.hold(60).unwrap();
        assert_eq!(a.hold(1).unwrap_err(), Exhausted::Session(60));
        assert_eq!(b.hold(41).unwrap_err(), Exhausted::Server(100));
        assert_eq!((b.used(), server.used()), (0, 60), "a refusal takes nothing");
        let second = b.hold(40).unwrap();
        drop(first);
        assert_eq!((a.used(), b.used(), server.used()), (0, 40, 40));
        drop(second);
        assert_eq!(server.used(), 0);
    }

    #[test]
    fn what_is_held_grows_shrinks_and_moves() {
        let budget = Budget::new(10);
        let mut held = budget.none();
        held.grow(8).unwrap();
        assert!(held.grow(3).is_err());
        assert_eq!((held.bytes(), budget.used()), (8, 8));
        held.shrink(3);
        let moved = held.take();
        assert_eq!((held.bytes(), moved.bytes(), budget.used()), (0, 5, 5));
        assert!(moved.again(6).is_err() && moved.again(5).is_ok());
        held.shrink(100);
        drop((held, moved));
        assert_eq!(budget.used(), 0);
        assert!(budget.hold(usize::MAX).is_err());
    }
}
