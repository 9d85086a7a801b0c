//! The isolation tiers of this server: one line per backend. Another tier is added here and nowhere else.

use crate::egress::{EgressProxy, Loopback, Mirrors, Secrets};
use crate::locate::{Installation, Missing};
use crate::policies::{Policies, PoliciesError};
use crate::recordings::FileRecordings;
use crate::served::Served;
use cloister_browser::{BrowserConfig, ChromiumBackend};
use cloister_core::Principal;
use cloister_core::audit::Desk;
use cloister_core::backend::Unavailable;
use cloister_core::browser::BrowserHost;
use cloister_core::egress::EgressFactory;
use cloister_core::policy::Policy;
use cloister_core::session::{Backends, SessionKind};
use cloister_process::{EngineRoom, ProcessBackend, ProcessConfig, WasmBackend, WasmConfig, Workshop};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::runtime::Handle;

/// What backends are built from.
pub(crate) struct Setup<'a> {
    pub(crate) installation: &'a Installation,
    pub(crate) policies: &'a Policies,
    /// Policies whose sandboxes are kept ready.
    pub(crate) pooled: &'a [Arc<Policy>],
    /// Policies that clients can choose.
    pub(crate) served: Vec<Arc<Policy>>,
    pub(crate) images_dir: PathBuf,
    pub(crate) state_dir: PathBuf,
    pub(crate) pool_size: usize,
    /// Ready browsers per policy.
    pub(crate) browser_pool: usize,
    /// Bytes of CDP messages: for all browser sessions, and for one.
    pub(crate) browser_memory: (usize, usize),
    /// What engines of the wasm tier may hold.
    pub(crate) room: EngineRoom,
    /// Idle for so long, their sessions are written to disk.
    pub(crate) evict_after: std::time::Duration,
    /// Where their roots are made and kept.
    pub(crate) workshop_dir: PathBuf,
    /// Where browser sessions are recorded.
    pub(crate) recordings: FileRecordings,
    /// Targets on this machine that sessions with a network may reach.
    pub(crate) loopback: Loopback,
    /// Where policies get packages from.
    pub(crate) mirrors: Mirrors,
    /// What policies may lend to sessions.
    pub(crate) secrets: Secrets,
    /// Where events and denials go.
    pub(crate) desk: Arc<Desk>,
}

/// Why there are no backends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistryError {
    /// A file of the installation.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// A system call list.
    #[error(transparent)]
    Policies(#[from] PoliciesError),
    /// The host.
    #[error("{0}\n`cloister doctor` shows every wall")]
    Unavailable(#[from] Unavailable),
    /// The list of CDP methods.
    #[error("the policy of CDP methods: {0}")]
    Cdp(String),
}

/// The backends, and what has to be told once there is a runtime.
pub(crate) struct Registry {
    process: Arc<ProcessBackend>,
    wasm: Arc<WasmBackend>,
    /// Policies of the wasm tier whose engines are started ahead of the first session.
    ahead: Vec<Arc<Policy>>,
    served: Vec<Arc<Policy>>,
    browsers: Arc<ChromiumBackend>,
    egress: Arc<EgressProxy>,
    recordings: Arc<FileRecordings>,
    desk: Arc<Desk>,
}

impl Registry {
    /// Builds every backend. Call while the process has one thread: backends start their launchers here.
    pub(crate) fn build(setup: Setup<'_>) -> Result<Self, RegistryError> {
        let egress =
            Arc::new(EgressProxy::new(setup.loopback, setup.secrets, setup.mirrors, Arc::clone(&setup.desk)));
        let config = ProcessConfig {
            state_dir: setup.state_dir,
            images_dir: setup.images_dir,
            jail_program: setup.installation.jail_program()?,
            zygote_library: setup.installation.zygote_library()?,
            filters: setup.policies.filters()?,
            pool_size: setup.pool_size,
            egress: Arc::clone(&egress) as Arc<dyn EgressFactory>,
            orphan: cloister_process::ORPHAN,
            without: Vec::new(),
        };
        let (browsing, coding): (Vec<_>, Vec<_>) =
            setup.pooled.iter().cloned().partition(|policy| policy.kind() == SessionKind::Browser);
        let process = ProcessBackend::new(config, &coding)?;
        // Without it, sessions of the wasm tier do not start and say so; the others do.
        let engine = setup
            .installation
            .engine_program()
            .unwrap_or_else(|_| PathBuf::from("/nonexistent/cloister-wasm"));
        let workshop = Workshop::new(setup.workshop_dir, engine);
        let wasm = WasmConfig {
            workshop: Arc::new(workshop),
            room: setup.room,
            pool_size: setup.pool_size,
            evict_after: setup.evict_after,
        };
        let wasm = WasmBackend::new(Arc::clone(&process), wasm);
        // A host without the image or the walls for browsers still runs code: starts of browsers say what is missing.
        let host = Arc::clone(&process) as Arc<dyn BrowserHost>;
        let (memory, session_memory) = setup.browser_memory;
        let pool_size = setup.browser_pool;
        let desk = Some(Arc::clone(&setup.desk));
        let config = BrowserConfig { pool_size, memory, session_memory, desk, ..BrowserConfig::default() };
        let browsers = ChromiumBackend::new(host, config, &browsing).map_err(RegistryError::Cdp)?;
        Ok(Self {
            process,
            wasm,
            ahead: coding,
            served: setup.served,
            browsers,
            egress,
            recordings: Arc::new(setup.recordings),
            desk: setup.desk,
        })
    }

    /// Whether sessions of a policy that is to be served would have their way out; else what is wrong and what to do.
    pub(crate) fn check(&self, policy: &Policy) -> Result<(), String> {
        self.egress.check(policy)
    }

    /// The tiers by name.
    pub(crate) fn backends(&self) -> Backends {
        let process = Arc::<ProcessBackend>::clone(&self.process);
        Backends::default()
            .with_code(process)
            .with_code(Arc::<WasmBackend>::clone(&self.wasm))
            .with_browsers(Arc::<ChromiumBackend>::clone(&self.browsers))
            .with_recordings(Arc::<FileRecordings>::clone(&self.recordings))
            .with_desk(Arc::clone(&self.desk))
    }

    /// Other system call lists and policies for what starts from now on, and ready sandboxes of those. Inside the runtime.
    pub(crate) fn renew(&self, filters: HashMap<String, Vec<Vec<u64>>>, served: &Served) {
        let (browsing, coding): (Vec<_>, Vec<_>) =
            served.pooled.iter().cloned().partition(|policy| policy.kind() == SessionKind::Browser);
        let changed = self.process.renew(filters, &coding);
        self.browsers.renew(&browsing, &changed);
        self.wasm.renew(served.policies());
    }

    /// Starts what runs on the runtime: the egress proxy, and the filling of pools.
    pub(crate) fn enter(&self, runtime: Handle) {
        self.egress.attach(runtime);
        self.process.warm_up();
        self.wasm.warm_up(&Principal::local(), &self.ahead, self.served.iter().cloned());
        self.browsers.fill();
    }
}
