//! Listings of directories, and the descriptor of `/` that a guest begins with.

use super::memory::field;
use super::{Call, Done, Errno};
use crate::view::DirectoryEntry;

/// Bytes of an entry before its name.
const HEAD: usize = 24;

impl Call<'_> {
    /// Fills the buffer with entries. The last one may be cut: the guest sees that the buffer is full, and asks again from there.
    pub(super) fn fd_readdir(&mut self, fd: u32, buffer: u32, length: u32, cookie: u64, out: u32) -> Done {
        self.memory.expect(out, 4)?;
        self.memory.expect(buffer, length)?;
        let length = length.min(u32::try_from(super::IO).unwrap_or(u32::MAX));
        let room = self.memory.slice_mut(buffer, length)?;
        let mut used = 0;
        self.wasi.view.readdir(fd, cookie, |entry| {
            for part in [head(&entry).as_slice(), entry.name] {
                let rest = room.get_mut(used..).unwrap_or_default();
                let fits = part.len().min(rest.len());
                if let (Some(to), Some(from)) = (rest.get_mut(..fits), part.get(..fits)) {
                    to.copy_from_slice(from);
                }
                used += fits;
            }
            used < room.len()
        })?;
        self.pay(used)?;
        Ok(self.memory.put_u32(out, u32::try_from(used).map_err(|_| Errno::Overflow)?)?)
    }

    pub(super) fn fd_prestat_get(&mut self, fd: u32, out: u32) -> Done {
        let name = self.wasi.view.preopen(fd)?;
        self.memory.put_u32(out, 0)?;
        Ok(self.memory.put_u32(field(out, 4)?, u32::try_from(name.len()).map_err(|_| Errno::Overflow)?)?)
    }

    pub(super) fn fd_prestat_dir_name(&mut self, fd: u32, buffer: u32, length: u32) -> Done {
        let name = self.wasi.view.preopen(fd)?;
        if (length as usize) < name.len() {
            return Err(Errno::Nametoolong.into());
        }
        Ok(self.memory.put(buffer, name)?)
    }
}

fn head(entry: &DirectoryEntry<'_>) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    let length = u32::try_from(entry.name.len()).unwrap_or(u32::MAX);
    let fields: [&[u8]; 4] =
        [&entry.next.to_le_bytes(), &entry.inode.to_le_bytes(), &length.to_le_bytes(), &[entry.kind as u8]];
    for (place, value) in head.iter_mut().zip(fields.into_iter().flatten()) {
        *place = *value;
    }
    head
}
