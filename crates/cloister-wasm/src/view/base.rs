//! A base: a tree that never changes and that all sessions of a worker share, read from one packed archive in place.
//!
//! ```text
//! "CLOBASE1" | u32 nodes | u32 entries | u64 bytes of names | u64 bytes of data       (little-endian)
//! nodes:   u32 kind | u32 parent | u64 modified (ns) | u64 a | u64 b                  node 0 is the root, and its own parent
//!          directory: entries [a, a+b)      file, symlink: data [a, a+b)
//! entries: u32 name | u32 bytes of the name | u32 node                                sorted by name within a directory
//! names, data
//! ```
//!
//! Everything is checked once, when the archive is opened; a lookup is a binary search.

use super::errno::Errno;
use super::pack;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) const MAGIC: &[u8; 8] = b"CLOBASE1";
pub(super) const HEAD: usize = 32;
pub(super) const NODE: usize = 32;
pub(super) const ENTRY: usize = 12;

pub(super) const FILE: u32 = 1;
pub(super) const DIRECTORY: u32 = 2;
pub(super) const SYMLINK: u32 = 3;

/// Why there is no base.
#[derive(Debug, thiserror::Error)]
pub enum BaseError {
    /// The directory to pack cannot be read.
    #[error("{path}: cannot be packed: {source}")]
    Read {
        /// Which file or directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It holds something that is neither a file, nor a directory, nor a symbolic link.
    #[error("{path}: neither a file, a directory nor a symbolic link; a base holds nothing else")]
    Kind {
        /// What.
        path: PathBuf,
    },
    /// More than the archive's numbers can say.
    #[error("the directory is too large for a base")]
    TooLarge,
    /// The archive was cut or changed, or is none.
    #[error("the archive of the base is damaged ({0}); build the image again")]
    Damaged(&'static str),
}

/// A read-only tree.
pub struct Base {
    bytes: Arc<dyn AsRef<[u8]> + Send + Sync>,
    nodes: u32,
    entries_at: usize,
    names_at: usize,
    data_at: usize,
}

impl std::fmt::Debug for Base {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Base").field("nodes", &self.nodes).finish_non_exhaustive()
    }
}

/// A node's record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) kind: u32,
    pub(super) parent: u32,
    pub(super) modified: u64,
    a: u64,
    b: u64,
}

impl Record {
    pub(super) fn size(self) -> u64 {
        if self.kind == DIRECTORY { 0 } else { self.b }
    }
}

impl Base {
    /// Packs a directory of the host. Symbolic links are kept as they are; what they mean is decided inside the view.
    pub fn pack(directory: &Path) -> Result<Vec<u8>, BaseError> {
        pack::pack(directory)
    }

    /// A base of these files and nothing else: name and text.
    pub fn of_files(files: &[(String, String)]) -> Result<Self, BaseError> {
        Self::open(Arc::new(pack::files(files)?))
    }

    /// Packs a directory and opens the result.
    pub fn from_dir(directory: &Path) -> Result<Self, BaseError> {
        Self::open(Arc::new(pack::pack(directory)?))
    }

    /// Opens an archive that [`Base::pack`] has made. `bytes` may be a file that is mapped; it must not change.
    pub fn open(bytes: Arc<dyn AsRef<[u8]> + Send + Sync>) -> Result<Self, BaseError> {
        let all = (*bytes).as_ref();
        if all.get(..8) != Some(MAGIC.as_slice()) {
            return Err(BaseError::Damaged("it does not begin like one"));
        }
        let short = || BaseError::Damaged("it ends too early");
        let (nodes, entries) = (u32_at(all, 8).ok_or_else(short)?, u32_at(all, 12).ok_or_else(short)?);
        let (names, data) = (u64_at(all, 16).ok_or_else(short)?, u64_at(all, 24).ok_or_else(short)?);
        let entries_at = HEAD + nodes as usize * NODE;
        let names_at = entries_at + entries as usize * ENTRY;
        let data_at = usize::try_from(names).ok().and_then(|names| names_at.checked_add(names));
        let end = data_at.zip(usize::try_from(data).ok()).and_then(|(at, data)| at.checked_add(data));
        let (Some(data_at), true) = (data_at, end == Some(all.len())) else { return Err(short()) };
        let base = Self { bytes: bytes.clone(), nodes, entries_at, names_at, data_at };
        base.check(entries, data)?;
        Ok(base)
    }

    /// Directories form a tree with the root above all, and every number stays within its table.
    fn check(&self, entries: u32, data: u64) -> Result<(), BaseError> {
        let bad = |what| Err(BaseError::Damaged(what));
        let mut named = vec![false; self.nodes as usize];
        match (named.first_mut(), self.record(0)) {
            (Some(root), Some(Record { kind: DIRECTORY, parent: 0, .. })) => *root = true,
            _ => return bad("its root is no directory"),
        }
        // Directories follow each other in the table of entries, so that no entry belongs to two.
        let mut expected = 0;
        for number in 0..self.nodes {
            let Some(node) = self.record(number) else { return bad("a node is missing") };
            let Some(end) = node.a.checked_add(node.b) else { return bad("a range is too long") };
            match node.kind {
                FILE if end <= data => {}
                SYMLINK if end <= data && (1..=4095).contains(&node.b) => {}
                DIRECTORY if end <= u64::from(entries) && node.a == expected => expected = end,
                _ => return bad("a node points outside of it"),
            }
            if node.kind != DIRECTORY {
                continue;
            }
            let mut last: &[u8] = &[];
            for entry in node.a..end {
                let Some((name, child)) = self.entry(entry) else { return bad("an entry is missing") };
                if !super::resolve::is_name(name) || name <= last {
                    return bad("names are not sorted, or no names");
                }
                last = name;
                let is_new = named.get_mut(child as usize).is_some_and(|seen| !std::mem::replace(seen, true));
                let below = child > number && self.record(child).is_some_and(|c| c.parent == number);
                if !is_new || !below {
                    return bad("it is no tree");
                }
            }
        }
        if named.iter().all(|named| *named) { Ok(()) } else { bad("a node has no name") }
    }

    /// Tells bases apart, as far as their sizes do: nodes and bytes.
    pub(super) fn measure(&self) -> (u32, usize) {
        (self.nodes, self.all().len())
    }

    pub(super) fn record(&self, number: u32) -> Option<Record> {
        if number >= self.nodes {
            return None;
        }
        let all = self.all();
        let at = HEAD + number as usize * NODE;
        Some(Record {
            kind: u32_at(all, at)?,
            parent: u32_at(all, at + 4)?,
            modified: u64_at(all, at + 8)?,
            a: u64_at(all, at + 16)?,
            b: u64_at(all, at + 24)?,
        })
    }

    /// A directory's entry by name.
    pub(super) fn lookup(&self, directory: u32, name: &[u8]) -> Result<Option<u32>, Errno> {
        let node = self.record(directory).ok_or(Errno::Io)?;
        if node.kind != DIRECTORY {
            return Err(Errno::Notdir);
        }
        let (mut low, mut high) = (node.a, node.a.saturating_add(node.b));
        while low < high {
            let middle = low + (high - low) / 2;
            let (there, child) = self.entry(middle).ok_or(Errno::Io)?;
            match there.cmp(name) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Ok(Some(child)),
            }
        }
        Ok(None)
    }

    /// The entries of a directory from the `skip`th on.
    pub(super) fn entries(&self, directory: u32, skip: u64) -> impl Iterator<Item = (&[u8], u32)> {
        let range = self.record(directory).filter(|node| node.kind == DIRECTORY).map_or(0..0, |node| {
            let end = node.a.saturating_add(node.b);
            node.a.saturating_add(skip).min(end)..end
        });
        range.map_while(|number| self.entry(number))
    }

    /// The content of a file, or the target of a symbolic link.
    pub(super) fn data(&self, node: Record) -> &[u8] {
        let begin = usize::try_from(node.a).ok().and_then(|a| self.data_at.checked_add(a));
        let end = begin.zip(usize::try_from(node.b).ok()).and_then(|(begin, b)| begin.checked_add(b));
        let range = begin.zip(end).filter(|_| node.kind != DIRECTORY);
        range.and_then(|(begin, end)| self.all().get(begin..end)).unwrap_or_default()
    }

    fn entry(&self, number: u64) -> Option<(&[u8], u32)> {
        let at = usize::try_from(number).ok()?.checked_mul(ENTRY)?.checked_add(self.entries_at)?;
        let all = self.all();
        let begin = self.names_at.checked_add(u32_at(all, at)? as usize)?;
        let name = all.get(begin..begin.checked_add(u32_at(all, at + 4)? as usize)?)?;
        let inside = begin + name.len() <= self.data_at;
        Some((name, u32_at(all, at + 8)?)).filter(|_| inside)
    }

    fn all(&self) -> &[u8] {
        (*self.bytes).as_ref()
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn packed() -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("b/deep")).unwrap();
        fs::write(dir.path().join("b/deep/x.py"), "x = 1\n").unwrap();
        fs::write(dir.path().join("a.py"), "").unwrap();
        std::os::unix::fs::symlink("a.py", dir.path().join("c")).unwrap();
        Base::pack(dir.path()).unwrap()
    }

    #[test]
    fn what_was_packed_is_found_by_name() {
        let base = Base::open(Arc::new(packed())).unwrap();
        let names: Vec<_> = base.entries(0, 0).map(|(name, _)| name.to_vec()).collect();
        assert_eq!(names, [b"a.py".to_vec(), b"b".to_vec(), b"c".to_vec()]);
        let b = base.lookup(0, b"b").unwrap().unwrap();
        let deep = base.lookup(b, b"deep").unwrap().unwrap();
        let file = base.record(base.lookup(deep, b"x.py").unwrap().unwrap()).unwrap();
        assert_eq!((file.kind, base.data(file)), (FILE, b"x = 1\n".as_slice()));
        let link = base.record(base.lookup(0, b"c").unwrap().unwrap()).unwrap();
        assert_eq!((link.kind, base.data(link)), (SYMLINK, b"a.py".as_slice()));
        assert_eq!(base.lookup(0, b"gone"), Ok(None));
    }

    #[test]
    fn a_damaged_archive_is_an_error_or_a_tree_and_never_a_panic() {
        let whole = packed();
        for cut in 0..whole.len() {
            assert!(Base::open(Arc::new(whole[..cut].to_vec())).is_err(), "cut at {cut}");
        }
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut changed = whole.clone();
                changed[at] ^= 1 << bit;
                let Ok(base) = Base::open(Arc::new(changed)) else { continue };
                for number in 0..base.nodes {
                    let node = base.record(number).unwrap();
                    assert!(base.data(node).len() as u64 == node.size());
                    assert!(base.entries(number, 0).count() <= base.nodes as usize);
                }
            }
        }
    }
}
