//! The store, used off the async threads: its calls are short, and a disk can still keep one waiting.

use super::EndReason;
use crate::error::Error;
use crate::id::{SandboxId, SessionId};
use crate::store::Store;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// How long to wait before the store is asked again to take the end of a session.
const END_RETRIES: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_millis(400), Duration::from_millis(1500)];

/// After which time a session's sandbox is noted.
const NOTED: Duration = Duration::from_millis(100);

/// Runs one question or order to the store on a blocking thread.
pub(super) async fn ask<T: Send + 'static>(
    store: &Arc<dyn Store>,
    what: impl FnOnce(&dyn Store) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let store = Arc::clone(store);
    match tokio::task::spawn_blocking(move || what(store.as_ref())).await {
        Ok(result) => result,
        Err(error) => Err(Error::internal("the session store broke off", error)),
    }
}

/// Notes the sandbox without keeping anybody waiting: the note serves the operator, and recovery works without it. A first call is
/// usually on its way, and is not to share the processors with it.
pub(super) fn bind_later(store: &Arc<dyn Store>, id: &SessionId, sandbox: SandboxId) {
    let (store, id) = (Arc::clone(store), id.clone());
    tokio::spawn(async move {
        tokio::time::sleep(NOTED).await;
        let (session, noted) = (id.clone(), sandbox.clone());
        if let Err(error) = ask(&store, move |store| store.bind(&session, &noted)).await {
            tracing::warn!(session = %id, %sandbox, %error, "the sandbox of a session could not be noted");
        }
    });
}

/// Records an end, with a few tries. A record that cannot be written is `Lost` at the next start of the server.
pub(super) async fn write_end(
    store: &Arc<dyn Store>,
    id: &SessionId,
    reason: EndReason,
    cause: Option<String>,
    at: SystemTime,
) {
    let mut waits = END_RETRIES.iter();
    loop {
        let (session, cause) = (id.clone(), cause.clone());
        let write = move |store: &dyn Store| store.terminate(&session, reason, cause.as_deref(), at);
        let Err(error) = ask(store, write).await else { return };
        let Some(wait) = waits.next() else {
            tracing::error!(session = %id, ?reason, %error, "the end of a session could not be recorded");
            return;
        };
        tokio::time::sleep(*wait).await;
    }
}
