//! One call, which its session's driver polls: hand it to the worker, move its events into the log, and never wait for ever.

use super::account::{Account, CallFacts};
use super::counted::CallMeter;
use super::invocation::{Log, no_answer};
use super::refusal;
use super::tally::Tally;
use super::worker::Worker;
use crate::backend::InvokeError;
use crate::browser::Step;
use crate::command::ToolCall;
use crate::error::Error;
use crate::event::Event;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::sleep;

/// Events between the worker and the log. Small: the log takes them at memory speed.
const EVENTS: usize = 64;

/// A call that has been let in.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) call: ToolCall,
    /// Passed to the worker, which interrupts and then kills by it.
    pub(super) deadline: Duration,
    /// When the worker must have answered in any case.
    pub(super) give_up: Duration,
    /// What the log says of it.
    pub(super) facts: CallFacts,
}

/// What a call says about its session.
#[derive(Debug)]
pub(super) enum CallEnd {
    /// Nothing: it has its answer, or its error is its own.
    Fine,
    /// The worker is gone.
    WorkerGone(String),
    /// The worker cannot be trusted to answer any more and must be taken down.
    Broken(String),
}

/// Carries a call out; when it returns, the log has an end, and what the call used is counted.
pub(super) async fn carry_out(
    account: Arc<Account>,
    worker: Worker,
    plan: Plan,
    log: Arc<Log>,
    meter: Option<CallMeter>,
) -> CallEnd {
    let Plan { call, deadline, give_up, facts } = plan;
    let name = call.name();
    let mut answer = Answer { tally: Some(account.called(&call, facts, &worker).await), account, log, meter };
    let (sink, mut events) = mpsc::channel(EVENTS);
    let mut invoked = pin!(worker.invoke(call, deadline, sink));
    let mut given_up = pin!(sleep(give_up));
    let result = loop {
        // In this order, so that a worker that never stops talking cannot outrun the clock.
        tokio::select! {
            biased;
            () = &mut given_up => {
                answer.fail(refusal::silent_worker(answer.account.session()));
                return CallEnd::Broken(format!("no answer to {name} after {give_up:?}"));
            }
            Some(event) = events.recv() => answer.append(event),
            result = &mut invoked => break result,
        }
    };
    events.close();
    while let Some(event) = events.recv().await {
        answer.append(event);
    }
    match result {
        Ok(()) => {
            answer.fail(no_answer());
            CallEnd::Fine
        }
        Err(error) => {
            let end = match &error {
                InvokeError::WorkerGone { reason } => CallEnd::WorkerGone(reason.clone()),
                InvokeError::NotSupported(_) | InvokeError::Refused(_) => CallEnd::Fine,
                InvokeError::Protocol(what) => CallEnd::Broken(what.clone()),
            };
            answer.fail(refusal::call_failed(answer.account.session(), error));
            end
        }
    }
}

/// A call's log, and the receipt that goes into it before the end.
struct Answer {
    account: Arc<Account>,
    /// Taken by the first end.
    tally: Option<Tally>,
    log: Arc<Log>,
    meter: Option<CallMeter>,
}

/// The session has ended under the call, and its driver with it.
impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(tally) = self.tally.take() {
            let error = refusal::broke_off("the call");
            self.account.failed(tally, &error);
        }
    }
}

impl Answer {
    fn append(&mut self, mut event: Event) {
        if let Some(meter) = &mut self.meter {
            meter.count(&event);
        }
        if let Some(tally) = &mut self.tally {
            tally.count(&event);
        }
        if let Event::Done(outcome) = &mut event
            && let Some(tally) = self.tally.take()
        {
            let receipt = self.account.answered(tally, outcome);
            self.log.append(Event::Receipt(Box::new(receipt)));
        }
        self.log.append(event);
    }

    fn fail(&mut self, error: Error) {
        if let Some(tally) = self.tally.take() {
            // The answer is an error and has no place for it: it is in the audit log.
            self.account.failed(tally, &error);
        }
        self.log.fail(error);
    }
}

/// Bytes of what a call brings along, for the limit of what may wait.
pub(super) fn code_bytes(call: &ToolCall) -> usize {
    match call {
        ToolCall::ExecuteCode { code, .. } => code.len(),
        ToolCall::ExecuteCommand { command } => command.len(),
        ToolCall::Perform { steps } => steps.iter().map(step_bytes).sum(),
        _ => 0,
    }
}

/// The text that a page action brings along; the rest of it is small.
fn step_bytes(step: &Step) -> usize {
    match step {
        Step::Type { text, .. } => text.len(),
        Step::Evaluate { expression } => expression.len(),
        _ => size_of::<Step>(),
    }
}
