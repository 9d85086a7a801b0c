//! The driver of one session: the only task that changes its state, and one that never waits for the guest.
//!
//! ```text
//!   requests (invoke, stop) ─┐                                      ┌─▶ order.start          ─┐
//!   the clock ───────────────┼─▶ select! names it ─▶ apply (sync) ──┼─▶ calls                 ├─▶ back as Happened
//!   results of its work ─────┘                                      └─▶ worker.stop          ─┘
//! ```
//!
//! Everything that may take time is a task in `work` or a future in `running`, whose result comes back as one more event. A call that
//! never ends therefore cannot keep a session from being stopped. Starts and calls are futures of this task and not tasks of their own:
//! handing one to another thread and its answer back costs as much as the smallest take (measured: a tenth of a millisecond).

use super::account::{Account, CallFacts};
use super::calls::{self, CallEnd, Plan};
use super::counted::Counted;
use super::invocation::{Invocation, Log};
use super::ledger::{Known, Ledger};
use super::live::{Place, View};
use super::state::{Admission, CallId, Lane, Phase, State, StopStep};
use super::worker::{Order, Worker};
use super::{EndReason, InvokeOptions, ManagerConfig, SessionRecord, Status, records, refusal};
use crate::audit::Origin;
use crate::backend::{StartError, StopReport};
use crate::command::ToolCall;
use crate::error::Error;
use crate::id::SessionId;
use crate::policy::Policy;
use crate::store::Store;
use futures_util::{FutureExt as _, StreamExt as _, stream::FuturesUnordered};
use std::collections::HashMap;
use std::{future::pending, panic::AssertUnwindSafe, pin::Pin, sync::Arc, time::SystemTime};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{Id as TaskId, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

/// Characters of a cause that are kept.
const CAUSE: usize = 500;

/// What a session can be asked.
#[derive(Debug)]
pub(super) enum Request {
    /// Make a call, or attach to the one with the same invocation id. The policy has allowed it.
    Invoke {
        call: ToolCall,
        options: InvokeOptions,
        origin: Box<Origin>,
        reply: oneshot::Sender<Result<Invocation, Error>>,
    },
    /// End; answered when nothing is left.
    Stop { reason: EndReason, reply: oneshot::Sender<SessionRecord> },
}

/// What happened; the only input of [`Driver::apply`].
enum Happened {
    Asked(Request),
    Started(Result<Worker, StartError>),
    WorkerExited(String),
    CallEnded(CallId, CallEnd),
    Reaped(StopReport, SystemTime),
    TaskDied(Duty, String),
    Clock,
}

/// A call that runs, until its end.
type Running = Pin<Box<dyn Future<Output = Happened> + Send>>;

/// What a task was for, in case it dies without a result.
#[derive(Clone, Copy, Debug)]
enum Duty {
    Start,
    Watch,
    Call(CallId),
    Stop,
}

/// A call that waits or runs.
struct Call {
    lane: Lane,
    log: Arc<Log>,
    invocation: Option<String>,
    /// Taken when it runs.
    plan: Option<Plan>,
    /// Bytes of code, for the limit of what may wait.
    bytes: usize,
}

/// Everything that a driver starts from.
pub(super) struct Birth {
    pub(super) record: SessionRecord,
    pub(super) policy: Arc<Policy>,
    pub(super) account: Arc<Account>,
    pub(super) order: Order,
    pub(super) store: Arc<dyn Store>,
    pub(super) config: Arc<ManagerConfig>,
    /// Counts what it uses.
    pub(super) counted: Counted,
    /// When its life is over, by the monotonic clock.
    pub(super) expires: Instant,
    pub(super) place: Place,
    pub(super) requests: mpsc::Receiver<Request>,
    pub(super) view: watch::Sender<View>,
    /// Hears whether the session came up.
    pub(super) starter: oneshot::Sender<Result<SessionRecord, Error>>,
}

struct Driver {
    id: SessionId,
    record: SessionRecord,
    policy: Arc<Policy>,
    account: Arc<Account>,
    store: Arc<dyn Store>,
    config: Arc<ManagerConfig>,
    counted: Counted,
    expires: Instant,
    start_by: Instant,
    state: State,
    ledger: Ledger,
    calls: HashMap<CallId, Call>,
    next_call: CallId,
    worker: Option<Worker>,
    requests: mpsc::Receiver<Request>,
    view: watch::Sender<View>,
    starter: Option<oneshot::Sender<Result<SessionRecord, Error>>>,
    stoppers: Vec<oneshot::Sender<SessionRecord>>,
    /// The start, and calls that run.
    running: FuturesUnordered<Running>,
    work: JoinSet<Happened>,
    duties: HashMap<TaskId, Duty>,
    place: Option<Place>,
    /// Hears that the end is on record, with the words for whoever is still connected.
    farewell: Option<(Worker, String)>,
}

impl Birth {
    /// Starts the driver as a task of its own, and with it the session.
    pub(super) fn spawn(self) {
        let Self {
            record,
            policy,
            account,
            order,
            store,
            config,
            counted,
            expires,
            place,
            requests,
            view,
            starter,
        } = self;
        let mut driver = Driver {
            id: record.id.clone(),
            state: State::new(config.max_queued, config.max_concurrent),
            ledger: Ledger::new(Arc::clone(&config)),
            start_by: Instant::now() + config.start_timeout,
            calls: HashMap::new(),
            next_call: 0,
            worker: None,
            starter: Some(starter),
            stoppers: Vec::new(),
            running: FuturesUnordered::new(),
            work: JoinSet::new(),
            duties: HashMap::new(),
            place: Some(place),
            farewell: None,
            record,
            policy,
            account,
            store,
            config,
            counted,
            expires,
            requests,
            view,
        };
        driver.here(Duty::Start, async move { Happened::Started(order.start().await) });
        tokio::spawn(driver.run());
    }
}

impl Driver {
    async fn run(mut self) {
        while !matches!(self.state.phase(), Phase::Terminated(_)) {
            let wake = self.next_wake();
            let happened = tokio::select! {
                Some(request) = self.requests.recv() => Happened::Asked(request),
                Some(happened) = self.running.next() => happened,
                Some(result) = self.work.join_next_with_id() => self.result_of(result),
                () = until(wake) => Happened::Clock,
            };
            self.apply(happened);
            self.publish();
        }
        // First out of the table, then the answers: who hears "stopped" finds the record in the store.
        self.place.take();
        // And then the streams: who sees one closed finds a session that has ended.
        if let Some((worker, why)) = self.farewell.take() {
            worker.over(&why);
        }
        for stopper in self.stoppers.drain(..) {
            // A client that has gone away needs no answer; so below.
            let _ = stopper.send(self.record.clone());
        }
    }

    /// The one function that changes the state. It never waits.
    fn apply(&mut self, happened: Happened) {
        match happened {
            Happened::Asked(Request::Invoke { call, options, origin, reply }) => {
                let _ = reply.send(self.invoke(call, options, *origin));
            }
            Happened::Asked(Request::Stop { reason, reply }) => {
                self.stoppers.push(reply);
                self.end(reason, None);
            }
            Happened::Started(Ok(worker)) => self.started(worker),
            Happened::Started(Err(error)) => self.not_started(error),
            Happened::WorkerExited(why) => self.worker_gone(&why),
            Happened::CallEnded(call, end) => self.call_ended(call, end),
            Happened::Reaped(report, at) => self.reaped(&report, at),
            Happened::TaskDied(duty, error) => self.task_died(duty, error),
            Happened::Clock => self.clock(Instant::now()),
        }
    }

    fn invoke(
        &mut self,
        call: ToolCall,
        options: InvokeOptions,
        origin: Origin,
    ) -> Result<Invocation, Error> {
        if let Some(invocation) = &options.invocation_id {
            match self.ledger.look(invocation, &options.fingerprint, Instant::now()) {
                Known::Answer(log) => return Ok(Invocation::of(log)),
                Known::Mismatch => return Err(refusal::mismatched_invocation(invocation)),
                Known::Spent if !call.is_read_only() => return Err(refusal::spent_invocation(invocation)),
                Known::Full => return Err(refusal::out_of_invocation_ids(&self.id, self.config.known_ids)),
                Known::New | Known::Spent => {}
            }
        }
        // A retry has its answer above, and uses nothing.
        self.counted.admit(&call)?;
        let lane = if call.is_foreground() { Lane::Foreground } else { Lane::Side };
        if call.needs_rest() && self.calls.values().any(|c| c.lane == Lane::Foreground && !c.log.is_over()) {
            return Err(refusal::not_at_rest(&self.id, &call));
        }
        let bytes = calls::code_bytes(&call);
        let waiting: usize = self.calls.values().filter(|c| c.plan.is_some()).map(|c| c.bytes).sum();
        if lane == Lane::Foreground && waiting > 0 && waiting + bytes > self.config.max_queued_bytes {
            return Err(refusal::too_much_waiting(&self.id, self.config.max_queued_bytes));
        }
        let id = self.next_call;
        let admission =
            self.state.admit(id, lane).map_err(|refused| refusal::not_admitted(&self.id, refused))?;
        self.next_call += 1;

        let limit = self.policy.time.call;
        let deadline = options.timeout.map_or(limit, |wanted| wanted.min(limit));
        let give_up = deadline + self.policy.time.grace + self.config.backstop;
        let facts = CallFacts { number: id, invocation: options.invocation_id.clone(), origin };
        let plan = Plan { call, deadline, give_up, facts };
        let log = Log::new(self.config.call_bytes);
        if let Some(invocation) = &options.invocation_id {
            self.ledger.begin(invocation.clone(), options.fingerprint, Arc::clone(&log));
        }
        let invocation = options.invocation_id;
        self.calls.insert(id, Call { lane, log: Arc::clone(&log), invocation, plan: Some(plan), bytes });
        if admission == Admission::Run {
            self.run_call(id);
        }
        Ok(Invocation::of(log))
    }

    fn run_call(&mut self, id: CallId) {
        let (Some(call), Some(worker)) = (self.calls.get_mut(&id), &self.worker) else { return };
        let Some(plan) = call.plan.take() else { return };
        let (account, worker, log) = (Arc::clone(&self.account), worker.clone(), Arc::clone(&call.log));
        let meter = self.counted.meter(&plan.call, &worker);
        self.here(Duty::Call(id), async move {
            Happened::CallEnded(id, calls::carry_out(account, worker, plan, log, meter).await)
        });
    }

    fn call_ended(&mut self, id: CallId, end: CallEnd) {
        self.forget_call(id);
        self.counted.save_if_due();
        match end {
            CallEnd::Fine => {}
            CallEnd::WorkerGone(why) => self.worker_gone(&why),
            CallEnd::Broken(why) => {
                tracing::error!(session = %self.id, %why, "the worker is taken down: it broke its contract");
                self.end(EndReason::Failed, Some("it broke its contract with the server"));
            }
        }
        if let Some(next) = self.state.ended(id) {
            self.run_call(next);
        }
    }

    /// The call is over: its answer goes to the ledger if a retry may ask for it, else to whoever still reads it.
    fn forget_call(&mut self, id: CallId) {
        if let Some(invocation) = self.calls.remove(&id).and_then(|call| call.invocation) {
            self.ledger.finish(&invocation, Instant::now());
        }
    }

    fn started(&mut self, worker: Worker) {
        self.worker = Some(worker.clone());
        self.counted.begin(&worker);
        if let Err(reason) = self.state.started() {
            self.take_down(reason);
            return;
        }
        self.account.ready(&worker);
        records::bind_later(&self.store, &self.id, worker.sandbox());
        self.task(Duty::Watch, async move { Happened::WorkerExited(worker.exited().await) });
        // Published first: who hears that it is up may look at once.
        self.publish();
        self.answer_starter(Ok(self.record.clone()));
    }

    fn not_started(&mut self, error: StartError) {
        match &error {
            StartError::NotSupported(_) | StartError::Busy(_) | StartError::Full(_) => {
                tracing::info!(session = %self.id, policy = %self.policy.name, %error, "a session was not started");
            }
            StartError::Unavailable(_) | StartError::Image { .. } | StartError::Step { .. } => {
                tracing::error!(session = %self.id, policy = %self.policy.name, %error, "a session did not start");
            }
        }
        let reason = self.state.gone();
        self.note_end(reason, SystemTime::now());
        self.answer_starter(Err(refusal::start_failed(&self.policy, error)));
    }

    fn worker_gone(&mut self, why: &str) {
        let reason = if Instant::now() >= self.expires { EndReason::Expired } else { EndReason::Failed };
        if self.state.phase() == Phase::Ready {
            tracing::warn!(session = %self.id, why, "a worker ended by itself");
        }
        self.end(reason, Some(why));
    }

    /// Begins the end, once. Calls hear of it now, whatever the worker does.
    fn end(&mut self, reason: EndReason, detail: Option<&str>) {
        match self.state.stop(reason) {
            StopStep::Already => return,
            StopStep::AfterStart => self.answer_starter(Err(refusal::ended_while_starting(&self.id, reason))),
            StopStep::TakeDown => {
                let died = detail.filter(|_| reason == EndReason::Failed);
                self.record.cause = died.map(|text| text.chars().take(CAUSE).collect());
                self.take_down(reason);
            }
        }
        let error = refusal::ended_under_call(&self.id, reason, detail);
        self.calls.values().for_each(|call| call.log.fail(error.repeat()));
        let waiting: Vec<CallId> =
            self.calls.iter().filter(|(_, c)| c.plan.is_some()).map(|(id, _)| *id).collect();
        waiting.into_iter().for_each(|id| self.forget_call(id));
    }

    fn take_down(&mut self, reason: EndReason) {
        let Some(worker) = self.worker.clone() else { return };
        self.counted.catch_up(&worker);
        let (store, id, grace) = (Arc::clone(&self.store), self.id.clone(), self.policy.time.grace);
        let (cause, counted) = (self.record.cause.clone(), self.counted.clone());
        self.farewell = Some((worker.clone(), refusal::farewell(reason, cause.as_deref())));
        self.task(Duty::Stop, async move {
            let report = worker.stop(grace).await;
            counted.keep_recording(&id).await;
            let at = SystemTime::now();
            records::write_end(&store, &id, reason, cause, at).await;
            Happened::Reaped(report, at)
        });
    }

    fn reaped(&mut self, report: &StopReport, at: SystemTime) {
        let reason = self.state.gone();
        if !report.left_behind.is_empty() {
            tracing::error!(session = %self.id, left = ?report.left_behind, "a session left something behind");
        }
        tracing::info!(session = %self.id, ?reason, killed = report.killed, "a session ended");
        self.note_end(reason, at);
    }

    fn note_end(&mut self, reason: EndReason, at: SystemTime) {
        self.record.status = Status::Terminated;
        self.record.ended = Some(reason);
        self.record.updated = at;
        self.worker = None;
        self.account.ended(reason, self.record.cause.as_deref());
    }

    fn task_died(&mut self, duty: Duty, error: String) {
        tracing::error!(session = %self.id, ?duty, %error, "a task of a session died");
        match duty {
            Duty::Start => {
                let source = std::io::Error::other(error);
                self.not_started(StartError::Step { step: "the backend's start".into(), source });
            }
            // The next call finds out what the watch would have said.
            Duty::Watch => {}
            Duty::Call(id) => {
                if let Some(call) = self.calls.get(&id) {
                    call.log.fail(refusal::broke_off("the call"));
                }
                self.call_ended(id, CallEnd::Broken("the task of a call died".into()));
            }
            Duty::Stop => {
                let left_behind = vec!["unknown: the stop broke off".to_owned()];
                self.reaped(&StopReport { killed: false, left_behind }, SystemTime::now());
            }
        }
    }

    fn clock(&mut self, now: Instant) {
        self.ledger.evict(now);
        self.counted.look(self.worker.as_ref(), now);
        if now >= self.expires {
            self.end(EndReason::Expired, None);
        } else if now >= self.start_by && self.state.phase() == Phase::Starting {
            self.answer_starter(Err(refusal::start_overdue(self.config.start_timeout)));
            self.end(EndReason::Failed, None);
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        match self.state.phase() {
            Phase::Starting => Some(self.expires.min(self.start_by)),
            Phase::Ready => {
                let due = [self.ledger.next_eviction(), self.counted.next_look()];
                due.into_iter().flatten().chain([self.expires]).min()
            }
            Phase::Abandoned(_) | Phase::Stopping(_) | Phase::Terminated(_) => None,
        }
    }

    fn answer_starter(&mut self, result: Result<SessionRecord, Error>) {
        if let Some(starter) = self.starter.take() {
            let _ = starter.send(result);
        }
    }

    fn publish(&self) {
        self.view.send_modify(|view| {
            view.record = self.record.clone();
            view.phase = self.state.phase();
            view.running = self.state.running();
            view.queued = self.state.queued();
            view.worker = self.worker.clone();
        });
    }

    /// Has this task do something beside its other work.
    fn here(&mut self, duty: Duty, future: impl Future<Output = Happened> + Send + 'static) {
        let done = AssertUnwindSafe(future).catch_unwind();
        self.running.push(Box::pin(async move {
            done.await.unwrap_or_else(|_| Happened::TaskDied(duty, "it has panicked".into()))
        }));
    }

    /// Has a task of its own do something.
    fn task(&mut self, duty: Duty, future: impl Future<Output = Happened> + Send + 'static) {
        let id = self.work.spawn(future).id();
        self.duties.insert(id, duty);
    }

    fn result_of(&mut self, result: Result<(TaskId, Happened), JoinError>) -> Happened {
        match result {
            Ok((id, happened)) => {
                self.duties.remove(&id);
                happened
            }
            // Every task is in the table; a task that is not can only have been the watch of nothing.
            Err(error) => {
                let duty = self.duties.remove(&error.id()).unwrap_or(Duty::Watch);
                Happened::TaskDied(duty, error.to_string())
            }
        }
    }
}

/// Whatever ends the driver, nobody waits for ever.
impl Drop for Driver {
    fn drop(&mut self) {
        for call in self.calls.values() {
            call.log.fail(refusal::broke_off("the call"));
        }
    }
}

async fn until(wake: Option<Instant>) {
    match wake {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}
