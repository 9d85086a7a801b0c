//! `[audit]`: how the audit log is kept.

use crate::audit::{Limits, OnFailure};
use cloister_core::audit::Durability;
use serde::Deserialize;

/// `[audit]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Audit {
    /// Whether sessions are not started, and keys not issued, while that cannot be recorded. Default true.
    pub(crate) fail_closed: Option<bool>,
    /// Whether starts and stops of sessions wait until the disk has their records, so that a power cut loses none of them; a flush
    /// for each. Default false: the kernel has them before the session is started, and the disk within a second.
    pub(crate) sync_sessions: bool,
    /// Mebibytes of one file, after which the next is begun. Default 64.
    pub(crate) file_mib: Option<u64>,
}

impl Audit {
    /// With the defaults put in.
    pub(crate) fn limits(&self) -> Limits {
        let default = Limits::default();
        Limits {
            file: self.file_mib.map_or(default.file, |mib| mib.max(1) << 20),
            on_failure: if self.fail_closed.unwrap_or(true) { OnFailure::Close } else { OnFailure::GoOn },
            sessions: if self.sync_sessions { Durability::Synced } else { Durability::Soon },
        }
    }
}
