//! What a client is sent: one frame per message, written from where the message lies.

use cloister_core::browser::Held;
use std::io;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

/// Payloads up to this size leave with their header, in one write and one packet.
const TOGETHER: usize = 8 * 1024;
/// Longest reason of a close frame (RFC 6455, section 5.5: 125 bytes with the code).
const REASON: usize = 123;

/// The writing half. A send that is dropped is finished by the next one: half a frame would spoil all that follow.
pub(in crate::agentcore::stream) struct Writer<W> {
    io: W,
    head: Vec<u8>,
    payload: Vec<u8>,
    /// Goes when the payload has been written.
    held: Held,
    written: usize,
}

impl<W: AsyncWrite + Unpin> Writer<W> {
    pub(in crate::agentcore::stream) fn new(io: W) -> Self {
        Self { io, head: Vec::new(), payload: Vec::new(), held: Held::default(), written: 0 }
    }

    /// Sends one frame.
    pub(in crate::agentcore::stream) async fn send(
        &mut self,
        opcode: u8,
        payload: Vec<u8>,
        held: Held,
    ) -> io::Result<()> {
        self.finish().await?;
        self.head.clear();
        self.head.push(0x80 | opcode);
        // A server's frames have no mask.
        match payload.len() {
            length @ 0..126 => self.head.extend(u8::try_from(length)),
            length => match u16::try_from(length) {
                Ok(length) => {
                    self.head.push(126);
                    self.head.extend_from_slice(&length.to_be_bytes());
                }
                Err(_) => {
                    self.head.push(127);
                    self.head.extend_from_slice(&(length as u64).to_be_bytes());
                }
            },
        }
        (self.payload, self.held, self.written) = (payload, held, 0);
        if self.payload.len() <= TOGETHER {
            self.head.append(&mut self.payload);
        }
        self.finish().await
    }

    /// Sends why the connection ends.
    pub(in crate::agentcore::stream) async fn close(&mut self, code: u16, reason: &str) -> io::Result<()> {
        let payload = [&code.to_be_bytes(), fitting(reason).as_bytes()].concat();
        self.send(super::CLOSE, payload, Held::default()).await
    }

    async fn finish(&mut self) -> io::Result<()> {
        while self.written < self.head.len() + self.payload.len() {
            let rest = match self.written.checked_sub(self.head.len()) {
                None => &self.head[self.written..],
                Some(at) => &self.payload[at..],
            };
            match self.io.write(rest).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => self.written += written,
            }
        }
        self.head.clear();
        self.payload = Vec::new();
        self.written = 0;
        self.held = Held::default();
        self.io.flush().await
    }
}

/// As much of a reason as a close frame takes, cut between characters.
fn fitting(reason: &str) -> &str {
    let mut end = reason.len().min(REASON);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    &reason[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_core::browser::Budget;
    use tokio::io::AsyncReadExt as _;

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        assert_eq!(fitting(&"é".repeat(100)), "é".repeat(61));
        assert_eq!(fitting("short"), "short");
    }

    #[tokio::test]
    async fn lengths_are_written_as_the_standard_wants_them() {
        for (length, header) in [
            (0, &[0x81, 0][..]),
            (125, &[0x81, 125]),
            (126, &[0x81, 126, 0, 126]),
            (65_535, &[0x81, 126, 255, 255]),
            (65_536, &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let mut out = Vec::new();
            Writer::new(&mut out)
                .send(super::super::TEXT, vec![b'x'; length], Held::default())
                .await
                .unwrap();
            assert!(out.starts_with(header) && out.len() == header.len() + length, "{length}");
        }
    }

    #[tokio::test]
    async fn a_message_that_was_cut_off_is_finished_before_the_next_and_held_until_then() {
        let (mut near, far) = tokio::io::duplex(1000);
        let budget = Budget::new(1 << 20);
        let mut writer = Writer::new(far);
        let held = budget.hold(20_000).unwrap();
        tokio::select! {
            biased;
            _ = writer.send(super::super::TEXT, vec![b'x'; 20_000], held) => panic!("nobody reads"),
            () = tokio::task::yield_now() => {}
        }
        assert_eq!(budget.used(), 20_000);
        let closing = tokio::spawn(async move { writer.close(1000, "bye").await });
        let mut seen = Vec::new();
        near.read_to_end(&mut seen).await.unwrap();
        closing.await.unwrap().unwrap();
        assert_eq!(budget.used(), 0);
        assert_eq!(seen.len(), 4 + 20_000 + 2 + 2 + 3);
        assert!(seen.ends_with(&[0x88, 5, 3, 232, b'b', b'y', b'e']));
    }
}
