//! A running sandbox, as the server holds it: a control channel, and what must be taken down at its end.

use crate::control::Control;
use crate::remains::Remains;
use cloister_core::SandboxId;
use cloister_core::backend::{Consumed, Provenance, StopReport};
use cloister_core::egress::{EgressReport, Redaction};
use cloister_core::lock::lock;
use cloister_jail::cgroup::{Gauges, Usage};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// A running sandbox.
pub(crate) struct Sandbox {
    pub(crate) id: SandboxId,
    pub(crate) control: Control,
    pub(crate) walls: Vec<(String, String)>,
    /// What it was made of.
    pub(crate) provenance: Provenance,
    /// Where its code may write.
    pub(crate) writable: Vec<String>,
    /// Set, with the reason, when the channel has ended.
    pub(crate) gone: watch::Receiver<Option<String>>,
    /// The server's ends of the browser's pipes, until they are taken: to it, from it.
    pub(crate) browser: Mutex<Option<(OwnedFd, OwnedFd)>>,
    /// The socket for orders to the engine, until it is taken.
    pub(crate) engine: Mutex<Option<OwnedFd>>,
    /// Where the host measures it.
    pub(crate) gauges: Option<Arc<Gauges>>,
    pub(crate) remains: Mutex<Option<Remains>>,
}

impl Sandbox {
    /// Kills everything in it and removes what it had. The second call does nothing.
    pub(crate) async fn destroy(&self) -> StopReport {
        let remains = lock(&self.remains).take();
        let Some(remains) = remains else { return StopReport::default() };
        let destroyed = tokio::task::spawn_blocking(move || remains.take_down()).await;
        destroyed.unwrap_or_else(|e| StopReport { killed: false, left_behind: vec![e.to_string()] })
    }

    /// Its init's number on this host; `None` when it has been taken down.
    pub(crate) fn init(&self) -> Option<i32> {
        let remains = lock(&self.remains);
        cloister_jail::pid_of(remains.as_ref()?.pidfd.as_ref()?)
    }

    /// What keeps values of secrets out of what it says; `None` if it may use none.
    pub(crate) fn redaction(&self) -> Option<Arc<dyn Redaction>> {
        let remains = lock(&self.remains);
        remains.as_ref()?.egress.as_ref()?.redaction()
    }

    /// What has gone through its way out, if it has one.
    pub(crate) fn egress(&self) -> Option<EgressReport> {
        let remains = lock(&self.remains);
        remains.as_ref()?.egress.as_ref().map(|served| served.report())
    }

    /// Whether its channel has not ended.
    pub(crate) fn lives(&self) -> bool {
        self.gone.borrow().is_none()
    }

    /// What it has used, where the host measures that.
    pub(crate) fn usage(&self) -> Option<Usage> {
        self.gauges.as_ref().map(|gauges| gauges.usage())
    }

    /// The same as the session manager asks for it.
    pub(crate) fn consumed(&self) -> Option<Consumed> {
        self.gauges
            .as_ref()
            .map(|gauges| gauges.consumed())
            .map(|(cpu, memory_peak)| Consumed { cpu, memory_peak })
    }
}

impl Drop for Sandbox {
    /// For a sandbox that is given up (its starter was cancelled). Taking it down blocks, which the threads of the runtime must not.
    fn drop(&mut self) {
        let remains = self.remains.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let (Some(remains), Ok(runtime)) = (remains, tokio::runtime::Handle::try_current()) {
            // A runtime that is shutting down drops the closure instead, and that takes it down as well.
            runtime.spawn_blocking(move || drop(remains));
        }
    }
}
