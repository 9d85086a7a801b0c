//! Why something is allowed or refused: the decision of the code that enforces it, the line of the file that decided, and the
//! narrowest change.
//!
//! ```text
//!   Request ─▶ egress rules · session refusals · system call list · CDP table · places ─▶ Ruled { allowed, rule, value }
//!                                                                                              │ + chain of `extends`
//!                                                                                              ▼
//!                                                                               Explained { file:line, layer, change }
//! ```
//!
//! Nothing here decides: every branch asks the function that a session asks.

mod lent;

use super::request::Request;
use super::{Policies, PoliciesError};
use crate::egress::question::{self, Answer, Verdict};
use cloister_browser::{Table, may_open};
use cloister_core::command::{Language, Runtime, ToolCall};
use cloister_core::policy::{Ask, Field, Network, NetworkMode, Origin, Policy, Resolved};
use cloister_core::session::{SessionKind, forbidden, life};
use cloister_jail::seccomp::Ruling;
use cloister_process::{WASM_TIER, unsupported, writable};
use serde_json::{Value, json};
use std::net::IpAddr;

/// What denies where no access policy permits.
pub(super) const NO_PERMIT: &str = "access.default-deny";

/// A decision with its reasons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Explained {
    /// The policy that was asked.
    pub(crate) policy: String,
    /// What was asked, in words.
    pub(crate) asked: String,
    /// Whether a session of the policy may.
    pub(crate) allowed: bool,
    /// The field, or a fixed rule.
    pub(crate) rule: String,
    /// The value that matched, or that is in force.
    pub(crate) value: String,
    /// The file and line that decided; `None` for a built-in default or a fixed rule.
    pub(crate) origin: Option<Origin>,
    /// What enforces it.
    pub(crate) layer: &'static str,
    /// The reason, in a sentence.
    pub(crate) why: String,
    /// The narrowest change that would allow it.
    pub(crate) change: Change,
}

/// What would have to be different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nothing: it is allowed.
    Nothing,
    /// These fields, in the words of a policy file.
    Toml(String),
    /// An access policy, or a part of one.
    Cedar(String),
    /// Something that is no field of a policy.
    Other(String),
    /// It cannot be allowed; why.
    Never(String),
}

/// What the enforcing code says, before it is traced to a file.
struct Ruled {
    allowed: bool,
    rule: String,
    /// The item of a list that decided.
    item: Option<String>,
    /// What enforces it, where the field's own layer is not meant.
    layer: Option<&'static str>,
    why: String,
    change: Change,
}

impl Ruled {
    fn yes(rule: &str, why: impl Into<String>) -> Self {
        Self {
            allowed: true,
            rule: rule.to_owned(),
            item: None,
            layer: None,
            why: why.into(),
            change: Change::Nothing,
        }
    }

    fn no(rule: &str, why: impl Into<String>, change: Change) -> Self {
        Self { allowed: false, change, ..Self::yes(rule, why) }
    }

    fn item(self, item: Option<String>) -> Self {
        Self { item, ..self }
    }

    fn by(self, layer: &'static str) -> Self {
        Self { layer: Some(layer), ..self }
    }
}

/// What policy `name` says of a request.
pub(crate) fn explain(
    policies: &Policies,
    name: &str,
    request: &Request,
) -> Result<Explained, PoliciesError> {
    let Resolved { policy, .. } = policies.resolve(name)?;
    let ruled = match request {
        Request::Connect { to, address } => connect(&policy, to, *address),
        Request::Url(url) => open(&policy, url),
        Request::Run(runtime) => call(&policy, &run(*runtime)),
        Request::Shell => call(&policy, &ToolCall::ExecuteCommand { command: String::new() }),
        Request::Write(path) => write(&policy, path),
        Request::Syscall(call) => syscall(policies, &policy, call)?,
        Request::Cdp(method) => cdp(&policy, method),
        Request::Memory(bytes) => memory(&policy, *bytes),
        Request::Timeout(span) => timeout(&policy, *span),
        Request::Package(name) => lent::package(&policy, name),
        Request::Secret { name, to, config } => lent::secret(&policy, name, to, config.as_ref()),
    };
    let Ruled { allowed, rule, item, layer, why, change } = ruled;
    let row = policy.describe().into_iter().find(|row| row.field == rule);
    let origin = match request {
        Request::Cdp(method) if rule == "cdp.methods" => cdp_line(method),
        _ => policies.origin(name, &rule, item.as_deref()),
    };
    let value = item.or_else(|| row.map(|row| row.value)).unwrap_or_default();
    let layer = layer.or_else(|| Field::find(&rule).map(|field| field.by)).unwrap_or("cloister");
    let policy = policy.name;
    Ok(Explained { policy, asked: request.to_string(), allowed, rule, value, origin, layer, why, change })
}

/// Where the list of CDP methods, which is the same for all policies, names one.
pub(super) fn cdp_line(method: &str) -> Option<Origin> {
    let file = "policies/cdp/methods.json".to_owned();
    Table::line(method).map(|line| Origin { policy: "cdp".to_owned(), file, line })
}

impl Explained {
    /// Where the decision stands, for people.
    pub(crate) fn place(&self) -> String {
        match &self.origin {
            Some(Origin { file, line, .. }) => format!("{file}:{line}"),
            None if Field::find(&self.rule).is_some() => "built-in default".to_owned(),
            None if self.rule.starts_with("secrets.") => "[secrets] of the server's configuration".to_owned(),
            None if self.rule.starts_with("quotas.") => "[quotas] of the server's configuration".to_owned(),
            None if self.rule == NO_PERMIT => "access/*.cedar, of which none permits it".to_owned(),
            None => "fixed rule".to_owned(),
        }
    }

    /// For programs.
    pub(crate) fn json(&self) -> Value {
        let (word, text) = match &self.change {
            Change::Nothing => ("toml", None),
            Change::Toml(text) => ("toml", Some(text)),
            Change::Cedar(text) => ("cedar", Some(text)),
            Change::Other(text) => ("advice", Some(text)),
            Change::Never(text) => ("never", Some(text)),
        };
        let mut change = json!({ "toml": null, "cedar": null, "advice": null, "never": null });
        change[word] = json!(text);
        json!({
            "policy": self.policy,
            "asked": self.asked,
            "allowed": self.allowed,
            "rule": self.rule,
            "value": self.value,
            "file": self.origin.as_ref().map(|origin| &origin.file),
            "line": self.origin.as_ref().map(|origin| origin.line),
            "setBy": self.origin.as_ref().map(|origin| &origin.policy),
            "layer": self.layer,
            "why": self.why,
            "change": change,
        })
    }
}

const CODE_ONLY: &str = "a browser session runs no code";
const ELSEWHERE: &str = "use an interpreter whose policy is on the tier `process`";

pub(super) fn run(runtime: Runtime) -> ToolCall {
    let language = match runtime {
        Runtime::Python => Language::Python,
        _ => Language::JavaScript,
    };
    ToolCall::ExecuteCode { code: String::new(), language, runtime, clear_context: false }
}

fn call(policy: &Policy, call: &ToolCall) -> Ruled {
    let (rule, wanted) = match call {
        ToolCall::ExecuteCode { runtime, .. } => {
            let mut runtimes = policy.languages.runtimes.clone();
            runtimes.push(runtime.name().to_owned());
            ("languages.runtimes", format!("[languages]\nruntimes = {runtimes:?}"))
        }
        _ => ("languages.shell", "[languages]\nshell = true".to_owned()),
    };
    if policy.kind() == SessionKind::Browser {
        let other = "start a session of a code interpreter".to_owned();
        return Ruled::no("tier", CODE_ONLY, Change::Other(other));
    }
    let engine = unsupported(call).filter(|_| policy.tier == WASM_TIER);
    if let Some(refusal) = forbidden(policy, call) {
        // Where the engine cannot do it either, the field alone would not help.
        let change = engine.map_or(Change::Toml(wanted), |_| Change::Other(ELSEWHERE.to_owned()));
        return Ruled::no(rule, refusal.why, change);
    }
    match engine {
        Some(why) => Ruled::no("tier", why, Change::Other(ELSEWHERE.to_owned())).by("wasm engine"),
        None => {
            let item = match call {
                ToolCall::ExecuteCode { runtime, .. } => Some(runtime.name().to_owned()),
                _ => None,
            };
            Ruled::yes(rule, "the policy allows it").item(item)
        }
    }
}

fn connect(policy: &Policy, to: &str, address: Option<IpAddr>) -> Ruled {
    if policy.tier == WASM_TIER {
        let other = "use an interpreter whose policy is on the tier `process` and has a network".to_owned();
        return Ruled::no("tier", "sessions of the wasm tier have no network", Change::Other(other))
            .by("wasm engine");
    }
    match question::ask(&policy.network, to, address) {
        Ok(verdict) => {
            let change = narrowest(&policy.network, to, address, &verdict);
            judged(verdict, change)
        }
        // A policy that is loaded has been compiled by the same code.
        Err(what) => Ruled::no("network", what, Change::Never("the policy cannot be read".into())),
    }
}

fn judged(verdict: Verdict, change: Change) -> Ruled {
    let Verdict { to, host, port, address, answer, matches } = verdict;
    let rule = answer.rule();
    match answer {
        Answer::Allowed(_) => {
            let resolved =
                if address.is_some() { "" } else { "; every address that it leads to is judged too" };
            let item = matches.allowed.filter(|_| rule == "network.allowed_domains").or(matches.range);
            Ruled::yes(rule, format!("{to} is let through{resolved}")).item(item)
        }
        Answer::NoDestination(error) => Ruled::no(rule, error.to_string(), change).by("egress proxy"),
        Answer::NoNetwork => Ruled::no(rule, "the policy gives no network", change),
        Answer::Port => Ruled::no(rule, format!("port {port} is not listed"), change),
        Answer::NotListed => Ruled::no(rule, format!("{host} is not in the allow-list"), change),
        Answer::OneLabel => {
            let why =
                format!("{host} is a name of one label, which means some machine of the host's own network");
            Ruled::no(rule, why, change)
        }
        Answer::Denied => Ruled::no(rule, format!("{host} is in the deny-list"), change).item(matches.denied),
        Answer::DeniedRange => {
            Ruled::no(rule, format!("{host} leads into a denied range"), change).item(matches.denied_range)
        }
        Answer::Metadata => {
            Ruled::no(rule, format!("{host} leads to a cloud metadata service"), change).by("egress proxy")
        }
        Answer::Loopback => Ruled::no(rule, format!("{host} leads to a loopback address"), change),
        Answer::Special(class) => Ruled::no(rule, format!("{host} leads to a {class} address"), change),
    }
}

/// The fewest additions under which the proxy lets the connection through: one after the other, asked again after each.
fn narrowest(network: &Network, to: &str, address: Option<IpAddr>, first: &Verdict) -> Change {
    let mut with = network.clone();
    let mut verdict = first.clone();
    // Mode, port, host, range: more obstacles there are not.
    for _ in 0..5 {
        let Verdict { to: clean, host, port, address: leads_to, answer, matches } = verdict;
        let range = |address: IpAddr| format!("{address}/{}", if address.is_ipv4() { 32 } else { 128 });
        match answer {
            Answer::Allowed(_) if with == *network => return Change::Nothing,
            Answer::Allowed(_) => return Change::Toml(additions(network, &with)),
            Answer::NoNetwork => with.mode = NetworkMode::Allowlist,
            Answer::OneLabel => {
                return Change::Other(format!("use a policy of mode `allowlist` that lists {host:?}"));
            }
            Answer::Port => with.ports.push(port),
            Answer::NotListed => match host.parse::<IpAddr>() {
                Ok(literal) => with.allowed_cidrs.push(range(literal)),
                Err(_) => with.allowed_domains.push(host),
            },
            Answer::Special(_) => match leads_to {
                Some(address) => with.allowed_cidrs.push(range(address)),
                None => return Change::Other("add the range to network.allowed_cidrs".into()),
            },
            Answer::Denied => {
                let entry = matches.denied.unwrap_or_default();
                return Change::Other(format!("take {entry:?} out of network.denied_domains"));
            }
            Answer::DeniedRange => {
                let entry = matches.denied_range.unwrap_or_default();
                return Change::Other(format!("take {entry:?} out of network.denied_cidrs"));
            }
            Answer::Metadata => {
                return Change::Never("metadata addresses are not reachable under any policy".into());
            }
            Answer::Loopback => {
                return Change::Other(format!("start the server with --allow-loopback {clean}"));
            }
            Answer::NoDestination(_) => return Change::Never("it is no destination".into()),
        }
        verdict = match question::ask(&with, to, address) {
            Ok(verdict) => verdict,
            Err(what) => return Change::Never(what),
        };
    }
    Change::Other("see network in policies/README.md".into())
}

/// The fields in which `with` differs, in the words of a policy file.
fn additions(network: &Network, with: &Network) -> String {
    let mut text = "[network]".to_owned();
    if with.mode != network.mode {
        text.push_str(&format!("\nmode = {:?}", with.mode.name()));
    }
    if with.allowed_domains != network.allowed_domains {
        text.push_str(&format!("\nallowed_domains = {:?}", with.allowed_domains));
    }
    if with.allowed_cidrs != network.allowed_cidrs {
        text.push_str(&format!("\nallowed_cidrs = {:?}", with.allowed_cidrs));
    }
    if with.ports != network.ports {
        text.push_str(&format!("\nports = {:?}", with.ports));
    }
    text
}

fn open(policy: &Policy, url: &str) -> Ruled {
    if policy.kind() == SessionKind::Browser
        && let Err(why) = may_open(url, &policy.browser)
    {
        return if policy.browser.read_only && may_open(url, &Policy::built_in("").browser).is_ok() {
            Ruled::no("browser.read_only", why, Change::Toml("[browser]\nread_only = false".into()))
        } else {
            Ruled::no("cdp.url", why, Change::Never("pages of such a scheme are opened by no policy".into()))
                .by("browser broker")
        };
    }
    let (scheme, rest) = url.split_once("://").unwrap_or((url, ""));
    let port = match scheme.to_ascii_lowercase().as_str() {
        "https" => 443,
        "http" => 80,
        _ => return Ruled::yes("cdp.url", "it needs no connection").by("browser broker"),
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let has_port = host
        .rsplit_once(':')
        .is_some_and(|(_, digits)| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()));
    connect(policy, &if has_port { host.to_owned() } else { format!("{host}:{port}") }, None)
}

fn write(policy: &Policy, path: &str) -> Ruled {
    let places = writable(policy);
    let clean = !path.split('/').any(|part| part == "..");
    let absolute = if path.starts_with('/') { path.to_owned() } else { format!("{}/{path}", places[0]) };
    let path = &absolute;
    if clean && places.iter().any(|place| is_within(path, place)) {
        return Ruled::yes("filesystem.workspace", format!("it lies in one of {}", places.join(", ")))
            .by("mounts and Landlock");
    }
    let never = format!("sessions write in {} only; everything else is read-only", places.join(", "));
    Ruled::no("filesystem.workspace", "it lies outside of the session's storage", Change::Never(never))
        .by("mounts and Landlock")
}

fn is_within(path: &str, place: &str) -> bool {
    path.strip_prefix(place).is_some_and(|rest| rest.starts_with('/'))
}

fn syscall(policies: &Policies, policy: &Policy, call: &str) -> Result<Ruled, PoliciesError> {
    let list = &policy.isolation.seccomp;
    let field = "isolation.seccomp";
    let edit = |text: String| Change::Other(format!("{text} policies/{list}, with a reason"));
    Ok(match policies.ruling(list, call)? {
        Ruling::Allowed { why } => Ruled::yes(field, why),
        Ruling::If { rules } => {
            let rules: Vec<_> = rules.iter().map(|(when, why)| format!("if {when} ({why})")).collect();
            Ruled::yes(field, rules.join("; or "))
        }
        Ruling::Refused { errno, why: Some(why) } => Ruled::no(
            field,
            format!("it fails with {errno}: {why}"),
            edit(format!("change the rule of {call} in")),
        ),
        Ruling::Refused { errno, why: None } => Ruled::no(
            field,
            format!("no rule names it, so it fails with {errno}"),
            edit(format!("allow {call} in")),
        ),
        Ruling::Never { errno, why } => {
            let never = format!("{call} is on the list of calls that no list may allow: {why}");
            Ruled::no(field, format!("it fails with {errno}: {why}"), Change::Never(never))
        }
    })
}

fn cdp(policy: &Policy, method: &str) -> Ruled {
    if policy.kind() != SessionKind::Browser {
        let other = "use a browser".to_owned();
        return Ruled::no("tier", "a code session has no browser", Change::Other(other));
    }
    let table = match Table::built_in() {
        Ok(table) => table,
        Err(what) => return Ruled::no("cdp.methods", what, Change::Never("the list cannot be read".into())),
    };
    match table.admits(method, &policy.browser) {
        Ok(()) => Ruled::yes("cdp.methods", "the method is let through; its parameters may be refused")
            .by("browser broker"),
        Err(why)
            if policy.browser.read_only && table.admits(method, &Policy::built_in("").browser).is_ok() =>
        {
            Ruled::no("browser.read_only", why, Change::Toml("[browser]\nread_only = false".into()))
        }
        Err(why) => {
            let never = "the list of methods is built into the program and the same for all".to_owned();
            Ruled::no("cdp.methods", why, Change::Never(never)).by("browser broker")
        }
    }
}

fn memory(policy: &Policy, bytes: u64) -> Ruled {
    let field = "resources.memory";
    let asked = serde_json::from_value::<Ask>(json!({ "resources": { "memory": bytes } }));
    match asked.map(|ask| policy.asked(&ask)) {
        Ok(Ok(_)) => Ruled::yes(field, "a session may have so much"),
        Ok(Err(refused)) => {
            let why = refused.into_iter().next().map(|refused| refused.message).unwrap_or_default();
            Ruled::no(field, why, Change::Toml(format!("[resources]\nmemory = {bytes}")))
        }
        Err(error) => Ruled::no(field, error.to_string(), Change::Never("it is no size".into())),
    }
}

fn timeout(policy: &Policy, span: std::time::Duration) -> Ruled {
    let field = "time.session_max";
    match life(policy, Some(span)) {
        Ok(_) => Ruled::yes(field, "a session may live so long"),
        Err(error) if span > std::time::Duration::from_secs(28_800) || span.is_zero() => {
            Ruled::no(field, error.message, Change::Never("no session lives longer than 8 hours".into()))
        }
        Err(error) => {
            let toml = format!("[time]\nsession_max = {}", span.as_secs());
            Ruled::no(field, error.message, Change::Toml(toml))
        }
    }
}

#[cfg(test)]
mod differential;
#[cfg(test)]
mod tests;
