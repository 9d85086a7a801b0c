//! The debugging pipe: JSON messages, each ended by NUL, over two descriptors.
//!
//! ```text
//!   queue (bounded) ──▶ write() ──▶ descriptor 3          descriptor 4 ──▶ Splitter ──▶ read(): one message per call of `deliver`
//! ```

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
}

/// What one read asks for.
const CHUNK: usize = 256 * 1024;

/// Writes what the queue brings until every sender is gone or the pipe breaks.
pub(crate) async fn write(mut pipe: pipe::Sender, mut queue: mpsc::Receiver<Queued>) -> io::Result<()> {
    let (mut batch, mut rooms) = (Vec::new(), Vec::new());
    while let Some(Queued { bytes, room }) = queue.recv().await {
        rooms.push(room);
        batch.extend_from_slice(&bytes);
        batch.push(0);
        drop(bytes);
        // What is waiting already goes with it: one system call, one wake-up of Chromium's reader.
        while batch.len() < CHUNK
            && let Ok(Queued { bytes, room }) = queue.try_recv()
        {
            rooms.push(room);
            batch.extend_from_slice(&bytes);
            batch.push(0);
        }
        pipe.write_all(&batch).await?;
        rooms.clear();
        // A large message is no reason to keep its room.
        batch.clear();
        batch.shrink_to(CHUNK);
    }
    Ok(())
}

/// Reads messages until the pipe ends, and says why it ended. `max` bounds the memory that one message can take.
pub(crate) async fn read(mut pipe: pipe::Receiver, max: usize, mut deliver: impl FnMut(Vec<u8>)) -> String {
    let mut splitter = Splitter::default();
    loop {
        splitter.buffer.reserve(CHUNK);
        match pipe.read_buf(&mut splitter.buffer).await {
            Ok(0) => return "its debugging pipe was closed".to_owned(),
            Ok(_) => {}
            Err(error) => return format!("its debugging pipe failed: {}", error.kind()),
        }
        while let Some(message) = splitter.next() {
            deliver(message);
        }
        splitter.compact();
        if splitter.buffer.len() > max {
            return format!("it sent a message of more than {max} bytes");
        }
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
                queue.send(Queued { bytes: message, room: None }).await.unwrap();
            }
        });
        let mut seen = Vec::new();
        let why = read(receiver, 8 << 20, |message| seen.push(message)).await;
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
        queue.send(Queued { bytes: vec![b'x'; 4 << 20], room: None }).await.unwrap();
        let why = read(receiver, 1 << 20, |_| panic!("no message is whole")).await;
        assert!(why.contains("more than"), "{why}");
        drop(queue);
        assert!(writer.await.unwrap().is_err(), "the pipe is gone");
    }
}
