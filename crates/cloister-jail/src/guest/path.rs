//! Paths as clients write them: relative to the workspace, absolute inside the sandbox, `file://` stripped.
//!
//! The kernel resolves them, inside the sandbox's own root, under the guest's own id, or a file view does, which has no way out; nothing
//! here compares strings to decide what is allowed. What cannot be a path at all is refused with a reason.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// Why a text is no path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    /// Nothing to open.
    #[error("the path is empty")]
    Empty,
    /// The kernel would stop reading there.
    #[error("the path holds a NUL character")]
    Nul,
    /// Above the kernel's limit.
    #[error("the path is longer than 4095 bytes")]
    TooLong,
    /// Relative paths stay in the workspace.
    #[error("the path leaves the workspace; give an absolute path for files outside of it")]
    Leaves,
}

/// The absolute path that `text` means.
pub fn resolve(workspace: &str, text: &str) -> Result<PathBuf, BadPath> {
    let text = text.strip_prefix("file://").unwrap_or(text);
    if text.is_empty() {
        return Err(BadPath::Empty);
    }
    if text.contains('\0') {
        return Err(BadPath::Nul);
    }
    if text.len() > 4095 {
        return Err(BadPath::TooLong);
    }
    let given = Path::new(text);
    if given.is_absolute() {
        return Ok(given.to_path_buf());
    }
    let mut depth = 0i32;
    for part in given.components() {
        match part {
            Component::ParentDir => depth -= 1,
            Component::Normal(_) => depth += 1,
            _ => {}
        }
        if depth < 0 {
            return Err(BadPath::Leaves);
        }
    }
    Ok(Path::new(workspace).join(given))
}

/// A path as clients get it: relative inside the workspace, absolute elsewhere, and always valid text (see [`printable`]).
pub fn show(workspace: &str, path: &Path) -> String {
    let shown = path.strip_prefix(workspace).unwrap_or(path);
    shown.to_str().filter(|s| !s.chars().any(char::is_control)).map_or_else(
        || shown.iter().map(printable).collect::<Vec<_>>().join("/").replacen("//", "/", 1),
        str::to_owned,
    )
}

/// One name, percent-encoded where it is not UTF-8 or holds control characters or `%` together with either: losslessly, and safe in
/// headers and terminals.
pub fn printable(name: &OsStr) -> String {
    if let Some(text) = name.to_str()
        && !text.chars().any(char::is_control)
    {
        return text.to_owned();
    }
    let mut out = String::new();
    for &byte in name.as_bytes() {
        if (0x20..0x7f).contains(&byte) && byte != b'%' {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_are_the_workspaces_and_cannot_leave_it() {
        assert_eq!(resolve("/workspace", "a/b.txt"), Ok("/workspace/a/b.txt".into()));
        assert_eq!(resolve("/workspace", "file:///a.txt"), Ok("/a.txt".into()));
        assert_eq!(resolve("/workspace", "a/../b"), Ok("/workspace/a/../b".into()));
        for bad in ["../x", "a/../../x", "./../x"] {
            assert_eq!(resolve("/workspace", bad), Err(BadPath::Leaves), "{bad}");
        }
        assert_eq!(resolve("/workspace", "a\0b"), Err(BadPath::Nul));
        assert_eq!(resolve("/workspace", ""), Err(BadPath::Empty));
    }

    #[test]
    fn names_that_would_break_a_header_are_percent_encoded() {
        assert_eq!(printable(OsStr::from_bytes(b"a\nb")), "a%0Ab");
        assert_eq!(printable(OsStr::from_bytes(b"\xff.txt")), "%FF.txt");
        assert_eq!(printable(OsStr::new("größe.csv")), "größe.csv");
    }
}
