//! The log of a server while it runs: its first and its last record, and the disk once a second.

use super::FileAudit;
use crate::cli::Failure;
use crate::config;
use crate::data_dir::DataDir;
use crate::receipts::ReceiptKey;
use cloister_core::audit::{Action, Desk, Event, Key, Resource};
use cloister_core::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinHandle, spawn_blocking};

/// How long a record that need not be on the disk at once may take to get there.
const FLUSH: Duration = Duration::from_secs(1);
/// How long repeated denials are counted before their number is written.
const SETTLE: u32 = 60;

/// What a server keeps records with.
pub(crate) struct Records {
    pub(crate) log: Arc<FileAudit>,
    pub(crate) desk: Arc<Desk>,
}

impl Records {
    /// The log and the key of a data folder.
    pub(crate) fn open(data: &DataDir, config: &config::Audit) -> Result<Self, Failure> {
        let log = Arc::new(FileAudit::open(data.audit(), config.limits())?);
        let desk = Desk::new(Arc::<FileAudit>::clone(&log)).signing(Arc::new(ReceiptKey::open(data)?));
        Ok(Self { log, desk: Arc::new(desk) })
    }

    /// The first record of a server, which names the policies in force by their digest, and the task that puts the others on the disk.
    pub(crate) async fn begin(&self, policies: String) -> Result<JoinHandle<()>, Error> {
        let event = Event::new(Action::ServerStart).on(Resource::Server);
        self.desk
            .before(event.with(Key::Version, env!("CARGO_PKG_VERSION")).with(Key::Policies, policies))
            .await?;
        let (log, desk) = (Arc::clone(&self.log), Arc::clone(&self.desk));
        Ok(tokio::spawn(async move {
            for beat in 1_u32.. {
                tokio::time::sleep(FLUSH).await;
                let (log, desk) = (Arc::clone(&log), Arc::clone(&desk));
                let flushed = spawn_blocking(move || {
                    if beat.is_multiple_of(SETTLE) {
                        desk.settle();
                    }
                    log.flush()
                });
                if let Ok(Err(error)) = flushed.await {
                    tracing::error!(%error, "the audit log could not be put on the disk");
                }
            }
        }))
    }

    /// The last record of a server; the task of [`Self::begin`] ends.
    pub(crate) async fn end(&self, writing: &JoinHandle<()>) -> Result<(), Error> {
        writing.abort();
        let desk = Arc::clone(&self.desk);
        let _ = spawn_blocking(move || desk.settle()).await;
        self.desk.before(Event::new(Action::ServerStop).on(Resource::Server)).await.map(drop)
    }
}
