//! Where a connection may go: domain patterns and address ranges, and which of two is the wider one.

use std::net::IpAddr;
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

/// Whether everything that `narrow` matches, `wide` matches too. `*.a.b` matches names below `a.b` and not `a.b` itself.
pub(super) fn domain_covers(wide: &str, narrow: &str) -> bool {
    if wide == narrow {
        return true;
    }
    // `*.a.b` covers `x.a.b`, `*.x.a.b`, and nothing above.
    wide.strip_prefix('*').is_some_and(|suffix| {
        let name = narrow.strip_prefix("*.").unwrap_or(narrow);
        name.len() > suffix.len() && name.ends_with(suffix)
    })
}

/// An address range, `10.1.0.0/16` or `fd00::/8`. Host bits must be zero, so that one range has one spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

    /// Whether every address of `narrow` is in this range.
    pub(super) fn covers(self, narrow: Self) -> bool {
        let ((wide, width), (inner, inner_width)) = (self.bits(), narrow.bits());
        width == inner_width && self.prefix <= narrow.prefix && wide == inner & mask(self.prefix, width)
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

/// Whether the range `wide` holds the range `narrow`; false if either is none.
pub(super) fn cidr_covers(wide: &str, narrow: &str) -> bool {
    matches!((Cidr::parse(wide), Cidr::parse(narrow)), (Some(wide), Some(narrow)) if wide.covers(narrow))
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
            assert_eq!(domain_covers(wide, narrow), covers, "{wide} covers {narrow}");
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
            assert_eq!(cidr_covers(wide, narrow), covers, "{wide} covers {narrow}");
        }
    }
}
