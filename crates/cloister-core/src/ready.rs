//! Ready things of one kind (sandboxes, browsers): made ahead of time, used once, refilled in the background.
//!
//! ```text
//!   fill ──▶ Stock::make ──▶ Shelf ──take──▶ a session
//!               ▲              │ dead or old: Stock::destroy
//!               └── room ◀─────┘
//! ```
//!
//! How one is made and destroyed is the backend's ([`Stock`]); when, is decided here.

use crate::backend::StartError;
use crate::lock::lock;
use async_trait::async_trait;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// First pause after a failed start, so that a broken host is not hammered; doubled up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_secs(1);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Age at which one that nobody took is replaced: it has an old image's files.
pub const AGE: Duration = Duration::from_secs(1800);
/// How often a full shelf looks whether one of its things has died.
const LOOK: Duration = Duration::from_secs(5);

/// Set once the shelf is at its end.
pub type Ending = watch::Receiver<bool>;

/// What a shelf keeps, and where it comes from.
#[async_trait]
pub trait Stock: Send + Sync + 'static {
    /// One ready thing.
    type Item: Send + 'static;
    /// What the log calls it: the name of its policy.
    fn name(&self) -> &str;
    /// Makes one. It is not given up when the shelf ends, but may be cut short by `ending`; `None` is one that was not fit and has
    /// been destroyed.
    async fn make(&self, ending: &mut Ending) -> Result<Option<Self::Item>, StartError>;
    /// Whether it can still be handed out.
    fn lives(item: &Self::Item) -> bool;
    /// Takes one down.
    async fn destroy(&self, item: Self::Item);
    /// How long to leave the machine to the client that has just taken one, with `left` of `size` still there.
    fn breather(&self, left: usize, size: usize) -> Duration;
}

struct Ready<T> {
    item: T,
    since: Instant,
}

/// The ready things of one stock.
pub struct Shelf<S: Stock> {
    stock: S,
    size: usize,
    ready: Mutex<VecDeque<Ready<S::Item>>>,
    taken: Notify,
    ending: watch::Sender<bool>,
    filler: Mutex<Option<JoinHandle<()>>>,
}

impl<S: Stock> Shelf<S> {
    /// A shelf that fills itself once [`Self::fill`] has been called.
    pub fn new(stock: S, size: usize) -> Arc<Self> {
        let (ready, taken, filler) = (Mutex::default(), Notify::new(), Mutex::default());
        Arc::new(Self { stock, size, ready, taken, ending: watch::Sender::new(false), filler })
    }

    /// What it keeps.
    pub fn stock(&self) -> &S {
        &self.stock
    }

    /// Starts refilling in the background. Inside the runtime.
    pub fn fill(self: &Arc<Self>) {
        let shelf = Arc::clone(self);
        *lock(&self.filler) = Some(tokio::spawn(async move { shelf.run().await }));
    }

    /// A ready thing, if there is one that lives.
    pub fn take(&self) -> Option<S::Item> {
        let taken = {
            let mut ready = lock(&self.ready);
            // Dead ones are left to the filler, which is woken.
            let first = ready.iter().position(|one| !is_stale::<S>(one))?;
            ready.remove(first)
        };
        self.taken.notify_one();
        taken.map(|one| one.item)
    }

    /// How many are ready.
    pub fn ready(&self) -> usize {
        lock(&self.ready).len()
    }

    /// Stops refilling and destroys what is ready. One that is being made is waited for.
    pub async fn end(&self) {
        self.ending.send_replace(true);
        let filler = lock(&self.filler).take();
        if let Some(task) = filler
            && let Err(error) = task.await
        {
            tracing::warn!(policy = self.stock.name(), %error, "the filler of ready sandboxes broke off");
        }
        let ready: Vec<_> = lock(&self.ready).drain(..).collect();
        for one in ready {
            self.stock.destroy(one.item).await;
        }
    }

    async fn run(&self) {
        let mut ending = self.ending.subscribe();
        let mut pause = PAUSE;
        while !*ending.borrow() {
            self.discard_stale().await;
            if self.ready() >= self.size {
                tokio::select! {
                    () = self.taken.notified() => {
                        sleep_or(self.stock.breather(self.ready(), self.size), &mut ending).await;
                    }
                    () = sleep(LOOK) => {}
                    _ = ending.changed() => {}
                }
                continue;
            }
            match self.stock.make(&mut ending).await {
                Ok(made) => {
                    pause = PAUSE;
                    lock(&self.ready).extend(made.map(|item| Ready { item, since: Instant::now() }));
                }
                Err(error) => {
                    tracing::warn!(policy = self.stock.name(), %error, "cannot make a ready sandbox");
                    sleep_or(pause, &mut ending).await;
                    pause = (2 * pause).min(LONGEST_PAUSE);
                }
            }
        }
    }

    async fn discard_stale(&self) {
        let stale: Vec<_> = {
            let mut ready = lock(&self.ready);
            let (stale, fresh) = std::mem::take(&mut *ready).into_iter().partition(is_stale::<S>);
            *ready = fresh;
            Vec::from(stale)
        };
        for one in stale {
            self.stock.destroy(one.item).await;
        }
    }
}

impl<S: Stock> std::fmt::Debug for Shelf<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shelf").field("stock", &self.stock.name()).field("ready", &self.ready()).finish()
    }
}

fn is_stale<S: Stock>(one: &Ready<S::Item>) -> bool {
    !S::lives(&one.item) || one.since.elapsed() > AGE
}

async fn sleep_or(time: Duration, ending: &mut Ending) {
    if time.is_zero() {
        return;
    }
    tokio::select! {
        () = sleep(time) => {}
        _ = ending.changed() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    /// Numbered things, of which each can be killed.
    #[derive(Default)]
    struct Numbers {
        made: AtomicUsize,
        destroyed: AtomicUsize,
        broken: AtomicBool,
    }

    struct Number(usize, AtomicBool);

    #[async_trait]
    impl Stock for Arc<Numbers> {
        type Item = Arc<Number>;

        fn name(&self) -> &str {
            "numbers"
        }

        async fn make(&self, _: &mut Ending) -> Result<Option<Self::Item>, StartError> {
            sleep(Duration::from_millis(10)).await;
            if self.broken.load(Ordering::SeqCst) {
                self.made.fetch_add(1, Ordering::SeqCst);
                let source = std::io::Error::other("broken");
                return Err(StartError::Step { step: "make".into(), source });
            }
            let number = self.made.fetch_add(1, Ordering::SeqCst);
            Ok(Some(Arc::new(Number(number, AtomicBool::new(true)))))
        }

        fn lives(item: &Self::Item) -> bool {
            item.1.load(Ordering::SeqCst)
        }

        async fn destroy(&self, _: Self::Item) {
            self.destroyed.fetch_add(1, Ordering::SeqCst);
        }

        fn breather(&self, _: usize, _: usize) -> Duration {
            Duration::from_millis(50)
        }
    }

    fn shelf(size: usize) -> (Arc<Numbers>, Arc<Shelf<Arc<Numbers>>>) {
        let numbers = Arc::new(Numbers::default());
        (Arc::clone(&numbers), Shelf::new(numbers, size))
    }

    async fn rest() {
        sleep(Duration::from_secs(10)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn each_is_handed_out_once_and_replaced() {
        let (_, shelf) = shelf(2);
        shelf.fill();
        rest().await;
        let (first, second) = (shelf.take().unwrap(), shelf.take().unwrap());
        assert!(shelf.take().is_none());
        rest().await;
        let third = shelf.take().unwrap();
        assert_eq!([first.0, second.0, third.0], [0, 1, 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_one_is_never_handed_out_and_an_old_one_is_replaced() {
        let (numbers, shelf) = shelf(1);
        shelf.fill();
        rest().await;
        lock(&shelf.ready)[0].item.1.store(false, Ordering::SeqCst);
        assert!(shelf.take().is_none());
        rest().await;
        sleep(AGE).await;
        rest().await;
        assert_eq!(shelf.take().unwrap().0, 2);
        assert_eq!(numbers.destroyed.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn at_the_end_nothing_is_kept_and_nothing_new_is_made() {
        let (numbers, shelf) = shelf(3);
        shelf.fill();
        sleep(Duration::from_millis(15)).await;
        shelf.end().await;
        let (made, destroyed) =
            (numbers.made.load(Ordering::SeqCst), numbers.destroyed.load(Ordering::SeqCst));
        assert_eq!((made, destroyed, shelf.ready()), (2, 2, 0), "the one that was being made is waited for");
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_makes_none_is_asked_less_and_less_often() {
        let (numbers, shelf) = shelf(1);
        numbers.broken.store(true, Ordering::SeqCst);
        shelf.fill();
        sleep(Duration::from_secs(8)).await;
        assert_eq!(numbers.made.load(Ordering::SeqCst), 4, "at 0, 1, 3 and 7 seconds");
        numbers.broken.store(false, Ordering::SeqCst);
        sleep(LONGEST_PAUSE).await;
        assert_eq!(shelf.ready(), 1);
    }
}
