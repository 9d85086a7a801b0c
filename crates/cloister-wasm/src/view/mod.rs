//! The files of a session, in memory: a read-only base that sessions share, and a writable tree of their own under quotas.
//!
//! ```text
//!   wasi ──descriptor──▶ descriptors.rs ────────────────────┐
//!   wasi ──path────────▶ open.rs, paths.rs ▶ resolve.rs ────┼─▶ access.rs, tree.rs ─┬─▶ slab.rs ▶ node.rs ▶ content.rs   own, charged
//!   server ──tool──────▶ tools.rs ─────────▶ resolve.rs ────┘                       └─▶ base.rs                          shared, read-only
//!   fork, checkpoint: View::clone (counts only)       eviction: save.rs, load.rs      report: changes.rs
//! ```
//!
//! INVARIANT: nothing here makes a system call, and no path leads out of the view: it is a map in memory. `pack.rs` alone reads the
//! host, when an image is built.
//! INVARIANT: nothing grows without being charged first: chunks and inodes to the [`Limits`], descriptors to their number, and a name
//! or link target to the inode that it belongs to.

mod access;
mod base;
mod changes;
mod config;
mod content;
mod descriptors;
mod errno;
mod flags;
mod load;
mod node;
mod open;
mod pack;
mod paths;
mod resolve;
mod save;
mod slab;
#[cfg(test)]
mod tests;
mod tools;
mod tree;

pub use base::{Base, BaseError};
pub use changes::Mark;
pub use config::{BadConfig, Config};
pub use descriptors::{DirectoryEntry, Fdstat, Target, Whence};
pub use errno::Errno;
pub use flags::{FdFlags, OpenFlags, Rights, SetTimes};
pub use load::LoadError;
pub use node::Times;
pub use open::Wanted;
pub use resolve::{Follow, NAME, PATH};
pub use tree::{FileType, Limits, Stat, Usage};

use descriptors::Descriptors;
#[cfg(test)]
pub(crate) use tests::audit::audit;

use std::sync::Arc;
use tree::Tree;

/// All files of one session and its open descriptors. A clone is a session of its own that shares what neither changes.
#[derive(Clone, Debug)]
pub struct View {
    tree: Tree,
    descriptors: Descriptors,
    workspace: Arc<str>,
    /// The tree as it was made, without any files of a session.
    fresh: Arc<Tree>,
    /// What of the configuration a saved view must find again.
    shape: Arc<str>,
}

impl View {
    /// What the session has of its limits.
    pub fn usage(&self) -> Usage {
        self.tree.usage()
    }

    /// The limits that it was made with.
    pub fn limits(&self) -> Limits {
        self.tree.limits
    }

    /// The same files under other limits. What is there already stays, even above them.
    #[must_use]
    pub fn limited(mut self, limits: Limits) -> Self {
        self.tree.limit(limits);
        self
    }

    /// The directory that relative paths of clients are in.
    pub fn workspace(&self) -> &str {
        &self.workspace
    }
}
