//! Packs a directory of the host into the archive of a base, when an image is built, or a few texts when an engine begins.

use super::base::{BaseError, DIRECTORY, ENTRY, FILE, HEAD, MAGIC, NODE, SYMLINK};
use std::collections::VecDeque;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

#[derive(Default)]
struct Packing {
    nodes: Vec<[u64; 5]>,
    entries: Vec<u8>,
    names: Vec<u8>,
    data: Vec<u8>,
    /// Directories whose entries are not yet written, with their numbers: breadth first, so that a parent comes before its children.
    waiting: VecDeque<(PathBuf, usize)>,
}

pub(super) fn pack(directory: &Path) -> Result<Vec<u8>, BaseError> {
    let mut packing = Packing::default();
    packing.add(directory.to_path_buf(), 0)?;
    while let Some((path, number)) = packing.waiting.pop_front() {
        packing.fill(&path, number)?;
    }
    packing.finish()
}

/// One folder with these files, which are of no date.
pub(super) fn files(files: &[(String, String)]) -> Result<Vec<u8>, BaseError> {
    let mut packing = Packing::default();
    packing.nodes.push([u64::from(DIRECTORY), 0, 0, 0, files.len() as u64]);
    let mut sorted: Vec<_> = files.iter().collect();
    sorted.sort();
    for (name, text) in sorted {
        let number = packing.nodes.len();
        packing.nodes.push([u64::from(FILE), 0, 0, packing.data.len() as u64, text.len() as u64]);
        packing.enter(name.as_bytes(), number)?;
        packing.data.extend(text.as_bytes());
    }
    packing.finish()
}

impl Packing {
    /// Adds a node; of a directory, the entries follow later.
    fn add(&mut self, path: PathBuf, parent: usize) -> Result<usize, BaseError> {
        let failed = |source| BaseError::Read { path: path.clone(), source };
        let meta = fs::symlink_metadata(&path).map_err(failed)?;
        let modified = u64::try_from(meta.mtime()).unwrap_or(0).saturating_mul(1_000_000_000);
        let kind = meta.file_type();
        let content = match () {
            () if kind.is_dir() => None,
            () if kind.is_file() => Some((FILE, fs::read(&path).map_err(failed)?)),
            () if kind.is_symlink() => {
                Some((SYMLINK, fs::read_link(&path).map_err(failed)?.into_os_string().into_vec()))
            }
            () => return Err(BaseError::Kind { path }),
        };
        let number = self.nodes.len();
        match content {
            None => {
                self.nodes.push([u64::from(DIRECTORY), parent as u64, modified, 0, 0]);
                self.waiting.push_back((path, number));
            }
            Some((kind, bytes)) => {
                let at = self.data.len() as u64;
                self.nodes.push([u64::from(kind), parent as u64, modified, at, bytes.len() as u64]);
                self.data.extend(bytes);
            }
        }
        Ok(number)
    }

    fn fill(&mut self, path: &Path, number: usize) -> Result<(), BaseError> {
        let failed = |source| BaseError::Read { path: path.to_path_buf(), source };
        let mut names = Vec::new();
        for entry in fs::read_dir(path).map_err(failed)? {
            names.push(entry.map_err(failed)?.file_name());
        }
        names.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
        let first = (self.entries.len() / ENTRY) as u64;
        for name in &names {
            let child = self.add(path.join(name), number)?;
            self.enter(name.as_bytes(), child)?;
        }
        if let Some(node) = self.nodes.get_mut(number) {
            (node[3], node[4]) = (first, names.len() as u64);
        }
        Ok(())
    }

    /// Adds an entry to the directory whose entries are being written.
    fn enter(&mut self, name: &[u8], child: usize) -> Result<(), BaseError> {
        for value in [self.names.len(), name.len(), child] {
            let value = u32::try_from(value).map_err(|_| BaseError::TooLarge)?;
            self.entries.extend(value.to_le_bytes());
        }
        self.names.extend(name);
        Ok(())
    }

    fn finish(self) -> Result<Vec<u8>, BaseError> {
        let count = |n: usize| u32::try_from(n).map_err(|_| BaseError::TooLarge);
        let records = self.nodes.len() * NODE + self.entries.len() + self.names.len();
        let mut out = Vec::with_capacity(HEAD + records + self.data.len());
        out.extend(MAGIC);
        out.extend(count(self.nodes.len())?.to_le_bytes());
        out.extend(count(self.entries.len() / ENTRY)?.to_le_bytes());
        out.extend((self.names.len() as u64).to_le_bytes());
        out.extend((self.data.len() as u64).to_le_bytes());
        for [kind, parent, modified, a, b] in self.nodes {
            for small in [kind, parent] {
                out.extend(u32::try_from(small).map_err(|_| BaseError::TooLarge)?.to_le_bytes());
            }
            for value in [modified, a, b] {
                out.extend(value.to_le_bytes());
            }
        }
        out.extend(self.entries);
        out.extend(self.names);
        out.extend(self.data);
        Ok(out)
    }
}
