//! Time for running guests: the engine's epoch moves while somebody runs, and stands still while nobody does.

use crate::lock;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use wasmtime::Engine;

/// Between two looks at what a running guest must do.
pub const TICK: Duration = Duration::from_millis(5);

#[derive(Debug, Default)]
struct Shared {
    running: Mutex<usize>,
    changed: Condvar,
}

/// Moves the epoch.
#[derive(Clone, Debug)]
pub struct Ticker(Arc<Shared>);

/// While it lives, time goes on.
#[derive(Debug)]
pub struct Running<'a>(&'a Ticker);

impl Ticker {
    /// Starts its thread.
    pub fn start(engine: Engine) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let ours = Arc::clone(&shared);
        std::thread::Builder::new().name("ticker".into()).stack_size(128 << 10).spawn(move || {
            loop {
                let guard = lock(&ours.running);
                drop(ours.changed.wait_while(guard, |running| *running == 0));
                std::thread::sleep(TICK);
                engine.increment_epoch();
            }
        })?;
        Ok(Self(shared))
    }

    /// To be held while a guest runs.
    pub fn running(&self) -> Running<'_> {
        *lock(&self.0.running) += 1;
        self.0.changed.notify_one();
        Running(self)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        *lock(&self.0.0.running) -= 1;
    }
}
