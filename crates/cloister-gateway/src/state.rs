//! What all handlers share.

use crate::auth::{self, Caller};
use crate::config::GatewayConfig;
use cloister_core::session::manager::SessionManager;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::sleep;

/// Mebibytes that request bodies may take at once, with what becomes of them on their way. Stops a few large
/// uploads from taking the host's memory.
const BODY_BUDGET: usize = 1_024;

/// How soon a connection that lasts hears that its key has ended.
const LOOK: Duration = Duration::from_secs(2);

/// A gateway: the sessions and the settings of its doors. Cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    inner: Arc<Inner>,
}

struct Inner {
    manager: Arc<SessionManager>,
    config: GatewayConfig,
    draining: watch::Sender<bool>,
    bodies: Arc<Semaphore>,
    look_ups: Semaphore,
}

impl Gateway {
    /// A gateway to the sessions of `manager`.
    pub fn new(manager: Arc<SessionManager>, config: GatewayConfig) -> Self {
        let bodies = Arc::new(Semaphore::new(BODY_BUDGET));
        Self {
            inner: Arc::new(Inner {
                manager,
                config,
                draining: watch::channel(false).0,
                bodies,
                look_ups: Semaphore::new(1),
            }),
        }
    }

    /// From now on `/readyz` answers 503 and new requests are refused; those that run may finish.
    pub fn drain(&self) {
        self.inner.draining.send_replace(true);
    }

    /// A turn to look something up in files.
    pub(crate) async fn look_up(&self) -> Option<SemaphorePermit<'_>> {
        // Never closed, so there always is one.
        self.inner.look_ups.acquire().await.ok()
    }

    pub(crate) fn is_draining(&self) -> bool {
        *self.inner.draining.borrow()
    }

    /// Resolves when the server is told to stop: a WebSocket has no end of its own that could be waited for.
    pub(crate) fn drained(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut draining = self.inner.draining.subscribe();
        async move {
            // The sender lives as long as the gateway; without a gateway there is nothing to serve either.
            let _ = draining.wait_for(|draining| *draining).await;
        }
    }

    /// Resolves when the caller's credential is good no more. Looks again every now and then: keys end by what other processes
    /// write.
    pub(crate) fn revoked(&self, caller: &Caller) -> impl Future<Output = ()> + Send + 'static {
        let (auth, caller) = (self.inner.config.auth.clone(), caller.clone());
        let lasts = caller.key.is_none() && caller.expires.is_none();
        async move {
            if lasts {
                std::future::pending::<()>().await;
            }
            while auth::still_good(&auth, &caller) {
                sleep(LOOK).await;
            }
        }
    }

    pub(crate) fn manager(&self) -> &SessionManager {
        &self.inner.manager
    }

    pub(crate) fn config(&self) -> &GatewayConfig {
        &self.inner.config
    }

    /// Permits, in mebibytes, for bodies in memory and their copies.
    pub(crate) fn bodies(&self) -> &Arc<Semaphore> {
        &self.inner.bodies
    }
}
