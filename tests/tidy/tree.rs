//! The repository as the tests see it: text files, by their path from the root.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders that are made by tools and never written by people.
const MADE: [&str; 10] = [
    ".git",
    ".venv",
    ".pytest_cache",
    ".hypothesis",
    "__pycache__",
    "demo-output",
    "node_modules",
    "proptest-regressions",
    "target",
    "venv",
];

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_path_buf()
}

/// A text file.
#[derive(Debug)]
pub(crate) struct File {
    /// From the root, with slashes.
    pub(crate) path: String,
    /// Its content.
    pub(crate) text: String,
}

impl File {
    /// What follows the last dot of its name, or nothing.
    pub(crate) fn extension(&self) -> &str {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        name.rsplit_once('.').map_or("", |(_, extension)| extension)
    }
}

/// The content of one file that must exist.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every file of the repository that is UTF-8, sorted by path.
pub(crate) fn files() -> Vec<File> {
    let root = root();
    let mut files = Vec::new();
    walk(&root, &root, &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(
        files.len() > 100,
        "the walk of the tree has found {} files; it looked in {}",
        files.len(),
        root.display()
    );
    files
}

fn walk(root: &Path, directory: &Path, files: &mut Vec<File>) {
    for entry in fs::read_dir(directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display())).flatten()
    {
        let (path, name) = (entry.path(), entry.file_name());
        let kind = entry.file_type().unwrap();
        if kind.is_dir() && !MADE.iter().any(|made| name == *made) {
            walk(root, &path, files);
        } else if kind.is_file()
            && let Ok(text) = fs::read_to_string(&path)
            && let Ok(short) = path.strip_prefix(root)
        {
            files.push(File { path: short.to_string_lossy().into_owned(), text });
        }
    }
}
