//! The one parser of destinations: `host:port` text from a guest becomes a [`Destination`], or nothing.
//!
//! Rules, resolver and request line all use its result, never the text, so that no two of them can read a name
//! differently (a NUL that ends it for one of them, `user@host`, hexadecimal IPv4, a trailing dot).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where a guest wants to connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    /// A name or an address.
    pub(crate) host: Host,
    /// 1 to 65535.
    pub(crate) port: u16,
}

/// A host that passed the parser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// Lower-case letters, digits and hyphens in dotted labels; at most 253 bytes.
    Name(String),
    /// A literal in its one canonical form.
    Address(IpAddr),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Why a destination was not understood. The text is never echoed: it may hold anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HostError {
    /// No host before the port.
    #[error("the destination has no host")]
    Empty,
    /// Not letters, digits, hyphens and dots in labels of 1 to 63 bytes.
    #[error(
        "the host is not a plain DNS name (letters, digits, hyphens and dots; no trailing dot, no user name)"
    )]
    NotAName,
    /// Digits or hexadecimal where a name was due.
    #[error("the host looks like an IPv4 address but is not four decimal numbers")]
    OddIpv4,
    /// Brackets around something else.
    #[error("the host is not an IPv6 address in brackets (zone names are not taken)")]
    NotIpv6,
    /// Missing where it is required, not a number, or out of range.
    #[error("the port is not a number from 1 to 65535")]
    Port,
}

/// Reads `host:port`, or `host` alone when `default_port` says what it means. All bytes must be used.
pub(crate) fn parse(text: &[u8], default_port: Option<u16>) -> Result<Destination, HostError> {
    let text = std::str::from_utf8(text).map_err(|_| HostError::NotAName)?;
    let (host, rest) = if let Some(inner) = text.strip_prefix('[') {
        let (inside, rest) = inner.split_once(']').ok_or(HostError::NotIpv6)?;
        // `Ipv6Addr` takes no zone (`%eth0`), no brackets and no blanks, so its parser is strict enough.
        let address = inside.parse::<Ipv6Addr>().map_err(|_| HostError::NotIpv6)?;
        (Host::Address(IpAddr::V6(address)), rest)
    } else {
        let end = text.find(':').unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        (parse_name(name)?, rest)
    };
    let port = match (rest.strip_prefix(':'), default_port) {
        (Some(digits), _) => parse_port(digits)?,
        (None, Some(port)) if rest.is_empty() => port,
        _ => return Err(HostError::Port),
    };
    Ok(Destination { host, port })
}

/// A name or a dotted IPv4 address, in lower case.
pub(crate) fn parse_name(text: &str) -> Result<Host, HostError> {
    if text.is_empty() {
        return Err(HostError::Empty);
    }
    if text.len() > 253 || !text.split('.').all(is_label) {
        return Err(HostError::NotAName);
    }
    // Resolvers read `2852039166`, `0xa9fea9fe`, `169.254.43518` and `0251.0376.0251.0376` as IPv4. Whatever ends in
    // something number-like is therefore an address in its canonical form, or refused.
    if text.rsplit('.').next().is_some_and(is_number_like) {
        return match text.parse::<Ipv4Addr>() {
            Ok(address) => Ok(Host::Address(IpAddr::V4(address))),
            Err(_) => Err(HostError::OddIpv4),
        };
    }
    Ok(Host::Name(text.to_ascii_lowercase()))
}

/// 1 to 63 letters, digits and hyphens, with no hyphen at either end (RFC 1123).
fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// All digits, or `0x` and hexadecimal digits.
fn is_number_like(label: &str) -> bool {
    let bytes = label.as_bytes();
    match bytes {
        [b'0', b'x' | b'X', rest @ ..] => rest.iter().all(u8::is_ascii_hexdigit),
        _ => bytes.iter().all(u8::is_ascii_digit),
    }
}

/// Decimal digits without sign, blanks or leading zero.
fn parse_port(digits: &str) -> Result<u16, HostError> {
    let plain = (1..=5).contains(&digits.len())
        && digits.bytes().all(|b| b.is_ascii_digit())
        && !digits.starts_with('0');
    if !plain {
        return Err(HostError::Port);
    }
    digits.parse().map_err(|_| HostError::Port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Result<Host, HostError> {
        parse(text.as_bytes(), Some(443)).map(|d| d.host)
    }

    #[test]
    fn plain_names_pass_in_lower_case() {
        assert_eq!(host("Packages.example"), Ok(Host::Name("packages.example".into())));
        assert_eq!(host("a-b.c0"), Ok(Host::Name("a-b.c0".into())));
        let destination = parse(b"files.packages-files.example:8443", None).unwrap();
        assert_eq!(destination.to_string(), "files.packages-files.example:8443");
    }

    #[test]
    fn a_name_with_anything_but_ldh_is_refused() {
        for bad in [
            "",
            ".",
            "a..b",
            "example.com.",
            ".example.com",
            "exa mple.com",
            "example.com\t",
            "example.com\0.evil",
            "example.com%00.evil",
            "example.com\r\n",
            "user@example.com",
            "example.com#x",
            "example.com\\x",
            "example.com/x",
            "exämple.com",
            "-a.com",
            "a-.com",
            "a_b.com",
            "*.example.com",
            "\u{2024}",
            &format!("{}.com", "a".repeat(64)),
            &format!("{}com", "abcdefg.".repeat(32)),
        ] {
            assert!(host(bad).is_err(), "{bad:?}");
        }
        assert!(parse(b"\xff.com:443", None).is_err());
    }

    #[test]
    fn the_longest_legal_labels_and_names_pass() {
        assert!(host(&format!("{}.com", "a".repeat(63))).is_ok());
        let name = format!("{}bcdef", "abcdefg.".repeat(31));
        assert_eq!(name.len(), 253);
        assert!(host(&name).is_ok());
        assert!(host(&format!("{name}g")).is_err());
    }

    #[test]
    fn odd_ipv4_is_refused_and_canonical_ipv4_is_an_address() {
        for bad in [
            "2852039166",
            "0xA9FEA9FE",
            "0xa9.0xfe.0xa9.0xfe",
            "169.254.43518",
            "0251.0376.0251.0376",
            "127.1",
            "1.2.3.4.5",
            "256.1.1.1",
            "01.2.3.4",
            "example.0x7f",
            "example.1",
            "0x",
        ] {
            assert_eq!(host(bad), Err(HostError::OddIpv4), "{bad:?}");
        }
        assert_eq!(host("169.254.169.254"), Ok(Host::Address("169.254.169.254".parse().unwrap())));
    }

    #[test]
    fn ipv6_comes_in_brackets_and_without_a_zone() {
        assert_eq!(host("[::1]"), Ok(Host::Address("::1".parse().unwrap())));
        assert_eq!(parse(b"[2001:db8::1]:8080", None).unwrap().to_string(), "[2001:db8::1]:8080");
        for bad in
            ["::1", "[::1", "[::1]x", "[fe80::1%25eth0]", "[fe80::1%eth0]", "[1.2.3.4]", "[]", "[[::1]]"]
        {
            assert!(host(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn ports_are_plain_decimal_and_nothing_may_follow() {
        for bad in [
            "a.com:",
            "a.com:0",
            "a.com:00443",
            "a.com:+443",
            "a.com:65536",
            "a.com:443x",
            "a.com:443:80",
            "a.com: 443",
            "a.com:٤٤٣",
        ] {
            assert_eq!(host(bad), Err(HostError::Port), "{bad:?}");
        }
        assert_eq!(parse(b"a.com", None), Err(HostError::Port), "CONNECT needs a port");
    }
}
