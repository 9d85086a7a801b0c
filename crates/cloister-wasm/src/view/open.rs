//! Opening by path, with every combination of flags that WASI knows.

use super::View;
use super::content::Content;
use super::descriptors::{Descriptor, Open};
use super::errno::Errno;
use super::flags::{FdFlags, OpenFlags, Rights};
use super::node::{Id, Kind, Zone};
use super::resolve::{Follow, Found};
use super::tree::FileType;

/// What a new descriptor is wanted for. Any of [`Rights::ANY_WRITE`] is a wish to write.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// For the descriptor itself.
    pub rights: Rights,
    /// For what is opened through it.
    pub inheriting: Rights,
    /// Its state.
    pub flags: FdFlags,
}

impl View {
    /// Opens what a path names, relative to a directory's descriptor.
    ///
    /// The new descriptor has of the wanted rights what the directory's descriptor hands on and what suits the file.
    pub fn open(
        &mut self,
        fd: u32,
        path: &[u8],
        follow: Follow,
        how: OpenFlags,
        wanted: Wanted,
        now: u64,
    ) -> Result<u32, Errno> {
        self.check(fd, Rights::OPEN)?;
        let creates = how.has(OpenFlags::CREATE);
        if creates {
            self.check(fd, Rights::CREATE_FILE)?;
        }
        let truncates = how.has(OpenFlags::TRUNCATE);
        if truncates {
            self.check(fd, Rights::PATH_SET_SIZE)?;
        }
        let directory_only = how.has(OpenFlags::DIRECTORY);
        if !FdFlags::ALL.has(wanted.flags) || how.0 > 15 || (creates && directory_only) {
            return Err(Errno::Inval);
        }
        let handed = self.descriptors.get(fd)?.inheriting;
        let rights = wanted.rights & handed;
        let writes = rights.0 & Rights::ANY_WRITE.0 != 0;
        // Emptying a file is writing.
        if truncates && !writes {
            return Err(Errno::Notcapable);
        }
        // Before anything is made that then could not be opened.
        self.descriptors.vacancy(self.tree.limits.open_files)?;
        let exclusive = creates && how.has(OpenFlags::EXCLUSIVE);
        let start = self.directory(fd)?;
        let found = match follow {
            _ if exclusive => self.tree.walk_to_make(start, path, Follow::No)?,
            follow if creates => self.tree.walk_to_make(start, path, follow)?,
            follow => self.tree.walk(start, path, trailing(path, follow))?,
        };
        let id = match found.id {
            Some(_) if exclusive => return Err(Errno::Exist),
            Some(_) => found.existing(&self.tree)?,
            None if creates => Id::Own(self.make(&found, now)?),
            None => return Err(Errno::Noent),
        };
        let kind = self.tree.file_type(id)?;
        match kind {
            FileType::SymbolicLink => return Err(Errno::Loop),
            FileType::Directory if writes || creates => return Err(Errno::Isdir),
            FileType::Directory | FileType::Unknown => {}
            FileType::RegularFile | FileType::CharacterDevice if directory_only => return Err(Errno::Notdir),
            FileType::RegularFile if writes => drop(self.tree.changeable(id)?),
            FileType::RegularFile | FileType::CharacterDevice => {}
        }
        if truncates && kind == FileType::RegularFile {
            self.tree.resize(id, 0, now)?;
        }
        let (all, inheriting) = match kind {
            FileType::Directory => (Rights::OF_DIRECTORY, wanted.inheriting & handed),
            _ => (Rights::FILE, Rights::default()),
        };
        let descriptor = Descriptor {
            open: Open::Node(id),
            flags: wanted.flags,
            rights: rights & all,
            inheriting,
            offset: 0,
            preopen: false,
        };
        self.descriptors.insert(descriptor, self.tree.limits.open_files)
    }

    fn make(&mut self, found: &Found<'_>, now: u64) -> Result<u32, Errno> {
        let name = found.name.as_deref().ok_or(Errno::Isdir)?;
        let parent = self.tree.writable(found.parent)?;
        self.tree.create(parent, name, Kind::File(Content::default()), Zone::Own, now)
    }

    /// The directory that a descriptor stands for.
    pub(super) fn directory(&self, fd: u32) -> Result<Id, Errno> {
        match self.descriptors.get(fd)?.open {
            Open::Node(id) if self.tree.is_directory(id)? => Ok(id),
            _ => Err(Errno::Notdir),
        }
    }
}

/// A path that ends with a slash means the directory behind a symbolic link.
pub(super) fn trailing(path: &[u8], follow: Follow) -> Follow {
    if path.last() == Some(&b'/') { Follow::Yes } else { follow }
}
