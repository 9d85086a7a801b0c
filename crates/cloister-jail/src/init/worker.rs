//! A guest program that stays: a language driver on a cell channel, or the shell on a script pipe.

use super::process;
use super::score::Score;
use crate::guest::frame::{CELL, Reader};
use crate::plan::{Interrupt, Plan, Runner};
use crate::spawn::Step;
use crate::sys;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{Signal, killpg};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::unistd::{Pid, pipe2};
use std::collections::VecDeque;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// The number under which a driver finds its cell channel.
const CELL_FD: RawFd = 3;
/// And its interrupt pipe.
const INTERRUPT_FD: RawFd = 4;
/// Where the shell writes a command's status.
const STATUS_FD: RawFd = 9;

/// How init talks to a worker.
#[derive(Debug)]
pub(super) enum Link {
    /// A driver.
    Cell {
        /// The channel.
        socket: OwnedFd,
        /// Frames from it.
        reader: Reader,
        /// It has said `ready`.
        ready: bool,
    },
    /// The shell.
    Shell {
        /// Commands go here.
        script: OwnedFd,
        /// `<id> <status>` lines come from here.
        status: OwnedFd,
        /// Part of a line.
        partial: Vec<u8>,
    },
}

/// A running worker.
#[derive(Debug)]
pub(super) struct Worker {
    /// Its pid inside the sandbox; it leads a session of its own.
    pub(super) pid: Pid,
    /// How to talk to it.
    pub(super) link: Link,
    /// Its descriptor 1.
    pub(super) stdout: OwnedFd,
    /// Its descriptor 2.
    pub(super) stderr: OwnedFd,
    /// How to interrupt it; `None` for the shell.
    interrupt: Option<Interrupting>,
    /// Bytes that it has not taken yet.
    pub(super) unsent: VecDeque<u8>,
    /// What it wrote between calls.
    pub(super) late: Late,
    /// It has closed its end of the link: nothing more will come from it but its death.
    pub(super) mute: bool,
    /// Of descriptor 1 and 2: the last writer is gone. Such a pipe is ready for ever, and polling it would be a busy loop.
    pub(super) quiet: [bool; 2],
}

/// Output on descriptors 1 and 2 that belongs to the next call: the bytes, and how many more were above the limit.
pub(super) type Late = [(Vec<u8>, u64); 2];

#[derive(Debug)]
enum Interrupting {
    Signal,
    Pipe(OwnedFd),
}

/// Two pipes for descriptors 1 and 2: init's ends do not block.
#[derive(Debug)]
pub(super) struct Outputs {
    pub(super) stdout: (OwnedFd, OwnedFd),
    pub(super) stderr: (OwnedFd, OwnedFd),
}

impl Outputs {
    pub(super) fn new() -> Result<Self, Step> {
        let pair = || -> Result<(OwnedFd, OwnedFd), Step> {
            let (read, write) = pipe2(OFlag::O_CLOEXEC).map_err(Step::at("pipe"))?;
            unblock(&read)?;
            Ok((read, write))
        };
        Ok(Self { stdout: pair()?, stderr: pair()? })
    }
}

pub(super) fn unblock(fd: &OwnedFd) -> Result<(), Step> {
    fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))
        .map(drop)
        .map_err(Step::at("make a descriptor non-blocking"))
}

pub(super) fn null() -> Result<OwnedFd, Step> {
    nix::fcntl::open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, nix::sys::stat::Mode::empty())
        .map_err(Step::at("open /dev/null"))
}

fn cell_pair() -> Result<(OwnedFd, OwnedFd), Step> {
    let pair = socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC);
    let (ours, theirs) = pair.map_err(Step::at("make a cell channel"))?;
    unblock(&ours)?;
    Ok((ours, theirs))
}

impl Worker {
    /// Starts a language driver.
    pub(super) fn driver(plan: &Plan, score: &Score, runner: &Runner) -> Result<Self, Step> {
        let outputs = Outputs::new()?;
        let (ours, theirs) = cell_pair()?;
        let null = null()?;
        let mut wiring = vec![
            (null.as_raw_fd(), 0),
            (outputs.stdout.1.as_raw_fd(), 1),
            (outputs.stderr.1.as_raw_fd(), 2),
            (theirs.as_raw_fd(), CELL_FD),
        ];
        let mut extra = vec![("CLOISTER_CELL_FD", CELL_FD.to_string())];
        let mut their_pipe = None;
        let interrupt = match runner.interrupt {
            Interrupt::Signal => Interrupting::Signal,
            Interrupt::Pipe => {
                let (read, write) = pipe2(OFlag::O_CLOEXEC).map_err(Step::at("pipe"))?;
                unblock(&write)?;
                wiring.push((read.as_raw_fd(), INTERRUPT_FD));
                extra.push(("CLOISTER_INTERRUPT_FD", INTERRUPT_FD.to_string()));
                their_pipe = Some(read);
                Interrupting::Pipe(write)
            }
        };
        let pid = process::start(plan, score, &runner.argv, &extra, &wiring)?;
        drop(their_pipe);
        Ok(Self {
            pid,
            link: Link::Cell { socket: ours, reader: Reader::new(CELL), ready: false },
            stdout: outputs.stdout.0,
            stderr: outputs.stderr.0,
            interrupt: Some(interrupt),
            unsent: VecDeque::new(),
            late: Default::default(),
            mute: false,
            quiet: [false; 2],
        })
    }

    /// Starts the persistent shell.
    pub(super) fn shell(plan: &Plan, score: &Score) -> Result<Self, Step> {
        let outputs = Outputs::new()?;
        let (their_script, script) = pipe2(OFlag::O_CLOEXEC).map_err(Step::at("pipe"))?;
        let (status, their_status) = pipe2(OFlag::O_CLOEXEC).map_err(Step::at("pipe"))?;
        unblock(&script)?;
        unblock(&status)?;
        let wiring = [
            (their_script.as_raw_fd(), 0),
            (outputs.stdout.1.as_raw_fd(), 1),
            (outputs.stderr.1.as_raw_fd(), 2),
            (their_status.as_raw_fd(), STATUS_FD),
        ];
        let pid = process::start(plan, score, &plan.programs.shell, &[], &wiring)?;
        Ok(Self {
            pid,
            link: Link::Shell { script, status, partial: Vec::new() },
            stdout: outputs.stdout.0,
            stderr: outputs.stderr.0,
            interrupt: None,
            unsent: VecDeque::new(),
            late: Default::default(),
            mute: false,
            quiet: [false; 2],
        })
    }

    /// Keeps output for the next call, up to `limit` bytes of each stream: a thread may write for ever.
    pub(super) fn keep_late(&mut self, stream: usize, bytes: &[u8], limit: u64) {
        if let Some((kept, dropped)) = self.late.get_mut(stream) {
            let room =
                usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(kept.len()).min(bytes.len());
            kept.extend_from_slice(bytes.get(..room).unwrap_or_default());
            *dropped += (bytes.len() - room) as u64;
        }
    }

    /// The descriptor on which results arrive.
    pub(super) fn results(&self) -> RawFd {
        match &self.link {
            Link::Cell { socket, .. } => socket.as_raw_fd(),
            Link::Shell { status, .. } => status.as_raw_fd(),
        }
    }

    /// The descriptor that takes requests.
    pub(super) fn requests(&self) -> RawFd {
        match &self.link {
            Link::Cell { socket, .. } => socket.as_raw_fd(),
            Link::Shell { script, .. } => script.as_raw_fd(),
        }
    }

    /// The pipe of stream 0 (stdout) or 1 (stderr).
    pub(super) fn pipe(&self, stream: usize) -> &OwnedFd {
        if stream == 0 { &self.stdout } else { &self.stderr }
    }

    /// Queues bytes and writes what fits.
    pub(super) fn send(&mut self, bytes: Vec<u8>) {
        if self.unsent.is_empty() {
            self.unsent = bytes.into();
        } else {
            self.unsent.extend(bytes);
        }
        self.flush();
    }

    /// Writes what the worker takes. A broken pipe means that it has died; its exit status will say so.
    pub(super) fn flush(&mut self) {
        while !self.unsent.is_empty() {
            let (first, _) = self.unsent.as_slices();
            match nix::unistd::write(sys::borrow(self.requests()), first) {
                Ok(n) => drop(self.unsent.drain(..n)),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return,
                Err(_) => self.unsent.clear(),
            }
        }
        // A cell may have had megabytes, and this is the guest's memory.
        self.unsent = VecDeque::new();
    }

    /// Asks it to give up what it is doing, and its children with it, as Ctrl-C does in a terminal: a driver that waits for a child
    /// (`os.system`, `spawnSync`) hears nothing itself, and the children of a fork bomb would go on without it.
    pub(super) fn interrupt(&self) {
        match &self.interrupt {
            Some(Interrupting::Signal) => {
                let _: Result<(), Errno> = killpg(self.pid, Signal::SIGINT);
            }
            Some(Interrupting::Pipe(pipe)) => {
                let _: Result<usize, Errno> = nix::unistd::write(pipe, b"i");
                process::interrupt_children(self.pid);
            }
            None => process::interrupt_children(self.pid),
        }
    }
}

/// Which side of [`fork_warm`] this is.
pub(super) enum Forked {
    /// The interpreter: descriptors and limits are in place, and the caller returns into it.
    Interpreter,
    /// Init, with the interpreter as a worker.
    Init(Box<Worker>),
}

/// Forks the warm interpreter off an init that is itself a fork of a zygote.
pub(super) fn fork_warm(plan: &Plan, score: &Score) -> Result<Forked, Step> {
    let outputs = Outputs::new()?;
    let (ours, theirs) = cell_pair()?;
    let null = null()?;
    let wiring = [
        (null.as_raw_fd(), 0),
        (outputs.stdout.1.as_raw_fd(), 1),
        (outputs.stderr.1.as_raw_fd(), 2),
        (theirs.as_raw_fd(), CELL_FD),
    ];
    // Before the fork: a zygote leaves its children to the kernel, and one that died at once would never be heard of. Other handlers
    // stay: they are the interpreter's own.
    sys::default_children().map_err(Step::at("reset signals"))?;
    match score.fork()? {
        None => {
            let ready = process::wire(&wiring)
                .and_then(|()| nix::unistd::setsid().map(drop).map_err(Step::at("start a session")))
                .and_then(|()| process::settle(plan))
                // There is no exec to do it. Nothing of a guest is running yet, and the caller wipes what it must not find.
                .and_then(|()| {
                    sys::prctl(nix::libc::PR_SET_DUMPABLE, 1).map(drop).map_err(Step::at("become dumpable"))
                });
            if ready.is_err() {
                sys::exit_now(126);
            }
            // These ends of the pipes are closed by now, and dropping them would close what has their numbers today.
            std::mem::forget((outputs, ours, theirs, null));
            Ok(Forked::Interpreter)
        }
        Some(pid) => Ok(Forked::Init(Box::new(Worker {
            pid: Pid::from_raw(pid),
            link: Link::Cell { socket: ours, reader: Reader::new(CELL), ready: false },
            stdout: outputs.stdout.0,
            stderr: outputs.stderr.0,
            interrupt: Some(Interrupting::Signal),
            unsent: VecDeque::new(),
            late: Default::default(),
            mute: false,
            quiet: [false; 2],
        }))),
    }
}
