//! A memory as what it differs in from the image: a session that has run something has written to a megabyte of pages and changed
//! five kilobytes of them (measured: most writes are reference counts that go up and down again).
//!
//! ```text
//!   written pages ─ compared with the image, 64 bytes at a time ─▶ marks: (page, bit per piece) + the pieces that differ
//! ```

use crate::memory::{self, PAGE};
use crate::pages;
use std::io::{self, Read, Write};
use std::ops::Range;

/// Bytes that are compared and kept together: a line of the processor's cache.
const PIECE: usize = 64;
/// What a page that the image does not have begins as.
const ZERO: [u8; PAGE] = [0; PAGE];
/// Pages of the largest memory.
const PAGES: usize = (4 << 30) / PAGE;

/// A page that differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    page: u32,
    /// A bit for each piece that differs.
    pieces: u64,
}

/// A memory, given the image.
#[derive(Clone, PartialEq, Eq)]
pub struct Delta {
    size: usize,
    marks: Vec<Mark>,
    content: Vec<u8>,
}

impl std::fmt::Debug for Delta {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delta").field("size", &self.size).field("content", &self.content.len()).finish()
    }
}

impl Delta {
    /// What `memory` differs in from `image`, given the pages that have been written to.
    pub fn of(memory: &[u8], image: &[u8], written: &[Range<usize>]) -> Self {
        let mut marks = Vec::new();
        for page in written.iter().flat_map(Clone::clone) {
            let Some(now) = page_of(memory, page) else { continue };
            let before = page_of(image, page).unwrap_or(&ZERO);
            // Most are as they were, and a page is compared in a third of the time that its pieces take.
            if now == before {
                continue;
            }
            let (now, before) = (now.as_chunks::<PIECE>().0, before.as_chunks::<PIECE>().0);
            let differ = now.iter().zip(before).enumerate().filter(|(_, (now, before))| now != before);
            marks.push(Mark { page: page as u32, pieces: differ.fold(0, |bits, (n, _)| bits | 1 << n) });
        }
        // Only then, so that the content is copied once and not again with every doubling of its place.
        let pieces: usize = marks.iter().map(|mark| mark.pieces.count_ones() as usize).sum();
        let mut content = Vec::with_capacity(pieces * PIECE);
        for mark in &marks {
            let Some(page) = page_of(memory, mark.page as usize) else { continue };
            if mark.pieces == u64::MAX {
                content.extend_from_slice(page);
                continue;
            }
            let pieces = page.as_chunks::<PIECE>().0.iter().enumerate();
            pieces
                .filter(|(n, _)| mark.pieces & (1 << n) != 0)
                .for_each(|(_, piece)| content.extend_from_slice(piece));
        }
        marks.shrink_to_fit();
        Self { size: memory.len(), marks, content }
    }

    /// Bytes of the memory that it is about.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Bytes that it holds.
    pub fn bytes(&self) -> u64 {
        (self.content.len() + self.marks.len() * size_of::<Mark>()) as u64
    }

    /// Writes it over `memory`, which is as the image is and large enough; false if it does not fit.
    pub fn apply(&self, memory: &mut [u8]) -> bool {
        // All at once: a fault for each page takes three times as long.
        memory::populate(memory, &self.pages());
        let mut rest = self.content.as_slice();
        for mark in &self.marks {
            let start = mark.page as usize * PAGE;
            let Some(page) = memory.get_mut(start..start + PAGE) else { return false };
            if mark.pieces == u64::MAX {
                let Some((whole, left)) = rest.split_at_checked(PAGE) else { return false };
                page.copy_from_slice(whole);
                rest = left;
                continue;
            }
            for (n, place) in page.chunks_mut(PIECE).enumerate() {
                if mark.pieces & (1 << n) != 0 {
                    let Some((piece, left)) = rest.split_at_checked(PIECE) else { return false };
                    place.copy_from_slice(piece);
                    rest = left;
                }
            }
        }
        rest.is_empty()
    }

    /// The pages that differ, in ranges.
    fn pages(&self) -> Vec<Range<usize>> {
        let mut ranges = Vec::new();
        for mark in &self.marks {
            pages::add(&mut ranges, mark.page as usize);
        }
        ranges
    }

    /// Writes it to a file; the bytes written.
    pub fn save(&self, to: &mut impl Write) -> io::Result<u64> {
        let mut head = Vec::with_capacity(16 + self.marks.len() * 12);
        head.extend_from_slice(&(self.size as u64).to_le_bytes());
        head.extend_from_slice(&(self.marks.len() as u64).to_le_bytes());
        for mark in &self.marks {
            head.extend_from_slice(&mark.page.to_le_bytes());
            head.extend_from_slice(&mark.pieces.to_le_bytes());
        }
        to.write_all(&head)?;
        to.write_all(&self.content)?;
        Ok((head.len() + self.content.len()) as u64)
    }

    /// Reads it back. The file is the engine's own, and still nothing in it is trusted: what it says must fit a memory.
    pub fn load(from: &mut impl Read) -> io::Result<Self> {
        let bad = |what: &'static str| io::Error::new(io::ErrorKind::InvalidData, what);
        let mut word = [0; 8];
        from.read_exact(&mut word)?;
        let size = usize::try_from(u64::from_le_bytes(word)).map_err(|_| bad("a size"))?;
        from.read_exact(&mut word)?;
        let count = usize::try_from(u64::from_le_bytes(word)).map_err(|_| bad("a length"))?;
        if size > PAGES * PAGE || count > PAGES {
            return Err(bad("a kept session is larger than any can be"));
        }
        let (mut marks, mut pieces, mut next) = (Vec::with_capacity(count.min(4096)), 0, 0);
        for _ in 0..count {
            let mut mark = [0; 12];
            from.read_exact(&mut mark)?;
            let (page, bits) = mark.split_at(4);
            let mark = Mark {
                page: u32::from_le_bytes(page.try_into().map_err(|_| bad("a page"))?),
                pieces: u64::from_le_bytes(bits.try_into().map_err(|_| bad("a mark"))?),
            };
            let page = mark.page as usize;
            if page < next || (page + 1) * PAGE > size || mark.pieces == 0 {
                return Err(bad("a kept session names pages that it cannot have"));
            }
            next = page + 1;
            pieces += mark.pieces.count_ones() as usize;
            marks.push(mark);
        }
        let mut content = Vec::new();
        from.take((pieces * PIECE) as u64).read_to_end(&mut content)?;
        if content.len() != pieces * PIECE {
            return Err(bad("a kept session ends too early"));
        }
        Ok(Self { size, marks, content })
    }
}

/// The written pages that are as the image has them.
pub fn unchanged(memory: &[u8], image: &[u8], written: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    for page in written.iter().flat_map(Clone::clone) {
        if page_of(memory, page) == Some(page_of(image, page).unwrap_or(&ZERO)) {
            pages::add(&mut ranges, page);
        }
    }
    ranges
}

fn page_of(memory: &[u8], page: usize) -> Option<&[u8]> {
    memory.get(page * PAGE..(page + 1) * PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SIZE: usize = 8 * PAGE;

    fn image() -> Vec<u8> {
        (0..5 * PAGE).map(|n| (n * 7) as u8).collect()
    }

    fn fresh() -> Vec<u8> {
        let mut memory = image();
        memory.resize(SIZE, 0);
        memory
    }

    proptest! {
        #[test]
        fn a_memory_is_the_image_and_what_it_differs_in(
            writes in prop::collection::vec((0..SIZE, any::<u8>(), 1usize..200), 0..40),
        ) {
            let mut memory = fresh();
            let mut written = std::collections::BTreeSet::new();
            for (at, byte, length) in writes {
                let end = (at + length).min(SIZE);
                memory[at..end].fill(byte);
                written.extend(at / PAGE..=(end - 1) / PAGE);
            }
            let written: Vec<_> = written.into_iter().map(|page| page..page + 1).collect();
            let delta = Delta::of(&memory, &image(), &written);
            let mut file = Vec::new();
            prop_assert_eq!(delta.save(&mut file).unwrap(), file.len() as u64);
            let loaded = Delta::load(&mut file.as_slice()).unwrap();
            prop_assert_eq!(&loaded, &delta);
            let mut again = fresh();
            prop_assert!(loaded.apply(&mut again));
            prop_assert!(again == memory);
            // What is given back is what the image has, and with the rest it is all.
            for page in unchanged(&memory, &image(), &written).into_iter().flatten() {
                prop_assert!(page_of(&memory, page) == page_of(&fresh(), page));
            }
        }

        #[test]
        fn a_file_that_was_cut_or_changed_is_an_error_or_fits(
            cut in 0usize..200, at in 0usize..200, byte in any::<u8>(),
        ) {
            let mut memory = fresh();
            memory[100] ^= 1;
            memory[6 * PAGE] = 9;
            let mut file = Vec::new();
            Delta::of(&memory, &image(), &[0..1, 6..7]).save(&mut file).unwrap();
            let length = file.len();
            file[at % length] = byte;
            file.truncate(length - cut.min(length));
            if let Ok(delta) = Delta::load(&mut file.as_slice()) {
                prop_assert!(delta.size() <= PAGES * PAGE);
                let mut again = fresh();
                // Applied only where there is room: the memory is grown to its size before.
                if delta.size() <= again.len() {
                    delta.apply(&mut again);
                }
            }
        }
    }

    #[test]
    fn what_was_written_and_put_back_costs_nothing() {
        let memory = fresh();
        let delta = Delta::of(&memory, &image(), std::slice::from_ref(&(0..SIZE / PAGE)));
        assert_eq!(delta.bytes(), 0);
        assert_eq!(unchanged(&memory, &image(), &[1..3, 6..8]), [1..3, 6..8]);
    }
}
