//! The wasm tier: a group of engines for each principal and policy, and a spare engine for the next principal.
//!
//! ```text
//!   start ─▶ Groups ─┬─ known ─▶ Pool::take, else Group::open
//!                    └─ new ───▶ a spare engine, or one of its own
//! ```

use super::WASM_TIER;
use super::artifacts::Workshop;
use super::engine::{Engine, Link};
use super::group::{Group, Pool, Ready, failed};
use super::idle;
use super::session::WasmInterpreter;
use crate::backend::ProcessBackend;
use crate::maker::Maker;
use async_trait::async_trait;
use cloister_core::backend::{Interpreter, InterpreterBackend, InterpreterSpec, StartError, Unavailable};
use cloister_core::lock::lock;
use cloister_core::policy::Policy;
use cloister_core::shelves::Shelves;
use cloister_core::{Principal, SandboxId};
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

/// What one engine may hold, and how many there may be.
#[derive(Clone, Debug)]
pub struct EngineRoom {
    /// Engines of one principal and policy: one per core.
    pub engines: usize,
    /// Sessions of one engine.
    pub sessions: u32,
    /// Bytes that its sessions together may have grown to.
    pub memory: u64,
    /// Cells that one engine runs at once.
    pub cells: u32,
}

/// What the wasm tier needs to know.
#[derive(Clone, Debug)]
pub struct WasmConfig {
    /// Makes and keeps the engines' roots.
    pub workshop: Arc<Workshop>,
    /// The engines.
    pub room: EngineRoom,
    /// Ready sessions per principal and policy.
    pub pool_size: usize,
    /// Sessions that have been idle for so long are written to disk, and engines of principals that have had none for so long end.
    pub evict_after: Duration,
}

/// A principal's sessions under one policy.
struct Tenancy {
    owner: Principal,
    group: Arc<Group>,
    pool: Shelves<Ready>,
    rest: Mutex<Rest>,
}

/// Since when a tenancy has had no session.
struct Rest {
    since: Instant,
    /// It stays without: made ahead of time for whoever the server is mostly for.
    stays: bool,
}

/// The backend.
pub struct WasmBackend {
    process: Arc<ProcessBackend>,
    config: WasmConfig,
    tenancies: Mutex<Vec<Arc<Tenancy>>>,
    /// Policies of which sessions are kept ready, and engines when they are empty; `None` is every policy. What one start asks for has
    /// no engine that outlives its sessions: clients must not fill the host with idle engines.
    kept: Mutex<Option<Vec<Arc<Policy>>>>,
    sessions: Mutex<HashMap<SandboxId, Weak<WasmInterpreter>>>,
}

impl WasmBackend {
    /// Engines are jailed by `process`.
    pub fn new(process: Arc<ProcessBackend>, config: WasmConfig) -> Arc<Self> {
        Arc::new(Self {
            process,
            config,
            tenancies: Mutex::default(),
            kept: Mutex::default(),
            sessions: Mutex::default(),
        })
    }

    fn maker(&self) -> &Arc<Maker> {
        &self.process.maker
    }

    /// Starts an engine for `owner` under each policy ahead of the first session, and has the roots of `others` compiled in the
    /// background where their images are built: it takes seconds, once, which no client need wait for. Inside the runtime.
    pub fn warm_up(
        self: &Arc<Self>,
        owner: &Principal,
        policies: &[Arc<Policy>],
        others: impl IntoIterator<Item = Arc<Policy>>,
    ) {
        let others: Vec<_> = others.into_iter().filter(|policy| policy.tier == WASM_TIER).collect();
        let ahead = policies.iter().filter(|policy| policy.tier == WASM_TIER);
        *lock(&self.kept) = Some(ahead.chain(&others).map(Arc::clone).collect());
        for policy in others {
            let group = Group::new(policy, Arc::clone(self.maker()), self.config.clone());
            tokio::spawn(async move { group.prepare().await });
        }
        tokio::spawn(idle::watch(Arc::downgrade(self), self.config.evict_after));
        for policy in policies.iter().filter(|policy| policy.tier == WASM_TIER) {
            lock(&self.tenancy(owner, policy).rest).stays = true;
        }
    }

    /// The principal's sessions under this policy: the very same one, with every limit.
    fn tenancy(&self, owner: &Principal, policy: &Arc<Policy>) -> Arc<Tenancy> {
        let mut tenancies = lock(&self.tenancies);
        let known = tenancies.iter().find(|one| one.owner == *owner && *one.group.policy == **policy);
        if let Some(known) = known {
            lock(&known.rest).since = Instant::now();
            return Arc::clone(known);
        }
        let group = Group::new(Arc::clone(policy), Arc::clone(self.maker()), self.config.clone());
        let group = Arc::new(group);
        let pool = Shelves::new(self.shelves(&group));
        pool.fill();
        let rest = Mutex::new(Rest { since: Instant::now(), stays: false });
        let tenancy = Arc::new(Tenancy { owner: owner.clone(), group, pool, rest });
        tenancies.push(Arc::clone(&tenancy));
        tenancy
    }

    fn keeps(&self, policy: &Policy) -> bool {
        lock(&self.kept).as_ref().is_none_or(|kept| kept.iter().any(|one| **one == *policy))
    }

    /// The ready sessions of a group, if there are to be some.
    fn shelves(&self, group: &Arc<Group>) -> Vec<Arc<Pool>> {
        let size = self.config.pool_size;
        self.keeps(&group.policy).then(|| Pool::new(Ready(Arc::clone(group)), size)).into_iter().collect()
    }

    /// From now on these policies are the ones that sessions are kept ready of. Engines of other policies end when they are empty.
    /// Engines take new sessions for a few hours only, so that another system call list reaches all of them in the end. Inside the
    /// runtime.
    pub fn renew(&self, policies: impl IntoIterator<Item = Arc<Policy>>) {
        *lock(&self.kept) = Some(policies.into_iter().filter(|policy| policy.tier == WASM_TIER).collect());
        let tenancies = lock(&self.tenancies).clone();
        for tenancy in tenancies {
            tenancy.pool.renew(self.shelves(&tenancy.group), |_, _| true);
        }
    }

    /// Ends the engines of policies that are not kept and that have no session any more, and of principals that have had no session for
    /// a while: with tokens of a provider there may be any number of them, and each has engines and ready sessions of its own.
    pub(super) async fn sweep(&self) {
        let idle: Vec<_> = {
            let mut tenancies = lock(&self.tenancies);
            // Under the lock: a start that has ended since would be missed.
            let sessions = self.sessions();
            // Whoever starts a session holds its tenancy until the session counts.
            let (idle, busy) = std::mem::take(&mut *tenancies).into_iter().partition(|one| {
                let mut rest = lock(&one.rest);
                if sessions.iter().any(|session| one.group.holds(&session.link.engine)) {
                    rest.since = Instant::now();
                }
                let forgotten = !rest.stays && rest.since.elapsed() >= self.config.evict_after;
                let unwanted = !self.keeps(&one.group.policy) && one.group.sessions() == 0;
                Arc::strong_count(one) == 1 && (unwanted || forgotten)
            });
            *tenancies = busy;
            idle
        };
        for tenancy in idle {
            tenancy.pool.end().await;
            tenancy.group.end().await;
        }
    }

    /// Every session.
    pub(super) fn sessions(&self) -> Vec<Arc<WasmInterpreter>> {
        lock(&self.sessions).values().filter_map(Weak::upgrade).collect()
    }

    /// Where sessions are evicted to: private, and on disk.
    pub(super) fn files(&self) -> &Path {
        &self.maker().config.state_dir
    }

    /// Writes every session to disk that has been idle for so long; how many there were.
    pub async fn evict_idle(&self, idle_for: Duration) -> usize {
        idle::evict(self, idle_for).await
    }

    /// A new session, for which idle ones make room if they must.
    async fn open(&self, tenancy: &Tenancy) -> Result<Link, StartError> {
        match tenancy.group.open().await {
            Err(StartError::Full(_)) if idle::evict(self, idle::PRESSED).await > 0 => {
                tenancy.group.open().await
            }
            other => other,
        }
    }

    /// Every engine that runs, for measuring and for tests.
    pub fn engines(&self) -> usize {
        lock(&self.tenancies).iter().map(|one| one.group.count()).sum()
    }

    fn copy_of(&self, id: &SandboxId) -> Option<Arc<WasmInterpreter>> {
        lock(&self.sessions).get(id).and_then(Weak::upgrade)
    }
}

#[async_trait]
impl InterpreterBackend for WasmBackend {
    fn name(&self) -> &'static str {
        WASM_TIER
    }

    fn probe(&self) -> Result<(), Unavailable> {
        self.process.probe()
    }

    async fn start(&self, spec: InterpreterSpec) -> Result<Arc<dyn Interpreter>, StartError> {
        let tenancy = self.tenancy(&spec.owner, &spec.policy);
        let link = match &spec.copy_of {
            Some(original) => {
                let original = self.copy_of(original).ok_or_else(|| {
                    StartError::NotSupported("the session to copy is not on the wasm tier".into())
                })?;
                if *original.policy() != spec.policy {
                    let why = "the session to copy runs under another policy".to_owned();
                    return Err(StartError::NotSupported(why));
                }
                // Whoever asks has been checked already; this is the wall behind it. Principals never share an engine.
                if !tenancy.group.holds(&original.link.engine) {
                    let why = "this principal has no such session to copy".to_owned();
                    return Err(StartError::NotSupported(why));
                }
                if !original.link.engine.has_room() {
                    let why = "the engine of this session holds as many sessions as it may: stop one that is no longer needed";
                    return Err(StartError::Full(why.into()));
                }
                original.link.engine.fork(original.link.number).await.map_err(failed)?
            }
            None => match tenancy.pool.take(|_| true) {
                Some(link) => link,
                None => self.open(&tenancy).await?,
            },
        };
        tenancy.group.grow();
        let id = SandboxId::random().map_err(|e| StartError::Step {
            step: "get random bytes".into(),
            source: std::io::Error::other(e),
        })?;
        let session = Arc::new(WasmInterpreter::new(id.clone(), spec.policy, link));
        let mut sessions = lock(&self.sessions);
        sessions.retain(|_, session| session.strong_count() > 0);
        sessions.insert(id, Arc::downgrade(&session));
        drop(sessions);
        lock(&tenancy.rest).since = Instant::now();
        Ok(session)
    }

    async fn shutdown(&self) {
        let tenancies: Vec<_> = lock(&self.tenancies).drain(..).collect();
        for tenancy in tenancies {
            tenancy.pool.end().await;
            tenancy.group.end().await;
        }
    }
}

impl std::fmt::Debug for WasmBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WasmBackend").field("engines", &self.engines()).finish_non_exhaustive()
    }
}

/// Keeps the compiler's word that engines can be shared between tasks.
const fn shared<T: Send + Sync>() {}
const _: () = shared::<Engine>();
