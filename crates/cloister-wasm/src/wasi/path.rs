//! What is done with paths.

use super::fd::{FILESTAT, times};
use super::{Call, Done, Errno};
use crate::view::{FdFlags, Follow, OpenFlags, Rights, Wanted};

fn follow(lookup: u32) -> Result<Follow, Errno> {
    match lookup {
        0 => Ok(Follow::No),
        1 => Ok(Follow::Yes),
        _ => Err(Errno::Inval),
    }
}

impl Call<'_> {
    #[allow(clippy::too_many_arguments, reason = "the standard's signature")]
    pub(super) fn path_open(
        &mut self,
        fd: u32,
        lookup: u32,
        path: u32,
        length: u32,
        how: u32,
        rights: u64,
        inheriting: u64,
        flags: u32,
        out: u32,
    ) -> Done {
        self.memory.expect(out, 4)?;
        let how = OpenFlags(u16::try_from(how).map_err(|_| Errno::Inval)?);
        let flags = FdFlags(u16::try_from(flags).map_err(|_| Errno::Inval)?);
        let wanted = Wanted { rights: Rights(rights), inheriting: Rights(inheriting), flags };
        let now = self.now();
        let path = self.memory.path(path, length)?;
        let opened = self.wasi.view.open(fd, path, follow(lookup)?, how, wanted, now)?;
        Ok(self.memory.put_u32(out, opened)?)
    }

    pub(super) fn path_create_directory(&mut self, fd: u32, path: u32, length: u32) -> Done {
        let now = self.now();
        Ok(self.wasi.view.create_directory(fd, self.memory.path(path, length)?, now)?)
    }

    pub(super) fn path_filestat_get(
        &mut self,
        fd: u32,
        lookup: u32,
        path: u32,
        length: u32,
        out: u32,
    ) -> Done {
        self.memory.expect(out, FILESTAT)?;
        let stat = self.wasi.view.stat_path(fd, self.memory.path(path, length)?, follow(lookup)?)?;
        self.put_stat(out, &stat)
    }

    #[allow(clippy::too_many_arguments, reason = "the standard's signature")]
    pub(super) fn path_filestat_set_times(
        &mut self,
        fd: u32,
        lookup: u32,
        path: u32,
        length: u32,
        accessed: u64,
        modified: u64,
        which: u32,
    ) -> Done {
        let (now, which) = (self.now(), times(which)?);
        let path = self.memory.path(path, length)?;
        Ok(self.wasi.view.set_times_path(fd, path, follow(lookup)?, (accessed, modified), which, now)?)
    }

    #[allow(clippy::too_many_arguments, reason = "the standard's signature")]
    pub(super) fn path_link(
        &mut self,
        old_fd: u32,
        lookup: u32,
        old: u32,
        old_length: u32,
        new_fd: u32,
        new: u32,
        new_length: u32,
    ) -> Done {
        let now = self.now();
        let old = self.memory.path(old, old_length)?;
        let new = self.memory.path(new, new_length)?;
        Ok(self.wasi.view.link((old_fd, old), follow(lookup)?, (new_fd, new), now)?)
    }

    pub(super) fn path_readlink(
        &mut self,
        fd: u32,
        path: u32,
        length: u32,
        buffer: u32,
        size: u32,
        out: u32,
    ) -> Done {
        self.memory.expect(out, 4)?;
        let target = self.wasi.view.readlink(fd, self.memory.path(path, length)?)?;
        let fits = target.len().min(size as usize);
        self.memory.put(buffer, target.get(..fits).unwrap_or_default())?;
        Ok(self.memory.put_u32(out, u32::try_from(fits).map_err(|_| Errno::Overflow)?)?)
    }

    pub(super) fn path_remove_directory(&mut self, fd: u32, path: u32, length: u32) -> Done {
        let now = self.now();
        Ok(self.wasi.view.remove_directory(fd, self.memory.path(path, length)?, now)?)
    }

    pub(super) fn path_rename(
        &mut self,
        old_fd: u32,
        old: u32,
        old_length: u32,
        new_fd: u32,
        new: u32,
        new_length: u32,
    ) -> Done {
        let now = self.now();
        let old = self.memory.path(old, old_length)?;
        let new = self.memory.path(new, new_length)?;
        Ok(self.wasi.view.rename((old_fd, old), (new_fd, new), now)?)
    }

    pub(super) fn path_symlink(
        &mut self,
        target: u32,
        target_length: u32,
        fd: u32,
        path: u32,
        length: u32,
    ) -> Done {
        let now = self.now();
        let target = self.memory.path(target, target_length)?;
        let path = self.memory.path(path, length)?;
        Ok(self.wasi.view.symlink(target, fd, path, now)?)
    }

    pub(super) fn path_unlink_file(&mut self, fd: u32, path: u32, length: u32) -> Done {
        let now = self.now();
        Ok(self.wasi.view.unlink(fd, self.memory.path(path, length)?, now)?)
    }
}
