//! The proxies that a session brings along (`proxyConfiguration`): which request goes through which one, and how a tunnel is
//! opened through it.
//!
//! ```text
//!   host ──bypass?──▶ direct
//!     └───first proxy whose domains match──▶ CONNECT host:port to it (tunnels), or the whole URL (plain requests)
//!     └───none──▶ direct
//! ```
//!
//! An upstream proxy widens nothing: a request is judged by the policy before its way is chosen, and the proxy's own address
//! is judged as any other (`dial.rs`).

use super::head::MAX_HEAD;
use super::host::{Destination, Host, HostError, parse, parse_name};
use super::relay::read_head;
use cloister_core::browser::Proxies;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// For the proxy's answer to CONNECT; it connects to the far side meanwhile.
const PATIENCE: Duration = Duration::from_secs(30);

/// The proxies of one session.
#[derive(Clone, Debug, Default)]
pub(crate) struct Upstreams {
    routes: Vec<Route>,
    bypass: Vec<Pattern>,
}

#[derive(Clone, Debug)]
struct Route {
    proxy: Destination,
    domains: Vec<Pattern>,
}

/// `example.com` is that name; `.example.com` is every name below it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Exact(Host),
    Below(String),
}

/// Proxies that cannot be read. The sandbox does not start then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UpstreamError {
    /// Where the proxy is.
    #[error("the upstream proxy {server:?}, port {port}: {source}")]
    Server {
        /// As given.
        server: String,
        /// As given.
        port: u16,
        /// What is wrong.
        source: HostError,
    },
    /// A domain pattern.
    #[error(
        "the domain pattern {text:?} of an upstream proxy: {source}; write example.com, or .example.com for the names below it"
    )]
    Pattern {
        /// As given.
        text: String,
        /// What is wrong.
        source: HostError,
    },
}

/// Why a proxy opened no tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TunnelError {
    /// It said no.
    #[error("it answered CONNECT with status {0}")]
    Status(u16),
    /// It said nothing, or nothing that is HTTP.
    #[error("it did not answer CONNECT as an HTTP proxy does")]
    NoAnswer,
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, UpstreamError> {
        let error = |source| UpstreamError::Pattern { text: text.to_owned(), source };
        match text.strip_prefix('.') {
            None => parse_host(text).map(Self::Exact).map_err(error),
            Some(rest) => match parse_name(rest).map_err(error)? {
                Host::Name(name) => Ok(Self::Below(format!(".{name}"))),
                Host::Address(_) => Err(error(HostError::NotAName)),
            },
        }
    }

    fn matches(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Exact(exact), host) => exact == host,
            (Self::Below(suffix), Host::Name(name)) => {
                name.len() > suffix.len() && name.ends_with(suffix.as_str())
            }
            (Self::Below(_), Host::Address(_)) => false,
        }
    }
}

/// A name, an IPv4 address, or an IPv6 address with or without brackets.
fn parse_host(text: &str) -> Result<Host, HostError> {
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Ok(Host::Address(IpAddr::V6(address)));
    }
    // The port is a member of its own; `host:port` in one text is refused, since two ports could disagree.
    if text.starts_with('[') && text.ends_with(']') {
        return parse(text.as_bytes(), Some(1)).map(|to| to.host);
    }
    parse_name(text)
}

impl Upstreams {
    /// Reads the proxies of a session; the first that cannot be read is an error, never skipped.
    pub(crate) fn compile(proxies: &Proxies) -> Result<Self, UpstreamError> {
        let patterns = |list: &[String]| -> Result<Vec<_>, UpstreamError> {
            list.iter().map(|text| Pattern::parse(text)).collect()
        };
        let Proxies { upstream, bypass } = proxies;
        let route = |proxy: &cloister_core::browser::UpstreamProxy| {
            let cloister_core::browser::UpstreamProxy { server, port, domains } = proxy;
            let error = |source| UpstreamError::Server { server: server.clone(), port: *port, source };
            let host = parse_host(server).map_err(error)?;
            if *port == 0 {
                return Err(error(HostError::Port));
            }
            Ok(Route { proxy: Destination { host, port: *port }, domains: patterns(domains)? })
        };
        Ok(Self { routes: upstream.iter().map(route).collect::<Result<_, _>>()?, bypass: patterns(bypass)? })
    }

    /// The proxy for a host; `None` is the direct way.
    pub(crate) fn route(&self, host: &Host) -> Option<&Destination> {
        if self.bypass.iter().any(|pattern| pattern.matches(host)) {
            return None;
        }
        let takes = |route: &&Route| {
            route.domains.is_empty() || route.domains.iter().any(|pattern| pattern.matches(host))
        };
        self.routes.iter().find(takes).map(|route| &route.proxy)
    }
}

/// Asks the proxy behind `stream` for a tunnel. What it sent behind its answer is the start of the tunnel and stays in the reader.
pub(crate) async fn open_tunnel(
    stream: TcpStream,
    to: &Destination,
) -> Result<BufReader<TcpStream>, TunnelError> {
    let mut stream = BufReader::new(stream);
    let ask = async {
        let head = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n");
        stream.get_mut().write_all(head.as_bytes()).await.map_err(|_| TunnelError::NoAnswer)?;
        loop {
            let head = read_head(&mut stream, MAX_HEAD).await.map_err(|_| TunnelError::NoAnswer)?;
            let (code, _) = super::head::rewrite_answer(&head).map_err(|_| TunnelError::NoAnswer)?;
            match code {
                100..=199 => {}
                200..=299 => return Ok(()),
                code => return Err(TunnelError::Status(code)),
            }
        }
    };
    timeout(PATIENCE, ask).await.map_err(|_| TunnelError::NoAnswer)??;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_core::browser::UpstreamProxy;

    fn proxy(server: &str, domains: &[&str]) -> UpstreamProxy {
        let domains = domains.iter().map(|&domain| domain.to_owned()).collect();
        UpstreamProxy { server: server.to_owned(), port: 3128, domains }
    }

    fn way(proxies: &Proxies, host: &str) -> Option<String> {
        let upstreams = Upstreams::compile(proxies).unwrap();
        upstreams.route(&parse(host.as_bytes(), Some(443)).unwrap().host).map(Destination::to_string)
    }

    #[test]
    fn the_first_proxy_whose_domains_match_is_taken_and_a_bypass_beats_all() {
        let proxies = Proxies {
            upstream: vec![
                proxy("one.example", &[".shop.example", "shop.test"]),
                proxy("[2606:4700::1]", &["x.shop.example", "93.184.216.34"]),
                proxy("rest.example", &[]),
            ],
            bypass: vec!["direct.shop.example".into(), ".local.example".into()],
        };
        for (host, expected) in [
            ("a.shop.example", Some("one.example:3128")),
            ("x.shop.example", Some("one.example:3128")),
            ("A.B.Shop.Example", Some("one.example:3128")),
            ("shop.test", Some("one.example:3128")),
            ("www.shop.test", Some("rest.example:3128")),
            ("shop.example", Some("rest.example:3128")),
            ("notshop.example", Some("rest.example:3128")),
            ("93.184.216.34", Some("[2606:4700::1]:3128")),
            ("direct.shop.example", None),
            ("a.direct.shop.example", Some("one.example:3128")),
            ("a.local.example", None),
            ("local.example", Some("rest.example:3128")),
        ] {
            assert_eq!(way(&proxies, host).as_deref(), expected, "{host}");
        }
        assert_eq!(way(&Proxies::default(), "a.example"), None);
        let some = Proxies { upstream: vec![proxy("p.example", &["a.example"])], bypass: vec![] };
        assert_eq!(way(&some, "b.example"), None, "no proxy takes it: direct");
    }

    #[test]
    fn proxies_and_patterns_that_cannot_be_read_are_refused() {
        for server in ["", "p.example:3128", "http://p.example", "127.1", "user@p.example", "[::1", "a b"] {
            let proxies = Proxies { upstream: vec![proxy(server, &[])], bypass: vec![] };
            assert!(Upstreams::compile(&proxies).is_err(), "{server:?}");
        }
        let nowhere = UpstreamProxy { port: 0, ..proxy("p.example", &[]) };
        assert!(Upstreams::compile(&Proxies { upstream: vec![nowhere], bypass: vec![] }).is_err());
        for pattern in
            ["", ".", "*.example.com", "..example.com", ".10.0.0.1", "example.com/", "example.com:80"]
        {
            let proxies = Proxies { upstream: vec![], bypass: vec![pattern.to_owned()] };
            assert!(Upstreams::compile(&proxies).is_err(), "{pattern:?}");
        }
    }
}
