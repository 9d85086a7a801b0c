//! Secrets that sessions may use without seeing them: a placeholder inside, the value on the way to the hosts that it is bound to.
//!
//! ```text
//!   [secrets.NAME] file, hosts ──▶ Secrets ──policy.secrets──▶ Lent (one sandbox) ──provisions──▶ NAME=cloister-secret-NAME-…
//!                                                                 │
//!   guest ──CONNECT bound host──▶ intercept.rs: TLS ends here ──▶ substitute.rs: headers ──▶ TLS to the host, verified
//!                                                    guest ◀── scrub.rs: no value comes back ◀──┘
//! ```
//!
//! The value is read from its file whenever it is used, so that a change or a removal counts from the next request on
//! (docs/adr/0017-secrets-by-placeholder.md).

mod intercept;
mod mint;
mod question;
mod redact;
mod scrub;
mod substitute;
#[cfg(test)]
mod tests;

pub(crate) use intercept::serve;
pub(crate) use substitute::mentions_placeholder;

use super::host::{Host, parse_name};
use super::rules::Pattern;
use crate::tls::{TlsError, client_config};
use cloister_core::egress::LentSecret;
use cloister_core::lock::lock;
use cloister_core::policy::{NetworkMode, Policy};
use mint::Mint;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tokio_rustls::rustls::ClientConfig;

/// The beginning of every placeholder.
const PREFIX: &str = "cloister-secret-";
/// Fewest bytes of a value: a shorter one could not be told from what answers say anyway.
const SHORTEST: usize = 8;
/// Most bytes of a value: more does not fit into a request's head.
const LONGEST: u64 = 8 * 1024;
/// Values of one secret that are kept out of answers: the present one and those before it.
const REMEMBERED: usize = 4;
/// Variables that a session cannot do without, which a placeholder must not replace.
const TAKEN: [&str; 8] = ["HOME", "LANG", "LOGNAME", "PATH", "PWD", "TERM", "TMPDIR", "USER"];

/// `[secrets.NAME]` of the server's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SecretConfig {
    /// A file that holds the value and nothing else; a line end after it is not part of it.
    file: Option<PathBuf>,
    /// A variable of the server's own environment, instead of a file.
    env: Option<String>,
    /// Where the value may go: `api.example.com`, `*.example.com`, or an address.
    hosts: Vec<String>,
    /// `placeholder` (default): wherever a header has the placeholder. Otherwise the name of a header that every request gets.
    #[serde(default = "placeholder")]
    inject: String,
    /// What stands before the value in that header, such as `Bearer `.
    #[serde(default)]
    prefix: String,
}

fn placeholder() -> String {
    "placeholder".into()
}

/// Why secrets cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretsError {
    /// The configuration.
    #[error("[secrets.{name}]: {what}")]
    Config {
        /// Which.
        name: String,
        /// What would be right.
        what: String,
    },
    /// A policy.
    #[error("policy {policy}: secrets: {what}")]
    Policy {
        /// Which.
        policy: String,
        /// What is wrong and what to do.
        what: String,
    },
    /// The authority, or what the hosts' certificates are checked against.
    #[error("secrets: {0}")]
    Tls(#[from] TlsError),
    /// The same.
    #[error("egress.ca: {0}")]
    Authorities(String),
    /// No randomness.
    #[error("secrets: no random bytes: {0}")]
    Random(getrandom::Error),
}

/// A value. Its text is in no log and no error.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Value(String);

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Value(…)")
    }
}

#[derive(Debug)]
enum Source {
    File(PathBuf),
    Variable(Value),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Inject {
    Placeholder,
    Header { name: String, prefix: String },
}

#[derive(Debug)]
enum Place {
    Name(Pattern),
    Address(IpAddr),
}

impl Place {
    fn covers(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Name(pattern), Host::Name(name)) => pattern.matches(name),
            (Self::Address(address), Host::Address(asked)) => address == asked,
            _ => false,
        }
    }
}

/// One secret.
#[derive(Debug)]
pub(crate) struct Secret {
    name: String,
    placeholder: String,
    source: Source,
    hosts: Vec<Place>,
    /// The same as they were written.
    listed: Vec<String>,
    inject: Inject,
    seen: Mutex<Vec<Value>>,
}

impl Secret {
    fn open(name: &str, config: &SecretConfig, random: &str) -> Result<Self, String> {
        let SecretConfig { file, env, hosts, inject, prefix } = config;
        if !cloister_core::policy::is_secret_name(name)
            || TAKEN.contains(&name)
            || name.ends_with("_PROXY")
            || name.starts_with("LD_")
        {
            return Err(
                "a name is a variable in capital letters, digits and `_`, and none of the session's own"
                    .into(),
            );
        }
        let source = match (file, env) {
            (Some(file), None) if file.is_absolute() => Source::File(file.clone()),
            (None, Some(variable)) => {
                let value = std::env::var(variable)
                    .map_err(|_| format!("env: the server has no variable {variable}"))?;
                Source::Variable(checked(value.as_bytes())?)
            }
            _ => return Err("give either file, an absolute path, or env, a variable of the server".into()),
        };
        let header = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        let inject = match inject.to_ascii_lowercase().as_str() {
            "placeholder" if prefix.is_empty() => Inject::Placeholder,
            "placeholder" => return Err("prefix goes with a header in inject".into()),
            // These would change where the request goes or where it ends.
            "host" | "connection" | "content-length" | "transfer-encoding" => {
                return Err("inject: this is the proxy's own header".into());
            }
            name if !name.is_empty()
                && name.bytes().all(header)
                && prefix.bytes().all(|b| (0x20..0x7f).contains(&b)) =>
            {
                Inject::Header { name: name.to_owned(), prefix: prefix.clone() }
            }
            _ => return Err("inject: write \"placeholder\" or the name of a header".into()),
        };
        if hosts.is_empty() {
            return Err("hosts: name at least one; a value without a host could go nowhere".into());
        }
        let secret = Self {
            name: name.to_owned(),
            placeholder: format!("{PREFIX}{name}-{random}"),
            source,
            hosts: hosts.iter().map(|text| place(text)).collect::<Result<_, _>>()?,
            listed: hosts.clone(),
            inject,
            seen: Mutex::default(),
        };
        // A secret that cannot be read is found at the start and not by the session that needs it.
        secret.value().map_err(|what| format!("{what}: {}", secret.origin()))?;
        Ok(secret)
    }

    fn origin(&self) -> String {
        match &self.source {
            Source::File(path) => path.display().to_string(),
            Source::Variable(_) => "its variable".into(),
        }
    }

    fn goes_to(&self, host: &Host) -> bool {
        self.hosts.iter().any(|place| place.covers(host))
    }

    /// The value as it is now. The error says what is wrong, without place or value.
    fn value(&self) -> Result<Value, String> {
        let value = match &self.source {
            Source::Variable(value) => value.clone(),
            Source::File(path) => {
                use std::io::Read as _;
                let mut bytes = Vec::new();
                let file = std::fs::File::open(path);
                let read = file.and_then(|file| file.take(LONGEST + 2).read_to_end(&mut bytes));
                read.map_err(|error| format!("the value cannot be read ({})", error.kind()))?;
                checked(&bytes)?
            }
        };
        let mut seen = lock(&self.seen);
        if !seen.contains(&value) {
            if seen.len() == REMEMBERED {
                seen.remove(0);
            }
            seen.push(value.clone());
        }
        Ok(value)
    }
}

/// A value from its bytes: printable, so that no header can be broken out of, and long enough to be recognised.
fn checked(bytes: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "the value is not text".to_owned())?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.len() < SHORTEST || text.len() as u64 > LONGEST {
        return Err(format!("the value has to have {SHORTEST} to {LONGEST} bytes"));
    }
    if !text.bytes().all(|b| (0x21..0x7f).contains(&b)) {
        return Err("the value may hold printable ASCII only, and no blanks".into());
    }
    Ok(Value(text.to_owned()))
}

fn place(text: &str) -> Result<Place, String> {
    let bad = || {
        format!(
            "hosts: {text:?} is no host: write api.example.com, *.example.com or an address, without a port"
        )
    };
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(Place::Address(address));
    }
    let name = text.strip_prefix("*.").unwrap_or(text);
    match parse_name(name) {
        Ok(Host::Name(_)) => Pattern::parse("hosts", text).map(Place::Name).map_err(|_| bad()),
        _ => Err(bad()),
    }
}

/// All secrets of the server.
pub(crate) struct Secrets {
    all: BTreeMap<String, Arc<Secret>>,
    /// There, if there are secrets.
    ways: Option<Ways>,
}

/// How bound hosts are spoken for and spoken to.
#[derive(Clone)]
struct Ways {
    mint: Arc<Mint>,
    client: Arc<ClientConfig>,
}

impl Secrets {
    /// The secrets of a configuration, of which each is read once, for interpreters with these policies.
    pub(crate) fn open(
        configs: &BTreeMap<String, SecretConfig>,
        authorities: Option<&Path>,
        interpreters: &[(String, Arc<Policy>)],
    ) -> Result<Self, SecretsError> {
        let mut all = BTreeMap::new();
        for (name, config) in configs {
            let error = |what| SecretsError::Config { name: name.clone(), what };
            let mut random = [0; 12];
            getrandom::fill(&mut random).map_err(SecretsError::Random)?;
            let random: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
            all.insert(name.clone(), Arc::new(Secret::open(name, config, &random).map_err(error)?));
        }
        let ways = if all.is_empty() {
            None
        } else {
            let client = client_config(authorities).map_err(SecretsError::Authorities)?;
            let mint = Mint::new(all.values().flat_map(|secret| &secret.hosts))?;
            Some(Ways { mint: Arc::new(mint), client: Arc::new(client) })
        };
        let secrets = Self { all, ways };
        interpreters.iter().try_for_each(|(_, policy)| secrets.check(policy))?;
        Ok(secrets)
    }

    /// Whether a policy can be kept: its secrets exist, and its sessions are such that can use them.
    pub(crate) fn check(&self, policy: &Policy) -> Result<(), SecretsError> {
        let error = |what: String| Err(SecretsError::Policy { policy: policy.name.clone(), what });
        if policy.secrets.is_empty() {
            return Ok(());
        }
        if policy.tier != "process" {
            return error(format!("sessions of the tier `{}` cannot use any; remove the field", policy.tier));
        }
        if policy.network.mode == NetworkMode::None {
            return error(
                "without a network nothing can be sent; set network.mode or remove the field".into(),
            );
        }
        match policy.secrets.iter().find(|name| *name != "*" && !self.all.contains_key(*name)) {
            Some(name) => error(format!("{name} is not in the server's configuration; add [secrets.{name}]")),
            None => Ok(()),
        }
    }

    /// What a policy lends to its sessions; `None` if that is nothing.
    pub(crate) fn lend(&self, policy: &Policy) -> Option<Lent> {
        let named = |name: &str| policy.secrets.iter().any(|listed| listed == "*" || listed == name);
        let secrets: Vec<_> =
            self.all.iter().filter(|(name, _)| named(name)).map(|(_, secret)| Arc::clone(secret)).collect();
        let ways =
            self.ways.clone().filter(|_| !secrets.is_empty() && policy.network.mode != NetworkMode::None)?;
        Some(Lent { secrets, ways, known: redact::Known::default() })
    }
}

/// The secrets that one sandbox may use.
pub(crate) struct Lent {
    secrets: Vec<Arc<Secret>>,
    ways: Ways,
    /// Values that its sessions must not say.
    known: redact::Known,
}

impl Lent {
    /// Names and placeholders, for the environment.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        self.secrets.iter().map(|secret| (secret.name.clone(), secret.placeholder.clone())).collect()
    }

    /// What a session may know of them.
    pub(crate) fn describe(&self) -> Vec<LentSecret> {
        let header = |secret: &Secret| match &secret.inject {
            Inject::Header { name, .. } => Some(name.clone()),
            Inject::Placeholder => None,
        };
        let describe = |secret: &Arc<Secret>| LentSecret {
            name: secret.name.clone(),
            hosts: secret.listed.clone(),
            header: header(secret),
        };
        self.secrets.iter().map(describe).collect()
    }

    /// The certificate of the authority that speaks for bound hosts.
    pub(crate) fn trust(&self) -> &str {
        self.ways.mint.pem()
    }

    /// Whether connections to this host are opened here.
    pub(crate) fn binds(&self, host: &Host) -> bool {
        self.secrets.iter().any(|secret| secret.goes_to(host))
    }

    fn bound_to(&self, host: &Host) -> Vec<&Secret> {
        self.secrets.iter().map(Arc::as_ref).filter(|secret| secret.goes_to(host)).collect()
    }

    /// Every value that may come back in an answer of `host`.
    fn known(&self, host: &Host) -> Vec<Value> {
        self.bound_to(host).iter().flat_map(|secret| lock(&secret.seen).clone()).collect()
    }
}
