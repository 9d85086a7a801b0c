//! What waits for a client: bounded in bytes and messages; screencast frames are dropped first, then the client is too slow.

use cloister_core::browser::cdp::MESSAGE_MAX;
use cloister_core::browser::{Text, ToClient};
use cloister_core::lock::lock;
use std::collections::VecDeque;
use std::sync::Mutex;
use tokio::sync::{Notify, watch};

/// Messages that may wait.
const MESSAGES: usize = 16 * 1024;
/// Bytes that may wait; one message of the largest size always may.
const BYTES: usize = MESSAGE_MAX;
/// From here on, frames of a screencast are dropped: a picture that comes late is of no use.
const FRAMES_FROM: usize = 4 << 20;

/// What a message is, as far as dropping it is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The client must have it.
    Needed,
    /// A frame of a screencast.
    Frame,
}

/// What became of a message.
#[derive(Debug, PartialEq)]
pub(super) enum Pushed {
    /// It waits, or nobody is there any more.
    Kept,
    /// These frames were dropped for it. Somebody has to acknowledge them, or the browser sends no more.
    Dropped(Vec<Text>),
    /// There is no room for it.
    Full,
}

#[derive(Default)]
struct Waiting {
    messages: VecDeque<(Kind, Text)>,
    bytes: usize,
    close: Option<(u16, String)>,
}

/// The queue to one client.
#[derive(Default)]
pub(super) struct Outbox {
    waiting: Mutex<Waiting>,
    filled: Notify,
    cut: watch::Sender<bool>,
}

impl Outbox {
    /// Adds a message.
    pub(super) fn push(&self, kind: Kind, text: Text) -> Pushed {
        let mut waiting = lock(&self.waiting);
        if waiting.close.is_some() {
            return Pushed::Kept;
        }
        let mut dropped = Vec::new();
        if waiting.bytes + text.len() > FRAMES_FROM {
            let (frames, rest) =
                std::mem::take(&mut waiting.messages).into_iter().partition(|(kind, _)| *kind == Kind::Frame);
            let frames: VecDeque<_> = frames;
            waiting.messages = rest;
            waiting.bytes -= frames.iter().map(|(_, frame)| frame.len()).sum::<usize>();
            dropped.extend(frames.into_iter().map(|(_, frame)| frame));
        }
        let full = !waiting.messages.is_empty() && waiting.bytes + text.len() > BYTES;
        if full || waiting.messages.len() >= MESSAGES {
            return Pushed::Full;
        }
        waiting.bytes += text.len();
        waiting.messages.push_back((kind, text));
        drop(waiting);
        self.filled.notify_one();
        if dropped.is_empty() { Pushed::Kept } else { Pushed::Dropped(dropped) }
    }

    /// Closes after what waits already. The first reason stays.
    pub(super) fn close(&self, code: u16, reason: &str) {
        lock(&self.waiting).close.get_or_insert_with(|| (code, reason.to_owned()));
        self.filled.notify_one();
    }

    /// Closes at once: what waits is thrown away. The first reason stays.
    pub(super) fn cut(&self, code: u16, reason: &str) {
        {
            let mut waiting = lock(&self.waiting);
            waiting.messages.clear();
            waiting.bytes = 0;
        }
        self.close(code, reason);
        self.cut.send_replace(true);
    }

    /// Resolves once [`Self::cut`] was called: what was on its way to the client is not waited for either.
    pub(super) async fn was_cut(&self) {
        // The sender lives as long as `self`.
        let _ = self.cut.subscribe().wait_for(|cut| *cut).await;
    }

    /// The next thing for the client; a close is the last.
    pub(super) async fn next(&self) -> ToClient {
        loop {
            {
                let mut waiting = lock(&self.waiting);
                if let Some((_, text)) = waiting.messages.pop_front() {
                    waiting.bytes -= text.len();
                    return ToClient::Text(text);
                }
                if let Some((code, reason)) = waiting.close.clone() {
                    return ToClient::Close { code, reason };
                }
            }
            self.filled.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(length: usize) -> Text {
        "x".repeat(length).into()
    }

    #[tokio::test]
    async fn messages_leave_in_their_order_and_the_close_comes_last() {
        let outbox = Outbox::default();
        outbox.push(Kind::Needed, "1".to_owned().into());
        outbox.push(Kind::Frame, "2".to_owned().into());
        outbox.close(1000, "bye");
        outbox.push(Kind::Needed, "3".to_owned().into());
        assert_eq!(outbox.next().await, ToClient::Text("1".to_owned().into()));
        assert_eq!(outbox.next().await, ToClient::Text("2".to_owned().into()));
        assert_eq!(outbox.next().await, ToClient::Close { code: 1000, reason: "bye".to_owned() });
    }

    #[tokio::test]
    async fn frames_are_dropped_before_anything_else_is_lost() {
        let outbox = Outbox::default();
        outbox.push(Kind::Frame, text(FRAMES_FROM / 2));
        outbox.push(Kind::Needed, "keep".to_owned().into());
        let pushed = outbox.push(Kind::Needed, text(FRAMES_FROM));
        assert_eq!(pushed, Pushed::Dropped(vec![text(FRAMES_FROM / 2)]));
        assert_eq!(outbox.next().await, ToClient::Text("keep".to_owned().into()));
    }

    #[test]
    fn a_client_that_does_not_read_fills_its_own_queue_and_no_more() {
        let outbox = Outbox::default();
        let kept =
            (0..=MESSAGES).take_while(|_| outbox.push(Kind::Needed, "{}".to_owned().into()) == Pushed::Kept);
        assert_eq!(kept.count(), MESSAGES);
        let outbox = Outbox::default();
        assert_eq!(
            outbox.push(Kind::Needed, text(BYTES)),
            Pushed::Kept,
            "one of the largest size always fits"
        );
        assert_eq!(outbox.push(Kind::Needed, text(1)), Pushed::Full);
    }
}
