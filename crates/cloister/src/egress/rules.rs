//! The network part of a policy as decisions: may this name be asked for, may this address be dialled.
//!
//! ```text
//!   Destination ──admit: port, name──▶ Lookup | Literal ──resolve once──▶ addresses ──dialable: class, ranges──▶ dial
//! ```
//!
//! A name is judged before it is resolved, so that a refused name never reaches a resolver; every address is judged
//! after, and the judged address is the one that is dialled, so that a second answer of a resolver is never asked for.

use super::address::{Class, canonical, classify, stands_for};
use super::cidr::{Cidr, CidrError};
use super::host::{Destination, Host, parse_name};
use cloister_core::policy::{Network, NetworkMode};
use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;

/// Names that lead to a metadata service or back to this machine, whatever a resolver says. With every name below them.
const NEVER: [(&str, Class); 6] = [
    ("localhost", Class::Loopback),
    ("localdomain", Class::Loopback),
    ("metadata.google.internal", Class::Metadata),
    ("metadata.goog", Class::Metadata),
    ("instance-data", Class::Metadata),
    ("instance-data.ec2.internal", Class::Metadata),
];

/// The class of a name that is refused whatever a resolver says of it, and of every name below it.
pub(crate) fn never(name: &str) -> Option<Class> {
    let leads =
        |never: &str| name == never || name.strip_suffix(never).is_some_and(|rest| rest.ends_with('.'));
    NEVER.into_iter().find(|(never, _)| leads(never)).map(|(_, class)| class)
}

/// Rules that let something through, as the log names them: a domain rule, a range, the open mode, the operator's flag.
const DOMAINS: &str = "network.allowed_domains";
const RANGES: &str = "network.allowed_cidrs";
const DENIED_RANGES: &str = "network.denied_cidrs";
const OPEN: &str = "network.mode";
pub(crate) const ALLOW_LOOPBACK: &str = "allow-loopback";

/// What in the lists concerns a destination, whatever the decision is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Matches {
    /// The entry of `network.allowed_domains`.
    pub(crate) allowed: Option<String>,
    /// The entry of `network.denied_domains`.
    pub(crate) denied: Option<String>,
    /// The range of `network.allowed_cidrs`.
    pub(crate) range: Option<String>,
    /// The range of `network.denied_cidrs`.
    pub(crate) denied_range: Option<String>,
}

/// A compiled policy.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    mode: NetworkMode,
    allowed: Vec<Pattern>,
    denied: Vec<Pattern>,
    ranges: Vec<Cidr>,
    denied_ranges: Vec<Cidr>,
    ports: Vec<u16>,
}

/// A policy that cannot be compiled. The sandbox does not start then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RulesError {
    /// A domain rule.
    #[error(
        "network.{field}: {text:?} is not a domain rule: write example.com, or *.example.com for the names below it"
    )]
    Domain {
        /// Which list.
        field: &'static str,
        /// The rule.
        text: String,
    },
    /// An address range.
    #[error("network.{field}: {source}")]
    Cidr {
        /// Which list.
        field: &'static str,
        /// The range.
        source: CidrError,
    },
}

/// Why a destination is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The policy gives no network at all.
    NoNetwork,
    /// The port is not in the list.
    Port(u16),
    /// A name or literal that the allow-list does not hold.
    NotAllowed,
    /// A name that the deny-list holds.
    Denied,
    /// An address, or every address of a name, lies in a range that is not dialled.
    DeniedRange,
    /// An address, or every address of a name, is of a kind that is not dialled.
    Address(Class),
    /// An address of this very machine.
    OwnHost,
}

impl Refusal {
    /// The field of the policy, or the fixed rule, that refused.
    pub(crate) fn rule(&self) -> &'static str {
        match self {
            Self::NoNetwork => "network.mode",
            Self::Port(_) => "network.ports",
            Self::NotAllowed => DOMAINS,
            Self::Denied => "network.denied_domains",
            Self::DeniedRange => DENIED_RANGES,
            Self::Address(Class::Metadata) => "metadata-addresses",
            Self::Address(_) | Self::OwnHost => RANGES,
        }
    }

    /// The kind of the address, if an address was the reason.
    pub(crate) fn class(&self) -> Option<Class> {
        match self {
            Self::Address(class) => Some(*class),
            Self::OwnHost => Some(Class::Public),
            Self::NoNetwork | Self::Port(_) | Self::NotAllowed | Self::Denied | Self::DeniedRange => None,
        }
    }
}

/// A domain rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// This name and no other.
    Exact(String),
    /// Any name that ends in this suffix, which starts with a dot; not the domain itself.
    Below(String),
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Below(suffix) => write!(f, "*{suffix}"),
        }
    }
}

impl Pattern {
    pub(crate) fn parse(field: &'static str, text: &str) -> Result<Self, RulesError> {
        let error = || RulesError::Domain { field, text: text.to_owned() };
        let (below, name) = match text.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        match parse_name(name) {
            // `*.com` is legal and unwise; `policy check` is the place to say so.
            Ok(Host::Name(name)) if below => Ok(Self::Below(format!(".{name}"))),
            Ok(Host::Name(name)) => Ok(Self::Exact(name)),
            _ => Err(error()),
        }
    }

    pub(crate) fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => name == exact,
            Self::Below(suffix) => name.len() > suffix.len() && name.ends_with(suffix.as_str()),
        }
    }
}

impl Rules {
    /// Reads the rules of a policy; the first one that cannot be read is an error, never skipped.
    pub(crate) fn compile(network: &Network) -> Result<Self, RulesError> {
        let patterns = |field: &'static str, list: &[String]| -> Result<Vec<_>, RulesError> {
            list.iter().map(|text| Pattern::parse(field, text)).collect()
        };
        let ranges = |field: &'static str, list: &[String]| -> Result<Vec<_>, RulesError> {
            let range =
                |text: &String| Cidr::parse(text).map_err(|source| RulesError::Cidr { field, source });
            list.iter().map(range).collect()
        };
        Ok(Self {
            mode: network.mode,
            allowed: patterns("allowed_domains", &network.allowed_domains)?,
            denied: patterns("denied_domains", &network.denied_domains)?,
            ranges: ranges("allowed_cidrs", &network.allowed_cidrs)?,
            denied_ranges: ranges("denied_cidrs", &network.denied_cidrs)?,
            ports: network.ports.clone(),
        })
    }

    /// Judges the destination as it was asked for, before anything is resolved. Says which rule lets it through.
    pub(crate) fn admit(&self, destination: &Destination) -> Result<&'static str, Refusal> {
        if self.mode == NetworkMode::None {
            return Err(Refusal::NoNetwork);
        }
        if !self.ports.contains(&destination.port) {
            return Err(Refusal::Port(destination.port));
        }
        self.admit_host(&destination.host)
    }

    /// Judges an upstream proxy as a destination. Its port need not be listed, since proxies have ports of their own; the ports
    /// of system services must, so that a proxy is not a way to write to a mail server.
    pub(crate) fn admit_upstream(&self, proxy: &Destination) -> Result<&'static str, Refusal> {
        match proxy.port {
            1024.. if self.mode != NetworkMode::None => self.admit_host(&proxy.host),
            _ => self.admit(proxy),
        }
    }

    /// Judges a target that the operator has opened for every session with a network. What the policy denies stays denied.
    pub(crate) fn admit_loopback(&self, destination: &Destination) -> Result<&'static str, Refusal> {
        match &destination.host {
            _ if self.mode == NetworkMode::None => Err(Refusal::NoNetwork),
            Host::Name(name) if self.denies(name) => Err(Refusal::Denied),
            Host::Address(address) if self.in_denied_range(*address) => Err(Refusal::DeniedRange),
            _ => Ok(ALLOW_LOOPBACK),
        }
    }

    fn admit_host(&self, host: &Host) -> Result<&'static str, Refusal> {
        match host {
            Host::Name(name) => self.admit_name(name),
            // No name stands for a literal, so in the allow-list mode only a listed range can let it through.
            Host::Address(address) => match classify(*address) {
                Class::Metadata => Err(Refusal::Address(Class::Metadata)),
                _ if self.in_denied_range(*address) => Err(Refusal::DeniedRange),
                Class::Public if self.mode == NetworkMode::Allowlist && !self.in_range(*address) => {
                    Err(Refusal::NotAllowed)
                }
                Class::Public if !self.in_range(*address) => Ok(OPEN),
                _ => Ok(RANGES),
            },
        }
    }

    /// The entries that match a name, or an address that it leads to.
    pub(crate) fn matches(&self, host: &Host, leads_to: Option<IpAddr>) -> Matches {
        let name = |list: &[Pattern]| match host {
            Host::Name(name) => list.iter().find(|pattern| pattern.matches(name)).map(ToString::to_string),
            Host::Address(_) => None,
        };
        let literal = match host {
            Host::Address(address) => Some(*address),
            Host::Name(_) => leads_to,
        };
        let range = |list: &[Cidr], hit: fn(&Cidr, IpAddr) -> bool| {
            let address = literal?;
            list.iter().find(|range| hit(range, address)).map(ToString::to_string)
        };
        Matches {
            allowed: name(&self.allowed),
            denied: name(&self.denied),
            range: range(&self.ranges, |range, address| range.contains(canonical(address))),
            denied_range: range(&self.denied_ranges, touches),
        }
    }

    fn denies(&self, name: &str) -> bool {
        self.denied.iter().any(|pattern| pattern.matches(name))
    }

    fn admit_name(&self, name: &str) -> Result<&'static str, Refusal> {
        if let Some(class) = never(name) {
            return Err(Refusal::Address(class));
        }
        if self.denies(name) {
            return Err(Refusal::Denied);
        }
        let listed = self.allowed.iter().any(|pattern| pattern.matches(name));
        match self.mode {
            NetworkMode::None => Err(Refusal::NoNetwork),
            _ if listed => Ok(DOMAINS),
            NetworkMode::Allowlist => Err(Refusal::NotAllowed),
            // A name of one label means whatever the host's search list makes of it: some machine of its own network.
            NetworkMode::Open if name.contains('.') => Ok(OPEN),
            NetworkMode::Open => Err(Refusal::NotAllowed),
        }
    }

    /// Judges one address that a destination stands for. `own` are the addresses of this machine.
    pub(crate) fn dialable(&self, address: IpAddr, own: &HashSet<IpAddr>) -> Result<IpAddr, Refusal> {
        let class = classify(address);
        let dialled = canonical(address);
        match class {
            Class::Metadata => Err(Refusal::Address(Class::Metadata)),
            _ if self.in_denied_range(address) => Err(Refusal::DeniedRange),
            _ if self.in_range(dialled) => Ok(dialled),
            Class::Public if own.contains(&dialled) => Err(Refusal::OwnHost),
            Class::Public => Ok(dialled),
            other => Err(Refusal::Address(other)),
        }
    }

    /// Whether an address is refused whatever name leads there, in this spelling or as what is dialled for it.
    pub(crate) fn in_denied_range(&self, address: IpAddr) -> bool {
        self.denied_ranges.iter().any(|range| touches(range, address))
    }

    fn in_range(&self, address: IpAddr) -> bool {
        let dialled = canonical(address);
        self.ranges.iter().any(|range| range.contains(dialled))
    }
}

/// Whether a range holds an address, or one that is written into it.
fn touches(range: &Cidr, address: IpAddr) -> bool {
    stands_for(address).into_iter().any(|address| range.contains(address))
}

#[cfg(test)]
mod tests {
    use super::super::host::parse;
    use super::*;

    fn network(mode: NetworkMode) -> Network {
        Network {
            mode,
            allowed_domains: vec!["example.com".into(), "*.Allowed.org".into()],
            denied_domains: vec!["bad.allowed.org".into(), "*.evil.net".into()],
            allowed_cidrs: vec![],
            denied_cidrs: vec![],
            ports: vec![443, 80],
            connections: 4,
            bytes: 1 << 20,
            ..cloister_core::policy::Policy::built_in("test").network
        }
    }

    fn ask(network: &Network, text: &str) -> Result<(), Refusal> {
        Rules::compile(network).unwrap().admit(&parse(text.as_bytes(), Some(443)).unwrap()).map(drop)
    }

    fn dial(network: &Network, text: &str) -> Result<IpAddr, Refusal> {
        Rules::compile(network).unwrap().dialable(text.parse().unwrap(), &HashSet::new())
    }

    #[test]
    fn an_allow_list_lets_through_what_it_lists_and_nothing_that_looks_like_it() {
        let policy = network(NetworkMode::Allowlist);
        for good in ["example.com", "EXAMPLE.com", "a.allowed.org", "b.a.allowed.org"] {
            assert_eq!(ask(&policy, good), Ok(()), "{good}");
        }
        for bad in [
            "www.example.com",
            "example.com.evil",
            "evilexample.com",
            "allowed.org",
            "xallowed.org",
            "other.com",
            "8.8.8.8",
            "[2606:4700::1111]",
        ] {
            assert_eq!(ask(&policy, bad), Err(Refusal::NotAllowed), "{bad}");
        }
        assert_eq!(ask(&policy, "bad.allowed.org"), Err(Refusal::Denied));
        assert_eq!(ask(&policy, "example.com:22"), Err(Refusal::Port(22)));
    }

    #[test]
    fn open_lets_through_public_names_but_not_denied_or_single_label_ones() {
        let policy = network(NetworkMode::Open);
        assert_eq!(ask(&policy, "other.com"), Ok(()));
        assert_eq!(ask(&policy, "8.8.8.8"), Ok(()));
        assert_eq!(ask(&policy, "x.evil.net"), Err(Refusal::Denied));
        assert_eq!(ask(&policy, "intranet"), Err(Refusal::NotAllowed));
    }

    #[test]
    fn a_denied_range_beats_an_allowed_one_the_open_mode_and_other_spellings() {
        let policy = Network {
            allowed_cidrs: vec!["10.0.0.0/8".into()],
            denied_cidrs: vec!["10.1.0.0/16".into(), "8.8.0.0/16".into()],
            ..network(NetworkMode::Open)
        };
        assert!(dial(&policy, "10.2.0.1").is_ok() && dial(&policy, "9.9.9.9").is_ok());
        for bad in [
            "10.1.2.3",
            "::ffff:10.1.2.3",
            "64:ff9b::10.1.2.3",
            "2002:808:808::1",
            "64:ff9b::8.8.8.8",
            "8.8.8.8",
        ] {
            assert_eq!(dial(&policy, bad), Err(Refusal::DeniedRange), "{bad}");
        }
        assert_eq!(ask(&policy, "8.8.8.8"), Err(Refusal::DeniedRange));
        assert_eq!(Refusal::DeniedRange.rule(), "network.denied_cidrs");
        let bad = Network { denied_cidrs: vec!["10.0.0.1/8".into()], ..network(NetworkMode::Open) };
        assert!(Rules::compile(&bad).unwrap_err().to_string().starts_with("network.denied_cidrs: "));
    }

    #[test]
    fn no_network_and_empty_lists_refuse_everything() {
        assert_eq!(ask(&network(NetworkMode::None), "example.com"), Err(Refusal::NoNetwork));
        let empty = Network { allowed_domains: vec![], ..network(NetworkMode::Allowlist) };
        assert_eq!(ask(&empty, "example.com"), Err(Refusal::NotAllowed));
        let closed = Network { ports: vec![], ..network(NetworkMode::Open) };
        assert_eq!(ask(&closed, "example.com"), Err(Refusal::Port(443)));
    }

    #[test]
    fn metadata_and_loopback_names_are_refused_even_when_listed() {
        let names =
            ["metadata.google.internal", "localhost", "x.localhost", "metadata.goog", "instance-data"];
        let listed: Vec<String> = names.iter().map(|&n| n.to_owned()).collect();
        for mode in [NetworkMode::Allowlist, NetworkMode::Open] {
            let policy = Network { allowed_domains: listed.clone(), ..network(mode) };
            for name in names {
                assert!(matches!(ask(&policy, name), Err(Refusal::Address(_))), "{name}");
            }
        }
    }

    #[test]
    fn metadata_addresses_are_refused_even_when_a_range_covers_them() {
        let all =
            Network { allowed_cidrs: vec!["0.0.0.0/0".into(), "::/0".into()], ..network(NetworkMode::Open) };
        for text in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "fd00:ec2::254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::",
        ] {
            assert_eq!(dial(&all, text), Err(Refusal::Address(Class::Metadata)), "{text}");
        }
        assert_eq!(ask(&all, "169.254.169.254:80"), Err(Refusal::Address(Class::Metadata)));
    }

    #[test]
    fn private_addresses_need_a_range_and_a_range_covers_the_mapped_form_too() {
        let closed = network(NetworkMode::Open);
        for text in ["10.1.2.3", "127.0.0.1", "0.0.0.0", "::1", "fd12::1", "224.0.0.1", "::ffff:10.1.2.3"] {
            assert!(matches!(dial(&closed, text), Err(Refusal::Address(_))), "{text}");
        }
        let opened = Network { allowed_cidrs: vec!["10.0.0.0/8".into()], ..closed };
        let plain: IpAddr = "10.1.2.3".parse().unwrap();
        assert_eq!(dial(&opened, "10.1.2.3"), Ok(plain));
        assert_eq!(dial(&opened, "::ffff:10.1.2.3"), Ok(plain), "the judged address is the dialled one");
        assert!(dial(&opened, "2002:a01:203::").is_err(), "6to4 of an allowed range is another way to it");
    }

    #[test]
    fn a_named_loopback_target_needs_a_network_and_gives_way_to_a_denial() {
        let target = parse(b"localhost:8000", None).unwrap();
        let judge = |network: &Network| Rules::compile(network).unwrap().admit_loopback(&target);
        assert_eq!(judge(&network(NetworkMode::Allowlist)), Ok(ALLOW_LOOPBACK), "no port lists 8000");
        assert_eq!(judge(&network(NetworkMode::Open)), Ok(ALLOW_LOOPBACK));
        assert_eq!(judge(&network(NetworkMode::None)), Err(Refusal::NoNetwork));
        let denied = Network { denied_domains: vec!["localhost".into()], ..network(NetworkMode::Open) };
        assert_eq!(judge(&denied), Err(Refusal::Denied));
    }

    #[test]
    fn an_upstream_proxy_is_judged_like_a_destination_but_for_its_port() {
        let judge = |mode, text: &str| {
            Rules::compile(&network(mode)).unwrap().admit_upstream(&parse(text.as_bytes(), None).unwrap())
        };
        assert!(judge(NetworkMode::Open, "proxy.test:3128").is_ok());
        assert!(judge(NetworkMode::Allowlist, "example.com:3128").is_ok());
        assert_eq!(judge(NetworkMode::Allowlist, "proxy.test:3128"), Err(Refusal::NotAllowed));
        assert_eq!(judge(NetworkMode::Open, "proxy.test:25"), Err(Refusal::Port(25)));
        assert_eq!(judge(NetworkMode::None, "proxy.test:3128"), Err(Refusal::NoNetwork));
        assert_eq!(judge(NetworkMode::Open, "169.254.169.254:3128"), Err(Refusal::Address(Class::Metadata)));
    }

    #[test]
    fn this_machines_own_public_address_needs_a_range() {
        let own: IpAddr = "93.184.216.34".parse().unwrap();
        let rules = Rules::compile(&network(NetworkMode::Open)).unwrap();
        assert_eq!(rules.dialable(own, &HashSet::from([own])), Err(Refusal::OwnHost));
        assert_eq!(rules.dialable(own, &HashSet::new()), Ok(own));
    }

    #[test]
    fn a_rule_that_cannot_be_read_stops_the_sandbox() {
        for bad in [
            "*",
            "*.",
            "a.*.com",
            "**.com",
            "*example.com",
            "",
            "http://example.com",
            "example.com:443",
            "127.0.0.1",
        ] {
            let policy = Network { allowed_domains: vec![bad.into()], ..network(NetworkMode::Allowlist) };
            assert!(Rules::compile(&policy).is_err(), "{bad:?}");
        }
        let policy = Network { allowed_cidrs: vec!["10.0.0.0".into()], ..network(NetworkMode::Open) };
        assert!(matches!(Rules::compile(&policy), Err(RulesError::Cidr { .. })));
    }
}
