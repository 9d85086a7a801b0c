//! The process tier: one namespaced, limited, filtered process tree per session.

use crate::browser::Browsers;
use crate::interpreter::ProcessInterpreter;
use crate::launcher::Launcher;
use crate::maker::Maker;
use crate::pool::{Pool, Sandboxes};
use crate::reconcile;
use crate::sandbox::Sandbox;
use async_trait::async_trait;
use cloister_core::backend::{Interpreter, InterpreterBackend, InterpreterSpec, StartError, Unavailable};
use cloister_core::egress::EgressFactory;
use cloister_core::policy::{Policy, StartMode, Wall};
use cloister_core::shelves::Shelves;
use cloister_jail::cgroup;
use cloister_jail::probe::Finding;
use std::collections::{HashMap, HashSet};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// A sandbox outlives its server by a minute: long enough for a restart, too short to pile up.
pub const ORPHAN: Duration = Duration::from_secs(60);

/// What the process tier needs to know.
#[derive(Clone)]
pub struct ProcessConfig {
    /// Where sandboxes have their directories: private to this server, on a local file system.
    pub state_dir: PathBuf,
    /// Where images were built (`<images_dir>/<name>/current`).
    pub images_dir: PathBuf,
    /// The jail program.
    pub jail_program: PathBuf,
    /// The shared object that zygotes load.
    pub zygote_library: PathBuf,
    /// System call filters by the name that policies use, compiled by [`cloister_jail::seccomp::compile`].
    pub filters: HashMap<String, Vec<Vec<u64>>>,
    /// Ready sandboxes per policy.
    pub pool_size: usize,
    /// How long a sandbox waits for a server that has gone, before it ends itself. [`ORPHAN`] unless there is a reason.
    pub orphan: Duration,
    /// Serves the way out of sandboxes with a network.
    pub egress: Arc<dyn EgressFactory>,
    /// Walls to treat as missing on this host, so that an operator can see, and a test can prove, what then happens.
    pub without: Vec<Wall>,
}

/// The backend.
pub struct ProcessBackend {
    pub(crate) maker: Arc<Maker>,
    pools: Shelves<Sandboxes>,
    /// Keeps other servers from taking its groups for a dead server's.
    _hold: Option<cgroup::Hold>,
    pub(crate) browsers: Browsers,
}

impl ProcessBackend {
    /// Probes the host, ends what an earlier server left in `state_dir`, starts the launcher, and prepares a pool for each policy
    /// that starts from one. To be called before the process has threads; [`Self::warm_up`] follows inside the runtime.
    pub fn new(config: ProcessConfig, policies: &[Arc<Policy>]) -> Result<Arc<Self>, Unavailable> {
        let unavailable = |what: &str, advice: &str| {
            let (what, advice) = (what.to_owned(), advice.to_owned());
            move |error: std::io::Error| Unavailable { what: format!("{what} ({error})"), advice }
        };
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&config.state_dir)
            .map_err(unavailable("the state directory cannot be created", "give a writable --data-dir"))?;
        check_private(&config.state_dir).map_err(unavailable(
            "the state directory is not private",
            "give a --data-dir that belongs to this user and that nobody else can write to",
        ))?;
        // Before the probe, which then finds the server in the place from which groups can be made.
        let groups = groups(&config.state_dir);
        let mut findings = probe(&config.jail_program).map_err(unavailable(
            "the jail program cannot be run",
            "keep cloister-jail beside the cloister binary (`make release` puts it there)",
        ))?;
        for finding in &mut findings {
            if let (true, Err(why)) = (finding.wall == Wall::Cgroup.name(), &groups) {
                finding.ok = false;
                finding.detail.clone_from(why);
            }
            if config.without.iter().any(|wall| wall.name() == finding.wall) {
                finding.ok = false;
                finding.detail = "switched off".into();
            }
        }
        let (groups, hold) = groups.ok().filter(|_| !config.without.contains(&Wall::Cgroup)).unzip();
        let launcher = Launcher::start(&config.jail_program, &config.state_dir).map_err(unavailable(
            "the launcher cannot be started",
            "keep cloister-jail beside the cloister binary",
        ))?;
        let launcher = Arc::new(launcher);
        let ended = reconcile::reconcile(&config.state_dir, groups.as_ref(), &launcher)
            .map_err(unavailable("the state directory cannot be read", "check its owner and mode"))?;
        if ended > 0 {
            tracing::info!(ended, "ended sandboxes that an earlier server had left");
        }
        let pooled = policies.iter().filter(|p| p.tier == "process" && p.start == StartMode::Pool);
        let size = config.pool_size;
        let maker = Arc::new(Maker::new(config, launcher, groups, findings));
        let stock =
            |policy: &Arc<Policy>| Sandboxes { maker: Arc::clone(&maker), policy: Arc::clone(policy) };
        let pools = Shelves::new(pooled.map(|policy| Pool::new(stock(policy), size)).collect());
        Ok(Arc::new(Self { maker, pools, browsers: Browsers::default(), _hold: hold }))
    }

    /// Starts to fill the pools. Inside the runtime.
    pub fn warm_up(&self) {
        self.pools.fill();
    }

    /// How many sandboxes are ready, over all pools.
    pub fn ready(&self) -> usize {
        self.pools.ready()
    }

    /// From now on, sandboxes are made with these system call lists, and these policies have ready ones. Ready sandboxes of a policy that
    /// is still the same, list included, stay; sessions that run are not touched. Returns the lists that are different. Inside the
    /// runtime.
    pub fn renew(
        &self,
        filters: HashMap<String, Vec<Vec<u64>>>,
        policies: &[Arc<Policy>],
    ) -> HashSet<String> {
        let changed = self.maker.renew_filters(filters);
        let size = self.maker.config.pool_size;
        let pooled = policies.iter().filter(|p| p.tier == "process" && p.start == StartMode::Pool);
        let shelf = |policy: &Arc<Policy>| {
            Pool::new(Sandboxes { maker: Arc::clone(&self.maker), policy: Arc::clone(policy) }, size)
        };
        self.pools.renew(pooled.map(shelf).collect(), |old, new| {
            old.serve(&new.policy) && !changed.contains(&old.policy.isolation.seccomp)
        });
        changed
    }

    /// What the host can build.
    pub fn findings(&self) -> &[Finding] {
        &self.maker.findings
    }

    /// Makes every sandbox without one of its walls from now on, so that a test can show what that wall holds back. Builds for debugging
    /// only: a release has no such function, and no word for it in a plan.
    #[cfg(debug_assertions)]
    pub fn leave_out(&self, wall: cloister_jail::plan::Missing) {
        let _ = self.maker.missing.set(wall);
    }

    fn take_ready(&self, policy: &Policy) -> Option<Sandbox> {
        self.pools.take(|stock| stock.serve(policy))
    }
}

/// Refuses a directory that somebody else owns or can write to: it holds the sockets and the secrets of sandboxes, and who can rename
/// things in it decides what the server connects to after a restart (CAP-07).
fn check_private(directory: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let meta = std::fs::metadata(directory)?;
    let (owner, mode) = (meta.uid(), meta.mode() & 0o777);
    if owner == nix::unistd::geteuid().as_raw() && mode & 0o022 == 0 {
        return Ok(());
    }
    let what = format!("{} belongs to user {owner} and has mode {mode:o}", directory.display());
    Err(std::io::Error::new(std::io::ErrorKind::PermissionDenied, what))
}

/// Runs the jail program's probe: it must be single-threaded, which a server is not.
fn probe(program: &Path) -> std::io::Result<Vec<Finding>> {
    let output = Command::new(program).arg("probe").env_clear().current_dir("/").output()?;
    if !output.status.success() {
        return Err(std::io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The place of this server's groups, held, and cleared of what dead servers have left beside it.
fn groups(state_dir: &Path) -> Result<(cgroup::Host, cgroup::Hold), String> {
    let find = || {
        let host = cgroup::Host::discover(&cgroup::instance(&instance(state_dir)))?;
        let hold = host.hold().map_err(|e| format!("hold the groups of this server: {e}"))?;
        Ok((host, hold))
    };
    // Once more, for a server that starts at the same time may have swept away what nobody held yet.
    let (host, hold) = find().or_else(|_: String| find())?;
    let swept = host.sweep();
    if !swept.is_empty() {
        tracing::info!(?swept, "removed cgroups of servers that have died");
    }
    Ok((host, hold))
}

/// A name for this server's cgroups that is the same after a restart: derived from its state directory (FNV-1a).
fn instance(state_dir: &Path) -> String {
    let path = state_dir.canonicalize().unwrap_or_else(|_| state_dir.to_owned());
    let bytes = path.as_os_str().as_encoded_bytes();
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

#[async_trait]
impl InterpreterBackend for ProcessBackend {
    fn name(&self) -> &'static str {
        "process"
    }

    fn probe(&self) -> Result<(), Unavailable> {
        match self.maker.findings.iter().find(|f| !f.ok && (f.wall == "seccomp" || f.wall == "landlock")) {
            None => Ok(()),
            Some(f) => {
                Err(Unavailable { what: format!("{} ({})", f.wall, f.detail), advice: f.advice.clone() })
            }
        }
    }

    async fn start(&self, spec: InterpreterSpec) -> Result<Arc<dyn Interpreter>, StartError> {
        if spec.copy_of.is_some() {
            let why = "this interpreter is on the process tier, which cannot copy a running session; use one on the wasm tier";
            return Err(StartError::NotSupported(why.into()));
        }
        while let Some(sandbox) = self.take_ready(&spec.policy) {
            match sandbox.control.set_ttl(spec.ttl).await {
                Ok(()) => return Ok(Arc::new(ProcessInterpreter::new(sandbox, spec.policy))),
                Err(error) => {
                    tracing::warn!(sandbox = %sandbox.id, %error, "a ready sandbox has died; the next one is taken");
                    sandbox.destroy().await;
                }
            }
        }
        let _waiting = self.maker.precedence.client();
        let sandbox = self.maker.make(Arc::clone(&spec.policy)).await?;
        if let Err(source) = sandbox.control.set_ttl(spec.ttl).await {
            sandbox.destroy().await;
            return Err(StartError::Step { step: "set the sandbox's life".into(), source });
        }
        Ok(Arc::new(ProcessInterpreter::new(sandbox, spec.policy)))
    }

    async fn shutdown(&self) {
        self.pools.end().await;
        let maker = Arc::clone(&self.maker);
        let ended = tokio::task::spawn_blocking(move || {
            maker.zygotes.end();
            maker.launcher.end();
            if let Some(host) = &maker.groups {
                host.remove();
            }
        });
        if let Err(error) = ended.await {
            tracing::warn!(%error, "the launcher did not end cleanly");
        }
    }
}
