//! Init's loop: one poll(2) over the control channel, the workers, the background commands and dying children.

use super::call::{self, Call, On};
use super::connection::{Arrived, Connection};
use super::snapshot::Snapshot;
use super::task::Task;
use super::worker::{Link, Worker};
use super::{files, walls};
use crate::guest::message::{CellEvent, CellRequest, Reply, Request, ToolResult};
use crate::plan::Plan;
use crate::spawn::Step;
use crate::sys;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, read};
use std::collections::{BTreeMap, VecDeque};
use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

/// Everything that init knows.
pub(super) struct Init {
    plan: Plan,
    listener: OwnedFd,
    proxy: Option<TcpListener>,
    children: SignalFd,
    connection: Connection,
    workers: BTreeMap<String, Worker>,
    call: Option<Call>,
    tasks: Vec<Task>,
    reads: VecDeque<(String, VecDeque<String>)>,
    warming: bool,
    expires: Instant,
    orphaned: Option<Instant>,
    ending: bool,
}

/// What a descriptor of the poll list belongs to.
#[derive(Clone, Debug)]
enum Source {
    Listener,
    Children,
    Connection,
    Results(String),
    Requests(String),
    Output(String, usize),
    Task(usize),
}

impl Init {
    pub(super) fn new(
        plan: Plan,
        listener: OwnedFd,
        proxy: Option<TcpListener>,
        warm: Option<Worker>,
    ) -> Result<Self, Step> {
        sys::reset_signals(true).map_err(Step::at("reset signals"))?;
        let mut mask = nix::sys::signal::SigSet::empty();
        mask.add(nix::sys::signal::Signal::SIGCHLD);
        let children = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
            .map_err(Step::at("watch for dying children"))?;
        let now = Instant::now();
        let mut init = Self {
            expires: now + Duration::from_millis(plan.ttl_ms),
            orphaned: Some(now),
            connection: Connection::new(plan.nonce.clone()),
            plan,
            listener,
            proxy,
            children,
            workers: BTreeMap::new(),
            call: None,
            tasks: Vec::new(),
            reads: VecDeque::new(),
            warming: false,
            ending: false,
        };
        if let Some(name) = init.plan.programs.eager.clone() {
            match warm {
                Some(worker) => drop(init.workers.insert(name, worker)),
                None => init.ensure_worker(&On::Driver(name))?,
            }
        }
        Ok(init)
    }

    /// Runs until the sandbox is to end.
    pub(super) fn run(mut self) -> Result<(), Step> {
        while !self.ending {
            let (sources, fds) = self.sources();
            let ready = wait(&fds, self.timeout())?;
            for (source, flags) in sources.into_iter().zip(ready) {
                if flags {
                    self.handle(source);
                }
            }
            self.tick();
            self.feed_reads();
            self.connection.flush();
        }
        // What is queued (the farewell of a stop) still goes out if the socket takes it.
        self.connection.flush();
        Ok(())
    }

    fn sources(&self) -> (Vec<Source>, Vec<(RawFd, PollFlags)>) {
        let mut list = vec![
            (Source::Listener, self.listener.as_raw_fd(), PollFlags::POLLIN),
            (Source::Children, self.children.as_raw_fd(), PollFlags::POLLIN),
        ];
        if let Some((fd, writing)) = self.connection.interest() {
            let write = if writing { PollFlags::POLLOUT } else { PollFlags::empty() };
            list.push((Source::Connection, fd, PollFlags::POLLIN | write));
        }
        let room = self.connection.has_room();
        for (name, worker) in &self.workers {
            if room {
                list.push((Source::Results(name.clone()), worker.results(), PollFlags::POLLIN));
                list.push((Source::Output(name.clone(), 0), worker.stdout.as_raw_fd(), PollFlags::POLLIN));
                list.push((Source::Output(name.clone(), 1), worker.stderr.as_raw_fd(), PollFlags::POLLIN));
            }
            if !worker.unsent.is_empty() {
                list.push((Source::Requests(name.clone()), worker.requests(), PollFlags::POLLOUT));
            }
        }
        for (n, task) in self.tasks.iter().enumerate() {
            for pipe in [&task.stdout.pipe, &task.stderr.pipe].into_iter().flatten() {
                list.push((Source::Task(n), pipe.as_raw_fd(), PollFlags::POLLIN));
            }
        }
        list.into_iter().map(|(source, fd, flags)| (source, (fd, flags))).unzip()
    }

    fn timeout(&self) -> Duration {
        let grace = Duration::from_millis(self.plan.limits.grace_ms);
        let orphan = self.orphaned.map(|since| since + Duration::from_millis(self.plan.orphan_ms));
        let next = self
            .tasks
            .iter()
            .filter(|t| t.running())
            .map(|t| t.deadline)
            .chain(self.call.as_ref().and_then(|c| c.wake(grace)))
            .chain(orphan)
            .chain([self.expires])
            .min()
            .unwrap_or(self.expires);
        // A killed worker's death arrives as a signal; look again anyway, should a second kill be needed.
        next.saturating_duration_since(Instant::now()).min(Duration::from_secs(5))
    }

    fn tick(&mut self) {
        let now = Instant::now();
        let spared = self.leaders(None);
        if let Some(call) = &mut self.call {
            let worker = self.workers.get(call.on.key());
            let others: Vec<Pid> =
                spared.iter().copied().filter(|p| worker.is_none_or(|w| w.pid != *p)).collect();
            call.tick(now, worker, &self.plan, &others);
        }
        for n in 0..self.tasks.len() {
            let overdue = self.tasks.get(n).filter(|t| t.running() && now >= t.deadline).map(|t| t.pid);
            if let Some(pid) = overdue {
                let others = self.leaders(Some(pid));
                if let Some(task) = self.tasks.get_mut(n) {
                    task.cancel(&others);
                }
            }
        }
        match (self.connection.attached(), self.orphaned) {
            (true, _) => self.orphaned = None,
            (false, None) => self.orphaned = Some(now),
            (false, Some(since)) => {
                self.ending |= now >= since + Duration::from_millis(self.plan.orphan_ms);
            }
        }
        self.ending |= now >= self.expires;
    }

    /// Leaders of the sessions that init started, without `except`.
    fn leaders(&self, except: Option<Pid>) -> Vec<Pid> {
        let workers = self.workers.values().map(|w| w.pid);
        let tasks = self.tasks.iter().filter(|t| t.running()).map(|t| t.pid);
        workers.chain(tasks).filter(|&pid| Some(pid) != except).collect()
    }

    fn handle(&mut self, source: Source) {
        match source {
            Source::Listener => self.accept(),
            Source::Children => self.reap(),
            Source::Connection => {
                for arrived in self.connection.receive() {
                    match arrived {
                        Arrived::Attached { ttl_ms } => {
                            if ttl_ms > 0 {
                                self.expires = Instant::now() + Duration::from_millis(ttl_ms);
                            }
                            self.connection.hello(walls::look(), self.proxy.as_ref());
                        }
                        Arrived::Request(request, blob) => self.request(request, blob),
                    }
                }
            }
            Source::Results(name) => self.results(&name),
            Source::Requests(name) => {
                if let Some(worker) = self.workers.get_mut(&name) {
                    worker.flush();
                }
            }
            Source::Output(name, stream) => {
                self.output(&name, stream);
            }
            Source::Task(n) => {
                if let Some(task) = self.tasks.get_mut(n) {
                    task.stdout.drain();
                    task.stderr.drain();
                }
            }
        }
    }

    fn accept(&mut self) {
        let flags = nix::sys::socket::SockFlag::SOCK_CLOEXEC;
        if let Ok(fd) = nix::sys::socket::accept4(&self.listener, flags) {
            self.connection.accept(fd);
        }
    }

    fn request(&mut self, request: Request, blob: Vec<u8>) {
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
            Request::Read { id, paths } => self.reads.push_back((id, paths.into())),
            Request::Write { id, files } => {
                let result = files::write_all(&workspace, &files, &blob);
                self.done(id, result, b"");
            }
            Request::List { id, path } => self.done(id, files::list(&workspace, &path), b""),
            Request::Remove { id, paths } => self.done(id, files::remove(&workspace, &paths), b""),
            Request::Range { id, path, offset, length } => {
                match files::read_range(&workspace, &path, offset, length) {
                    Ok((size, modified, data)) => self.done(id, ToolResult::Range { size, modified }, &data),
                    Err(message) => self.done(id, ToolResult::Failed { message }, b""),
                }
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
    fn ensure_worker(&mut self, on: &On) -> Result<(), Step> {
        if self.workers.contains_key(on.key()) {
            return Ok(());
        }
        let missing = |what: String| Step { step: what, errno: Errno::ENOENT };
        let worker = match on {
            On::Driver(name) => {
                let runner = self.plan.programs.runners.get(name);
                let runner = runner.ok_or_else(|| missing(format!("the image has no runtime {name}")))?;
                Worker::driver(&self.plan, runner)?
            }
            On::Shell if self.plan.programs.shell.is_empty() => {
                return Err(missing("the image has no shell".into()));
            }
            On::Shell => Worker::shell(&self.plan)?,
        };
        self.workers.insert(on.key().to_owned(), worker);
        Ok(())
    }

    fn begin(&mut self, id: String, on: On, deadline_ms: u64, request: Vec<u8>) {
        let mut call =
            Call::new(id, on.clone(), deadline_ms, request, Snapshot::take(&self.plan.world.workspace));
        if let Some(running) = self.call.take() {
            // The server sends one at a time; a second one means that they disagree, and the first is what runs.
            let (id, report, trace) = call.failed_to_start("another call is running".into(), &self.plan);
            self.call = Some(running);
            return self.connection.send(&Reply::Executed { id, report }, &trace);
        }
        match self.ensure_worker(&on) {
            Ok(()) => {
                if let Some(worker) = self.workers.get_mut(on.key())
                    && matches!(worker.link, Link::Shell { .. } | Link::Cell { ready: true, .. })
                {
                    call.begin(worker);
                }
                self.call = Some(call);
            }
            Err(step) => {
                let (id, report, trace) = call.failed_to_start(step.to_string(), &self.plan);
                self.connection.send(&Reply::Executed { id, report }, &trace);
            }
        }
    }

    fn warm(&mut self) {
        let request = crate::guest::frame::encode(&CellRequest::Warm, b"").unwrap_or_default();
        match self.workers.values_mut().find(|w| matches!(w.link, Link::Cell { .. })) {
            Some(worker) => {
                self.warming = true;
                worker.send(&request);
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
        match Task::start(&self.plan, id, &String::from_utf8_lossy(command)) {
            Ok(mut task) => {
                let answer = task.report();
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
    fn feed_reads(&mut self) {
        while self.connection.has_room() {
            let Some((id, paths)) = self.reads.front_mut() else { return };
            let id = id.clone();
            match paths.pop_front() {
                Some(path) => {
                    let (error, data) = match files::read_whole(&self.plan.world.workspace, &path) {
                        Ok(data) => (None, data),
                        Err(why) => (Some(why), Vec::new()),
                    };
                    self.connection.send(&Reply::File { id, path, error }, &data);
                }
                None => {
                    self.reads.pop_front();
                    self.done(id, ToolResult::Read, b"");
                }
            }
        }
    }

    /// Forwards what a worker has written to descriptor 1 or 2. Returns whether there was anything.
    fn output(&mut self, name: &str, stream: usize) -> bool {
        let Some(worker) = self.workers.get(name) else { return false };
        let pipe = if stream == 0 { &worker.stdout } else { &worker.stderr };
        let mut buffer = [0u8; 65536];
        let Ok(n @ 1..) = read(pipe, &mut buffer) else { return false };
        // Output between calls (a thread that went on) is shown with the next call on the same worker; there is none now.
        let Some(call) = self.call.as_mut().filter(|c| c.on.key() == name) else { return true };
        let kept = call.admit(stream, n, &self.plan.limits);
        if kept > 0 {
            let id = call.id.clone();
            let reply = if stream == 0 { Reply::Stdout { id } } else { Reply::Stderr { id } };
            self.connection.send(&reply, buffer.get(..kept).unwrap_or_default());
        }
        true
    }

    /// Reads both pipes until they are empty: the end of a call's output.
    fn drain(&mut self, name: &str) {
        // Bounded, since a background writer could keep them filled for ever.
        for stream in [0, 1] {
            let mut rounds = 0;
            while self.output(name, stream) && rounds < 4096 {
                rounds += 1;
            }
        }
    }

    fn results(&mut self, name: &str) {
        let Some(worker) = self.workers.get_mut(name) else { return };
        let mut buffer = vec![0u8; 256 * 1024];
        let n = match read(sys::borrow(worker.results()), &mut buffer) {
            Ok(n) => n,
            Err(Errno::EAGAIN | Errno::EINTR) => return,
            Err(_) => 0,
        };
        if n == 0 {
            // Channel closed: either it is dying, and its status follows, or a guest has closed it, and then it is of no use.
            let pid = worker.pid;
            return self.abandon(pid);
        }
        let bytes = buffer.get(..n).unwrap_or_default();
        match &mut worker.link {
            Link::Cell { reader, .. } => {
                reader.push(bytes);
                self.cell_frames(name);
            }
            Link::Shell { partial, .. } => {
                partial.extend_from_slice(bytes);
                let lines = std::mem::take(partial);
                for line in lines.split(|&b| b == b'\n') {
                    self.shell_line(name, line);
                }
            }
        }
    }

    fn shell_line(&mut self, name: &str, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        let Some((id, code)) = text.split_once(' ') else { return };
        if self.call.as_ref().is_some_and(|c| c.id == id && c.on == On::Shell) {
            let code = code.trim().parse().unwrap_or(1);
            self.drain(name);
            self.finish("ok", code);
        }
    }

    fn cell_frames(&mut self, name: &str) {
        loop {
            let Some(worker) = self.workers.get_mut(name) else { return };
            let Link::Cell { reader, ready, .. } = &mut worker.link else { return };
            match reader.take::<CellEvent>() {
                Ok(None) => return,
                Ok(Some((CellEvent::Ready { .. }, _))) => {
                    *ready = true;
                    if let Some(call) = self.call.as_mut().filter(|c| c.on.key() == name) {
                        call.begin(worker);
                    }
                }
                Ok(Some((event, blob))) => self.cell_event(name, event, blob),
                Err(_) => {
                    let pid = worker.pid;
                    return self.abandon(pid);
                }
            }
        }
    }

    fn cell_event(&mut self, name: &str, event: CellEvent, blob: Vec<u8>) {
        if matches!(event, CellEvent::Warmed) {
            if std::mem::take(&mut self.warming) {
                self.connection.send(&Reply::Warmed, b"");
            }
            return;
        }
        let Some(call) = self.call.as_mut().filter(|c| c.on.key() == name) else { return };
        match event {
            CellEvent::Display { id, forms } | CellEvent::Value { id, forms } if id != call.id => drop(forms),
            CellEvent::Display { id, forms } if call.admit_display(blob.len(), &self.plan.limits) => {
                self.connection.send(&Reply::Display { id, forms }, &blob);
            }
            CellEvent::Value { id, forms } if call.admit_display(blob.len(), &self.plan.limits) => {
                self.connection.send(&Reply::Value { id, forms }, &blob);
            }
            CellEvent::Error { id, name, message } if id == call.id => {
                call.error = Some((name, message));
                call.traceback = blob;
            }
            CellEvent::Done { id, status, exit_code } if id == call.id => {
                self.drain(name);
                self.finish(&status, exit_code);
            }
            _ => {}
        }
    }

    /// Kills a worker with which no conversation is possible any more.
    fn abandon(&mut self, pid: Pid) {
        let others = self.leaders(Some(pid));
        super::process::kill_session(pid, &others);
        self.reap();
    }

    fn finish(&mut self, status: &str, exit_code: i32) {
        if let Some(call) = self.call.take() {
            let (id, report, traceback) = call.finish(status, exit_code, &self.plan);
            self.connection.send(&Reply::Executed { id, report }, &traceback);
        }
    }

    /// Collects every child that has ended: workers, tasks, and the orphans that init has inherited.
    fn reap(&mut self) {
        while let Ok(Some(_)) = self.children.read_signal() {}
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => self.ended(pid, code),
                Ok(WaitStatus::Signaled(pid, signal, _)) => self.ended(pid, 128 + signal as i32),
                Ok(WaitStatus::StillAlive) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }

    fn ended(&mut self, pid: Pid, status: i32) {
        if let Some(task) = self.tasks.iter_mut().find(|t| t.pid == pid) {
            return task.ended(status);
        }
        let Some(name) = self.workers.iter().find(|(_, w)| w.pid == pid).map(|(n, _)| n.clone()) else {
            return;
        };
        self.drain(&name);
        // Children that it left behind are of no use to a state that is gone, and might hold what the next one needs.
        let others = self.leaders(Some(pid));
        super::process::kill_session(pid, &others);
        self.workers.remove(&name);
        if let Some(call) = self.call.take_if(|c| c.on.key() == name) {
            let (id, report, traceback) = call.worker_ended(status, &self.plan);
            self.connection.send(&Reply::Executed { id, report }, &traceback);
        }
    }
}

/// poll(2), restarted when interrupted; says for each descriptor whether something is there.
fn wait(fds: &[(RawFd, PollFlags)], timeout: Duration) -> Result<Vec<bool>, Step> {
    let mut polls: Vec<PollFd<'_>> =
        fds.iter().map(|&(fd, flags)| PollFd::new(sys::borrow(fd), flags)).collect();
    // Rounded up, or the loop would spin for the last fraction of a millisecond.
    let millis = i32::try_from(timeout.as_micros().div_ceil(1000)).unwrap_or(i32::MAX);
    let timeout = PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX);
    match poll(&mut polls, timeout) {
        Ok(_) => Ok(polls.iter().map(|p| p.any().unwrap_or(true)).collect()),
        Err(Errno::EINTR) => Ok(vec![false; fds.len()]),
        Err(errno) => Err(Step { step: "poll".into(), errno }),
    }
}
