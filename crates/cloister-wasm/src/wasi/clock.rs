//! Clocks.

use super::{Call, Done, Errno};

/// When a sleep ends, in nanoseconds of a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// Since the epoch.
    Realtime(u64),
    /// Of [`super::Host::now_monotonic`].
    Monotonic(u64),
}

/// Why a sleep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// Its time has come.
    Elapsed,
    /// There is something for the guest to notice, such as an interrupt: the call ends as if its time had come.
    Early,
    /// The guest is to end.
    Stopped,
}

/// The clocks that there are. Those of processor time are not: what runs beside a session would show in them.
#[derive(Clone, Copy)]
pub(super) enum Clock {
    Realtime,
    Monotonic,
}

impl Clock {
    pub(super) fn of(number: u32) -> Result<Self, Errno> {
        match number {
            0 => Ok(Self::Realtime),
            1 => Ok(Self::Monotonic),
            2 | 3 => Err(Errno::Notsup),
            _ => Err(Errno::Inval),
        }
    }
}

impl Call<'_> {
    pub(super) fn read_clock(&self, clock: Clock) -> u64 {
        match clock {
            Clock::Realtime => self.host.now_realtime(),
            Clock::Monotonic => self.host.now_monotonic(),
        }
    }

    pub(super) fn clock_res_get(&mut self, clock: u32, out: u32) -> Done {
        Clock::of(clock)?;
        Ok(self.memory.put_u64(out, self.wasi.resolution.max(1))?)
    }

    pub(super) fn clock_time_get(&mut self, clock: u32, _precision: u64, out: u32) -> Done {
        let now = self.read_clock(Clock::of(clock)?);
        Ok(self.memory.put_u64(out, now - now % self.wasi.resolution.max(1))?)
    }
}
