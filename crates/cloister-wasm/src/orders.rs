//! The engine's own socket: orders of the server in, answers out.

use cloister_jail::fdpass;
use cloister_jail::guest::engine::{EngineAnswer, EngineOrder, Refusal};
use nix::errno::Errno;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Mutex;

/// The socket.
#[derive(Debug)]
pub struct Orders {
    socket: OwnedFd,
    sending: Mutex<()>,
}

/// An order with what came with it.
pub type Arrived = (EngineOrder, Vec<OwnedFd>);

impl Orders {
    /// Takes descriptor 3, which init has put there.
    pub fn new(socket: OwnedFd) -> Self {
        Self { socket, sending: Mutex::new(()) }
    }

    /// The next order. `None` when the server has gone: sessions are nothing without it.
    pub fn receive(&self) -> io::Result<Option<Arrived>> {
        Ok(fdpass::receive(&self.socket)?)
    }

    /// Answers. A server that has gone shows at the next [`Self::receive`].
    pub fn answer(&self, answer: &EngineAnswer) {
        let _one = crate::lock(&self.sending);
        let _: Result<(), Errno> = fdpass::send(&self.socket, answer, &[]);
    }

    /// Says that an order was not carried out.
    pub fn refuse(&self, session: u64, reason: Refusal, why: impl Into<String>) {
        self.answer(&EngineAnswer::Refused { session, reason, why: why.into() });
    }

    /// Says that a session is gone.
    pub fn closed(&self, session: u64) {
        self.answer(&EngineAnswer::Closed { session });
    }
}

impl AsFd for Orders {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
