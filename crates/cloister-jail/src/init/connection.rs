//! The control channel: one server at a time, which must know the nonce; what it has not read yet waits for the next one.

use crate::guest::frame::{self, CONTROL, Reader};
use crate::guest::message::{PROTOCOL, Reply, Request};
use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, recv, send, sendmsg};
use std::collections::VecDeque;
use std::io::IoSlice;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// Bytes that may wait for a slow server before guests are no longer read: their pipes fill, and they wait in turn.
pub(super) const QUEUE: usize = 16 << 20;

/// The channel's state.
#[derive(Debug)]
pub(super) struct Connection {
    nonce: String,
    stream: Option<Stream>,
    /// Whole frames; `sent` bytes of the first are out. A new connection gets the first from its start.
    queue: VecDeque<Vec<u8>>,
    sent: usize,
    queued: usize,
}

#[derive(Debug)]
struct Stream {
    fd: OwnedFd,
    reader: Reader,
    attached: bool,
}

/// What arrived.
#[derive(Debug)]
pub(super) enum Arrived {
    /// A server has proved itself.
    Attached {
        /// New life of the sandbox in milliseconds, or 0.
        ttl_ms: u64,
    },
    /// A request with its blob.
    Request(Request, Vec<u8>),
}

impl Connection {
    /// A channel without a server.
    pub(super) fn new(nonce: String) -> Self {
        Self { nonce, stream: None, queue: VecDeque::new(), sent: 0, queued: 0 }
    }

    /// Takes a new peer; an old one is dropped (a server that has restarted does not wait for its predecessor's timeout).
    pub(super) fn accept(&mut self, fd: OwnedFd) {
        self.disconnect();
        self.stream = Some(Stream { fd, reader: Reader::new(CONTROL), attached: false });
    }

    /// Whether a server is attached.
    pub(super) fn attached(&self) -> bool {
        self.stream.as_ref().is_some_and(|s| s.attached)
    }

    /// Whether guests may produce more.
    pub(super) fn has_room(&self) -> bool {
        self.queued < QUEUE
    }

    /// Descriptor and whether there is something to write.
    pub(super) fn interest(&self) -> Option<(RawFd, bool)> {
        self.stream.as_ref().map(|s| (s.fd.as_raw_fd(), s.attached && !self.queue.is_empty()))
    }

    /// Forgets the peer.
    pub(super) fn disconnect(&mut self) {
        self.stream = None;
        self.sent = 0;
    }

    /// Queues a frame for the server.
    pub(super) fn send(&mut self, reply: &Reply, blob: &[u8]) {
        // A reply that cannot be encoded is a bug in its making, never a guest's doing: there is nobody to tell.
        if let Ok(bytes) = frame::encode(reply, blob) {
            self.queued += bytes.len();
            self.queue.push_back(bytes);
        }
    }

    /// Writes what the socket takes.
    pub(super) fn flush(&mut self) {
        loop {
            let Some(stream) = self.stream.as_ref().filter(|s| s.attached) else { return };
            let Some(frame) = self.queue.front() else { return };
            let rest = frame.get(self.sent..).unwrap_or_default();
            match send(stream.fd.as_raw_fd(), rest, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL) {
                Ok(n) if n == rest.len() => {
                    self.queued -= frame.len();
                    self.queue.pop_front();
                    self.sent = 0;
                }
                Ok(n) => self.sent += n,
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return,
                Err(_) => return self.disconnect(),
            }
        }
    }

    /// Reads once and yields what is whole. A peer that breaks the protocol or the nonce is dropped.
    pub(super) fn receive(&mut self) -> Vec<Arrived> {
        let mut arrived = Vec::new();
        let Some(stream) = self.stream.as_mut() else { return arrived };
        let mut buffer = vec![0u8; 256 * 1024];
        match recv(stream.fd.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
            Err(Errno::EAGAIN | Errno::EINTR) => return arrived,
            Ok(0) | Err(_) => {
                self.disconnect();
                return arrived;
            }
            Ok(n) => stream.reader.push(buffer.get(..n).unwrap_or_default()),
        }
        loop {
            match stream.reader.take::<Request>() {
                Ok(None) => return arrived,
                Ok(Some((Request::Attach { nonce, ttl_ms }, _))) if same(&nonce, &self.nonce) => {
                    stream.attached = true;
                    arrived.push(Arrived::Attached { ttl_ms });
                }
                Ok(Some((request, blob)))
                    if stream.attached && !matches!(request, Request::Attach { .. }) =>
                {
                    arrived.push(Arrived::Request(request, blob));
                }
                _ => {
                    self.disconnect();
                    return arrived;
                }
            }
        }
    }

    /// Greets a server that has attached, ahead of everything that waits, with the proxy's listener if there is one.
    pub(super) fn hello(
        &mut self,
        walls: std::collections::BTreeMap<String, String>,
        proxy: Option<&TcpListener>,
    ) {
        let Some(stream) = &self.stream else { return };
        let hello = Reply::Hello { protocol: PROTOCOL, walls, proxy: proxy.is_some() };
        let Ok(bytes) = frame::encode(&hello, b"") else { return };
        let rights: Vec<RawFd> = proxy.iter().map(|l| l.as_raw_fd()).collect();
        let control = [ControlMessage::ScmRights(&rights)];
        let control: &[ControlMessage<'_>] = if rights.is_empty() { &[] } else { &control };
        // A few hundred bytes into an empty socket buffer: they fit whole, or the peer is gone.
        let sent = sendmsg::<()>(
            stream.fd.as_raw_fd(),
            &[IoSlice::new(&bytes)],
            control,
            MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL,
            None,
        );
        if sent != Ok(bytes.len()) {
            self.disconnect();
        }
    }
}

/// Compares in constant time.
fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |acc, (x, y)| acc | (x ^ y)) == 0
}
