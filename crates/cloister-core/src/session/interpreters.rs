//! Which interpreters exist: a table from key to policy that can be exchanged as a whole while sessions run.

use crate::policy::Policy;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

type Table = BTreeMap<String, Arc<Policy>>;

/// The configured interpreters: key (`aws.codeinterpreter.v1`) to the policy of its sessions.
///
/// Cloning is cheap and shares the table. A session keeps the policy that it was started with, so an exchange reaches
/// new sessions only.
#[derive(Clone, Debug, Default)]
pub struct Interpreters {
    table: Arc<RwLock<Arc<Table>>>,
}

impl Interpreters {
    /// A table of these interpreters.
    pub fn new(entries: impl IntoIterator<Item = (String, Arc<Policy>)>) -> Self {
        let this = Self::default();
        this.replace(entries);
        this
    }

    /// The policy of one interpreter.
    pub fn get(&self, key: &str) -> Option<Arc<Policy>> {
        self.snapshot().get(key).cloned()
    }

    /// Every key, sorted.
    pub fn keys(&self) -> Vec<String> {
        self.snapshot().keys().cloned().collect()
    }

    /// Put another table in place of this one, in one step: a reader sees the old one or the new one, never a mixture.
    pub fn replace(&self, entries: impl IntoIterator<Item = (String, Arc<Policy>)>) {
        let table = Arc::new(entries.into_iter().collect());
        // A poisoned lock is no danger: the only write is this assignment of a finished table.
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = table;
    }

    fn snapshot(&self) -> Arc<Table> {
        Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner))
    }
}
