//! What a running cell says: counted against its limits, gathered, and sent when it is worth a system call.
//!
//! ```text
//!   emit (stdout, stderr) ─▶ admitted up to the cap ─┐
//!   event (display, value) ─▶ admitted or dropped ───┼─▶ frames ──32 KiB, 50 ms or the end──▶ channel
//!   event (error, done) ──▶ kept for the report      ┘
//! ```
//!
//! A driver shares its memory with guest code, so what it says is content and nothing more, as on a cell channel (PROTOCOL.md).

use crate::channel::{self, Channel};
use crate::control::Control;
use cloister_jail::guest::cell::CellEvent;
use cloister_jail::guest::engine::Terms;
use cloister_jail::guest::message::Reply;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bytes that wait at most.
const FULL: usize = 32 << 10;
/// How long they wait at most: what a person sees of a cell that prints slowly.
const OLD: Duration = Duration::from_millis(50);
/// Bytes of one driver event's JSON. An exception's message is part of it.
pub const EVENT: usize = 1 << 20;
/// Output beyond the cap before the call is interrupted: taking it costs CPU of ours (RES-06).
const FLOOD: u64 = 1 << 30;

/// How the driver says that a cell ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// `ok`, `error`, `exit`, `interrupted`.
    pub status: String,
    /// See PROTOCOL.md.
    pub exit_code: i32,
}

/// The output of one call.
#[derive(Debug)]
pub struct Output {
    id: String,
    channel: Arc<Channel>,
    control: Arc<Control>,
    frames: Vec<u8>,
    /// Output that is not a frame yet, and its stream: 0 or 1.
    loose: Vec<u8>,
    stream: usize,
    /// Since when something waits.
    since: Option<Instant>,
    kept: [u64; 2],
    /// Bytes above the cap.
    pub dropped: [u64; 2],
    displays: u32,
    limit: (u64, u64, u32),
    /// The uncaught exception, with its traceback.
    pub error: Option<(String, String)>,
    /// The traceback.
    pub traceback: Vec<u8>,
    /// How it ended, once it has.
    pub said: Option<Said>,
}

impl Output {
    /// The output of the call `id`.
    pub fn new(id: String, channel: Arc<Channel>, control: Arc<Control>, terms: &Terms) -> Self {
        Self {
            id,
            channel,
            control,
            frames: Vec::new(),
            loose: Vec::new(),
            stream: 0,
            since: None,
            kept: [0; 2],
            dropped: [0; 2],
            displays: 0,
            limit: (terms.stream, terms.display, terms.displays),
            error: None,
            traceback: Vec::new(),
            said: None,
        }
    }

    /// The guest has written to descriptor 1 or 2.
    pub fn write(&mut self, descriptor: u32, bytes: &[u8]) {
        let stream = usize::from(descriptor == 2);
        let (Some(kept), Some(dropped)) = (self.kept.get_mut(stream), self.dropped.get_mut(stream)) else {
            return;
        };
        let room = self.limit.0.saturating_sub(*kept).min(bytes.len() as u64);
        *kept += room;
        *dropped += bytes.len() as u64 - room;
        if *dropped > FLOOD {
            self.control.interrupt();
        }
        if room == 0 {
            return;
        }
        if self.stream != stream {
            self.settle();
            self.stream = stream;
        }
        self.loose.extend_from_slice(bytes.get(..room as usize).unwrap_or_default());
        self.waiting();
    }

    /// The driver has said something. False if it is no event.
    pub fn event(&mut self, json: &[u8], blob: &[u8]) -> bool {
        let Ok(event) = serde_json::from_slice::<CellEvent>(json) else { return false };
        match event {
            CellEvent::Display { id, forms } if id == self.id && self.admit(blob.len()) => {
                self.frame(&Reply::Display { id, forms }, blob);
            }
            CellEvent::Value { id, forms } if id == self.id && self.admit(blob.len()) => {
                self.frame(&Reply::Value { id, forms }, blob);
            }
            CellEvent::Error { id, name, message } if id == self.id => {
                self.error = Some((name, message));
                self.traceback = blob.to_vec();
            }
            CellEvent::Done { id, status, exit_code } if id == self.id => {
                self.said = Some(Said { status, exit_code });
            }
            _ => {}
        }
        true
    }

    /// Whether one more display may pass. One more than the limit is the value.
    fn admit(&mut self, size: usize) -> bool {
        self.displays = self.displays.saturating_add(1);
        self.displays <= self.limit.2.saturating_add(1) && size as u64 <= self.limit.1
    }

    /// Sends what has waited long enough.
    pub fn tick(&mut self) {
        if self.since.is_some_and(|since| since.elapsed() >= OLD) {
            self.flush();
        }
    }

    /// Ends the call: its last reply goes out with what waits.
    pub fn finish(mut self, last: &Reply, blob: &[u8]) {
        self.frame(last, blob);
        self.flush();
    }

    fn frame(&mut self, reply: &Reply, blob: &[u8]) {
        self.settle();
        // It fits: sizes have been checked, and reports are trimmed.
        let _: Result<(), _> = channel::append(&mut self.frames, reply, blob);
        self.waiting();
    }

    /// Makes a frame of loose output.
    fn settle(&mut self) {
        if self.loose.is_empty() {
            return;
        }
        let id = self.id.clone();
        let reply = if self.stream == 0 { Reply::Stdout { id } } else { Reply::Stderr { id } };
        let loose = std::mem::take(&mut self.loose);
        let _: Result<(), _> = channel::append(&mut self.frames, &reply, &loose);
    }

    fn waiting(&mut self) {
        self.since.get_or_insert_with(Instant::now);
        if self.frames.len() + self.loose.len() >= FULL {
            self.flush();
        }
    }

    /// Sends what waits.
    pub fn flush(&mut self) {
        self.settle();
        self.since = None;
        self.channel.send(&std::mem::take(&mut self.frames), &self.control);
    }
}
