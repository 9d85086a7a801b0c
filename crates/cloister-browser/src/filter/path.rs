//! Paths that a client names for uploads: only those of the session's workspace.

use std::path::{Component, Path};

/// `file:…`, which as a path would be a folder of that name.
pub(crate) fn is_file_url(named: &str) -> bool {
    named.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("file:"))
}

/// The absolute path inside of `workspace` that `named` means: relative to it, or absolute and below it.
pub(super) fn inside(workspace: &str, named: &str) -> Result<String, String> {
    let refused = || {
        format!(
            "{named:?} is not a file of this session: upload it first, and name it relative to {workspace}"
        )
    };
    if named.contains('\0') {
        return Err(refused());
    }
    if is_file_url(named) {
        return Err(format!(
            "{named:?} is a URL, and a path is needed: name the file relative to {workspace}"
        ));
    }
    let relative = Path::new(named);
    let relative = if relative.is_absolute() {
        relative.strip_prefix(workspace).map_err(|_| refused())?
    } else {
        relative
    };
    let mut path = String::from(workspace);
    for part in relative.components() {
        match part {
            Component::Normal(name) => {
                path.push('/');
                path.push_str(name.to_str().ok_or_else(refused)?);
            }
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return Err(refused()),
        }
    }
    // The workspace itself is a folder, and a folder of everything is nobody's upload.
    if path.len() == workspace.len() { Err(refused()) } else { Ok(path) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_workspace_can_be_named_in_both_ways() {
        for named in ["a/b.txt", "./a/b.txt", "/workspace/a/b.txt", "/workspace//a/./b.txt"] {
            assert_eq!(inside("/workspace", named).as_deref(), Ok("/workspace/a/b.txt"), "{named}");
        }
    }

    #[test]
    fn nothing_outside_of_the_workspace_can_be_named() {
        for named in [
            "/etc/passwd",
            "../etc/passwd",
            "a/../../etc/passwd",
            "/workspace/../etc/passwd",
            "/workspacex/a",
            "/workspace",
            "",
            ".",
            "a\0b",
            "/proc/self/environ",
            "file:///workspace/a.txt",
            "FILE:a.txt",
        ] {
            assert!(inside("/workspace", named).is_err(), "{named:?}");
        }
    }
}
