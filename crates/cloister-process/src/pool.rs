//! Ready sandboxes: made and warmed ahead of time with their limits already set, used once, refilled in the background.

use crate::maker::Maker;
use crate::sandbox::Sandbox;
use cloister_core::lock::lock;
use cloister_core::policy::{Policy, StartMode};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};

/// First pause after a failed start, so that a broken host is not hammered; doubled up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_secs(1);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Time that warming may take; a cold one is handed out all the same.
const WARMING: Duration = Duration::from_secs(20);
/// Age at which one that nobody took is replaced: it has an old image's files and an old zygote's memory layout.
const AGE: Duration = Duration::from_secs(1800);
/// What a client's start and first call take, and more.
const FIRST_CALL: Duration = Duration::from_millis(50);
/// How often a full pool looks whether one of its sandboxes has died.
const LOOK: Duration = Duration::from_secs(5);

/// The pool of one policy.
pub(crate) struct Pool {
    policy: Arc<Policy>,
    size: usize,
    ready: Mutex<VecDeque<Ready>>,
    taken: Notify,
    ending: watch::Sender<bool>,
    filler: Mutex<Option<tokio::task::JoinHandle<()>>>,
}

struct Ready {
    sandbox: Sandbox,
    since: Instant,
}

impl Ready {
    fn is_stale(&self) -> bool {
        !self.sandbox.lives() || self.since.elapsed() > AGE
    }
}

impl Pool {
    /// A pool that fills itself once [`Self::fill`] has been called inside the runtime.
    pub(crate) fn new(policy: Arc<Policy>, size: usize) -> Arc<Self> {
        Arc::new(Self {
            policy,
            size,
            ready: Mutex::default(),
            taken: Notify::new(),
            ending: watch::Sender::new(false),
            filler: Mutex::default(),
        })
    }

    /// Whether it serves this policy: the very same one, with every limit. A ready sandbox's limits cannot be changed any more.
    pub(crate) fn serves(&self, policy: &Policy) -> bool {
        policy.start == StartMode::Pool && *self.policy == *policy
    }

    /// Starts refilling in the background.
    pub(crate) fn fill(self: &Arc<Self>, maker: Arc<Maker>) {
        let pool = Arc::clone(self);
        let task = tokio::spawn(async move { pool.run(maker).await });
        *lock(&self.filler) = Some(task);
    }

    /// Waits a moment before a successor is made, while half of the pool is left: making one takes as long as a client's first
    /// call, and would run beside it on the same processors (measured: the call took twice as long).
    async fn let_it_begin(&self, ending: &mut watch::Receiver<bool>) {
        if 2 * self.ready() >= self.size {
            tokio::select! {
                () = sleep(FIRST_CALL) => {}
                _ = ending.changed() => {}
            }
        }
    }

    async fn run(&self, maker: Arc<Maker>) {
        let mut ending = self.ending.subscribe();
        let mut pause = PAUSE;
        while !*ending.borrow() {
            self.discard_stale().await;
            if self.ready() >= self.size {
                tokio::select! {
                    () = self.taken.notified() => self.let_it_begin(&mut ending).await,
                    () = sleep(LOOK) => {}
                    _ = ending.changed() => {}
                }
                continue;
            }
            tokio::select! {
                () = maker.precedence.step_back() => {}
                _ = ending.changed() => continue,
            }
            // Not given up when the server ends: it would be taken down after its launcher.
            match maker.make(Arc::clone(&self.policy)).await {
                Ok(sandbox) => {
                    pause = PAUSE;
                    let fit = tokio::select! {
                        fit = self.warm(&sandbox) => fit,
                        _ = ending.changed() => false,
                    };
                    if fit {
                        lock(&self.ready).push_back(Ready { sandbox, since: Instant::now() });
                    } else {
                        // Waited for: its cgroup must be gone before the server removes the one around it.
                        destroy(sandbox).await;
                    }
                }
                Err(error) => {
                    tracing::warn!(policy = self.policy.name, %error, "cannot make a ready sandbox");
                    tokio::select! {
                        () = sleep(pause) => {}
                        _ = ending.changed() => {}
                    }
                    pause = (2 * pause).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Warms a sandbox; whether it can be handed out.
    async fn warm(&self, sandbox: &Sandbox) -> bool {
        // Until it is taken its life is the pool's business, however short a session's may be.
        let warmed = async {
            sandbox.control.set_ttl(2 * AGE).await?;
            sandbox.control.warm().await
        };
        match timeout(WARMING, warmed).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(policy = self.policy.name, %error, "a ready sandbox has ended before it was warm");
                return false;
            }
            Err(_) => tracing::warn!(policy = self.policy.name, "a ready sandbox did not get warm in time"),
        }
        true
    }

    /// A ready sandbox, if there is one that lives.
    pub(crate) fn take(&self) -> Option<Sandbox> {
        let taken = {
            let mut ready = lock(&self.ready);
            // Dead ones are left to the filler, which is woken.
            let first = ready.iter().position(|one| !one.is_stale())?;
            ready.remove(first)
        };
        self.taken.notify_one();
        taken.map(|one| one.sandbox)
    }

    /// How many are ready.
    pub(crate) fn ready(&self) -> usize {
        lock(&self.ready).len()
    }

    async fn discard_stale(&self) {
        let stale: Vec<Ready> = {
            let mut ready = lock(&self.ready);
            let (stale, fresh) = std::mem::take(&mut *ready).into_iter().partition(Ready::is_stale);
            *ready = fresh;
            Vec::from(stale)
        };
        for one in stale {
            destroy(one.sandbox).await;
        }
    }

    /// Stops refilling and destroys what is ready. A sandbox that is being made is waited for.
    pub(crate) async fn end(&self) {
        self.ending.send_replace(true);
        let filler = lock(&self.filler).take();
        if let Some(task) = filler
            && let Err(error) = task.await
        {
            tracing::warn!(policy = self.policy.name, %error, "the pool's filler broke off");
        }
        let ready: Vec<Ready> = lock(&self.ready).drain(..).collect();
        for one in ready {
            destroy(one.sandbox).await;
        }
    }
}

async fn destroy(sandbox: Sandbox) {
    for left in sandbox.destroy().await.left_behind {
        tracing::warn!(left, "left behind by a ready sandbox");
    }
}
