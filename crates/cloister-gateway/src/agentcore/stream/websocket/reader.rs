//! What a client sends: frames, put together to messages that are held in the session's budget byte by byte as they come.
//!
//! A header that announces a large message costs nothing; its bytes do. Both methods may be dropped at any time and called again.

use super::{BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, code};
use bytes::{Buf as _, BytesMut};
use cloister_core::browser::cdp::FROM_CLIENT_MAX;
use cloister_core::browser::{Budget, Held, Text};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// What one read asks for, and all that is kept of what has not been looked at.
const CHUNK: usize = 64 * 1024;
/// Longest payload of a control frame (RFC 6455, section 5.5).
const CONTROL: u64 = 125;

/// What has come.
#[derive(Debug, PartialEq)]
pub(in crate::agentcore::stream) enum Came {
    /// One whole message.
    Text(Text),
    /// Wants its payload back.
    Ping(Vec<u8>),
    /// The client goes.
    Close,
}

/// Why nothing more comes.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::agentcore::stream) enum Broken {
    /// The connection is over.
    Left,
    /// The client is to be told this.
    Close(u16, String),
}

/// A frame whose payload is on its way.
struct Frame {
    opcode: u8,
    last: bool,
    mask: [u8; 4],
    /// Bytes of the payload that have been taken, and that are to come.
    taken: usize,
    left: u64,
}

/// The reading half.
pub(in crate::agentcore::stream) struct Reader<R> {
    io: R,
    buffer: BytesMut,
    frame: Option<Frame>,
    /// The frames of a message so far.
    message: Option<Vec<u8>>,
    held: Held,
    control: Vec<u8>,
    /// Nothing is kept any more but what closes.
    deaf: bool,
    /// The client has closed its side.
    closed: bool,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    pub(in crate::agentcore::stream) fn new(io: R, budget: &Budget) -> Self {
        let (buffer, held) = (BytesMut::with_capacity(CHUNK), budget.none());
        Self { io, buffer, frame: None, message: None, held, control: Vec::new(), deaf: false, closed: false }
    }

    /// The next thing of interest.
    pub(in crate::agentcore::stream) async fn next(&mut self) -> Result<Came, Broken> {
        loop {
            if let Some(came) = self.parse()? {
                return Ok(came);
            }
            self.fill().await?;
        }
    }

    /// Reads until the client closes its side, and keeps nothing of it.
    pub(in crate::agentcore::stream) async fn until_closed(&mut self) {
        self.deaf = true;
        self.message = None;
        drop(self.held.take());
        while !self.closed && self.next().await.is_ok() {}
    }

    async fn fill(&mut self) -> Result<(), Broken> {
        // All of it has been looked at but the beginning of a header.
        self.buffer.reserve(CHUNK);
        let mut limited = (&mut self.io).take(CHUNK as u64);
        match limited.read_buf(&mut self.buffer).await {
            Ok(0) => Err(Broken::Left),
            Ok(_) => Ok(()),
            Err(error) => Err(gone(&error)),
        }
    }

    /// Takes what is there.
    fn parse(&mut self) -> Result<Option<Came>, Broken> {
        loop {
            if self.frame.is_none() {
                let Some(frame) = self.header()? else { return Ok(None) };
                // Before it is judged: a payload that is refused is read past all the same.
                let judged = self.begins(&frame);
                self.frame = Some(frame);
                judged?;
            }
            let Some(frame) = &mut self.frame else { return Ok(None) };
            let here = usize::try_from(frame.left).unwrap_or(usize::MAX).min(self.buffer.len());
            let payload = &mut self.buffer[..here];
            for (at, byte) in payload.iter_mut().enumerate() {
                *byte ^= frame.mask[(frame.taken + at) & 3];
            }
            if is_control(frame.opcode) {
                self.control.extend_from_slice(payload);
            } else if let Some(message) = self.message.as_mut().filter(|_| !self.deaf) {
                if let Err(exhausted) = self.held.grow(here) {
                    return Err(Broken::Close(code::AGAIN_LATER, exhausted.to_string()));
                }
                message.extend_from_slice(payload);
            }
            frame.taken += here;
            frame.left -= here as u64;
            self.buffer.advance(here);
            if frame.left > 0 {
                return Ok(None);
            }
            let Some(frame) = self.frame.take() else { return Ok(None) };
            if let Some(came) = self.whole(&frame)? {
                return Ok(Some(came));
            }
        }
    }

    /// The header at the beginning of the buffer, if it is there to its end.
    fn header(&mut self) -> Result<Option<Frame>, Broken> {
        let bytes = &self.buffer[..];
        let (&[first, second], rest) = match bytes.split_first_chunk() {
            Some(split) => split,
            None => return Ok(None),
        };
        let (extra, short) = match second & 0x7f {
            126 => (2, 0),
            127 => (8, 0),
            length => (0, length),
        };
        if rest.len() < extra + 4 {
            return Ok(None);
        }
        let left = rest[..extra].iter().fold(u64::from(short), |length, byte| length << 8 | u64::from(*byte));
        let mask = [rest[extra], rest[extra + 1], rest[extra + 2], rest[extra + 3]];
        let frame = Frame { opcode: first & 0x0f, last: first & 0x80 != 0, mask, taken: 0, left };
        if first & 0x70 != 0 || second & 0x80 == 0 {
            return Err(protocol("a frame has bits that were not agreed on, or no mask"));
        }
        self.buffer.advance(2 + extra + 4);
        Ok(Some(frame))
    }

    /// Whether this frame may come now.
    fn begins(&mut self, frame: &Frame) -> Result<(), Broken> {
        let before = match frame.opcode {
            CLOSE | PING | PONG if frame.last && frame.left <= CONTROL => {
                self.control.clear();
                return Ok(());
            }
            _ if self.deaf => return Ok(()),
            TEXT if self.message.is_none() => self.message.insert(Vec::new()).len(),
            CONTINUATION if self.message.is_some() => self.message.as_ref().map_or(0, Vec::len),
            BINARY => return Err(Broken::Close(code::UNSUPPORTED, "CDP messages are text".into())),
            _ => return Err(protocol("a frame that may not come here")),
        };
        if frame.left > (FROM_CLIENT_MAX - before) as u64 {
            let reason = format!("a message may have {} MiB", FROM_CLIENT_MAX >> 20);
            return Err(Broken::Close(code::SIZE, reason));
        }
        Ok(())
    }

    /// What a frame that is there to its end means.
    fn whole(&mut self, frame: &Frame) -> Result<Option<Came>, Broken> {
        match frame.opcode {
            CLOSE => {
                self.closed = true;
                Ok(Some(Came::Close))
            }
            PING => Ok(Some(Came::Ping(std::mem::take(&mut self.control)))),
            PONG => Ok(None),
            _ if !frame.last => Ok(None),
            _ => {
                let Some(message) = self.message.take() else { return Ok(None) };
                let text = String::from_utf8(message)
                    .map_err(|_| Broken::Close(code::INVALID, "CDP messages are UTF-8".into()))?;
                Ok(Some(Came::Text(Text { text, held: self.held.take() })))
            }
        }
    }
}

fn is_control(opcode: u8) -> bool {
    opcode & 0x8 != 0
}

fn protocol(what: &str) -> Broken {
    Broken::Close(code::PROTOCOL, what.to_owned())
}

fn gone(error: &io::Error) -> Broken {
    tracing::debug!(%error, "a CDP client's connection broke");
    Broken::Left
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASK: [u8; 4] = [1, 2, 3, 4];

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first];
        match payload.len() {
            length @ 0..126 => bytes.push(0x80 | length as u8),
            length @ 126..65536 => {
                bytes.push(0x80 | 126);
                bytes.extend_from_slice(&(length as u16).to_be_bytes());
            }
            length => {
                bytes.push(0x80 | 127);
                bytes.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        bytes.extend_from_slice(&MASK);
        bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        bytes
    }

    async fn all(bytes: &[u8], budget: &Budget) -> (Vec<Came>, Broken) {
        let mut reader = Reader::new(bytes, budget);
        let mut came = Vec::new();
        loop {
            match reader.next().await {
                Ok(next) => came.push(next),
                Err(broken) => return (came, broken),
            }
        }
    }

    fn text(text: &str) -> Came {
        Came::Text(text.to_owned().into())
    }

    #[tokio::test]
    async fn messages_come_whole_in_one_frame_or_in_many_with_a_ping_between() {
        let budget = Budget::new(1 << 20);
        let long = "ü".repeat(40_000);
        let stream = [
            frame(0x81, b"short"),
            frame(0x81, long.as_bytes()),
            frame(0x01, b"in "),
            frame(0x89, b"there?"),
            frame(0x00, b"three "),
            frame(0x80, b"frames"),
            frame(0x8a, b""),
            frame(0x88, b""),
        ]
        .concat();
        let (came, _) = all(&stream, &budget).await;
        let wanted = vec![
            text("short"),
            text(&long),
            Came::Ping(b"there?".to_vec()),
            text("in three frames"),
            Came::Close,
        ];
        assert_eq!(came, wanted);
        assert_eq!(budget.used(), long.len() + 5 + 15, "held until the messages go");
        drop(came);
        assert_eq!(budget.used(), 0);
    }

    #[tokio::test]
    async fn a_message_is_given_up_when_the_budget_is_and_not_before_it_has_come() {
        let budget = Budget::new(1000);
        let announced = &frame(0x81, &[b'x'; 2000])[..8];
        assert_eq!(all(announced, &budget).await, (vec![], Broken::Left), "a header costs nothing");
        let (came, broken) = all(&frame(0x81, &[b'x'; 2000]), &budget).await;
        assert!(
            came.is_empty() && matches!(&broken, Broken::Close(1013, why) if why.contains("1000")),
            "{broken:?}"
        );
        assert_eq!(budget.used(), 0, "nothing is held of it");
    }

    #[tokio::test]
    async fn frames_that_may_not_come_are_named_with_their_code() {
        let budget = Budget::new(1 << 20);
        let huge = [&[0x81, 0xff], &(FROM_CLIENT_MAX as u64 + 1).to_be_bytes()[..], &MASK].concat();
        for (bytes, wanted) in [
            (huge, 1009),
            (frame(0x82, b"x"), 1003),
            (frame(0x81, b"\xff"), 1007),
            (vec![0x81, 1, 0, 0, 0, 0, 0], 1002),
            (frame(0xc1, b"x"), 1002),
            (frame(0x80, b"x"), 1002),
            (frame(0x09, b"x"), 1002),
            (frame(0x89, &[0; 126]), 1002),
            (frame(0x83, b"x"), 1002),
            ([frame(0x01, b"x"), frame(0x81, b"y")].concat(), 1002),
        ] {
            let (_, broken) = all(&bytes, &budget).await;
            assert!(matches!(broken, Broken::Close(code, _) if code == wanted), "{bytes:?}: {broken:?}");
        }
    }

    #[tokio::test]
    async fn a_client_that_is_told_to_go_is_read_to_its_close_and_nothing_of_it_is_kept() {
        let budget = Budget::new(10);
        let stream =
            [frame(0x01, b"12345"), frame(0x80, &[b'x'; 70_000]), frame(0x82, b"x"), frame(0x88, b"")]
                .concat();
        let mut reader = Reader::new(&stream[..], &budget);
        assert!(matches!(reader.next().await, Err(Broken::Close(1013, _))));
        reader.until_closed().await;
        assert_eq!((budget.used(), reader.buffer.len()), (0, 0));
    }
}
