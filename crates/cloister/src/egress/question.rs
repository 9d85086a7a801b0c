//! The proxy's decision on a connection that nobody has asked for: the same rules, without a network.
//!
//! ```text
//!   host:port, perhaps the address that it leads to ──▶ Rules::admit ──▶ Rules::dialable ──▶ Verdict, and what matched
//! ```

use super::address::Class;
use super::dial::own_addresses;
use super::host::{Destination, Host, HostError, parse};
use super::rules::{Matches, Refusal, Rules, never};
use cloister_core::policy::{Network, NetworkMode};
use std::net::IpAddr;

/// What the proxy would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The destination as the proxy reads it.
    pub(crate) to: String,
    /// The host alone; a literal address without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The literal address, or the one that the name leads to.
    pub(crate) address: Option<IpAddr>,
    /// Whether the connection is let through.
    pub(crate) answer: Answer,
    /// What in the policy's lists concerns it.
    pub(crate) matches: Matches,
}

/// Yes or no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// This rule lets it through.
    Allowed(&'static str),
    /// The text is no destination.
    NoDestination(HostError),
    /// The session has no way out.
    NoNetwork,
    /// The port is not listed.
    Port,
    /// The host is not listed.
    NotListed,
    /// A name of one label in the open mode.
    OneLabel,
    /// The name is denied.
    Denied,
    /// The address is denied.
    DeniedRange,
    /// A metadata service, which no policy opens.
    Metadata,
    /// This machine, which the operator opens and no policy does.
    Loopback,
    /// A private or special address, or one of this machine's own.
    Special(&'static str),
}

impl Answer {
    /// The field or the fixed rule that decided.
    pub(crate) fn rule(&self) -> &'static str {
        match self {
            Self::Allowed(rule) => rule,
            Self::NoDestination(_) => "proxy-only",
            Self::NoNetwork => Refusal::NoNetwork.rule(),
            Self::Port => Refusal::Port(0).rule(),
            Self::NotListed | Self::OneLabel => Refusal::NotAllowed.rule(),
            Self::Denied => Refusal::Denied.rule(),
            Self::DeniedRange => Refusal::DeniedRange.rule(),
            Self::Metadata => Refusal::Address(Class::Metadata).rule(),
            Self::Loopback | Self::Special(_) => Refusal::OwnHost.rule(),
        }
    }
}

/// What the proxy would do with a connection to `text`, a `host:port`. `leads_to` is what a resolver says of the name; without it,
/// only the name is judged.
pub(crate) fn ask(network: &Network, text: &str, leads_to: Option<IpAddr>) -> Result<Verdict, String> {
    let rules = Rules::compile(network).map_err(|error| error.to_string())?;
    let to = match parse(text.as_bytes(), None) {
        Ok(to) => to,
        Err(error) => {
            return Ok(Verdict {
                to: text.to_owned(),
                host: text.to_owned(),
                port: 0,
                address: None,
                answer: Answer::NoDestination(error),
                matches: Matches::default(),
            });
        }
    };
    let (host, literal) = match &to.host {
        Host::Name(name) => (name.clone(), None),
        Host::Address(address) => (address.to_string(), Some(*address)),
    };
    let address = literal.or(leads_to);
    let answer = match judge(&rules, &to, address) {
        Ok(rule) => Answer::Allowed(rule),
        Err(refusal) => named(&refusal, network.mode),
    };
    let matches = rules.matches(&to.host, leads_to);
    Ok(Verdict { to: to.to_string(), host, port: to.port, address, answer, matches })
}

/// Whether a name is refused whatever a policy says of it.
pub(crate) fn is_never(name: &str) -> bool {
    never(name).is_some()
}

/// As `Dialer::dial` does it: the name, then the address.
fn judge(rules: &Rules, to: &Destination, address: Option<IpAddr>) -> Result<&'static str, Refusal> {
    let rule = rules.admit(to)?;
    if let Some(address) = address {
        rules.dialable(address, &own_addresses().unwrap_or_default())?;
    }
    Ok(rule)
}

fn named(refusal: &Refusal, mode: NetworkMode) -> Answer {
    match refusal {
        Refusal::NoNetwork => Answer::NoNetwork,
        Refusal::Port(_) => Answer::Port,
        Refusal::NotAllowed if mode == NetworkMode::Open => Answer::OneLabel,
        Refusal::NotAllowed => Answer::NotListed,
        Refusal::Denied => Answer::Denied,
        Refusal::DeniedRange => Answer::DeniedRange,
        Refusal::Address(Class::Metadata) => Answer::Metadata,
        Refusal::Address(Class::Loopback) => Answer::Loopback,
        Refusal::Address(class) => Answer::Special(class.name()),
        Refusal::OwnHost => Answer::Special("this machine's own"),
    }
}
