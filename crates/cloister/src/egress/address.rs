//! What kind of address an address is, by the IANA special-purpose registries, looking through every form that embeds IPv4.
//!
//! Sources: the IPv4 and IPv6 special-purpose address registries (RFC 6890 and its updates), RFC 4291 (mapped, compatible),
//! RFC 6052 and RFC 8215 (NAT64), RFC 3056 (6to4), RFC 4380 (Teredo), RFC 5214 (ISATAP), and the metadata addresses that
//! the cloud providers document.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The kind of an address, as far as dialling it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// A cloud provider's metadata or credentials service. Never dialled, whatever a policy says.
    Metadata,
    /// This machine.
    Loopback,
    /// `0.0.0.0` and its like, which Linux takes for loopback.
    Unspecified,
    /// RFC 1918, site-local, or unique local.
    Private,
    /// One link.
    LinkLocal,
    /// Shared by carrier-grade NAT.
    Cgnat,
    /// Many receivers.
    Multicast,
    /// For documentation and benchmarks.
    Test,
    /// Everything else that is not plain unicast.
    Reserved,
    /// Globally reachable unicast.
    Public,
}

impl Class {
    /// The word for a refusal.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Metadata => "cloud metadata",
            Self::Loopback => "loopback",
            Self::Unspecified => "unspecified",
            Self::Private => "private",
            Self::LinkLocal => "link-local",
            Self::Cgnat => "carrier-grade NAT",
            Self::Multicast => "multicast",
            Self::Test => "documentation or benchmark",
            Self::Reserved => "reserved",
            Self::Public => "public",
        }
    }
}

/// The kind of `address`.
pub(crate) fn classify(address: IpAddr) -> Class {
    match address {
        IpAddr::V4(v4) => classify_v4(v4),
        IpAddr::V6(v6) => classify_v6(v6),
    }
}

/// The address that the kernel would really dial: an IPv4-mapped address is its IPv4 address, so that one rule covers both.
pub(crate) fn canonical(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

fn classify_v4(address: Ipv4Addr) -> Class {
    match address.octets() {
        // Instance metadata (all large clouds), its DNS and time siblings, and the credentials services of containers.
        [169, 254, 169 | 170, _] => Class::Metadata,
        // Tencent and Scaleway; Alibaba; the Azure host agent; Oracle.
        [169, 254, 0, 23]
        | [169, 254, 42, 42]
        | [100, 100, 100, 200]
        | [168, 63, 129, 16]
        | [192, 0, 0, 192] => Class::Metadata,
        [0, ..] => Class::Unspecified,
        [127, ..] => Class::Loopback,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Class::Private,
        [100, 64..=127, ..] => Class::Cgnat,
        [169, 254, ..] => Class::LinkLocal,
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] | [198, 18 | 19, ..] => Class::Test,
        // Protocol assignments, and the anycast address of 6to4 relays.
        [192, 0, 0, _] | [192, 88, 99, _] => Class::Reserved,
        [224..=239, ..] => Class::Multicast,
        [240..=255, ..] => Class::Reserved,
        _ => Class::Public,
    }
}

fn classify_v6(address: Ipv6Addr) -> Class {
    let s = address.segments();
    let low = v4_at(s, 6);
    match s {
        [0, 0, 0, 0, 0, 0, 0, 0] => Class::Unspecified,
        [0, 0, 0, 0, 0, 0, 0, 1] => Class::Loopback,
        // Compatible ::a.b.c.d, mapped ::ffff:a.b.c.d, translated ::ffff:0:a.b.c.d, NAT64 64:ff9b::a.b.c.d.
        [0, 0, 0, 0, 0, 0, _, _]
        | [0, 0, 0, 0, 0, 0xffff, _, _]
        | [0, 0, 0, 0, 0xffff, 0, _, _]
        | [0x64, 0xff9b, 0, 0, 0, 0, _, _] => classify_v4(low),
        // NAT64 with a local prefix: where it leads is a matter of that network.
        [0x64, 0xff9b, 1, ..] => worst(Class::Reserved, classify_v4(low)),
        [0x2002, ..] => classify_v4(v4_at(s, 1)),
        // Teredo: the server, and the client with every bit flipped.
        [0x2001, 0, ..] => worst(classify_v4(v4_at(s, 2)), classify_v4(Ipv4Addr::from_bits(!low.to_bits()))),
        _ => {
            let plain = classify_plain_v6(s);
            // ISATAP puts an IPv4 address into the interface identifier of any prefix.
            if matches!(s[4..6], [0 | 0x200, 0x5efe]) { worst(plain, classify_v4(low)) } else { plain }
        }
    }
}

fn classify_plain_v6(s: [u16; 8]) -> Class {
    match s {
        // The whole of Amazon's fd00:ec2::/32; Google; Scaleway; and any local prefix that ends in 169.254.169.254.
        [0xfd00, 0xec2, ..] | [0xfd20, 0xce, ..] | [0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42] => Class::Metadata,
        [0xfc00..=0xfdff | 0xfe80..=0xfeff, .., 0xa9fe, 0xa9fe] => Class::Metadata,
        [0xfe80..=0xfebf, ..] => Class::LinkLocal,
        [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] => Class::Private,
        [0xff00..=0xffff, ..] => Class::Multicast,
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] | [0x2001, 2, 0, ..] => Class::Test,
        // Protocol assignments (ORCHID, AMT, anycast): nothing that a session has business with.
        [0x2001, 0..=0x1ff, ..] => Class::Reserved,
        [0x2000..=0x3fff, ..] => Class::Public,
        _ => Class::Reserved,
    }
}

/// The address, and every IPv4 address that is written into it: what a denial of a range is about, whichever way leads there.
pub(crate) fn stands_for(address: IpAddr) -> Vec<IpAddr> {
    let mut all = vec![address];
    if let IpAddr::V6(v6) = address {
        let s = v6.segments();
        let low = v4_at(s, 6);
        match s {
            [0, 0, 0, 0, 0, 0, _, _]
            | [0, 0, 0, 0, 0, 0xffff, _, _]
            | [0, 0, 0, 0, 0xffff, 0, _, _]
            | [0x64, 0xff9b, ..] => all.push(low.into()),
            [0x2002, ..] => all.push(v4_at(s, 1).into()),
            [0x2001, 0, ..] => {
                all.extend([v4_at(s, 2), Ipv4Addr::from_bits(!low.to_bits())].map(IpAddr::V4));
            }
            [.., 0 | 0x200, 0x5efe, _, _] => all.push(low.into()),
            _ => {}
        }
    }
    all
}

/// The IPv4 address in segments `at` and `at + 1`.
fn v4_at(s: [u16; 8], at: usize) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from(s[at]) << 16 | u32::from(s[at + 1]))
}

/// Metadata beats everything, public loses to everything.
fn worst(a: Class, b: Class) -> Class {
    match (a, b) {
        (Class::Metadata, _) | (_, Class::Metadata) => Class::Metadata,
        (Class::Public, other) | (other, _) => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(text: &str) -> Class {
        classify(text.parse().unwrap())
    }

    #[test]
    fn every_metadata_address_is_recognised_in_every_form() {
        for text in [
            "169.254.169.254",
            "169.254.170.2",
            "169.254.170.23",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",
            "fd00:c1::a9fe:a9fe",
            "fe80::a9fe:a9fe",
            "::169.254.169.254",
            "::ffff:169.254.169.254",
            "::ffff:0:169.254.169.254",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::169.254.169.254",
            "2002:a9fe:a9fe::1",
            "2001:0:a9fe:a9fe::1",
            // Teredo client 169.254.169.254: the bits are flipped.
            "2001:0:5db8:d822::5601:5601",
            "2606:4700::5efe:a9fe:a9fe",
            "2606:4700::200:5efe:a9fe:a9fe",
        ] {
            assert_eq!(class(text), Class::Metadata, "{text}");
        }
    }

    #[test]
    fn special_ranges_are_not_public_at_either_end() {
        for (text, expected) in [
            ("0.0.0.0", Class::Unspecified),
            ("0.255.255.255", Class::Unspecified),
            ("10.0.0.0", Class::Private),
            ("10.255.255.255", Class::Private),
            ("100.64.0.0", Class::Cgnat),
            ("100.127.255.255", Class::Cgnat),
            ("127.0.0.1", Class::Loopback),
            ("127.255.255.255", Class::Loopback),
            ("169.254.0.1", Class::LinkLocal),
            ("172.16.0.0", Class::Private),
            ("172.31.255.255", Class::Private),
            ("192.0.2.1", Class::Test),
            ("192.168.255.255", Class::Private),
            ("198.18.0.0", Class::Test),
            ("198.19.255.255", Class::Test),
            ("198.51.100.7", Class::Test),
            ("203.0.113.7", Class::Test),
            ("192.88.99.1", Class::Reserved),
            ("224.0.0.251", Class::Multicast),
            ("239.255.255.255", Class::Multicast),
            ("240.0.0.1", Class::Reserved),
            ("255.255.255.255", Class::Reserved),
            ("::", Class::Unspecified),
            ("::1", Class::Loopback),
            ("fe80::1", Class::LinkLocal),
            ("fec0::1", Class::Private),
            ("fc00::1", Class::Private),
            ("fdff::1", Class::Private),
            ("ff02::fb", Class::Multicast),
            ("2001:db8::1", Class::Test),
            ("3fff:fff::1", Class::Test),
            ("2001:20::1", Class::Reserved),
            ("100::1", Class::Reserved),
            ("5f00::1", Class::Reserved),
            ("64:ff9b:1::8.8.8.8", Class::Reserved),
        ] {
            assert_eq!(class(text), expected, "{text}");
        }
    }

    #[test]
    fn neighbours_of_special_ranges_are_public() {
        for text in [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:4860:4860::8888",
            "2a00::1",
        ] {
            assert_eq!(class(text), Class::Public, "{text}");
        }
    }

    #[test]
    fn an_embedded_address_decides() {
        for (text, expected) in [
            ("::ffff:127.0.0.1", Class::Loopback),
            ("::ffff:8.8.8.8", Class::Public),
            ("::10.0.0.1", Class::Private),
            ("64:ff9b::10.0.0.1", Class::Private),
            ("64:ff9b::8.8.8.8", Class::Public),
            ("2002:7f00:1::", Class::Loopback),
            ("2002:808:808::1", Class::Public),
            // Teredo with a public server and the client 10.0.0.1.
            ("2001:0:808:808::f5ff:fffe", Class::Private),
            ("2606:4700::5efe:a00:1", Class::Private),
        ] {
            assert_eq!(class(text), expected, "{text}");
        }
    }

    #[test]
    fn a_mapped_address_is_its_ipv4_address() {
        assert_eq!(canonical("::ffff:10.1.2.3".parse().unwrap()), "10.1.2.3".parse::<IpAddr>().unwrap());
        assert_eq!(canonical("2002:a01:203::".parse().unwrap()), "2002:a01:203::".parse::<IpAddr>().unwrap());
    }
}
