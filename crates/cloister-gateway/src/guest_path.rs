//! What a path inside a sandbox may look like, before it is handed to the sandbox.
//!
//! Paths are resolved inside the sandbox and never on the host, so this is not the wall. It turns requests
//! that can only be mistakes or attacks into errors that name the member at fault, before a worker sees them.

/// Longest path (Linux' PATH_MAX less its NUL).
const LONGEST: usize = 4_095;
/// Longest name of one component (NAME_MAX).
const LONGEST_NAME: usize = 255;

/// A path of a file: not empty, no NUL, no `..`.
pub(crate) fn file(path: &str) -> Result<(), &'static str> {
    if path.is_empty() {
        return Err("Member must name a file, and is empty");
    }
    directory(path)
}

/// A path of a directory; empty means the working directory.
pub(crate) fn directory(path: &str) -> Result<(), &'static str> {
    if path.len() > LONGEST {
        return Err("Member must have 4,095 bytes at most: the file system takes no longer path");
    }
    if path.contains('\0') {
        return Err("Member must not hold NUL characters: no file name can");
    }
    for part in path.split('/') {
        if part == ".." {
            return Err(
                "Member must not hold the component '..'; name the file from the working directory or from /",
            );
        }
        if part.len() > LONGEST_NAME {
            return Err(
                "Member must have components of 255 bytes at most: the file system takes no longer name",
            );
        }
    }
    Ok(())
}

/// A path relative to the working directory, as the native door's URLs have it.
pub(crate) fn relative(path: &str) -> Result<(), &'static str> {
    if path.split('/').any(str::is_empty) {
        return Err("path must be relative to the working directory, without empty components");
    }
    file(path)
}

/// The last component.
pub(crate) fn name(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or(path)
}

/// `file:///data.csv`. The path is not percent-encoded: the AgentCore SDK takes it out with a plain
/// `replace("file://", "")` and gives the rest to the user as the name of the file.
pub(crate) fn uri(path: &str) -> String {
    let path = path.strip_prefix("./").unwrap_or(path);
    format!("file:///{}", path.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_climb_are_refused_by_component_and_not_by_prefix() {
        for good in ["a", "a/b", "/tmp/x", "..a", "a..", "a/...", "-rf", "a b\n", "%2e%2e"] {
            assert!(file(good).is_ok(), "{good}");
        }
        for bad in ["", "..", "../a", "a/../b", "/..", "a/..", "a\0b"] {
            assert!(file(bad).is_err(), "{bad}");
        }
        assert!(file(&"x/".repeat(3_000)).is_err());
        assert!(file(&"x".repeat(256)).is_err());
    }

    #[test]
    fn urls_name_files_below_the_working_directory_only() {
        for bad in ["/etc/passwd", "a//b", "a/", ""] {
            assert!(relative(bad).is_err(), "{bad}");
        }
        assert!(relative("a/b c").is_ok());
    }

    #[test]
    fn uris_have_three_slashes() {
        assert_eq!(uri("data.csv"), "file:///data.csv");
        assert_eq!(uri("./a/b.txt"), "file:///a/b.txt");
        assert_eq!(uri("/tmp/x"), "file:///tmp/x");
        assert_eq!(name("a/b.txt"), "b.txt");
    }
}
