//! The table of open descriptors, and what is done with one of them.

use super::View;
use super::errno::Errno;
use super::flags::{FdFlags, Rights, SetTimes};
use super::node::{FIRST, Id};
use super::tree::{FileType, Stat};
use std::collections::BTreeMap;

/// What a descriptor stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The standard input, which is empty.
    Stdin,
    /// The standard output: its bytes are the host's.
    Stdout,
    /// The standard error output.
    Stderr,
    /// Something in the view.
    File,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Open {
    Stdin,
    Stdout,
    Stderr,
    Node(Id),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Descriptor {
    pub(super) open: Open,
    pub(super) flags: FdFlags,
    pub(super) rights: Rights,
    pub(super) inheriting: Rights,
    pub(super) offset: u64,
    /// It is given to the guest at its start, under the name `/`.
    pub(super) preopen: bool,
}

/// State and rights of a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fdstat {
    /// What it is.
    pub kind: FileType,
    /// Its state.
    pub flags: FdFlags,
    /// What it may be used for.
    pub rights: Rights,
    /// What descriptors opened through it may be used for.
    pub inheriting: Rights,
}

/// What an offset is counted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whence {
    /// The beginning.
    Set,
    /// The position.
    Current,
    /// The end.
    End,
}

/// One entry of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectoryEntry<'v> {
    /// Where a listing goes on after this entry.
    pub next: u64,
    /// The inode.
    pub inode: u64,
    /// What it is.
    pub kind: FileType,
    /// Its name.
    pub name: &'v [u8],
}

#[derive(Clone, Debug)]
pub(super) struct Descriptors {
    pub(super) table: Vec<Option<Descriptor>>,
    /// How many descriptors an inode of the session has, so that it lives as long as the last of them.
    opens: BTreeMap<u32, u32>,
}

impl Descriptors {
    pub(super) fn new(root: Id) -> Self {
        let stream = |open, rights| Descriptor {
            open,
            flags: FdFlags::default(),
            rights: rights | Rights::STAT | Rights::POLL | Rights::SET_FLAGS,
            inheriting: Rights::default(),
            offset: 0,
            preopen: false,
        };
        let root = Descriptor {
            open: Open::Node(root),
            rights: Rights::OF_DIRECTORY,
            inheriting: Rights::OF_DIRECTORY | Rights::FILE,
            preopen: true,
            ..stream(Open::Stdin, Rights::default())
        };
        let table = vec![
            Some(stream(Open::Stdin, Rights::READ)),
            Some(stream(Open::Stdout, Rights::WRITE)),
            Some(stream(Open::Stderr, Rights::WRITE)),
            Some(root),
        ];
        let mut descriptors = Self { table, ..Self::empty() };
        descriptors.count(root.open);
        descriptors
    }

    pub(super) fn empty() -> Self {
        Self { table: Vec::new(), opens: BTreeMap::new() }
    }

    pub(super) fn get(&self, fd: u32) -> Result<&Descriptor, Errno> {
        self.table.get(fd as usize).and_then(Option::as_ref).ok_or(Errno::Badf)
    }

    fn get_mut(&mut self, fd: u32) -> Result<&mut Descriptor, Errno> {
        self.table.get_mut(fd as usize).and_then(Option::as_mut).ok_or(Errno::Badf)
    }

    pub(super) fn count(&mut self, open: Open) {
        if let Open::Node(Id::Own(slot)) = open {
            *self.opens.entry(slot).or_default() += 1;
        }
    }

    pub(super) fn is_open(&self, slot: u32) -> bool {
        self.opens.contains_key(&slot)
    }

    /// The lowest number that is free, before anything is opened for it.
    pub(super) fn vacancy(&self, most: usize) -> Result<usize, Errno> {
        let free = self.table.iter().position(Option::is_none).unwrap_or(self.table.len());
        if free < most { Ok(free) } else { Err(Errno::Mfile) }
    }

    pub(super) fn insert(&mut self, descriptor: Descriptor, most: usize) -> Result<u32, Errno> {
        let free = self.vacancy(most)?;
        let fd = u32::try_from(free).map_err(|_| Errno::Mfile)?;
        if free == self.table.len() {
            self.table.push(None);
        }
        if let Some(place) = self.table.get_mut(free) {
            *place = Some(descriptor);
        }
        self.count(descriptor.open);
        Ok(fd)
    }
}

impl View {
    /// What a descriptor stands for.
    pub fn target(&self, fd: u32) -> Result<Target, Errno> {
        Ok(match self.descriptors.get(fd)?.open {
            Open::Stdin => Target::Stdin,
            Open::Stdout => Target::Stdout,
            Open::Stderr => Target::Stderr,
            Open::Node(_) => Target::File,
        })
    }

    /// Whether a descriptor has a right. Writing and reading answer as POSIX does; the rest as the standard does.
    pub fn check(&self, fd: u32, right: Rights) -> Result<(), Errno> {
        let refused =
            if right == Rights::READ || right == Rights::WRITE { Errno::Badf } else { Errno::Notcapable };
        if self.descriptors.get(fd)?.rights.has(right) { Ok(()) } else { Err(refused) }
    }

    /// Closes a descriptor. What has no name and was open here only is gone with it.
    pub fn close(&mut self, fd: u32) -> Result<(), Errno> {
        let place = self.descriptors.table.get_mut(fd as usize).ok_or(Errno::Badf)?;
        let open = place.take().ok_or(Errno::Badf)?.open;
        while let Some(None) = self.descriptors.table.last() {
            self.descriptors.table.pop();
        }
        if let Open::Node(Id::Own(slot)) = open {
            let left = self.descriptors.opens.get(&slot).map_or(0, |count| count.saturating_sub(1));
            if left > 0 {
                self.descriptors.opens.insert(slot, left);
            } else {
                self.descriptors.opens.remove(&slot);
                self.reclaim(slot)?;
            }
        }
        Ok(())
    }

    /// Ends an inode that has neither name nor descriptor.
    pub(super) fn reclaim(&mut self, slot: u32) -> Result<(), Errno> {
        if self.tree.node(slot)?.links == 0 && !self.descriptors.is_open(slot) {
            self.tree.free(slot);
        }
        Ok(())
    }

    /// The same files with no descriptor open but those that a session begins with.
    #[must_use]
    pub fn closed(&self) -> Self {
        let mut view = self.clone();
        for fd in (0..u32::try_from(view.descriptors.table.len()).unwrap_or(u32::MAX)).rev() {
            // What is not open need not be closed.
            let _ = view.close(fd);
        }
        view.descriptors = Descriptors::new(Id::Own(view.tree.root));
        view
    }

    /// Gives a descriptor the number of another, which is closed.
    pub fn renumber(&mut self, from: u32, to: u32) -> Result<(), Errno> {
        let moved = *self.descriptors.get(from)?;
        self.descriptors.get(to)?;
        if from == to {
            return Ok(());
        }
        // Counted once more, so that closing either leaves it open.
        self.descriptors.count(moved.open);
        self.close(to)?;
        if self.descriptors.table.len() <= to as usize {
            self.descriptors.table.resize(to as usize + 1, None);
        }
        if let Some(place) = self.descriptors.table.get_mut(to as usize) {
            *place = Some(moved);
        }
        self.close(from)
    }

    /// State and rights.
    pub fn fdstat(&self, fd: u32) -> Result<Fdstat, Errno> {
        let descriptor = self.descriptors.get(fd)?;
        let kind = match descriptor.open {
            Open::Node(id) => self.tree.file_type(id)?,
            // No character device: a program would take it for a terminal.
            Open::Stdin | Open::Stdout | Open::Stderr => FileType::Unknown,
        };
        let Descriptor { flags, rights, inheriting, .. } = *descriptor;
        Ok(Fdstat { kind, flags, rights, inheriting })
    }

    /// Sets the state.
    pub fn set_flags(&mut self, fd: u32, flags: FdFlags) -> Result<(), Errno> {
        if !FdFlags::ALL.has(flags) {
            return Err(Errno::Inval);
        }
        self.check(fd, Rights::SET_FLAGS)?;
        self.descriptors.get_mut(fd)?.flags = flags;
        Ok(())
    }

    /// Takes rights away; none can be added.
    pub fn set_rights(&mut self, fd: u32, rights: Rights, inheriting: Rights) -> Result<(), Errno> {
        let descriptor = self.descriptors.get_mut(fd)?;
        if !descriptor.rights.has(rights) || !descriptor.inheriting.has(inheriting) {
            return Err(Errno::Notcapable);
        }
        descriptor.rights = rights;
        descriptor.inheriting = inheriting;
        Ok(())
    }

    /// The name that a descriptor was given to the guest with.
    pub fn preopen(&self, fd: u32) -> Result<&'static [u8], Errno> {
        if self.descriptors.get(fd)?.preopen { Ok(b"/") } else { Err(Errno::Badf) }
    }

    /// Reads at the position, and moves it.
    pub fn read(&mut self, fd: u32, out: &mut [u8]) -> Result<usize, Errno> {
        let offset = self.descriptors.get(fd)?.offset;
        let read = self.read_at(fd, offset, out)?;
        self.descriptors.get_mut(fd)?.offset = offset.saturating_add(read as u64);
        Ok(read)
    }

    /// Reads at an offset. Nothing at the end, or of the standard input.
    pub fn read_at(&self, fd: u32, offset: u64, out: &mut [u8]) -> Result<usize, Errno> {
        self.check(fd, Rights::READ)?;
        match self.descriptors.get(fd)?.open {
            Open::Node(id) => self.tree.read(id, offset, out),
            Open::Stdin => Ok(0),
            Open::Stdout | Open::Stderr => Err(Errno::Badf),
        }
    }

    /// Writes at the position, or at the end if the descriptor appends, and moves the position. Less than asked near a limit.
    pub fn write(&mut self, fd: u32, data: &[u8], now: u64) -> Result<usize, Errno> {
        let Descriptor { open, flags, offset, .. } = *self.descriptors.get(fd)?;
        let at = match open {
            Open::Node(id) if flags.has(FdFlags::APPEND) => self.tree.stat(id)?.size,
            _ => offset,
        };
        let written = self.write_to(fd, at, data, now)?;
        self.descriptors.get_mut(fd)?.offset = at.saturating_add(written as u64);
        Ok(written)
    }

    /// Writes at an offset. A descriptor that appends writes at the end all the same, as Linux has it.
    pub fn write_at(&mut self, fd: u32, offset: u64, data: &[u8], now: u64) -> Result<usize, Errno> {
        let Descriptor { open, flags, .. } = *self.descriptors.get(fd)?;
        match open {
            Open::Node(id) if flags.has(FdFlags::APPEND) => {
                let end = self.tree.stat(id)?.size;
                self.write_to(fd, end, data, now)
            }
            _ => self.write_to(fd, offset, data, now),
        }
    }

    fn write_to(&mut self, fd: u32, offset: u64, data: &[u8], now: u64) -> Result<usize, Errno> {
        self.check(fd, Rights::WRITE)?;
        match self.descriptors.get(fd)?.open {
            Open::Node(Id::Own(slot)) => self.tree.write(slot, offset, data, now),
            Open::Node(Id::Base(..)) => Err(Errno::Rofs),
            Open::Stdin | Open::Stdout | Open::Stderr => Err(Errno::Badf),
        }
    }

    /// Moves the position, which is returned.
    pub fn seek(&mut self, fd: u32, delta: i64, whence: Whence) -> Result<u64, Errno> {
        let Descriptor { open, offset, .. } = *self.descriptors.get(fd)?;
        let Open::Node(id) = open else { return Err(Errno::Spipe) };
        // Asking for the position is another right than setting it.
        let asks = whence == Whence::Current && delta == 0;
        self.check(fd, if asks { Rights::TELL } else { Rights::SEEK })?;
        let from = match whence {
            Whence::Set => 0,
            Whence::Current => offset,
            Whence::End => self.tree.stat(id)?.size,
        };
        let to = from.checked_add_signed(delta).ok_or(Errno::Inval)?;
        // Positions are signed for programs.
        i64::try_from(to).map_err(|_| Errno::Overflow)?;
        self.descriptors.get_mut(fd)?.offset = to;
        Ok(to)
    }

    /// What is known of an open file.
    pub fn stat(&self, fd: u32) -> Result<Stat, Errno> {
        match self.descriptors.get(fd)?.open {
            Open::Node(id) => self.tree.stat(id),
            Open::Stdin | Open::Stdout | Open::Stderr => Ok(Stat {
                device: 0,
                inode: u64::from(fd),
                kind: FileType::Unknown,
                links: 1,
                size: 0,
                times: super::Times::default(),
            }),
        }
    }

    /// Cuts an open file, or extends it by a hole.
    pub fn set_size(&mut self, fd: u32, size: u64, now: u64) -> Result<(), Errno> {
        self.check(fd, Rights::SET_SIZE)?;
        match self.descriptors.get(fd)?.open {
            Open::Node(id) => self.tree.resize(id, size, now),
            Open::Stdin | Open::Stdout | Open::Stderr => Err(Errno::Inval),
        }
    }

    /// Sets the times of an open file.
    pub fn set_times(&mut self, fd: u32, times: (u64, u64), which: SetTimes, now: u64) -> Result<(), Errno> {
        self.check(fd, Rights::SET_TIMES)?;
        match self.descriptors.get(fd)?.open {
            Open::Node(id) => self.tree.set_times(id, times, which, now),
            Open::Stdin | Open::Stdout | Open::Stderr => Err(Errno::Inval),
        }
    }

    /// Gives the entries of a directory from a cookie on, until `take` says `false`. 0 is the beginning; another cookie is the
    /// [`DirectoryEntry::next`] of some entry, and stays right whatever was added or removed.
    pub fn readdir(
        &self,
        fd: u32,
        cookie: u64,
        mut take: impl FnMut(DirectoryEntry<'_>) -> bool,
    ) -> Result<(), Errno> {
        self.check(fd, Rights::READDIR)?;
        let Open::Node(id) = self.descriptors.get(fd)?.open else { return Err(Errno::Notdir) };
        if !self.tree.is_directory(id)? {
            return Err(Errno::Notdir);
        }
        for (number, name) in [(0, b".".as_slice()), (1, b"..")] {
            // A directory that was removed is in none.
            let at = if number == 0 { id } else { self.tree.parent(id).unwrap_or(id) };
            let inode = self.tree.stat(at)?.inode;
            let entry = DirectoryEntry { next: number + 1, inode, kind: FileType::Directory, name };
            if cookie <= number && !take(entry) {
                return Ok(());
            }
        }
        self.tree.entries(id, cookie.max(FIRST), |next, name, id| {
            let stat = self.tree.stat(id)?;
            Ok(take(DirectoryEntry { next, inode: stat.inode, kind: stat.kind, name }))
        })
    }
}
