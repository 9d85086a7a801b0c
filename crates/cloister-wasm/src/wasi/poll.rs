//! Waiting: for a time, or for descriptors, which are always ready.

use super::clock::{Clock, Deadline, Woken};
use super::memory::field;
use super::{Call, Done, Errno, Stop};
use crate::view::Target;

/// Subscriptions of one call.
pub const SUBSCRIPTIONS: u32 = 1024;

/// Bytes of a subscription, and of an event.
const SUBSCRIPTION: u32 = 48;
const EVENT: u32 = 32;

const CLOCK: u8 = 0;
const FD_READ: u8 = 1;
const FD_WRITE: u8 = 2;
/// The other side is gone: what the empty standard input is always like.
const HANGUP: u16 = 1;

/// What a subscription waits for.
enum Wait {
    /// A time.
    Until(Deadline),
    /// Nothing: it can be told at once, with an error number or the bytes that are there.
    Ready { error: u16, bytes: u64, flags: u16 },
}

impl Wait {
    fn refused(errno: Errno) -> Self {
        Self::Ready { error: errno.number(), bytes: 0, flags: 0 }
    }
}

/// What the clocks say.
struct Moment {
    realtime: u64,
    monotonic: u64,
}

impl Moment {
    fn until(&self, deadline: Deadline) -> u64 {
        match deadline {
            Deadline::Realtime(at) => at.saturating_sub(self.realtime),
            Deadline::Monotonic(at) => at.saturating_sub(self.monotonic),
        }
    }
}

impl Call<'_> {
    pub(super) fn poll_oneoff(&mut self, subscriptions: u32, events: u32, count: u32, out: u32) -> Done {
        if !(1..=SUBSCRIPTIONS).contains(&count) {
            return Err(Errno::Inval.into());
        }
        self.memory.expect(subscriptions, count * SUBSCRIPTION)?;
        self.memory.expect(events, count * EVENT)?;
        self.memory.expect(out, 4)?;
        self.wasi.budget.charge(u64::from(count))?;
        let begin = self.moment();
        // The nearest time and whose it is, unless something is ready at once.
        let mut nearest: Option<(u64, Deadline, u32)> = None;
        for n in 0..count {
            match self.subscription(subscriptions + n * SUBSCRIPTION, &begin)? {
                Wait::Until(at) if begin.until(at) > 0 => {
                    let left = begin.until(at);
                    if nearest.is_none_or(|(least, ..)| left < least) {
                        nearest = Some((left, at, n));
                    }
                }
                _ => {
                    nearest = None;
                    break;
                }
            }
        }
        if let Some((_, at, _)) = nearest
            && self.host.sleep(at) == Woken::Stopped
        {
            return Err(Stop::Interrupted.into());
        }
        let end = self.moment();
        // Events may lie where subscriptions did: the guest's own fault, and its own memory.
        let mut told = 0;
        for n in 0..count {
            let at = subscriptions + n * SUBSCRIPTION;
            let wait = self.subscription(at, &begin)?;
            // What was waited for has come, even when something else ended the sleep.
            let due = match &wait {
                _ if nearest.is_some_and(|(.., whose)| whose == n) => true,
                Wait::Until(at) => end.until(*at) == 0,
                Wait::Ready { .. } => true,
            };
            if due {
                let (user, kind) = (self.memory.u64(at)?, self.memory.u8(at + 8)?);
                self.event(events + told * EVENT, user, kind, &wait)?;
                told += 1;
            }
        }
        Ok(self.memory.put_u32(out, told)?)
    }

    fn moment(&self) -> Moment {
        Moment { realtime: self.host.now_realtime(), monotonic: self.host.now_monotonic() }
    }

    fn subscription(&self, at: u32, begin: &Moment) -> Result<Wait, Errno> {
        Ok(match self.memory.u8(field(at, 8)?)? {
            CLOCK => {
                let timeout = self.memory.u64(field(at, 24)?)?;
                let absolute = self.memory.u16(field(at, 40)?)? & 1 == 1;
                let until = |now: u64| if absolute { timeout } else { now.saturating_add(timeout) };
                match Clock::of(self.memory.u32(field(at, 16)?)?) {
                    Ok(Clock::Realtime) => Wait::Until(Deadline::Realtime(until(begin.realtime))),
                    Ok(Clock::Monotonic) => Wait::Until(Deadline::Monotonic(until(begin.monotonic))),
                    Err(errno) => Wait::refused(errno),
                }
            }
            FD_READ | FD_WRITE => match self.wasi.view.target(self.memory.u32(field(at, 16)?)?) {
                Err(errno) => Wait::refused(errno),
                Ok(Target::Stdin) => Wait::Ready { error: 0, bytes: 0, flags: HANGUP },
                Ok(_) => Wait::Ready { error: 0, bytes: 1, flags: 0 },
            },
            _ => Wait::refused(Errno::Inval),
        })
    }

    fn event(&mut self, at: u32, user: u64, kind: u8, wait: &Wait) -> Result<(), Errno> {
        let (error, bytes, flags) = match wait {
            Wait::Until(_) => (0, 0, 0),
            Wait::Ready { error, bytes, flags } => (*error, *bytes, *flags),
        };
        let mut event = [0; EVENT as usize];
        let fields: [(usize, &[u8]); 5] = [
            (0, &user.to_le_bytes()),
            (8, &error.to_le_bytes()),
            (10, &[kind]),
            (16, &bytes.to_le_bytes()),
            (24, &flags.to_le_bytes()),
        ];
        for (offset, value) in fields {
            if let Some(place) = event.get_mut(offset..offset + value.len()) {
                place.copy_from_slice(value);
            }
        }
        self.memory.put(at, &event)
    }
}
