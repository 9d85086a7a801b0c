//! The shelves of one backend, which can be exchanged while the server runs: when policies change, so does what is kept ready.
//!
//! ```text
//!   renew ─▶ the same stock? ─yes─▶ the shelf stays, with what is on it
//!                            └no──▶ a new shelf fills itself; the old one gives nothing out any more and is ended
//! ```

use crate::lock::lock;
use crate::ready::{Shelf, Stock};
use std::sync::{Arc, Mutex};
use tokio::task::JoinHandle;

/// All shelves of a backend.
pub struct Shelves<S: Stock> {
    current: Mutex<Vec<Arc<Shelf<S>>>>,
    /// Shelves that are being ended. The backend waits for them: what they destroy needs its launcher.
    ends: Mutex<Vec<JoinHandle<()>>>,
}

impl<S: Stock> Shelves<S> {
    /// These shelves, which are empty until [`Self::fill`].
    pub fn new(shelves: Vec<Arc<Shelf<S>>>) -> Self {
        Self { current: Mutex::new(shelves), ends: Mutex::default() }
    }

    /// Starts to fill all. Inside the runtime.
    pub fn fill(&self) {
        lock(&self.current).iter().for_each(Shelf::fill);
    }

    /// How many things are ready.
    pub fn ready(&self) -> usize {
        lock(&self.current).iter().map(|shelf| shelf.ready()).sum()
    }

    /// A ready thing of the first stock that fits.
    pub fn take(&self, fits: impl Fn(&S) -> bool) -> Option<S::Item> {
        let shelf = lock(&self.current).iter().find(|shelf| fits(shelf.stock())).cloned();
        shelf?.take()
    }

    /// Puts other shelves in the place of these, in one step. One whose stock is the `same` as a new one's stays as it is. Inside the
    /// runtime.
    pub fn renew(&self, wanted: Vec<Arc<Shelf<S>>>, same: impl Fn(&S, &S) -> bool) {
        let mut current = lock(&self.current);
        let mut old = std::mem::take(&mut *current);
        for shelf in wanted {
            match old.iter().position(|one| same(one.stock(), shelf.stock())) {
                Some(index) => current.push(old.swap_remove(index)),
                None => {
                    shelf.fill();
                    current.push(shelf);
                }
            }
        }
        let mut ends = lock(&self.ends);
        ends.retain(|end| !end.is_finished());
        ends.extend(old.into_iter().map(|shelf| tokio::spawn(async move { shelf.end().await })));
    }

    /// Ends every shelf, and waits until nothing is left of those that were ended before.
    pub async fn end(&self) {
        let current = std::mem::take(&mut *lock(&self.current));
        for shelf in current {
            shelf.end().await;
        }
        let ends = std::mem::take(&mut *lock(&self.ends));
        for end in ends {
            if let Err(error) = end.await {
                tracing::warn!(%error, "the end of ready sandboxes broke off");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::StartError;
    use crate::ready::Ending;
    use async_trait::async_trait;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::time::Duration;
    use tokio::time::sleep;

    /// Things of a kind, whose number is counted.
    struct Kind(&'static str, Arc<AtomicUsize>);

    #[async_trait]
    impl Stock for Kind {
        type Item = &'static str;

        fn name(&self) -> &str {
            self.0
        }

        async fn make(&self, _: &mut Ending) -> Result<Option<Self::Item>, StartError> {
            self.1.fetch_add(1, SeqCst);
            Ok(Some(self.0))
        }

        fn lives(_: &Self::Item) -> bool {
            true
        }

        async fn destroy(&self, _: Self::Item) {
            self.1.fetch_sub(1, SeqCst);
        }

        fn breather(&self, _: usize, _: usize) -> Duration {
            Duration::ZERO
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_not_changed_stays_ready_and_what_has_is_made_anew() {
        let (a, b, c) = (Arc::default(), Arc::default(), Arc::default());
        let shelf = |name, count: &Arc<AtomicUsize>| Shelf::new(Kind(name, Arc::clone(count)), 2);
        let shelves = Shelves::new(vec![shelf("a", &a), shelf("b", &b)]);
        shelves.fill();
        sleep(Duration::from_secs(1)).await;
        assert_eq!(shelves.ready(), 4);
        shelves.renew(vec![shelf("a", &a), shelf("c", &c)], |old, new| old.0 == new.0);
        assert_eq!(shelves.take(|kind| kind.0 == "b"), None, "at once");
        assert_eq!(shelves.take(|kind| kind.0 == "a"), Some("a"), "without a gap");
        sleep(Duration::from_secs(1)).await;
        assert_eq!((b.load(SeqCst), c.load(SeqCst), shelves.ready()), (0, 2, 4));
        assert_eq!(a.load(SeqCst), 3, "two that were ready, of which one was taken, and its successor");
        shelves.end().await;
        assert_eq!((a.load(SeqCst), c.load(SeqCst)), (1, 0));
    }
}
