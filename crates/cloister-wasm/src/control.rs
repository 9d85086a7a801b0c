//! What may happen to a cell from outside while it runs: its deadline, an interrupt, the end of its session.
//!
//! ```text
//!   Idle ──begin──▶ Running ──deadline, or asked──▶ Interrupted ──grace──▶ Overrun (a trap)
//!                      └──────────── session closed, at any stage ──────▶ Closed  (a trap)
//! ```
//!
//! The thread that runs asks [`Control::verdict`] at every tick of the epoch and before it sleeps; others only set what it will find.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What the running thread must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Run,
    /// Raise `KeyboardInterrupt` in the guest, again and again: Python code may swallow one (wasm.md: `int('x')` does).
    Interrupt,
    /// Give up: the guest has not ended within its grace period.
    Overrun,
    /// Give up: the session is closed.
    Closed,
}

#[derive(Debug, Default)]
struct Inner {
    deadline: Option<Instant>,
    grace: Duration,
    /// Since when it is being interrupted.
    since: Option<Instant>,
    /// It was the deadline and not a request.
    timed_out: bool,
    running: bool,
    closed: bool,
}

/// One session's control.
#[derive(Debug, Default)]
pub struct Control {
    inner: Mutex<Inner>,
    wake: Condvar,
}

/// How a cell was made to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// It was interrupted.
    pub interrupted: bool,
    /// By its deadline.
    pub timed_out: bool,
}

impl Control {
    /// A cell begins.
    pub fn begin(&self, deadline: Instant, grace: Duration) {
        let mut inner = self.lock();
        let closed = inner.closed;
        *inner = Inner { deadline: Some(deadline), grace, running: true, closed, ..Inner::default() };
    }

    /// It has ended. How it was made to.
    pub fn end(&self) -> Cut {
        let mut inner = self.lock();
        inner.running = false;
        Cut { interrupted: inner.since.is_some(), timed_out: inner.timed_out }
    }

    /// Asks the running cell to end, as its deadline would. Without one, nothing happens.
    pub fn interrupt(&self) {
        let mut inner = self.lock();
        if inner.running && inner.since.is_none() {
            inner.since = Some(Instant::now());
            self.wake.notify_all();
        }
    }

    /// Whether a cell is running.
    pub fn is_running(&self) -> bool {
        self.lock().running
    }

    /// Ends whatever runs, now and from now on.
    pub fn close(&self) {
        self.lock().closed = true;
        self.wake.notify_all();
    }

    /// Whether the session is closed.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// What the running thread must do now.
    pub fn verdict(&self) -> Verdict {
        self.lock().verdict(Instant::now())
    }

    /// Sleeps until `until`, or until there is something else to do. Whether the time has been slept to its end.
    pub fn sleep(&self, until: Instant) -> bool {
        let mut inner = self.lock();
        loop {
            let now = Instant::now();
            if inner.verdict(now) != Verdict::Run {
                return false;
            }
            if now >= until {
                return true;
            }
            let next = inner.deadline.map_or(until, |deadline| until.min(deadline));
            let waited = self.wake.wait_timeout(inner, next.saturating_duration_since(now));
            inner = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        crate::lock(&self.inner)
    }
}

impl Inner {
    fn verdict(&mut self, now: Instant) -> Verdict {
        if self.closed {
            return Verdict::Closed;
        }
        if !self.running {
            // Between cells only the engine's own code runs, and the last cell's deadline is none of its business.
            return Verdict::Run;
        }
        if self.since.is_none() && self.deadline.is_some_and(|deadline| now >= deadline) {
            (self.since, self.timed_out) = (Some(now), true);
        }
        match self.since {
            None => Verdict::Run,
            Some(since) if now >= since + self.grace => Verdict::Overrun,
            Some(_) => Verdict::Interrupt,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn a_deadline_interrupts_first_and_cuts_off_after_the_grace_period() {
        let control = Control::default();
        control.begin(Instant::now() + LONG, LONG);
        assert_eq!(control.verdict(), Verdict::Run);
        control.begin(Instant::now(), LONG);
        assert_eq!(control.verdict(), Verdict::Interrupt);
        assert_eq!(control.end(), Cut { interrupted: true, timed_out: true });
        control.begin(Instant::now(), Duration::ZERO);
        assert_eq!(control.verdict(), Verdict::Overrun);
    }

    #[test]
    fn a_deadline_that_has_passed_means_nothing_to_what_runs_after_its_cell() {
        let control = Control::default();
        control.begin(Instant::now(), Duration::ZERO);
        assert_eq!(control.verdict(), Verdict::Overrun);
        control.end();
        assert_eq!(control.verdict(), Verdict::Run);
        control.close();
        assert_eq!(control.verdict(), Verdict::Closed);
    }

    #[test]
    fn an_interrupt_between_cells_does_nothing_to_the_next_one() {
        let control = Control::default();
        control.interrupt();
        control.begin(Instant::now() + LONG, LONG);
        assert_eq!(control.verdict(), Verdict::Run);
        control.interrupt();
        assert_eq!(control.verdict(), Verdict::Interrupt);
        assert_eq!(control.end(), Cut { interrupted: true, timed_out: false });
    }

    #[test]
    fn a_sleeper_wakes_up_for_an_interrupt_and_a_closed_session_never_sleeps() {
        let control = Control::default();
        control.begin(Instant::now() + LONG, LONG);
        std::thread::scope(|scope| {
            let sleeper = scope.spawn(|| control.sleep(Instant::now() + LONG));
            control.interrupt();
            assert!(!sleeper.join().unwrap());
        });
        control.close();
        control.begin(Instant::now() + LONG, LONG);
        assert!(!control.sleep(Instant::now() + LONG));
        assert_eq!(control.verdict(), Verdict::Closed);
    }
}
