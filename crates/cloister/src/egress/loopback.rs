//! The loopback targets that the operator has named: `--allow-loopback HOST:PORT`, checked and resolved once, at the start.
//!
//! ```text
//!   "localhost:8000" ──parse──▶ host, port ──resolve at start──▶ loopback addresses only ──▶ Target
//!   request for host:port ──same name, or one of the addresses──▶ the addresses to dial; no resolver is asked again
//! ```
//!
//! A target is an address and a port of this machine. It opens nothing else: other ports, other names that lead to loopback
//! (rebinding), and metadata services stay refused.

use super::address::{Class, canonical, classify};
use super::host::{Destination, Host, HostError, parse};
use super::rules::never;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

/// What `localhost` means, whatever a resolver says (RFC 6761 §6.3).
const LOCALHOST: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// Every target. Empty by default.
#[derive(Clone, Debug, Default)]
pub(crate) struct Loopback(Vec<Target>);

#[derive(Clone, Debug)]
struct Target {
    to: Destination,
    addresses: Vec<IpAddr>,
}

/// A target that is not taken. The server does not start then.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoopbackError {
    /// Not `HOST:PORT`.
    #[error("--allow-loopback {text:?}: {source}; write HOST:PORT, for example localhost:8000")]
    Malformed {
        /// As given.
        text: String,
        /// What is wrong.
        source: HostError,
    },
    /// It leads elsewhere.
    #[error(
        "--allow-loopback {text}: {what}, and this flag opens loopback only; other private addresses are opened by \
         network.allowed_cidrs in a policy, and metadata addresses by nothing"
    )]
    Elsewhere {
        /// As given.
        text: String,
        /// Where to.
        what: String,
    },
    /// The name has no address.
    #[error(
        "--allow-loopback {text}: the name cannot be resolved ({source}); use localhost, 127.0.0.1 or [::1]"
    )]
    Unresolvable {
        /// As given.
        text: String,
        /// The resolver's words.
        source: io::Error,
    },
    /// The server itself.
    #[error(
        "--allow-loopback {text} is the address of this server: sessions would control the server that contains them; \
         name another port"
    )]
    Ourselves {
        /// As given.
        text: String,
    },
}

impl Loopback {
    /// Reads and resolves the targets with the host's resolver.
    pub(crate) fn resolve(texts: &[String]) -> Result<Self, LoopbackError> {
        Self::resolve_by(texts, |name| Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect()))
    }

    fn resolve_by(
        texts: &[String],
        lookup: impl Fn(&str) -> io::Result<Vec<IpAddr>>,
    ) -> Result<Self, LoopbackError> {
        texts.iter().map(|text| Target::resolve(text, &lookup)).collect::<Result<_, _>>().map(Self)
    }

    /// The targets as they were named.
    pub(crate) fn names(&self) -> Vec<String> {
        self.0.iter().map(|target| target.to.to_string()).collect()
    }

    /// Refuses targets that are this server's own listener.
    pub(crate) fn check_listener(&self, listener: SocketAddr) -> Result<(), LoopbackError> {
        let ours = canonical(listener.ip());
        let hit = self.0.iter().find(|target| {
            target.to.port == listener.port() && (ours.is_unspecified() || target.addresses.contains(&ours))
        });
        hit.map_or(Ok(()), |target| Err(LoopbackError::Ourselves { text: target.to.to_string() }))
    }

    /// The addresses to dial for `to` if it is a target; empty if it is none.
    pub(crate) fn addresses(&self, to: &Destination) -> Vec<IpAddr> {
        let on_port = || self.0.iter().filter(|target| target.to.port == to.port);
        let covered = |address: &IpAddr| on_port().any(|target| target.addresses.contains(address));
        match &to.host {
            Host::Address(address) => Some(canonical(*address)).filter(covered).into_iter().collect(),
            Host::Name(name) => match on_port().find(|target| target.to.host == to.host) {
                Some(target) => target.addresses.clone(),
                // Whoever names 127.0.0.1 also means `localhost`: it is the same place under the name that pages use.
                None if is_localhost(name) => LOCALHOST.into_iter().filter(covered).collect(),
                None => Vec::new(),
            },
        }
    }
}

impl Target {
    fn resolve(text: &str, lookup: impl Fn(&str) -> io::Result<Vec<IpAddr>>) -> Result<Self, LoopbackError> {
        let malformed = |source| LoopbackError::Malformed { text: text.to_owned(), source };
        let elsewhere = |what: String| LoopbackError::Elsewhere { text: text.to_owned(), what };
        let to = parse(text.as_bytes(), None).map_err(malformed)?;
        let addresses = match &to.host {
            Host::Address(address) => vec![*address],
            Host::Name(name) if is_localhost(name) => LOCALHOST.to_vec(),
            Host::Name(name) => {
                if never(name) == Some(Class::Metadata) {
                    return Err(elsewhere("the name is a cloud metadata service".to_owned()));
                }
                let unresolvable = |source| LoopbackError::Unresolvable { text: text.to_owned(), source };
                let addresses = lookup(name).map_err(unresolvable)?;
                if addresses.is_empty() {
                    return Err(unresolvable(io::ErrorKind::NotFound.into()));
                }
                addresses
            }
        };
        for address in &addresses {
            // Embedded forms (::ffff:127.0.0.1, 2002:7f00:1::) are another spelling of loopback that nobody needs to write.
            if !address.is_loopback() {
                return Err(elsewhere(format!("{address} is a {} address", classify(*address).name())));
            }
        }
        Ok(Self { to, addresses })
    }
}

/// `localhost` and the names below it.
fn is_localhost(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(texts: &[&str]) -> Result<Loopback, LoopbackError> {
        let texts: Vec<_> = texts.iter().map(|&text| text.to_owned()).collect();
        Loopback::resolve_by(&texts, |name| match name {
            "demo.test" => Ok(vec![IpAddr::from([127, 0, 0, 1])]),
            "mixed.test" => Ok(vec![IpAddr::from([127, 0, 0, 1]), IpAddr::from([10, 0, 0, 1])]),
            "empty.test" => Ok(vec![]),
            "metadata.google.internal" => Ok(vec![IpAddr::from([127, 0, 0, 1])]),
            _ => Err(io::ErrorKind::NotFound.into()),
        })
    }

    fn dialled(targets: &Loopback, text: &str) -> Vec<String> {
        let to = parse(text.as_bytes(), None).unwrap();
        targets.addresses(&to).iter().map(IpAddr::to_string).collect()
    }

    #[test]
    fn only_what_leads_to_loopback_is_taken() {
        for good in
            ["localhost:80", "a.localhost:80", "LOCALHOST:80", "127.0.0.1:1", "127.9.9.9:65535", "[::1]:80"]
        {
            assert!(made(&[good]).is_ok(), "{good}");
        }
        assert!(made(&["demo.test:80"]).is_ok(), "a name of the hosts file");
        for bad in [
            "10.0.0.1:80",
            "0.0.0.0:80",
            "[::]:80",
            "8.8.8.8:80",
            "169.254.169.254:80",
            "[::ffff:127.0.0.1]:80",
            "[::ffff:169.254.169.254]:80",
            "[fd00:ec2::254]:80",
            "[64:ff9b::7f00:1]:80",
            "[2002:7f00:1::]:80",
            "metadata.google.internal:80",
            "mixed.test:80",
        ] {
            let error = made(&[bad]).unwrap_err();
            assert!(matches!(error, LoopbackError::Elsewhere { .. }), "{bad}: {error}");
        }
        for bad in ["localhost", "localhost:0", ":80", "127.1:80", "2130706433:80", "0x7f000001:80", "::1:80"]
        {
            let error = made(&[bad]).unwrap_err();
            assert!(matches!(error, LoopbackError::Malformed { .. }), "{bad}: {error}");
        }
        for bad in ["unknown.test:80", "empty.test:80"] {
            let error = made(&[bad]).unwrap_err();
            assert!(matches!(error, LoopbackError::Unresolvable { .. }), "{bad}: {error}");
        }
    }

    #[test]
    fn a_target_is_reached_by_its_name_and_by_its_addresses_on_its_port_only() {
        let targets = made(&["localhost:8000", "demo.test:9000", "127.0.0.2:7000"]).unwrap();
        assert_eq!(dialled(&targets, "localhost:8000"), ["127.0.0.1", "::1"]);
        assert_eq!(dialled(&targets, "127.0.0.1:8000"), ["127.0.0.1"]);
        assert_eq!(dialled(&targets, "[::ffff:127.0.0.1]:8000"), ["127.0.0.1"], "what the kernel would dial");
        assert_eq!(dialled(&targets, "[::1]:8000"), ["::1"]);
        assert_eq!(dialled(&targets, "demo.test:9000"), ["127.0.0.1"]);
        assert_eq!(dialled(&targets, "localhost:9000"), ["127.0.0.1"]);
        assert_eq!(dialled(&targets, "127.0.0.2:7000"), ["127.0.0.2"]);
        for closed in [
            "localhost:8001",
            "localhost:7000",
            "127.0.0.2:8000",
            "demo.test:8000",
            "rebound.test:8000",
            "0.0.0.0:8000",
            "[::]:8000",
            "[2002:7f00:1::]:8000",
            "[64:ff9b::7f00:1]:8000",
            "169.254.169.254:8000",
        ] {
            assert!(dialled(&targets, closed).is_empty(), "{closed}");
        }
    }

    #[test]
    fn the_server_itself_is_never_a_target() {
        let targets = made(&["127.0.0.1:8484"]).unwrap();
        for ours in ["127.0.0.1:8484", "0.0.0.0:8484", "[::]:8484", "[::ffff:127.0.0.1]:8484"] {
            assert!(targets.check_listener(ours.parse().unwrap()).is_err(), "{ours}");
        }
        for other in ["127.0.0.1:8485", "127.0.0.2:8484", "[::1]:8484", "192.168.1.1:8484"] {
            assert!(targets.check_listener(other.parse().unwrap()).is_ok(), "{other}");
        }
    }
}
