//! A view from bytes that [`View::save`] has written.
//!
//! Everything is built by the same steps and charged to the same limits as when a guest makes it. So a wrong file gives an error or some
//! other tree, and never a circle, a debt or a panic; and no length in it is believed before its bytes are there.

use super::View;
use super::content::{CHUNK, Content};
use super::descriptors::{Descriptor, Descriptors, Open};
use super::errno::Errno;
use super::flags::{FdFlags, Rights};
use super::node::{Directory, Id, Kind, Times, Zone};
use super::resolve::{NAME, PATH, is_name};
use super::save::{
    BASE, CLOSED, DIRECTORY, END, FILE, FRAME, MAGIC, MORE, OWN, SEEN, STDERR, STDIN, STDOUT, SYMLINK,
};
use std::collections::VecDeque;
use std::io::{self, BufReader, Read};

/// Bytes of a shape: 64 bases and as many directories, each with its path.
const SHAPE: usize = 1 << 20;

/// Why bytes are no view.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// They end too early, or cannot be read.
    #[error("the saved files of the session cannot be read: {0}")]
    Read(#[from] io::Error),
    /// They were not written by this version, or were changed since.
    #[error("the saved files of the session are damaged ({0})")]
    Damaged(&'static str),
    /// The image or the policy is another one.
    #[error("the files of the session were saved under another image or policy")]
    Shape,
    /// The limits are smaller than what was saved.
    #[error("the files of the session do not fit its limits: {0}")]
    Limits(#[from] Errno),
}

struct Loading<R: Read> {
    from: BufReader<R>,
    sum: crc32fast::Hasher,
    view: View,
    /// The slots of nodes, in the order in which they were met.
    slots: Vec<u32>,
    waiting: VecDeque<u32>,
    /// That of the saved view.
    tick: u64,
}

impl View {
    /// Reads a view that was saved. `like` is any view of the same configuration, under the limits that hold now; of its files nothing
    /// is taken.
    pub fn load(from: impl Read, like: &Self) -> Result<Self, LoadError> {
        let mut tree = (*like.fresh).clone();
        tree.limit(like.limits());
        let view = Self { tree, descriptors: Descriptors::empty(), ..like.clone() };
        let (slots, waiting) = (Vec::new(), VecDeque::new());
        let from = BufReader::new(from);
        Loading { from, sum: crc32fast::Hasher::new(), view, slots, waiting, tick: 0 }.all()
    }
}

impl<R: Read> Loading<R> {
    fn all(mut self) -> Result<View, LoadError> {
        if self.array::<8>()? != *MAGIC {
            return Err(LoadError::Damaged("they do not begin like such files"));
        }
        if self.text(SHAPE)? != self.view.shape.as_bytes() {
            return Err(LoadError::Shape);
        }
        let tick = self.number()?;
        if tick < self.view.tree.tick() {
            return Err(LoadError::Damaged("a version of the past"));
        }
        self.tick = tick;
        for slot in self.view.tree.roots.clone().iter() {
            self.meet(*slot)?;
            let head = self.head()?;
            self.apply(*slot, &head)?;
        }
        while let Some(directory) = self.waiting.pop_front() {
            while self.more()? {
                self.entry(directory)?;
            }
        }
        while self.more()? {
            self.node(None)?;
        }
        self.descriptors()?;
        let sum = self.sum.clone().finalize();
        if self.array::<4>()? != sum.to_le_bytes() {
            return Err(LoadError::Damaged("their checksum is another"));
        }
        // A node that nothing holds can only stand in a file that was made up.
        for slot in self.slots {
            self.view.reclaim(slot)?;
        }
        self.view.tree.restored(self.tick);
        Ok(self.view)
    }

    fn entry(&mut self, directory: u32) -> Result<(), LoadError> {
        let number = self.number()?;
        let name = self.text(NAME)?;
        if !is_name(&name) || number == u64::MAX {
            return Err(LoadError::Damaged("a name"));
        }
        let slot = self.node(Some(directory))?;
        let tree = &mut self.view.tree;
        // A second name is charged as one; a directory has one only.
        if tree.node(slot)?.links > 0 {
            if tree.is_directory(Id::Own(slot))? {
                return Err(LoadError::Damaged("a directory with two names"));
            }
            tree.charge_link()?;
        }
        tree.restoring(slot)?.0.links += 1;
        let (Kind::Directory(entries), id) = (&mut tree.restoring(directory)?.0.kind, Id::Own(slot)) else {
            return Err(LoadError::Damaged("an entry outside of a directory"));
        };
        if entries.restore(&name, number, id) {
            Ok(())
        } else {
            Err(LoadError::Damaged("a name that is there twice"))
        }
    }

    /// A node, with the directory that it is in.
    fn node(&mut self, parent: Option<u32>) -> Result<u32, LoadError> {
        let kind = self.byte()?;
        if kind == SEEN {
            let number = self.number()?;
            let slot = usize::try_from(number).ok().and_then(|n| self.slots.get(n)).copied();
            // The writable directories stand in the frame and nowhere else.
            let own = slot.filter(|slot| self.view.tree.node(*slot).is_ok_and(|node| node.zone == Zone::Own));
            return own.ok_or(LoadError::Damaged("a number of a node"));
        }
        let head = self.head()?;
        let kind = match kind {
            FILE => Kind::File(Content::default()),
            // Without a name it has no parent that anybody could ask for.
            DIRECTORY => Kind::Directory(Directory::new(parent.unwrap_or(self.view.tree.root))),
            SYMLINK => Kind::Symlink(self.text(PATH)?.into()),
            _ => return Err(LoadError::Damaged("a kind of node")),
        };
        let is_file = matches!(kind, Kind::File(_));
        let slot = self.view.tree.create_nameless(kind, Zone::Own, 0)?;
        if is_file {
            self.content(slot)?;
        }
        self.apply(slot, &head)?;
        match parent {
            Some(_) => self.meet(slot)?,
            None => self.slots.push(slot),
        }
        Ok(slot)
    }

    fn meet(&mut self, slot: u32) -> Result<(), LoadError> {
        self.slots.push(slot);
        if self.view.tree.is_directory(Id::Own(slot))? {
            self.waiting.push_back(slot);
        }
        Ok(())
    }

    fn head(&mut self) -> Result<Head, LoadError> {
        let (serial, version) = (self.number()?, self.number()?);
        let times = Times { accessed: self.number()?, modified: self.number()?, changed: self.number()? };
        if serial.max(version) > self.tick {
            return Err(LoadError::Damaged("a version of the future"));
        }
        Ok(Head { serial, version, times, next: self.number()? })
    }

    fn apply(&mut self, slot: u32, head: &Head) -> Result<(), LoadError> {
        let (node, _) = self.view.tree.restoring(slot)?;
        (node.serial, node.version, node.times) = (head.serial, head.version, head.times);
        if let Kind::Directory(directory) = &mut node.kind {
            directory.skip_to(head.next);
        }
        Ok(())
    }

    fn content(&mut self, slot: u32) -> Result<(), LoadError> {
        let size = self.number()?;
        self.view.tree.resize(Id::Own(slot), size, 0)?;
        while self.more()? {
            let (number, length) = (self.number()?, self.number()?);
            let mut chunk = self.text(CHUNK)?;
            let length = usize::try_from(length).ok().filter(|length| (chunk.len()..=CHUNK).contains(length));
            chunk.resize(length.ok_or(LoadError::Damaged("a length"))?, 0);
            chunk.shrink_to_fit();
            let (node, purse) = self.view.tree.restoring(slot)?;
            let Kind::File(content) = &mut node.kind else { return Err(LoadError::Damaged("a file")) };
            if !content.restore(number, chunk, purse)? {
                return Err(LoadError::Damaged("a part of a file"));
            }
        }
        Ok(())
    }

    fn descriptors(&mut self) -> Result<(), LoadError> {
        let mut descriptors = Descriptors::empty();
        while self.more()? {
            if descriptors.table.len() >= self.view.tree.limits.open_files {
                return Err(Errno::Mfile.into());
            }
            let descriptor = self.descriptor()?;
            if let Some(descriptor) = &descriptor {
                descriptors.count(descriptor.open);
            }
            descriptors.table.push(descriptor);
        }
        self.view.descriptors = descriptors;
        Ok(())
    }

    fn descriptor(&mut self) -> Result<Option<Descriptor>, LoadError> {
        let open = match self.byte()? {
            CLOSED => return Ok(None),
            STDIN => Open::Stdin,
            STDOUT => Open::Stdout,
            STDERR => Open::Stderr,
            OWN => {
                let number = usize::try_from(self.number()?).ok();
                let slot =
                    number.and_then(|n| self.slots.get(n)).ok_or(LoadError::Damaged("a descriptor"))?;
                Open::Node(Id::Own(*slot))
            }
            FRAME => {
                let slot = u32::try_from(self.number()?).ok();
                let frame =
                    slot.filter(|slot| self.view.tree.node(*slot).is_ok_and(|n| n.zone == Zone::Frame));
                Open::Node(Id::Own(frame.ok_or(LoadError::Damaged("a descriptor"))?))
            }
            BASE => {
                let mount = u16::try_from(self.number()?).map_err(|_| LoadError::Damaged("a descriptor"))?;
                let number = u32::try_from(self.number()?).map_err(|_| LoadError::Damaged("a descriptor"))?;
                self.view.tree.record(mount, number)?;
                Open::Node(Id::Base(mount, number))
            }
            _ => return Err(LoadError::Damaged("a descriptor")),
        };
        let flags = u16::try_from(self.number()?).map_err(|_| LoadError::Damaged("a descriptor"))?;
        let (rights, inheriting) = (Rights(self.number()?), Rights(self.number()?));
        let offset = self.number()?;
        let preopen = self.number()? == 1;
        Ok(Some(Descriptor { open, flags: FdFlags(flags), rights, inheriting, offset, preopen }))
    }

    /// Whether another element follows.
    fn more(&mut self) -> Result<bool, LoadError> {
        match self.byte()? {
            MORE => Ok(true),
            END => Ok(false),
            _ => Err(LoadError::Damaged("a list")),
        }
    }

    fn byte(&mut self) -> Result<u8, LoadError> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    fn number(&mut self) -> Result<u64, LoadError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], LoadError> {
        let mut bytes = [0; N];
        self.from.read_exact(&mut bytes)?;
        self.sum.update(&bytes);
        Ok(bytes)
    }

    /// At most `most` bytes with their length before them.
    fn text(&mut self, most: usize) -> Result<Vec<u8>, LoadError> {
        let length = usize::try_from(self.number()?).ok().filter(|length| *length <= most);
        let mut bytes = vec![0; length.ok_or(LoadError::Damaged("a length"))?];
        self.from.read_exact(&mut bytes)?;
        self.sum.update(&bytes);
        Ok(bytes)
    }
}

/// What is known of a node beside its content.
struct Head {
    serial: u64,
    version: u64,
    times: Times,
    next: u64,
}
