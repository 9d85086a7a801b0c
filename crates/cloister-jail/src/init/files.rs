//! The file tools, run by init inside the sandbox: the kernel resolves every path in the sandbox's own root, as the guest's user.

use crate::guest::frame::CONTROL;
use crate::guest::message::{ListedEntry, ToolResult, WriteFile};
use crate::guest::path::{printable, resolve, show};
use crate::guest::tools::{self, Listing};
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// statfs(2): procfs. Its files look regular and speak of init itself.
const PROC_SUPER_MAGIC: nix::libc::c_long = 0x9fa0;

/// A file's whole content, if it is within the `room` that is left of its answer.
pub(super) fn read_whole(workspace: &str, text: &str, room: usize) -> Result<Vec<u8>, String> {
    let (mut file, size) = open(workspace, text)?;
    if size > room as u64 {
        return Err(tools::too_large_to_read(text, size, room));
    }
    let mut data = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    // The file may grow while it is read; what comes after the limit is not ours to carry.
    Read::by_ref(&mut file).take(room as u64).read_to_end(&mut data).map_err(|e| describe(text, &e))?;
    Ok(data)
}

/// A range of a file, its whole size and its time.
pub(super) fn read_range(
    workspace: &str,
    text: &str,
    offset: u64,
    length: u64,
) -> Result<(u64, i64, Vec<u8>), String> {
    let (file, size) = open(workspace, text)?;
    let modified = file.metadata().map_err(|e| describe(text, &e))?.mtime();
    let wanted = length.min(size.saturating_sub(offset)).min(CONTROL.blob as u64);
    let mut data = vec![0; usize::try_from(wanted).unwrap_or(0)];
    let mut filled = 0;
    while let Some(rest) = data.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(describe(text, &e)),
        }
    }
    data.truncate(filled);
    Ok((size, modified, data))
}

/// What is never followed.
fn resolution() -> ResolveFlag {
    #[cfg(debug_assertions)]
    if FOLLOWS_ALL.load(std::sync::atomic::Ordering::Relaxed) {
        return ResolveFlag::empty();
    }
    ResolveFlag::RESOLVE_NO_MAGICLINKS
}

/// Set from [`crate::plan::Missing::Links`].
#[cfg(debug_assertions)]
pub(super) static FOLLOWS_ALL: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

fn open(workspace: &str, text: &str) -> Result<(File, u64), String> {
    let path = resolve(workspace, text).map_err(|e| format!("{text}: {e}"))?;
    // Non-blocking, so that a FIFO with a tempting name stops nobody (CAP-04). Without magic links, since those of /proc/self are
    // init's: its `exe` is the jail program, a file of the host (CVE-2019-5736 began like that).
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC)
        .resolve(resolution());
    let file = openat2(AT_FDCWD, &path, how).map(File::from).map_err(|e| describe(text, &e.into()))?;
    let meta = file.metadata().map_err(|e| describe(text, &e))?;
    let procfs = nix::sys::statfs::fstatfs(&file).is_ok_and(|fs| fs.filesystem_type().0 == PROC_SUPER_MAGIC);
    if meta.is_dir() {
        return Err(tools::is_directory(text));
    }
    if !meta.is_file() || procfs {
        return Err(tools::no_file(text));
    }
    Ok((file, meta.len()))
}

/// Writes all files or none: every content goes to a temporary name first, then all are renamed; a failure puts everything back.
///
/// `most`: bytes of one file. Init's own limit is the host's, so what holds for a guest's files is checked here.
pub(super) fn write_all(workspace: &str, files: &[WriteFile], blob: &[u8], most: u64) -> ToolResult {
    let mut undo = Undo::default();
    let written = match tools::too_large_to_write(files, most) {
        Some(message) => Err(message),
        None => stage_and_rename(workspace, files, blob, &mut undo),
    };
    match written {
        Ok(written) => {
            undo.commit();
            ToolResult::Written { files: written }
        }
        Err(message) => {
            undo.roll_back();
            ToolResult::Failed { message: format!("nothing was written: {message}") }
        }
    }
}

fn stage_and_rename(
    workspace: &str,
    files: &[WriteFile],
    blob: &[u8],
    undo: &mut Undo,
) -> Result<Vec<(String, u64)>, String> {
    let mut staged: Vec<(PathBuf, PathBuf)> = Vec::new();
    let contents = tools::contents(files, blob)?;
    for (n, (file, data)) in files.iter().zip(contents).enumerate() {
        let target = resolve(workspace, &file.path).map_err(|e| format!("{}: {e}", file.path))?;
        if file.path.ends_with('/') || target.is_dir() {
            return Err(format!("{}: is a directory", file.path));
        }
        let parent = target.parent().unwrap_or(Path::new("/"));
        undo.create_parents(parent).map_err(|e| describe(&file.path, &e))?;
        let temporary = parent.join(format!(".cloister-{}-{n}.part", std::process::id()));
        let mode = fs::metadata(&target).map_or(0o600, |m| m.mode() & 0o777);
        undo.temporaries.push(temporary.clone());
        let mut out = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&temporary)
            .map_err(|e| describe(&file.path, &e))?;
        out.write_all(data).map_err(|e| describe(&file.path, &e))?;
        staged.push((temporary, target));
    }
    for (n, (temporary, target)) in staged.iter().enumerate() {
        let name = &files.get(n).map_or("", |f| f.path.as_str());
        if fs::symlink_metadata(target).is_ok() {
            let backup = temporary.with_extension("old");
            fs::rename(target, &backup).map_err(|e| describe(name, &e))?;
            undo.backups.push((backup, target.clone()));
        }
        fs::rename(temporary, target).map_err(|e| describe(name, &e))?;
        undo.created.push(target.clone());
    }
    Ok(files.iter().map(|f| (f.path.clone(), f.len)).collect())
}

/// What has been done so far, to be undone in reverse.
#[derive(Default)]
struct Undo {
    directories: Vec<PathBuf>,
    temporaries: Vec<PathBuf>,
    created: Vec<PathBuf>,
    backups: Vec<(PathBuf, PathBuf)>,
}

impl Undo {
    fn create_parents(&mut self, parent: &Path) -> io::Result<()> {
        let mut missing = Vec::new();
        let mut at = Some(parent);
        while let Some(directory) = at.filter(|d| fs::symlink_metadata(d).is_err()) {
            missing.push(directory.to_path_buf());
            at = directory.parent();
        }
        for directory in missing.into_iter().rev() {
            fs::create_dir(&directory)?;
            self.directories.push(directory);
        }
        Ok(())
    }

    // Errors below are not reported: the first failure is the one that counts, and the guest may be changing the same files.
    fn commit(self) {
        for (backup, _) in self.backups {
            drop(fs::remove_file(backup));
        }
    }

    fn roll_back(self) {
        for path in self.created.iter().chain(&self.temporaries) {
            drop(fs::remove_file(path));
        }
        for (backup, target) in self.backups.into_iter().rev() {
            drop(fs::rename(backup, target));
        }
        for directory in self.directories.into_iter().rev() {
            drop(fs::remove_dir(directory));
        }
    }
}

/// One directory, sorted by name.
pub(super) fn list(workspace: &str, text: &str) -> ToolResult {
    let directory = match text {
        "" | "." | "/workspace" => PathBuf::from(workspace),
        _ => match resolve(workspace, text) {
            Ok(path) => path,
            Err(e) => return ToolResult::Failed { message: format!("{text}: {e}") },
        },
    };
    // The names there are init's own: the descriptors it has, the addresses of its memory.
    if nix::sys::statfs::statfs(&directory).is_ok_and(|fs| fs.filesystem_type().0 == PROC_SUPER_MAGIC) {
        return ToolResult::Failed { message: format!("{text}: is part of /proc; list it with a command") };
    }
    let entries = match fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(e) => return ToolResult::Failed { message: describe(text, &e) },
    };
    let mut listing = Listing::default();
    for entry in entries.flatten() {
        if !listing.has_room() {
            break;
        }
        let Ok(meta) = entry.metadata() else { continue };
        let kind = match meta.file_type() {
            t if t.is_file() => "file",
            t if t.is_dir() => "directory",
            t if t.is_symlink() => "symlink",
            _ => "other",
        };
        listing.add(ListedEntry {
            name: printable(&entry.file_name()),
            path: show(workspace, &entry.path()),
            kind: kind.into(),
            size: if meta.is_file() { meta.len() } else { 0 },
            modified: meta.mtime(),
        });
    }
    listing.finish()
}

pub(super) fn describe(path: &str, error: &io::Error) -> String {
    format!("{path}: {}", reason(error))
}

/// The errno's own words, without Rust's "(os error 2)".
pub(super) fn reason(error: &io::Error) -> String {
    let errno = error.raw_os_error().map(nix::errno::Errno::from_raw);
    errno.map_or_else(|| error.to_string(), tools::reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, len: u64) -> WriteFile {
        WriteFile { path: path.into(), len }
    }

    #[test]
    fn a_failing_write_leaves_nothing_and_loses_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_str().unwrap();
        fs::write(dir.path().join("old"), "before").unwrap();
        fs::create_dir(dir.path().join("taken")).unwrap();
        let result =
            write_all(root, &[file("old", 3), file("new/deep", 3), file("taken", 3)], b"aaabbbccc", u64::MAX);
        assert!(matches!(&result, ToolResult::Failed { message } if message.contains("taken")), "{result:?}");
        assert_eq!(fs::read_to_string(dir.path().join("old")).unwrap(), "before");
        let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "{names:?}");
    }

    #[test]
    fn writes_create_parents_and_keep_modes() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_str().unwrap();
        fs::write(dir.path().join("run.sh"), "x").unwrap();
        fs::set_permissions(dir.path().join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
        let result = write_all(root, &[file("a/b/c.bin", 2), file("run.sh", 1)], b"\xff\x00y", u64::MAX);
        assert!(matches!(result, ToolResult::Written { .. }));
        assert_eq!(read_whole(root, "a/b/c.bin", CONTROL.blob).unwrap(), b"\xff\x00");
        let mode = fs::metadata(dir.path().join("run.sh")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755);
    }

    #[test]
    fn what_is_no_regular_file_is_refused_without_blocking() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_str().unwrap();
        nix::unistd::mkfifo(&dir.path().join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        std::os::unix::fs::symlink("/proc/self/environ", dir.path().join("env")).unwrap();
        for (path, words) in
            [("pipe", "regular"), ("env", "regular"), (".", "directory"), ("gone", "no such file")]
        {
            let error = read_whole(root, path, CONTROL.blob).unwrap_err();
            assert!(error.contains(words), "{path}: {error}");
        }
    }

    #[test]
    fn the_links_of_proc_to_what_init_has_open_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_str().unwrap();
        fs::write(dir.path().join("held"), "x").unwrap();
        let held = File::open(dir.path().join("held")).unwrap();
        let number = std::os::fd::AsRawFd::as_raw_fd(&held);
        std::os::unix::fs::symlink("/proc/self/exe", dir.path().join("program")).unwrap();
        for path in
            ["program", "/proc/self/exe", &format!("/proc/self/fd/{number}"), "/proc/self/cwd/Cargo.toml"]
        {
            assert!(read_whole(root, path, CONTROL.blob).is_err(), "{path}");
            assert!(read_range(root, path, 0, 4).is_err(), "{path}");
        }
        assert!(read_whole(root, "held", CONTROL.blob).is_ok());
    }

    #[test]
    fn a_listing_of_long_names_is_cut_where_its_message_would_be_too_long() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_str().unwrap();
        for n in 0..3000 {
            File::create(dir.path().join(format!("{n:05}{}", "x".repeat(240)))).unwrap();
        }
        let result = list(root, ".");
        let ToolResult::Listing { entries, truncated: true } = &result else { panic!("not cut") };
        assert!(entries.len() > 1000);
        assert!(crate::guest::frame::head(&result, 0, CONTROL).is_ok());
    }

    #[test]
    fn ranges_beyond_the_end_are_empty_and_say_the_size() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_str().unwrap();
        fs::write(dir.path().join("f"), "0123456789").unwrap();
        assert_eq!(read_range(root, "f", 3, 4).unwrap().2, b"3456");
        assert_eq!(read_range(root, "f", 8, u64::MAX).unwrap().2, b"89");
        let (size, _, data) = read_range(root, "f", 99, 1).unwrap();
        assert_eq!((size, data.len()), (10, 0));
    }
}
