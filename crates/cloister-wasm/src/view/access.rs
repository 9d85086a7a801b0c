//! What is read and changed of one inode, wherever it was found: by a descriptor, by a path, by a tool.

use super::errno::Errno;
use super::flags::SetTimes;
use super::node::{FIRST, Id, Kind};
use super::tree::Tree;

impl Tree {
    pub(super) fn read(&self, id: Id, offset: u64, out: &mut [u8]) -> Result<usize, Errno> {
        match id {
            Id::Own(slot) => match &self.node(slot)?.kind {
                Kind::Null => Ok(0),
                _ => Ok(self.content(slot)?.read(offset, out)),
            },
            Id::Base(mount, number) => {
                let record = self.record(mount, number)?;
                if self.is_directory(id)? {
                    return Err(Errno::Isdir);
                }
                let data = self.base(mount)?.base.data(record);
                let there = usize::try_from(offset).ok().and_then(|at| data.get(at..)).unwrap_or_default();
                let (Some(from), Some(to)) =
                    (there.get(..out.len().min(there.len())), out.get_mut(..out.len().min(there.len())))
                else {
                    return Ok(0);
                };
                to.copy_from_slice(from);
                Ok(from.len())
            }
        }
    }

    pub(super) fn write(&mut self, slot: u32, offset: u64, data: &[u8], now: u64) -> Result<usize, Errno> {
        if matches!(self.node(slot)?.kind, Kind::Null) {
            return Ok(data.len());
        }
        self.changeable(Id::Own(slot))?;
        self.content(slot)?;
        if data.is_empty() {
            return Ok(0);
        }
        let room = self.limits.file_bytes.saturating_sub(offset);
        let most = usize::try_from(room).unwrap_or(usize::MAX).min(data.len());
        let data = data.get(..most).filter(|data| !data.is_empty()).ok_or(Errno::Fbig)?;
        let (content, purse) = self.change_content(slot, now)?;
        content.write(offset, data, purse)
    }

    pub(super) fn resize(&mut self, id: Id, size: u64, now: u64) -> Result<(), Errno> {
        let slot = self.changeable(id)?;
        self.content(slot)?;
        if size > self.limits.file_bytes {
            return Err(Errno::Fbig);
        }
        let (content, purse) = self.change_content(slot, now)?;
        content.resize(size, purse);
        Ok(())
    }

    pub(super) fn set_times(
        &mut self,
        id: Id,
        (accessed, modified): (u64, u64),
        which: SetTimes,
        now: u64,
    ) -> Result<(), Errno> {
        let both = |a, b| which.has(a) && which.has(b);
        if both(SetTimes::ACCESSED, SetTimes::ACCESSED_NOW)
            || both(SetTimes::MODIFIED, SetTimes::MODIFIED_NOW)
        {
            return Err(Errno::Inval);
        }
        let slot = self.changeable(id)?;
        let times = &mut self.change(slot, now)?.times;
        if which.has(SetTimes::ACCESSED) {
            times.accessed = accessed;
        }
        if which.has(SetTimes::ACCESSED_NOW) {
            times.accessed = now;
        }
        if which.has(SetTimes::MODIFIED) {
            times.modified = modified;
        }
        if which.has(SetTimes::MODIFIED_NOW) {
            times.modified = now;
        }
        Ok(())
    }

    /// The entries of a directory from a number on, with the number to go on at, until `take` says `false`.
    pub(super) fn entries<'t>(
        &'t self,
        directory: Id,
        from: u64,
        mut take: impl FnMut(u64, &'t [u8], Id) -> Result<bool, Errno>,
    ) -> Result<(), Errno> {
        match directory {
            Id::Own(slot) => {
                // A directory that was removed while it is open is empty.
                let Kind::Directory(directory) = &self.node(slot)?.kind else { return Err(Errno::Notdir) };
                for (name, entry) in directory.from(from) {
                    if !take(entry.number.saturating_add(1), name, entry.id)? {
                        break;
                    }
                }
            }
            Id::Base(mount, number) => {
                let skip = from.saturating_sub(FIRST);
                for (n, (name, child)) in (skip..).zip(self.base(mount)?.base.entries(number, skip)) {
                    if !take(n.saturating_add(FIRST + 1), name, Id::Base(mount, child))? {
                        break;
                    }
                }
            }
        }
        Ok(())
    }
}
