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
mod loopback;
mod meter;
pub(crate) mod question;
mod relay;
mod rules;
mod upstream;

use answer::Answer;
use cloister_core::SandboxId;
use cloister_core::browser::Proxies;
use cloister_core::egress::{EgressCounters, EgressFactory, EgressHandle};
use cloister_core::policy::Network;
use connection::Shared;
use dial::{Dialer, Resolve, SystemResolver};
use journal::Journal;
pub(crate) use loopback::{Loopback, LoopbackError};
use meter::Meter;
use rules::Rules;
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

/// Whether the proxy could serve by these rules; else the field at fault and what would be right.
pub(crate) fn check(network: &Network) -> Result<(), String> {
    Rules::compile(network).map(drop).map_err(|error| error.to_string())
}

/// Serves egress listeners on a tokio runtime, which it is given once there is one.
pub(crate) struct EgressProxy {
    runtime: OnceLock<Handle>,
    resolver: Arc<dyn Resolve>,
    loopback: Arc<Loopback>,
}

impl EgressProxy {
    /// A proxy whose names the host resolves, with the loopback targets of the operator. It serves nothing before
    /// [`Self::attach`].
    pub(crate) fn new(loopback: Loopback) -> Self {
        Self { runtime: OnceLock::new(), resolver: Arc::new(SystemResolver), loopback: Arc::new(loopback) }
    }

    /// From now on, connections run on `runtime`. Only the first call counts.
    pub(crate) fn attach(&self, runtime: Handle) {
        let _ = self.runtime.set(runtime);
    }
}

impl EgressFactory for EgressProxy {
    fn serve(
        &self,
        sandbox: SandboxId,
        network: Network,
        proxies: Proxies,
        listener: std::net::TcpListener,
    ) -> io::Result<Box<dyn EgressHandle>> {
        let invalid = |error: Box<dyn std::error::Error + Send + Sync>| {
            io::Error::new(io::ErrorKind::InvalidInput, error)
        };
        let rules = Rules::compile(&network).map_err(|error| invalid(error.into()))?;
        let upstreams = Upstreams::compile(&proxies).map_err(|error| invalid(error.into()))?;
        let runtime =
            self.runtime.get().ok_or_else(|| io::Error::other("the egress proxy is not running yet"))?;
        listener.set_nonblocking(true)?;
        let listener = {
            let _guard = runtime.enter();
            TcpListener::from_std(listener)?
        };
        let shared = Arc::new(Shared {
            journal: Journal::new(sandbox),
            dialer: Dialer {
                rules,
                loopback: Arc::clone(&self.loopback),
                upstreams,
                resolver: Arc::clone(&self.resolver),
            },
            mode: network.mode,
            meter: Meter::new(network.bytes),
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
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
        let EgressCounters { bytes_out, bytes_in, allowed, refused } = self.counters();
        if allowed + refused > 0 {
            let sandbox = self.shared.journal.sandbox();
            tracing::info!(target: "egress", %sandbox, bytes_out, bytes_in, allowed, refused, "closed");
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
        if let Ok(slot) = Arc::clone(&slots).try_acquire_owned() {
            connections.spawn(async move {
                connection::serve(&shared, stream).await;
                drop(slot);
            });
        } else if let Ok(slot) = Arc::clone(&refusals).try_acquire_owned() {
            connections.spawn(async move {
                let answer =
                    Answer::limit("network.connections", "the session has too many connections open");
                connection::refuse(&shared, stream, &answer).await;
                drop(slot);
            });
        } else {
            shared.meter.refused();
        }
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod upstream_tests;
