//! One inode of a session's own tree.

use super::content::Content;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A name in a directory: 1 to 255 bytes without `/` and NUL.
pub(super) type Name = Arc<[u8]>;

/// Which inode: one of the session's own, by its slot, or one of a base, by the number of its mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Id {
    Own(u32),
    Base(u16, u32),
}

/// What may be done with a node of the session's own tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Zone {
    /// Part of the frame: `/`, `/home`. Nothing in it can be changed.
    Frame,
    /// A writable directory that the configuration names. It cannot be moved or removed.
    Root,
    /// Below such a directory: the session's.
    Own,
}

/// Nanoseconds since the epoch. Reading does not change the time of access, as if mounted with `noatime`: it would make every copy of
/// a view grow by reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Of the last access that somebody has set.
    pub accessed: u64,
    /// Of the last change of the content.
    pub modified: u64,
    /// Of the last change of anything. It cannot be set.
    pub changed: u64,
}

impl Times {
    pub(super) fn at(now: u64) -> Self {
        Self { accessed: now, modified: now, changed: now }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) zone: Zone,
    /// Entries that name it. A node without any lives as long as a descriptor has it open.
    pub(super) links: u32,
    /// Unique in the view for ever, unlike the slot: what the guest sees as the inode's number.
    pub(super) serial: u64,
    /// The view's tick at its last change: two views with the same numbers have the same node.
    pub(super) version: u64,
    pub(super) times: Times,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Directory(Directory),
    File(Content),
    Symlink(Arc<[u8]>),
    /// `/dev/null`.
    Null,
}

#[derive(Clone, Debug)]
pub(super) struct Directory {
    /// The slot of the directory that this one is in; of the root, its own.
    pub(super) parent: u32,
    names: BTreeMap<Name, Entry>,
    /// The same entries by number. A number is given once: a listing that was interrupted goes on where it was, whatever was removed
    /// or added since.
    order: BTreeMap<u64, Name>,
    next: u64,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) number: u64,
    pub(super) id: Id,
}

/// The first number of an entry: `.` and `..` have those before.
pub(super) const FIRST: u64 = 2;

impl Directory {
    pub(super) fn new(parent: u32) -> Self {
        Self { parent, names: BTreeMap::new(), order: BTreeMap::new(), next: FIRST }
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<Id> {
        self.names.get(name).map(|entry| entry.id)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Adds an entry, or lets a name that is there mean something else.
    pub(super) fn set(&mut self, name: &[u8], id: Id) {
        if let Some(entry) = self.names.get_mut(name) {
            entry.id = id;
            return;
        }
        let name: Name = name.into();
        let number = self.next;
        self.next += 1;
        self.order.insert(number, name.clone());
        self.names.insert(name, Entry { number, id });
    }

    pub(super) fn remove(&mut self, name: &[u8]) -> Option<Id> {
        let entry = self.names.remove(name)?;
        self.order.remove(&entry.number);
        Some(entry.id)
    }

    /// Entries with this number or a later one, in their order.
    pub(super) fn from(&self, number: u64) -> impl Iterator<Item = (&Name, Entry)> {
        self.order.range(number..).filter_map(|(_, name)| Some((name, *self.names.get(name)?)))
    }

    /// Adds an entry under the number that it had; `false` if there is one with that name or number.
    pub(super) fn restore(&mut self, name: &[u8], number: u64, id: Id) -> bool {
        if number < FIRST || self.names.contains_key(name) || self.order.contains_key(&number) {
            return false;
        }
        let name: Name = name.into();
        self.order.insert(number, name.clone());
        self.names.insert(name, Entry { number, id });
        self.next = self.next.max(number.saturating_add(1));
        true
    }

    /// Numbers up to this one were given, although their entries are gone.
    pub(super) fn skip_to(&mut self, next: u64) {
        self.next = self.next.max(next);
    }
}
