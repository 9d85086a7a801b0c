//! The backend of browser sessions: a ready Chromium from the pool, or a new one.

use crate::browser::ChromiumBrowser;
use crate::filter::Table;
use crate::launch::Launched;
use crate::pool::{Browsers, Pool};
use async_trait::async_trait;
use cloister_core::audit::Desk;
use cloister_core::backend::{StartError, Unavailable};
use cloister_core::browser::{Browser, BrowserBackend, BrowserHost, BrowserSpec, Budget, Proxies};
use cloister_core::policy::{Policy, StartMode};
use cloister_core::shelves::Shelves;
use std::collections::HashSet;
use std::io;
use std::sync::Arc;

/// How a backend is set up.
#[derive(Clone, Debug)]
pub struct BrowserConfig {
    /// Ready browsers per policy that starts from the pool. Each is about 50 MB that wait.
    pub pool_size: usize,
    /// CDP clients that may be connected to one session at once.
    pub clients: usize,
    /// Bytes of CDP messages that the server holds for all sessions together.
    pub memory: usize,
    /// Of these, bytes that one session may hold.
    pub session_memory: usize,
    /// Where refused commands get their ids. Without it they have none.
    pub desk: Option<Arc<Desk>>,
}

impl Default for BrowserConfig {
    fn default() -> Self {
        Self { pool_size: 1, clients: 16, memory: 1 << 30, session_memory: 256 << 20, desk: None }
    }
}

/// Gives each browser its share of the budget.
#[derive(Clone)]
pub(crate) struct Shares {
    server: Budget,
    session: usize,
}

impl Shares {
    pub(crate) fn share(&self) -> Budget {
        self.server.share(self.session)
    }
}

/// Chromium sessions.
pub struct ChromiumBackend {
    host: Arc<dyn BrowserHost>,
    table: Arc<Table>,
    config: BrowserConfig,
    pools: Shelves<Browsers>,
    shares: Shares,
}

impl ChromiumBackend {
    /// Reads the CDP policy and prepares a pool for each policy of the browser tier that starts from one. An error is one of the
    /// policy file.
    pub fn new(
        host: Arc<dyn BrowserHost>,
        config: BrowserConfig,
        policies: &[Arc<Policy>],
    ) -> Result<Arc<Self>, String> {
        let table = Arc::new(Table::built_in()?);
        let shares = Shares { server: Budget::new(config.memory), session: config.session_memory };
        let pools = Shelves::new(shelves(&host, &shares, config.pool_size, policies));
        Ok(Arc::new(Self { host, table, config, pools, shares }))
    }

    /// Starts to fill the pools. Inside the runtime.
    pub fn fill(&self) {
        self.pools.fill();
    }

    /// From now on, these policies have ready browsers. Those of a policy that is still the same stay, unless its system call list is
    /// among the `changed` ones; sessions that run are not touched. Inside the runtime.
    pub fn renew(&self, policies: &[Arc<Policy>], changed: &HashSet<String>) {
        let wanted = shelves(&self.host, &self.shares, self.config.pool_size, policies);
        self.pools.renew(wanted, |old, new| {
            old.serve(&new.policy) && !changed.contains(&old.policy.isolation.seccomp)
        });
    }

    /// How many browsers are ready, over all pools.
    pub fn ready(&self) -> usize {
        self.pools.ready()
    }

    /// Makes a launched browser what the session asks for.
    async fn hand_over(&self, launched: &Launched, spec: &BrowserSpec) -> Result<(), StartError> {
        let viewport = async {
            launched.pages.set_viewport(spec.viewport).await.map_err(|error| StartError::Step {
                step: "set the viewport".to_owned(),
                source: io::Error::other(error),
            })
        };
        // One asks the sandbox's init, the other its browser.
        tokio::try_join!(self.host.set_ttl(launched.sandbox.as_ref(), spec.ttl), viewport).map(|_| ())
    }
}

/// A shelf for each policy of the browser tier that starts from one.
fn shelves(
    host: &Arc<dyn BrowserHost>,
    shares: &Shares,
    size: usize,
    policies: &[Arc<Policy>],
) -> Vec<Arc<Pool>> {
    policies
        .iter()
        .filter(|policy| policy.tier == "browser" && policy.start == StartMode::Pool && size > 0)
        .map(|policy| Browsers { host: Arc::clone(host), policy: Arc::clone(policy), shares: shares.clone() })
        .map(|browsers| Pool::new(browsers, size))
        .collect()
}

#[async_trait]
impl BrowserBackend for ChromiumBackend {
    fn name(&self) -> &'static str {
        "browser"
    }

    fn probe(&self) -> Result<(), Unavailable> {
        self.host.probe()
    }

    async fn start(&self, spec: BrowserSpec) -> Result<Arc<dyn Browser>, StartError> {
        // Upstream proxies belong to the sandbox's way out, which a ready one already has.
        let plain = spec.proxies == Proxies::default();
        if let Some(ready) = self.pools.take(|stock| plain && stock.serve(&spec.policy)) {
            match self.hand_over(&ready, &spec).await {
                Ok(()) => return Ok(self.session(ready, &spec)),
                Err(error) => {
                    tracing::warn!(%error, "a ready browser was of no use; starting another");
                    ready.destroy().await;
                }
            }
        }
        let (policy, proxies) = (Arc::clone(&spec.policy), spec.proxies.clone());
        let share = self.shares.share();
        let launched = Launched::new(self.host.as_ref(), policy, proxies, spec.viewport, share).await?;
        if let Err(error) = self.hand_over(&launched, &spec).await {
            launched.destroy().await;
            return Err(error);
        }
        Ok(self.session(launched, &spec))
    }

    async fn shutdown(&self) {
        self.pools.end().await;
    }
}

impl ChromiumBackend {
    fn session(&self, launched: Launched, spec: &BrowserSpec) -> Arc<dyn Browser> {
        let table = Arc::clone(&self.table);
        Arc::new(ChromiumBrowser::new(
            launched,
            table,
            spec.viewport,
            self.config.clients,
            spec.recording.clone(),
            self.config.desk.clone(),
        ))
    }
}
