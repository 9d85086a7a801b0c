//! SHA-256 of files that a call has changed, within bounds: hashing must not become the longest part of a call.

use sha2::{Digest, Sha256};
use std::io::Read;

/// Bytes of the largest file that is hashed.
pub const ONE: u64 = 8 << 20;
/// Bytes that are hashed per call.
pub const ALL: u64 = 16 << 20;

/// What may still be hashed for one call.
#[derive(Debug)]
pub struct Digests {
    left: u64,
}

impl Default for Digests {
    fn default() -> Self {
        Self { left: ALL }
    }
}

impl Digests {
    /// The digest in hexadecimal digits of a file of `size` bytes; `None` beyond the bounds, for a file that cannot be read, and for
    /// one that is not of that size any more.
    pub fn of(&mut self, size: u64, file: impl Read) -> Option<String> {
        if size > ONE {
            return None;
        }
        self.left = self.left.checked_sub(size)?;
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 64 << 10];
        let mut seen = 0;
        // One byte more than there should be shows that there is more.
        let mut file = file.take(size + 1);
        loop {
            match file.read(&mut buffer).ok()? {
                0 => break,
                read => {
                    seen += read as u64;
                    hash.update(buffer.get(..read)?);
                }
            }
        }
        (seen == size).then(|| hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_files_have_a_digest_until_there_is_too_much_of_them() {
        let mut digests = Digests::default();
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(digests.of(0, &b""[..]).as_deref(), Some(empty));
        assert_eq!(digests.of(3, &b"abcd"[..]), None, "it has grown");
        assert_eq!(digests.of(3, &b"ab"[..]), None, "it has shrunk");
        assert_eq!(digests.of(ONE + 1, std::io::repeat(0)), None);
        let large = vec![0; ONE as usize];
        assert!(digests.of(ONE, &large[..]).is_some());
        assert_eq!(digests.of(ONE, &large[..]), None, "the rest has been used");
    }
}
