//! One call as a task of its own: hand it to the worker, move its events into the log, and never wait for ever.

use super::invocation::{Log, no_answer};
use super::refusal;
use super::worker::Worker;
use crate::backend::InvokeError;
use crate::command::ToolCall;
use crate::event::{Event, Outcome};
use crate::id::SessionId;
use crate::quota::Meter;
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
    session: SessionId,
    worker: Worker,
    plan: Plan,
    log: Arc<Log>,
    mut meter: Option<Meter>,
) -> CallEnd {
    let name = plan.call.name();
    let (sink, mut events) = mpsc::channel(EVENTS);
    let mut answer = pin!(worker.invoke(plan.call, plan.deadline, sink));
    let mut give_up = pin!(sleep(plan.give_up));
    let result = loop {
        // In this order, so that a worker that never stops talking cannot outrun the clock.
        tokio::select! {
            biased;
            () = &mut give_up => {
                log.fail(refusal::silent_worker(&session));
                return CallEnd::Broken(format!("no answer to {name} after {:?}", plan.give_up));
            }
            Some(event) = events.recv() => take(event, &log, &mut meter),
            result = &mut answer => break result,
        }
    };
    events.close();
    while let Some(event) = events.recv().await {
        take(event, &log, &mut meter);
    }
    match result {
        Ok(()) => {
            log.fail(no_answer());
            CallEnd::Fine
        }
        Err(error) => {
            let end = match &error {
                InvokeError::WorkerGone { reason } => CallEnd::WorkerGone(reason.clone()),
                InvokeError::NotSupported(_) | InvokeError::Refused(_) => CallEnd::Fine,
                InvokeError::Protocol(what) => CallEnd::Broken(what.clone()),
            };
            log.fail(refusal::call_failed(&session, error));
            end
        }
    }
}

fn take(event: Event, log: &Log, meter: &mut Option<Meter>) {
    if let (Some(meter), Event::Done(outcome)) = (meter, &event)
        && let Outcome::Executed(execution) = outcome.as_ref()
    {
        // Where a tier cannot measure CPU time, a call counts by the time that it took.
        meter.report(execution.usage.cpu.unwrap_or(execution.usage.wall));
    }
    log.append(event);
}
