//! What a session uses of its owner's quotas, from its driver's side.

use super::records;
use crate::audit::Desk;
use crate::command::ToolCall;
use crate::error::Error;
use crate::id::{Principal, SessionId};
use crate::quota::{Book, Meter, Unsaved};
use crate::recording::Recordings;
use crate::store::Store;
use std::sync::Arc;

/// Whose quotas they are, and where they are kept.
#[derive(Clone)]
pub(super) struct Counted {
    pub(super) owner: Principal,
    pub(super) book: Arc<Book>,
    pub(super) desk: Arc<Desk>,
    pub(super) store: Arc<dyn Store>,
    /// Set if the session is recorded.
    pub(super) recordings: Option<Arc<dyn Recordings>>,
}

impl Counted {
    /// Lets a call in, if it uses nothing that is used up.
    pub(super) fn admit(&self, call: &ToolCall) -> Result<(), Error> {
        if !works(call) && !matches!(call, ToolCall::StartCommandExecution { .. }) {
            return Ok(());
        }
        self.book.admit_call(&self.owner).map_err(|up| up.error(&self.desk, "a call"))
    }

    /// Measures a call, if it is one that is counted.
    pub(super) fn meter(&self, call: &ToolCall) -> Option<Meter> {
        works(call).then(|| self.book.meter(&self.owner))
    }

    /// Brings what was used to the store, if some of it has waited for long enough. Keeps nobody waiting.
    pub(super) fn save_if_due(&self) {
        let due = self.book.unsaved(Unsaved::Due);
        if !due.is_empty() {
            let (book, store) = (Arc::clone(&self.book), Arc::clone(&self.store));
            tokio::spawn(async move { save(&book, &store, due).await });
        }
    }

    /// Counts what the recording of a session has become, instead of what it could have become.
    pub(super) async fn keep_recording(&self, id: &SessionId) {
        let Some(recordings) = self.recordings.clone() else { return };
        let session = id.clone();
        match tokio::task::spawn_blocking(move || recordings.summary(&session)).await {
            Ok(Ok(found)) => self.book.keep(id, &self.owner, found.map_or(0, |summary| summary.bytes())),
            Ok(Err(error)) => tracing::warn!(session = %id, %error, "the size of a recording is not known"),
            Err(error) => tracing::warn!(session = %id, %error, "the size of a recording is not known"),
        }
    }
}

/// Brings everything that was used to the store.
pub(super) async fn save_all(book: &Arc<Book>, store: &Arc<dyn Store>) {
    let all = book.unsaved(Unsaved::All);
    if !all.is_empty() {
        save(book, store, all).await;
    }
}

async fn save(book: &Arc<Book>, store: &Arc<dyn Store>, records: Vec<crate::quota::CpuRecord>) {
    let (first, added) = (book.first_slot(), records.clone());
    if let Err(error) = records::ask(store, move |store| store.add_cpu(&added, first)).await {
        tracing::warn!(%error, "CPU time of callers could not be kept; it is tried again");
        book.not_saved(records);
    }
}

/// Whether a call is counted by its CPU time.
fn works(call: &ToolCall) -> bool {
    matches!(call, ToolCall::ExecuteCode { .. } | ToolCall::ExecuteCommand { .. })
}
