//! The tree of a view: the session's own inodes under their quotas, with bases mounted into it. A copy costs a few counts.

use super::base::{self, Base};
use super::content::{Content, Purse};
use super::errno::Errno;
use super::node::{Directory, Id, Kind, Node, Times, Zone};
use super::slab::Slab;
use std::sync::Arc;

/// Bytes that an inode or an entry of a directory is charged beside its content: more than either takes, with the longest name, even if
/// it is alone in its directory (1.2 KiB). Without it a million empty directories would cost nothing.
pub(super) const ENTRY_COST: u64 = 2048;

/// What a session may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all its files, each rounded up to 4 KiB, and 2 KiB for each entry of a directory.
    pub bytes: u64,
    /// Files, directories and links.
    pub inodes: u64,
    /// Bytes of one file, holes included.
    pub file_bytes: u64,
    /// Descriptors open at once.
    pub open_files: usize,
}

/// What a session has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// As charged.
    pub bytes: u64,
    /// As charged.
    pub inodes: u64,
}

/// What something is, with the numbers of WASI preview 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FileType {
    /// A stream of the host.
    Unknown = 0,
    /// `/dev/null`.
    CharacterDevice = 2,
    /// A directory.
    Directory = 3,
    /// A file.
    RegularFile = 4,
    /// A symbolic link.
    SymbolicLink = 7,
}

/// What `stat` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// 1 for the session's own files; a base has its own number.
    pub device: u64,
    /// Unique on its device, and never given again.
    pub inode: u64,
    /// What it is.
    pub kind: FileType,
    /// Entries that name it.
    pub links: u64,
    /// Bytes; of a symbolic link, those of its target.
    pub size: u64,
    /// When it was changed.
    pub times: Times,
}

/// The device number of the session's own files; bases count on from it.
const OWN_DEVICE: u64 = 1;

/// A base, and the directory of the frame that it is in.
#[derive(Clone, Debug)]
pub(super) struct Mount {
    pub(super) base: Arc<Base>,
    pub(super) parent: u32,
}

#[derive(Clone, Debug)]
pub(super) struct Tree {
    slab: Slab,
    pub(super) mounts: Arc<Vec<Mount>>,
    pub(super) root: u32,
    /// The writable directories, in the order in which they were made.
    pub(super) roots: Arc<Vec<u32>>,
    pub(super) limits: Limits,
    purse: Purse,
    inodes: u64,
    /// Counts changes; every one gets a number of its own.
    tick: u64,
}

impl Tree {
    /// A tree with a root that nothing can be written to.
    pub(super) fn new(limits: Limits) -> Self {
        let mut slab = Slab::default();
        let directory = Kind::Directory(Directory::new(0));
        let node = Node {
            kind: directory,
            zone: Zone::Frame,
            links: 1,
            serial: 1,
            version: 1,
            times: Times::default(),
        };
        let root = slab.insert(node).unwrap_or(0);
        let purse = Purse::new(limits.bytes);
        Self { slab, mounts: Arc::default(), root, roots: Arc::default(), limits, purse, inodes: 0, tick: 1 }
    }

    pub(super) fn limit(&mut self, limits: Limits) {
        self.limits = limits;
        self.purse.limit(limits.bytes);
    }

    pub(super) fn usage(&self) -> Usage {
        Usage { bytes: self.purse.used(), inodes: self.inodes }
    }

    pub(super) fn tick(&self) -> u64 {
        self.tick
    }

    /// Ends the filling of a tree, which counted changes that were none: numbers up to this one were given.
    pub(super) fn restored(&mut self, tick: u64) {
        self.tick = tick;
    }

    pub(super) fn node(&self, slot: u32) -> Result<&Node, Errno> {
        self.slab.get(slot).ok_or(Errno::Io)
    }

    /// A node that is going to change: it gets a new version, and the time of its change.
    pub(super) fn change(&mut self, slot: u32, now: u64) -> Result<&mut Node, Errno> {
        self.tick += 1;
        let node = self.slab.get_mut(slot).ok_or(Errno::Io)?;
        node.version = self.tick;
        node.times.changed = now;
        Ok(node)
    }

    pub(super) fn base(&self, mount: u16) -> Result<&Mount, Errno> {
        self.mounts.get(usize::from(mount)).ok_or(Errno::Io)
    }

    pub(super) fn record(&self, mount: u16, number: u32) -> Result<base::Record, Errno> {
        self.base(mount)?.base.record(number).ok_or(Errno::Io)
    }

    pub(super) fn file_type(&self, id: Id) -> Result<FileType, Errno> {
        Ok(match id {
            Id::Own(slot) => match &self.node(slot)?.kind {
                Kind::Directory(_) => FileType::Directory,
                Kind::File(_) => FileType::RegularFile,
                Kind::Symlink(_) => FileType::SymbolicLink,
                Kind::Null => FileType::CharacterDevice,
            },
            Id::Base(mount, number) => match self.record(mount, number)?.kind {
                base::DIRECTORY => FileType::Directory,
                base::SYMLINK => FileType::SymbolicLink,
                _ => FileType::RegularFile,
            },
        })
    }

    pub(super) fn is_directory(&self, id: Id) -> Result<bool, Errno> {
        Ok(self.file_type(id)? == FileType::Directory)
    }

    pub(super) fn stat(&self, id: Id) -> Result<Stat, Errno> {
        let kind = self.file_type(id)?;
        Ok(match id {
            Id::Own(slot) => {
                let node = self.node(slot)?;
                let size = match &node.kind {
                    Kind::File(content) => content.size(),
                    Kind::Symlink(target) => target.len() as u64,
                    Kind::Directory(_) | Kind::Null => 0,
                };
                let links = u64::from(node.links);
                Stat { device: OWN_DEVICE, inode: node.serial, kind, links, size, times: node.times }
            }
            Id::Base(mount, number) => {
                let record = self.record(mount, number)?;
                let device = OWN_DEVICE + 1 + u64::from(mount);
                let inode = u64::from(number) + 1;
                Stat { device, inode, kind, links: 1, size: record.size(), times: Times::at(record.modified) }
            }
        })
    }

    /// The target of a symbolic link.
    pub(super) fn target(&self, id: Id) -> Result<Option<&[u8]>, Errno> {
        Ok(match id {
            Id::Own(slot) => match &self.node(slot)?.kind {
                Kind::Symlink(target) => Some(target),
                _ => None,
            },
            Id::Base(mount, number) => {
                let record = self.record(mount, number)?;
                (record.kind == base::SYMLINK).then_some(self.base(mount)?.base.data(record))
            }
        })
    }

    /// The directory that a directory is in; of the root, itself.
    pub(super) fn parent(&self, id: Id) -> Result<Id, Errno> {
        Ok(match id {
            Id::Own(slot) => Id::Own(self.directory(slot)?.parent),
            Id::Base(mount, 0) => Id::Own(self.base(mount)?.parent),
            Id::Base(mount, number) => Id::Base(mount, self.record(mount, number)?.parent),
        })
    }

    /// What a directory has under this name. A directory that was removed while it was open has nothing, and no parent.
    pub(super) fn lookup(&self, directory: Id, name: &[u8]) -> Result<Option<Id>, Errno> {
        match directory {
            Id::Own(slot) => Ok(self.directory(slot)?.get(name)),
            Id::Base(mount, number) => {
                let found = self.base(mount)?.base.lookup(number, name)?;
                Ok(found.map(|child| Id::Base(mount, child)))
            }
        }
    }

    /// A directory of the session's own tree that is still in it.
    pub(super) fn directory(&self, slot: u32) -> Result<&Directory, Errno> {
        let node = self.node(slot)?;
        match &node.kind {
            Kind::Directory(_) if node.links == 0 => Err(Errno::Noent),
            Kind::Directory(directory) => Ok(directory),
            _ => Err(Errno::Notdir),
        }
    }

    /// The slot of a directory in which entries may be made and removed.
    pub(super) fn writable(&self, directory: Id) -> Result<u32, Errno> {
        match directory {
            Id::Base(..) => Err(Errno::Rofs),
            Id::Own(slot) if self.node(slot)?.zone == Zone::Frame => Err(Errno::Rofs),
            Id::Own(slot) => Ok(slot),
        }
    }

    /// The slot of a node whose content and times may be changed.
    pub(super) fn changeable(&self, id: Id) -> Result<u32, Errno> {
        match id {
            Id::Own(slot) if self.node(slot)?.zone != Zone::Frame => Ok(slot),
            _ => Err(Errno::Rofs),
        }
    }

    /// Pays for another name.
    pub(super) fn charge_link(&mut self) -> Result<(), Errno> {
        self.charge(ENTRY_COST)
    }

    fn charge(&mut self, bytes: u64) -> Result<(), Errno> {
        if self.inodes >= self.limits.inodes {
            return Err(Errno::Nospc);
        }
        self.purse.take(bytes)?;
        self.inodes += 1;
        Ok(())
    }

    fn refund(&mut self, bytes: u64) {
        self.purse.give(bytes);
        self.inodes = self.inodes.saturating_sub(1);
    }

    /// Makes a node under a name that is free. The first name of a node is part of its own charge.
    pub(super) fn create(
        &mut self,
        parent: u32,
        name: &[u8],
        kind: Kind,
        zone: Zone,
        now: u64,
    ) -> Result<u32, Errno> {
        self.directory(parent)?;
        let slot = self.create_nameless(kind, zone, now)?;
        self.link(parent, name, slot, now)?;
        Ok(slot)
    }

    /// Makes a node without a name; the caller gives it one, or a descriptor, or frees it.
    pub(super) fn create_nameless(&mut self, kind: Kind, zone: Zone, now: u64) -> Result<u32, Errno> {
        let cost = cost(&kind);
        // The frame is the configuration's and costs the session nothing.
        if zone == Zone::Own {
            self.charge(cost)?;
        }
        self.tick += 1;
        let tick = self.tick;
        let node = Node { kind, zone, links: 0, serial: tick, version: tick, times: Times::at(now) };
        self.slab.insert(node).ok_or(Errno::Nospc)
    }

    /// Gives a node another name, which costs as much as an inode: else names were a way to take memory for nothing.
    pub(super) fn add_link(&mut self, parent: u32, name: &[u8], slot: u32, now: u64) -> Result<(), Errno> {
        self.directory(parent)?;
        let links = self.node(slot)?.links;
        if links > 0 {
            links.checked_add(1).ok_or(Errno::Nospc)?;
            self.charge_link()?;
        }
        self.link(parent, name, slot, now)
    }

    fn link(&mut self, parent: u32, name: &[u8], slot: u32, now: u64) -> Result<(), Errno> {
        self.change(slot, now)?.links += 1;
        self.set_entry(parent, name, Id::Own(slot), now)
    }

    /// Lets a name mean something, without counting.
    pub(super) fn set_entry(&mut self, parent: u32, name: &[u8], id: Id, now: u64) -> Result<(), Errno> {
        self.change_directory(parent, now)?.set(name, id);
        Ok(())
    }

    /// Takes a name away, without counting.
    pub(super) fn drop_entry(&mut self, parent: u32, name: &[u8], now: u64) -> Result<(), Errno> {
        self.change_directory(parent, now)?.remove(name).map(drop).ok_or(Errno::Noent)
    }

    pub(super) fn change_directory(&mut self, slot: u32, now: u64) -> Result<&mut Directory, Errno> {
        let node = self.change(slot, now)?;
        node.times.modified = now;
        match &mut node.kind {
            Kind::Directory(directory) => Ok(directory),
            _ => Err(Errno::Notdir),
        }
    }

    /// Counts one name less; how many are left.
    pub(super) fn unlink(&mut self, slot: u32, now: u64) -> Result<u32, Errno> {
        let node = self.change(slot, now)?;
        node.links = node.links.saturating_sub(1);
        let left = node.links;
        if left > 0 {
            self.refund(ENTRY_COST);
        }
        Ok(left)
    }

    /// Ends a node that has no name and no descriptor.
    pub(super) fn free(&mut self, slot: u32) {
        let cost = self.slab.get(slot).filter(|node| node.zone == Zone::Own).map(|node| match &node.kind {
            Kind::File(content) => cost(&node.kind) + content.held(),
            kind => cost(kind),
        });
        if let Some(cost) = cost {
            self.refund(cost);
            self.slab.remove(slot);
        }
    }

    pub(super) fn content(&self, slot: u32) -> Result<&Content, Errno> {
        match &self.node(slot)?.kind {
            Kind::File(content) => Ok(content),
            Kind::Directory(_) => Err(Errno::Isdir),
            Kind::Symlink(_) | Kind::Null => Err(Errno::Inval),
        }
    }

    /// A file's content, to be changed, with the purse that pays for it.
    pub(super) fn change_content(
        &mut self,
        slot: u32,
        now: u64,
    ) -> Result<(&mut Content, &mut Purse), Errno> {
        self.content(slot)?;
        self.tick += 1;
        let node = self.slab.get_mut(slot).ok_or(Errno::Io)?;
        node.version = self.tick;
        node.times.changed = now;
        node.times.modified = now;
        match &mut node.kind {
            Kind::File(content) => Ok((content, &mut self.purse)),
            _ => Err(Errno::Inval),
        }
    }

    /// A node to be filled from a saved view: nothing about it changes by itself.
    pub(super) fn restoring(&mut self, slot: u32) -> Result<(&mut Node, &mut Purse), Errno> {
        Ok((self.slab.get_mut(slot).ok_or(Errno::Io)?, &mut self.purse))
    }
}

/// What a node is charged beside its content: the target of a symbolic link is charged with it.
fn cost(kind: &Kind) -> u64 {
    match kind {
        Kind::Symlink(target) => ENTRY_COST + target.len() as u64,
        _ => ENTRY_COST,
    }
}
