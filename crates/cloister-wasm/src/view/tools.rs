//! The file tools of the API, over a view: the same answers as those of the init of a sandbox (`cloister-jail/src/init/files.rs`).
//!
//! They look at the view only, never at what runs in the session: its position in a file, its descriptors.

use super::View;
use super::content::Content;
use super::errno::Errno;
use super::node::{FIRST, Id, Kind, Zone};
use super::resolve::Follow;
use super::tree::{FileType, Tree};
use cloister_jail::guest::frame::CONTROL;
use cloister_jail::guest::message::{ListedEntry, ToolResult, WriteFile};
use cloister_jail::guest::path::{printable, resolve, show};
use cloister_jail::guest::tools::{self, Listing};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Nanoseconds of a second.
const SECOND: u64 = 1_000_000_000;

impl View {
    /// A file's whole content, if it is within the `room` that is left of its answer; else what happened and what to do.
    pub fn read_whole(&self, text: &str, room: usize) -> Result<Vec<u8>, String> {
        let (id, size) = self.readable(text)?;
        if size > room as u64 {
            return Err(tools::too_large_to_read(text, size, room));
        }
        self.bytes(id, 0, size).map_err(|errno| describe(text, errno))
    }

    /// A range of a file: the file's whole size, its time in seconds since the epoch, and the bytes.
    pub fn read_range(&self, text: &str, offset: u64, length: u64) -> Result<(u64, i64, Vec<u8>), String> {
        let (id, size) = self.readable(text)?;
        let failed = |errno| describe(text, errno);
        let modified = seconds(self.tree.stat(id).map_err(failed)?.times.modified);
        let wanted = length.min(size.saturating_sub(offset)).min(CONTROL.blob as u64);
        Ok((size, modified, self.bytes(id, offset, wanted).map_err(failed)?))
    }

    fn readable(&self, text: &str) -> Result<(Id, u64), String> {
        let path = resolve(&self.workspace, text).map_err(|e| format!("{text}: {e}"))?;
        let id = self.tree.find(&path, Follow::Yes).map_err(|errno| describe(text, errno))?;
        let stat = self.tree.stat(id).map_err(|errno| describe(text, errno))?;
        match stat.kind {
            FileType::Directory => Err(tools::is_directory(text)),
            FileType::RegularFile => Ok((id, stat.size)),
            _ => Err(tools::no_file(text)),
        }
    }

    fn bytes(&self, id: Id, offset: u64, length: u64) -> Result<Vec<u8>, Errno> {
        let mut data = vec![0; usize::try_from(length).map_err(|_| Errno::Nomem)?];
        let read = self.tree.read(id, offset, &mut data)?;
        data.truncate(read);
        Ok(data)
    }

    /// Writes all files or none. A file that is there is replaced, not changed: who has it open keeps what it was.
    ///
    /// `blob` holds the contents, one after the other; `now` is in nanoseconds since the epoch.
    pub fn write_all(&mut self, files: &[WriteFile], blob: &[u8], now: u64) -> ToolResult {
        let before = self.clone();
        let written = match tools::too_large_to_write(files, self.tree.limits.file_bytes) {
            Some(message) => Err(message),
            None => self.write_each(files, blob, now),
        };
        match written {
            Ok(()) => ToolResult::Written {
                files: files.iter().map(|file| (file.path.clone(), file.len)).collect(),
            },
            Err(message) => {
                *self = before;
                ToolResult::Failed { message: format!("nothing was written: {message}") }
            }
        }
    }

    fn write_each(&mut self, files: &[WriteFile], blob: &[u8], now: u64) -> Result<(), String> {
        for (file, data) in files.iter().zip(tools::contents(files, blob)?) {
            let target = resolve(&self.workspace, &file.path).map_err(|e| format!("{}: {e}", file.path))?;
            let is_directory = self.tree.find(&target, Follow::Yes).and_then(|id| self.tree.is_directory(id));
            if file.path.ends_with('/') || is_directory == Ok(true) {
                return Err(format!("{}: is a directory", file.path));
            }
            self.replace(&target, data, now).map_err(|errno| describe(&file.path, errno))?;
        }
        Ok(())
    }

    fn replace(&mut self, target: &Path, data: &[u8], now: u64) -> Result<(), Errno> {
        self.create_parents(target.parent().unwrap_or(Path::new("/")), now)?;
        let root = Id::Own(self.tree.root);
        let found = self.tree.walk(root, target.as_os_str().as_bytes(), Follow::No)?;
        let name = found.name.as_deref().ok_or(Errno::Isdir)?;
        let parent = self.tree.writable(found.parent)?;
        // The old one first: it makes room, and all is undone together.
        if let Some(old) = found.id {
            let (_, slot) = self.tree.removable(found.parent, old)?;
            self.tree.drop_entry(parent, name, now)?;
            self.forget(slot, now)?;
        }
        let slot = self.tree.create(parent, name, Kind::File(Content::default()), Zone::Own, now)?;
        if !data.is_empty() && self.tree.write(slot, 0, data, now)? < data.len() {
            return Err(Errno::Nospc);
        }
        Ok(())
    }

    fn create_parents(&mut self, parent: &Path, now: u64) -> Result<(), Errno> {
        let mut missing = Vec::new();
        let mut at = Some(parent);
        while let Some(directory) = at.filter(|path| self.tree.find(path, Follow::No).is_err()) {
            missing.push(directory);
            at = directory.parent();
        }
        for directory in missing.into_iter().rev() {
            let root = Id::Own(self.tree.root);
            let found = self.tree.walk(root, directory.as_os_str().as_bytes(), Follow::No)?;
            self.tree.make_directory(&found, now)?;
        }
        Ok(())
    }

    /// One directory, sorted by name.
    pub fn list(&self, text: &str) -> ToolResult {
        match self.listing(text) {
            Ok(listing) => listing.finish(),
            Err(message) => ToolResult::Failed { message },
        }
    }

    fn listing(&self, text: &str) -> Result<Listing, String> {
        let directory = match text {
            "" | "." | "/workspace" => Path::new(&*self.workspace).to_path_buf(),
            _ => resolve(&self.workspace, text).map_err(|e| format!("{text}: {e}"))?,
        };
        let id = self.tree.find(&directory, Follow::Yes).map_err(|errno| describe(text, errno))?;
        let mut listing = Listing::default();
        let listed = self.tree.entries(id, FIRST, |_, name, id| {
            if !listing.has_room() {
                return Ok(false);
            }
            let stat = self.tree.stat(id)?;
            let kind = match stat.kind {
                FileType::RegularFile => "file",
                FileType::Directory => "directory",
                FileType::SymbolicLink => "symlink",
                FileType::CharacterDevice | FileType::Unknown => "other",
            };
            let name = OsStr::from_bytes(name);
            listing.add(ListedEntry {
                name: printable(name),
                path: show(&self.workspace, &directory.join(name)),
                kind: kind.into(),
                size: if stat.kind == FileType::RegularFile { stat.size } else { 0 },
                modified: seconds(stat.times.modified),
            });
            Ok(true)
        });
        listed.map_err(|errno| describe(text, errno))?;
        Ok(listing)
    }

    /// Removes files and trees. A symbolic link is removed, not followed. A tree goes as far as it can.
    pub fn remove(&mut self, paths: &[String], now: u64) -> ToolResult {
        if let Some(refused) = tools::too_many_to_remove(paths) {
            return refused;
        }
        let mut removed = Vec::new();
        let mut failed = Vec::new();
        for text in paths {
            match self.remove_one(text, now) {
                Ok(()) => removed.push(text.clone()),
                Err(why) => failed.push((text.clone(), why)),
            }
        }
        ToolResult::Removed { removed, failed }
    }

    fn remove_one(&mut self, text: &str, now: u64) -> Result<(), String> {
        let path = resolve(&self.workspace, text).map_err(|e| e.to_string())?;
        let says = |errno: Errno| tools::reason(errno.os());
        let root = Id::Own(self.tree.root);
        let path = path.as_os_str().as_bytes();
        let found = self.tree.walk(root, path, super::open::trailing(path, Follow::No)).map_err(says)?;
        let id = found.existing(&self.tree).map_err(says)?;
        if self.tree.find(Path::new(&*self.workspace), Follow::Yes) == Ok(id) {
            return Err(tools::THE_WORKSPACE.into());
        }
        // `a/..` and the like mean a directory by a way that it cannot be removed by.
        let name = found.name.as_deref().ok_or_else(|| says(Errno::Inval))?;
        let (parent, slot) = self.tree.removable(found.parent, id).map_err(says)?;
        if self.tree.is_directory(id).map_err(says)? {
            self.empty(slot, tools::REMOVED, now).map_err(|failure| match failure {
                Failure::Errno(errno) => says(errno),
                Failure::TooDeep => tools::too_deep(),
            })?;
        }
        self.tree.drop_entry(parent, name, now).map_err(says)?;
        self.forget(slot, now).map_err(says)
    }

    fn empty(&mut self, directory: u32, levels: usize, now: u64) -> Result<(), Failure> {
        let mut names = Vec::new();
        self.tree.entries(Id::Own(directory), FIRST, |_, name, id| {
            names.push((name.to_vec(), id));
            Ok(true)
        })?;
        for (name, id) in names {
            let (_, slot) = self.tree.removable(Id::Own(directory), id)?;
            if self.tree.is_directory(id)? {
                let deeper = levels.checked_sub(1).ok_or(Failure::TooDeep)?;
                self.empty(slot, deeper, now)?;
            }
            self.tree.drop_entry(directory, &name, now)?;
            self.forget(slot, now)?;
        }
        Ok(())
    }
}

enum Failure {
    Errno(Errno),
    TooDeep,
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

impl Tree {
    fn find(&self, path: &Path, follow: Follow) -> Result<Id, Errno> {
        let path = path.as_os_str().as_bytes();
        self.walk(Id::Own(self.root), path, super::open::trailing(path, follow))?.existing(self)
    }
}

fn describe(path: &str, errno: Errno) -> String {
    format!("{path}: {}", tools::reason(errno.os()))
}

fn seconds(nanoseconds: u64) -> i64 {
    i64::try_from(nanoseconds / SECOND).unwrap_or(i64::MAX)
}
