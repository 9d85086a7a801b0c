//! Sessions that nobody uses: written to disk, and out of memory until their next call.
//!
//! ```text
//!   every LOOK, or when an engine is full ─▶ sessions idle for long enough ─▶ a file without a name ─▶ Engine::evict
//! ```
//!
//! The file has no name and belongs to the engine, which holds it open: it goes when the session does, or either process.

use super::backend::WasmBackend;
use super::engine::OrderError;
use super::session::WasmInterpreter;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Between two looks for idle sessions.
const LOOK: Duration = Duration::from_secs(30);
/// Idle for so long, a session is written to disk when there is no room for another one.
pub(super) const PRESSED: Duration = Duration::from_secs(2);

/// Looks for idle sessions for as long as the backend is there.
pub(super) async fn watch(backend: Weak<WasmBackend>, patience: Duration) {
    loop {
        tokio::time::sleep(LOOK.min(patience)).await;
        let Some(backend) = backend.upgrade() else { return };
        evict(&backend, patience).await;
        backend.sweep().await;
    }
}

/// Evicts every session that has been idle for `patience`; how many there were.
pub(super) async fn evict(backend: &WasmBackend, patience: Duration) -> usize {
    let mut evicted = 0;
    for session in backend.sessions() {
        if session.idle() < patience || session.is_evicted() {
            continue;
        }
        match one(backend.files(), &session).await {
            Ok(()) => evicted += 1,
            // It has just been used.
            Err(OrderError::Busy(_)) => {}
            Err(error) => tracing::warn!(%error, "an idle session stays in memory"),
        }
    }
    if evicted > 0 {
        tracing::debug!(evicted, "wrote idle sessions to disk");
    }
    evicted
}

async fn one(folder: &Path, session: &Arc<WasmInterpreter>) -> Result<(), OrderError> {
    let folder = folder.to_owned();
    let file = tokio::task::spawn_blocking(move || nameless(&folder)).await.map_err(io::Error::other)??;
    session.link.engine.evict(session.link.number, &file.into()).await?;
    session.evicted();
    Ok(())
}

/// A file in `folder` that no path leads to (open(2), O_TMPFILE).
fn nameless(folder: &Path) -> io::Result<File> {
    let flag = nix::fcntl::OFlag::O_TMPFILE.bits();
    OpenOptions::new().read(true).write(true).custom_flags(flag).mode(0o600).open(folder)
}
