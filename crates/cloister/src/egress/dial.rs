//! From an admitted destination to a connected socket: resolve once, judge every address, dial a judged one.

use super::address::classify;
use super::host::{Destination, Host};
use super::journal::Leave;
use super::loopback::Loopback;
use super::meter::Meter;
use super::rules::{Refusal, Rules};
use super::upstream::{TunnelError, Upstreams, open_tunnel};
use async_trait::async_trait;
use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::BufReader;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// For the resolver and for each address. A destination that hangs must not hold a connection slot.
const PATIENCE: Duration = Duration::from_secs(10);
/// For a look-up that only checks what an upstream proxy will look up again.
const BRIEFLY: Duration = Duration::from_secs(2);
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
    /// The destination is fine, the proxy that it goes through is not.
    #[error("the upstream proxy {proxy}: {source}")]
    Upstream {
        /// The proxy.
        proxy: Destination,
        /// Why there is no connection to it.
        source: Box<DialError>,
    },
    /// The proxy was reached and opened no tunnel.
    #[error("the upstream proxy {proxy} opened no tunnel: {source}")]
    Tunnel {
        /// The proxy.
        proxy: Destination,
        /// What it said.
        source: TunnelError,
    },
}

/// What the connection is for: proxies are asked differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Bytes both ways.
    Tunnel,
    /// One plain request.
    Forward,
}

/// A connection, and why there is one.
#[derive(Debug)]
pub(crate) struct Far {
    /// What came with a proxy's answer is already in the reader.
    pub(crate) stream: BufReader<TcpStream>,
    /// The rule and the address.
    pub(crate) leave: Leave,
    /// The proxy that it goes through.
    pub(crate) via: Option<Destination>,
}

/// The ways out of one sandbox.
pub(crate) struct Dialer {
    pub(crate) rules: Rules,
    pub(crate) loopback: Arc<Loopback>,
    pub(crate) upstreams: Upstreams,
    pub(crate) resolver: Arc<dyn Resolve>,
}

impl Dialer {
    /// Connects to `to`, by the rules. A name that is dialled is resolved once, so a second, different answer cannot be dialled.
    pub(crate) async fn dial(
        &self,
        meter: &Meter,
        to: &Destination,
        purpose: Purpose,
    ) -> Result<Far, DialError> {
        if let Some((stream, leave)) = self.dial_loopback(to).await? {
            return Ok(Far { stream: BufReader::new(stream), leave, via: None });
        }
        let rule = self.rules.admit(to).map_err(DialError::Refused)?;
        let Some(proxy) = self.upstreams.route(&to.host) else {
            let (stream, leave) = self.dial_by(rule, meter, to).await?;
            return Ok(Far { stream: BufReader::new(stream), leave, via: None });
        };
        self.judge_beyond(meter, to).await?;
        let reached = self.dial_upstream(meter, proxy).await;
        let upstream = |source| DialError::Upstream { proxy: proxy.clone(), source: Box::new(source) };
        let (stream, address) = reached.map_err(upstream)?;
        let stream = match purpose {
            Purpose::Forward => BufReader::new(stream),
            Purpose::Tunnel => open_tunnel(stream, to)
                .await
                .map_err(|source| DialError::Tunnel { proxy: proxy.clone(), source })?,
        };
        Ok(Far { stream, leave: Leave { rule, ..address }, via: Some(proxy.clone()) })
    }

    /// A connection to a target that the operator has named; `None` if `to` is none.
    async fn dial_loopback(&self, to: &Destination) -> Result<Option<(TcpStream, Leave)>, DialError> {
        let addresses = self.loopback.addresses(to);
        if addresses.is_empty() {
            return Ok(None);
        }
        let rule = self.rules.admit_loopback(to).map_err(DialError::Refused)?;
        let addresses: Vec<_> =
            addresses.into_iter().filter(|address| !self.rules.in_denied_range(*address)).collect();
        if addresses.is_empty() {
            return Err(DialError::Refused(Refusal::DeniedRange));
        }
        connect(addresses, to.port, rule).await.map(Some)
    }

    async fn dial_upstream(
        &self,
        meter: &Meter,
        proxy: &Destination,
    ) -> Result<(TcpStream, Leave), DialError> {
        if let Some(reached) = self.dial_loopback(proxy).await? {
            return Ok(reached);
        }
        let rule = self.rules.admit_upstream(proxy).map_err(DialError::Refused)?;
        self.dial_by(rule, meter, proxy).await
    }

    /// Resolves once, judges every address, dials a judged one.
    async fn dial_by(
        &self,
        rule: &'static str,
        meter: &Meter,
        to: &Destination,
    ) -> Result<(TcpStream, Leave), DialError> {
        connect(self.judged(meter, to).await?, to.port, rule).await
    }

    /// The addresses that may be dialled for a destination that was admitted.
    pub(super) async fn judged(&self, meter: &Meter, to: &Destination) -> Result<Vec<IpAddr>, DialError> {
        let addresses = self.addresses(meter, &to.host, PATIENCE).await?;
        judge(&self.rules, &addresses, &own_addresses())
    }

    /// Judges a destination that an upstream proxy will dial. The proxy resolves the name again and for itself, and may be the only
    /// one who can: a name without an address here goes through. One that leads, also in part, to an address that would not be
    /// dialled from here does not, or a proxy inside of the operator's network would be a way round the rules.
    async fn judge_beyond(&self, meter: &Meter, to: &Destination) -> Result<(), DialError> {
        let addresses = match self.addresses(meter, &to.host, BRIEFLY).await {
            Err(DialError::Unresolvable) => return Ok(()),
            other => other?,
        };
        let own = own_addresses().ok_or(DialError::Refused(Refusal::OwnHost))?;
        addresses
            .iter()
            .try_for_each(|&address| self.rules.dialable(address, &own).map(drop).map_err(DialError::Refused))
    }

    async fn addresses(
        &self,
        meter: &Meter,
        host: &Host,
        patience: Duration,
    ) -> Result<Vec<IpAddr>, DialError> {
        let name = match host {
            Host::Address(address) => return Ok(vec![*address]),
            Host::Name(name) => name,
        };
        if !meter.may_resolve(name) {
            return Err(DialError::TooManyNames);
        }
        match timeout(patience, self.resolver.resolve(name)).await {
            Ok(Ok(addresses)) if !addresses.is_empty() => Ok(addresses),
            _ => Err(DialError::Unresolvable),
        }
    }
}

/// Connects to the first of the judged addresses that answers.
async fn connect(
    judged: Vec<IpAddr>,
    port: u16,
    rule: &'static str,
) -> Result<(TcpStream, Leave), DialError> {
    for address in judged.into_iter().take(MAX_ATTEMPTS) {
        let attempt = TcpStream::connect(SocketAddr::new(address, port));
        if let Ok(Ok(stream)) = timeout(PATIENCE, attempt).await {
            // Without it, small requests wait for the far side's delayed acknowledgement.
            let _ = stream.set_nodelay(true);
            return Ok((stream, Leave { rule, address, class: classify(address) }));
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
pub(super) fn own_addresses() -> Option<HashSet<IpAddr>> {
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
    use cloister_core::policy::{Network, NetworkMode, Policy};
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    fn rules(ranges: &[&str]) -> Rules {
        Rules::compile(&Network {
            mode: NetworkMode::Open,
            allowed_domains: vec![],
            denied_domains: vec![],
            allowed_cidrs: ranges.iter().map(|&r| r.to_owned()).collect(),
            denied_cidrs: vec![],
            ports: vec![443],
            ..Policy::built_in("test").network
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

    async fn dial(ranges: &[&str], resolver: &Arc<Rebinding>, to: &Destination) -> Result<Far, DialError> {
        let dialer = Dialer {
            rules: rules(ranges),
            loopback: Arc::default(),
            upstreams: Upstreams::default(),
            resolver: Arc::<Rebinding>::clone(resolver),
        };
        dialer.dial(&Meter::of(1), to, Purpose::Tunnel).await
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
        let resolver = Arc::new(Rebinding(AtomicUsize::new(0)));
        let to = parse(b"rebind.example:443", None).unwrap();
        // Loopback is allowed and the first answer is not: a second look-up would turn the refusal into a connection.
        let outcome = dial(&["127.0.0.0/8"], &resolver, &to).await;
        assert!(matches!(outcome, Err(DialError::Refused(Refusal::Address(_)))), "{outcome:?}");
        assert_eq!(resolver.0.load(SeqCst), 1);
    }

    #[tokio::test]
    async fn a_refused_name_never_reaches_the_resolver() {
        let resolver = Arc::new(Rebinding(AtomicUsize::new(0)));
        for name in ["x.localhost:443", "metadata.google.internal:443", "single:443", "a.example:22"] {
            let to = parse(name.as_bytes(), None).unwrap();
            assert!(dial(&[], &resolver, &to).await.is_err());
        }
        assert_eq!(resolver.0.load(SeqCst), 0);
    }
}
