//! Address ranges in CIDR form.

use std::fmt;
use std::net::IpAddr;

/// A range of addresses of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cidr {
    network: IpAddr,
    prefix: u8,
}

/// A range that cannot be read, with what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not an address range: write it as 10.0.0.0/8 or fd00::/8, with no bits set after the prefix"
)]
pub(crate) struct CidrError {
    text: String,
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

impl Cidr {
    /// Reads `address/prefix`. Bits after the prefix are an error: `10.1.2.3/8` may be a slip of the pen for `/32`.
    pub(crate) fn parse(text: &str) -> Result<Self, CidrError> {
        let error = || CidrError { text: text.to_owned() };
        let (address, digits) = text.split_once('/').ok_or_else(error)?;
        let network: IpAddr = address.parse().map_err(|_| error())?;
        let plain = digits.bytes().all(|b| b.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
        let prefix: u8 = digits.parse().ok().filter(|_| plain).ok_or_else(error)?;
        let (bits, width) = bits_of(network);
        if prefix > width || bits & !mask(prefix, width) != 0 {
            return Err(error());
        }
        Ok(Self { network, prefix })
    }

    /// Whether `address` lies in the range. Families never match each other.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let ((network, width), (bits, other)) = (bits_of(self.network), bits_of(address));
        width == other && bits & mask(self.prefix, width) == network
    }
}

/// The address as a number, and the width of its family.
fn bits_of(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()), 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    }
}

/// `prefix` ones, then zeros, in `width` bits.
fn mask(prefix: u8, width: u8) -> u128 {
    let ones = u128::MAX.checked_shl(u32::from(width - prefix)).unwrap_or(0);
    if width == 128 { ones } else { ones & u128::from(u32::MAX) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(range: &str, address: &str) -> bool {
        Cidr::parse(range).unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn a_range_holds_its_first_and_last_address_and_no_neighbour() {
        assert!(contains("10.0.0.0/8", "10.0.0.0") && contains("10.0.0.0/8", "10.255.255.255"));
        assert!(!contains("10.0.0.0/8", "9.255.255.255") && !contains("10.0.0.0/8", "11.0.0.0"));
        assert!(contains("192.168.1.7/32", "192.168.1.7") && !contains("192.168.1.7/32", "192.168.1.6"));
        assert!(contains("0.0.0.0/0", "1.2.3.4") && contains("::/0", "2001::1"));
        assert!(contains("fd00::/8", "fdff::1") && !contains("fd00::/8", "fe00::1"));
    }

    #[test]
    fn families_do_not_mix() {
        assert!(!contains("0.0.0.0/0", "::1") && !contains("::/0", "127.0.0.1"));
    }

    #[test]
    fn sloppy_ranges_are_refused() {
        for bad in [
            "10.0.0.0",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.1.2.3/8",
            "10.0.0.0/+8",
            "10.0.0.0/08",
            "a/8",
            "::1/129",
            "/8",
        ] {
            assert!(Cidr::parse(bad).is_err(), "{bad}");
        }
    }
}
