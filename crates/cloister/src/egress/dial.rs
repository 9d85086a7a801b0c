//! From an admitted destination to a connected socket: resolve once, judge every address, dial a judged one.

use super::host::{Destination, Host};
use super::meter::Meter;
use super::rules::{Refusal, Rules};
use async_trait::async_trait;
use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// For the resolver and for each address. A destination that hangs must not hold a connection slot.
const PATIENCE: Duration = Duration::from_secs(10);
/// Addresses tried of one name.
const MAX_ATTEMPTS: usize = 4;

/// Turns a name into addresses.
#[async_trait]
pub(crate) trait Resolve: Send + Sync {
    /// Every address of `name`, in the order of preference.
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The host's own resolver.
pub(crate) struct SystemResolver;

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    /// A rule says no.
    #[error("refused")]
    Refused(Refusal),
    /// The session has asked for too many different names.
    #[error("the session has used up its lookups of different names")]
    TooManyNames,
    /// The name has no address.
    #[error("the name cannot be resolved")]
    Unresolvable,
    /// No judged address took the connection.
    #[error("no address of the destination accepts a connection")]
    Unreachable,
}

/// Connects to `to`, by the rules. The name is resolved at most once, so a second, different answer cannot be dialled.
pub(crate) async fn dial(
    rules: &Rules,
    meter: &Meter,
    resolver: &dyn Resolve,
    to: &Destination,
) -> Result<TcpStream, DialError> {
    rules.admit(to).map_err(DialError::Refused)?;
    let addresses = match &to.host {
        Host::Address(address) => vec![*address],
        Host::Name(name) => {
            if !meter.may_resolve(name) {
                return Err(DialError::TooManyNames);
            }
            match timeout(PATIENCE, resolver.resolve(name)).await {
                Ok(Ok(addresses)) if !addresses.is_empty() => addresses,
                _ => return Err(DialError::Unresolvable),
            }
        }
    };
    let judged = judge(rules, &addresses, &own_addresses())?;
    for address in judged.into_iter().take(MAX_ATTEMPTS) {
        let attempt = TcpStream::connect(SocketAddr::new(address, to.port));
        if let Ok(Ok(stream)) = timeout(PATIENCE, attempt).await {
            // Without it, small requests wait for the far side's delayed acknowledgement.
            let _ = stream.set_nodelay(true);
            return Ok(stream);
        }
    }
    Err(DialError::Unreachable)
}

/// The addresses that may be dialled; if there are none, the reason. Mixed answers lose their refused part.
fn judge(
    rules: &Rules,
    addresses: &[IpAddr],
    own: &Option<HashSet<IpAddr>>,
) -> Result<Vec<IpAddr>, DialError> {
    // Without the list of our own addresses, none can be told from a stranger's: refuse.
    let Some(own) = own else { return Err(DialError::Refused(Refusal::OwnHost)) };
    let (mut good, mut refusal) = (Vec::new(), None);
    for &address in addresses {
        match rules.dialable(address, own) {
            Ok(address) => good.push(address),
            Err(reason) => refusal = Some(reason),
        }
    }
    match (good.is_empty(), refusal) {
        (true, Some(reason)) => Err(DialError::Refused(reason)),
        (true, None) => Err(DialError::Unresolvable),
        (false, _) => Ok(good),
    }
}

/// The addresses of this machine's interfaces; `None` if the kernel does not tell.
fn own_addresses() -> Option<HashSet<IpAddr>> {
    let interfaces = nix::ifaddrs::getifaddrs().ok()?;
    let address = |storage: nix::sys::socket::SockaddrStorage| -> Option<IpAddr> {
        let v4 = storage.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
        v4.or_else(|| storage.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip())))
    };
    Some(interfaces.filter_map(|interface| interface.address.and_then(address)).collect())
}

#[cfg(test)]
mod tests {
    use super::super::host::parse;
    use super::*;
    use cloister_core::policy::{Network, NetworkMode};
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    fn rules(ranges: &[&str]) -> Rules {
        Rules::compile(&Network {
            mode: NetworkMode::Open,
            allowed_domains: vec![],
            denied_domains: vec![],
            allowed_cidrs: ranges.iter().map(|&r| r.to_owned()).collect(),
            ports: vec![443],
            connections: 1,
            bytes: 1,
        })
        .unwrap()
    }

    fn ips(list: &[&str]) -> Vec<IpAddr> {
        list.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// Answers with a public address first and with loopback ever after, as a rebinding name server does.
    struct Rebinding(AtomicUsize);

    #[async_trait]
    impl Resolve for Rebinding {
        async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
            let private = self.0.fetch_add(1, SeqCst) > 0;
            Ok(ips(if private { &["127.0.0.1"] } else { &["10.0.0.1"] }))
        }
    }

    #[test]
    fn a_mixed_answer_keeps_only_its_public_part() {
        let own = Some(HashSet::new());
        let mixed = ips(&["10.0.0.1", "93.184.216.34", "::1", "169.254.169.254"]);
        assert_eq!(judge(&rules(&[]), &mixed, &own).unwrap(), ips(&["93.184.216.34"]));
        assert!(matches!(judge(&rules(&[]), &ips(&["10.0.0.1"]), &own), Err(DialError::Refused(_))));
    }

    #[test]
    fn nothing_is_dialled_when_our_own_addresses_are_unknown() {
        assert!(judge(&rules(&[]), &ips(&["93.184.216.34"]), &None).is_err());
    }

    #[test]
    fn the_machines_interfaces_are_known() {
        assert!(own_addresses().unwrap().contains(&"127.0.0.1".parse().unwrap()));
    }

    #[tokio::test]
    async fn a_name_is_resolved_once_and_its_first_answer_is_the_judged_one() {
        let resolver = Rebinding(AtomicUsize::new(0));
        let to = parse(b"rebind.example:443", None).unwrap();
        // Loopback is allowed and the first answer is not: a second look-up would turn the refusal into a connection.
        let outcome = dial(&rules(&["127.0.0.0/8"]), &Meter::new(1), &resolver, &to).await;
        assert!(matches!(outcome, Err(DialError::Refused(Refusal::Address(_)))), "{outcome:?}");
        assert_eq!(resolver.0.load(SeqCst), 1);
    }

    #[tokio::test]
    async fn a_refused_name_never_reaches_the_resolver() {
        let resolver = Rebinding(AtomicUsize::new(0));
        for name in ["x.localhost:443", "metadata.google.internal:443", "single:443", "a.example:22"] {
            let to = parse(name.as_bytes(), None).unwrap();
            assert!(dial(&rules(&[]), &Meter::new(1), &resolver, &to).await.is_err());
        }
        assert_eq!(resolver.0.load(SeqCst), 0);
    }
}
