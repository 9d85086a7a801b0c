//! Findings about what a policy hands to sessions from outside: secrets of the configuration, and packages of a mirror.

use super::{Finding, finding};
use crate::egress::SecretConfig;
use crate::egress::question::{self, Answer};
use cloister_core::policy::{Install, Network, NetworkMode, Policy};
use std::collections::BTreeMap;

/// Secrets of the server's configuration, by name.
pub(crate) type Bound = BTreeMap<String, SecretConfig>;

/// `bound` is what the configuration says; without it, only what the policy alone can tell is looked at.
pub(super) fn secrets(policy: &Policy, bound: Option<&Bound>, found: &mut Vec<Finding>) {
    let field = "secrets";
    if policy.secrets.is_empty() {
        return;
    }
    let mut add =
        |id, item: &str, reason: String, advice| found.push(finding(id, field, item, reason, advice));
    if policy.tier != "process" || policy.network.mode == NetworkMode::None {
        let reason = "nothing can be sent from such a session, and a server does not start with it";
        add("no-effect", "", reason.into(), "take the field out, or give a network on the tier `process`");
        return;
    }
    if policy.secrets.iter().any(|name| name == "*") {
        let reason = "lends every secret of the server, also those that are added later";
        add("every-secret", "*", reason.into(), "list the names that are needed");
    }
    if policy.network.mode == NetworkMode::Open {
        let reason = "what a session gets with a secret, it can send to any host of the internet";
        add(
            "secret-and-open-network",
            "",
            reason.into(),
            "use mode `allowlist`, with the hosts of the secrets",
        );
    }
    let Some(bound) = bound else { return };
    for name in policy.secrets.iter().filter(|name| *name != "*") {
        if !bound.contains_key(name) {
            let reason = "is no secret of the server's configuration, and a server does not start with it";
            add(
                "unknown-secret",
                name,
                reason.into(),
                "add [secrets.NAME] to the configuration, or take it out",
            );
        }
    }
    let lent: Vec<_> = bound
        .iter()
        .filter(|(name, _)| policy.secrets.iter().any(|listed| listed == "*" || listed == *name))
        .collect();
    for (name, secret) in &lent {
        let refused: Vec<_> = secret
            .hosts()
            .iter()
            .filter(|host| !reached(&policy.network, host))
            .map(String::as_str)
            .collect();
        if !refused.is_empty() {
            let all =
                if refused.len() == secret.hosts().len() { "never used: " } else { "not used everywhere: " };
            let reason =
                format!("{all}the network rules refuse {}, which it is bound to", refused.join(", "));
            let item = if policy.secrets.contains(*name) { name.as_str() } else { "*" };
            add("unreachable-secret", item, reason, "allow the host, or do not lend the secret");
        }
    }
    if policy.network.mode == NetworkMode::Allowlist {
        let hosts: Vec<_> = lent.iter().flat_map(|(_, secret)| secret.hosts()).collect();
        let wide = policy.network.allowed_domains.iter().filter(|entry| entry.starts_with("*."));
        for entry in
            wide.filter(|entry| !hosts.iter().any(|host| host.starts_with("*.") && covers(host, entry)))
        {
            let reason = "names more hosts than the secrets beside it are bound to: what a session gets with one can go to all of them";
            found.push(finding(
                "secret-and-wide-network",
                "network.allowed_domains",
                entry,
                reason,
                "list the hosts that are needed, without a star",
            ));
        }
    }
}

/// Whether one of the hosts that an entry of a secret means is let through. An address without a port says nothing of ports, so one of
/// the policy's will do.
fn reached(network: &Network, host: &str) -> bool {
    let through = |name: &str| {
        let named = if name.contains(':') { format!("[{name}]") } else { name.to_owned() };
        network.ports.iter().any(|port| {
            let verdict = question::ask(network, &format!("{named}:{port}"), None);
            matches!(verdict.map(|verdict| verdict.answer), Ok(Answer::Allowed(_)))
        })
    };
    match host.strip_prefix("*.") {
        None => through(host),
        // One that nobody has listed, or one that somebody has.
        Some(suffix) => {
            through(&format!("any.{suffix}"))
                || network.allowed_domains.iter().any(|entry| {
                    let name =
                        entry.strip_prefix("*.").map_or_else(|| entry.clone(), |name| format!("any.{name}"));
                    covers(host, &name) && through(&name)
                })
        }
    }
}

/// Whether `wide`, which begins with a star, names everything that `entry` does.
fn covers(wide: &str, entry: &str) -> bool {
    entry == wide || wide.strip_prefix('*').is_some_and(|below| entry.ends_with(below))
}

/// `name` and the chain of `extends` say what the policy claims to be for.
pub(super) fn packages(policy: &Policy, chain: &[String], found: &mut Vec<Finding>) {
    let packages = &policy.packages;
    let mut add =
        |id, field, item: &str, reason: &str, advice| found.push(finding(id, field, item, reason, advice));
    let network = &policy.network;
    if packages.install == Install::Off {
        if !packages.allow.is_empty() {
            let reason = "has no effect without packages.install = \"mirror\"";
            add("no-effect", "packages.allow", "", reason, "set install and index, or take the list out");
        }
        let claims = chain.iter().any(|name| name == "packages" || name.contains("data-science"))
            || policy.description.to_lowercase().contains("package");
        let reaches = network.mode == NetworkMode::Open || !network.allowed_domains.is_empty();
        if claims && reaches && network.mode != NetworkMode::None {
            let reason = "packages come from the hosts as they are: any project, source archives, and no sum that somebody has checked";
            let advice = "set install = \"mirror\" with index and allow, and no hosts of an index";
            add("unchecked-packages", "packages.install", "", reason, advice);
        }
        return;
    }
    if network.mode == NetworkMode::None {
        let reason = "the index is not reached without a network, and a server does not start with it";
        add(
            "no-effect",
            "packages.install",
            "",
            reason,
            "use network.mode = \"allowlist\", whose list may be empty",
        );
    }
    if packages.allow.is_empty() {
        add(
            "empty-allowlist",
            "packages.allow",
            "",
            "lists nothing, so nothing is installed",
            "list the projects",
        );
    }
    for entry in packages.allow.iter().filter(|entry| *entry == "*") {
        let reason =
            "takes names that somebody mistyped or a model invented, and whoever has registered them";
        add("every-package", "packages.allow", entry, reason, "list the projects");
    }
    if !packages.require_hashes {
        let reason = "files without a SHA-256 are taken as they come";
        add(
            "unlocked-packages",
            "packages.require_hashes",
            "",
            reason,
            "set it to true; indexes of today state one for each file",
        );
    }
    if !packages.wheels_only {
        let reason = "installing a source archive runs code of the package's own, before anybody imports it";
        add(
            "source-archives",
            "packages.wheels_only",
            "",
            reason,
            "set it to true where the projects have wheels",
        );
    }
    if network.mode == NetworkMode::Open {
        let reason = "`pip install --index-url` goes to any other index, past the list of packages";
        add("around-the-mirror", "network.mode", "", reason, "use mode `allowlist`, whose list may be empty");
    }
    let chosen = packages.wheels_only && packages.allow.iter().all(|entry| entry != "*");
    if !policy.secrets.is_empty() && !chosen {
        let reason =
            "a package that nobody chose runs in the session, and can use its secrets at their hosts";
        add("packages-beside-secrets", "packages.allow", "", reason, "list the projects, as wheels only");
    }
}
