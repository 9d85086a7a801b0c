//! A backend without isolation: starts in no time unless told otherwise, and counts what it did.

use super::fake_history::History;
use super::fake_interpreter::{FakeInterpreter, FakeStart, World};
use crate::backend::{Interpreter, InterpreterBackend, InterpreterSpec, StartError, Unavailable};
use crate::id::SandboxId;
use crate::lock::lock;
use async_trait::async_trait;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

/// The test double of an isolation tier.
///
/// Code is a script with one command a line: `print TEXT`, `warn TEXT`, `value TEXT`, `figure`, `sleep SECONDS`, `fail`,
/// `exit STATUS`, `set NAME VALUE`, `get NAME`, `write PATH TEXT`, `cat PATH`, `flood BYTES`; `hang` ignores the
/// interrupt, `die` ends the worker, `stuck` breaks the deadline contract and `panic` panics. Any other line is a
/// `SyntaxError`. Every language and the shell take the same script. Files live in a map per session.
///
/// One with snapshots is the tier `wasm`: its sessions can be copied, kept and restored.
#[derive(Debug, Default)]
pub struct FakeBackend {
    faults: Mutex<Vec<StartError>>,
    start_delay: Mutex<Duration>,
    stop_delay: Mutex<Duration>,
    counts: Arc<Counters>,
    /// Sessions that can be copied; `None` on a tier without snapshots.
    copyable: Option<Mutex<HashMap<SandboxId, Weak<FakeInterpreter>>>>,
}

/// What a [`FakeBackend`] has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fakes {
    /// Starts that were asked for.
    pub starts: usize,
    /// Workers that are up now.
    pub live: usize,
    /// Pieces of code and commands that began to run: what must not grow when a client retries.
    pub runs: usize,
    /// The most that ran at once in one session.
    pub most_at_once: usize,
    /// Times that the backend was shut down.
    pub shutdowns: usize,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) starts: AtomicUsize,
    pub(super) live: AtomicUsize,
    pub(super) runs: AtomicUsize,
    pub(super) most_at_once: AtomicUsize,
    pub(super) shutdowns: AtomicUsize,
    /// What every worker says that it has used; without it they are not measured.
    pub(super) cpu: Mutex<Option<Duration>>,
}

impl FakeBackend {
    /// A backend that starts at once and never fails.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The same for the tier that has snapshots.
    pub fn with_snapshots() -> Arc<Self> {
        Arc::new(Self { copyable: Some(Mutex::default()), ..Self::default() })
    }

    /// The world of the session to copy, copied.
    fn copied(&self, original: &SandboxId) -> Result<World, StartError> {
        let cannot =
            || StartError::NotSupported(format!("the {} tier cannot copy this session", self.name()));
        let copyable = self.copyable.as_ref().ok_or_else(cannot)?;
        let original = lock(copyable).get(original).and_then(Weak::upgrade).ok_or_else(cannot)?;
        original.copy().ok_or_else(|| StartError::Busy("the session to copy runs a call".into()))
    }

    /// Makes the next start fail like this; several pile up.
    pub fn fail_next_start(&self, error: StartError) {
        lock(&self.faults).push(error);
    }

    /// What every worker has used from now on, as a host would say that measures them.
    pub fn set_cpu(&self, used: Duration) {
        *lock(&self.counts.cpu) = Some(used);
    }

    /// How long starts take from now on.
    pub fn set_start_delay(&self, delay: Duration) {
        *lock(&self.start_delay) = delay;
    }

    /// How long stops of sessions that start from now on take.
    pub fn set_stop_delay(&self, delay: Duration) {
        *lock(&self.stop_delay) = delay;
    }

    /// What it has done so far.
    pub fn counts(&self) -> Fakes {
        let of = |counter: &AtomicUsize| counter.load(Ordering::SeqCst);
        let counts = &self.counts;
        Fakes {
            starts: of(&counts.starts),
            live: of(&counts.live),
            runs: of(&counts.runs),
            most_at_once: of(&counts.most_at_once),
            shutdowns: of(&counts.shutdowns),
        }
    }
}

#[async_trait]
impl InterpreterBackend for FakeBackend {
    fn name(&self) -> &'static str {
        if self.copyable.is_some() { "wasm" } else { "process" }
    }

    fn probe(&self) -> Result<(), Unavailable> {
        Ok(())
    }

    async fn start(&self, spec: InterpreterSpec) -> Result<Arc<dyn Interpreter>, StartError> {
        self.counts.starts.fetch_add(1, Ordering::SeqCst);
        let (delay, stop_delay) = (*lock(&self.start_delay), *lock(&self.stop_delay));
        tokio::time::sleep(delay).await;
        let fault = lock(&self.faults).pop();
        if let Some(error) = fault {
            return Err(error);
        }
        let world = spec.copy_of.as_ref().map(|original| self.copied(original)).transpose()?;
        let history = self.copyable.as_ref().map(|_| History::default());
        let start = FakeStart { world: world.unwrap_or_default(), history, stop_delay };
        let interpreter = FakeInterpreter::new(spec, Arc::clone(&self.counts), start).map_err(|error| {
            StartError::Step { step: "making an id".into(), source: std::io::Error::other(error.to_string()) }
        })?;
        let interpreter = Arc::new(interpreter);
        if let Some(copyable) = &self.copyable {
            lock(copyable).insert(interpreter.sandbox(), Arc::downgrade(&interpreter));
        }
        Ok(interpreter)
    }

    async fn shutdown(&self) {
        self.counts.shutdowns.fetch_add(1, Ordering::SeqCst);
    }
}
