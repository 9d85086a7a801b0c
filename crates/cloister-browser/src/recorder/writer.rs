//! From the queue to the sink, within the policy's bytes: a quarter of them for lines, the rest for pictures.
//!
//! Apart, so that a page that logs without end takes no room from the pictures, and one that moves without end none from
//! the lines.

use super::line::line;
use cloister_core::browser::Held;
use cloister_core::recording::{FRAME_OVERHEAD, Recording, RecordingError, RecordingSink};
use serde_json::json;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Items that are written at once.
const BATCH: usize = 64;
/// Bytes of lines that are kept for saying that there is no more room, twice, and for the end.
const RESERVE: u64 = 1024;

/// One thing to write.
pub(super) enum Item {
    Line(String),
    Frame {
        at: u64,
        page: u32,
        jpeg: Vec<u8>,
        /// What the picture takes of the session's budget until it is written.
        held: Held,
    },
    /// The last line; tells when it is on disk.
    End(String, oneshot::Sender<()>),
}

/// What is left of the bytes, each `None` once something did not fit.
struct Room {
    lines: Option<u64>,
    frames: Option<u64>,
}

/// Whether there is more to come.
#[derive(PartialEq, Eq)]
enum Next {
    More,
    Over,
}

/// Writes until the recording ends, is full, or the disk fails. The session goes on in any case.
pub(super) async fn write(mut items: mpsc::Receiver<Item>, recording: Recording) {
    let Recording { sink, bytes } = recording;
    let lines = bytes / 4;
    let mut room = Room { lines: Some(lines.saturating_sub(RESERVE)), frames: Some(bytes - lines) };
    let mut batch = Vec::with_capacity(BATCH);
    while items.recv_many(&mut batch, BATCH).await > 0 {
        let (sink, taken) = (Arc::clone(&sink), std::mem::take(&mut batch));
        let written = tokio::task::spawn_blocking(move || {
            let next = room.write(sink.as_ref(), taken);
            (room, next)
        });
        let next = match written.await {
            Ok((left, Ok(next))) => {
                room = left;
                next
            }
            Ok((_, Err(error))) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(%error, cause, "a recording stops; its session goes on");
                return;
            }
            Err(error) => {
                tracing::error!(%error, "a recording stops; its session goes on");
                return;
            }
        };
        if next == Next::Over {
            return;
        }
    }
}

impl Room {
    fn write(&mut self, sink: &dyn RecordingSink, items: Vec<Item>) -> Result<Next, RecordingError> {
        for item in items {
            match item {
                Item::Line(text) => {
                    if fits(&mut self.lines, text.len() as u64 + 1) {
                        sink.line(&text)?;
                    } else if self.lines.take().is_some() {
                        full(sink, "the recording keeps no more events")?;
                    }
                }
                Item::Frame { at, page, jpeg, held: _held } => {
                    if fits(&mut self.frames, jpeg.len() as u64 + FRAME_OVERHEAD) {
                        sink.frame(at, page, &jpeg)?;
                    } else if self.frames.take().is_some() {
                        full(sink, "the recording keeps no more pictures")?;
                    }
                }
                Item::End(text, done) => {
                    sink.line(&text)?;
                    // Nobody may be left who waits.
                    let _ = done.send(());
                    return Ok(Next::Over);
                }
            }
        }
        Ok(if self.lines.is_none() && self.frames.is_none() { Next::Over } else { Next::More })
    }
}

/// Takes `cost` from what is left.
fn fits(left: &mut Option<u64>, cost: u64) -> bool {
    match left.and_then(|bytes| bytes.checked_sub(cost)) {
        Some(rest) => {
            *left = Some(rest);
            true
        }
        None => false,
    }
}

fn full(sink: &dyn RecordingSink, what: &str) -> Result<(), RecordingError> {
    sink.full()?;
    sink.line(&line("note", json!({ "text": format!("{what}: browser.recording_bytes is used up") })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_core::lock::lock;
    use std::sync::Mutex;

    #[derive(Default)]
    struct Kept {
        lines: Mutex<Vec<String>>,
        frames: Mutex<Vec<usize>>,
        full: Mutex<usize>,
    }

    impl RecordingSink for Kept {
        fn line(&self, line: &str) -> Result<(), RecordingError> {
            lock(&self.lines).push(line.to_owned());
            Ok(())
        }
        fn frame(&self, _: u64, _: u32, jpeg: &[u8]) -> Result<(), RecordingError> {
            lock(&self.frames).push(jpeg.len());
            Ok(())
        }
        fn full(&self) -> Result<(), RecordingError> {
            *lock(&self.full) += 1;
            Ok(())
        }
    }

    fn frame(length: usize) -> Item {
        Item::Frame { at: 1, page: 1, jpeg: vec![7; length], held: Held::default() }
    }

    async fn written(bytes: u64, all: Vec<Item>) -> (Arc<Kept>, bool) {
        let kept = Arc::new(Kept::default());
        let (queue, items) = mpsc::channel(1024);
        let writing = tokio::spawn(write(items, Recording { sink: kept.clone(), bytes }));
        for item in all {
            let _ = queue.send(item).await;
        }
        drop(queue);
        writing.await.unwrap();
        let said = lock(&kept.lines).iter().any(|line| line.contains("used up"));
        (kept, said)
    }

    #[tokio::test]
    async fn a_recording_never_takes_more_than_its_bytes_and_says_when_it_stops() {
        let items = (0..200).flat_map(|_| [frame(1000), Item::Line("x".repeat(200))]).collect();
        let (kept, said) = written(40_000, items).await;
        let lines: usize = lock(&kept.lines).iter().map(|line| line.len() + 1).sum();
        let frames: usize = lock(&kept.frames).iter().map(|length| length + 24).sum();
        assert!(said && lines + frames <= 40_000, "{lines} {frames}");
        assert_eq!((lock(&kept.frames).len(), *lock(&kept.full)), (29, 2));
    }

    #[tokio::test]
    async fn pictures_leave_room_for_events_and_the_other_way_round() {
        let (kept, said) = written(40_000, vec![frame(30_001), Item::Line("after".into())]).await;
        assert!(said && lock(&kept.lines).iter().any(|line| line == "after"));
        let logs = (0..100).map(|_| Item::Line("x".repeat(200))).chain([frame(1000)]).collect();
        let (kept, said) = written(40_000, logs).await;
        assert!(said && *lock(&kept.frames) == [1000]);
    }

    #[tokio::test]
    async fn what_comes_before_the_end_is_written_before_it_is_told() {
        let (done, told) = oneshot::channel();
        let (kept, _) = written(40_000, vec![Item::Line("a".into()), Item::End("b".into(), done)]).await;
        told.await.unwrap();
        assert_eq!(*lock(&kept.lines), ["a", "b"]);
    }
}
