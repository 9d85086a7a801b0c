//! Why an operation was refused, with the numbers of WASI preview 1 and the words of the kernel.

use cloister_jail::Errno as Os;

/// An error number of WASI preview 1, as far as the view and its functions give any. Zero, success, is not one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.os().desc())]
#[repr(u16)]
pub enum Errno {
    /// The descriptor is not open, or not open for this.
    Badf = 8,
    /// What is always there cannot be moved or removed.
    Busy = 10,
    /// Something has this name already.
    Exist = 20,
    /// An address or a length outside of the guest's memory.
    Fault = 21,
    /// Above the limit for one file.
    Fbig = 22,
    /// An argument without a meaning.
    Inval = 28,
    /// The view contradicts itself; a base that was checked when it was opened never gives this.
    Io = 29,
    /// A directory, where a file was asked for.
    Isdir = 31,
    /// Too many symbolic links on the way.
    Loop = 32,
    /// No descriptor is left.
    Mfile = 33,
    /// A name, a path or a tree is too long.
    Nametoolong = 37,
    /// Nothing has this name.
    Noent = 44,
    /// The host has no memory.
    Nomem = 48,
    /// The quota is used up.
    Nospc = 51,
    /// No directory, where one was asked for.
    Notdir = 54,
    /// The directory has entries.
    Notempty = 55,
    /// There are no sockets.
    Notsock = 57,
    /// The view does not have this.
    Notsup = 58,
    /// A number that does not fit its type.
    Overflow = 61,
    /// Never permitted.
    Perm = 63,
    /// Outside of the writable directories.
    Rofs = 69,
    /// Streams have no position.
    Spipe = 70,
    /// Between the base and the session's own files.
    Xdev = 75,
    /// The descriptor lacks the right.
    Notcapable = 76,
}

impl Errno {
    /// The number that a guest gets.
    pub fn number(self) -> u16 {
        self as u16
    }

    /// The kernel's name for it, whose words the file tools use.
    pub(super) fn os(self) -> Os {
        match self {
            Self::Badf => Os::EBADF,
            Self::Busy => Os::EBUSY,
            Self::Exist => Os::EEXIST,
            Self::Fault => Os::EFAULT,
            Self::Fbig => Os::EFBIG,
            Self::Inval => Os::EINVAL,
            Self::Io => Os::EIO,
            Self::Isdir => Os::EISDIR,
            Self::Loop => Os::ELOOP,
            Self::Mfile => Os::EMFILE,
            Self::Nametoolong => Os::ENAMETOOLONG,
            Self::Noent => Os::ENOENT,
            Self::Nomem => Os::ENOMEM,
            Self::Nospc => Os::ENOSPC,
            Self::Notdir => Os::ENOTDIR,
            Self::Notempty => Os::ENOTEMPTY,
            Self::Notsock => Os::ENOTSOCK,
            Self::Notsup => Os::ENOTSUP,
            Self::Overflow => Os::EOVERFLOW,
            Self::Perm => Os::EPERM,
            Self::Rofs => Os::EROFS,
            Self::Spipe => Os::ESPIPE,
            Self::Xdev => Os::EXDEV,
            Self::Notcapable => Os::EACCES,
        }
    }
}
