//! A view as bytes, for a session that is put aside: what is the session's own, and its descriptors. `load.rs` is the way back.
//!
//! ```text
//! "CLOVIEW1" | shape | tick | the writable directories | listings | nodes without a name | descriptors | crc32     (little-endian)
//! writable directory: serial version times next
//! listing:    1 number name node …  0                 of each directory, in the order in which the directories were met
//! node:       SEEN its number, or its kind, serial version times, and   FILE: size, chunks   SYMLINK: target   DIRECTORY: next
//! descriptor: what it stands for, flags rights offset
//! ```
//!
//! The frame and the bases are the configuration's. They are not written: the shape names them, and must be the same again.

use super::View;
use super::content::Content;
use super::descriptors::{Descriptor, Open};
use super::errno::Errno;
use super::node::{FIRST, Id, Kind, Node, Zone};
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, BufWriter, Write};

pub(super) const MAGIC: &[u8; 8] = b"CLOVIEW1";

/// Before each element of a list, and after the last.
pub(super) const MORE: u8 = 1;
pub(super) const END: u8 = 0;

/// What a node is.
pub(super) const SEEN: u8 = 0;
pub(super) const FILE: u8 = 1;
pub(super) const DIRECTORY: u8 = 2;
pub(super) const SYMLINK: u8 = 3;

/// What a descriptor stands for.
pub(super) const CLOSED: u8 = 0;
pub(super) const STDIN: u8 = 1;
pub(super) const STDOUT: u8 = 2;
pub(super) const STDERR: u8 = 3;
pub(super) const OWN: u8 = 4;
pub(super) const FRAME: u8 = 5;
pub(super) const BASE: u8 = 6;

struct Saving<'v, W: Write> {
    view: &'v View,
    to: BufWriter<W>,
    sum: crc32fast::Hasher,
    /// The numbers of nodes, in the order in which they were met.
    numbers: BTreeMap<u32, u64>,
    /// Directories whose listings follow.
    waiting: VecDeque<u32>,
}

impl View {
    /// Writes the session's own files and its descriptors. The size is about what [`View::usage`] says.
    pub fn save(&self, to: impl Write) -> io::Result<()> {
        let (numbers, waiting) = (BTreeMap::new(), VecDeque::new());
        let to = BufWriter::new(to);
        Saving { view: self, to, sum: crc32fast::Hasher::new(), numbers, waiting }.all()
    }
}

impl<W: Write> Saving<'_, W> {
    fn all(mut self) -> io::Result<()> {
        let view = self.view;
        self.bytes(MAGIC)?;
        self.text(view.shape.as_bytes())?;
        self.number(view.tree.tick())?;
        for slot in view.tree.roots.iter() {
            self.meet(*slot);
            self.head(view.tree.node(*slot).map_err(broken)?)?;
        }
        while let Some(directory) = self.waiting.pop_front() {
            self.listing(directory)?;
        }
        self.nameless()?;
        self.descriptors()?;
        let sum = self.sum.clone().finalize();
        self.bytes(&sum.to_le_bytes())?;
        self.to.flush()
    }

    fn listing(&mut self, directory: u32) -> io::Result<()> {
        let tree = &self.view.tree;
        let mut children = Vec::new();
        let listed = tree.entries(Id::Own(directory), FIRST, |next, name, id| {
            // Other writable directories, and the frame above them, are the configuration's.
            if let Id::Own(slot) = id
                && tree.node(slot)?.zone == Zone::Own
            {
                children.push((next - 1, name, slot));
            }
            Ok(true)
        });
        listed.map_err(broken)?;
        for (number, name, slot) in children {
            self.bytes(&[MORE])?;
            self.number(number)?;
            self.text(name)?;
            self.node(slot)?;
        }
        self.bytes(&[END])
    }

    fn node(&mut self, slot: u32) -> io::Result<()> {
        if let Some(number) = self.numbers.get(&slot).copied() {
            self.bytes(&[SEEN])?;
            return self.number(number);
        }
        self.meet(slot);
        let node = self.view.tree.node(slot).map_err(broken)?;
        let kind = match &node.kind {
            Kind::File(_) => FILE,
            Kind::Directory(_) => DIRECTORY,
            Kind::Symlink(_) => SYMLINK,
            Kind::Null => return Err(broken(Errno::Io)),
        };
        self.bytes(&[kind])?;
        self.head(node)?;
        match &node.kind {
            Kind::File(content) => self.content(content),
            Kind::Symlink(target) => self.text(target),
            Kind::Directory(_) | Kind::Null => Ok(()),
        }
    }

    fn meet(&mut self, slot: u32) {
        self.numbers.insert(slot, self.numbers.len() as u64);
        if matches!(self.view.tree.node(slot).map(|node| &node.kind), Ok(Kind::Directory(_))) {
            self.waiting.push_back(slot);
        }
    }

    fn head(&mut self, node: &Node) -> io::Result<()> {
        let times = node.times;
        let next = if let Kind::Directory(directory) = &node.kind { directory.next() } else { 0 };
        for number in [node.serial, node.version, times.accessed, times.modified, times.changed, next] {
            self.number(number)?;
        }
        Ok(())
    }

    /// Chunks without the zeros at their ends.
    fn content(&mut self, content: &Content) -> io::Result<()> {
        self.number(content.size())?;
        for (number, chunk) in content.chunks() {
            let used = chunk.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            self.bytes(&[MORE])?;
            self.number(number)?;
            self.number(chunk.len() as u64)?;
            self.text(chunk.get(..used).unwrap_or_default())?;
        }
        self.bytes(&[END])
    }

    /// What was removed while it is open.
    fn nameless(&mut self) -> io::Result<()> {
        let view = self.view;
        for descriptor in view.descriptors.table.iter().flatten() {
            if let Open::Node(Id::Own(slot)) = descriptor.open
                && view.tree.node(slot).map_err(broken)?.zone == Zone::Own
                && !self.numbers.contains_key(&slot)
            {
                self.bytes(&[MORE])?;
                self.node(slot)?;
            }
        }
        // Such a directory is empty.
        self.waiting.clear();
        self.bytes(&[END])
    }

    fn descriptors(&mut self) -> io::Result<()> {
        for place in &self.view.descriptors.table {
            self.bytes(&[MORE])?;
            let Some(Descriptor { open, flags, rights, inheriting, offset, preopen }) = *place else {
                self.bytes(&[CLOSED])?;
                continue;
            };
            match open {
                Open::Stdin => self.bytes(&[STDIN])?,
                Open::Stdout => self.bytes(&[STDOUT])?,
                Open::Stderr => self.bytes(&[STDERR])?,
                Open::Node(Id::Own(slot)) => match self.numbers.get(&slot).copied() {
                    Some(number) => {
                        self.bytes(&[OWN])?;
                        self.number(number)?;
                    }
                    None => {
                        self.bytes(&[FRAME])?;
                        self.number(u64::from(slot))?;
                    }
                },
                Open::Node(Id::Base(mount, number)) => {
                    self.bytes(&[BASE])?;
                    self.number(u64::from(mount))?;
                    self.number(u64::from(number))?;
                }
            }
            for number in [u64::from(flags.0), rights.0, inheriting.0, offset, u64::from(preopen)] {
                self.number(number)?;
            }
        }
        self.bytes(&[END])
    }

    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sum.update(bytes);
        self.to.write_all(bytes)
    }

    fn number(&mut self, number: u64) -> io::Result<()> {
        self.bytes(&number.to_le_bytes())
    }

    /// Bytes with their length before them.
    fn text(&mut self, text: &[u8]) -> io::Result<()> {
        self.number(text.len() as u64)?;
        self.bytes(text)
    }
}

/// A view that contradicts itself cannot be saved.
fn broken(errno: Errno) -> io::Error {
    io::Error::other(errno)
}
