//! What is done with a descriptor: reading, writing, and what is known of it.

use super::memory::{Memory, field};
use super::{Call, Done, Errno, Stream};
use crate::view::{FdFlags, Rights, SetTimes, Stat, Target, Whence};

/// Bytes that one call moves at most. More is a short answer, which programs expect: a call cannot be interrupted.
pub const IO: usize = 4 << 20;
/// Vectors of one call, as the kernel has it.
pub const VECTORS: u32 = 1024;

/// Bytes of what `fd_filestat_get` writes.
pub(super) const FILESTAT: u32 = 64;

/// Where reading or writing begins.
#[derive(Clone, Copy)]
enum At {
    /// At the position, which moves.
    Position,
    /// At an offset.
    Offset(u64),
}

/// One piece of the guest's memory, of what is left of a call's bytes.
fn vector(memory: &Memory<'_>, vectors: u32, n: u32, left: usize) -> Result<(u32, u32), Errno> {
    let at = field(vectors, n * 8)?;
    let (buffer, length) = (memory.u32(at)?, memory.u32(field(at, 4)?)?);
    // The whole vector must lie in memory, even if less of it is used.
    memory.expect(buffer, length)?;
    Ok((buffer, length.min(u32::try_from(left).unwrap_or(u32::MAX))))
}

impl Call<'_> {
    pub(super) fn fd_read(&mut self, fd: u32, vectors: u32, count: u32, out: u32) -> Done {
        self.read_vectors(fd, vectors, count, At::Position, out)
    }

    pub(super) fn fd_pread(&mut self, fd: u32, vectors: u32, count: u32, offset: u64, out: u32) -> Done {
        self.read_vectors(fd, vectors, count, At::Offset(offset), out)
    }

    fn read_vectors(&mut self, fd: u32, vectors: u32, count: u32, from: At, out: u32) -> Done {
        if count > VECTORS {
            return Err(Errno::Inval.into());
        }
        self.wasi.view.check(fd, Rights::READ)?;
        self.memory.expect(out, 4)?;
        let mut done = 0;
        for n in 0..count {
            let (buffer, length) = vector(&self.memory, vectors, n, IO - done)?;
            let room = self.memory.slice_mut(buffer, length)?;
            let read = match from {
                At::Position => self.wasi.view.read(fd, room)?,
                At::Offset(offset) => {
                    let at = offset.checked_add(done as u64).ok_or(Errno::Inval)?;
                    self.wasi.view.read_at(fd, at, room)?
                }
            };
            self.wasi.moved.read += read as u64;
            self.pay(read)?;
            done += read;
            if read < length as usize || done == IO {
                break;
            }
        }
        Ok(self.memory.put_u32(out, u32::try_from(done).map_err(|_| Errno::Overflow)?)?)
    }

    pub(super) fn fd_write(&mut self, fd: u32, vectors: u32, count: u32, out: u32) -> Done {
        self.write_vectors(fd, vectors, count, At::Position, out)
    }

    pub(super) fn fd_pwrite(&mut self, fd: u32, vectors: u32, count: u32, offset: u64, out: u32) -> Done {
        self.write_vectors(fd, vectors, count, At::Offset(offset), out)
    }

    fn write_vectors(&mut self, fd: u32, vectors: u32, count: u32, to: At, out: u32) -> Done {
        if count > VECTORS {
            return Err(Errno::Inval.into());
        }
        self.wasi.view.check(fd, Rights::WRITE)?;
        self.memory.expect(out, 4)?;
        let target = self.wasi.view.target(fd)?;
        let now = self.now();
        let mut done = 0;
        for n in 0..count {
            let (buffer, length) = vector(&self.memory, vectors, n, IO - done)?;
            self.wasi.budget.charge(u64::from(length / 4096))?;
            let data = self.memory.slice(buffer, length)?;
            let written = match (target, to) {
                (Target::Stdin, _) => Err(Errno::Badf),
                (Target::Stdout | Target::Stderr, At::Offset(_)) => Err(Errno::Spipe),
                (Target::Stdout, At::Position) => {
                    self.host.write(Stream::Stdout, data)?;
                    Ok(data.len())
                }
                (Target::Stderr, At::Position) => {
                    self.host.write(Stream::Stderr, data)?;
                    Ok(data.len())
                }
                (Target::File, At::Position) => self.wasi.view.write(fd, data, now),
                (Target::File, At::Offset(offset)) => {
                    let at = offset.checked_add(done as u64).ok_or(Errno::Inval)?;
                    self.wasi.view.write_at(fd, at, data, now)
                }
            };
            match written {
                Ok(written) => {
                    done += written;
                    if target == Target::File {
                        self.wasi.moved.written += written as u64;
                    }
                }
                // What was written before is told; the next call meets the limit again, and tells that.
                Err(_) if done > 0 => break,
                Err(errno) => return Err(errno.into()),
            }
            if done == IO || written != Ok(length as usize) {
                break;
            }
        }
        Ok(self.memory.put_u32(out, u32::try_from(done).map_err(|_| Errno::Overflow)?)?)
    }

    pub(super) fn fd_close(&mut self, fd: u32) -> Done {
        Ok(self.wasi.view.close(fd)?)
    }

    pub(super) fn fd_renumber(&mut self, from: u32, to: u32) -> Done {
        Ok(self.wasi.view.renumber(from, to)?)
    }

    pub(super) fn fd_seek(&mut self, fd: u32, offset: u64, whence: u32, out: u32) -> Done {
        let whence = match whence {
            0 => Whence::Set,
            1 => Whence::Current,
            2 => Whence::End,
            _ => return Err(Errno::Inval.into()),
        };
        self.memory.expect(out, 8)?;
        let position = self.wasi.view.seek(fd, offset.cast_signed(), whence)?;
        Ok(self.memory.put_u64(out, position)?)
    }

    pub(super) fn fd_tell(&mut self, fd: u32, out: u32) -> Done {
        let position = self.wasi.view.seek(fd, 0, Whence::Current)?;
        Ok(self.memory.put_u64(out, position)?)
    }

    /// Advice changes nothing: all is in memory.
    pub(super) fn fd_advise(&mut self, fd: u32, offset: u64, length: u64, advice: u32) -> Done {
        self.wasi.view.check(fd, Rights::ADVISE)?;
        if advice > 5 || offset.checked_add(length).is_none() {
            return Err(Errno::Inval.into());
        }
        Ok(())
    }

    /// Room cannot be promised: it is charged when it is written to.
    pub(super) fn fd_allocate(&mut self, fd: u32, _offset: u64, _length: u64) -> Done {
        self.wasi.view.check(fd, Rights::ALLOCATE)?;
        Err(Errno::Notsup.into())
    }

    pub(super) fn fd_datasync(&mut self, fd: u32) -> Done {
        self.fd_sync(fd)
    }

    /// Memory is as safe as it gets.
    pub(super) fn fd_sync(&mut self, fd: u32) -> Done {
        match self.wasi.view.target(fd)? {
            Target::File => Ok(()),
            Target::Stdin | Target::Stdout | Target::Stderr => Err(Errno::Inval.into()),
        }
    }

    pub(super) fn fd_fdstat_get(&mut self, fd: u32, out: u32) -> Done {
        let stat = self.wasi.view.fdstat(fd)?;
        self.memory.put(out, &[stat.kind as u8, 0])?;
        self.memory.put(field(out, 2)?, &stat.flags.0.to_le_bytes())?;
        self.memory.put_u32(field(out, 4)?, 0)?;
        self.memory.put_u64(field(out, 8)?, stat.rights.0)?;
        Ok(self.memory.put_u64(field(out, 16)?, stat.inheriting.0)?)
    }

    pub(super) fn fd_fdstat_set_flags(&mut self, fd: u32, flags: u32) -> Done {
        let flags = u16::try_from(flags).map_err(|_| Errno::Inval)?;
        Ok(self.wasi.view.set_flags(fd, FdFlags(flags))?)
    }

    pub(super) fn fd_fdstat_set_rights(&mut self, fd: u32, rights: u64, inheriting: u64) -> Done {
        Ok(self.wasi.view.set_rights(fd, Rights(rights), Rights(inheriting))?)
    }

    pub(super) fn fd_filestat_get(&mut self, fd: u32, out: u32) -> Done {
        let stat = self.wasi.view.stat(fd)?;
        self.put_stat(out, &stat)
    }

    pub(super) fn put_stat(&mut self, out: u32, stat: &Stat) -> Done {
        let mut record = [0; FILESTAT as usize];
        let times = stat.times;
        let fields = [
            stat.device,
            stat.inode,
            stat.kind as u64,
            stat.links,
            stat.size,
            times.accessed,
            times.modified,
            times.changed,
        ];
        for (place, value) in record.chunks_exact_mut(8).zip(fields) {
            place.copy_from_slice(&value.to_le_bytes());
        }
        Ok(self.memory.put(out, &record)?)
    }

    pub(super) fn fd_filestat_set_size(&mut self, fd: u32, size: u64) -> Done {
        let now = self.now();
        Ok(self.wasi.view.set_size(fd, size, now)?)
    }

    pub(super) fn fd_filestat_set_times(
        &mut self,
        fd: u32,
        accessed: u64,
        modified: u64,
        which: u32,
    ) -> Done {
        let now = self.now();
        Ok(self.wasi.view.set_times(fd, (accessed, modified), times(which)?, now)?)
    }
}

/// Which times to set.
pub(super) fn times(which: u32) -> Result<SetTimes, Errno> {
    u16::try_from(which).ok().filter(|which| *which <= 15).map(SetTimes).ok_or(Errno::Inval)
}
