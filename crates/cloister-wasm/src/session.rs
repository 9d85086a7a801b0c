//! One session: requests in the order in which they came, one at a time, run by whichever thread has taken it.
//!
//! ```text
//!   socket readable ─▶ receive ─┬─ Interrupt, Shutdown, end ─▶ Control (at once, whatever runs)
//!                               └─ everything else ─▶ queue ─▶ work: execute.rs, tools.rs ─▶ replies
//! ```

use crate::channel::Channel;
use crate::control::Control;
use crate::factory::Factory;
use crate::guest::Guest;
use crate::history::History;
use crate::lock;
use cloister_jail::guest::engine::Terms;
use cloister_jail::guest::message::Request;
use std::collections::VecDeque;
use std::fs::File;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Requests that may wait. The server sends one call at a time and a few file requests beside it.
const QUEUE: usize = 64;

/// Where a session's state is.
#[derive(Debug)]
pub enum Place {
    /// In memory.
    Live(Box<Guest>),
    /// In a file; the next request brings it back.
    Evicted(File),
    /// Nowhere: bringing it back has failed, or the session is closed.
    Gone(String),
}

/// What is asked of a session and has not been done.
#[derive(Debug, Default)]
struct Inbox {
    queue: VecDeque<(Request, Vec<u8>)>,
    /// A thread works on the queue, or the session stands in line for one.
    taken: bool,
}

/// What is to be done about a session after something has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing, or somebody is at it.
    Nothing,
    /// It has work, and nobody is at it: whoever sees this is.
    Work,
    /// It is closed, and nobody is at it: it can be removed.
    Remove,
}

/// Since when a session is at rest.
#[derive(Debug)]
struct Idle {
    since: Instant,
    used: bool,
    trimmed: bool,
}

/// A session.
#[derive(Debug)]
pub struct Session {
    /// The server's number.
    pub number: u64,
    /// What it may do.
    pub terms: Terms,
    /// What may happen to it from outside.
    pub control: Arc<Control>,
    /// Its socket.
    pub channel: Arc<Channel>,
    inbox: Mutex<Inbox>,
    idle: Mutex<Idle>,
    pub(crate) place: Mutex<Place>,
    pub(crate) history: Mutex<History>,
}

impl Session {
    /// A session around a guest that is at rest.
    pub fn new(
        number: u64,
        terms: Terms,
        channel: Arc<Channel>,
        control: Arc<Control>,
        guest: Guest,
    ) -> Self {
        Self {
            number,
            terms,
            control,
            channel,
            inbox: Mutex::default(),
            idle: Mutex::new(Idle { since: Instant::now(), used: false, trimmed: false }),
            place: Mutex::new(Place::Live(Box::new(guest))),
            history: Mutex::default(),
        }
    }

    /// Takes what has arrived on its socket.
    pub fn receive(&self) -> Next {
        // Held while reading, so that two threads cannot swap the order of requests.
        let mut inbox = lock(&self.inbox);
        let arrived = self.channel.receive();
        for (request, blob) in arrived.requests {
            match request {
                Request::Interrupt => self.control.interrupt(),
                Request::Shutdown => self.control.close(),
                request => inbox.queue.push_back((request, blob)),
            }
        }
        if arrived.ended || inbox.queue.len() > QUEUE {
            self.control.close();
        }
        if inbox.taken {
            return Next::Nothing;
        }
        inbox.taken = self.control.is_closed() || !inbox.queue.is_empty();
        match (self.control.is_closed(), inbox.taken) {
            (true, _) => Next::Remove,
            (false, true) => Next::Work,
            (false, false) => Next::Nothing,
        }
    }

    /// Works on the queue until it is empty. The caller has been told [`Next::Work`].
    pub fn work(&self, factory: &Factory) -> Next {
        loop {
            let next = {
                let mut inbox = lock(&self.inbox);
                if self.control.is_closed() {
                    return Next::Remove;
                }
                let next = inbox.queue.pop_front();
                inbox.taken = next.is_some();
                next
            };
            let Some((request, blob)) = next else {
                *lock(&self.idle) = Idle { since: Instant::now(), used: true, trimmed: false };
                return Next::Nothing;
            };
            self.request(factory, request, blob);
        }
    }

    /// Whether anything has been asked of it yet.
    pub(crate) fn is_used(&self) -> bool {
        lock(&self.idle).used
    }

    /// Gives back the pages that it has written to and left as they were, once, if it has been at rest for so long.
    pub(crate) fn trim(&self, factory: &Factory, at_rest: Duration) {
        {
            let idle = lock(&self.idle);
            if idle.trimmed || idle.since.elapsed() < at_rest {
                return;
            }
        }
        let Ok(mut place) = self.place.try_lock() else { return };
        if let Place::Live(guest) = &mut *place
            && factory.trim(guest).is_ok()
        {
            lock(&self.idle).trimmed = true;
        }
    }
}
