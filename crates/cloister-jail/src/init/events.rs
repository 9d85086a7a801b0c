//! Init's loop: one poll(2) over the control channel, the workers, the background commands, the resident and dying children.
//!
//! ```text
//!   poll ─┬─ server ──▶ requests.rs ─▶ calls, tasks, file tools
//!         ├─ workers ─▶ results.rs, output.rs ─▶ replies
//!         ├─ SIGCHLD ─▶ children.rs
//!         └─ time ────▶ tick
//! ```

use super::call::{Call, On};
use super::connection::{Arrived, Connection};
use super::requests::Reading;
use super::resident::Resident;
use super::score::Score;
use super::task::Task;
use super::walls;
use super::worker::{Late, Worker};
use crate::guest::message::Handed;
use crate::plan::Plan;
use crate::spawn::Step;
use crate::sys;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;
use std::collections::{BTreeMap, VecDeque};
use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

/// Everything that init knows.
pub(super) struct Init {
    pub(super) plan: Plan,
    pub(super) score: Score,
    pub(super) listener: OwnedFd,
    pub(super) proxy: Option<TcpListener>,
    pub(super) children: SignalFd,
    pub(super) connection: Connection,
    pub(super) workers: BTreeMap<String, Worker>,
    /// What workers that have died between calls left to say.
    pub(super) last_words: BTreeMap<String, Late>,
    pub(super) call: Option<Call>,
    pub(super) tasks: Vec<Task>,
    pub(super) resident: Option<Resident>,
    pub(super) reads: VecDeque<Reading>,
    /// The driver that has been asked to warm up.
    pub(super) warming: Option<String>,
    pub(super) expires: Instant,
    pub(super) orphaned: Option<Instant>,
    pub(super) ending: bool,
}

/// What a descriptor of the poll list belongs to.
#[derive(Clone, Debug)]
enum Source {
    Listener,
    Children,
    Connection,
    Candidate,
    Results(String),
    Requests(String),
    Output(String, usize),
    Task(usize),
    Resident(usize),
}

impl Init {
    pub(super) fn new(
        plan: Plan,
        score: Score,
        listener: OwnedFd,
        proxy: Option<TcpListener>,
        warm: Option<Worker>,
    ) -> Result<Self, Step> {
        sys::init_signals().map_err(Step::at("reset signals"))?;
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
            score,
            listener,
            proxy,
            children,
            workers: BTreeMap::new(),
            last_words: BTreeMap::new(),
            call: None,
            tasks: Vec::new(),
            resident: None,
            reads: VecDeque::new(),
            warming: None,
            ending: false,
        };
        if let Some(name) = init.plan.programs.eager.clone() {
            match warm {
                Some(worker) => drop(init.workers.insert(name, worker)),
                None => init.ensure_worker(&On::Driver(name))?,
            }
        }
        init.resident = Resident::of(&init.plan, &init.score)?;
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
        if let Some(fd) = self.connection.candidate() {
            list.push((Source::Candidate, fd, PollFlags::POLLIN));
        }
        let room = self.connection.has_room();
        for (name, worker) in &self.workers {
            if room {
                if !worker.mute {
                    list.push((Source::Results(name.clone()), worker.results(), PollFlags::POLLIN));
                }
                let pipes = [&worker.stdout, &worker.stderr].into_iter().zip(worker.quiet).enumerate();
                for (stream, (pipe, _)) in pipes.filter(|(_, (_, quiet))| !quiet) {
                    list.push((Source::Output(name.clone(), stream), pipe.as_raw_fd(), PollFlags::POLLIN));
                }
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
        for (n, fd) in self.resident.iter().flat_map(Resident::outputs) {
            list.push((Source::Resident(n), fd, PollFlags::POLLIN));
        }
        list.into_iter().map(|(source, fd, flags)| (source, (fd, flags))).unzip()
    }

    fn timeout(&self) -> Duration {
        // The queue has been flushed since files were last fed into it: go on at once.
        if !self.reads.is_empty() && self.connection.has_room() {
            return Duration::ZERO;
        }
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
                    task.overdue(now, &others);
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

    fn handle(&mut self, source: Source) {
        match source {
            Source::Listener => self.accept(),
            Source::Children => self.reap(),
            Source::Connection => {
                let arrived = self.connection.receive();
                self.arrived(arrived);
            }
            Source::Candidate => {
                let arrived = self.connection.receive_candidate();
                self.arrived(arrived);
            }
            Source::Results(name) => drop(self.results(&name)),
            Source::Requests(name) => {
                if let Some(worker) = self.workers.get_mut(&name) {
                    worker.flush();
                }
            }
            Source::Output(name, stream) => drop(self.output(&name, stream)),
            Source::Task(n) => {
                if let Some(task) = self.tasks.get_mut(n) {
                    task.stdout.drain();
                    task.stderr.drain();
                }
            }
            Source::Resident(n) => {
                if let Some(resident) = &mut self.resident {
                    resident.listen(n);
                }
            }
        }
    }

    fn arrived(&mut self, arrived: Vec<Arrived>) {
        for arrived in arrived {
            match arrived {
                Arrived::Attached => {
                    let proxy = self.proxy.iter().map(|listener| (Handed::Proxy, listener.as_raw_fd()));
                    let resident = self.resident.iter().flat_map(Resident::handed);
                    let handed = proxy.chain(resident).collect();
                    self.connection.hello(walls::look(self.plan.landlock), handed);
                }
                Arrived::Life { ttl_ms } => self.expires = Instant::now() + Duration::from_millis(ttl_ms),
                Arrived::Request(request, blob) => self.request(request, blob),
            }
        }
    }

    fn accept(&mut self) {
        let flags = nix::sys::socket::SockFlag::SOCK_CLOEXEC;
        if let Ok(fd) = nix::sys::socket::accept4(&self.listener, flags) {
            self.connection.accept(fd);
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
