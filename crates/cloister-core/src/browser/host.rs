//! Where browsers come from: something that jails a Chromium and hands over the two ends of its debugging pipe.

use super::Proxies;
use crate::backend::{Interpreter, StartError, Unavailable};
use crate::policy::Policy;
use async_trait::async_trait;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

/// A Chromium that runs inside its walls.
pub struct Chromium {
    /// The sandbox: file tools, walls, end and stop are its own.
    pub sandbox: Arc<dyn Interpreter>,
    /// Bytes written here arrive at Chromium's descriptor 3 (`--remote-debugging-pipe`: JSON, each ended by NUL).
    pub to: OwnedFd,
    /// What Chromium writes to its descriptor 4.
    pub from: OwnedFd,
    /// The session's workspace as the browser sees it: where downloads go and uploads come from.
    pub workspace: String,
}

/// Makes jailed Chromiums.
#[async_trait]
pub trait BrowserHost: Send + Sync + 'static {
    /// What it needs from this machine.
    fn probe(&self) -> Result<(), Unavailable>;
    /// A Chromium under `policy` that has just been started: it need not answer yet.
    async fn launch(&self, policy: Arc<Policy>, proxies: Proxies) -> Result<Chromium, StartError>;
    /// Sets what is left of a sandbox's life.
    async fn set_ttl(&self, chromium: &dyn Interpreter, ttl: Duration) -> Result<(), StartError>;
}
