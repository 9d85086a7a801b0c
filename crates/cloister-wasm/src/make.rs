//! Orders that make, copy and evict sessions.

use crate::channel::Channel;
use crate::control::Control;
use crate::crew::Crew;
use crate::factory::FactoryError;
use crate::guest::Guest;
use crate::history::Rest;
use crate::orders::Arrived;
use crate::session::Session;
use cloister_jail::guest::engine::{EngineAnswer, EngineOrder, Refusal, Terms};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;

impl Crew {
    /// Does one order, and answers.
    pub(crate) fn order(&self, (order, fds): Arrived) {
        let mut fds = fds.into_iter();
        let (orders, fd) = (self.orders(), fds.next());
        match order {
            EngineOrder::Begin { .. } => {}
            EngineOrder::Open { session, terms } => {
                let Some(socket) = self.admit(session, fd) else { return };
                let control = Arc::new(Control::default());
                match self.factory.guest(&terms, Arc::clone(&control)) {
                    Ok(guest) => self.opened(session, terms, socket, control, guest, Rest::Fresh),
                    Err(error @ FactoryError::Full) => {
                        orders.refuse(session, Refusal::Full, error.to_string());
                    }
                    Err(error) => orders.refuse(session, Refusal::Failed, error.to_string()),
                }
            }
            EngineOrder::Fork { session, from } => {
                let Some(original) = self.session(from) else {
                    return orders.refuse(session, Refusal::Unknown, "there is no such session to copy");
                };
                let Some(socket) = self.admit(session, fd) else { return };
                let control = Arc::new(Control::default());
                match original.copied(&self.factory, Arc::clone(&control)) {
                    Ok(Some((guest, rest))) => {
                        let terms = original.terms.clone();
                        self.opened(session, terms, socket, control, guest, rest);
                    }
                    Ok(None) => {
                        let why =
                            "the session to copy is running a call; a copy can be made between two calls";
                        orders.refuse(session, Refusal::Busy, why);
                    }
                    Err(why) => orders.refuse(session, Refusal::Failed, why),
                }
            }
            EngineOrder::Evict { session } => {
                let (Some(file), Some(found)) = (fd, self.session(session)) else {
                    return orders.refuse(
                        session,
                        Refusal::Unknown,
                        "there is no such session, or no file came",
                    );
                };
                match found.evict(&self.factory, File::from(file)) {
                    Ok(Some(bytes)) => orders.answer(&EngineAnswer::Evicted { session, bytes }),
                    Ok(None) => {
                        let why = "the session is running a call, or keeps checkpoints";
                        orders.refuse(session, Refusal::Busy, why);
                    }
                    Err(error) => orders.refuse(session, Refusal::Failed, error.to_string()),
                }
            }
        }
    }

    /// The socket of a session that is to be made, if there is one and the engine has room for it; else it has been refused.
    fn admit(&self, session: u64, socket: Option<OwnedFd>) -> Option<OwnedFd> {
        if socket.is_none() {
            self.orders().refuse(session, Refusal::Failed, "no socket came");
        } else if self.count() >= self.sessions_max {
            self.orders().refuse(session, Refusal::Full, "the engine holds as many sessions as it may");
            return None;
        }
        socket
    }

    fn opened(
        &self,
        number: u64,
        terms: Terms,
        socket: OwnedFd,
        control: Arc<Control>,
        guest: Guest,
        rest: Rest,
    ) {
        let added = Channel::new(socket).and_then(|channel| {
            let channel = Arc::new(channel);
            // It is told to the server before its socket is listened to, so that its end is never told first.
            self.orders().answer(&EngineAnswer::Opened { session: number });
            let session = Session::new(number, terms, channel, control, guest);
            crate::lock(&session.history).rest = rest;
            // What is known of a copy's memory is memory as well, and counts from now on.
            session.settle(&mut crate::lock(&session.place));
            self.add(Arc::new(session))
        });
        if let Err(errno) = added {
            self.orders().refuse(number, Refusal::Failed, errno.to_string());
        }
    }
}
