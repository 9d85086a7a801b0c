//! States of a session that were kept: pages of memory that differ from the image, and the files.
//!
//! ```text
//!   at rest ─▶ Pages (copied) + View (counts) = Snapshot ─▶ another guest, now or later, here or from a file
//! ```
//!
//! A guest at rest is its memory and nothing else: its stack pointer is where it began, its table and other globals never change
//! (`split.rs` refuses modules for which that is not so), and no native frame of it exists.

use crate::factory::Factory;
use crate::guest::Guest;
use crate::memory::PAGE;
use crate::pages;
use crate::view::View;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::sync::Arc;

/// Checkpoints of one session. They are memory of the engine, which others share.
pub const KEPT: usize = 16;
/// Bytes of pages that are copied before each call. A session that has grown beyond it is not worth the time, and loses its state when
/// it has to be cut off; checkpoints on request have no such limit.
const CHEAP: usize = 64 << 20;
/// First bytes of a file.
const MAGIC: &[u8; 8] = b"cloister";
/// Its version.
const VERSION: u32 = 1;
/// Ranges of one file: every second page of four gigabytes.
const RANGES: usize = 1 << 20;

/// Memory.
#[derive(Clone, PartialEq, Eq)]
pub struct Pages {
    size: usize,
    ranges: Vec<Range<usize>>,
    content: Vec<u8>,
}

impl std::fmt::Debug for Pages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pages").field("size", &self.size).field("content", &self.content.len()).finish()
    }
}

impl Pages {
    /// Copies what `guest` has written to.
    pub fn take(factory: &Factory, guest: &Guest) -> io::Result<Self> {
        let ranges = factory.written(guest)?;
        Ok(Self::copy(guest, ranges))
    }

    /// The same, unless that is much.
    pub fn take_if_cheap(factory: &Factory, guest: &Guest) -> io::Result<Option<Self>> {
        let ranges = factory.written(guest)?;
        Ok((pages::count(&ranges) * PAGE <= CHEAP).then(|| Self::copy(guest, ranges)))
    }

    fn copy(guest: &Guest, ranges: Vec<Range<usize>>) -> Self {
        let bytes = guest.bytes();
        let mut content = Vec::with_capacity(pages::count(&ranges) * PAGE);
        for range in &ranges {
            content.extend_from_slice(bytes.get(range.start * PAGE..range.end * PAGE).unwrap_or_default());
        }
        Self { size: bytes.len(), ranges, content }
    }

    /// Bytes that it holds.
    pub fn bytes(&self) -> u64 {
        self.content.len() as u64
    }

    /// Writes it over a guest that is fresh from the image.
    fn apply(&self, guest: &mut Guest) -> Result<(), String> {
        let has = guest.bytes().len();
        if self.size > has {
            let more = ((self.size - has) / crate::split::WASM_PAGE) as u64;
            guest
                .memory
                .grow(&mut guest.store, more)
                .map_err(|e| format!("no room to restore a session: {e}"))?;
        }
        let memory = guest.memory.data_mut(&mut guest.store);
        let mut rest = self.content.as_slice();
        for range in &self.ranges {
            let place = memory.get_mut(range.start * PAGE..range.end * PAGE);
            let part = rest.split_off(..(range.end - range.start) * PAGE);
            let (Some(place), Some(part)) = (place, part) else {
                return Err("a kept state does not fit its own memory".into());
            };
            place.copy_from_slice(part);
        }
        Ok(())
    }
}

/// A whole state.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Memory; `None` is that of the image.
    pub pages: Option<Arc<Pages>>,
    /// Files and open descriptors.
    pub view: View,
}

impl Snapshot {
    /// The state of a guest that is at rest.
    pub fn take(factory: &Factory, guest: &Guest) -> io::Result<Self> {
        let pages = Some(Arc::new(Pages::take(factory, guest)?));
        Ok(Self { pages, view: guest.store.data().wasi.view.clone() })
    }

    /// Puts a guest that is fresh from the image into this state.
    pub fn apply(&self, guest: &mut Guest) -> Result<(), String> {
        if let Some(pages) = &self.pages {
            pages.apply(guest)?;
        }
        guest.store.data_mut().wasi.view = self.view.clone();
        Ok(())
    }

    /// Bytes of its memory.
    pub fn bytes(&self) -> u64 {
        self.pages.as_ref().map_or(0, |pages| pages.bytes())
    }

    /// Writes it to a file; the bytes written.
    pub fn save(&self, to: &mut impl Write) -> io::Result<u64> {
        let empty = Pages { size: 0, ranges: Vec::new(), content: Vec::new() };
        let pages = self.pages.as_deref().unwrap_or(&empty);
        let mut head = Vec::new();
        head.extend_from_slice(MAGIC);
        head.extend_from_slice(&VERSION.to_le_bytes());
        head.extend_from_slice(&(pages.size as u64).to_le_bytes());
        head.extend_from_slice(&(pages.ranges.len() as u32).to_le_bytes());
        for range in &pages.ranges {
            head.extend_from_slice(&(range.start as u32).to_le_bytes());
            head.extend_from_slice(&(range.end as u32).to_le_bytes());
        }
        to.write_all(&head)?;
        to.write_all(&pages.content)?;
        let mut counted = Counted { to, bytes: (head.len() + pages.content.len()) as u64 };
        self.view.save(&mut counted)?;
        Ok(counted.bytes)
    }

    /// Reads it back. `view` is what the session's files began as: its limits and what it shares.
    pub fn load(from: &mut impl Read, view: &View) -> io::Result<Self> {
        let bad = |what: &'static str| io::Error::new(io::ErrorKind::InvalidData, what);
        let mut head = [0; 24];
        from.read_exact(&mut head)?;
        let (magic, rest) = head.split_at(8);
        let (version, rest) = rest.split_at(4);
        let (size, count) = rest.split_at(8);
        if magic != MAGIC || version != VERSION.to_le_bytes() {
            return Err(bad("this is no kept session of this version"));
        }
        let size = u64::from_le_bytes(size.try_into().map_err(|_| bad("a length"))?);
        let count = u32::from_le_bytes(count.try_into().map_err(|_| bad("a length"))?) as usize;
        if size > 4 << 30 || count > RANGES {
            return Err(bad("a kept session is larger than any can be"));
        }
        let (mut ranges, mut total, mut end) = (Vec::with_capacity(count.min(4096)), 0, 0);
        for _ in 0..count {
            let mut range = [0; 8];
            from.read_exact(&mut range)?;
            let range = u64::from_le_bytes(range);
            let range = (range as u32) as usize..(range >> 32) as usize;
            if range.start < end || range.end <= range.start || (range.end * PAGE) as u64 > size {
                return Err(bad("a kept session names pages that it cannot have"));
            }
            total += range.len() * PAGE;
            end = range.end;
            ranges.push(range);
        }
        let mut content = Vec::new();
        from.take(total as u64).read_to_end(&mut content)?;
        if content.len() != total {
            return Err(bad("a kept session ends too early"));
        }
        let view = View::load(from, view).map_err(io::Error::other)?;
        let pages = (size > 0).then(|| Arc::new(Pages { size: size as usize, ranges, content }));
        Ok(Self { pages, view })
    }
}

struct Counted<'a, W> {
    to: &'a mut W,
    bytes: u64,
}

impl<W: Write> Write for Counted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// What is known of the memory of a guest at rest.
#[derive(Clone, Debug, Default)]
pub enum Rest {
    /// It is that of a new session.
    #[default]
    Fresh,
    /// It is this.
    Copied(Arc<Pages>),
    /// Nothing is kept.
    Unknown,
}

/// The kept states of a session.
#[derive(Debug, Default)]
pub struct History {
    /// The memory as it is now, between two calls.
    pub rest: Rest,
    /// The state before the last call.
    pub previous: Option<Snapshot>,
    /// By name.
    pub kept: BTreeMap<String, Snapshot>,
    /// Names given so far.
    pub count: u64,
}

impl History {
    /// Bytes that all of it holds, near enough: what states share counts more than once.
    pub fn bytes(&self) -> u64 {
        let rest = if let Rest::Copied(pages) = &self.rest { pages.bytes() } else { 0 };
        rest + self.previous.as_ref().map_or(0, Snapshot::bytes)
            + self.kept.values().map(Snapshot::bytes).sum::<u64>()
    }
}
