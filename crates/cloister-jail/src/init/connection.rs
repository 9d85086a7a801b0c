//! The control channel: one server at a time, which must know the nonce; what it has not read yet waits for the next one.

use crate::guest::frame::{self, CONTROL, Caps, Reader};
use crate::guest::message::{Handed, PROTOCOL, Reply, Report, Request, ToolResult};
use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, recv, send, sendmsg};
use std::collections::VecDeque;
use std::io::IoSlice;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// Bytes that may wait for a slow server before guests are no longer read: their pipes fill, and they wait in turn.
pub(super) const QUEUE: usize = 16 << 20;

/// What somebody may send who has not shown the nonce: room for showing it.
const GREETING: Caps = Caps { json: 4096, blob: 0 };

/// The channel's state.
#[derive(Debug)]
pub(super) struct Connection {
    nonce: String,
    stream: Option<Stream>,
    /// A peer that has not proved itself. It takes nobody's place before it has (CTL-07).
    candidate: Option<Stream>,
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

impl Stream {
    /// Reads once; false if the peer is gone or is not one.
    fn receive(&mut self, nonce: &str, arrived: &mut Vec<Arrived>) -> bool {
        let fd = self.fd.as_raw_fd();
        match self.reader.fill(|room| recv(fd, room, MsgFlags::MSG_DONTWAIT)) {
            Err(Errno::EAGAIN | Errno::EINTR) => return true,
            Ok(0) | Err(_) => return false,
            Ok(_) => {}
        }
        loop {
            match self.reader.take::<Request>() {
                Ok(None) => return true,
                Ok(Some((Request::Attach { nonce: given, ttl_ms }, _))) if same(&given, nonce) => {
                    // One that is attached only changes the life; a greeting could fall into the middle of a frame.
                    if !std::mem::replace(&mut self.attached, true) {
                        self.reader.trust(CONTROL);
                        arrived.push(Arrived::Attached);
                    }
                    if ttl_ms > 0 {
                        arrived.push(Arrived::Life { ttl_ms });
                    }
                }
                Ok(Some((request, blob))) if self.attached && !matches!(request, Request::Attach { .. }) => {
                    arrived.push(Arrived::Request(request, blob));
                }
                _ => return false,
            }
        }
    }
}

/// What arrived.
#[derive(Debug)]
pub(super) enum Arrived {
    /// A server has proved itself, and is to be greeted.
    Attached,
    /// The sandbox has a new life.
    Life {
        /// In milliseconds.
        ttl_ms: u64,
    },
    /// A request with its blob.
    Request(Request, Vec<u8>),
}

impl Connection {
    /// A channel without a server.
    pub(super) fn new(nonce: String) -> Self {
        Self { nonce, stream: None, candidate: None, queue: VecDeque::new(), sent: 0, queued: 0 }
    }

    /// Takes a new peer. When it proves itself, the old one is dropped: a server that has restarted does not wait for its
    /// predecessor's timeout.
    pub(super) fn accept(&mut self, fd: OwnedFd) {
        self.candidate = Some(Stream { fd, reader: Reader::new(GREETING), attached: false });
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

    /// Descriptor of a peer that has not proved itself.
    pub(super) fn candidate(&self) -> Option<RawFd> {
        self.candidate.as_ref().map(|s| s.fd.as_raw_fd())
    }

    /// Forgets the peer.
    pub(super) fn disconnect(&mut self) {
        self.stream = None;
        self.sent = 0;
    }

    /// Queues a frame for the server.
    pub(super) fn send(&mut self, reply: &Reply, blob: &[u8]) {
        let Ok(mut bytes) = frame::head(reply, blob.len(), CONTROL) else { return self.send_short(reply) };
        bytes.extend_from_slice(blob);
        self.queued += bytes.len();
        self.queue.push_back(bytes);
    }

    /// The end of an answer that would be too long for the channel, which it would close. Whoever makes answers keeps them short;
    /// this is for what nobody thought of.
    fn send_short(&mut self, reply: &Reply) {
        let message = "the answer is too long; ask for less at once".to_owned();
        match reply {
            Reply::File { id, path, .. } => {
                let path = path.chars().take(200).collect();
                self.send(&Reply::File { id: id.clone(), path, error: Some(message) }, b"");
            }
            Reply::Done { id, .. } => {
                self.send(&Reply::Done { id: id.clone(), result: ToolResult::Failed { message } }, b"");
            }
            Reply::Executed { id, report } => {
                let (exit_code, ended, state_lost) = (report.exit_code, report.ended, report.state_lost);
                let report =
                    Report { exit_code, ended, state_lost, files_truncated: true, ..Report::default() };
                self.send(&Reply::Executed { id: id.clone(), report }, b"");
            }
            // What a driver shows has come through a channel with the same limits.
            _ => {}
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

    /// Reads once from the server and yields what is whole. A peer that breaks the protocol is dropped.
    pub(super) fn receive(&mut self) -> Vec<Arrived> {
        let mut arrived = Vec::new();
        if self.stream.as_mut().is_some_and(|stream| !stream.receive(&self.nonce, &mut arrived)) {
            self.disconnect();
        }
        arrived
    }

    /// The same for a peer that has yet to prove itself.
    pub(super) fn receive_candidate(&mut self) -> Vec<Arrived> {
        let mut arrived = Vec::new();
        let Some(mut candidate) = self.candidate.take() else { return arrived };
        let sound = candidate.receive(&self.nonce, &mut arrived);
        match (sound, candidate.attached) {
            (true, true) => {
                self.disconnect();
                self.stream = Some(candidate);
            }
            (true, false) => self.candidate = Some(candidate),
            (false, _) => arrived.clear(),
        }
        arrived
    }

    /// Greets a server that has attached, ahead of everything that waits, and hands it descriptors.
    pub(super) fn hello(
        &mut self,
        walls: std::collections::BTreeMap<String, String>,
        handed: Vec<(Handed, RawFd)>,
    ) {
        let Some(stream) = &self.stream else { return };
        let (handed, rights): (Vec<Handed>, Vec<RawFd>) = handed.into_iter().unzip();
        let hello = Reply::Hello { protocol: PROTOCOL, walls, handed };
        let Ok(bytes) = frame::encode(&hello, b"") else { return };
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

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    fn attach(nonce: &str, ttl_ms: u64) -> Vec<u8> {
        frame::encode(&Request::Attach { nonce: nonce.into(), ttl_ms }, b"").unwrap()
    }

    /// A connection with a peer that has said `words`.
    fn peer(connection: &mut Connection, words: &[u8]) -> UnixStream {
        let pair = socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC).unwrap();
        connection.accept(pair.0);
        let mut peer = UnixStream::from(pair.1);
        peer.write_all(words).unwrap();
        peer
    }

    #[test]
    fn a_peer_takes_the_servers_place_only_when_it_knows_the_nonce() {
        let mut connection = Connection::new("secret".into());
        let _server = peer(&mut connection, &attach("secret", 5));
        assert!(matches!(
            connection.receive_candidate()[..],
            [Arrived::Attached, Arrived::Life { ttl_ms: 5 }]
        ));
        let large = frame::encode(&Request::Warm, &[0; 8]).unwrap();
        for words in [attach("secreT", 0), attach("", 0), large, attach(&"x".repeat(5000), 0)] {
            let _stranger = peer(&mut connection, &words);
            assert!(connection.receive_candidate().is_empty() && connection.candidate().is_none());
            assert!(connection.attached());
        }
    }

    #[test]
    fn a_server_that_renews_the_life_is_not_greeted_into_the_middle_of_a_frame() {
        let mut connection = Connection::new("secret".into());
        let mut server = peer(&mut connection, &attach("secret", 0));
        assert!(matches!(connection.receive_candidate()[..], [Arrived::Attached]));
        server.write_all(&attach("secret", 7)).unwrap();
        assert!(matches!(connection.receive()[..], [Arrived::Life { ttl_ms: 7 }]));
    }

    #[test]
    fn an_answer_that_is_too_long_becomes_a_short_one() {
        let mut connection = Connection::new("secret".into());
        let mut server = peer(&mut connection, &attach("secret", 0));
        connection.receive_candidate();
        let message = "x".repeat(CONTROL.json);
        connection.send(
            &Reply::Done { id: "1".into(), result: ToolResult::Failed { message: message.clone() } },
            b"",
        );
        connection.send(&Reply::File { id: "2".into(), path: message.clone(), error: None }, b"content");
        let report = Report { exit_code: 9, error: Some((message.clone(), message)), ..Report::default() };
        connection.send(&Reply::Executed { id: "3".into(), report }, b"");
        connection.flush();
        drop(connection);
        let mut reader = Reader::new(CONTROL);
        let mut bytes = Vec::new();
        server.read_to_end(&mut bytes).unwrap();
        reader.push(&bytes);
        let mut next = || reader.take::<Reply>().unwrap().unwrap().0;
        assert!(matches!(next(), Reply::Done { id, result: ToolResult::Failed { .. } } if id == "1"));
        assert!(matches!(next(), Reply::File { id, error: Some(_), .. } if id == "2"));
        assert!(matches!(next(), Reply::Executed { id, report } if id == "3" && report.exit_code == 9));
    }
}
