//! The server's configuration file. Every field has a default; a field that is not known is an error.
//!
//! ```toml
//! [server]
//! listen = "127.0.0.1:8484"
//! allowed_hosts = ["sandbox.internal"]
//!
//! [pool]
//! size = 8
//!
//! [browsers]
//! memory_mib = 1024
//!
//! [interpreters."aws.codeinterpreter.v1"]
//! policy = "default"
//!
//! [interpreters."aws.browser.v1"]
//! policy = "browser-open"
//!
//! [secrets.SERVICE_KEY]
//! file = "/etc/cloister/service.key"
//! hosts = ["api.service.example"]
//!
//! [auth.jwt]
//! issuer = "https://id.example"
//! audience = ["cloister"]
//! jwks = "https://id.example/.well-known/jwks.json"
//! ```

mod audit;
mod quotas;

pub(crate) use audit::Audit;
pub(crate) use quotas::QuotasConfig;

use crate::egress::SecretConfig;
use cloister_gateway::{AccessMode, Role};
use cloister_process::EngineRoom;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The interpreter that every client of the AWS service knows.
pub(crate) const SYSTEM_INTERPRETER: &str = "aws.codeinterpreter.v1";
/// The browser that every client of the AWS service knows.
pub(crate) const SYSTEM_BROWSER: &str = "aws.browser.v1";
/// The address when nobody says another one.
pub(crate) const DEFAULT_LISTEN: &str = "127.0.0.1:8484";

/// The file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// The HTTP server.
    pub(crate) server: Server,
    /// Interpreters and browsers by identifier, as clients name them; which of the two one is, its policy's tier says.
    /// Others are added to `aws.codeinterpreter.v1` and `aws.browser.v1`.
    pub(crate) interpreters: BTreeMap<String, Interpreter>,
    /// The pool of ready sandboxes.
    pub(crate) pool: Pool,
    /// What browser sessions may take of the server itself.
    pub(crate) browsers: Browsers,
    /// Who is let in besides the holders of keys that were issued here.
    pub(crate) auth: Auth,
    /// Engines of the wasm tier.
    pub(crate) wasm: Wasm,
    /// Who may do what.
    pub(crate) access: Access,
    /// How much of it.
    pub(crate) quotas: QuotasConfig,
    /// What bounds every session.
    pub(crate) policy: Bounds,
    /// What bounds the sessions of some tenants besides, by the tenant's name.
    pub(crate) tenants: BTreeMap<String, Bounds>,
    /// What sessions reach outside, beside their policies.
    pub(crate) egress: Egress,
    /// Secrets that policies can lend to sessions, by name.
    pub(crate) secrets: BTreeMap<String, SecretConfig>,
    /// The audit log.
    pub(crate) audit: Audit,
}

/// `[egress]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Egress {
    /// PEM file of the authorities that the certificates of secrets' hosts and of package mirrors may come from. Default the system's.
    pub(crate) ca: Option<PathBuf>,
}

/// `[access]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Access {
    /// What becomes of a denial. Default `enforce`.
    pub(crate) mode: Mode,
}

/// A mode in the file.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mode {
    #[default]
    Enforce,
    LogOnly,
}

impl From<Mode> for AccessMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Enforce => Self::Enforce,
            Mode::LogOnly => Self::LogOnly,
        }
    }
}

/// `[auth]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Auth {
    /// An identity provider whose tokens are good.
    pub(crate) jwt: Option<JwtConfig>,
}

/// `[auth.jwt]`. `issuer`, `audience` and `jwks` are required.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct JwtConfig {
    /// The exact `iss` of its tokens.
    pub(crate) issuer: String,
    /// Audiences; a token must be for one of them.
    pub(crate) audience: Vec<String>,
    /// Its public keys, a JSON Web Key Set: an absolute path, or an https:// URL.
    pub(crate) jwks: String,
    /// PEM file of the authorities that the URL's certificate may come from. Default the system's.
    #[serde(default)]
    pub(crate) ca: Option<PathBuf>,
    /// `{ claim = "NAME" }` or `{ fixed = "TENANT" }`. Default the claim `tenant`.
    #[serde(default)]
    pub(crate) tenant: TenantConfig,
    /// The claim with the caller's name. Default `sub`.
    #[serde(default = "sub")]
    pub(crate) name_claim: String,
    /// The claim with the roles. Default `roles`.
    #[serde(default = "roles")]
    pub(crate) roles_claim: String,
    /// What the issuer's words for roles mean. Default: viewer, user and admin mean themselves.
    #[serde(default)]
    pub(crate) roles: BTreeMap<String, RoleConfig>,
}

/// Where a token's tenant comes from.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TenantConfig {
    /// From a claim.
    Claim(String),
    /// From nowhere: all are of one.
    Fixed(String),
}

impl Default for TenantConfig {
    fn default() -> Self {
        Self::Claim("tenant".into())
    }
}

/// A role in the file.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RoleConfig {
    Viewer,
    User,
    Admin,
}

impl From<RoleConfig> for Role {
    fn from(role: RoleConfig) -> Self {
        match role {
            RoleConfig::Viewer => Self::Viewer,
            RoleConfig::User => Self::User,
            RoleConfig::Admin => Self::Admin,
        }
    }
}

fn sub() -> String {
    "sub".into()
}

fn roles() -> String {
    "roles".into()
}

/// `[server]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Server {
    /// Address and port. Default `127.0.0.1:8484`; `--listen` wins.
    pub(crate) listen: Option<SocketAddr>,
    /// Names that may stand in `Host` beside the loopback ones. Stops web pages that rebind a name to this address.
    pub(crate) allowed_hosts: Vec<String>,
    /// Programs on this machine that sessions with a network may reach, as `HOST:PORT`. `--allow-loopback` adds to them.
    pub(crate) allow_loopback: Vec<String>,
    /// Which policies are interpreters under their own names, beside those that are listed.
    pub(crate) policies_by_name: ByName,
}

/// Which policies clients can choose by name.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ByName {
    /// Those that grant no more than the policy of `aws.codeinterpreter.v1` (default): a client can ask for less, never
    /// for more than somebody has decided on.
    #[default]
    Narrower,
    /// Every policy, those with a network included.
    All,
    /// None.
    None,
}

/// `[policy]` and `[tenants.NAME]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Bounds {
    /// The most that sessions may have: the name of a policy, or a file. What grants more is narrowed to it at every start.
    pub(crate) ceiling: Option<String>,
}

/// `[interpreters.ID]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Interpreter {
    /// The policy of its sessions.
    pub(crate) policy: String,
}

/// `[pool]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Pool {
    /// Ready sandboxes per policy that starts from the pool. Default 8; 0 turns the pool off.
    pub(crate) size: Option<usize>,
    /// Ready browsers per policy that starts from the pool, about 50 MB each. Default 1; 0 turns their pool off.
    pub(crate) browsers: Option<usize>,
}

/// `[browsers]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Browsers {
    /// MiB of CDP messages that the server holds for all browser sessions together: what clients send, what waits for them,
    /// pictures on their way. Default 1024, or a quarter of the machine's memory where that is less.
    pub(crate) memory_mib: Option<usize>,
    /// Of these, MiB that one session may hold. Default a quarter of them. A message takes its size two times on its way.
    pub(crate) session_memory_mib: Option<usize>,
}

impl Browsers {
    /// Bytes for all sessions, and for one, on a machine with `ram` bytes.
    pub(crate) fn limits(&self, ram: Option<usize>) -> (usize, usize) {
        let spare = ram.map_or(usize::MAX, |ram| (ram / 4).max(LEAST_MIB << 20));
        let server = self.memory_mib.map_or(spare.min(1 << 30), |mib| mib << 20);
        let session = self.session_memory_mib.map_or((server / 4).max(LEAST_MIB << 20), |mib| mib << 20);
        (server, session.min(server))
    }
}

/// Least MiB of either: a picture of a page has some.
const LEAST_MIB: usize = 16;
/// `[wasm]`: one engine process holds many sessions of one principal.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Wasm {
    /// Engines of one principal and policy. Default one per core.
    pub(crate) engines: Option<usize>,
    /// Sessions of one engine. Default 1000.
    pub(crate) sessions: Option<u32>,
    /// Mebibytes that the sessions of one engine together may have grown to. Default 4096, and no more than half of the machine has.
    pub(crate) memory_mib: Option<u64>,
    /// Cells that one engine runs at once; more wait for their turn. Default 32.
    pub(crate) cells: Option<u32>,
    /// Seconds after which a session that nobody uses is written to disk, and engines of a principal without any end. Default 600.
    pub(crate) evict_after: Option<u64>,
}

impl Wasm {
    /// With the default put in.
    pub(crate) fn evict_after(&self) -> Duration {
        Duration::from_secs(self.evict_after.unwrap_or(600))
    }

    /// With the defaults put in.
    pub(crate) fn room(&self) -> EngineRoom {
        let half = half_of_memory().unwrap_or(DEFAULT_MEMORY);
        EngineRoom {
            engines: self
                .engines
                .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)),
            sessions: self.sessions.unwrap_or(1000),
            memory: self.memory_mib.map_or(DEFAULT_MEMORY.min(half), |mib| mib << 20),
            cells: self.cells.unwrap_or(32),
        }
    }
}

/// Bytes of one engine's sessions.
const DEFAULT_MEMORY: u64 = 4 << 30;

fn half_of_memory() -> Option<u64> {
    let info = std::fs::read_to_string("/proc/meminfo").ok()?;
    let total = info.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = total.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 9)
}

/// Why a configuration is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Not TOML, or a field that does not exist or has another type.
    #[error("{path}: {source}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and what.
        source: toml::de::Error,
    },
    /// A value that cannot be meant.
    #[error("{path}: {what}")]
    Value {
        /// The file.
        path: PathBuf,
        /// The field, and what would be right.
        what: String,
    },
}

impl Config {
    /// Reads a file.
    pub(crate) fn load(path: &Path) -> Result<Self, ConfigError> {
        let read = std::fs::read_to_string(path);
        let text = read.map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let parsed = toml::from_str(text);
        let config: Self = parsed.map_err(|source| ConfigError::Parse { path: path.to_owned(), source })?;
        let value = |what: String| ConfigError::Value { path: path.to_owned(), what };
        for id in config.interpreters.keys() {
            let mut bytes = id.bytes();
            let plain = bytes.next().is_some_and(|b| b.is_ascii_alphabetic())
                && bytes.all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
            if !plain || id.len() > 100 {
                return Err(value(format!(
                    "[interpreters.{id:?}]: an identifier is a letter and then up to 99 letters, digits, '.', '_' and '-'"
                )));
            }
        }
        if let Some(jwt) = &config.auth.jwt {
            // An audience that is not asked for would let in everybody whom the issuer knows, for whatever service.
            if jwt.issuer.is_empty() || jwt.audience.is_empty() || jwt.audience.iter().any(String::is_empty) {
                return Err(value("auth.jwt: issuer and audience must not be empty".to_owned()));
            }
        }
        for (field, size) in [("size", config.pool.size), ("browsers", config.pool.browsers)] {
            if size.is_some_and(|size| size > 1024) {
                return Err(value(format!("pool.{field}: at most 1024; every ready sandbox holds memory")));
            }
        }
        let Browsers { memory_mib, session_memory_mib } = config.browsers;
        for (field, mib) in [("memory_mib", memory_mib), ("session_memory_mib", session_memory_mib)] {
            if mib.is_some_and(|mib| !(LEAST_MIB..=1 << 20).contains(&mib)) {
                return Err(value(format!("browsers.{field}: {LEAST_MIB} to {} MiB", 1 << 20)));
            }
        }
        if memory_mib.zip(session_memory_mib).is_some_and(|(all, one)| one > all) {
            return Err(value("browsers.session_memory_mib: at most browsers.memory_mib".to_owned()));
        }
        config.quotas.quotas().map_err(value)?;
        let wasm = &config.wasm;
        for (field, value, most) in [
            ("engines", wasm.engines.map(|n| n as u64), 256),
            ("sessions", wasm.sessions.map(u64::from), 4000),
            ("memory_mib", wasm.memory_mib, 1 << 20),
            ("cells", wasm.cells.map(u64::from), 128),
            ("evict_after", wasm.evict_after, 86_400),
        ] {
            if value.is_some_and(|value| value == 0 || value > most) {
                return Err(ConfigError::Value {
                    path: path.to_owned(),
                    what: format!("wasm.{field}: 1 to {most}"),
                });
            }
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(Path::new("cloister.toml"), text)
    }

    #[test]
    fn a_full_file_is_read() {
        let config = parse(
            "[server]\nlisten = '127.0.0.1:0'\nallowed_hosts = ['box.internal']\nallow_loopback = ['localhost:8000']\n[pool]\nsize = 2\n\
             [interpreters.'aws.codeinterpreter.v1']\npolicy = 'strict'\n[interpreters.my_tool-abcdefghij]\npolicy = 'open'\n",
        )
        .unwrap();
        assert_eq!(config.server.listen, Some(SocketAddr::from(([127, 0, 0, 1], 0))));
        assert_eq!(config.server.allow_loopback, ["localhost:8000"]);
        assert_eq!(config.pool.size, Some(2));
        assert_eq!(config.interpreters["my_tool-abcdefghij"].policy, "open");
    }

    #[test]
    fn an_issuer_needs_an_audience_and_its_claims_have_usual_names() {
        let least = "[auth.jwt]\nissuer = 'https://id.example'\njwks = '/jwks.json'\naudience = ";
        let jwt = parse(&format!("{least}['a']")).unwrap().auth.jwt.unwrap();
        assert_eq!((jwt.name_claim.as_str(), jwt.roles_claim.as_str()), ("sub", "roles"));
        assert!(matches!(jwt.tenant, TenantConfig::Claim(claim) if claim == "tenant"));
        let full = format!(
            "{least}['a']\nca = '/ca.pem'\ntenant = {{ fixed = 'corp' }}\nroles = {{ 'staff' = 'user' }}"
        );
        let jwt = parse(&full).unwrap().auth.jwt.unwrap();
        assert!(matches!(jwt.roles["staff"], RoleConfig::User));
        for bad in [
            "[]",
            "['']",
            "'a'",
            "['a']\nroles = { staff = 'root' }",
            "['a']\nalgorithms = ['HS256']",
            "['a']\ntenant = 'x'",
        ] {
            assert!(parse(&format!("{least}{bad}")).is_err(), "{bad}");
        }
        assert!(parse("[auth.jwt]\nissuer = 'i'\njwks = '/x'").is_err());
    }

    #[test]
    fn an_empty_file_is_the_default() {
        let config = parse("").unwrap();
        assert!(config.server.listen.is_none() && config.interpreters.is_empty());
    }

    #[test]
    fn unknown_fields_wrong_types_and_odd_identifiers_are_refused() {
        for bad in [
            "[server]\nport = 1",
            "[sever]\nlisten = '127.0.0.1:1'",
            "[server]\nlisten = 8484",
            "[server]\nlisten = 'localhost'",
            "[pool]\nsize = -1",
            "[pool]\nsize = 5000",
            "[pool]\nbrowsers = 5000",
            "[browsers]\nmemory_mib = 1",
            "[browsers]\nmemory_mib = 2000000",
            "[browsers]\nmemory_mib = 100\nsession_memory_mib = 101",
            "[interpreters.x]\npolicy = 'a'\nimage = 'b'",
            "[interpreters.x]",
            "[interpreters.'../x']\npolicy = 'a'",
            "[interpreters.'']\npolicy = 'a'",
            "[access]\nmode = 'off'",
            "[quotas.principals.ann]\nsessions = 1",
            "[policy]\ncieling = 'a'",
            "[tenants.acme]\npolicy = 'a'",
        ] {
            let error = parse(bad).unwrap_err().to_string();
            assert!(error.starts_with("cloister.toml: "), "{bad}: {error}");
        }
    }

    #[test]
    fn browsers_get_a_gibibyte_or_a_quarter_of_a_small_machine_and_a_session_a_quarter_of_that() {
        let mib = |(server, session): (usize, usize)| (server >> 20, session >> 20);
        let limits = |text: &str, ram| mib(parse(text).unwrap().browsers.limits(ram));
        assert_eq!(limits("", None), (1024, 256));
        assert_eq!(limits("", Some(2 << 30)), (512, 128));
        assert_eq!(limits("", Some(16 << 20)), (16, 16));
        assert_eq!(limits("[browsers]\nmemory_mib = 4096", Some(2 << 30)), (4096, 1024));
        assert_eq!(limits("[browsers]\nsession_memory_mib = 2048", None), (1024, 1024));
    }
}
