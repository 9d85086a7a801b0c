//! Removal of files and trees: by descriptors, so that no link is followed, and to a limited depth.

use super::files::reason;
use crate::guest::message::ToolResult;
use crate::guest::path::resolve;
use crate::guest::tools::{self, REMOVED as DEPTH};
use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

/// Removes files and trees. A symbolic link is removed, not followed.
pub(super) fn remove(workspace: &str, paths: &[String]) -> ToolResult {
    if let Some(refused) = tools::too_many_to_remove(paths) {
        return refused;
    }
    let mut removed = Vec::new();
    let mut failed = Vec::new();
    for text in paths {
        match remove_one(workspace, text) {
            Ok(()) => removed.push(text.clone()),
            Err(why) => failed.push((text.clone(), why)),
        }
    }
    ToolResult::Removed { removed, failed }
}

fn remove_one(workspace: &str, text: &str) -> Result<(), String> {
    let path = resolve(workspace, text).map_err(|e| e.to_string())?;
    let meta = fs::symlink_metadata(&path).map_err(|e| reason(&e))?;
    if !meta.is_dir() {
        return fs::remove_file(&path).map_err(|e| reason(&e));
    }
    // By identity: there are many ways to write one directory.
    if fs::metadata(workspace).is_ok_and(|w| (w.dev(), w.ino()) == (meta.dev(), meta.ino())) {
        return Err(tools::THE_WORKSPACE.into());
    }
    let emptied = Dir::open(&path, DIRECTORY, Mode::empty())
        .map_err(Failure::Os)
        .and_then(|mut d| empty(&mut d, DEPTH));
    match emptied {
        Ok(()) => fs::remove_dir(&path).map_err(|e| reason(&e)),
        Err(Failure::Os(errno)) => Err(reason(&io::Error::from(errno))),
        Err(Failure::TooDeep) => Err(tools::too_deep()),
    }
}

const DIRECTORY: OFlag = OFlag::O_DIRECTORY.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

enum Failure {
    Os(Errno),
    TooDeep,
}

fn empty(directory: &mut Dir, levels: usize) -> Result<(), Failure> {
    let mut names: Vec<(CString, Option<Type>)> = Vec::new();
    for entry in directory.iter() {
        let entry = entry.map_err(Failure::Os)?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push((entry.file_name().to_owned(), entry.file_type()));
        }
    }
    for (name, kind) in names {
        let name = name.as_c_str();
        // tmpfs always says what an entry is.
        if kind == Some(Type::Directory) {
            let deeper = levels.checked_sub(1).ok_or(Failure::TooDeep)?;
            let mut inner = Dir::openat(&*directory, name, DIRECTORY, Mode::empty()).map_err(Failure::Os)?;
            empty(&mut inner, deeper)?;
            unlinkat(&*directory, name, UnlinkatFlags::RemoveDir).map_err(Failure::Os)?;
        } else {
            unlinkat(&*directory, name, UnlinkatFlags::NoRemoveDir).map_err(Failure::Os)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::frame::CONTROL;

    fn outcome(root: &str, paths: &[&str]) -> (Vec<String>, Vec<(String, String)>) {
        let paths: Vec<String> = paths.iter().map(|&p| p.to_owned()).collect();
        let ToolResult::Removed { removed, failed } = remove(root, &paths) else { panic!("wrong result") };
        (removed, failed)
    }

    #[test]
    fn removing_a_link_to_a_directory_keeps_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_str().unwrap();
        fs::create_dir(dir.path().join("real")).unwrap();
        fs::write(dir.path().join("real/f"), "x").unwrap();
        fs::create_dir(dir.path().join("tree")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("real"), dir.path().join("link")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("real"), dir.path().join("tree/link")).unwrap();
        let (removed, failed) = outcome(root, &["link", "tree", "gone"]);
        assert_eq!(removed, ["link", "tree"]);
        assert_eq!(failed.len(), 1);
        assert!(dir.path().join("real/f").exists());
    }

    #[test]
    fn more_paths_than_an_answer_can_name_are_refused_before_anything_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("0"), "").unwrap();
        let result = |count: usize| {
            let paths: Vec<String> = (0..count).map(|n| n.to_string()).collect();
            remove(dir.path().to_str().unwrap(), &paths)
        };
        assert!(matches!(result(10_000), ToolResult::Failed { .. }));
        assert!(dir.path().join("0").exists());
        let answer = result(6_000);
        assert!(matches!(&answer, ToolResult::Removed { removed, .. } if removed == &["0"]));
        assert!(crate::guest::frame::head(&answer, 0, CONTROL).is_ok());
    }

    #[test]
    fn the_workspace_stays_under_whatever_name_it_is_called() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_str().unwrap();
        fs::create_dir(dir.path().join("a")).unwrap();
        let absolute = format!("{root}/");
        let (removed, failed) = outcome(root, &[".", "a/..", "./", &absolute]);
        assert!(
            removed.is_empty() && failed.iter().all(|(_, why)| why.contains("workspace itself")),
            "{failed:?}"
        );
        assert!(dir.path().join("a").exists());
    }

    #[test]
    fn a_tree_that_is_too_deep_is_refused_with_advice() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_str().unwrap();
        fs::create_dir_all(dir.path().join("d/".repeat(DEPTH + 1))).unwrap();
        assert_eq!(outcome(root, &["d"]).0, ["d"]);
        fs::create_dir_all(dir.path().join("d/".repeat(DEPTH + 2))).unwrap();
        let (_, failed) = outcome(root, &["d"]);
        assert!(failed[0].1.contains("rm -rf"), "{failed:?}");
    }
}
