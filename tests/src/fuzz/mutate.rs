//! Changes to inputs, from a seed: the same seed gives the same inputs, so that a failure can be had again.

/// Values that readers of numbers and texts trip over.
const WORDS: &[&[u8]] = &[
    b"\0",
    b"\r\n",
    b"\r\n\r\n",
    b"..",
    b"../",
    b"/",
    b"\\",
    b"%00",
    b"%2e",
    b":",
    b"@",
    b"#",
    b"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b"\\u0000",
    b"\\ud800",
    b"1e400",
    b"-1",
    b"0x",
    b"4294967295",
    b"18446744073709551615",
    b"\xff\xff\xff\xff",
    b"\xef\xbb\xbf",
    b"\xc3\x28",
    b"file:",
    b"file:///",
    b"169.254.169.254",
    b"[::1]",
    b"localhost",
    b"null",
    b"true",
];
/// Longest input.
const LONGEST: usize = 1 << 16;

/// Makes inputs.
#[derive(Debug)]
pub struct Mutator(u64);

impl Mutator {
    /// From a seed that is not zero.
    pub fn new(seed: u64) -> Self {
        Self(seed.max(1))
    }

    /// xorshift64*.
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap_or(0) % bound.max(1)
    }

    /// One of the inputs, changed in one to eight places.
    pub fn input(&mut self, from: &[Vec<u8>]) -> Vec<u8> {
        let pick = |mutator: &mut Self| from.get(mutator.below(from.len())).cloned().unwrap_or_default();
        let mut data = pick(self);
        for _ in 0..=self.below(8) {
            let at = self.below(data.len() + 1);
            match self.below(9) {
                0 => data.truncate(at),
                1 | 2 => self.flip(&mut data, at),
                3 => {
                    let word = WORDS[self.below(WORDS.len())];
                    data.splice(at..at, word.iter().copied());
                }
                4 => {
                    let word = WORDS[self.below(WORDS.len())];
                    let end = (at + word.len()).min(data.len());
                    data.splice(at..end, word.iter().copied());
                }
                5 => {
                    // The beginning of one with the end of another.
                    let other = pick(self);
                    let rest = other.get(self.below(other.len() + 1)..).unwrap_or_default();
                    data.truncate(at);
                    data.extend_from_slice(rest);
                }
                6 => {
                    let end = at + self.below(data.len() - at + 1);
                    let part = data.get(at..end).unwrap_or_default().to_vec();
                    for _ in 0..=self.below(4) {
                        data.splice(at..at, part.iter().copied());
                    }
                }
                7 => {
                    let end = at + self.below(data.len() - at + 1);
                    data.drain(at..end);
                }
                _ => {
                    let bytes = self.next().to_le_bytes();
                    data.splice(at..at, bytes.into_iter().take(1 + self.below(8)).collect::<Vec<_>>());
                }
            }
            data.truncate(LONGEST);
        }
        data
    }

    fn flip(&mut self, data: &mut [u8], at: usize) {
        let bit = self.below(8);
        if let Some(byte) = data.get_mut(at) {
            *byte ^= 1 << bit;
        }
    }
}
