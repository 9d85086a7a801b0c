//! Single byte ranges (RFC 9110, section 14).

/// What a Range header asks of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The whole file: no range, or a unit that we do not know.
    Whole,
    /// These bytes, last one included.
    Part {
        /// First byte.
        first: u64,
        /// Last byte.
        last: u64,
    },
    /// A range that the file does not have, or several of them. Several are refused: a thousand overlapping
    /// ones would be a thousand times the work for one request.
    Unsatisfiable,
}

/// Reads a Range header for a file of `size` bytes.
pub(super) fn wanted(header: Option<&str>, size: u64) -> Wanted {
    let Some(spec) = header.and_then(|h| h.trim().strip_prefix("bytes=")) else { return Wanted::Whole };
    let Some((first, last)) = spec.trim().split_once('-') else { return Wanted::Unsatisfiable };
    let number = |text: &str| -> Option<u64> {
        // `parse` would take a sign.
        text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
    };
    let part = match (first, last) {
        ("", suffix) => number(suffix).filter(|n| *n > 0 && size > 0).map(|n| (size - n.min(size), size - 1)),
        (first, "") => number(first).filter(|first| *first < size).map(|first| (first, size - 1)),
        (first, last) => match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last && first < size => Some((first, last.min(size - 1))),
            _ => None,
        },
    };
    part.map_or(Wanted::Unsatisfiable, |(first, last)| Wanted::Part { first, last })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_ranges_are_cut_to_the_file() {
        for (header, first, last) in [
            ("bytes=0-0", 0, 0),
            ("bytes=2-5", 2, 5),
            ("bytes=5-", 5, 9),
            ("bytes=-3", 7, 9),
            ("bytes=-100", 0, 9),
            ("bytes=9-100", 9, 9),
            ("bytes=0-18446744073709551615", 0, 9),
        ] {
            assert_eq!(wanted(Some(header), 10), Wanted::Part { first, last }, "{header}");
        }
    }

    #[test]
    fn what_the_file_does_not_have_is_unsatisfiable() {
        for header in [
            "bytes=10-",
            "bytes=5-2",
            "bytes=-0",
            "bytes=-",
            "bytes=",
            "bytes=a-b",
            "bytes=--1",
            "bytes=+1-2",
            "bytes=0-1,2-3",
            "bytes=0-18446744073709551616",
            "bytes=18446744073709551615-",
        ] {
            assert_eq!(wanted(Some(header), 10), Wanted::Unsatisfiable, "{header}");
        }
        assert_eq!(wanted(Some("bytes=0-"), 0), Wanted::Unsatisfiable);
        assert_eq!(wanted(Some("bytes=-1"), 0), Wanted::Unsatisfiable);
    }

    #[test]
    fn other_units_and_no_header_mean_the_whole_file() {
        assert_eq!(wanted(None, 10), Wanted::Whole);
        assert_eq!(wanted(Some("lines=1-2"), 10), Wanted::Whole);
    }
}
