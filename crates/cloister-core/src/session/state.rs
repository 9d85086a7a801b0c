//! The state of one session: what it is doing, and which calls may run. Pure and synchronous; only its driver changes it.
//!
//! ```text
//!   Starting ──started──▶ Ready ──stop──▶ Stopping(reason) ──reaped──▶ Terminated(reason)
//!      ├──stop──▶ Abandoned(reason) ──started──▶ Stopping(reason)         ▲
//!      │              └──────────── failed ──────────────────────────────┤
//!      └───────────────────────── failed ────────────────────────────────┘
//! ```

use super::EndReason;
use std::collections::{HashSet, VecDeque};

/// A call within its session.
pub(super) type CallId = u64;

/// What a session is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The backend is bringing up its worker.
    Starting,
    /// It is to end, and its worker is not up yet. A start is never cut short: its undo is the backend's business.
    Abandoned(EndReason),
    /// It takes calls.
    Ready,
    /// The worker is being taken down.
    Stopping(EndReason),
    /// Nothing is left.
    Terminated(EndReason),
}

/// The two ways of running a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// Guest code in the foreground: one at a time, in order of arrival.
    Foreground,
    /// Everything else: at once.
    Side,
}

/// What becomes of a call that is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// Run it now.
    Run,
    /// It waits; [`State::ended`] names it when it is its turn.
    Wait,
}

/// Why a call is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The worker is not up yet.
    Starting,
    /// The session is ending or has ended.
    Ending(EndReason),
    /// So many foreground calls wait already.
    QueueFull(usize),
    /// So many other calls run already.
    TooManyAtOnce(usize),
}

/// What a stop sets off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StopStep {
    /// Take the worker down now.
    TakeDown,
    /// Wait for the start to come back, then take it down.
    AfterStart,
    /// Somebody was first.
    Already,
}

/// The state of one session.
#[derive(Debug)]
pub(super) struct State {
    phase: Phase,
    foreground: Option<CallId>,
    queue: VecDeque<CallId>,
    side: HashSet<CallId>,
    max_queued: usize,
    max_side: usize,
}

impl State {
    pub(super) fn new(max_queued: usize, max_side: usize) -> Self {
        Self {
            phase: Phase::Starting,
            foreground: None,
            queue: VecDeque::new(),
            side: HashSet::new(),
            max_queued,
            max_side,
        }
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    /// Calls that run now.
    pub(super) fn running(&self) -> usize {
        self.side.len() + usize::from(self.foreground.is_some())
    }

    /// Calls that wait.
    pub(super) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Lets a call in, or says why not.
    pub(super) fn admit(&mut self, call: CallId, lane: Lane) -> Result<Admission, Refusal> {
        match self.phase {
            Phase::Starting => return Err(Refusal::Starting),
            Phase::Abandoned(reason) | Phase::Stopping(reason) | Phase::Terminated(reason) => {
                return Err(Refusal::Ending(reason));
            }
            Phase::Ready => {}
        }
        match lane {
            Lane::Side if self.side.len() >= self.max_side => Err(Refusal::TooManyAtOnce(self.max_side)),
            Lane::Side => {
                self.side.insert(call);
                Ok(Admission::Run)
            }
            Lane::Foreground if self.foreground.is_none() => {
                self.foreground = Some(call);
                Ok(Admission::Run)
            }
            Lane::Foreground if self.queue.len() >= self.max_queued => {
                Err(Refusal::QueueFull(self.max_queued))
            }
            Lane::Foreground => {
                self.queue.push_back(call);
                Ok(Admission::Wait)
            }
        }
    }

    /// A running call has ended; returns the call whose turn it is now.
    pub(super) fn ended(&mut self, call: CallId) -> Option<CallId> {
        if self.foreground != Some(call) {
            self.side.remove(&call);
            return None;
        }
        self.foreground = match self.phase {
            Phase::Ready => self.queue.pop_front(),
            _ => None,
        };
        self.foreground
    }

    /// The session is to end. Calls that wait will not run; their ids are forgotten here.
    pub(super) fn stop(&mut self, reason: EndReason) -> StopStep {
        self.queue.clear();
        match self.phase {
            Phase::Starting => {
                self.phase = Phase::Abandoned(reason);
                StopStep::AfterStart
            }
            Phase::Ready => {
                self.phase = Phase::Stopping(reason);
                StopStep::TakeDown
            }
            Phase::Abandoned(_) | Phase::Stopping(_) | Phase::Terminated(_) => StopStep::Already,
        }
    }

    /// The worker is up. `Err` if nobody wants it any more: take it down.
    pub(super) fn started(&mut self) -> Result<(), EndReason> {
        match self.phase {
            Phase::Starting => {
                self.phase = Phase::Ready;
                Ok(())
            }
            Phase::Abandoned(reason) => {
                self.phase = Phase::Stopping(reason);
                Err(reason)
            }
            Phase::Ready => Ok(()),
            Phase::Stopping(reason) | Phase::Terminated(reason) => Err(reason),
        }
    }

    /// The worker never came up, or it is gone and nothing is left of it.
    pub(super) fn gone(&mut self) -> EndReason {
        let reason = match self.phase {
            Phase::Starting | Phase::Ready => EndReason::Failed,
            Phase::Abandoned(reason) | Phase::Stopping(reason) | Phase::Terminated(reason) => reason,
        };
        self.phase = Phase::Terminated(reason);
        reason
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ready() -> State {
        let mut state = State::new(2, 2);
        state.started().unwrap();
        state
    }

    #[test]
    fn foreground_calls_take_turns_in_order_and_the_queue_is_bounded() {
        let mut state = ready();
        assert_eq!(state.admit(1, Lane::Foreground), Ok(Admission::Run));
        assert_eq!(state.admit(2, Lane::Foreground), Ok(Admission::Wait));
        assert_eq!(state.admit(3, Lane::Foreground), Ok(Admission::Wait));
        assert_eq!(state.admit(4, Lane::Foreground), Err(Refusal::QueueFull(2)));
        assert_eq!(state.ended(1), Some(2));
        assert_eq!(state.ended(2), Some(3));
        assert_eq!(state.ended(3), None);
    }

    #[test]
    fn other_calls_run_beside_them_up_to_their_own_limit() {
        let mut state = ready();
        assert_eq!(state.admit(1, Lane::Foreground), Ok(Admission::Run));
        assert_eq!(state.admit(2, Lane::Side), Ok(Admission::Run));
        assert_eq!(state.admit(3, Lane::Side), Ok(Admission::Run));
        assert_eq!(state.admit(4, Lane::Side), Err(Refusal::TooManyAtOnce(2)));
        assert_eq!(state.ended(2), None);
        assert_eq!(state.admit(5, Lane::Side), Ok(Admission::Run));
    }

    #[test]
    fn a_stop_during_the_start_takes_the_worker_down_as_soon_as_it_is_up() {
        let mut state = State::new(2, 2);
        assert_eq!(state.stop(EndReason::Stopped), StopStep::AfterStart);
        assert_eq!(state.stop(EndReason::Drained), StopStep::Already);
        assert_eq!(state.started(), Err(EndReason::Stopped));
        assert_eq!(state.gone(), EndReason::Stopped);
    }

    #[derive(Clone, Debug)]
    enum Input {
        Foreground,
        Side,
        End(prop::sample::Index),
        Stop(bool),
        Started,
        Gone,
    }

    fn input() -> impl Strategy<Value = Input> {
        prop_oneof![
            6 => Just(Input::Foreground),
            4 => Just(Input::Side),
            6 => any::<prop::sample::Index>().prop_map(Input::End),
            1 => any::<bool>().prop_map(Input::Stop),
            3 => Just(Input::Started),
            1 => Just(Input::Gone),
        ]
    }

    proptest! {
        #[test]
        fn whatever_happens_one_foreground_call_runs_in_order_and_the_end_is_final(
            inputs in prop::collection::vec(input(), 0..80)
        ) {
            let mut state = State::new(3, 2);
            let (mut next, mut foreground, mut side) = (0u64, Vec::new(), Vec::new());
            let mut last_run = None;
            let mut end = None;
            for input in inputs {
                match input {
                    Input::Foreground | Input::Side => {
                        next += 1;
                        let lane = if matches!(input, Input::Side) { Lane::Side } else { Lane::Foreground };
                        let was_ready = state.phase() == Phase::Ready;
                        let verdict = state.admit(next, lane);
                        prop_assert!(was_ready || verdict.is_err());
                        if verdict == Ok(Admission::Run) {
                            if lane == Lane::Side { side.push(next) } else { foreground.push(next) }
                        }
                    }
                    Input::End(which) => {
                        let running: Vec<u64> = foreground.iter().chain(&side).copied().collect();
                        if running.is_empty() { continue }
                        let call = running[which.index(running.len())];
                        foreground.retain(|c| *c != call);
                        side.retain(|c| *c != call);
                        if let Some(turn) = state.ended(call) {
                            prop_assert_eq!(state.phase(), Phase::Ready, "nothing new runs once the end has begun");
                            foreground.push(turn);
                        }
                    }
                    Input::Stop(drain) => {
                        state.stop(if drain { EndReason::Drained } else { EndReason::Stopped });
                        prop_assert_eq!(state.queued(), 0);
                    }
                    Input::Started => { let _ = state.started(); }
                    Input::Gone => { state.gone(); }
                }
                prop_assert!(foreground.len() <= 1 && side.len() <= 2 && state.queued() <= 3);
                prop_assert_eq!(state.running(), foreground.len() + side.len());
                if let Some(&call) = foreground.first() {
                    prop_assert!(last_run.is_none_or(|last| last <= call), "first come, first served");
                    last_run = Some(call);
                }
                if let Some(before) = end {
                    prop_assert_eq!(state.phase(), Phase::Terminated(before), "a terminal state never changes");
                }
                if let Phase::Terminated(reason) = state.phase() {
                    end = Some(reason);
                }
            }
        }
    }
}
