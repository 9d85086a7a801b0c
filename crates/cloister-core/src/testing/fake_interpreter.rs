//! The worker of the fake backend: scripts, files in a map, and tasks.

use super::fake_backend::Counters;
use super::fake_history::History;
use super::script::{self, Command};
use crate::backend::{Consumed, EventSink, Interpreter, InterpreterSpec, InvokeError, StopReport};
use crate::command::{NewFile, ToolCall};
use crate::error::{Error, Kind};
use crate::event::{
    Ended, Entry, EntryKind, Event, Execution, FileBody, FileChange, GuestError, LimitHit, Outcome,
    PathFailure, Rich, StateAfter, Task, TaskStatus, Usage,
};
use crate::id::SandboxId;
use crate::lock::lock;
use crate::policy::Snapshots;
use async_trait::async_trait;
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep};

/// A picture of one transparent pixel.
pub(super) const PIXEL: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89\0\0\0\nIDATx\x9cc\0\x01\0\0\x05\0\x01\r\n-\xb4\0\0\0\0IEND\xaeB`\x82";

/// One fake worker.
#[derive(Debug)]
pub(super) struct FakeInterpreter {
    sandbox: SandboxId,
    spec: InterpreterSpec,
    counters: Arc<Counters>,
    stop_delay: Duration,
    world: Arc<World>,
    /// On a tier with snapshots.
    history: Option<History>,
    interrupted: Notify,
    running: AtomicUsize,
    /// Why it ended, once it has.
    end: watch::Sender<Option<String>>,
}

/// How one begins.
#[derive(Debug, Default)]
pub(super) struct FakeStart {
    pub(super) world: World,
    pub(super) history: Option<History>,
    pub(super) stop_delay: Duration,
}

/// What a session's calls share.
#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) files: Mutex<BTreeMap<String, Bytes>>,
    pub(super) variables: Mutex<HashMap<String, String>>,
    tasks: Mutex<BTreeMap<String, Task>>,
}

/// How a script came to its end.
enum Halt {
    Ran(Box<Execution>),
    Died,
}

impl FakeInterpreter {
    pub(super) fn new(
        spec: InterpreterSpec,
        counters: Arc<Counters>,
        start: FakeStart,
    ) -> Result<Self, getrandom::Error> {
        let FakeStart { world, history, stop_delay } = start;
        counters.live.fetch_add(1, Ordering::SeqCst);
        Ok(Self {
            sandbox: SandboxId::random()?,
            spec,
            counters,
            stop_delay,
            world: Arc::new(world),
            history,
            interrupted: Notify::new(),
            running: AtomicUsize::new(0),
            end: watch::channel(None).0,
        })
    }

    /// What a copy of it begins with; `None` while it runs something.
    pub(super) fn copy(&self) -> Option<World> {
        (self.running.load(Ordering::SeqCst) == 0).then(|| self.world.copy())
    }

    pub(super) fn finish(&self, reason: &str) {
        let first = self.end.send_if_modified(|end| {
            let first = end.is_none();
            if first {
                *end = Some(reason.to_owned());
            }
            first
        });
        if first {
            self.counters.live.fetch_sub(1, Ordering::SeqCst);
        }
    }

    fn check_alive(&self) -> Result<(), InvokeError> {
        match self.end.borrow().as_ref() {
            None => Ok(()),
            Some(reason) => Err(InvokeError::WorkerGone { reason: reason.clone() }),
        }
    }

    fn history(&self) -> Result<&History, InvokeError> {
        let why = "the process tier keeps no snapshots";
        self.history.as_ref().ok_or_else(|| InvokeError::NotSupported(why.into()))
    }

    async fn execute(
        &self,
        source: &str,
        deadline: Duration,
        events: &EventSink,
    ) -> Result<Outcome, InvokeError> {
        self.counters.runs.fetch_add(1, Ordering::SeqCst);
        let at_once = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.counters.most_at_once.fetch_max(at_once, Ordering::SeqCst);
        let kept = self.history.as_ref().filter(|_| self.spec.policy.snapshots != Snapshots::None);
        if let Some(history) = kept {
            history.remember(&self.world);
        }
        let mut halt = self.run(source, deadline, events).await;
        if let (Halt::Ran(execution), Some(history)) = (&mut halt, kept) {
            let atomic = self.spec.policy.snapshots == Snapshots::Atomic && execution.error.is_some();
            if (atomic || execution.state == StateAfter::Lost) && history.undo(&self.world) {
                execution.state = StateAfter::Restored;
            }
        }
        self.running.fetch_sub(1, Ordering::SeqCst);
        match halt {
            Halt::Ran(execution) => Ok(Outcome::Executed(*execution)),
            Halt::Died => {
                self.finish("it died of `die`");
                Err(InvokeError::WorkerGone { reason: "it died of `die`".into() })
            }
        }
    }

    async fn run(&self, source: &str, deadline: Duration, events: &EventSink) -> Halt {
        let began = Instant::now();
        let mut done = Execution::default();
        match script::parse(source) {
            Err(line) => raise(&mut done, "SyntaxError", &format!("invalid syntax: {line}")),
            Ok(commands) => {
                for command in commands {
                    let left = deadline.saturating_sub(began.elapsed());
                    match command {
                        Command::Die => return Halt::Died,
                        Command::Stuck => pending().await,
                        Command::Hang => self.hang(left, deadline, &mut done).await,
                        Command::Sleep(time) => self.doze(time, left, deadline, &mut done).await,
                        other => self.step(other, &mut done, events).await,
                    }
                    if done.exit_code != 0 || done.ended != Ended::Completed {
                        break;
                    }
                }
            }
        }
        done.usage = Usage { wall: began.elapsed(), ..Usage::default() };
        Halt::Ran(Box::new(done))
    }

    /// Ignores the interrupt at the deadline; the kill comes after the grace and takes the state along.
    async fn hang(&self, left: Duration, limit: Duration, done: &mut Execution) {
        tokio::select! {
            () = sleep(left) => {}
            () = self.interrupted.notified() => {}
        }
        sleep(self.spec.policy.time.grace).await;
        lock(&self.world.variables).clear();
        done.exit_code = 137;
        done.ended = Ended::Killed;
        done.state = StateAfter::Lost;
        done.limits.push(LimitHit::Deadline { limit });
    }

    async fn doze(&self, time: Duration, left: Duration, limit: Duration, done: &mut Execution) {
        tokio::select! {
            () = sleep(time.min(left)) => if time <= left { return },
            () = self.interrupted.notified() => {}
        }
        raise(done, "KeyboardInterrupt", "");
        done.exit_code = 130;
        done.ended = Ended::Interrupted;
        done.limits.push(LimitHit::Deadline { limit });
    }

    async fn step(&self, command: Command, done: &mut Execution, events: &EventSink) {
        // A reader that has gone away is no reason to stop: the call goes on without one.
        let say = async |event| drop(events.send(event).await);
        match command {
            Command::Print(text) => say(Event::Stdout(line(&text))).await,
            Command::Warn(text) => say(Event::Stderr(line(&text))).await,
            Command::Value(text) => say(Event::Value(plain(&text))).await,
            Command::Figure => {
                let mut picture = plain("<Figure 1x1>");
                picture.forms.push(("image/png".into(), Bytes::from_static(PIXEL)));
                say(Event::Display(picture)).await;
            }
            Command::Flood(bytes) => {
                for from in (0..bytes).step_by(4096) {
                    say(Event::Stdout(Bytes::from(vec![b'x'; (bytes - from).min(4096)]))).await;
                }
            }
            Command::Fail => raise(done, "ZeroDivisionError", "division by zero"),
            Command::Exit(status) => {
                done.exit_code = status;
                done.ended = Ended::Exited;
            }
            Command::Set(name, value) => drop(lock(&self.world.variables).insert(name, value)),
            Command::Get(name) => {
                let value = lock(&self.world.variables).get(&name).cloned();
                match value {
                    Some(value) => say(Event::Stdout(line(&value))).await,
                    None => raise(done, "NameError", &format!("name '{name}' is not defined")),
                }
            }
            Command::Write(path, text) => {
                let path = tidy(&path);
                let (size, data) = (text.len() as u64, Bytes::from(text));
                let created = lock(&self.world.files).insert(path.clone(), data).is_none();
                done.files.push(FileChange { path, size, created, digest: None });
            }
            Command::Cat(path) => {
                let data = lock(&self.world.files).get(&tidy(&path)).cloned();
                match data {
                    Some(data) => say(Event::Stdout(data)).await,
                    None => raise(done, "FileNotFoundError", &format!("no such file: {path}")),
                }
            }
            #[expect(clippy::panic, reason = "the double of a backend with a bug")]
            Command::Panic => panic!("a panic that the test asked for"),
            // The caller has dealt with these.
            Command::Die | Command::Stuck | Command::Hang | Command::Sleep(_) => {}
        }
    }

    fn start_task(&self, command: &str) -> Outcome {
        self.counters.runs.fetch_add(1, Ordering::SeqCst);
        let id = format!("task-{}", lock(&self.world.tasks).len() + 1);
        let task = Task {
            id: id.clone(),
            status: TaskStatus::Submitted,
            stdout: Bytes::new(),
            stderr: Bytes::new(),
            exit_code: None,
            wall: Duration::ZERO,
        };
        lock(&self.world.tasks).insert(id.clone(), task.clone());
        let (world, source) = (Arc::clone(&self.world), command.to_owned());
        tokio::spawn(async move { world.work_on(&id, &source).await });
        Outcome::Task(task)
    }
}

impl World {
    /// Tasks know `print`, `warn`, `sleep`, `fail` and `exit`; anything else fails them.
    async fn work_on(&self, id: &str, source: &str) {
        let began = Instant::now();
        let commands = script::parse(source).unwrap_or_else(|_| vec![Command::Exit(127)]);
        let mut status = 0;
        for command in commands {
            match command {
                Command::Sleep(time) => sleep(time).await,
                Command::Exit(code) => status = code,
                Command::Print(text) => self.task(id, |task| append(&mut task.stdout, &line(&text))),
                Command::Warn(text) => self.task(id, |task| append(&mut task.stderr, &line(&text))),
                _ => status = 1,
            }
            self.task(id, |task| task.wall = began.elapsed());
            if status != 0 {
                break;
            }
        }
        self.task(id, |task| {
            task.exit_code = Some(status);
            task.status = if status == 0 { TaskStatus::Completed } else { TaskStatus::Failed };
        });
    }

    /// Changes a task unless it has ended.
    fn task(&self, id: &str, change: impl FnOnce(&mut Task)) {
        if let Some(task) = lock(&self.tasks).get_mut(id)
            && matches!(task.status, TaskStatus::Submitted | TaskStatus::Working)
        {
            task.status = TaskStatus::Working;
            change(task);
        }
    }

    fn get_task(&self, id: &str) -> Outcome {
        match lock(&self.tasks).get(id) {
            Some(task) => Outcome::Task(task.clone()),
            None => Outcome::Failed { message: format!("no such task: {id}") },
        }
    }

    fn read(&self, paths: Vec<String>) -> Outcome {
        let held = lock(&self.files);
        let (mut files, mut failed) = (Vec::new(), Vec::new());
        for path in paths {
            match held.get(&tidy(&path)) {
                Some(data) => files.push(FileBody { path, data: data.clone() }),
                None => failed.push(PathFailure { path, reason: "no such file".into() }),
            }
        }
        Outcome::Files { files, failed }
    }

    fn write(&self, content: Vec<NewFile>) -> Outcome {
        let mut held = lock(&self.files);
        let files = content
            .into_iter()
            .map(|file| {
                let size = file.data.len() as u64;
                held.insert(tidy(&file.path), file.data);
                (file.path, size)
            })
            .collect();
        Outcome::Written { files }
    }

    fn name(&self, path: &str, name: String) -> Outcome {
        let mut held = lock(&self.files);
        match held.remove(&tidy(path)) {
            Some(data) => {
                let named =
                    path.rsplit_once('/').map_or(name.clone(), |(folder, _)| format!("{folder}/{name}"));
                let size = data.len() as u64;
                held.insert(tidy(&named), data);
                Outcome::Written { files: vec![(named, size)] }
            }
            None => Outcome::Failed { message: format!("no such file: {path}") },
        }
    }

    fn list(&self, path: &str) -> Outcome {
        let inside = tidy(path);
        let prefix = if inside.is_empty() { String::new() } else { format!("{inside}/") };
        let mut entries = BTreeMap::new();
        for (path, data) in lock(&self.files).iter() {
            let Some(rest) = path.strip_prefix(&prefix) else { continue };
            let (name, kind, size) = match rest.split_once('/') {
                Some((directory, _)) => (directory, EntryKind::Directory, 0),
                None => (rest, EntryKind::File, data.len() as u64),
            };
            let path = format!("{prefix}{name}");
            entries.insert(name.to_owned(), Entry { name: name.into(), path, kind, size, modified: 0 });
        }
        if entries.is_empty() && !inside.is_empty() {
            return Outcome::Failed { message: format!("no such directory: {path}") };
        }
        Outcome::Listing { entries: entries.into_values().collect(), truncated: false }
    }

    fn remove(&self, paths: Vec<String>) -> Outcome {
        let mut held = lock(&self.files);
        let (mut removed, mut failed) = (Vec::new(), Vec::new());
        for path in paths {
            let inside = tidy(&path);
            let below = format!("{inside}/");
            let had = held.len();
            held.retain(|name, _| *name != inside && !name.starts_with(&below));
            if held.len() < had {
                removed.push(path);
            } else {
                failed.push(PathFailure { path, reason: "no such file or directory".into() });
            }
        }
        Outcome::Removed { removed, failed }
    }

    fn range(&self, path: &str, offset: u64, length: u64) -> Outcome {
        let Some(data) = lock(&self.files).get(&tidy(path)).cloned() else {
            return Outcome::Failed { message: format!("no such file: {path}") };
        };
        let size = data.len() as u64;
        let (from, to) = (offset.min(size), offset.saturating_add(length).min(size));
        Outcome::Range { size, modified: 0, data: data.slice(from as usize..to as usize) }
    }
}

#[async_trait]
impl Interpreter for FakeInterpreter {
    fn sandbox(&self) -> SandboxId {
        self.sandbox.clone()
    }

    async fn invoke(&self, call: ToolCall, deadline: Duration, events: EventSink) -> Result<(), InvokeError> {
        self.check_alive()?;
        let world = &self.world;
        let work = async {
            Ok(match call {
                ToolCall::ExecuteCode { code, clear_context, .. } => {
                    if clear_context {
                        lock(&world.variables).clear();
                    }
                    self.execute(&code, deadline, &events).await?
                }
                ToolCall::ExecuteCommand { command } => self.execute(&command, deadline, &events).await?,
                ToolCall::StartCommandExecution { command } => self.start_task(&command),
                ToolCall::GetTask { task_id } => world.get_task(&task_id),
                ToolCall::StopTask { task_id } => {
                    world.task(&task_id, |task| task.status = TaskStatus::Canceled);
                    world.get_task(&task_id)
                }
                ToolCall::ReadFiles { paths } => world.read(paths),
                ToolCall::WriteFiles { content } => world.write(content),
                ToolCall::ListFiles { path } => world.list(&path),
                ToolCall::RemoveFiles { paths } => world.remove(paths),
                ToolCall::NameFile { path, stem, extension } => world.name(&path, stem + &extension),
                ToolCall::ReadRange { path, offset, length } => world.range(&path, offset, length),
                ToolCall::Checkpoint => self.history()?.checkpoint(world),
                ToolCall::Restore { checkpoint } => {
                    self.history()?.restore(world, checkpoint).ok_or_else(|| {
                        InvokeError::Refused(Error::new(Kind::NotFound, "there is no such checkpoint"))
                    })?
                }
                other => {
                    return Err(InvokeError::NotSupported(format!("it has no browser for {}", other.name())));
                }
            })
        };
        let outcome = tokio::select! {
            outcome = work => outcome?,
            reason = self.exited() => return Err(InvokeError::WorkerGone { reason }),
        };
        drop(events.send(Event::Done(Box::new(outcome))).await);
        Ok(())
    }

    async fn interrupt(&self) {
        self.interrupted.notify_waiters();
    }

    async fn exited(&self) -> String {
        let mut end = self.end.subscribe();
        match end.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(reason)) => reason.clone(),
            // The sender lives as long as this worker.
            Ok(None) | Err(_) => "it is gone".into(),
        }
    }

    async fn stop(&self, _grace: Duration) -> StopReport {
        sleep(self.stop_delay).await;
        self.finish("it was stopped");
        StopReport::default()
    }

    fn consumed(&self) -> Option<Consumed> {
        let cpu = (*lock(&self.counters.cpu))?;
        Some(Consumed { cpu, memory_peak: 1 << 20 })
    }

    fn walls(&self) -> Vec<(String, String)> {
        vec![("isolation".into(), "none: this is the test double".into())]
    }
}

fn raise(done: &mut Execution, name: &str, message: &str) {
    done.exit_code = 1;
    let traceback = format!("Traceback (most recent call last):\n  line 1\n{name}: {message}\n");
    done.error = Some(GuestError { name: name.into(), message: message.into(), traceback });
}

fn line(text: &str) -> Bytes {
    Bytes::from(format!("{text}\n"))
}

fn append(held: &mut Bytes, more: &[u8]) {
    *held = Bytes::from([held.as_ref(), more].concat());
}

fn plain(text: &str) -> Rich {
    Rich { forms: vec![("text/plain".into(), Bytes::from(text.to_owned()))] }
}

/// Paths as the map keeps them: relative to the workspace, without `./` and without slashes at the ends.
fn tidy(path: &str) -> String {
    let path = path.strip_prefix("/workspace").unwrap_or(path);
    path.split('/').filter(|part| !part.is_empty() && *part != ".").collect::<Vec<_>>().join("/")
}
