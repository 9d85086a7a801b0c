//! Many clients at the same moment.

use crate::client::Client;
use crate::failure::Failure;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

/// Lets `count` clients begin at once, each as `one` says, which passes the gate when it is ready to; until the last of them is done.
/// Their sessions are stopped outside the clock.
pub fn crowd(
    count: usize,
    one: impl Fn(&Barrier) -> Result<(Client, String), Failure> + Sync,
) -> Result<Duration, Failure> {
    let gate = Barrier::new(count + 1);
    let (took, outcomes) = thread::scope(|scope| {
        let crowd: Vec<_> = (0..count).map(|_| scope.spawn(|| one(&gate))).collect();
        gate.wait();
        let begun = Instant::now();
        let outcomes: Vec<_> = crowd.into_iter().map(|client| client.join()).collect();
        (begun.elapsed(), outcomes)
    });
    let mut sessions = Vec::with_capacity(count);
    for outcome in outcomes {
        sessions.push(outcome.map_err(|_| Failure::Unavailable("a client's thread ended".into()))??);
    }
    for (mut client, session) in sessions {
        client.stop(&session)?;
    }
    Ok(took)
}
