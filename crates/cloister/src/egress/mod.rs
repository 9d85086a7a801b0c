//! The egress proxy: the only way out of a sandbox whose policy gives it a network.
//!
//! ```text
//!   guest ──▶ listener in the sandbox's netns ──▶ head (strict) ──▶ rules (name) ──▶ resolve once ──▶ rules (address)
//!                                                     │                                                   │
//!                                                     └── 400/403, named rule ◀───────── refused ─────────┤
//!                                                                                                         ▼
//!                                    tunnel or one re-serialised request, counted ◀── dial the judged address, on the host
//! ```
//!
//! It speaks HTTP/1.1 proxying and nothing else: whatever is asked of it that is not a proxied request is refused, so
//! that no control surface is reachable from inside. When it fails, sockets die: there is no other route.

mod address;
mod answer;
mod cidr;
mod connection;
mod dial;
mod head;
mod host;
mod journal;
#[cfg(test)]
pub(crate) mod judged;
mod loopback;
mod meter;
pub(crate) mod packages;
pub(crate) mod question;
mod relay;
mod rules;
mod secrets;
mod upstream;

use answer::Answer;
use cloister_core::SandboxId;
use cloister_core::audit::Desk;
use cloister_core::browser::Proxies;
use cloister_core::egress::{EgressCounters, EgressFactory, EgressHandle, HostUse, Provisions, Redaction};
use cloister_core::policy::{Network, NetworkMode, Policy};
use cloister_core::session::SessionKind;
use connection::Shared;
use dial::{Dialer, Resolve, SystemResolver};
use journal::Journal;
pub(crate) use loopback::{Loopback, LoopbackError};
use meter::Meter;
pub(crate) use packages::{Mirrors, PackagesError};
use rules::Rules;
use secrets::Lent;
pub(crate) use secrets::{SecretConfig, Secrets, SecretsError};
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};
use upstream::Upstreams;

/// Refusals for want of a slot that are under way at once; connections beyond that are closed without a word.
const REFUSALS: usize = 16;
/// Hosts whose totals are written when a session ends, those with most bytes first.
const LOGGED_HOSTS: usize = 100;

/// Whether the proxy could serve by these rules; else the field at fault and what would be right.
pub(crate) fn check(network: &Network) -> Result<(), String> {
    Rules::compile(network).map(drop).map_err(|error| error.to_string())
}

/// Serves egress listeners on a tokio runtime, which it is given once there is one.
pub(crate) struct EgressProxy {
    runtime: OnceLock<Handle>,
    resolver: Arc<dyn Resolve>,
    loopback: Arc<Loopback>,
    secrets: Secrets,
    mirrors: Mirrors,
    desk: Arc<Desk>,
}

impl EgressProxy {
    /// A proxy whose names the host resolves, with the loopback targets of the operator. It serves nothing before
    /// [`Self::attach`].
    pub(crate) fn new(loopback: Loopback, secrets: Secrets, mirrors: Mirrors, desk: Arc<Desk>) -> Self {
        let (resolver, loopback) = (Arc::new(SystemResolver), Arc::new(loopback));
        Self { runtime: OnceLock::new(), resolver, loopback, secrets, mirrors, desk }
    }

    /// Whether it could serve sessions of this policy; else what is wrong and what to do.
    pub(crate) fn check(&self, policy: &Policy) -> Result<(), String> {
        self.secrets.check(policy).map_err(|error| error.to_string())?;
        self.mirrors.check(policy).map_err(|error| error.to_string())
    }

    /// From now on, connections run on `runtime`. Only the first call counts.
    pub(crate) fn attach(&self, runtime: Handle) {
        let _ = self.runtime.set(runtime);
    }
}

impl EgressFactory for EgressProxy {
    fn provisions(&self, policy: &Policy) -> Provisions {
        let mut env = packages::variables(policy);
        let lent = self.secrets.lend(policy);
        env.extend(lent.iter().flat_map(Lent::variables));
        let has_network = policy.network.mode != NetworkMode::None;
        Provisions {
            env,
            secrets: lent.as_ref().map(Lent::describe).unwrap_or_default(),
            loopback: if has_network { self.loopback.names() } else { Vec::new() },
            trust: lent.map(|lent| lent.trust().to_owned()),
        }
    }

    fn serve(
        &self,
        sandbox: SandboxId,
        policy: &Policy,
        proxies: Proxies,
        listener: std::net::TcpListener,
    ) -> io::Result<Box<dyn EgressHandle>> {
        let invalid = |error: Box<dyn std::error::Error + Send + Sync>| {
            io::Error::new(io::ErrorKind::InvalidInput, error)
        };
        let network = &policy.network;
        let rules = Rules::compile(network).map_err(|error| invalid(error.into()))?;
        let upstreams = Upstreams::compile(&proxies).map_err(|error| invalid(error.into()))?;
        let runtime =
            self.runtime.get().ok_or_else(|| io::Error::other("the egress proxy is not running yet"))?;
        listener.set_nonblocking(true)?;
        let listener = {
            let _guard = runtime.enter();
            TcpListener::from_std(listener)?
        };
        let shared = Arc::new(Shared {
            journal: Journal::new(sandbox, Arc::clone(&self.desk)),
            dialer: Dialer {
                rules,
                loopback: Arc::clone(&self.loopback),
                upstreams,
                resolver: Arc::clone(&self.resolver),
            },
            mode: network.mode,
            told: policy.kind() == SessionKind::Code,
            meter: Meter::new(network),
            lent: self.secrets.lend(policy).map(Arc::new),
            index: self.mirrors.index(policy),
        });
        let slots = usize::try_from(network.connections).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        let task = runtime.spawn(accept(Arc::clone(&shared), listener, slots));
        Ok(Box::new(Served { shared, task: task.abort_handle() }))
    }
}

/// A served listener.
struct Served {
    shared: Arc<Shared>,
    task: AbortHandle,
}

impl EgressHandle for Served {
    fn counters(&self) -> EgressCounters {
        self.shared.meter.counters()
    }

    fn hosts(&self) -> Vec<HostUse> {
        self.shared.meter.hosts()
    }

    fn redaction(&self) -> Option<Arc<dyn Redaction>> {
        let lent = self.shared.lent.clone();
        lent.map(|lent| lent as Arc<dyn Redaction>)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
        let EgressCounters { bytes_out, bytes_in, allowed, refused } = self.counters();
        if allowed + refused > 0 {
            let sandbox = self.shared.journal.sandbox();
            tracing::info!(target: "egress", %sandbox, bytes_out, bytes_in, allowed, refused, "closed");
            for HostUse { host, counters } in self.hosts().into_iter().take(LOGGED_HOSTS) {
                let EgressCounters { bytes_out, bytes_in, allowed, refused } = counters;
                tracing::info!(target: "egress", %sandbox, host, bytes_out, bytes_in, allowed, refused, "total");
            }
        }
    }
}

/// Accepts until it is aborted; its connections are its own and end with it.
async fn accept(shared: Arc<Shared>, listener: TcpListener, slots: usize) {
    let slots = Arc::new(Semaphore::new(slots));
    let refusals = Arc::new(Semaphore::new(REFUSALS));
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                // Out of descriptors, most likely: a pause lets connections end.
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            Some(_) = connections.join_next() => continue,
        };
        let shared = Arc::clone(&shared);
        let slot = if shared.meter.may_connect() {
            let what = "the session has too many connections open";
            Arc::clone(&slots).try_acquire_owned().map_err(|_| Answer::limit("network.connections", what))
        } else {
            Err(Answer::too_fast())
        };
        match slot {
            Ok(slot) => {
                connections.spawn(async move {
                    connection::serve(&shared, stream).await;
                    drop(slot);
                });
            }
            Err(answer) => match Arc::clone(&refusals).try_acquire_owned() {
                Ok(slot) => {
                    connections.spawn(async move {
                        connection::refuse(&shared, stream, answer).await;
                        drop(slot);
                    });
                }
                Err(_) => shared.meter.refused(None),
            },
        }
    }
}

#[cfg(test)]
mod audit_tests;

#[cfg(test)]
mod tests;

#[cfg(test)]
mod upstream_tests;
