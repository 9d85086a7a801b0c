//! The threads of an engine: each waits for whatever comes next, and does it itself, so that a call costs one wake-up.
//!
//! ```text
//!              ┌─ orders ──▶ make, copy, evict sessions
//!   epoll ─────┤
//!              └─ a session's socket ─▶ receive ─▶ work, while a turn is free; else it stands in line
//! ```
//!
//! Descriptors are armed for one event (EPOLLONESHOT) and armed again as soon as what arrived has been read: an interrupt for a session
//! that runs on one thread arrives at another. There are more threads than turns, so one is always there to hear it. Threads share
//! the processor by the kernel's scheduler: an endless loop in one session does not delay its neighbours (docs/adr).

use crate::factory::Factory;
use crate::lock;
use crate::orders::Orders;
use crate::session::{Next, Session};
use cloister_jail::guest::engine::Room;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::collections::{HashMap, VecDeque};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};

/// The event of the orders' socket.
const ORDERS: u64 = u64::MAX;
/// Threads beyond those that run cells.
const SPARE: usize = 2;

/// Everything that the threads share.
#[derive(Debug)]
pub struct Crew {
    epoll: Epoll,
    orders: Orders,
    /// Makes guests.
    pub factory: Arc<Factory>,
    sessions: Mutex<HashMap<u64, Arc<Session>>>,
    turns: Mutex<Turns>,
    /// How many sessions there may be.
    pub(crate) sessions_max: usize,
    /// How many of them the server keeps ready.
    pub(crate) ready: usize,
}

/// Cells that may run at once.
#[derive(Debug)]
struct Turns {
    free: usize,
    line: VecDeque<Arc<Session>>,
}

impl Crew {
    /// A crew that takes orders from `orders`, in the room that there is.
    pub fn new(orders: Orders, factory: Arc<Factory>, room: Room) -> Result<Self, Errno> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let turns = Mutex::new(Turns { free: (room.cells as usize).max(1), line: VecDeque::new() });
        let sessions_max = room.sessions as usize;
        let ready = room.ready as usize;
        let crew = Self { epoll, orders, factory, sessions: Mutex::default(), turns, sessions_max, ready };
        crew.epoll.add(crew.orders.as_fd(), event(ORDERS))?;
        Ok(crew)
    }

    /// Works until the server has gone.
    pub fn run(self: &Arc<Self>) -> std::io::Result<()> {
        let this = Arc::clone(self);
        std::thread::Builder::new().name("sweeper".into()).spawn(move || this.sweep())?;
        let threads = lock(&self.turns).free + SPARE;
        let mut crew = Vec::with_capacity(threads);
        for n in 0..threads {
            let this = Arc::clone(self);
            let builder = std::thread::Builder::new().name(format!("guest-{n}"));
            crew.push(builder.stack_size(crate::engine::THREAD_STACK).spawn(move || this.member())?);
        }
        for member in crew {
            member.join().map_err(|_| std::io::Error::other("a thread has panicked"))??;
        }
        Ok(())
    }

    fn member(&self) -> std::io::Result<()> {
        let mut events = [EpollEvent::empty()];
        loop {
            match self.epoll.wait(&mut events, EpollTimeout::NONE) {
                Ok(0) | Err(Errno::EINTR) => continue,
                Ok(_) => {}
                Err(errno) => return Err(errno.into()),
            }
            let [arrived] = &events;
            if arrived.data() == ORDERS {
                let order = self.orders.receive();
                let Some(order) = order? else { std::process::exit(0) };
                self.arm(self.orders.as_fd(), ORDERS)?;
                self.order(order);
            } else {
                let session = lock(&self.sessions).get(&arrived.data()).cloned();
                let Some(session) = session else { continue };
                let next = session.receive();
                // The end of a socket would be reported without end.
                if !session.control.is_closed() {
                    self.arm(session.channel.as_fd(), session.number)?;
                }
                self.go_on(session, next);
            }
        }
    }

    fn arm(&self, fd: impl AsFd, name: u64) -> Result<(), Errno> {
        match self.epoll.modify(fd, &mut event(name)) {
            // Removed by another thread in the meantime.
            Err(Errno::ENOENT) => Ok(()),
            other => other,
        }
    }

    fn go_on(&self, session: Arc<Session>, next: Next) {
        match next {
            Next::Nothing => {}
            Next::Remove => self.remove(&session),
            Next::Work => self.take_turn(session),
        }
    }

    /// Works on a session if a turn is free, and then on those that have stood in line meanwhile.
    fn take_turn(&self, session: Arc<Session>) {
        {
            let mut turns = lock(&self.turns);
            if turns.free == 0 {
                turns.line.push_back(session);
                return;
            }
            turns.free -= 1;
        }
        let mut current = session;
        loop {
            let next = current.work(&self.factory);
            if next == Next::Remove {
                self.remove(&current);
            }
            let mut turns = lock(&self.turns);
            match turns.line.pop_front() {
                Some(session) => current = session,
                None => {
                    turns.free += 1;
                    return;
                }
            }
        }
    }

    /// Adds a session; its socket is listened to from now on.
    pub(crate) fn add(&self, session: Arc<Session>) -> Result<(), Errno> {
        let number = session.number;
        lock(&self.sessions).insert(number, Arc::clone(&session));
        self.epoll.add(session.channel.as_fd(), event(number)).inspect_err(|_| {
            lock(&self.sessions).remove(&number);
        })
    }

    fn remove(&self, session: &Arc<Session>) {
        // Gone already, when two threads have seen the end.
        let _: Result<(), Errno> = self.epoll.delete(session.channel.as_fd());
        if lock(&self.sessions).remove(&session.number).is_some() {
            session.empty();
            self.orders.closed(session.number);
        }
    }

    /// A session by its number.
    pub(crate) fn session(&self, number: u64) -> Option<Arc<Session>> {
        lock(&self.sessions).get(&number).cloned()
    }

    /// Every session.
    pub(crate) fn sessions(&self) -> Vec<Arc<Session>> {
        lock(&self.sessions).values().cloned().collect()
    }

    /// How many sessions there are.
    pub(crate) fn count(&self) -> usize {
        lock(&self.sessions).len()
    }

    /// The way back to the server.
    pub(crate) fn orders(&self) -> &Orders {
        &self.orders
    }
}

fn event(name: u64) -> EpollEvent {
    EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLONESHOT, name)
}
