//! What the server asks for: calls go to their worker, tasks to a program of their own, file tools are done at once.

use super::call::{self, Call, On, Since};
use super::events::Init;
use super::snapshot::Snapshot;
use super::task::Task;
use super::worker::{Link, Worker};
use super::{files, name, remove};
use crate::guest::cell::CellRequest;
use crate::guest::frame::{self, CELL, CONTROL};
use crate::guest::message::{Reply, Request, ToolResult};
use crate::spawn::Step;
use nix::errno::Errno;
use std::collections::VecDeque;

/// A `Read` that is being answered.
pub(super) struct Reading {
    id: String,
    paths: VecDeque<String>,
    /// Bytes that the answer may still carry: the server holds all of it until it is whole (CAP-10).
    room: usize,
}

impl Init {
    /// Does what was asked, or begins to.
    pub(super) fn request(&mut self, request: Request, blob: Vec<u8>) {
        let workspace = self.plan.world.workspace.clone();
        match request {
            Request::Attach { .. } => {}
            Request::Execute { id, runtime, language, clear, deadline_ms } => {
                let frame = call::cell_request(&id, &language, clear, &blob, &self.plan.limits);
                self.begin(id, On::Driver(runtime), deadline_ms, frame);
            }
            Request::Command { id, deadline_ms } => {
                let script = call::shell_request(&id, &blob);
                self.begin(id, On::Shell, deadline_ms, script);
            }
            Request::TaskStart { id, task } => {
                let (result, blob) = self.start_task(task, &blob);
                self.done(id, result, &blob);
            }
            Request::TaskGet { id, task } => self.task_report(id, &task, false),
            Request::TaskStop { id, task } => self.task_report(id, &task, true),
            Request::Read { id, paths } => {
                self.reads.push_back(Reading { id, paths: paths.into(), room: CONTROL.blob });
            }
            Request::Write { id, files } => {
                let result = files::write_all(&workspace, &files, &blob, self.plan.limits.file_bytes);
                self.done(id, result, b"");
            }
            Request::List { id, path } => self.done(id, files::list(&workspace, &path), b""),
            Request::Remove { id, paths } => self.done(id, remove::remove(&workspace, &paths), b""),
            Request::Name { id, path, stem, extension } => {
                self.done(id, name::name(&workspace, &path, &stem, &extension), b"");
            }
            Request::Range { id, path, offset, length } => {
                match files::read_range(&workspace, &path, offset, length) {
                    Ok((size, modified, data)) => self.done(id, ToolResult::Range { size, modified }, &data),
                    Err(message) => self.done(id, ToolResult::Failed { message }, b""),
                }
            }
            Request::Checkpoint { id } | Request::Restore { id, .. } => {
                let message = "this interpreter is on the process tier, which keeps no snapshots of a session's state; \
                               start a session of an interpreter on the wasm tier"
                    .into();
                self.done(id, ToolResult::Failed { message }, b"");
            }
            Request::Warm => self.warm(),
            Request::Interrupt => {
                if let Some(call) = &mut self.call {
                    call.interrupt(self.workers.get(call.on.key()));
                }
            }
            Request::Shutdown => self.ending = true,
        }
    }

    fn done(&mut self, id: String, result: ToolResult, blob: &[u8]) {
        self.connection.send(&Reply::Done { id, result }, blob);
    }

    /// Starts the worker of `on` if it is not running.
    pub(super) fn ensure_worker(&mut self, on: &On) -> Result<(), Step> {
        if self.workers.contains_key(on.key()) {
            return Ok(());
        }
        let missing = |what: String| Step { step: what, errno: Errno::ENOENT };
        let worker = match on {
            On::Driver(name) => {
                let runner = self.plan.programs.runners.get(name);
                let runner = runner.ok_or_else(|| missing(format!("the image has no runtime {name}")))?;
                Worker::driver(&self.plan, &self.score, runner)?
            }
            On::Shell if self.plan.programs.shell.is_empty() => {
                return Err(missing("the image has no shell".into()));
            }
            On::Shell => Worker::shell(&self.plan, &self.score)?,
        };
        self.workers.insert(on.key().to_owned(), worker);
        Ok(())
    }

    fn begin(&mut self, id: String, on: On, deadline_ms: u64, request: Vec<u8>) {
        let snapshot = Snapshot::take(&self.plan.world.workspace);
        let since = if self.workers.contains_key(on.key()) { Since::Before } else { Since::Now };
        let mut call = Call::new(id, on.clone(), deadline_ms, request, snapshot);
        // The server sends one at a time; a second one means that they disagree, and the first is what runs.
        let started = if self.call.is_some() {
            Err("another call is running".to_owned())
        } else if matches!(on, On::Driver(_)) && call.size() > CELL.blob + CELL.json {
            Err(format!("the code has more than {} bytes; write it to a file and run that", CELL.blob))
        } else {
            self.ensure_worker(&on).map_err(|step| step.to_string())
        };
        if let Err(why) = started {
            let (id, report, trace) = call.failed_to_start(why, &self.plan);
            return self.connection.send(&Reply::Executed { id, report }, &trace);
        }
        if let Some(worker) = self.workers.get_mut(on.key()) {
            call.on_worker(worker, since);
            if matches!(worker.link, Link::Shell { .. } | Link::Cell { ready: true, .. }) {
                call.begin(worker);
            }
        }
        self.call = Some(call);
        self.forward_late(on.key());
    }

    fn warm(&mut self) {
        let request = frame::encode(&CellRequest::Warm, b"").unwrap_or_default();
        match self.workers.iter_mut().find(|(_, worker)| matches!(worker.link, Link::Cell { .. })) {
            Some((name, worker)) => {
                self.warming = Some(name.clone());
                worker.send(request);
            }
            None => self.connection.send(&Reply::Warmed, b""),
        }
    }

    fn start_task(&mut self, id: String, command: &[u8]) -> (ToolResult, Vec<u8>) {
        let failed = |message: String| (ToolResult::Failed { message }, Vec::new());
        if self.plan.programs.shell.is_empty() {
            return failed("the image has no shell".into());
        }
        let running = self.tasks.iter().filter(|t| t.running()).count();
        if running >= self.plan.limits.tasks as usize {
            return failed(format!(
                "{running} background commands are running, which is the limit; stop one first"
            ));
        }
        // Ended ones are kept until their number would become a way to fill memory.
        if self.tasks.len() >= 4 * self.plan.limits.tasks as usize
            && let Some(n) = self.tasks.iter().position(|t| !t.running())
        {
            self.tasks.remove(n);
        }
        match Task::start(&self.plan, &self.score, id, &String::from_utf8_lossy(command)) {
            Ok(task) => {
                let answer = task.submitted();
                self.tasks.push(task);
                answer
            }
            Err(step) => failed(step.to_string()),
        }
    }

    fn task_report(&mut self, id: String, name: &str, stop: bool) {
        let pid = self.tasks.iter().find(|t| t.id == name).map(|t| t.pid);
        let others = self.leaders(pid);
        let Some(task) = self.tasks.iter_mut().find(|t| t.id == name) else {
            return self.done(id, ToolResult::Failed { message: format!("no such task: {name}") }, b"");
        };
        if stop {
            task.cancel(&others);
        }
        let (result, blob) = task.report();
        self.done(id, result, &blob);
    }

    /// Reads files one by one while there is room, so that a hundred large ones do not pile up here.
    pub(super) fn feed_reads(&mut self) {
        while self.connection.has_room() {
            let Some(reading) = self.reads.front_mut() else { return };
            let id = reading.id.clone();
            match reading.paths.pop_front() {
                Some(path) => {
                    let (error, data) =
                        match files::read_whole(&self.plan.world.workspace, &path, reading.room) {
                            Ok(data) => (None, data),
                            Err(why) => (Some(why), Vec::new()),
                        };
                    reading.room -= data.len();
                    self.connection.send(&Reply::File { id, path, error }, &data);
                }
                None => {
                    self.reads.pop_front();
                    self.done(id, ToolResult::Read, b"");
                }
            }
        }
    }
}
