//! Which files a call created or changed: the workspace looked at before and after it.

use crate::guest::digest::Digests;
use crate::guest::message::Changed;
use crate::guest::path::show;
use crate::guest::tools::{self, REPORTED as ENTRIES, REPORTED_LEVELS as DEPTH, is_skipped};
use nix::fcntl::OFlag;
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What identifies a version of a file. The change time cannot be set by programs, unlike the modification time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Version {
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

/// The regular files of a workspace at one moment.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    files: HashMap<PathBuf, Version>,
}

impl Snapshot {
    /// Looks at the workspace. Symbolic links are not followed; what cannot be read is left out.
    pub(super) fn take(workspace: &str) -> Self {
        let mut snapshot = Self::default();
        let mut budget = ENTRIES;
        snapshot.walk(Path::new(workspace), DEPTH, &mut budget);
        snapshot
    }

    fn walk(&mut self, directory: &Path, depth: usize, budget: &mut usize) {
        let Ok(entries) = fs::read_dir(directory) else { return };
        for entry in entries.flatten() {
            if *budget == 0 {
                return;
            }
            *budget -= 1;
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                let skipped = is_skipped(entry.file_name().as_encoded_bytes());
                if depth > 0 && !skipped {
                    self.walk(&entry.path(), depth - 1, budget);
                }
            } else if kind.is_file()
                && let Ok(meta) = entry.metadata()
            {
                let version = Version {
                    inode: meta.ino(),
                    size: meta.len(),
                    changed: (meta.ctime(), meta.ctime_nsec()),
                };
                self.files.insert(entry.path(), version);
            }
        }
    }

    /// What is new or different in `after`, by path, at most `limit`; and whether there was more.
    pub(super) fn changes(&self, after: &Self, workspace: &str, limit: usize) -> (Vec<Changed>, bool) {
        let different: HashMap<String, (&PathBuf, &Version)> = after
            .files
            .iter()
            .filter(|(path, version)| self.files.get(*path) != Some(version))
            .map(|(path, version)| (show(workspace, path), (path, version)))
            .collect();
        let changed = different
            .iter()
            .map(|(shown, (path, version))| Changed {
                path: shown.clone(),
                size: version.size,
                created: !self.files.contains_key(*path),
                digest: None,
            })
            .collect();
        let (mut reported, more) = tools::report(changed, limit);
        let mut digests = Digests::default();
        for file in &mut reported {
            if let Some((path, version)) = different.get(&file.path) {
                file.digest = version.open(path).and_then(|open| digests.of(version.size, open));
            }
        }
        (reported, more)
    }
}

impl Version {
    /// The file, if it still is this one: a guest may have put something else there, a link or a pipe.
    fn open(self, path: &Path) -> Option<File> {
        let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
        let meta = file.metadata().ok()?;
        (meta.is_file() && meta.ino() == self.inode).then_some(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_tells_new_changed_and_untouched_files_apart() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_str().unwrap();
        fs::write(dir.path().join("same"), "1").unwrap();
        fs::write(dir.path().join("grows"), "1").unwrap();
        let before = Snapshot::take(root);
        fs::write(dir.path().join("grows"), "22").unwrap();
        fs::create_dir(dir.path().join("sub")).unwrap();
        fs::write(dir.path().join("sub/new"), "333").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("link")).unwrap();
        let (changes, more) = before.changes(&Snapshot::take(root), root, 10);
        let seen: Vec<_> = changes.iter().map(|c| (c.path.as_str(), c.size, c.created)).collect();
        assert_eq!(seen, [("grows", 2, false), ("sub/new", 3, true)]);
        assert!(!more);
        let digest = "556d7dc3a115356350f1f9910b1af1ab0e312d4b3e4fc788d2da63668f36d017";
        assert_eq!(changes[1].digest.as_deref(), Some(digest));
    }
}
