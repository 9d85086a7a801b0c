//! What the host functions of one session work on.

use crate::budget::Share;
use crate::control::{Control, Verdict};
use crate::output::Output;
use crate::wasi::{Deadline, Host, Stop, Stream, Wasi, Woken};
use nix::time::{ClockId, clock_gettime};
use std::sync::Arc;
use std::time::{Duration, Instant};
use wasmtime::Memory;

/// The store's data.
#[derive(Debug)]
pub struct State {
    /// Files, arguments, budget.
    pub wasi: Wasi,
    /// Output and control of the running call.
    pub cell: Cell,
    /// What it may grow to.
    pub share: Share,
    /// Its memory, once it is instantiated.
    pub memory: Option<Memory>,
    /// Where the interpreter looks for signals.
    pub signals: Option<Signals>,
}

/// The engine's side of a running call.
#[derive(Debug)]
pub struct Cell {
    /// What may happen to it.
    pub control: Arc<Control>,
    /// Where output goes; nowhere while the interpreter comes up.
    pub output: Option<Output>,
    /// What is said on descriptor 2 while there is no call: something has gone wrong.
    pub said: Vec<u8>,
    /// What the guest knows of a sleep that was ended before its time.
    pub(crate) woken: Early,
}

/// Between two interrupts of a guest that goes on sleeping.
const AGAIN: Duration = Duration::from_millis(20);

/// Whether a sleep of a call was ended before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Early {
    /// None was.
    No,
    /// One was, and the guest must hear of it before it goes on.
    Untold,
    /// It has heard of it.
    Told,
}

/// Bytes of [`Cell::said`] that are kept.
const SAID: usize = 4096;

impl Cell {
    /// A session that runs nothing.
    pub fn new(control: Arc<Control>) -> Self {
        Self { control, output: None, said: Vec::new(), woken: Early::No }
    }
}

/// Addresses of three words of the interpreter, in its memory: CPython raises `KeyboardInterrupt` when it finds them set. Writing
/// them is what its own signal handler does (Modules/signalmodule.c, `trip_signal`), and needs no call into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signals {
    /// `_PyRuntime.signals.handlers[SIGINT].tripped`.
    pub tripped: u32,
    /// `_PyRuntime.signals.is_tripped`.
    pub any: u32,
    /// `eval_breaker` of the main thread's state.
    pub breaker: u32,
    /// What is added to it.
    pub bit: u32,
}

impl Signals {
    /// Trips SIGINT.
    pub fn trip(self, memory: &mut [u8]) {
        put(memory, self.tripped, |_| 1);
        put(memory, self.any, |_| 1);
        put(memory, self.breaker, |breaker| breaker | self.bit);
    }
}

fn put(memory: &mut [u8], at: u32, change: impl FnOnce(u32) -> u32) {
    let word = memory.get_mut(at as usize..).and_then(|rest| rest.first_chunk_mut::<4>());
    if let Some(word) = word {
        *word = change(u32::from_le_bytes(*word)).to_le_bytes();
    }
}

impl Host for Cell {
    fn now_realtime(&self) -> u64 {
        nanoseconds(ClockId::CLOCK_REALTIME)
    }

    fn now_monotonic(&self) -> u64 {
        // The host's own and not the session's age: it goes on in a copy, and in one that was evicted.
        nanoseconds(ClockId::CLOCK_MONOTONIC)
    }

    fn sleep(&mut self, until: Deadline) -> Woken {
        let left = match until {
            Deadline::Realtime(at) => at.saturating_sub(self.now_realtime()),
            Deadline::Monotonic(at) => at.saturating_sub(self.now_monotonic()),
        };
        // Somebody may be waiting for what it has said so far.
        if let Some(output) = &mut self.output {
            output.flush();
        }
        let until = Instant::now().checked_add(Duration::from_nanos(left));
        let until = until.unwrap_or_else(|| Instant::now() + Duration::from_secs(1 << 30));
        let elapsed = self.control.sleep(until);
        if !elapsed && self.woken == Early::Told {
            // It has heard that it is interrupted, and sleeps again. It hears of it again, but not in a loop without a pause.
            std::thread::sleep(AGAIN);
        }
        match (elapsed, self.control.verdict()) {
            (_, Verdict::Overrun | Verdict::Closed) => Woken::Stopped,
            (true, _) => Woken::Elapsed,
            (false, _) => {
                self.woken = Early::Untold;
                Woken::Early
            }
        }
    }

    fn random(&mut self, out: &mut [u8]) {
        if let Err(error) = getrandom::fill(out) {
            // There is no going on without: keys would be made of zeros.
            eprintln!("cloister-wasm: the system's random source failed: {error}");
            std::process::abort();
        }
    }

    fn write(&mut self, stream: Stream, bytes: &[u8]) -> Result<(), Stop> {
        match (&mut self.output, stream) {
            (Some(output), Stream::Stdout) => output.write(1, bytes),
            (Some(output), Stream::Stderr) => output.write(2, bytes),
            (None, Stream::Stderr) if self.said.len() < SAID => {
                self.said.extend_from_slice(bytes.get(..SAID).unwrap_or(bytes));
            }
            (None, _) => {}
        }
        Ok(())
    }
}

fn nanoseconds(clock: ClockId) -> u64 {
    let now = clock_gettime(clock).map(Duration::from).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}
