//! What a file holds: a size, and the chunks of it that were ever written. Copies share chunks until one of them writes.

use super::errno::Errno;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bytes of the longest chunk: what a write after a copy duplicates.
pub(super) const CHUNK: usize = 64 << 10;
/// Chunks grow by so much, as pages of a tmpfs do: a small file costs little.
pub(super) const PAGE: usize = 4 << 10;

/// The bytes that a session may hold and holds. Every chunk and every inode is taken from here before it exists.
#[derive(Clone, Copy, Debug)]
pub(super) struct Purse {
    used: u64,
    limit: u64,
}

impl Purse {
    pub(super) fn new(limit: u64) -> Self {
        Self { used: 0, limit }
    }

    pub(super) fn limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    pub(super) fn used(self) -> u64 {
        self.used
    }

    pub(super) fn take(&mut self, bytes: u64) -> Result<(), Errno> {
        let used = self.used.checked_add(bytes).filter(|used| *used <= self.limit).ok_or(Errno::Nospc)?;
        self.used = used;
        Ok(())
    }

    pub(super) fn give(&mut self, bytes: u64) {
        self.used = self.used.saturating_sub(bytes);
    }
}

/// Bytes with holes. INVARIANT: what a chunk holds beyond the size is zero, so that growing needs no writing.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    size: u64,
    /// Bytes of all chunks: what the purse has been charged.
    held: u64,
    /// By offset divided by [`CHUNK`]. A length is a multiple of [`PAGE`]; what is missing reads as zeros.
    chunks: BTreeMap<u64, Arc<Vec<u8>>>,
}

impl Content {
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn held(&self) -> u64 {
        self.held
    }

    pub(super) fn chunks(&self) -> impl ExactSizeIterator<Item = (u64, &[u8])> {
        self.chunks.iter().map(|(number, chunk)| (*number, chunk.as_slice()))
    }

    /// Fills `out` from `offset` on; less only at the end.
    pub(super) fn read(&self, offset: u64, out: &mut [u8]) -> usize {
        let there = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let wanted = out.len().min(there);
        let mut rest = out.get_mut(..wanted).unwrap_or_default();
        let mut at = offset;
        while !rest.is_empty() {
            let (number, within) = place(at);
            let (part, after) = rest.split_at_mut(rest.len().min(CHUNK - within));
            let chunk = self.chunks.get(&number).and_then(|chunk| chunk.get(within..)).unwrap_or_default();
            let have = chunk.len().min(part.len());
            let (bytes, hole) = part.split_at_mut(have);
            bytes.copy_from_slice(chunk.get(..have).unwrap_or_default());
            hole.fill(0);
            at += part.len() as u64;
            rest = after;
        }
        wanted
    }

    /// Writes as much of `data` as there is room for, and at least one byte of it or an error. The end must fit a `u64`.
    pub(super) fn write(&mut self, offset: u64, data: &[u8], purse: &mut Purse) -> Result<usize, Errno> {
        let mut rest = data;
        let mut at = offset;
        while !rest.is_empty() {
            let (number, within) = place(at);
            let (part, after) = rest.split_at(rest.len().min(CHUNK - within));
            match self.reserve(number, within + part.len(), purse) {
                Ok(chunk) => {
                    if let Some(room) = chunk.get_mut(within..within + part.len()) {
                        room.copy_from_slice(part);
                    }
                }
                Err(errno) if at == offset => return Err(errno),
                Err(_) => break,
            }
            at += part.len() as u64;
            rest = after;
        }
        self.size = self.size.max(at);
        Ok(data.len() - rest.len())
    }

    /// The chunk with this number, own and at least so long.
    fn reserve(&mut self, number: u64, length: usize, purse: &mut Purse) -> Result<&mut Vec<u8>, Errno> {
        let length = length.next_multiple_of(PAGE);
        let missing = length.saturating_sub(self.chunks.get(&number).map_or(0, |chunk| chunk.len()));
        purse.take(missing as u64)?;
        self.held += missing as u64;
        let chunk = Arc::make_mut(self.chunks.entry(number).or_default());
        if missing > 0 {
            chunk.reserve_exact(missing);
            chunk.resize(length, 0);
        }
        Ok(chunk)
    }

    /// Cuts, or grows by a hole.
    pub(super) fn resize(&mut self, size: u64, purse: &mut Purse) {
        if size < self.size {
            let (number, within) = place(size);
            let gone = self.chunks.split_off(&number);
            for (n, mut chunk) in gone {
                let kept = if n == number { chunk.len().min(within.next_multiple_of(PAGE)) } else { 0 };
                let freed = (chunk.len() - kept) as u64;
                purse.give(freed);
                self.held -= freed;
                if kept > 0 {
                    let own = Arc::make_mut(&mut chunk);
                    own.truncate(kept);
                    own.shrink_to_fit();
                    if let Some(beyond) = own.get_mut(within..) {
                        beyond.fill(0);
                    }
                    self.chunks.insert(n, chunk);
                }
            }
        }
        self.size = size;
    }

    /// Puts a chunk back that [`Content::chunks`] has given; `false` if it is none.
    pub(super) fn restore(&mut self, number: u64, chunk: Vec<u8>, purse: &mut Purse) -> Result<bool, Errno> {
        let fits = !chunk.is_empty() && chunk.len() <= CHUNK && chunk.len().is_multiple_of(PAGE);
        let begin = number.checked_mul(CHUNK as u64).filter(|begin| *begin < self.size);
        let fresh = !self.chunks.contains_key(&number);
        let Some(begin) = begin.filter(|_| fits && fresh) else { return Ok(false) };
        let inside = usize::try_from(self.size - begin).unwrap_or(usize::MAX);
        // A chunk reaches at most to the end of the file's last page, and holds zeros behind the end.
        let beyond = chunk.get(inside..).unwrap_or_default();
        if beyond.len() >= PAGE || beyond.iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        purse.take(chunk.len() as u64)?;
        self.held += chunk.len() as u64;
        self.chunks.insert(number, Arc::new(chunk));
        Ok(true)
    }
}

/// The number of the chunk that holds a byte, and where in it.
fn place(offset: u64) -> (u64, usize) {
    (offset / CHUNK as u64, (offset % CHUNK as u64) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_costs_nothing_and_reads_as_zeros() {
        let mut purse = Purse::new(1 << 20);
        let mut content = Content::default();
        content.write(1 << 40, b"x", &mut purse).unwrap();
        assert_eq!((content.size(), purse.used(), content.held()), ((1 << 40) + 1, 4096, 4096));
        let mut out = [7; 100];
        assert_eq!(content.read(12_345, &mut out), 100);
        assert_eq!(out, [0; 100]);
        assert_eq!(content.read((1 << 40) - 1, &mut out), 2);
        assert_eq!(out[..2], [0, b'x']);
    }

    #[test]
    fn what_is_cut_off_never_comes_back_and_is_given_back() {
        let mut purse = Purse::new(1 << 20);
        let mut content = Content::default();
        content.write(0, &[9; 200_000], &mut purse).unwrap();
        content.resize(10, &mut purse);
        assert_eq!((purse.used(), content.held()), (4096, 4096));
        content.resize(200_000, &mut purse);
        let mut out = vec![1; 200_000];
        assert_eq!(content.read(0, &mut out), 200_000);
        assert!(out[..10].iter().all(|b| *b == 9) && out[10..].iter().all(|b| *b == 0));
        content.resize(0, &mut purse);
        assert_eq!(purse.used(), 0);
    }

    #[test]
    fn a_write_that_meets_the_quota_is_short_and_the_next_one_fails() {
        let mut purse = Purse::new(CHUNK as u64);
        let mut content = Content::default();
        assert_eq!(content.write(0, &[1; 100_000], &mut purse), Ok(CHUNK));
        assert_eq!(content.size(), CHUNK as u64);
        assert_eq!(content.write(CHUNK as u64, b"x", &mut purse), Err(Errno::Nospc));
    }

    #[test]
    fn a_copy_keeps_what_it_had() {
        let mut purse = Purse::new(1 << 20);
        let mut content = Content::default();
        content.write(0, b"before", &mut purse).unwrap();
        let copy = content.clone();
        content.write(0, b"after!", &mut purse).unwrap();
        let mut out = [0; 6];
        copy.read(0, &mut out);
        assert_eq!(&out, b"before");
    }
}
