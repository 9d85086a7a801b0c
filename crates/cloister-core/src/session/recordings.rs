//! Recordings as sessions come and go: begun before the browser, removed with the record.

use super::backends::Backends;
use super::records;
use crate::error::{Error, Kind};
use crate::id::SessionId;
use crate::policy::Policy;
use crate::quota::Book;
use crate::recording::{Recording, RecordingError, Recordings};
use crate::session::SessionKind;
use crate::store::Store;
use std::sync::Arc;

/// Bytes that the recording of a session may grow to, if the policy asks for one.
pub(super) fn wanted(policy: &Policy) -> Option<u64> {
    let recorded = policy.kind() == SessionKind::Browser && policy.browser.recording;
    recorded.then_some(policy.browser.recording_bytes)
}

/// Begins the recording that the policy asks for. A session that should be recorded and cannot be does not start.
pub(super) async fn begin(
    backends: &Backends,
    policy: &Policy,
    id: &SessionId,
) -> Result<Option<Recording>, Error> {
    let Some(bytes) = wanted(policy) else { return Ok(None) };
    let Some(recordings) = backends.recordings() else {
        let text = "the session must be recorded (browser.recording), and this server keeps no recordings";
        return Err(Error::internal(text, "no place for recordings is set up"));
    };
    let session = id.clone();
    let sink = off_thread(recordings, move |all| all.create(&session)).await?;
    Ok(Some(Recording { sink, bytes }))
}

/// Removes the recording of a session that never started.
pub(super) async fn forget(backends: &Backends, id: &SessionId) {
    let Some(recordings) = backends.recordings() else { return };
    let session = id.clone();
    if let Err(error) = off_thread(recordings, move |all| all.remove(&session)).await {
        tracing::warn!(session = %id, %error, "the recording of a session that did not start was left; it goes with the next clean-up");
    }
}

/// Counts the recordings that are there. For the start of a server, when no session lives.
pub(super) async fn count(backends: &Backends, store: &Arc<dyn Store>, book: &Book) -> Result<(), Error> {
    let Some(recordings) = backends.recordings() else { return Ok(()) };
    for id in off_thread(Arc::clone(&recordings), |all| all.sessions()).await? {
        let (session, wanted) = (id.clone(), id.clone());
        let owner = records::ask(store, move |store| store.get(&wanted)).await?.map(|found| found.owner);
        let found = off_thread(Arc::clone(&recordings), move |all| all.summary(&session)).await?;
        if let (Some(owner), Some(summary)) = (owner, found) {
            book.keep(&id, &owner, summary.bytes());
        }
    }
    Ok(())
}

/// Removes recordings whose session has no record any more.
pub(super) async fn sweep(backends: &Backends, store: &Arc<dyn Store>, book: &Book) -> Result<(), Error> {
    let Some(recordings) = backends.recordings() else { return Ok(()) };
    let there = off_thread(Arc::clone(&recordings), |all| all.sessions()).await?;
    for id in there {
        let session = id.clone();
        if records::ask(store, move |store| store.get(&session)).await?.is_none() {
            let gone = id.clone();
            off_thread(Arc::clone(&recordings), move |all| all.remove(&gone)).await?;
            book.drop_kept(&id);
        }
    }
    Ok(())
}

/// Asks about one session's recording.
pub(super) async fn look<T: Send + 'static>(
    backends: &Backends,
    id: &SessionId,
    what: impl FnOnce(&dyn Recordings) -> Result<Option<T>, RecordingError> + Send + 'static,
) -> Result<T, Error> {
    let none = || {
        let text = format!(
            "session {id} has no such recording; sessions are recorded under browser.recording = true"
        );
        Error::new(Kind::NotFound, text)
    };
    let recordings = backends.recordings().ok_or_else(none)?;
    off_thread(recordings, what).await?.ok_or_else(none)
}

async fn off_thread<T: Send + 'static>(
    recordings: Arc<dyn Recordings>,
    what: impl FnOnce(&dyn Recordings) -> Result<T, RecordingError> + Send + 'static,
) -> Result<T, Error> {
    let text = "the recording could not be used; the server's log says more";
    match tokio::task::spawn_blocking(move || what(recordings.as_ref())).await {
        Ok(result) => result.map_err(|error| Error::internal(text, error)),
        Err(error) => Err(Error::internal(text, error)),
    }
}
