//! Removal of a tree that a guest has made, by the server: at any depth, with two descriptors and without recursion.
//!
//! `fs::remove_dir_all` keeps a descriptor and a stack frame for every level, and a guest that nests twenty thousand directories
//! would end the whole server by an overflowing stack (FS-17). Here a directory's directories are moved up before it goes.

use nix::dir::{Dir, Entry, Type};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, renameat};
use nix::sys::stat::{Mode, SFlag, fstatat};
use nix::unistd::{UnlinkatFlags, unlinkat};
use std::ffi::{CStr, CString};
use std::path::Path;

const DIRECTORY: OFlag = OFlag::O_DIRECTORY.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// Removes the directory `path` with everything in it; links are removed, not followed. That there is none is no error.
///
/// Nobody may be writing to the tree any more.
pub(super) fn remove_tree(path: &Path) -> Result<(), Errno> {
    let mut top = match Dir::open(path, DIRECTORY, Mode::empty()) {
        Err(Errno::ENOENT) => return Ok(()),
        other => other?,
    };
    let mut moved = 0;
    loop {
        let names = names(&mut top)?;
        if names.is_empty() {
            break;
        }
        for (name, is_directory) in names {
            if is_directory {
                lift(&top, &name, &mut moved)?;
                unlinkat(&top, name.as_c_str(), UnlinkatFlags::RemoveDir)?;
            } else {
                unlinkat(&top, name.as_c_str(), UnlinkatFlags::NoRemoveDir)?;
            }
        }
    }
    drop(top);
    unlinkat(nix::fcntl::AT_FDCWD, path, UnlinkatFlags::RemoveDir)
}

/// Empties the directory `name` of `top`: its files go, its directories move to `top`.
fn lift(top: &Dir, name: &CStr, moved: &mut u64) -> Result<(), Errno> {
    let mut directory = Dir::openat(top, name, DIRECTORY, Mode::empty())?;
    for (inner, is_directory) in names(&mut directory)? {
        if !is_directory {
            unlinkat(&directory, inner.as_c_str(), UnlinkatFlags::NoRemoveDir)?;
            continue;
        }
        loop {
            let place = format!("{moved}");
            *moved += 1;
            match renameat(&directory, inner.as_c_str(), top, place.as_str()) {
                // The guest has used this name. An empty directory of it is replaced.
                Err(Errno::EEXIST | Errno::ENOTEMPTY | Errno::ENOTDIR) => {}
                other => break other?,
            }
        }
    }
    Ok(())
}

/// Entries of a directory, and which of them are directories.
fn names(directory: &mut Dir) -> Result<Vec<(CString, bool)>, Errno> {
    let entries: Vec<Entry> = directory.iter().collect::<Result<_, _>>()?;
    let others = entries.iter().filter(|entry| !matches!(entry.file_name().to_bytes(), b"." | b".."));
    others.map(|entry| Ok((entry.file_name().to_owned(), is_directory(directory, entry)?))).collect()
}

fn is_directory(directory: &Dir, entry: &Entry) -> Result<bool, Errno> {
    if let Some(kind) = entry.file_type() {
        return Ok(kind == Type::Directory);
    }
    // Not every file system says it in the listing.
    let stat = fstatat(directory, entry.file_name(), AtFlags::AT_SYMLINK_NOFOLLOW)?;
    Ok(SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_tree_of_any_depth_and_shape_goes_and_what_it_points_to_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (tree, outside) = (dir.path().join("tree"), dir.path().join("outside"));
        fs::create_dir_all(tree.join("a/b/c")).unwrap();
        fs::create_dir_all(outside.join("kept")).unwrap();
        for (n, name) in ["0", "1", "a/0", "a/b/file"].iter().enumerate() {
            fs::write(tree.join(name), n.to_string()).unwrap();
        }
        fs::create_dir_all(tree.join("2/full")).unwrap();
        fs::create_dir_all(tree.join("a/b/0/1/2")).unwrap();
        std::os::unix::fs::symlink(&outside, tree.join("a/link")).unwrap();
        remove_tree(&tree).unwrap();
        assert!(!tree.exists() && outside.join("kept").exists());
        remove_tree(&tree).unwrap();
        assert!(remove_tree(&dir.path().join("outside/kept/file")).is_ok(), "nothing is there");
    }

    #[test]
    fn thousands_of_levels_do_not_overflow_the_stack() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        fs::create_dir(&tree).unwrap();
        let mut at = Dir::open(&tree, DIRECTORY, Mode::empty()).unwrap();
        for _ in 0..5_000 {
            nix::sys::stat::mkdirat(&at, "d", Mode::S_IRWXU).unwrap();
            at = Dir::openat(&at, "d", DIRECTORY, Mode::empty()).unwrap();
        }
        drop(at);
        let small = std::thread::Builder::new().stack_size(128 << 10);
        small.spawn(move || remove_tree(&tree)).unwrap().join().unwrap().unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
