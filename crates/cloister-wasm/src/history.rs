//! States of a session that were kept: what its memory differs in from the image, and the files.
//!
//! ```text
//!   at rest ─▶ Delta (memory) + View (files) = Snapshot ─▶ another guest, now or later, here or from a file
//! ```
//!
//! A guest at rest is its memory and nothing else: its stack pointer is where it began, its table and other globals never change
//! (`split.rs` refuses modules for which that is not so), and no native frame of it exists.

use crate::delta::Delta;
use crate::factory::Factory;
use crate::guest::Guest;
use crate::view::View;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::Arc;

/// Checkpoints of one session. They are memory of the engine, which others share.
pub const KEPT: usize = 16;
/// Bytes of pages that are looked through for each call. A session that has grown beyond it is not worth the time, and loses its state when
/// it has to be cut off; checkpoints on request have no such limit.
pub const CHEAP: usize = 64 << 20;
/// First bytes of a file.
const MAGIC: &[u8; 8] = b"cloister";
/// Its version.
const VERSION: u32 = 2;

/// A whole state.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Memory; `None` is that of the image.
    pub memory: Option<Arc<Delta>>,
    /// Files and open descriptors.
    pub view: View,
    /// The randomness in it is another session's: whoever is put into this state gets a new one.
    pub inherited: bool,
}

impl Snapshot {
    /// The state of a guest that is at rest. `rest` is what is known of its memory.
    pub fn take(factory: &Factory, guest: &Guest, rest: &Rest) -> io::Result<Self> {
        let memory = match rest {
            Rest::Copied(delta) => Arc::clone(delta),
            // New ones and copies have randomness of their own, so they are not quite what they were made from.
            Rest::Fresh | Rest::Inherited(_) | Rest::Unknown => Arc::new(factory.delta(guest)?),
        };
        let view = guest.store.data().wasi.view.clone();
        Ok(Self { memory: Some(memory), view, inherited: false })
    }

    /// Puts a guest that is fresh from the image into this state.
    pub fn apply(&self, guest: &mut Guest) -> Result<(), String> {
        if let Some(delta) = &self.memory {
            let has = guest.bytes().len();
            if delta.size() > has {
                let more = ((delta.size() - has) / crate::split::WASM_PAGE) as u64;
                guest
                    .memory
                    .grow(&mut guest.store, more)
                    .map_err(|e| format!("no room to restore a session: {e}"))?;
            }
            if !delta.apply(guest.memory.data_mut(&mut guest.store)) {
                return Err("a kept state does not fit its own memory".into());
            }
        }
        guest.store.data_mut().wasi.view = self.view.clone();
        Ok(())
    }

    /// Bytes of its memory.
    pub fn bytes(&self) -> u64 {
        self.memory.as_ref().map_or(0, |delta| delta.bytes())
    }

    /// What is known of the memory of a guest that has just been put into this state.
    pub fn rest(&self) -> Rest {
        match &self.memory {
            None => Rest::Fresh,
            Some(delta) if self.inherited => Rest::Inherited(Arc::clone(delta)),
            Some(delta) => Rest::Copied(Arc::clone(delta)),
        }
    }

    /// Writes it to a file; the bytes written.
    pub fn save(&self, to: &mut impl Write) -> io::Result<u64> {
        to.write_all(MAGIC)?;
        to.write_all(&VERSION.to_le_bytes())?;
        let mut counted = Counted { to, bytes: (MAGIC.len() + size_of_val(&VERSION)) as u64 };
        let nothing = Delta::of(&[], &[], &[]);
        self.memory.as_deref().unwrap_or(&nothing).save(&mut counted)?;
        self.view.save(&mut counted)?;
        Ok(counted.bytes)
    }

    /// Reads it back. `view` is what the session's files began as: its limits and what it shares.
    pub fn load(from: &mut impl Read, view: &View) -> io::Result<Self> {
        let bad = |what: &'static str| io::Error::new(io::ErrorKind::InvalidData, what);
        let mut head = [0; 12];
        from.read_exact(&mut head)?;
        let (magic, version) = head.split_at(MAGIC.len());
        if magic != MAGIC || version != VERSION.to_le_bytes() {
            return Err(bad("this is no kept session of this version"));
        }
        let delta = Delta::load(from)?;
        let view = View::load(from, view).map_err(io::Error::other)?;
        let memory = (delta.size() > 0).then(|| Arc::new(delta));
        Ok(Self { memory, view, inherited: false })
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
    Copied(Arc<Delta>),
    /// It is this, but for its randomness: that of a copy before its first call.
    Inherited(Arc<Delta>),
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
        let rest = match &self.rest {
            Rest::Copied(delta) | Rest::Inherited(delta) => delta.bytes(),
            Rest::Fresh | Rest::Unknown => 0,
        };
        rest + self.previous.as_ref().map_or(0, Snapshot::bytes)
            + self.kept.values().map(Snapshot::bytes).sum::<u64>()
    }
}
