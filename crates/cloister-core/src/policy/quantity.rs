//! Sizes and durations as policies write them: `"2GiB"`, `"15m"`, or a bare number of bytes or seconds.

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use std::fmt;
use std::time::Duration;

/// A number of bytes. Binary units only: what `MB` means depends on whom one asks, and a limit must not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size(pub(super) u64);

/// A length of time; bare numbers are seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span(pub(super) Duration);

const SIZES: [(&str, u64); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];
const SPANS: [(&str, u64); 4] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];

impl Size {
    fn parse(text: &str) -> Result<Self, String> {
        scaled(text, &SIZES).map(Self).ok_or_else(|| {
            format!(
                "`{text}` is no size: write a whole number with B, KiB, MiB, GiB or TiB, such as \"512MiB\""
            )
        })
    }
}

impl Span {
    fn parse(text: &str) -> Result<Self, String> {
        scaled(text, &SPANS).map(|ms| Self(Duration::from_millis(ms))).ok_or_else(|| {
            format!("`{text}` is no duration: write a whole number with ms, s, m or h, such as \"15m\"")
        })
    }
}

/// `12KiB` → 12 × 1024. No sign, no fraction, no exponent, and no overflow.
fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = units.iter().find(|(name, _)| *name == unit.trim_start_matches(' '))?.1;
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// Reads a size as policies write it.
pub fn read_size(text: &str) -> Result<u64, String> {
    Size::parse(text).map(|size| size.0)
}

/// Reads a time as policies write it, with a unit.
pub fn read_span(text: &str) -> Result<Duration, String> {
    Span::parse(text).map(|span| span.0)
}

/// A size as a policy would write it, exactly: the largest unit that divides it.
pub fn size_text(bytes: u64) -> String {
    let (unit, factor) = SIZES
        .iter()
        .find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor))
        .unwrap_or(&("B", 1));
    format!("{}{unit}", bytes / factor)
}

/// A duration as a policy would write it, to the millisecond.
pub fn span_text(span: Duration) -> String {
    let ms = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    if ms.is_multiple_of(1000) { format!("{}s", ms / 1000) } else { format!("{ms}ms") }
}

macro_rules! number_or_text {
    ($name:ident, $expecting:literal, $number:expr) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Reader;
                impl Visitor<'_> for Reader {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }

                    fn visit_i64<E: Error>(self, value: i64) -> Result<$name, E> {
                        let value = u64::try_from(value).map_err(|_| E::custom("must not be negative"))?;
                        Ok($number(value))
                    }

                    fn visit_u64<E: Error>(self, value: u64) -> Result<$name, E> {
                        Ok($number(value))
                    }

                    fn visit_str<E: Error>(self, text: &str) -> Result<$name, E> {
                        $name::parse(text).map_err(E::custom)
                    }
                }
                deserializer.deserialize_any(Reader)
            }
        }
    };
}

number_or_text!(Size, "a size such as \"512MiB\", or a number of bytes", Size);
number_or_text!(Span, "a duration such as \"15m\", or a number of seconds", |n| Span(Duration::from_secs(n)));

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn unit_tricks_are_refused() {
        for bad in [
            "",
            "GiB",
            "-1GiB",
            "1e9GiB",
            "1.5GiB",
            "2GB",
            "2gib",
            "0x10B",
            "99999999999TiB",
            "1 GiB ",
            "١GiB",
        ] {
            assert!(Size::parse(bad).is_err(), "{bad:?}");
        }
        for bad in ["", "s", "-1s", "1d", "1.5h", "1h30m", "99999999999999999999s", "18446744073709551615h"] {
            assert!(Span::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(Size::parse("2GiB"), Ok(Size(2 << 30)));
        assert_eq!(Size::parse("2 GiB"), Ok(Size(2 << 30)));
        assert_eq!(Span::parse("15m"), Ok(Span(Duration::from_secs(900))));
        assert_eq!(Span::parse("250ms"), Ok(Span(Duration::from_millis(250))));
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back_as_the_same_value(bytes: u64, ms in 0..u64::MAX / 2) {
            prop_assert_eq!(Size::parse(&size_text(bytes)), Ok(Size(bytes)));
            let span = Duration::from_millis(ms);
            prop_assert_eq!(Span::parse(&span_text(span)), Ok(Span(span)));
        }
    }
}
