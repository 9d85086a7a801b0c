//! Starts that are under way under a client token: the second request with the same token waits for the first.

use super::SessionRecord;
use super::refusal;
use crate::error::Error;
use crate::id::Principal;
use crate::lock::lock;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// A token belongs to a principal and an interpreter: the same text from somebody else is another token.
pub(super) type TokenKey = (Principal, String, String);

type Outcome = Option<Result<SessionRecord, Arc<Error>>>;

/// The starts that are under way. What is over is in the store.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    running: Mutex<HashMap<TokenKey, Running>>,
}

#[derive(Debug)]
struct Running {
    fingerprint: [u8; 32],
    outcome: watch::Receiver<Outcome>,
}

/// What a request with a token is to do.
#[derive(Debug)]
pub(super) enum Claim {
    /// It is the first: start, then [`Lead::finish`].
    Lead(Lead),
    /// Another one is at it.
    Follow(Follow),
    /// Another one is at it with other parameters.
    Mismatch,
}

/// The right to start under a token. Dropping it without an outcome fails those who wait.
#[derive(Debug)]
pub(super) struct Lead {
    tokens: Arc<Tokens>,
    key: TokenKey,
    outcome: watch::Sender<Outcome>,
}

/// A place among those who wait.
#[derive(Debug)]
pub(super) struct Follow {
    outcome: watch::Receiver<Outcome>,
}

impl Tokens {
    pub(super) fn claim(self: &Arc<Self>, key: TokenKey, fingerprint: [u8; 32]) -> Claim {
        let mut running = lock(&self.running);
        match running.get(&key) {
            Some(first) if first.fingerprint != fingerprint => Claim::Mismatch,
            Some(first) => Claim::Follow(Follow { outcome: first.outcome.clone() }),
            None => {
                let (sender, outcome) = watch::channel(None);
                running.insert(key.clone(), Running { fingerprint, outcome });
                Claim::Lead(Lead { tokens: Arc::clone(self), key, outcome: sender })
            }
        }
    }
}

impl Lead {
    /// Tells everybody who waits, and gives the outcome back.
    pub(super) fn finish(self, result: Result<SessionRecord, Error>) -> Result<SessionRecord, Error> {
        let shared = result.as_ref().map(Clone::clone).map_err(|error| Arc::new(error.repeat()));
        self.outcome.send_replace(Some(shared));
        result
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        lock(&self.tokens.running).remove(&self.key);
    }
}

impl Follow {
    pub(super) async fn wait(mut self) -> Result<SessionRecord, Error> {
        match self.outcome.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone()) {
            Some(Ok(record)) => Ok(record),
            Some(Err(error)) => Err(error.repeat()),
            None => Err(refusal::broke_off("the start of the session")),
        }
    }
}
