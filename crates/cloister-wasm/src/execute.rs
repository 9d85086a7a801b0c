//! Runs one cell: keeps the state before it, runs, and says how it ended and what became of the state.
//!
//! ```text
//!   before ─▶ run ─┬─ ended by itself, or by KeyboardInterrupt ─▶ Kept
//!                  ├─ cut off, dead, out of host calls ─▶ before? Restored : Lost (files stay)
//!                  └─ an exception, under `atomic` ─────▶ Restored
//! ```

use crate::factory::Factory;
use crate::guest::{Death, Guest};
use crate::history::{Rest, Snapshot};
use crate::output::Output;
use crate::session::{Place, Session};
use crate::state::Early;
use crate::wasi::{Moved, Stop};
use cloister_jail::guest::cell::CellRequest;
use cloister_jail::guest::engine::Keep;
use cloister_jail::guest::frame::CELL;
use cloister_jail::guest::message::{Ended, Reply, Report, Used};
use nix::time::{ClockId, clock_gettime};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What is asked.
pub(crate) struct Cell {
    pub(crate) id: String,
    pub(crate) language: String,
    pub(crate) clear: bool,
    pub(crate) deadline_ms: u64,
    pub(crate) code: Vec<u8>,
}

impl Session {
    /// Runs a cell and sends its report. `place` is the session's own, locked.
    pub(crate) fn execute(&self, factory: &Factory, place: &mut Place, cell: Cell) {
        let (started, cpu) = (Instant::now(), thread_time());
        let Cell { id, language, clear, deadline_ms, code } = cell;
        let mut output =
            Some(Output::new(id.clone(), Arc::clone(&self.channel), Arc::clone(&self.control), &self.terms));
        let finish = |report: Report, output: Option<Output>, traceback: Vec<u8>| {
            // A cell stays on its thread, and no other runs there meanwhile: the thread's time is the call's.
            let cpu = thread_time().zip(cpu).map(|(now, then)| micros(now.saturating_sub(then)));
            let used = Used { cpu_us: cpu, ..report.used };
            let mut report = Report { wall_us: micros(started.elapsed()), used, ..report };
            report.trim();
            if let Some(output) = output {
                output.finish(&Reply::Executed { id: id.clone(), report }, &traceback);
            }
        };
        if code.len() > CELL.blob {
            let why = format!("the code has more than {} bytes; write it to a file and run that", CELL.blob);
            let error = Some(("StartError".to_owned(), why));
            return finish(Report { exit_code: 126, error, ..Report::default() }, output, Vec::new());
        }
        let before = if let Place::Live(guest) = place { self.before(guest) } else { None };
        if clear && matches!(place, Place::Live(_)) {
            // Another interpreter instead of the driver's word: a guest may have spoilt its own, and this is what it is told to do then.
            self.undo(factory, place, None, &mut Report::default());
        }
        let Place::Live(guest) = place else {
            let why = if let Place::Gone(why) = place { why.clone() } else { String::new() };
            let error = Some(("StartError".to_owned(), why));
            finish(
                Report { exit_code: 126, error, state_lost: true, ..Report::default() },
                output,
                Vec::new(),
            );
            return;
        };
        let mark = guest.store.data().wasi.view.mark();
        let request = CellRequest::Run {
            id: id.clone(),
            language,
            clear,
            memory: 0,
            display: self.terms.display,
            displays: self.terms.displays,
        };
        let request = serde_json::to_vec(&request).unwrap_or_default();
        self.control
            .begin(started + Duration::from_millis(deadline_ms), Duration::from_millis(self.terms.grace_ms));
        guest.store.data_mut().cell.output = output.take();
        guest.store.data_mut().cell.woken = Early::No;
        guest.store.data_mut().share.refused = false;
        guest.store.data_mut().wasi.moved = Moved::default();
        let ran = {
            let _time = factory.ticker.running();
            guest.run(&request, &code)
        };
        let Moved { read, written } = guest.store.data().wasi.moved;
        // Before an undo gives it back. It never shrinks, so that its size is the most that it had.
        let memory = guest.store.data().memory.map(|memory| memory.data_size(&guest.store) as u64);
        let cut = self.control.end();
        let Some(mut output) = guest.store.data_mut().cell.output.take() else { return };

        let used = Used { cpu_us: None, memory, read: Some(read), written: Some(written) };
        let (mut report, atomic) =
            (Report { used, ..Report::default() }, self.terms.checkpoint == Keep::Atomic);
        report.deadline_ms = cut.timed_out.then_some(deadline_ms);
        report.error = output.error.take();
        report.dropped = output.dropped;
        let undo = match &ran {
            Ok(()) => {
                let said = output.said.take();
                let status = said.as_ref().map_or("", |said| said.status.as_str());
                report.exit_code = said.as_ref().map_or(1, |said| said.exit_code);
                report.ended = match (cut.interrupted, status) {
                    (true, _) => Ended::Interrupted,
                    (false, "exit") => Ended::Exited,
                    (false, _) => Ended::Completed,
                };
                atomic && (report.error.is_some() || cut.interrupted)
            }
            Err(death) => {
                (report.ended, report.exit_code) = ended(death);
                true
            }
        };
        let traceback = std::mem::take(&mut output.traceback);
        if undo {
            self.undo(factory, place, before.as_ref(), &mut report);
        }
        if let Place::Live(guest) = place {
            let view = &guest.store.data().wasi.view;
            let (files, more) = view.changes_since(&mark, self.terms.files as usize);
            (report.files, report.files_truncated) = (files, more);
            let (usage, limits) = (view.usage(), view.limits());
            report.disk_full = usage.bytes >= limits.bytes;
            report.files_full = usage.inodes >= limits.inodes;
        }
        finish(report, Some(output), traceback);
        // From here on the client has its answer, and what is copied costs it nothing unless it comes back at once. The kernel takes
        // a sender for somebody about to sleep and wakes the receiver on the same processor, where it would wait for us.
        std::thread::yield_now();
        let mut history = crate::lock(&self.history);
        if !undo {
            history.previous = before;
            history.rest = match place {
                Place::Live(guest) => self.rest(factory, guest),
                _ => Rest::Unknown,
            };
        }
        drop(history);
        self.settle(place);
    }

    /// The state before a call, if it is known or cheap to know.
    fn before(&self, guest: &Guest) -> Option<Snapshot> {
        if self.terms.checkpoint == Keep::Nothing {
            return None;
        }
        let view = guest.store.data().wasi.view.clone();
        let (memory, inherited) = match &crate::lock(&self.history).rest {
            Rest::Fresh => (None, false),
            Rest::Copied(delta) => (Some(Arc::clone(delta)), false),
            Rest::Inherited(delta) => (Some(Arc::clone(delta)), true),
            Rest::Unknown => return None,
        };
        Some(Snapshot { memory, view, inherited })
    }

    /// The memory after a call.
    fn rest(&self, factory: &Factory, guest: &Guest) -> Rest {
        if self.terms.checkpoint == Keep::Nothing {
            return Rest::Unknown;
        }
        match factory.delta_if_cheap(guest) {
            Ok(Some(delta)) => Rest::Copied(Arc::new(delta)),
            Ok(None) | Err(_) => Rest::Unknown,
        }
    }

    /// Puts the session back to how it was before the call, or, if that was not kept, to an empty context with its files.
    fn undo(&self, factory: &Factory, place: &mut Place, before: Option<&Snapshot>, report: &mut Report) {
        let files = match place {
            Place::Live(guest) => guest.store.data().wasi.view.clone(),
            _ => return,
        };
        // The dead guest's memory is given back first: two may be more than the session may have.
        *place = Place::Gone("the session is being restored".into());
        let control = Arc::clone(&self.control);
        let lost = Snapshot { memory: None, view: files.closed(), inherited: false };
        let to = before.unwrap_or(&lost);
        match factory.restored(&self.terms, control, to) {
            Ok(guest) => {
                report.restored = before.is_some();
                report.state_lost = before.is_none();
                *place = Place::Live(Box::new(guest));
                // Also where it was known before: a call that began with an empty context has made it that of a new session.
                crate::lock(&self.history).rest = to.rest();
            }
            Err(error) => {
                report.state_lost = true;
                *place = Place::Gone(error.to_string());
            }
        }
    }
}

/// Processor time of this thread so far.
fn thread_time() -> Option<Duration> {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).ok().map(Duration::from)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// How a call ended whose guest is dead, and what a shell would report.
fn ended(death: &Death) -> (Ended, i32) {
    match death {
        Death::Overrun | Death::Closed => (Ended::Killed, 137),
        Death::Stopped(Stop::Exit(code)) => (Ended::Died, code.cast_signed()),
        Death::Stopped(_) => (Ended::Killed, 137),
        // As a crash of a process would be: SIGSEGV.
        Death::Trap(_) => (Ended::Died, 139),
    }
}
