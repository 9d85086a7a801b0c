//! What is done with paths: making, naming, moving and removing, each as the kernel would do it.

use super::View;
use super::errno::Errno;
use super::flags::{Rights, SetTimes};
use super::node::{Directory, Id, Kind, Zone};
use super::open::trailing;
use super::resolve::{Follow, Found, PATH};
use super::tree::{Stat, Tree};

/// Levels of directories below which no more are made: a way up is never longer than this.
pub(super) const DEPTH: usize = 512;

impl View {
    /// Makes a directory.
    pub fn create_directory(&mut self, fd: u32, path: &[u8], now: u64) -> Result<(), Errno> {
        self.check(fd, Rights::CREATE_DIRECTORY)?;
        let found = self.tree.walk(self.directory(fd)?, path, Follow::No)?;
        self.tree.make_directory(&found, now).map(drop)
    }

    /// What is known of what a path names.
    pub fn stat_path(&self, fd: u32, path: &[u8], follow: Follow) -> Result<Stat, Errno> {
        self.check(fd, Rights::PATH_STAT)?;
        let found = self.tree.walk(self.directory(fd)?, path, trailing(path, follow))?;
        self.tree.stat(found.existing(&self.tree)?)
    }

    /// Sets the times (of access, of modification) of what a path names.
    pub fn set_times_path(
        &mut self,
        fd: u32,
        path: &[u8],
        follow: Follow,
        times: (u64, u64),
        which: SetTimes,
        now: u64,
    ) -> Result<(), Errno> {
        self.check(fd, Rights::PATH_SET_TIMES)?;
        let found = self.tree.walk(self.directory(fd)?, path, trailing(path, follow))?;
        self.tree.set_times(found.existing(&self.tree)?, times, which, now)
    }

    /// Gives a file another name. Directories have one name only, or there could be circles.
    pub fn link(
        &mut self,
        (old_fd, old): (u32, &[u8]),
        follow: Follow,
        (new_fd, new): (u32, &[u8]),
        now: u64,
    ) -> Result<(), Errno> {
        self.check(old_fd, Rights::LINK_SOURCE)?;
        self.check(new_fd, Rights::LINK_TARGET)?;
        let source = self.tree.walk(self.directory(old_fd)?, old, trailing(old, follow))?;
        let id = source.existing(&self.tree)?;
        let target = self.tree.walk(self.directory(new_fd)?, new, Follow::No)?;
        let (Some(name), None) = (&target.name, target.id) else { return Err(Errno::Exist) };
        if target.slash {
            return Err(Errno::Noent);
        }
        let parent = self.tree.writable(target.parent)?;
        if self.tree.is_directory(id)? {
            return Err(Errno::Perm);
        }
        let Ok(slot) = self.tree.changeable(id) else { return Err(Errno::Xdev) };
        self.tree.add_link(parent, name, slot, now)
    }

    /// The target of a symbolic link, as it was given.
    pub fn readlink(&self, fd: u32, path: &[u8]) -> Result<&[u8], Errno> {
        self.check(fd, Rights::READLINK)?;
        let found = self.tree.walk(self.directory(fd)?, path, trailing(path, Follow::No))?;
        self.tree.target(found.existing(&self.tree)?)?.ok_or(Errno::Inval)
    }

    /// Makes a symbolic link. Its target need not exist, and means something inside of the view only.
    pub fn symlink(&mut self, target: &[u8], fd: u32, path: &[u8], now: u64) -> Result<(), Errno> {
        self.check(fd, Rights::SYMLINK)?;
        match target {
            [] => return Err(Errno::Noent),
            target if target.len() > PATH => return Err(Errno::Nametoolong),
            target if target.contains(&0) => return Err(Errno::Inval),
            _ => {}
        }
        let found = self.tree.walk(self.directory(fd)?, path, Follow::No)?;
        let (Some(name), None) = (&found.name, found.id) else { return Err(Errno::Exist) };
        if found.slash {
            return Err(Errno::Noent);
        }
        let parent = self.tree.writable(found.parent)?;
        self.tree.create(parent, name, Kind::Symlink(target.into()), Zone::Own, now).map(drop)
    }

    /// Removes an empty directory.
    pub fn remove_directory(&mut self, fd: u32, path: &[u8], now: u64) -> Result<(), Errno> {
        self.check(fd, Rights::REMOVE_DIRECTORY)?;
        let found = self.tree.walk(self.directory(fd)?, path, Follow::No)?;
        let id = found.id.ok_or(Errno::Noent)?;
        // What a path ending with dots means cannot be removed under that name. Above, there is always something in it.
        let name = found.name.as_ref().ok_or(if found.up { Errno::Notempty } else { Errno::Inval })?;
        if !self.tree.is_directory(id)? {
            return Err(Errno::Notdir);
        }
        let (parent, slot) = self.tree.removable(found.parent, id)?;
        if !self.tree.directory(slot)?.is_empty() {
            return Err(Errno::Notempty);
        }
        self.tree.drop_entry(parent, name, now)?;
        self.forget(slot, now)
    }

    /// Removes a name. What it named lives on as long as it has another name or a descriptor.
    pub fn unlink(&mut self, fd: u32, path: &[u8], now: u64) -> Result<(), Errno> {
        self.check(fd, Rights::UNLINK)?;
        let found = self.tree.walk(self.directory(fd)?, path, Follow::No)?;
        let id = found.id.ok_or(Errno::Noent)?;
        if self.tree.is_directory(id)? {
            return Err(Errno::Isdir);
        }
        let name = found.name.as_ref().ok_or(Errno::Isdir)?;
        found.existing(&self.tree)?;
        let (parent, slot) = self.tree.removable(found.parent, id)?;
        self.tree.drop_entry(parent, name, now)?;
        self.forget(slot, now)
    }

    /// Counts one name less of a node whose entry is gone.
    pub(super) fn forget(&mut self, slot: u32, now: u64) -> Result<(), Errno> {
        self.tree.unlink(slot, now)?;
        self.reclaim(slot)
    }

    /// Moves a name, and replaces what has the new one.
    pub fn rename(
        &mut self,
        (old_fd, old): (u32, &[u8]),
        (new_fd, new): (u32, &[u8]),
        now: u64,
    ) -> Result<(), Errno> {
        self.check(old_fd, Rights::RENAME_SOURCE)?;
        self.check(new_fd, Rights::RENAME_TARGET)?;
        let from = self.tree.walk(self.directory(old_fd)?, old, Follow::No)?;
        let to = self.tree.walk(self.directory(new_fd)?, new, Follow::No)?;
        self.rename_found(&from, &to, now)
    }

    pub(super) fn rename_found(&mut self, from: &Found<'_>, to: &Found<'_>, now: u64) -> Result<(), Errno> {
        let (Some(old), Some(new)) = (&from.name, &to.name) else { return Err(Errno::Busy) };
        let id = from.existing(&self.tree)?;
        let (parent, slot) = self.tree.removable(from.parent, id)?;
        let target = self.tree.writable(to.parent)?;
        // The directory may have been removed while it was open.
        self.tree.directory(target)?;
        let is_directory = self.tree.is_directory(id)?;
        if is_directory {
            self.tree.is_outside(target, slot)?;
        } else if to.slash {
            return Err(Errno::Notdir);
        }
        let replaced = match to.id {
            None => None,
            Some(same) if same == id => return Ok(()),
            Some(other) => {
                let (_, other) = self.tree.removable(to.parent, other)?;
                match &self.tree.node(other)?.kind {
                    Kind::Directory(_) if !is_directory => {
                        // What it is in is not empty, whatever else it is.
                        self.tree.is_outside(parent, other).map_err(|_| Errno::Notempty)?;
                        return Err(Errno::Isdir);
                    }
                    Kind::Directory(directory) if !directory.is_empty() => return Err(Errno::Notempty),
                    Kind::Directory(_) => {}
                    _ if is_directory => return Err(Errno::Notdir),
                    _ => {}
                }
                Some(other)
            }
        };
        self.tree.drop_entry(parent, old, now)?;
        self.tree.set_entry(target, new, id, now)?;
        let moved = self.tree.change(slot, now)?;
        if let Kind::Directory(directory) = &mut moved.kind {
            directory.parent = target;
        }
        replaced.map_or(Ok(()), |gone| self.forget(gone, now))
    }
}

impl Tree {
    /// Makes a directory where a path led.
    pub(super) fn make_directory(&mut self, found: &Found<'_>, now: u64) -> Result<u32, Errno> {
        let (Some(name), None) = (&found.name, found.id) else { return Err(Errno::Exist) };
        let parent = self.writable(found.parent)?;
        self.way_up(parent, |_| Ok(()))?;
        self.create(parent, name, Kind::Directory(Directory::new(parent)), Zone::Own, now)
    }

    /// The slots of a directory and of something in it that may be removed or moved.
    pub(super) fn removable(&self, parent: Id, id: Id) -> Result<(u32, u32), Errno> {
        let parent = self.writable(parent)?;
        match id {
            Id::Own(slot) if self.node(slot)?.zone == Zone::Own => Ok((parent, slot)),
            _ => Err(Errno::Busy),
        }
    }

    /// Refuses a directory that is `moved` or below it: a directory inside of itself could never be reached again, nor ever be freed.
    fn is_outside(&self, directory: u32, moved: u32) -> Result<(), Errno> {
        self.way_up(directory, |slot| if slot == moved { Err(Errno::Inval) } else { Ok(()) })
    }

    /// Visits a directory and all above it.
    fn way_up(&self, directory: u32, mut visit: impl FnMut(u32) -> Result<(), Errno>) -> Result<(), Errno> {
        let mut at = directory;
        for _ in 0..DEPTH {
            visit(at)?;
            let parent = self.directory(at)?.parent;
            if parent == at {
                return Ok(());
            }
            at = parent;
        }
        Err(Errno::Nametoolong)
    }
}
