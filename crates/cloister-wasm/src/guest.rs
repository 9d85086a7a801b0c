//! One instance of the interpreter, at rest between two calls.
//!
//! ```text
//!   Factory ─▶ Guest ─▶ run ─┬─ Ok ──▶ at rest again
//!                            └─ Err ─▶ dead: its memory is in the middle of something; take another one
//! ```

use crate::control::Verdict;
use crate::state::{Signals, State};
use crate::wasi::{Budget, Stop};
use std::time::Duration;
use wasmtime::{AsContextMut, Instance, Memory, Store, TypedFunc, UpdateDeadline};

/// Host calls of one cell. A second of them at 100 ns each is ten million; a day's worth is no bound that anybody meets by accident.
const CALLS: u64 = 20_000_000_000;
/// Between two writes of an interrupt, in ticks.
const REPEAT: u32 = 4;

/// Functions of the interpreter's shim (`sandbox-images/wasm-python/shim.c`).
#[derive(Clone)]
struct Exports {
    alloc: TypedFunc<u32, u32>,
    free: TypedFunc<u32, ()>,
    reseed: TypedFunc<(u32, u32), i32>,
    run: TypedFunc<(u32, u32, u32, u32), i32>,
}

/// An instance.
pub struct Guest {
    pub(crate) store: Store<State>,
    pub(crate) memory: Memory,
    exports: Exports,
}

/// Why a guest is dead.
#[derive(Debug, thiserror::Error)]
pub enum Death {
    /// It was stopped, or stopped itself.
    #[error("{0}")]
    Stopped(Stop),
    /// It did not end within its grace period.
    #[error("it did not end within its grace period")]
    Overrun,
    /// Its session was closed.
    #[error("its session was closed")]
    Closed,
    /// The engine found a fault: an unreachable instruction, a stack overflow, an access outside of its memory.
    #[error("{0}")]
    Trap(String),
}

/// What the epoch's callback gives up with.
#[derive(Clone, Copy, Debug, thiserror::Error)]
enum Cut {
    #[error("cut off at the end of its grace period")]
    Overrun,
    #[error("cut off, for its session is closed")]
    Closed,
}

impl Guest {
    /// Wraps an instance. Its state must be at rest.
    pub(crate) fn new(
        mut store: Store<State>,
        instance: &Instance,
        memory: Memory,
    ) -> wasmtime::Result<Self> {
        let exports = Exports {
            alloc: instance.get_typed_func(&mut store, "k_alloc")?,
            free: instance.get_typed_func(&mut store, "k_free")?,
            reseed: instance.get_typed_func(&mut store, "k_reseed")?,
            run: instance.get_typed_func(&mut store, "k_run")?,
        };
        Ok(Self { store, memory, exports })
    }

    /// Runs one request of the cell channel: its JSON and its blob.
    pub fn run(&mut self, json: &[u8], blob: &[u8]) -> Result<(), Death> {
        let ran = self.with_bytes(json, |this, json| {
            this.with_bytes(blob, |this, blob| {
                let run = this.exports.run.clone();
                run.call(&mut this.store, (json.0, json.1, blob.0, blob.1))
            })
        });
        match ran {
            Ok(0) => Ok(()),
            Ok(status) => Err(Death::Trap(format!("the driver failed with status {status}"))),
            Err(error) => Err(death(&error)),
        }
    }

    /// Gives it randomness of its own, and its environment.
    pub fn reseed(&mut self, seed: &[u8]) -> Result<(), Death> {
        let reseeded = self.with_bytes(seed, |this, (at, length)| {
            let reseed = this.exports.reseed.clone();
            reseed.call(&mut this.store, (at, length))
        });
        match reseeded {
            Ok(0) => Ok(()),
            Ok(status) => Err(Death::Trap(format!("the driver failed with status {status}"))),
            Err(error) => Err(death(&error)),
        }
    }

    /// Places bytes in its memory for the time of a call.
    fn with_bytes<T>(
        &mut self,
        bytes: &[u8],
        call: impl FnOnce(&mut Self, (u32, u32)) -> wasmtime::Result<T>,
    ) -> wasmtime::Result<T> {
        self.store.data_mut().wasi.budget = Budget::new(CALLS);
        let length = u32::try_from(bytes.len())?;
        let (alloc, free) = (self.exports.alloc.clone(), self.exports.free.clone());
        let at = alloc.call(&mut self.store, length.max(1))?;
        if at == 0 {
            return Err(wasmtime::Error::msg("no memory is left for the call"));
        }
        self.memory.write(&mut self.store, at as usize, bytes)?;
        let done = call(self, (at, length))?;
        free.call(&mut self.store, at)?;
        Ok(done)
    }

    /// Its linear memory.
    pub fn bytes(&self) -> &[u8] {
        self.memory.data(&self.store)
    }
}

impl std::fmt::Debug for Guest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guest").field("bytes", &self.bytes().len()).finish_non_exhaustive()
    }
}

fn death(error: &wasmtime::Error) -> Death {
    if let Some(cut) = error.downcast_ref::<Cut>() {
        return match cut {
            Cut::Overrun => Death::Overrun,
            Cut::Closed => Death::Closed,
        };
    }
    match error.downcast_ref::<Stop>() {
        Some(Stop::Interrupted) => Death::Overrun,
        Some(stop) => Death::Stopped(*stop),
        // The first line: what follows is a list of functions.
        None => Death::Trap(format!("{error:#}").lines().next().unwrap_or_default().to_owned()),
    }
}

/// Has the store look, at every tick, at what is to be done with what runs.
pub(crate) fn watch(store: &mut Store<State>) {
    store.set_epoch_deadline(1);
    let mut ticks = 0u32;
    store.epoch_deadline_callback(move |mut store| {
        let mut context = store.as_context_mut();
        let state = context.data_mut();
        if let Some(output) = &mut state.cell.output {
            output.tick();
        }
        match state.cell.control.verdict() {
            Verdict::Run => ticks = 0,
            Verdict::Interrupt => {
                if ticks.is_multiple_of(REPEAT) {
                    trip(&mut context);
                }
                ticks = ticks.wrapping_add(1);
            }
            Verdict::Overrun => return Err(Cut::Overrun.into()),
            Verdict::Closed => return Err(Cut::Closed.into()),
        }
        Ok(UpdateDeadline::Continue(1))
    });
}

fn trip(context: &mut wasmtime::StoreContextMut<'_, State>) {
    let state: &State = context.data();
    let found: Option<(Memory, Signals)> = state.memory.zip(state.signals);
    if let Some((memory, signals)) = found {
        signals.trip(memory.data_mut(context));
    }
}

/// How long a guest that comes up may take: it runs no code of anybody else.
pub(crate) const COMING_UP: Duration = Duration::from_secs(50);
