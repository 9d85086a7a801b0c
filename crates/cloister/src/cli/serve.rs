//! `cloister serve`: the server, from its set-up to its end.
//!
//! ```text
//!   one thread:  flock the data folder ─▶ policies ─▶ bind ─▶ backends (launcher)
//!   runtime:     reconcile ─▶ serve (SIGHUP: reload.rs) ─▶ SIGTERM ─▶ stop accepting ─▶ end sessions ─▶ exit 0
//! ```

use super::{Failure, env};
use crate::access;
use crate::audit::Records;
use crate::config::{Config, DEFAULT_LISTEN};
use crate::data_dir::{DataDir, Hold};
use crate::egress::{Loopback, LoopbackError, Mirrors, Secrets};
use crate::keys::{Credentials, First, FirstError, KeyStore, Source, first_key};
use crate::locate::Installation;
use crate::output::Output;
use crate::policies::Policies;
use crate::recordings::FileRecordings;
use crate::registry::{Registry, RegistryError, Setup};
use crate::reload::Reloader;
use crate::served::{Served, ServedError};
use crate::store_sqlite::SqliteStore;
use crate::telemetry::{self, LogFormat};
use crate::tls;
use cloister_access::Cedar;
use cloister_core::audit::Audit as _;
use cloister_core::quota::Quotas;
use cloister_core::session::{Interpreters, ManagerConfig, SessionManager};
use cloister_gateway::{Auth, Gateway, GatewayConfig};
use serde_json::json;
use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio_rustls::rustls;

/// Ready sandboxes per policy when nobody says another number.
const POOL: usize = 8;
/// Open files below which sandboxes do not come up (their programs move descriptors to 64 and above) and clients are locked out.
const LEAST_OPEN_FILES: u64 = 256;
/// Between two clean-ups of old records.
const PRUNE: Duration = Duration::from_secs(3600);

/// Arguments of `cloister serve`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Address and port; port 0 lets the kernel choose [default: 127.0.0.1:8484]
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Also serve TLS there, with a certificate of the server's own authority (`cloister ca`)
    #[arg(long, value_name = "ADDR")]
    tls_listen: Option<SocketAddr>,
    /// Folder for secrets, records and sandboxes [default: ~/.local/share/cloister]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Configuration file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder of built images [default: beside the program, else ~/.cache/cloister/images]
    #[arg(long, value_name = "DIR", env = "CLOISTER_IMAGES")]
    images: Option<PathBuf>,
    /// Folder of policies that is laid over the built-in ones
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    /// Ready sandboxes per policy; 0 turns the pool off [default: 8]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=1024))]
    pool: Option<u16>,
    /// Ready browsers per policy, about 50 MB each; 0 turns their pool off [default: 1, or 0 with --pool 0]
    #[arg(long, value_name = "N")]
    browser_pool: Option<u16>,
    /// Let sessions whose policy gives a network reach a program on this machine's loopback; may be given several times
    #[arg(long, value_name = "HOST:PORT")]
    allow_loopback: Vec<String>,
    /// Form of log lines
    #[arg(long, value_enum, default_value_t)]
    log_format: LogFormat,
    /// Answer everybody who can connect, without any key; on loopback only
    #[arg(long)]
    no_auth: bool,
    /// Listen on an address that other machines reach, without TLS: keys and data cross the network unprotected
    #[arg(long)]
    unsafe_listen: bool,
}

/// Everything that was decided before the runtime exists.
struct Prepared {
    data: DataDir,
    hold: Hold,
    listener: TcpListener,
    tls: Option<TlsDoor>,
    url: String,
    registry: Registry,
    quotas: Quotas,
    served: Served,
    cedar: Arc<Cedar>,
    /// Where policies are read from again.
    sources: Sources,
    gateway: GatewayConfig,
    /// The configured identity provider.
    issuer: Option<Source>,
    /// The first key, if this is the first start.
    made: Option<Credentials>,
    records: Records,
}

/// What `Reloader` reads.
struct Sources {
    config: Option<PathBuf>,
    policies: Option<PathBuf>,
    installation: Installation,
}

/// The TLS door, before there is a runtime.
struct TlsDoor {
    listener: TcpListener,
    config: Arc<rustls::ServerConfig>,
    url: String,
}

impl TlsDoor {
    fn open(data: &DataDir, listen: SocketAddr, allowed_hosts: &[String]) -> Result<Self, Failure> {
        let listener = bind(listen, "--tls-listen")?;
        let address = listener.local_addr()?;
        let config = data.authority()?.server(tls::names(address, allowed_hosts))?;
        Ok(Self { listener, config, url: format!("https://{}:{}", tls::NAME, address.port()) })
    }
}

pub(crate) fn run(args: Args, out: Output) -> Result<(), Failure> {
    telemetry::init(args.log_format);
    // Whatever this server writes is its own business.
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
    let open_files = raise_open_files()?;
    let prepared = prepare(&args, open_files)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(serve(prepared, args.data_dir.as_deref(), out));
    // Blocking work that hangs must not keep a drained server alive.
    runtime.shutdown_timeout(Duration::from_secs(2));
    outcome
}

/// The set-up, in one thread. The data folder is locked first: nothing else may be touched without it.
fn prepare(args: &Args, open_files: u64) -> Result<Prepared, Failure> {
    let config = args.config.as_deref().map(Config::load).transpose()?.unwrap_or_default();
    let listen = args.listen.or(config.server.listen).map_or_else(|| parse(DEFAULT_LISTEN), Ok)?;
    check_listen(listen, args.unsafe_listen)?;
    check_open(args.no_auth, [Some(listen), args.tls_listen])?;

    let data = DataDir::open(&super::data_dir(args.data_dir.clone())?)?;
    let hold = data.hold()?;
    // A state that a server left behind names a process that is another one by now.
    data.forget_policies()?;
    let installation = Installation::current()?;
    let policies = Policies::find(args.policies.as_deref(), &installation)?;
    let served = Served::of(&config, &policies)?;
    let targets: Vec<_> = config.server.allow_loopback.iter().chain(&args.allow_loopback).cloned().collect();
    let loopback = Loopback::resolve(&targets)?;
    let records = Records::open(&data, &config.audit)?;
    let secrets = Secrets::open(&config.secrets, config.egress.ca.as_deref(), &served.interpreters)?;

    let listener = bind(listen, "--listen")?;
    let address = listener.local_addr()?;
    loopback.check_listener(address)?;
    let tls = args.tls_listen.map(|listen| TlsDoor::open(&data, listen, &config.server.allowed_hosts));
    let tls = tls.transpose()?;
    let tls_address = tls.as_ref().map(|door| door.listener.local_addr()).transpose()?;
    tls_address.map_or(Ok(()), |address| loopback.check_listener(address))?;
    let url = env::url(address);

    let pool_size = args.pool.map(usize::from).or(config.pool.size).unwrap_or(POOL);
    let browser_pool =
        args.browser_pool.map(usize::from).or(config.pool.browsers).unwrap_or(usize::from(pool_size > 0));
    let registry = Registry::build(Setup {
        installation: &installation,
        policies: &policies,
        pooled: &served.pooled,
        served: served.policies(),
        images_dir: args.images.clone().map_or_else(|| installation.images(), Ok)?,
        state_dir: data.sandboxes(),
        pool_size,
        browser_pool,
        browser_memory: config.browsers.limits(ram()),
        room: config.wasm.room(),
        evict_after: config.wasm.evict_after(),
        workshop_dir: installation.made().unwrap_or_else(|| data.engines()),
        recordings: FileRecordings::new(data.recordings()),
        loopback,
        secrets,
        mirrors: Mirrors::open(config.egress.ca.as_deref(), &served.interpreters)?,
        desk: Arc::clone(&records.desk),
    })?;

    let mut gateway = GatewayConfig::new(data.cursor_key()?);
    let cedar = Arc::new(access::open(args.policies.as_deref(), &installation)?);
    gateway.access = access::access(&cedar, config.access.mode.into());
    let beyond = [Some(address), tls_address].into_iter().flatten().filter(|a| !a.ip().is_loopback());
    let beyond: Vec<_> = beyond.map(|address| address.ip().to_string()).collect();
    let mut made = None;
    if !args.no_auth {
        let keys = KeyStore::open(&data)?;
        match first_key(&data, &keys, |event| Ok(records.log.record(event).map(drop)?)) {
            Ok(First::Made(credentials)) => made = Some(credentials),
            Ok(First::Known(_)) => {}
            // Other keys may be good; who needs this one is told when asking for it.
            Err(error @ (FirstError::Moved | FirstError::Ended | FirstError::Damaged)) => {
                tracing::info!(%error, "no default key");
            }
            Err(error @ (FirstError::Keys(_) | FirstError::Record(_))) => return Err(error.into()),
        }
        gateway.auth = Auth::On(Arc::new(keys));
    }
    let issuer = config.auth.jwt.as_ref().filter(|_| !args.no_auth).map(Source::open).transpose()?;
    gateway.issuer = issuer.as_ref().map(Source::issuer);
    gateway.allowed_hosts = config.server.allowed_hosts;
    gateway.allowed_hosts.extend(beyond);
    if let Some(address) = tls_address {
        gateway.allowed_hosts.push(tls::NAME.to_owned());
        gateway.tls_port = Some(address.port());
    }
    gateway.public_url.clone_from(&url);
    gateway.connections = connections(open_files).min(gateway.connections);
    let quotas = config.quotas.quotas().map_err(Failure::new)?;
    let (config, policies) = (args.config.clone(), args.policies.clone());
    let sources = Sources { config, policies, installation };
    Ok(Prepared {
        data,
        hold,
        listener,
        tls,
        url,
        registry,
        quotas,
        served,
        cedar,
        sources,
        gateway,
        issuer,
        made,
        records,
    })
}

fn bind(address: SocketAddr, flag: &str) -> Result<TcpListener, Failure> {
    let listener = TcpListener::bind(address).map_err(|error| {
        Failure::new(format!(
            "{address}: {error}; choose another address with {flag} (port 0 is any free port)"
        ))
    })?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// The server's life. Returns when it has drained.
async fn serve(prepared: Prepared, data_dir: Option<&Path>, out: Output) -> Result<(), Failure> {
    let Prepared {
        data,
        hold,
        listener,
        tls,
        url,
        registry,
        quotas,
        served,
        cedar,
        sources,
        gateway,
        issuer,
        made,
        records,
    } = prepared;
    let stop = stop_signal()?;
    let hang_up = signal(SignalKind::hangup())?;
    let registry = Arc::new(registry);
    let store = SqliteStore::open(&data.database()).map_err(|error| Failure::new(error.to_string()))?;
    registry.enter(tokio::runtime::Handle::current());
    let manager = SessionManager::new(
        registry.backends(),
        Arc::new(store),
        Interpreters::default(),
        ManagerConfig { quotas, ..ManagerConfig::default() },
    );
    manager.interpreters().replace_all(served.interpreters.clone(), served.tenants.clone());
    let writing = records.begin(served.digest(&cedar)).await?;
    let lost = manager.reconcile().await.map_err(|error| Failure::new(error.to_string()))?;
    if !lost.is_empty() {
        tracing::warn!(
            sessions = lost.len(),
            "sessions of an earlier server did not end in order and are marked as lost"
        );
    }
    let pruning = tokio::spawn(prune(Arc::clone(&manager)));

    let listener = tokio::net::TcpListener::from_std(listener)?;
    let mut doors = tokio::task::JoinSet::new();
    let Sources { config, policies, installation } = sources;
    let reloader =
        Reloader { config, policies, installation, registry, manager: Arc::clone(&manager), served, cedar };
    doors.spawn(reloader.follow(data.clone(), hang_up));
    if let Some(issuer) = issuer {
        doors.spawn(issuer.follow());
    }
    if let Some(TlsDoor { listener: outer, config, url: door }) = tls {
        let (plain, outer) = (env::reach(listener.local_addr()?), tokio::net::TcpListener::from_std(outer)?);
        doors.spawn(tls::serve(outer, config, plain, gateway.connections, gateway.relayed.clone()));
        data.publish_tls(&door)?;
        tracing::info!(url = door, "the TLS door is open");
    }
    data.publish_endpoint(&url)?;
    announce(&url, data_dir, made.as_ref(), out)?;
    cloister_gateway::serve(listener, Gateway::new(Arc::clone(&manager), gateway), stop).await?;
    pruning.abort();
    drop(doors);
    manager.drain().await;
    records.end(&writing).await?;
    drop(hold);
    tracing::info!("stopped");
    Ok(())
}

/// Resolves at the first SIGTERM or SIGINT; at the second one the process ends at once.
fn stop_signal() -> Result<impl Future<Output = ()> + Send, Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (tell, told) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let mut tell = Some(tell);
        loop {
            let code = tokio::select! {
                _ = terminate.recv() => 143,
                _ = interrupt.recv() => 130,
            };
            match tell.take() {
                Some(tell) => {
                    tracing::info!("stopping: sessions are ended; a second signal ends the server at once");
                    let _ = tell.send(());
                }
                // The launcher and the sandboxes notice that their server is gone.
                None => std::process::exit(code),
            }
        }
    });
    Ok(async move {
        let _ = told.await;
    })
}

async fn prune(manager: Arc<SessionManager>) {
    loop {
        match manager.prune().await {
            Ok(0) => {}
            Ok(records) => tracing::info!(records, "dropped records of sessions that ended long ago"),
            Err(error) => tracing::warn!(%error, "old records could not be dropped"),
        }
        tokio::time::sleep(PRUNE).await;
    }
}

/// One line that says where the server is and how to use it; at the first start, also the key that was made.
fn announce(
    url: &str,
    data_dir: Option<&Path>,
    made: Option<&Credentials>,
    out: Output,
) -> Result<(), Failure> {
    let command = match data_dir {
        Some(folder) => format!("cloister env --data-dir {}", env::quote(&folder.display().to_string())),
        None => "cloister env".to_owned(),
    };
    if out.is_json() {
        return Ok(out.json(&json!({ "url": url, "env": command, "key": made }))?);
    }
    let mut text = format!("cloister listens on {url} — point clients at it with: eval \"$({command})\"");
    if let Some(Credentials { access_key_id, secret_access_key, token }) = made {
        text.push_str(&format!(
            "\nfirst start: a key was made, and is shown this once (it also lies in the data folder, for your user only)\n  \
             access key id      {access_key_id}\n  secret access key  {secret_access_key}\n  bearer token       {token}"
        ));
    }
    Ok(out.line(&text)?)
}

fn parse(text: &str) -> Result<SocketAddr, Failure> {
    text.parse().map_err(|error| Failure::new(format!("{text}: {error}")))
}

/// Whoever reaches the port runs code here. On loopback that is this machine's users; elsewhere it is the network.
fn check_listen(address: SocketAddr, unsafe_listen: bool) -> Result<(), Failure> {
    if address.ip().is_loopback() || unsafe_listen {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "{address} is reachable from other machines, and this server speaks plain HTTP: keys and everything that \
         sessions read and write would cross the network unprotected. Listen on 127.0.0.1 and put a proxy with TLS in \
         front, or say --unsafe-listen if the network is yours"
    )))
}

/// A server that asks for no key is for this machine only, whatever else is said.
fn check_open(no_auth: bool, addresses: [Option<SocketAddr>; 2]) -> Result<(), Failure> {
    let beyond = addresses.into_iter().flatten().find(|address| !address.ip().is_loopback());
    match beyond {
        Some(address) if no_auth => Err(Failure::usage(format!(
            "--no-auth is for loopback only: whoever reaches {address} would run code here; leave it out, and issue keys with \
             `cloister token create`"
        ))),
        _ => Ok(()),
    }
}

/// The machine's memory in bytes, where the kernel says it.
fn ram() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    total.trim().trim_end_matches("kB").trim().parse::<usize>().ok()?.checked_mul(1024)
}

/// Sessions cost several descriptors each; the usual soft limit of 1024 is for programs that use select(2). Returns the limit, which
/// every sandbox inherits.
fn raise_open_files() -> Result<u64, Failure> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(std::io::Error::from)?;
    if hard < LEAST_OPEN_FILES {
        return Err(Failure::new(format!(
            "the hard limit of open files is {hard}, and the server and its sandboxes need {LEAST_OPEN_FILES} at the very least; \
             raise it (`ulimit -Hn 65536`, or LimitNOFILE= of a systemd unit)"
        )));
    }
    if soft >= hard {
        return Ok(soft);
    }
    match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => Ok(hard),
        Err(error) => {
            tracing::warn!(%error, soft, hard, "the limit of open files could not be raised");
            Ok(soft)
        }
    }
}

/// Connections at once: a quarter of the descriptors, so that idle clients cannot keep sessions from starting.
fn connections(open_files: u64) -> usize {
    usize::try_from(open_files / 4).unwrap_or(usize::MAX)
}

impl From<LoopbackError> for Failure {
    fn from(error: LoopbackError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<ServedError> for Failure {
    fn from(error: ServedError) -> Self {
        Self::new(error.to_string())
    }
}

impl From<RegistryError> for Failure {
    fn from(error: RegistryError) -> Self {
        Self::new(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_listened_on_without_the_unsafe_flag() {
        for good in ["127.0.0.1:8484", "127.8.8.8:0", "[::1]:1"] {
            assert!(check_listen(good.parse().unwrap(), false).is_ok(), "{good}");
        }
        for bad in ["0.0.0.0:8484", "[::]:8484", "192.168.1.2:80", "[::ffff:127.0.0.1]:80"] {
            let failure = check_listen(bad.parse().unwrap(), false).unwrap_err();
            assert!(failure.message.contains("--unsafe-listen"), "{}", failure.message);
            assert!(check_listen(bad.parse().unwrap(), true).is_ok(), "{bad}");
        }
    }

    #[test]
    fn a_server_without_keys_is_for_loopback_only() {
        let at = |address: &str| Some(address.parse().unwrap());
        assert!(check_open(true, [at("127.0.0.1:1"), at("[::1]:2")]).is_ok());
        assert!(check_open(true, [at("127.0.0.1:1"), at("0.0.0.0:2")]).is_err());
        assert!(check_open(true, [at("192.168.1.2:1"), None]).is_err());
        assert!(check_open(false, [at("192.168.1.2:1"), at("0.0.0.0:2")]).is_ok());
    }
}
