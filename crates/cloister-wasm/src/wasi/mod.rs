//! The functions of WASI preview 1 over a file view: every one enumerated, typed, and checked against the guest's memory.
//!
//! ```text
//!   guest ──▶ functions.rs  one list: names, types, calls ──▶ Budget: each call costs, and so do its bytes
//!                 │
//!                 ├─▶ fd.rs dir.rs path.rs ──▶ View          memory.rs: every address and length is checked there
//!                 ├─▶ clock.rs poll.rs random.rs ──▶ Host    the engine's clock, sleep, randomness, output
//!                 └─▶ process.rs sock.rs
//! ```
//!
//! No engine is needed: memory is a slice. INVARIANT: nothing is allocated whose size a guest has chosen, and no call works longer than
//! its own limits allow ([`IO`], [`VECTORS`], [`SUBSCRIPTIONS`], [`RANDOM`]), because a call cannot be interrupted.

mod clock;
mod dir;
mod fd;
mod functions;
mod memory;
mod path;
mod poll;
mod process;
mod random;
mod sock;
#[cfg(test)]
mod tests;

pub use crate::view::Errno;
pub use clock::{Deadline, Woken};
pub use fd::{IO, VECTORS};
pub use functions::{Dispatch, FUNCTIONS, Function, Value, calls};
pub use poll::SUBSCRIPTIONS;
pub use random::RANDOM;

use crate::view::View;
use memory::Memory;

/// The module name that guests import the functions from.
pub const MODULE: &str = "wasi_snapshot_preview1";

/// Bytes that cost as much as a call.
const UNIT: usize = 4096;

/// What the engine does for a session, since it alone has clocks, randomness and clients.
pub trait Host {
    /// Nanoseconds since the epoch.
    fn now_realtime(&self) -> u64;
    /// Nanoseconds of a clock that never runs backwards, not even in a session that was restored or copied.
    fn now_monotonic(&self) -> u64;
    /// Waits until then, or until something else is to be done with the session.
    fn sleep(&mut self, until: Deadline) -> Woken;
    /// Fills `out` from the system's source, with at most 64 KiB at a time.
    fn random(&mut self, out: &mut [u8]);
    /// Takes output. All of it is taken, or dropped above a cap: a guest is not told.
    fn write(&mut self, stream: Stream, bytes: &[u8]) -> Result<(), Stop>;
}

/// An output stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Descriptor 1.
    Stdout,
    /// Descriptor 2.
    Stderr,
}

/// Why a guest does not go on after a call: the engine ends what runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    /// It asked for its end.
    #[error("the guest exited with code {0}")]
    Exit(u32),
    /// The host wants it to end.
    #[error("the guest was stopped by its host")]
    Interrupted,
    /// It has made more calls than it may.
    #[error("the guest has used up its budget of host calls")]
    Budget,
    /// A function was called with another number of arguments than it has.
    #[error("a host function was called with the wrong number of arguments")]
    Arguments,
}

/// How many more calls a guest may make. Each costs one, and one more for every 4 KiB that it moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget(u64);

impl Budget {
    /// So many calls.
    pub fn new(calls: u64) -> Self {
        Self(calls)
    }

    /// What is left.
    pub fn left(self) -> u64 {
        self.0
    }

    fn charge(&mut self, cost: u64) -> Result<(), Stop> {
        self.0 = self.0.checked_sub(cost).ok_or(Stop::Budget)?;
        Ok(())
    }
}

/// Bytes of files that a guest has read and written, those that it shares with others included; neither output nor names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Read.
    pub read: u64,
    /// Written.
    pub written: u64,
}

/// What the functions of one session work on.
#[derive(Clone, Debug)]
pub struct Wasi {
    /// Its files.
    pub view: View,
    /// Arguments, without NUL.
    pub args: Vec<Vec<u8>>,
    /// `NAME=value`, without NUL.
    pub env: Vec<Vec<u8>>,
    /// What it may still call. The engine fills it up before each call into the guest.
    pub budget: Budget,
    /// What it has moved since the engine set this to zero.
    pub moved: Moved,
    /// Nanoseconds that clocks are rounded down to; 1 for all the host has. A coarse clock tells a guest less about its neighbours.
    pub resolution: u64,
}

impl Wasi {
    /// A session without arguments and environment, with the host's clocks and the given budget.
    pub fn new(view: View, budget: Budget) -> Self {
        Self { view, args: Vec::new(), env: Vec::new(), budget, moved: Moved::default(), resolution: 1 }
    }
}

/// One call of a guest.
struct Call<'a> {
    wasi: &'a mut Wasi,
    host: &'a mut dyn Host,
    memory: Memory<'a>,
}

/// Why a call did not do what it should.
enum Fault {
    Errno(Errno),
    Stop(Stop),
}

type Done<T = ()> = Result<T, Fault>;

impl From<Errno> for Fault {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

impl From<Stop> for Fault {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

impl<'a> Call<'a> {
    fn begin(wasi: &'a mut Wasi, host: &'a mut dyn Host, memory: &'a mut [u8]) -> Result<Self, Stop> {
        wasi.budget.charge(1)?;
        Ok(Self { wasi, host, memory: Memory::new(memory) })
    }

    /// Pays for bytes that are moved, before or after.
    fn pay(&mut self, bytes: usize) -> Result<(), Stop> {
        self.wasi.budget.charge((bytes / UNIT) as u64)
    }

    fn now(&self) -> u64 {
        self.host.now_realtime()
    }
}
