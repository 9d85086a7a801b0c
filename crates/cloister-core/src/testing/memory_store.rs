//! A store in memory, for tests.

use crate::error::{Error, Kind};
use crate::id::{Principal, SandboxId, SessionId};
use crate::lock::lock;
use crate::quota::CpuRecord;
use crate::session::{EndReason, ListQuery, Page, Status};
use crate::store::{Store, StoredSession};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

/// Keeps records in a vector, in the order of their creation.
#[derive(Debug, Default)]
pub struct MemoryStore {
    sessions: Mutex<Vec<StoredSession>>,
    cpu: Mutex<Vec<CpuRecord>>,
    broken: AtomicBool,
    full: AtomicBool,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on every change fails (`true`) or works again (`false`), as with a full disk; reading goes on.
    pub fn fill_up(&self, full: bool) {
        self.full.store(full, Ordering::SeqCst);
    }

    /// From now on every call fails (`true`) or works again (`false`), as with a disk that is gone.
    pub fn break_down(&self, broken: bool) {
        self.broken.store(broken, Ordering::SeqCst);
    }

    /// Every record, oldest first.
    pub fn all(&self) -> Vec<StoredSession> {
        lock(&self.sessions).clone()
    }

    fn with<T>(&self, what: impl FnOnce(&mut Vec<StoredSession>) -> T) -> Result<T, Error> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(Error::internal("the session store does not answer", "input/output error"));
        }
        Ok(what(&mut lock(&self.sessions)))
    }

    fn change<T>(&self, what: impl FnOnce(&mut Vec<StoredSession>) -> T) -> Result<T, Error> {
        if self.full.load(Ordering::SeqCst) {
            return Err(Error::internal("the session store does not answer", "no space left on device"));
        }
        self.with(what)
    }
}

impl Store for MemoryStore {
    fn insert(&self, session: &StoredSession) -> Result<(), Error> {
        self.change(|all| {
            if all.iter().any(|s| s.record.id == session.record.id) {
                let id = &session.record.id;
                return Err(Error::new(Kind::Internal, format!("session {id} is recorded already")));
            }
            all.push(session.clone());
            Ok(())
        })?
    }

    fn bind(&self, id: &SessionId, sandbox: &SandboxId) -> Result<(), Error> {
        self.change(|all| {
            if let Some(session) = all.iter_mut().find(|s| s.record.id == *id) {
                session.sandbox = Some(sandbox.clone());
            }
        })
    }

    fn terminate(
        &self,
        id: &SessionId,
        reason: EndReason,
        cause: Option<&str>,
        at: SystemTime,
    ) -> Result<(), Error> {
        self.change(|all| {
            if let Some(session) =
                all.iter_mut().find(|s| s.record.id == *id && s.record.status == Status::Ready)
            {
                session.record.status = Status::Terminated;
                session.record.ended = Some(reason);
                session.record.cause = cause.map(str::to_owned);
                session.record.updated = at;
            }
        })
    }

    fn forget(&self, id: &SessionId) -> Result<(), Error> {
        self.change(|all| all.retain(|s| s.record.id != *id))
    }

    fn get(&self, id: &SessionId) -> Result<Option<StoredSession>, Error> {
        self.with(|all| all.iter().find(|s| s.record.id == *id).cloned())
    }

    fn by_token(&self, owner: &Principal, key: &str, token: &str) -> Result<Option<StoredSession>, Error> {
        self.with(|all| {
            all.iter()
                .find(|s| s.owner == *owner && s.key == key && s.client_token.as_deref() == Some(token))
                .cloned()
        })
    }

    fn list(&self, owner: &Principal, key: Option<&str>, query: &ListQuery) -> Result<Page, Error> {
        self.with(|all| {
            let mut newest_first: Vec<_> = all.iter().filter(|s| s.owner == *owner).collect();
            newest_first.sort_by(|a, b| {
                (b.record.created, b.record.id.as_str()).cmp(&(a.record.created, a.record.id.as_str()))
            });
            // The cursor is a place in the order, so it holds even if its session does not match the filters.
            let from = match &query.after {
                None => 0,
                Some(after) => newest_first
                    .iter()
                    .position(|s| s.record.id == *after)
                    .map_or(newest_first.len(), |i| i + 1),
            };
            let mut items: Vec<_> = newest_first
                .drain(from..)
                .filter(|s| key.is_none_or(|key| s.key == key))
                .map(|s| s.record.clone())
                .filter(|record| query.status.is_none_or(|status| record.status == status))
                .take(query.limit.saturating_add(1))
                .collect();
            let more = items.len() > query.limit;
            items.truncate(query.limit);
            let next = if more { items.last().map(|record| record.id.clone()) } else { None };
            Page { items, next }
        })
    }

    fn live(&self) -> Result<Vec<StoredSession>, Error> {
        self.with(|all| all.iter().filter(|s| s.record.status == Status::Ready).cloned().collect())
    }

    fn prune(&self, before: SystemTime) -> Result<usize, Error> {
        self.change(|all| {
            let had = all.len();
            all.retain(|s| s.record.status == Status::Ready || s.record.updated >= before);
            had - all.len()
        })
    }

    fn add_cpu(&self, records: &[CpuRecord], first: u64) -> Result<(), Error> {
        self.change(|_| {
            let mut all = lock(&self.cpu);
            for record in records {
                match all.iter_mut().find(|known| known.owner == record.owner && known.slot == record.slot) {
                    Some(known) => known.cpu += record.cpu,
                    None => all.push(record.clone()),
                }
            }
            all.retain(|record| record.slot >= first);
        })
    }

    fn cpu_since(&self, first: u64) -> Result<Vec<CpuRecord>, Error> {
        self.with(|_| lock(&self.cpu).iter().filter(|record| record.slot >= first).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check_store;

    #[test]
    fn it_keeps_the_contract_of_a_store() {
        check_store(&MemoryStore::new()).unwrap();
    }
}
