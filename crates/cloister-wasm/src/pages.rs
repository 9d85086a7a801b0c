//! Which pages of a memory a session has written to, by the kernel's own account.
//!
//! A page that is still the image's (or was never touched) is "file" or "not present" in `/proc/self/pagemap`; a private copy is
//! present, or swapped out, and not "file" (Documentation/admin-guide/mm/pagemap.rst, bits 63, 62 and 61).

use crate::memory::PAGE;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

const PRESENT: u64 = 1 << 63;
const SWAPPED: u64 = 1 << 62;
const FILE: u64 = 1 << 61;
/// Entries that are read at once: 4 MiB of memory.
const BATCH: usize = 1024;

/// The kernel's account of this process.
#[derive(Debug)]
pub struct Pagemap(File);

impl Pagemap {
    /// Opens it. To be done before the process gives up its rights.
    pub fn open() -> io::Result<Self> {
        File::open("/proc/self/pagemap").map(Self)
    }

    /// The pages of `memory` that are its own, as ranges of page numbers, in order.
    pub fn written(&self, memory: &[u8]) -> io::Result<Vec<Range<usize>>> {
        let first = memory.as_ptr() as usize / PAGE;
        let count = memory.len() / PAGE;
        let mut ranges: Vec<Range<usize>> = Vec::new();
        let mut buffer = [0u8; BATCH * 8];
        for start in (0..count).step_by(BATCH) {
            let wanted = (count - start).min(BATCH) * 8;
            let part = buffer.get_mut(..wanted).unwrap_or_default();
            self.0.read_exact_at(part, ((first + start) * 8) as u64)?;
            for (n, entry) in part.as_chunks::<8>().0.iter().enumerate() {
                let entry = u64::from_ne_bytes(*entry);
                if entry & (PRESENT | SWAPPED) == 0 || entry & FILE != 0 {
                    continue;
                }
                let page = start + n;
                add(&mut ranges, page);
            }
        }
        Ok(ranges)
    }
}

/// Adds a page behind all that `ranges` have.
pub(crate) fn add(ranges: &mut Vec<Range<usize>>, page: usize) {
    match ranges.last_mut() {
        Some(last) if last.end == page => last.end = page + 1,
        _ => ranges.push(page..page + 1),
    }
}

/// How many pages ranges have.
pub fn count(ranges: &[Range<usize>]) -> usize {
    ranges.iter().map(|range| range.end - range.start).sum()
}
