//! One session's socket: requests in as they arrive, replies out in whole frames.

use crate::control::Control;
use cloister_jail::guest::frame::{self, CONTROL, FrameError, Reader};
use cloister_jail::guest::message::{Reply, Request};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv, send};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Mutex;

/// How often a sender that cannot send looks whether the session has been closed, in milliseconds.
const LOOK: u16 = 200;

/// What arrived.
#[derive(Debug)]
pub struct Arrived {
    /// Requests in order, with their blobs.
    pub requests: Vec<(Request, Vec<u8>)>,
    /// The server has closed the socket, or sent something that is no request: no more will come.
    pub ended: bool,
}

/// The socket. It does not block.
#[derive(Debug)]
pub struct Channel {
    socket: OwnedFd,
    reader: Mutex<Reader>,
    /// Frames go out whole.
    writing: Mutex<()>,
}

impl Channel {
    /// Takes a connected stream socket.
    pub fn new(socket: OwnedFd) -> Result<Self, Errno> {
        use nix::fcntl::{FcntlArg, OFlag, fcntl};
        fcntl(&socket, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok(Self { socket, reader: Mutex::new(Reader::new(CONTROL)), writing: Mutex::new(()) })
    }

    /// Reads what is there.
    pub fn receive(&self) -> Arrived {
        let mut reader = crate::lock(&self.reader);
        let mut arrived = Arrived { requests: Vec::new(), ended: false };
        loop {
            let read = reader.fill(|room| recv(self.socket.as_raw_fd(), room, MsgFlags::MSG_DONTWAIT));
            match read {
                Ok(0) => arrived.ended = true,
                Ok(_) | Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return arrived,
                Err(_) => arrived.ended = true,
            }
            loop {
                match reader.take() {
                    Ok(Some(request)) => arrived.requests.push(request),
                    Ok(None) => break,
                    Err(_) => {
                        arrived.ended = true;
                        break;
                    }
                }
            }
            if arrived.ended {
                return arrived;
            }
        }
    }

    /// Sends bytes that are whole frames. A server that does not read makes the session wait; one that has gone ends the wait.
    pub fn send(&self, mut bytes: &[u8], control: &Control) {
        let _whole = crate::lock(&self.writing);
        while !bytes.is_empty() {
            match send(self.socket.as_raw_fd(), bytes, MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT) {
                Ok(sent) => bytes = bytes.get(sent..).unwrap_or_default(),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) if !control.is_closed() => {
                    let mut polls = [PollFd::new(self.socket.as_fd(), PollFlags::POLLOUT)];
                    // An error shows at the next send.
                    let _: Result<_, Errno> = poll(&mut polls, PollTimeout::from(LOOK));
                }
                // The server has gone, and with it whoever would read this.
                Err(_) => return,
            }
        }
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Appends a reply to `frames`.
pub fn append(frames: &mut Vec<u8>, reply: &Reply, blob: &[u8]) -> Result<(), FrameError> {
    frames.extend_from_slice(&frame::head(reply, blob.len(), CONTROL)?);
    frames.extend_from_slice(blob);
    Ok(())
}
