//! Gives a file another name in its own folder, without ever taking one that is in use, whatever else happens in the folder.
//!
//! A link fails where a name is taken, in one step; a rename would replace what is there.

use super::files::describe;
use crate::guest::message::ToolResult;
use crate::guest::path::{resolve, show};
use std::fs;
use std::io;

/// Names that are tried. A folder with more of them is a flood, and its files keep the names they have.
const TRIED: usize = 10_000;

/// Names the file `stem.ext`, or the first of `stem (1).ext`, `stem (2).ext`, … that is free.
pub(super) fn name(workspace: &str, text: &str, stem: &str, extension: &str) -> ToolResult {
    match free(workspace, text, stem, extension) {
        Ok(named) => ToolResult::Written { files: vec![named] },
        Err(message) => ToolResult::Failed { message },
    }
}

fn free(workspace: &str, text: &str, stem: &str, extension: &str) -> Result<(String, u64), String> {
    let path = resolve(workspace, text).map_err(|error| format!("{text}: {error}"))?;
    if stem.is_empty() || [stem, extension].iter().any(|part| part.contains(['/', '\0'])) {
        return Err(format!("{stem}{extension}: is no name of a file"));
    }
    let meta = fs::symlink_metadata(&path).map_err(|error| describe(text, &error))?;
    if !meta.is_file() {
        return Err(format!("{text}: not a regular file"));
    }
    for number in 0..TRIED {
        let name =
            if number == 0 { format!("{stem}{extension}") } else { format!("{stem} ({number}){extension}") };
        let target = path.with_file_name(name);
        match fs::hard_link(&path, &target) {
            Ok(()) => {
                fs::remove_file(&path).map_err(|error| describe(text, &error))?;
                return Ok((show(workspace, &target), meta.len()));
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(describe(text, &error)),
        }
    }
    Err(format!("{stem}{extension}: {TRIED} files have this name and a number already"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(result: &ToolResult) -> Option<(&str, u64)> {
        match result {
            ToolResult::Written { files } => files.first().map(|(path, size)| (path.as_str(), *size)),
            _ => None,
        }
    }

    #[test]
    fn a_file_gets_the_first_name_that_is_free_and_no_other_file_is_touched() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_str().unwrap();
        fs::create_dir(dir.path().join("d")).unwrap();
        for (at, wanted) in [("1", "d/a.csv"), ("22", "d/a (1).csv"), ("333", "d/a (2).csv")] {
            fs::write(dir.path().join("d/guid"), at).unwrap();
            let result = name(root, "d/guid", "a", ".csv");
            assert_eq!(named(&result), Some((wanted, at.len() as u64)));
            assert_eq!(fs::read_to_string(dir.path().join(wanted)).unwrap(), at);
            assert!(!dir.path().join("d/guid").exists());
        }
    }

    #[test]
    fn what_is_no_file_or_no_name_keeps_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_str().unwrap();
        fs::write(dir.path().join("f"), "x").unwrap();
        std::os::unix::fs::symlink("f", dir.path().join("link")).unwrap();
        for (path, stem, extension) in [
            ("link", "a", ""),
            (".", "a", ""),
            ("gone", "a", ""),
            ("../f", "a", ""),
            ("f", "../a", ""),
            ("f", "", ".x"),
            ("f", "a", "/x"),
        ] {
            assert!(named(&name(root, path, stem, extension)).is_none(), "{path} {stem}");
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
