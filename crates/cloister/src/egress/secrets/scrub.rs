//! Takes values out of what a host answers, in the spellings in which servers repeat what they were sent.
//!
//! A value is replaced by as many asterisks, so that lengths stay true. What a server encrypts, compresses or turns round is not
//! recognised: whoever may use a secret at a host that lends itself to that can learn it, as SECURITY.md says.

use super::Value;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use memchr::memmem::Finder;

/// A spelling of fewer bytes would be found everywhere.
const SHORTEST: usize = 8;

/// What is looked for.
#[derive(Default)]
pub(super) struct Patterns {
    /// The longest first: one may be part of another.
    finders: Vec<Finder<'static>>,
}

impl Patterns {
    pub(super) fn of(values: &[Value]) -> Self {
        let mut all: Vec<Vec<u8>> = values.iter().flat_map(|Value(text)| spellings(text)).collect();
        all.retain(|pattern| pattern.len() >= SHORTEST);
        all.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        all.dedup();
        Self { finders: all.iter().map(|pattern| Finder::new(pattern).into_owned()).collect() }
    }

    /// Masks every pattern. Says whether there was one.
    pub(super) fn mask(&self, bytes: &mut [u8]) -> bool {
        let mut found = false;
        for finder in &self.finders {
            let mut from = 0;
            while let Some(at) = finder.find(&bytes[from..]) {
                let end = from + at + finder.needle().len();
                bytes[from + at..end].fill(b'*');
                (found, from) = (true, end);
            }
        }
        found
    }

    /// The next bytes of a stream: what can be passed on, while what may be the beginning of a pattern stays in `held`. And whether there
    /// was one.
    pub(super) fn pass(&self, held: &mut Vec<u8>, next: &[u8]) -> (Vec<u8>, bool) {
        held.extend_from_slice(next);
        let found = self.mask(held);
        let rest = held.split_off(self.open_end(held));
        (std::mem::replace(held, rest), found)
    }

    /// Bytes of the longest pattern.
    pub(super) fn longest(&self) -> usize {
        self.finders.first().map_or(0, |finder| finder.needle().len())
    }

    /// Where the end of `bytes` begins that may be the beginning of a pattern.
    fn open_end(&self, bytes: &[u8]) -> usize {
        let from = bytes.len().saturating_sub(self.longest().saturating_sub(1));
        let begins = |at: &usize| self.finders.iter().any(|f| f.needle().starts_with(&bytes[*at..]));
        (from..bytes.len()).find(begins).unwrap_or(bytes.len())
    }
}

/// A stream that is masked piece by piece. It holds back no more than what may be the beginning of a value.
pub(super) struct Scrubber<'a> {
    patterns: &'a Patterns,
    held: Vec<u8>,
    found: bool,
}

impl<'a> Scrubber<'a> {
    pub(super) fn new(patterns: &'a Patterns) -> Self {
        Self { patterns, held: Vec::new(), found: false }
    }

    /// What can be passed on after these bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        let (out, found) = self.patterns.pass(&mut self.held, bytes);
        self.found |= found;
        out
    }

    /// What is left at the end of the stream.
    pub(super) fn end(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }

    /// Whether a value was in it.
    pub(super) fn found(&self) -> bool {
        self.found
    }
}

/// The value itself, and as servers write it: percent-encoded, in JSON and HTML, in hexadecimal, in base64 at every alignment.
fn spellings(text: &str) -> Vec<Vec<u8>> {
    let bytes = text.as_bytes();
    let mut all = vec![bytes.to_vec()];
    let by_byte = |plain: fn(u8) -> bool, written: fn(u8) -> String| -> Vec<u8> {
        bytes.iter().flat_map(|&b| if plain(b) { vec![b] } else { written(b).into_bytes() }).collect()
    };
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    all.push(by_byte(unreserved, |b| format!("%{b:02X}")));
    all.push(by_byte(unreserved, |b| format!("%{b:02x}")));
    let quoted = |b: u8| !matches!(b, b'"' | b'\\');
    all.push(by_byte(quoted, |b| format!("\\{}", char::from(b))));
    all.push(by_byte(|b| !matches!(b, b'"' | b'\\' | b'/'), |b| format!("\\{}", char::from(b))));
    all.push(by_byte(
        |b| !matches!(b, b'&' | b'<' | b'>' | b'"' | b'\''),
        |b| match b {
            b'&' => "&amp;".into(),
            b'<' => "&lt;".into(),
            b'>' => "&gt;".into(),
            b'"' => "&quot;".into(),
            _ => "&#39;".into(),
        },
    ));
    all.push(by_byte(|_| false, |b| format!("{b:02x}")));
    all.push(by_byte(|_| false, |b| format!("{b:02X}")));
    for before in 0..3 {
        // Characters that only bits of the value decide, whatever stands before and behind it.
        let padded = [&vec![0; before][..], bytes].concat();
        let (first, last) = ((8 * before).div_ceil(6), 8 * padded.len() / 6);
        for encoded in [STANDARD_NO_PAD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)] {
            all.push(encoded.as_bytes()[first..last].to_vec());
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &str = "s3cr3t/\"&+value=";

    fn patterns() -> Patterns {
        Patterns::of(&[Value(VALUE.into())])
    }

    /// Passes `text` through in pieces of `size` bytes.
    fn scrubbed(text: &[u8], size: usize) -> Vec<u8> {
        let patterns = patterns();
        let mut scrubber = Scrubber::new(&patterns);
        let mut out: Vec<u8> = text.chunks(size).flat_map(|piece| scrubber.push(piece)).collect();
        out.extend(scrubber.end());
        out
    }

    #[test]
    fn a_value_is_found_in_every_spelling_and_however_the_stream_is_cut() {
        for before in ["", "x", "user:", "Bearer "] {
            for after in ["", "y", "==", "&z=1"] {
                let whole = format!("{before}{VALUE}{after}");
                let texts = [
                    whole.clone(),
                    serde_json::to_string(&whole).unwrap(),
                    STANDARD_NO_PAD.encode(&whole),
                    URL_SAFE_NO_PAD.encode(&whole),
                    whole.bytes().map(|b| format!("{b:02x}")).collect(),
                    whole.bytes().map(|b| format!("%{b:02X}")).collect::<String>(),
                ];
                for text in &texts[..5] {
                    for size in 1..=text.len() {
                        let out = scrubbed(text.as_bytes(), size);
                        assert_eq!(out.len(), text.len());
                        let out = String::from_utf8(out).unwrap();
                        let stars = out.chars().filter(|c| *c == '*').count();
                        assert!(stars >= VALUE.len(), "{text} in pieces of {size}: {out}");
                    }
                }
            }
        }
    }

    #[test]
    fn only_what_may_become_a_value_is_held_back() {
        let patterns = patterns();
        let mut scrubber = Scrubber::new(&patterns);
        assert_eq!(scrubber.push(b"data: an event\n\n"), b"data: an event\n\n");
        assert_eq!(scrubber.push(b"and s3cr"), b"and ");
        assert_eq!(scrubber.push(b"et\n"), b"s3cret\n");
        assert!(!scrubber.found());
    }

    #[test]
    fn what_is_not_a_value_passes_unchanged() {
        let text: Vec<u8> = (0..=255).cycle().take(10_000).collect();
        assert_eq!(scrubbed(&text, 777), text);
    }
}
