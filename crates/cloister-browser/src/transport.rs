//! The debugging pipe: JSON messages, each ended by NUL, over two descriptors.
//!
//! ```text
//!   queue (bounded) ──▶ write() ──▶ descriptor 3          descriptor 4 ──▶ Splitter ──▶ read(): one message per call of `deliver`
//! ```

use crate::envelope::{self, Lost};
use cloister_core::browser::Held;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// Messages that may wait for Chromium.
pub(crate) const QUEUE: usize = 32;

/// A message that waits, with the room that its bytes take until they are written.
pub(crate) struct Queued {
    pub(crate) bytes: Vec<u8>,
    pub(crate) room: Option<OwnedSemaphorePermit>,
    /// What it holds of the session's budget.
    pub(crate) held: Held,
}

/// What the reader gives.
#[derive(Debug)]
pub(crate) enum Read {
    /// A message, with what it holds of the session's budget.
    Message(Vec<u8>, Held),
    /// A message for which there was no budget. What it was is known from its ends; nothing else of it was kept.
    Lost(Lost),
}

/// What one read asks for.
const CHUNK: usize = 256 * 1024;

/// Writes what the queue brings until every sender is gone or the pipe breaks.
pub(crate) async fn write(mut pipe: pipe::Sender, mut queue: mpsc::Receiver<Queued>) -> io::Result<()> {
    let (mut batch, mut taken) = (Vec::new(), Vec::new());
    while let Some(mut next) = queue.recv().await {
        loop {
            // A large message is written from where it lies: a copy would be counted nowhere.
            if next.bytes.len() >= CHUNK {
                pipe.write_all(&batch).await?;
                batch.clear();
                pipe.write_all(&next.bytes).await?;
            } else {
                batch.extend_from_slice(&next.bytes);
            }
            batch.push(0);
            taken.push((next.room, next.held));
            // What is waiting already goes with it: one system call, one wake-up of Chromium's reader.
            match queue.try_recv() {
                Ok(more) if batch.len() < CHUNK => next = more,
                Ok(more) => {
                    pipe.write_all(&batch).await?;
                    batch.clear();
                    taken.clear();
                    next = more;
                }
                Err(_) => break,
            }
        }
        pipe.write_all(&batch).await?;
        batch.clear();
        taken.clear();
    }
    Ok(())
}

/// Reads messages until the pipe ends, and says why it ended. `max` bounds the memory that one message can take; `held`, which
/// grows with the message, what all of a session's can.
pub(crate) async fn read(
    mut pipe: pipe::Receiver,
    max: usize,
    mut held: Held,
    mut deliver: impl FnMut(Read),
) -> String {
    let mut splitter = Splitter::default();
    let mut skipped: Option<Skipped> = None;
    loop {
        splitter.buffer.reserve(CHUNK);
        match pipe.read_buf(&mut splitter.buffer).await {
            Ok(0) => return "its debugging pipe was closed".to_owned(),
            Ok(_) => {}
            Err(error) => return format!("its debugging pipe failed: {}", error.kind()),
        }
        while let Some(message) = splitter.next() {
            let missing = message.len().saturating_sub(held.bytes());
            let given = match (skipped.take(), held.grow(missing)) {
                (None, Ok(())) => Read::Message(message, held.take()),
                (skipping, exhausted) => {
                    let why = exhausted.err().map(|exhausted| exhausted.to_string());
                    let skipping = skipping.unwrap_or_else(|| Skipped::new(why.unwrap_or_default()));
                    Read::Lost(skipping.and(&message).lost())
                }
            };
            drop(held.take());
            deliver(given);
        }
        splitter.compact();
        let part = splitter.buffer.len();
        if part + skipped.as_ref().map_or(0, |skipped| skipped.length) > max {
            return format!("it sent a message of more than {max} bytes");
        }
        let grown = held.grow(part.saturating_sub(held.bytes()));
        if let Some(skipping) = skipped.take() {
            skipped = Some(skipping.and(&splitter.buffer));
        } else if let Err(exhausted) = grown {
            skipped = Some(Skipped::new(exhausted.to_string()).and(&splitter.buffer));
        }
        if skipped.is_some() {
            splitter = Splitter::default();
            drop(held.take());
        }
    }
}

/// The ends of a message that is not kept.
struct Skipped {
    why: String,
    start: Vec<u8>,
    end: Vec<u8>,
    length: usize,
}

impl Skipped {
    fn new(why: String) -> Self {
        Self { why, start: Vec::new(), end: Vec::new(), length: 0 }
    }

    fn and(mut self, bytes: &[u8]) -> Self {
        let start = bytes.len().min(envelope::ENDS - self.start.len());
        self.start.extend_from_slice(&bytes[..start]);
        self.end.extend_from_slice(&bytes[bytes.len().saturating_sub(envelope::ENDS)..]);
        self.end.drain(..self.end.len().saturating_sub(envelope::ENDS));
        self.length += bytes.len();
        self
    }

    fn lost(self) -> Lost {
        Lost::read(&self.start, &self.end, self.why)
    }
}

/// Cuts a stream of bytes at each NUL.
#[derive(Default)]
struct Splitter {
    buffer: Vec<u8>,
    /// Where the next message begins.
    start: usize,
    /// Up to here there is no NUL after `start`.
    searched: usize,
}

impl Splitter {
    /// The next whole message, without its NUL.
    fn next(&mut self) -> Option<Vec<u8>> {
        let from = self.searched.max(self.start);
        let Some(at) = memchr::memchr(0, self.buffer.get(from..)?) else {
            self.searched = self.buffer.len();
            return None;
        };
        let end = from + at;
        let message = if self.start == 0 && end + 1 == self.buffer.len() {
            // The common case of a large message: it leaves with its memory, nothing is copied.
            let mut whole = std::mem::take(&mut self.buffer);
            whole.truncate(end);
            self.searched = 0;
            return Some(whole);
        } else {
            self.buffer[self.start..end].to_vec()
        };
        self.start = end + 1;
        self.searched = self.start;
        Some(message)
    }

    /// Forgets what was handed out.
    fn compact(&mut self) {
        self.buffer.drain(..self.start);
        self.searched -= self.start;
        self.start = 0;
        if self.buffer.is_empty() && self.buffer.capacity() > 4 * CHUNK {
            self.buffer = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_core::browser::Budget;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn messages_come_out_as_they_went_in_however_the_stream_is_cut(
            messages in proptest::collection::vec(proptest::collection::vec(1u8.., 0..40), 0..12),
            cuts in proptest::collection::vec(1usize..17, 1..20),
        ) {
            let stream: Vec<u8> = messages.iter().flat_map(|m| m.iter().copied().chain([0])).collect();
            let mut splitter = Splitter::default();
            let mut seen = Vec::new();
            let mut rest = &stream[..];
            let mut cuts = cuts.iter().cycle();
            while !rest.is_empty() {
                let (now, later) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
                splitter.buffer.extend_from_slice(now);
                while let Some(message) = splitter.next() {
                    seen.push(message);
                }
                splitter.compact();
                rest = later;
            }
            prop_assert_eq!(seen, messages);
        }
    }

    #[tokio::test]
    async fn what_is_written_to_a_pipe_is_read_from_it_message_by_message() {
        let (sender, receiver) = pipe::pipe().unwrap();
        let (queue, waiting) = mpsc::channel(QUEUE);
        let writer = tokio::spawn(write(sender, waiting));
        let sent: Vec<Vec<u8>> = vec![b"{}".to_vec(), vec![b'x'; 3 << 20], b"last".to_vec()];
        let copy = sent.clone();
        let feeder = tokio::spawn(async move {
            for message in copy {
                queue.send(Queued { bytes: message, room: None, held: Held::default() }).await.unwrap();
            }
        });
        let mut seen = Vec::new();
        let why = read(receiver, 8 << 20, Held::default(), |read| match read {
            Read::Message(bytes, _) => seen.push(bytes),
            Read::Lost(lost) => panic!("{lost:?}"),
        });
        let why = why.await;
        feeder.await.unwrap();
        writer.await.unwrap().unwrap();
        assert_eq!(seen, sent);
        assert!(why.contains("closed"), "{why}");
    }

    #[tokio::test]
    async fn a_message_above_the_cap_ends_the_pipe_before_it_takes_the_memory() {
        let (sender, receiver) = pipe::pipe().unwrap();
        let (queue, waiting) = mpsc::channel(QUEUE);
        let writer = tokio::spawn(write(sender, waiting));
        queue.send(Queued { bytes: vec![b'x'; 4 << 20], room: None, held: Held::default() }).await.unwrap();
        let why = read(receiver, 1 << 20, Held::default(), |_| panic!("no message is whole")).await;
        assert!(why.contains("more than"), "{why}");
        drop(queue);
        assert!(writer.await.unwrap().is_err(), "the pipe is gone");
    }

    #[tokio::test]
    async fn a_message_for_which_there_is_no_budget_is_lost_and_the_next_one_comes() {
        let (sender, receiver) = pipe::pipe().unwrap();
        let (queue, waiting) = mpsc::channel(QUEUE);
        let writer = tokio::spawn(write(sender, waiting));
        let budget = Budget::new(1 << 20);
        let large = format!(r#"{{"id":7,"result":"{}","sessionId":"A1"}}"#, "x".repeat(3 << 20));
        let event = format!(r#"{{"method":"A.b","params":"{}"}}"#, "x".repeat(1 << 20));
        let small = "x".repeat(600_000);
        for message in [large, small.clone(), small.clone(), event, "last".to_owned()] {
            let bytes = message.into_bytes();
            queue.send(Queued { bytes, room: None, held: Held::default() }).await.unwrap();
        }
        drop(queue);
        let (mut lost, mut messages) = (Vec::new(), Vec::new());
        read(receiver, 8 << 20, budget.none(), |read| match read {
            Read::Message(bytes, held) => messages.push((bytes, held)),
            Read::Lost(one) => lost.push(one),
        })
        .await;
        writer.await.unwrap().unwrap();
        let sizes: Vec<_> = messages.iter().map(|(bytes, held)| (bytes.len(), held.bytes())).collect();
        assert_eq!(sizes, [(600_000, 600_000), (4, 4)], "the second one finds the first still there");
        assert_eq!((&lost[0].head, lost[0].session.as_deref()), (&envelope::LostHead::Answer(7), Some("A1")));
        assert_eq!(lost[1].head, envelope::LostHead::Other);
        assert_eq!((&lost[2].head, &lost[2].session), (&envelope::LostHead::Event("A.b".to_owned()), &None));
        assert_eq!(budget.used(), 600_004);
    }
}
