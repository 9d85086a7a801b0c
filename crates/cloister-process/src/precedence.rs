//! Clients before pools: while somebody waits for a sandbox, none is made to be kept.
//!
//! Making and warming a ready sandbox takes as much of the processors as a client's start. In a crowd that finds the pool empty, every
//! refill would make all clients wait longer.

use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

/// How long a pool steps back. A service that never rests gets its pool filled all the same, one sandbox in this time.
const PATIENCE: Duration = Duration::from_secs(1);

/// How many clients wait for a sandbox that is being made for them.
#[derive(Debug)]
pub(crate) struct Precedence(watch::Sender<usize>);

/// A client that waits, until it is dropped.
pub(crate) struct Waiting<'a>(&'a Precedence);

impl Precedence {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(0))
    }

    /// Counts a client until the result is dropped, also when it gives up.
    pub(crate) fn client(&self) -> Waiting<'_> {
        self.0.send_modify(|clients| *clients += 1);
        Waiting(self)
    }

    /// Returns when no client waits, or when the patience of a pool is over.
    pub(crate) async fn step_back(&self) {
        let mut clients = self.0.subscribe();
        // An error would mean that the sender has gone, and it is ours.
        drop(timeout(PATIENCE, clients.wait_for(|clients| *clients == 0)).await);
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.0.send_modify(|clients| *clients = clients.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn a_pool_steps_back_until_the_last_client_is_served() {
        let precedence = Arc::new(Precedence::new());
        let (first, second) = (precedence.client(), precedence.client());
        let pool = tokio::spawn({
            let precedence = Arc::clone(&precedence);
            async move { precedence.step_back().await }
        });
        drop(first);
        tokio::time::sleep(PATIENCE / 2).await;
        assert!(!pool.is_finished());
        drop(second);
        pool.await.unwrap();
        let since = Instant::now();
        precedence.step_back().await;
        assert!(since.elapsed().is_zero(), "nobody waits");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pool_is_filled_even_when_clients_never_stop_coming() {
        let precedence = Precedence::new();
        let (_client, since) = (precedence.client(), Instant::now());
        precedence.step_back().await;
        assert!(since.elapsed() >= PATIENCE);
    }
}
