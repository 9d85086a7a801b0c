//! What comes to the way out: destinations, addresses, heads. The files are the binary's own, which no other program can link.

#[path = "../../../crates/cloister/src/egress/address.rs"]
#[allow(dead_code, unreachable_pub, reason = "what the proxy uses beside")]
mod address_class;
#[path = "../../../crates/cloister/src/egress/head.rs"]
#[allow(dead_code, unreachable_pub, reason = "what the proxy uses beside")]
mod heads;
#[path = "../../../crates/cloister/src/egress/host.rs"]
#[allow(dead_code, unreachable_pub, reason = "what the proxy uses beside")]
mod host;

use address_class::{Class, canonical, classify};
use heads::{Request, parse_head, rewrite_answer};
use host::{Host, parse};
use std::net::IpAddr;

/// A destination that is taken is plain, and means the same when it is written and read again.
pub(super) fn destination(data: &[u8]) {
    for default in [None, Some(443)] {
        let Ok(to) = parse(data, default) else { continue };
        assert!(to.port > 0);
        assert_eq!(parse(to.to_string().as_bytes(), None).as_ref(), Ok(&to));
        if let Host::Name(name) = &to.host {
            let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
            assert!(name.len() <= 253 && name.bytes().all(plain), "{name:?}");
            let last = name.rsplit('.').next().unwrap_or_default();
            assert!(!last.bytes().all(|b| b.is_ascii_digit()), "{name} may be read as an address");
            assert!(name.parse::<IpAddr>().is_err());
        }
    }
}

/// Four or sixteen bytes: whatever carries a forbidden IPv4 address is as forbidden as that.
pub(super) fn address(data: &[u8]) {
    if let Some(octets) = data.first_chunk::<4>() {
        let plain = IpAddr::from(*octets);
        let [a, b, c, d] = octets.map(u16::from);
        let low = [a << 8 | b, c << 8 | d];
        let class = classify(plain);
        for high in [[0, 0, 0, 0, 0, 0xffff], [0, 0, 0, 0, 0xffff, 0], [0x64, 0xff9b, 0, 0, 0, 0]] {
            let [p, q, r, s, t, u] = high;
            let carrying = IpAddr::from([p, q, r, s, t, u, low[0], low[1]]);
            assert_eq!(classify(carrying), class, "{carrying} carries {plain}");
            assert!(class == Class::Public || classify(canonical(carrying)) != Class::Public, "{carrying}");
        }
        let carrying = IpAddr::from([0x2002, low[0], low[1], 0, 0, 0, 0, 0]);
        assert!(class == Class::Public || classify(carrying) != Class::Public, "{carrying} carries {plain}");
    }
    if let Some(octets) = data.first_chunk::<16>() {
        let six = IpAddr::from(*octets);
        assert_eq!(classify(canonical(six)), classify(six), "{six}");
    }
}

/// What is written anew is one request with one host and one framing, whatever the head was.
pub(super) fn head(data: &[u8]) {
    if let Ok(Request::Forward { head, to, .. }) = parse_head(data) {
        let text = String::from_utf8(head).expect("a head is text");
        assert!(text.ends_with("\r\n\r\n") && text.matches("\r\n\r\n").count() == 1, "{text:?}");
        let lines: Vec<&str> = text.trim_end().split("\r\n").collect();
        assert!(lines.iter().all(|line| !line.contains(['\r', '\n', '\0'])), "{text:?}");
        let named = |name: &str| {
            lines.iter().filter(|line| line.to_ascii_lowercase().starts_with(&format!("{name}: "))).count()
        };
        assert_eq!((named("host"), named("connection")), (1, 1), "{text:?}");
        assert!(named("content-length") + named("transfer-encoding") <= 1, "{text:?}");
        let host = lines.iter().find_map(|line| line.strip_prefix("Host: ")).unwrap_or_default();
        assert_eq!(parse(host.as_bytes(), Some(80)).as_ref(), Ok(&to), "{text:?}");
    }
    if let Ok((status, head)) = rewrite_answer(data) {
        assert!(status < 1000 && head.ends_with(b"\r\n"));
    }
}
