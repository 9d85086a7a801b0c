//! Counts what passes through one sandbox's listener, as a whole and by host, and says stop at the policy's budgets.

use super::host::Destination;
use cloister_core::egress::{EgressCounters, HostUse};
use cloister_core::lock::lock;
use cloister_core::policy::Network;
use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use tokio::time::Instant;

/// Most distinct names that one session may have resolved. A name is a message to whoever serves its domain, so endless
/// fresh names below an allowed wildcard are a tunnel; real work stays far below.
const MAX_NAMES: usize = 512;
/// Hosts that are counted one by one. Names are bounded above; addresses are not, and a scan of a range must not fill memory.
const MAX_HOSTS: usize = 640;
/// Refused hosts that are counted one by one, so that a guest cannot crowd out those that it has really reached.
const MAX_REFUSED: usize = 128;
/// What stands for all hosts beyond these. No host has such a name.
const OTHERS: &str = "(others)";

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From the sandbox to the outside.
    Out,
    /// From the outside to the sandbox.
    In,
}

/// The budget of one sandbox and what it has used of it.
#[derive(Debug)]
pub(crate) struct Meter {
    budget: u64,
    host_budget: u64,
    bytes_out: AtomicU64,
    bytes_in: AtomicU64,
    allowed: AtomicU64,
    refused: AtomicU64,
    names: Mutex<HashSet<String>>,
    hosts: Mutex<HashMap<String, Arc<HostMeter>>>,
    refused_hosts: Mutex<HashMap<String, u64>>,
    rate: Mutex<Rate>,
}

/// What one host has had.
#[derive(Debug, Default)]
pub(crate) struct HostMeter {
    bytes_out: AtomicU64,
    bytes_in: AtomicU64,
    allowed: AtomicU64,
}

impl HostMeter {
    fn used(&self) -> u64 {
        self.bytes_out.load(Relaxed).saturating_add(self.bytes_in.load(Relaxed))
    }
}

/// Connections that may be opened now; refilled evenly, so that a minute's worth may come at once and then no faster than the rate.
#[derive(Debug)]
struct Rate {
    per_minute: f64,
    left: f64,
    since: Instant,
}

impl Meter {
    /// A fresh meter with the budgets of a policy.
    pub(crate) fn new(network: &Network) -> Self {
        let per_minute = f64::from(network.connection_rate);
        Self {
            budget: network.bytes,
            host_budget: network.host_bytes,
            bytes_out: AtomicU64::new(0),
            bytes_in: AtomicU64::new(0),
            allowed: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            names: Mutex::default(),
            hosts: Mutex::default(),
            refused_hosts: Mutex::default(),
            rate: Mutex::new(Rate { per_minute, left: per_minute, since: Instant::now() }),
        }
    }

    /// Counts bytes before they are passed on; an error means that a budget does not cover them.
    pub(crate) fn spend(&self, host: &HostMeter, direction: Direction, bytes: usize) -> io::Result<()> {
        let (counter, of_host) = match direction {
            Direction::Out => (&self.bytes_out, &host.bytes_out),
            Direction::In => (&self.bytes_in, &host.bytes_in),
        };
        counter.fetch_add(bytes as u64, Relaxed);
        of_host.fetch_add(bytes as u64, Relaxed);
        if self.used() > self.budget || host.used() > self.host_budget {
            return Err(io::Error::new(
                io::ErrorKind::QuotaExceeded,
                "the session's network budget is used up",
            ));
        }
        Ok(())
    }

    /// Whether nothing more may pass.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.used() >= self.budget
    }

    /// Whether nothing more may pass to or from this host.
    pub(crate) fn is_exhausted_for(&self, to: &Destination) -> bool {
        let hosts = lock(&self.hosts);
        let host = hosts.get(&to.host.to_string());
        let host = host.or_else(|| hosts.get(OTHERS).filter(|_| hosts.len() >= MAX_HOSTS));
        host.is_some_and(|host| host.used() >= self.host_budget)
    }

    fn used(&self) -> u64 {
        self.bytes_out.load(Relaxed).saturating_add(self.bytes_in.load(Relaxed))
    }

    /// Notes a name that is about to be resolved; `false` if the session has asked for too many different ones.
    pub(crate) fn may_resolve(&self, name: &str) -> bool {
        let mut names = lock(&self.names);
        names.contains(name) || (names.len() < MAX_NAMES && names.insert(name.to_owned()))
    }

    /// Notes a connection that a guest opens; `false` if they come faster than the policy allows.
    pub(crate) fn may_connect(&self) -> bool {
        let mut rate = lock(&self.rate);
        let passed = rate.since.elapsed().as_secs_f64();
        rate.left = (rate.left + passed * rate.per_minute / 60.0).min(rate.per_minute);
        rate.since = Instant::now();
        let may = rate.left >= 1.0;
        if may {
            rate.left -= 1.0;
        }
        may
    }

    /// Notes a connection that is let through, and says where its bytes are counted.
    pub(crate) fn allowed(&self, to: &Destination) -> Arc<HostMeter> {
        self.allowed.fetch_add(1, Relaxed);
        let mut hosts = lock(&self.hosts);
        let name = to.host.to_string();
        let name = if hosts.contains_key(&name) || hosts.len() < MAX_HOSTS { name } else { OTHERS.into() };
        let host = Arc::clone(hosts.entry(name).or_default());
        host.allowed.fetch_add(1, Relaxed);
        host
    }

    /// Notes a request that a rule refused.
    pub(crate) fn refused(&self, to: Option<&Destination>) {
        self.refused.fetch_add(1, Relaxed);
        let Some(to) = to else { return };
        let mut hosts = lock(&self.refused_hosts);
        let name = to.host.to_string();
        let name = if hosts.contains_key(&name) || hosts.len() < MAX_REFUSED { name } else { OTHERS.into() };
        *hosts.entry(name).or_default() += 1;
    }

    /// The state of the counters.
    pub(crate) fn counters(&self) -> EgressCounters {
        EgressCounters {
            bytes_out: self.bytes_out.load(Relaxed),
            bytes_in: self.bytes_in.load(Relaxed),
            allowed: self.allowed.load(Relaxed),
            refused: self.refused.load(Relaxed),
        }
    }

    /// The same by host, the one with most bytes first.
    pub(crate) fn hosts(&self) -> Vec<HostUse> {
        let mut all: HashMap<String, EgressCounters> = HashMap::new();
        for (name, host) in lock(&self.hosts).iter() {
            let of = all.entry(name.clone()).or_default();
            of.bytes_out = host.bytes_out.load(Relaxed);
            of.bytes_in = host.bytes_in.load(Relaxed);
            of.allowed = host.allowed.load(Relaxed);
        }
        for (name, &refused) in lock(&self.refused_hosts).iter() {
            all.entry(name.clone()).or_default().refused = refused;
        }
        let mut all: Vec<_> = all.into_iter().map(|(host, counters)| HostUse { host, counters }).collect();
        let bytes = |of: &HostUse| of.counters.bytes_out.saturating_add(of.counters.bytes_in);
        all.sort_by(|a, b| bytes(b).cmp(&bytes(a)).then_with(|| a.host.cmp(&b.host)));
        all
    }
}

#[cfg(test)]
impl Meter {
    /// With a budget of so many bytes.
    pub(crate) fn of(bytes: u64) -> Self {
        Self::new(&Network { bytes, ..cloister_core::policy::Policy::built_in("test").network })
    }
}

#[cfg(test)]
mod tests {
    use super::super::host::parse;
    use super::*;
    use std::time::Duration;

    fn to(host: &str) -> Destination {
        parse(host.as_bytes(), Some(443)).unwrap()
    }

    fn meter(change: impl FnOnce(&mut Network)) -> Meter {
        let mut network = cloister_core::policy::Policy::built_in("test").network;
        change(&mut network);
        Meter::new(&network)
    }

    #[test]
    fn both_directions_share_the_budget() {
        let (meter, host) = (Meter::of(10), HostMeter::default());
        assert!(meter.spend(&host, Direction::Out, 6).is_ok() && !meter.is_exhausted());
        assert!(meter.spend(&host, Direction::In, 4).is_ok() && meter.is_exhausted());
        assert_eq!(meter.spend(&host, Direction::Out, 1).unwrap_err().kind(), io::ErrorKind::QuotaExceeded);
    }

    #[test]
    fn each_host_has_a_budget_of_its_own_beside_the_sessions() {
        let meter = meter(|network| network.host_bytes = 10);
        let (a, b) = (meter.allowed(&to("a.test")), meter.allowed(&to("b.test")));
        assert!(meter.spend(&a, Direction::Out, 10).is_ok() && meter.is_exhausted_for(&to("a.test")));
        assert!(meter.spend(&a, Direction::In, 1).is_err());
        assert!(!meter.is_exhausted_for(&to("b.test")) && meter.spend(&b, Direction::In, 10).is_ok());
        assert!(!meter.is_exhausted());
    }

    #[test]
    fn what_passes_is_told_by_host_and_a_flood_of_hosts_becomes_one() {
        let meter = Meter::of(1 << 20);
        for n in 0..2 * MAX_HOSTS {
            let host = meter.allowed(&to(&format!("10.0.{}.{}", n / 256, n % 256)));
            meter.spend(&host, Direction::Out, 1).unwrap();
            meter.refused(Some(&to(&format!("{n}.example"))));
        }
        let hosts = meter.hosts();
        let others = hosts.iter().find(|host| host.host == OTHERS).unwrap();
        assert_eq!(others.counters.allowed, MAX_HOSTS as u64);
        assert_eq!(others.counters.bytes_out, MAX_HOSTS as u64);
        assert!(hosts.len() <= MAX_HOSTS + MAX_REFUSED + 1, "{}", hosts.len());
        let sum = |of: fn(&EgressCounters) -> u64| hosts.iter().map(|host| of(&host.counters)).sum::<u64>();
        assert_eq!(sum(|c| c.bytes_out), meter.counters().bytes_out);
        assert_eq!(sum(|c| c.refused), meter.counters().refused);
    }

    #[tokio::test(start_paused = true)]
    async fn connections_may_come_at_once_up_to_a_minutes_worth_and_then_at_the_rate() {
        let meter = meter(|network| network.connection_rate = 60);
        assert_eq!((0..100).filter(|_| meter.may_connect()).count(), 60);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!((0..100).filter(|_| meter.may_connect()).count(), 10);
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!((0..100).filter(|_| meter.may_connect()).count(), 60);
    }

    #[test]
    fn endless_fresh_names_are_refused_and_known_ones_still_work() {
        let meter = Meter::of(1);
        assert!((0..MAX_NAMES).all(|n| meter.may_resolve(&format!("{n}.example.com"))));
        assert!(!meter.may_resolve("fresh.example.com"));
        assert!(meter.may_resolve("0.example.com"));
    }
}
