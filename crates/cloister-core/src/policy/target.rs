//! Where a connection may go: domain patterns and address ranges, and which of two is the wider one.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Whether `text` is a domain pattern: lower-case labels, with `*` as the leftmost label at most.
pub(super) fn is_domain(text: &str) -> bool {
    let name = text.strip_prefix("*.").unwrap_or(text);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // An address in the place of a name would get round the checks of addresses.
    text.len() <= 253 && name.split('.').all(label) && IpAddr::from_str(name).is_err()
}

/// A list of targets that answers quickly, however long it is: a policy of ten thousand rules must load in no time.
pub(super) trait Cover<'a> {
    /// The list. Entries that are no targets cover nothing.
    fn of(list: &'a [String]) -> Self;
    /// Whether one entry of the list matches everything that `narrow` matches.
    fn covers(&self, narrow: &str) -> bool;
}

/// Domain patterns. `*.a.b` matches names below `a.b` and not `a.b` itself.
pub(super) struct Domains<'a>(HashSet<&'a str>);

impl<'a> Cover<'a> for Domains<'a> {
    fn of(list: &'a [String]) -> Self {
        Self(list.iter().map(String::as_str).collect())
    }

    fn covers(&self, narrow: &str) -> bool {
        if self.0.contains(narrow) {
            return true;
        }
        // `*.a.b` covers `x.a.b`, `*.x.a.b`, and nothing above.
        let mut name = narrow.strip_prefix("*.").unwrap_or(narrow);
        while let Some((_, above)) = name.split_once('.') {
            if self.0.contains(format!("*.{above}").as_str()) {
                return true;
            }
            name = above;
        }
        false
    }
}

/// Names, and beginnings of names that end in `*`.
pub(super) struct Names<'a>(HashSet<&'a str>);

impl<'a> Cover<'a> for Names<'a> {
    fn of(list: &'a [String]) -> Self {
        Self(list.iter().map(String::as_str).collect())
    }

    fn covers(&self, narrow: &str) -> bool {
        // `a*` covers `a*`, `ab` and `ab*`; names are ASCII, so each byte ends one beginning.
        let stem = narrow.strip_suffix('*').unwrap_or(narrow);
        let begins = |end: usize| stem.get(..end).is_some_and(|b| self.0.contains(format!("{b}*").as_str()));
        self.0.contains(narrow) || (0..=stem.len()).any(begins)
    }
}

/// Address ranges.
pub(super) struct Ranges(HashSet<Cidr>);

impl<'a> Cover<'a> for Ranges {
    fn of(list: &'a [String]) -> Self {
        Self(list.iter().filter_map(|text| Cidr::parse(text)).collect())
    }

    fn covers(&self, narrow: &str) -> bool {
        Cidr::parse(narrow)
            .is_some_and(|range| (0..=range.prefix).any(|prefix| self.0.contains(&range.widened(prefix))))
    }
}

/// An address range, `10.1.0.0/16` or `fd00::/8`. Host bits must be zero, so that one range has one spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Cidr {
    address: IpAddr,
    prefix: u32,
}

impl Cidr {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        if prefix.is_empty() || !prefix.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let this = Self { address: address.parse().ok()?, prefix: prefix.parse().ok()? };
        let (bits, width) = this.bits();
        let clean = this.prefix <= width && bits == bits & mask(this.prefix, width);
        clean.then_some(this)
    }

    /// The range of a shorter prefix that holds this one.
    fn widened(self, prefix: u32) -> Self {
        let (bits, width) = self.bits();
        let bits = bits & mask(prefix, width);
        let address = match self.address {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(bits).unwrap_or(u32::MAX))),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(bits)),
        };
        Self { address, prefix }
    }

    fn bits(self) -> (u128, u32) {
        match self.address {
            IpAddr::V4(v4) => (u128::from(v4.to_bits()), 32),
            IpAddr::V6(v6) => (v6.to_bits(), 128),
        }
    }
}

/// The first `prefix` of `width` bits.
fn mask(prefix: u32, width: u32) -> u128 {
    let all = if width == 128 { u128::MAX } else { (1 << width) - 1 };
    all & !all.checked_shr(prefix).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_has_its_star_on_the_left_and_is_no_address() {
        for good in ["example.com", "*.example.com", "localhost", "a-b.c_d.io", "xn--bcher-kva.example"] {
            assert!(is_domain(good), "{good}");
        }
        let long = "a.".repeat(130) + "a";
        for bad in [
            "", "*", "*.", "a.*.com", "**.com", "A.com", "a..com", ".com", "a.com.", "-a.com", "10.0.0.1",
            "a/b", &long,
        ] {
            assert!(!is_domain(bad), "{bad}");
        }
    }

    #[test]
    fn a_star_covers_what_is_below_and_not_the_name_itself() {
        for (wide, narrow, covers) in [
            ("a.com", "a.com", true),
            ("*.a.com", "x.a.com", true),
            ("*.a.com", "y.x.a.com", true),
            ("*.a.com", "*.x.a.com", true),
            ("*.a.com", "*.a.com", true),
            ("*.a.com", "a.com", false),
            ("*.a.com", "ba.com", false),
            ("*.a.com", "*.com", false),
            ("a.com", "*.a.com", false),
        ] {
            assert_eq!(Domains::of(&[wide.to_owned()]).covers(narrow), covers, "{wide} covers {narrow}");
        }
    }

    #[test]
    fn ranges_contain_ranges_of_their_own_family() {
        for bad in ["10.0.0.0", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/+8", "fd00::/129", "x/8", "10.0.0.0/"]
        {
            assert_eq!(Cidr::parse(bad), None, "{bad}");
        }
        for (wide, narrow, covers) in [
            ("10.0.0.0/8", "10.1.0.0/16", true),
            ("10.0.0.0/8", "10.0.0.0/8", true),
            ("10.1.0.0/16", "10.0.0.0/8", false),
            ("10.0.0.0/8", "11.0.0.0/16", false),
            ("0.0.0.0/0", "10.0.0.0/8", true),
            ("::/0", "10.0.0.0/8", false),
            ("::/0", "fd00::/8", true),
            ("fd00::/8", "fd12::1/128", true),
        ] {
            assert_eq!(Ranges::of(&[wide.to_owned()]).covers(narrow), covers, "{wide} covers {narrow}");
        }
    }
}
