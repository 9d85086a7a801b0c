//! What the file tools answer wherever they run, inside a sandbox or over a file view: their limits and their words.

use super::frame::CONTROL;
use super::message::{Changed, ListedEntry, ToolResult, WriteFile};
use nix::errno::Errno;

/// Entries of one listing (FS-17: a directory may have a million).
const LISTED: usize = 10_000;
/// Bytes of them, since names may be long: what one message may have, but for its frame.
const LISTING: usize = CONTROL.json - 1024;

/// Levels of a tree that is removed. Each costs init a descriptor and a stack frame, and the kernel a walk up to the root for Landlock: a
/// guest's tree of 30,000 levels would keep init, which also keeps the time, busy for minutes.
pub const REMOVED: usize = 128;
/// Bytes of an answer's line for a path that could not be removed, but for the path itself.
const LINE: usize = 160;

/// Entries looked at for a report. A workspace with a million files would otherwise make every call slow (FS-17).
pub const REPORTED: usize = 20_000;
/// Depth of directories looked at for a report.
pub const REPORTED_LEVELS: usize = 16;
/// Folders that tools fill with files nobody asked for.
const SKIPPED: [&str; 8] =
    ["node_modules", "__pycache__", ".git", ".venv", ".cache", ".ipynb_checkpoints", ".pytest_cache", ".npm"];

/// Whether a report leaves a directory out.
pub fn is_skipped(name: &[u8]) -> bool {
    SKIPPED.iter().any(|skipped| skipped.as_bytes() == name)
}

/// The errno's own words, with advice where there is some.
pub fn reason(errno: Errno) -> String {
    match errno {
        Errno::ENOENT => "no such file or directory".into(),
        Errno::ENOSPC => "disk quota: the session's storage is full; remove files first".into(),
        Errno::EROFS => {
            "read-only: the image cannot be changed; use the workspace, the home directory or /tmp".into()
        }
        errno => errno.desc().to_lowercase(),
    }
}

/// A file of `size` bytes is more than the `room` that is left of its answer.
pub fn too_large_to_read(text: &str, size: u64, room: usize) -> String {
    let advice = if room == CONTROL.blob { "download it in ranges" } else { "read fewer files at once" };
    format!(
        "{text}: the file has {size} bytes, and with it the answer would have more than the {} that it carries; {advice}",
        CONTROL.blob
    )
}

/// A directory was to be read.
pub fn is_directory(text: &str) -> String {
    format!("{text}: is a directory; list it instead")
}

/// Something else than a file was to be read.
pub fn no_file(text: &str) -> String {
    format!("{text}: not a regular file")
}

/// The first of these files that is longer than `most` bytes, with the reason.
pub fn too_large_to_write(files: &[WriteFile], most: u64) -> Option<String> {
    let file = files.iter().find(|file| file.len > most)?;
    Some(format!("{}: has {} bytes, and one file may have at most {most}", file.path, file.len))
}

/// The contents of files, one after the other in `blob`.
pub fn contents<'b>(files: &[WriteFile], blob: &'b [u8]) -> Result<Vec<&'b [u8]>, String> {
    let mut rest = blob;
    let split = files.iter().map(|file| {
        let length = usize::try_from(file.len).unwrap_or(usize::MAX);
        let Some((data, after)) = rest.split_at_checked(length) else {
            return Err(format!("{}: the request holds less than its {length} bytes", file.path));
        };
        rest = after;
        Ok(data)
    });
    split.collect()
}

/// A removal whose answer, which names every path, would not fit one message: said before anything is gone.
pub fn too_many_to_remove(paths: &[String]) -> Option<ToolResult> {
    let lines = paths.iter().map(|path| serde_json::to_vec(path).map_or(0, |json| json.len()) + LINE);
    (lines.sum::<usize>() > CONTROL.json).then(|| ToolResult::Failed {
        message: format!("{} paths are too many at once; nothing was removed", paths.len()),
    })
}

/// The workspace was to be removed.
pub const THE_WORKSPACE: &str = "is the workspace itself; remove what is in it";

/// A tree has more levels than [`REMOVED`].
pub fn too_deep() -> String {
    format!("is deeper than {REMOVED} levels; remove it with a command (rm -rf)")
}

/// A listing that fits one message.
#[derive(Debug)]
pub struct Listing {
    entries: Vec<ListedEntry>,
    room: usize,
    truncated: bool,
}

impl Default for Listing {
    fn default() -> Self {
        Self { entries: Vec::new(), room: LISTING, truncated: false }
    }
}

impl Listing {
    /// Whether another entry may be looked at.
    pub fn has_room(&mut self) -> bool {
        self.truncated |= self.entries.len() == LISTED;
        !self.truncated
    }

    /// Adds an entry, or marks the listing as cut.
    pub fn add(&mut self, entry: ListedEntry) {
        // With its comma.
        let size = serde_json::to_vec(&entry).map_or(0, |json| json.len() + 1);
        match self.room.checked_sub(size) {
            Some(rest) => {
                self.room = rest;
                self.entries.push(entry);
            }
            None => self.truncated = true,
        }
    }

    /// The answer, sorted by name.
    pub fn finish(mut self) -> ToolResult {
        self.entries.sort_by(|a, b| a.name.cmp(&b.name));
        ToolResult::Listing { entries: self.entries, truncated: self.truncated }
    }
}

/// Changed files as a report has them: by path, at most `limit`, and whether there were more.
pub fn report(mut changed: Vec<Changed>, limit: usize) -> (Vec<Changed>, bool) {
    changed.sort_by(|a, b| a.path.cmp(&b.path));
    let truncated = changed.len() > limit;
    changed.truncate(limit);
    (changed, truncated)
}
