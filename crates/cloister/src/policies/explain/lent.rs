//! Explanations of packages and secrets: the package index's own rules, and where the configuration binds a value to.

use super::{CODE_ONLY, Change, ELSEWHERE, Ruled, connect};
use crate::egress::SecretConfig;
use crate::egress::packages::question::{self, Verdict};
use cloister_core::policy::{Install, NetworkMode, Policy};
use cloister_core::session::SessionKind;
use cloister_process::WASM_TIER;

/// Whether sessions may install a project, or a file of one.
pub(super) fn package(policy: &Policy, text: &str) -> Ruled {
    if let Some(other) = other_tier(policy, "install no packages") {
        return other;
    }
    let Some(verdict) = question::ask(policy, text) else {
        let never = "names of projects have letters, digits, `-`, `_` and `.`".to_owned();
        return Ruled::no("packages.allow", "it is no name of a project or of a file", Change::Never(never));
    };
    if policy.packages.install == Install::Off {
        return without_index(policy, &verdict.project);
    }
    let Verdict { answer, denied, .. } = verdict;
    match answer {
        Ok(entry) => {
            let what = if policy.packages.wheels_only { "wheels only" } else { "source archives too" };
            let sums = if policy.packages.require_hashes {
                "each with the SHA-256 that the index states"
            } else {
                "those without a SHA-256 are taken as they come"
            };
            let why = format!("the index offers its files: {what}, {sums}");
            Ruled::yes("packages.allow", why).item(Some(entry))
        }
        Err((rule, what)) => {
            let item = denied.filter(|_| rule == "packages.deny");
            Ruled::no(rule, what, narrowest(policy, text)).item(item)
        }
    }
}

/// pip is left to itself there, and the network decides what it reaches.
fn without_index(policy: &Policy, project: &str) -> Ruled {
    let network = &policy.network;
    let unchecked = "there is no package index of the proxy's, so nothing is checked: pip takes whatever";
    match network.mode {
        NetworkMode::Open => {
            Ruled::yes("network.mode", format!("{unchecked} the indexes of the internet have"))
        }
        NetworkMode::Allowlist
            if !(network.allowed_domains.is_empty() && network.allowed_cidrs.is_empty()) =>
        {
            Ruled::yes("network.allowed_domains", format!("{unchecked} the listed hosts have"))
        }
        NetworkMode::Allowlist | NetworkMode::None => {
            let change = format!(
                "set packages.install = \"mirror\", packages.index to the address of your index, and packages.allow = [\"{project}\"], \
                 under network.mode = \"allowlist\", whose list may be empty"
            );
            let why = "there is no package index, and no host that one could be asked at";
            Ruled::no("packages.install", why, Change::Other(change))
        }
    }
}

/// The fewest changes under which the index offers it.
fn narrowest(policy: &Policy, text: &str) -> Change {
    let mut with = policy.clone();
    // Network, list, kind of file: more obstacles there are not.
    for _ in 0..4 {
        let Some(Verdict { project, answer, denied }) = question::ask(&with, text) else { break };
        match answer {
            Ok(_) => return Change::Toml(additions(policy, &with)),
            Err(("network.mode", _)) => with.network.mode = NetworkMode::Allowlist,
            Err(("packages.allow", _)) => with.packages.allow.push(project),
            Err(("packages.deny", _)) => {
                let entry = denied.unwrap_or_default();
                return Change::Other(format!("take {entry:?} out of packages.deny"));
            }
            Err(("packages.wheels_only", _)) if with.packages.wheels_only => {
                with.packages.wheels_only = false;
            }
            Err((_, what)) => return Change::Other(what),
        }
    }
    Change::Never("it is neither a wheel nor a source archive".into())
}

/// The fields in which `with` differs, in the words of a policy file.
fn additions(policy: &Policy, with: &Policy) -> String {
    let mut text = String::new();
    if with.network.mode != policy.network.mode {
        text.push_str(&format!("[network]\nmode = {:?}\n", with.network.mode.name()));
    }
    text.push_str("[packages]");
    if with.packages.allow != policy.packages.allow {
        text.push_str(&format!("\nallow = {:?}", with.packages.allow));
    }
    if with.packages.wheels_only != policy.packages.wheels_only {
        text.push_str(&format!("\nwheels_only = {}", with.packages.wheels_only));
    }
    text
}

/// Whether requests of sessions to `to` get the value of a secret. `config` is what the server knows of it.
pub(super) fn secret(policy: &Policy, name: &str, to: &str, config: Option<&SecretConfig>) -> Ruled {
    if let Some(other) = other_tier(policy, "cannot use secrets") {
        return other;
    }
    let Some(config) = config else {
        let why = format!("the server's configuration has no secret {name}");
        let change = Change::Other(format!("add [secrets.{name}] with file and hosts to the configuration"));
        return Ruled::no(&format!("secrets.{name}"), why, change).by("egress proxy");
    };
    let bound = match config.goes_to(to) {
        Ok(bound) => bound,
        Err(what) => {
            let change = Change::Other("mend it, the server does not start with it".into());
            return Ruled::no(&format!("secrets.{name}.hosts"), what, change).by("egress proxy");
        }
    };
    if !bound {
        let host = if has_port(to) { to.rsplit_once(':').map_or(to, |(host, _)| host) } else { to };
        let why = format!("it is bound to {}, and to no other host does it go", config.hosts().join(", "));
        let change =
            Change::Other(format!("add {host:?} to hosts of [secrets.{name}], and start the server again"));
        return Ruled::no(&format!("secrets.{name}.hosts"), why, change).by("egress proxy");
    }
    let way = connect(policy, &if has_port(to) { to.to_owned() } else { format!("{to}:443") }, None);
    let listed = policy.secrets.iter().find(|listed| *listed == "*" || *listed == name);
    let Some(entry) = listed else {
        let mut secrets = policy.secrets.clone();
        secrets.push(name.to_owned());
        let lend = format!("secrets = {secrets:?}");
        let change = match way.change {
            Change::Nothing => Change::Toml(lend),
            Change::Toml(more) => Change::Toml(format!("{lend}\n{more}")),
            other => other,
        };
        return Ruled::no("secrets", "the policy does not lend it", change);
    };
    if !way.allowed {
        return way;
    }
    let why = match config.header() {
        Some(header) => format!("every HTTPS request there gets the header {header} with the value"),
        None => "in the headers of HTTPS requests there, the placeholder becomes the value".to_owned(),
    };
    Ruled::yes("secrets", why).item(Some(entry.clone()))
}

fn has_port(to: &str) -> bool {
    to.rsplit_once(':').is_some_and(|(host, port)| {
        port.parse::<u16>().is_ok() && (!host.contains(':') || host.ends_with(']'))
    })
}

/// The refusal of tiers that have neither programs nor a way out of their own.
fn other_tier(policy: &Policy, what: &str) -> Option<Ruled> {
    if policy.kind() == SessionKind::Browser {
        let other = "start a session of a code interpreter".to_owned();
        return Some(Ruled::no("tier", CODE_ONLY, Change::Other(other)));
    }
    (policy.tier == WASM_TIER).then(|| {
        let why = format!("sessions of the wasm tier {what}");
        Ruled::no("tier", why, Change::Other(ELSEWHERE.to_owned())).by("wasm engine")
    })
}
