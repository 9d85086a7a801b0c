//! Ready browsers of one policy: launched and attached ahead of time, used once, refilled in the background.

use crate::launch::Launched;
use cloister_core::browser::{BrowserHost, Proxies, Viewport};
use cloister_core::lock::lock;
use cloister_core::policy::Policy;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep};

/// First pause after a failed start, so that a broken host is not hammered; doubled up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_secs(1);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Age at which one that nobody took is replaced: it has an old image's files.
const AGE: Duration = Duration::from_secs(1800);
/// How often a full pool looks whether one of its browsers has died.
const LOOK: Duration = Duration::from_secs(5);
/// What a client's first steps take, and more: a launch beside them would take half of the machine.
const FIRST_STEPS: Duration = Duration::from_millis(300);

struct Ready {
    browser: Launched,
    since: Instant,
}

impl Ready {
    fn is_stale(&self) -> bool {
        !self.browser.lives() || self.since.elapsed() > AGE
    }
}

/// The pool of one policy.
pub(crate) struct Pool {
    host: Arc<dyn BrowserHost>,
    policy: Arc<Policy>,
    size: usize,
    ready: Mutex<VecDeque<Ready>>,
    taken: Notify,
    ending: watch::Sender<bool>,
    filler: Mutex<Option<tokio::task::JoinHandle<()>>>,
}

impl Pool {
    /// A pool that fills itself once [`Self::fill`] has been called.
    pub(crate) fn new(host: Arc<dyn BrowserHost>, policy: Arc<Policy>, size: usize) -> Arc<Self> {
        let (ready, taken, filler) = (Mutex::default(), Notify::new(), Mutex::default());
        Arc::new(Self { host, policy, size, ready, taken, ending: watch::Sender::new(false), filler })
    }

    /// Whether it serves this very policy: a ready sandbox's limits cannot be changed any more.
    pub(crate) fn serves(&self, policy: &Policy) -> bool {
        *self.policy == *policy
    }

    /// Starts refilling in the background. Inside the runtime.
    pub(crate) fn fill(self: &Arc<Self>) {
        let pool = Arc::clone(self);
        *lock(&self.filler) = Some(tokio::spawn(async move { pool.run().await }));
    }

    /// A ready browser, if there is one that lives.
    pub(crate) fn take(&self) -> Option<Launched> {
        let taken = {
            let mut ready = lock(&self.ready);
            // Dead ones are left to the filler, which is woken.
            let first = ready.iter().position(|one| !one.is_stale())?;
            ready.remove(first)
        };
        self.taken.notify_one();
        taken.map(|one| one.browser)
    }

    /// How many are ready.
    pub(crate) fn ready(&self) -> usize {
        lock(&self.ready).len()
    }

    /// Stops refilling and stops what is ready. One that is being made is waited for.
    pub(crate) async fn end(&self) {
        self.ending.send_replace(true);
        let filler = lock(&self.filler).take();
        if let Some(task) = filler
            && let Err(error) = task.await
        {
            tracing::warn!(policy = self.policy.name, %error, "the filler of a browser pool broke off");
        }
        let ready: Vec<Ready> = lock(&self.ready).drain(..).collect();
        for one in ready {
            one.browser.destroy().await;
        }
    }

    async fn run(&self) {
        let mut ending = self.ending.subscribe();
        let mut pause = PAUSE;
        while !*ending.borrow() {
            self.discard_stale().await;
            if self.ready() >= self.size {
                tokio::select! {
                    () = self.taken.notified() => sleep_or(FIRST_STEPS, &mut ending).await,
                    () = sleep(LOOK) => {}
                    _ = ending.changed() => {}
                }
                continue;
            }
            let (policy, viewport) = (Arc::clone(&self.policy), Viewport::default());
            match Launched::new(self.host.as_ref(), policy, Proxies::default(), viewport).await {
                Ok(browser) => {
                    pause = PAUSE;
                    lock(&self.ready).push_back(Ready { browser, since: Instant::now() });
                }
                Err(error) => {
                    tracing::warn!(policy = self.policy.name, %error, "cannot make a ready browser");
                    sleep_or(pause, &mut ending).await;
                    pause = (2 * pause).min(LONGEST_PAUSE);
                }
            }
        }
    }

    async fn discard_stale(&self) {
        let stale: Vec<Ready> = {
            let mut ready = lock(&self.ready);
            let (stale, fresh) = std::mem::take(&mut *ready).into_iter().partition(Ready::is_stale);
            *ready = fresh;
            Vec::from(stale)
        };
        for one in stale {
            one.browser.destroy().await;
        }
    }
}

async fn sleep_or(time: Duration, ending: &mut watch::Receiver<bool>) {
    tokio::select! {
        () = sleep(time) => {}
        _ = ending.changed() => {}
    }
}
