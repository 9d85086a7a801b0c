//! Keeps the values that a session may use out of what it says ([`Redaction`]): the proxy keeps them out of the session, unless a host
//! gives one away.

use super::scrub::Patterns;
use super::{Lent, Value};
use cloister_core::egress::Redaction;
use cloister_core::lock::lock;
use std::sync::{Arc, Mutex};

/// The patterns of the values that are known, made anew when there are others.
#[derive(Default)]
pub(super) struct Known(Mutex<(Vec<Value>, Arc<Patterns>)>);

impl Lent {
    fn patterns(&self) -> Arc<Patterns> {
        let values: Vec<Value> = self.secrets.iter().flat_map(|secret| lock(&secret.seen).clone()).collect();
        let mut known = lock(&self.known.0);
        if known.0 != values {
            let patterns = Arc::new(Patterns::of(&values));
            *known = (values, patterns);
        }
        Arc::clone(&known.1)
    }
}

impl Redaction for Lent {
    fn mask(&self, content: &mut [u8]) {
        self.patterns().mask(content);
    }

    fn longest(&self) -> usize {
        self.patterns().longest()
    }

    fn pass(&self, held: &mut Vec<u8>, next: &[u8]) -> Vec<u8> {
        self.patterns().pass(held, next).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers without a pattern, the same in every run (xorshift64).
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, bound: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 % bound as u64).unwrap()
        }

        fn text(&mut self, length: usize, from: &[u8]) -> String {
            (0..length).map(|_| char::from(from[self.below(from.len())])).collect()
        }
    }

    #[test]
    fn a_stream_says_no_value_however_it_is_cut_and_loses_nothing() {
        let printable: Vec<u8> = (0x21..0x7f).collect();
        let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
        for round in 0..3000 {
            // Of few letters in every other round, so that beginnings of a value are everywhere.
            let letters: &[u8] = if round % 2 == 0 { &printable } else { b"ab" };
            let length = 8 + numbers.below(32);
            let value = numbers.text(length, letters);
            let mut text = String::new();
            for _ in 0..=numbers.below(5) {
                let length = numbers.below(9);
                text += &numbers.text(length, if round % 2 == 0 { b"abc \n" } else { b"ab" });
                text += &value;
            }
            text += &value[..numbers.below(value.len())];
            let patterns = Patterns::of(&[Value(value.clone())]);
            let (mut held, mut out, mut rest) = (Vec::new(), Vec::new(), text.as_bytes());
            while !rest.is_empty() {
                let (now, later) = rest.split_at((1 + numbers.below(12)).min(rest.len()));
                out.extend(patterns.pass(&mut held, now).0);
                assert!(held.len() < 6 * value.len(), "{} bytes are held back", held.len());
                rest = later;
            }
            out.extend(held);
            assert_eq!(out.len(), text.len());
            let said = String::from_utf8(out).unwrap();
            assert!(!said.contains(&value), "{value:?} in {said:?} of {text:?}");
        }
    }

    #[test]
    fn without_values_nothing_is_held_back_or_changed() {
        let patterns = Patterns::default();
        let mut held = Vec::new();
        assert_eq!(patterns.pass(&mut held, b"all of it").0, b"all of it");
        assert_eq!((held, patterns.longest()), (Vec::new(), 0));
    }
}
