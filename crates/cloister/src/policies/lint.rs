//! What is legal in a policy and probably not meant: combinations and entries that open more than they seem to.
//!
//! Every finding has an id, the place where it stands, the reason, and what to do. Whether a policy is taken at all is the loader's
//! business; nothing here refuses one.

mod lent;

pub(crate) use lent::Bound;

use super::{Policies, PoliciesError};
use crate::egress::question::is_never;
use cloister_core::policy::{Install, NetworkMode, Origin, Policy, Resolved, Snapshots, Wall};
use cloister_core::session::SessionKind;
use std::collections::HashSet;
use std::time::Duration;

/// One thing to think about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// `shared-suffix`.
    pub(crate) id: &'static str,
    /// The field.
    pub(crate) field: &'static str,
    /// The entry of a list; empty for the field as a whole.
    pub(crate) item: String,
    /// File and line, unless it is a built-in default.
    pub(crate) origin: Option<Origin>,
    /// Why it may be wrong.
    pub(crate) reason: String,
    /// What to do.
    pub(crate) advice: &'static str,
}

impl Finding {
    /// `network.allowed_domains: *.com: …`
    pub(crate) fn text(&self) -> String {
        let item = if self.item.is_empty() { String::new() } else { format!("{}: ", self.item) };
        format!("{}: {item}{}", self.field, self.reason)
    }
}

/// Suffixes under which anybody can have a host of their own: to allow all of one is to allow the whole internet.
const SHARED_SUFFIXES: &[&str] = &[
    "amazonaws.com",
    "appspot.com",
    "azureedge.net",
    "azurewebsites.net",
    "blob.core.windows.net",
    "cloudapp.azure.com",
    "cloudfront.net",
    "core.windows.net",
    "fly.dev",
    "github.io",
    "gitlab.io",
    "googleapis.com",
    "herokuapp.com",
    "netlify.app",
    "ngrok.app",
    "ngrok.io",
    "onrender.com",
    "pages.dev",
    "r2.dev",
    "repl.co",
    "run.app",
    "storage.googleapis.com",
    "surge.sh",
    "trycloudflare.com",
    "vercel.app",
    "web.app",
    "workers.dev",
];

/// Hosts to which anybody can send text or files that others can fetch.
const DROPS: &[&str] = &[
    "0x0.st",
    "anonfiles.com",
    "bashupload.com",
    "controlc.com",
    "dpaste.com",
    "dpaste.org",
    "file.io",
    "gist.github.com",
    "gofile.io",
    "hastebin.com",
    "ix.io",
    "paste.ee",
    "paste.rs",
    "pastebin.com",
    "privatebin.net",
    "requestbin.com",
    "rentry.co",
    "sprunge.us",
    "termbin.com",
    "transfer.sh",
    "webhook.site",
    "wetransfer.com",
];

/// Hosts that lead elsewhere by a name that says nothing of it.
const SHORTENERS: &[&str] = &[
    "bit.ly",
    "buff.ly",
    "cutt.ly",
    "goo.gl",
    "is.gd",
    "ow.ly",
    "rb.gy",
    "rebrand.ly",
    "t.co",
    "t.ly",
    "tinyurl.com",
];

/// Resolvers that answer over HTTPS: whoever asks them asks no resolver of ours.
const DOH: &[&str] = &[
    "chrome.cloudflare-dns.com",
    "cloudflare-dns.com",
    "dns.adguard-dns.com",
    "dns.google",
    "dns.google.com",
    "dns.nextdns.io",
    "dns.quad9.net",
    "doh.cleanbrowsing.org",
    "doh.dns.sb",
    "doh.opendns.com",
    "freedns.controld.com",
    "mozilla.cloudflare-dns.com",
    "one.one.one.one",
];

/// Ports behind which something else than the web waits.
const PORTS: &[(u16, &str)] = &[
    (22, "SSH: a shell, and tunnels to everywhere behind it"),
    (23, "telnet"),
    (25, "SMTP: mail in your name"),
    (53, "DNS: a tunnel that nobody looks into"),
    (139, "SMB"),
    (389, "LDAP"),
    (445, "SMB"),
    (465, "SMTP: mail in your name"),
    (587, "SMTP: mail in your name"),
    (853, "DNS over TLS: a tunnel that nobody looks into"),
    (2375, "the Docker API: root on its host"),
    (2376, "the Docker API: root on its host"),
    (3306, "MySQL"),
    (3389, "RDP"),
    (5432, "PostgreSQL"),
    (6379, "Redis"),
    (6443, "the Kubernetes API"),
    (10250, "the kubelet: commands in every pod"),
    (27017, "MongoDB"),
];

const GIB: u64 = 1 << 30;

/// What there is to say about policy `name`, in the order of the documentation. `bound` are the secrets of the server's configuration,
/// if that is known.
pub(crate) fn lint(
    policies: &Policies,
    name: &str,
    bound: Option<&Bound>,
) -> Result<Vec<Finding>, PoliciesError> {
    let resolved = policies.resolve(name)?;
    let mut found = findings(&resolved, bound);
    for finding in &mut found {
        let item = Some(finding.item.as_str()).filter(|item| !item.is_empty());
        finding.origin = policies.origin(name, finding.field, item);
    }
    Ok(found)
}

fn findings(resolved: &Resolved, bound: Option<&Bound>) -> Vec<Finding> {
    let mut found = Vec::new();
    let policy = &resolved.policy;
    domains(policy, &mut found);
    ranges(policy, &mut found);
    ports(policy, &mut found);
    // A ceiling bounds and gives nothing, so how its fields go together is nobody's risk.
    if !resolved.ceiling {
        together(policy, &mut found);
        lent::packages(policy, &resolved.chain, &mut found);
        lent::secrets(policy, bound, &mut found);
        limits(policy, &mut found);
    }
    found
}

fn finding(
    id: &'static str,
    field: &'static str,
    item: impl Into<String>,
    reason: impl Into<String>,
    advice: &'static str,
) -> Finding {
    Finding { id, field, item: item.into(), origin: None, reason: reason.into(), advice }
}

fn domains(policy: &Policy, found: &mut Vec<Finding>) {
    let field = "network.allowed_domains";
    let set = |list: &[&'static str]| -> HashSet<&'static str> { list.iter().copied().collect() };
    let (shared, drops, short, doh) = (set(SHARED_SUFFIXES), set(DROPS), set(SHORTENERS), set(DOH));
    for entry in &policy.network.allowed_domains {
        let below = entry.strip_prefix("*.");
        let name = below.unwrap_or(entry);
        let mut add = |id, reason: String, advice| found.push(finding(id, field, entry, reason, advice));
        if is_never(name) {
            add(
                "never",
                "it leads to this machine or to a metadata service, and is refused all the same".into(),
                "take it out",
            );
        }
        if below.is_some_and(|suffix| !suffix.contains('.')) {
            add("whole-tld", "allows a whole top-level domain".into(), "list the hosts that are needed");
        } else if below.is_some() && is_below_any(name, &shared) {
            let reason = format!("anybody can have a host below {name}");
            add("shared-suffix", reason, "list the hosts that are yours, without a star");
        }
        if is_below_any(name, &drops) {
            add(
                "paste-or-drop",
                "anybody can leave data there for anybody".into(),
                "take it out, or give that job a policy of its own without anything secret",
            );
        }
        if is_below_any(name, &short) {
            add(
                "url-shortener",
                "its addresses lead to places that the list does not name".into(),
                "list the places",
            );
        }
        if is_below_any(name, &doh) {
            add(
                "dns-over-https",
                "it answers DNS questions, which carry data out by names".into(),
                "take it out; the proxy resolves names itself",
            );
        }
        if below.is_none() && !name.contains('.') {
            add("one-label", "means some machine of the host's own network".into(), "write the whole name");
        }
    }
}

/// Whether a name is one of these, or below one.
fn is_below_any(name: &str, suffixes: &HashSet<&'static str>) -> bool {
    let mut rest = Some(name);
    while let Some(name) = rest {
        if suffixes.contains(name) {
            return true;
        }
        rest = name.split_once('.').map(|(_, above)| above);
    }
    false
}

fn ranges(policy: &Policy, found: &mut Vec<Finding>) {
    let field = "network.allowed_cidrs";
    for range in &policy.network.allowed_cidrs {
        if range.starts_with("127.") || range.starts_with("::1/") {
            let reason = "reaches every service that listens on this machine";
            found.push(finding(
                "loopback-range",
                field,
                range,
                reason,
                "name the one program with --allow-loopback",
            ));
        } else if range.ends_with("/0") {
            let reason = "takes the protection off every private network";
            found.push(finding("whole-internet", field, range, reason, "list the ranges that are needed"));
        } else if ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "100.64.0.0/10"]
            .contains(&range.as_str())
        {
            let reason = "opens a whole private network";
            found.push(finding(
                "whole-private-range",
                field,
                range,
                reason,
                "list the hosts that are needed, as /32",
            ));
        }
    }
}

fn ports(policy: &Policy, found: &mut Vec<Finding>) {
    for port in &policy.network.ports {
        if let Some((_, what)) = PORTS.iter().find(|(known, _)| known == port) {
            found.push(finding(
                "service-port",
                "network.ports",
                port.to_string(),
                *what,
                "leave it out unless this policy is for that service",
            ));
        }
    }
    if policy.network.mode != NetworkMode::None
        && policy.network.ports.contains(&80)
        && policy.network.mode == NetworkMode::Allowlist
    {
        let reason = "without TLS, whoever is on the way reads and changes what is sent";
        found.push(finding("plain-http", "network.ports", "80", reason, "list 443 only"));
    }
}

fn together(policy: &Policy, found: &mut Vec<Finding>) {
    let network = &policy.network;
    let code = policy.kind() == SessionKind::Code;
    if network.mode == NetworkMode::Open && code && policy.languages.shell {
        let reason = "a shell beside the whole internet: what a session holds can be sent anywhere, and anything can be fetched and run";
        found.push(finding(
            "shell-and-open-network",
            "network.mode",
            "",
            reason,
            "use mode `allowlist`, or set languages.shell = false",
        ));
    }
    if network.mode == NetworkMode::Open && code && policy.filesystem.exec {
        let reason = "programs from anywhere can be fetched and run";
        found.push(finding(
            "exec-and-open-network",
            "filesystem.exec",
            "",
            reason,
            "set filesystem.exec = false where no package has to be built",
        ));
    }
    if policy.kind() == SessionKind::Browser
        && network.mode == NetworkMode::Open
        && !policy.browser.read_only
        && !policy.browser.recording
    {
        let reason = "a browser that anything can be done with on the whole internet, and nobody can look at afterwards";
        found.push(finding(
            "unrecorded-browser",
            "browser.recording",
            "",
            reason,
            "set browser.recording = true, or browser.read_only = true",
        ));
    }
    if !network.allowed_cidrs.is_empty() && network.mode == NetworkMode::Open {
        let reason =
            "a session that reaches both the internet and a private network carries from one to the other";
        found.push(finding("bridge", "network.allowed_cidrs", "", reason, "use mode `allowlist`"));
    }
    if network.mode == NetworkMode::Allowlist
        && network.allowed_domains.is_empty()
        && network.allowed_cidrs.is_empty()
        // The index is the proxy's own, and needs no entry.
        && policy.packages.install == Install::Off
    {
        let reason = "lists nothing, so nothing is reachable";
        found.push(finding(
            "empty-allowlist",
            "network.allowed_domains",
            "",
            reason,
            "list the hosts, or use mode `none`",
        ));
    }
    if network.mode == NetworkMode::None && !network.allowed_domains.is_empty() {
        let reason = "has no effect in mode `none`";
        found.push(finding(
            "no-effect",
            "network.allowed_domains",
            "",
            reason,
            "use mode `allowlist`, or take the list out",
        ));
    }
    if policy.tier == "wasm" && network.mode != NetworkMode::None {
        let reason = "has no effect on the tier `wasm`, which has no network";
        found.push(finding("no-effect", "network.mode", "", reason, "use mode `none`"));
    }
    if policy.tier != "wasm" && policy.snapshots == Snapshots::Atomic {
        let reason = "has no effect but on the tier `wasm`";
        found.push(finding("no-effect", "snapshots", "", reason, "take it out"));
    }
    if !policy.isolation.require.contains(&Wall::Namespaces) {
        let reason =
            "a session may run without namespaces: with a host's process table and no private network stack";
        found.push(finding(
            "weak-walls",
            "isolation.require",
            "",
            reason,
            "require `namespaces` where the host can make them",
        ));
    }
}

fn limits(policy: &Policy, found: &mut Vec<Finding>) {
    let mut huge = |field, is: bool, reason: &str| {
        if is {
            found.push(finding("huge-limit", field, "", reason, "set what the work needs"));
        }
    };
    huge(
        "network.bytes",
        policy.network.mode != NetworkMode::None && policy.network.bytes > 64 * GIB,
        "carries whole databases out of one session",
    );
    huge(
        "network.connections",
        policy.network.mode != NetworkMode::None && policy.network.connections > 1024,
        "is enough to scan a network with",
    );
    huge("resources.memory", policy.resources.memory > 64 * GIB, "one session may starve the host");
    huge("resources.cpu", policy.resources.cpu > 64.0, "one session may starve the host");
    huge("resources.pids", policy.resources.pids > 32_768, "is a fork bomb's whole table of processes");
    huge(
        "time.call",
        policy.time.call > Duration::from_secs(4 * 3600),
        "an endless loop runs for most of a day",
    );
}

#[cfg(test)]
mod tests;
