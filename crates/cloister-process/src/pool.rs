//! Ready sandboxes: made and warmed ahead of time with their limits already set, used once, refilled in the background.

use crate::maker::Maker;
use crate::sandbox::Sandbox;
use cloister_core::policy::{Policy, StartMode};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Pause after a failed start, so that a broken host is not hammered.
const RETRY: Duration = Duration::from_secs(5);
/// Time that warming may take; a cold one is handed out all the same.
const WARMING: Duration = Duration::from_secs(20);

/// The pool of one policy.
pub(crate) struct Pool {
    policy: Arc<Policy>,
    size: usize,
    ready: Mutex<VecDeque<Sandbox>>,
    taken: Notify,
    filler: Mutex<Option<tokio::task::JoinHandle<()>>>,
}

impl Pool {
    /// A pool that fills itself once [`Self::fill`] has been called inside the runtime.
    pub(crate) fn new(policy: Arc<Policy>, size: usize) -> Arc<Self> {
        Arc::new(Self {
            policy,
            size,
            ready: Mutex::default(),
            taken: Notify::new(),
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

    async fn run(self: Arc<Self>, maker: Arc<Maker>) {
        loop {
            if lock(&self.ready).len() >= self.size {
                self.taken.notified().await;
                continue;
            }
            match maker.make(Arc::clone(&self.policy)).await {
                Ok(sandbox) => {
                    match tokio::time::timeout(WARMING, sandbox.control.warm()).await {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => tracing::warn!(%error, "a ready sandbox could not be warmed"),
                        Err(_) => tracing::warn!("a ready sandbox did not get warm in time"),
                    }
                    lock(&self.ready).push_back(sandbox);
                }
                Err(error) => {
                    tracing::warn!(policy = self.policy.name, %error, "cannot make a ready sandbox");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    /// A ready sandbox, if there is one that lives.
    pub(crate) fn take(&self) -> Option<Sandbox> {
        loop {
            let sandbox = lock(&self.ready).pop_front();
            self.taken.notify_one();
            let sandbox = sandbox?;
            if sandbox.gone.borrow().is_none() {
                return Some(sandbox);
            }
            tokio::spawn(async move { sandbox.destroy().await });
        }
    }

    /// How many are ready.
    pub(crate) fn ready(&self) -> usize {
        lock(&self.ready).len()
    }

    /// Stops refilling and destroys what is ready.
    pub(crate) async fn end(&self) {
        let filler = lock(&self.filler).take();
        if let Some(task) = filler {
            task.abort();
            // Aborted at an await: what it was making is dropped, and dropping takes it down.
            let _: Result<(), _> = task.await;
        }
        let ready: Vec<Sandbox> = lock(&self.ready).drain(..).collect();
        for sandbox in ready {
            for left in sandbox.destroy().await.left_behind {
                tracing::warn!(left, "left behind by a ready sandbox");
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
