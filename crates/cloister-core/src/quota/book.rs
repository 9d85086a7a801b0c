//! The book of a server: who has used what, and who is let in.

use super::account::{Account, Now, SLOTS};
use super::refused::UsedUp;
use super::{CpuRecord, Limits, Quota, Quotas, Scope, Use};
use crate::id::{Principal, SessionId};
use crate::lock::lock;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// Accounts below which none is dropped; above, empty ones are. Stops memory exhaustion by tokens with ever new names.
const ACCOUNTS: usize = 4096;
/// How long CPU time may wait to be kept. A crash loses no more than that.
const KEEP_AFTER: Duration = Duration::from_secs(10);

/// Counts and admits. Shared by all sessions.
#[derive(Debug)]
pub struct Book {
    quotas: Quotas,
    began: Now,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    principals: HashMap<Principal, Account>,
    tenants: HashMap<String, Account>,
    /// Recordings on disk: whose, and how large.
    kept: HashMap<SessionId, (Principal, u64)>,
    /// CPU time that is not in the store yet, by owner and slot.
    unsaved: HashMap<(Principal, u64), Duration>,
    waiting_since: Option<Instant>,
    /// Accounts above which empty ones are dropped the next time.
    bound: usize,
}

impl State {
    /// The accounts of a principal and of its tenant, without what has left its window.
    fn both(&mut self, who: &Principal, now: &Now) -> [&mut Account; 2] {
        if self.principals.len() + self.tenants.len() > self.bound.max(ACCOUNTS) {
            self.principals.values_mut().chain(self.tenants.values_mut()).for_each(|a| a.forget(now));
            self.principals.retain(|_, account| !account.is_empty());
            self.tenants.retain(|_, account| !account.is_empty());
            // Twice as many as are in use, so that a server with many callers does not look through them at every request.
            self.bound = 2 * (self.principals.len() + self.tenants.len());
        }
        let principal = self.principals.entry(who.clone()).or_default();
        let tenant = self.tenants.entry(who.tenant.clone()).or_default();
        principal.forget(now);
        tenant.forget(now);
        [principal, tenant]
    }
}

impl Book {
    /// An empty book.
    pub fn new(quotas: Quotas) -> Arc<Self> {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let began = Now { instant: Instant::now(), since_1970 };
        Arc::new(Self { quotas, began, state: Mutex::default() })
    }

    fn now(&self) -> Now {
        let instant = Instant::now();
        Now { instant, since_1970: self.began.since_1970 + instant.duration_since(self.began.instant) }
    }

    fn limits(&self, who: &Principal) -> [(Scope, Limits); 2] {
        [
            (Scope::Principal, *self.quotas.of_principal(who)),
            (Scope::Tenant, *self.quotas.of_tenant(&who.tenant)),
        ]
    }

    /// Lets one more session in, whose recording may grow to `recording` bytes (0 without one), and counts it; or says which quota is
    /// used up, and counts nothing.
    pub(crate) fn admit(self: &Arc<Self>, who: &Principal, recording: u64) -> Result<Seat, UsedUp> {
        let (now, limits) = (self.now(), self.limits(who));
        let mut state = lock(&self.state);
        let mut accounts = state.both(who, &now);
        for quota in Quota::ALL {
            let asked = if quota == Quota::Stored { recording } else { 1 };
            check(who, quota, &limits, &accounts, asked, &now)?;
        }
        for account in &mut accounts {
            account.started(&now);
            account.sessions += 1;
            account.reserved += recording;
        }
        Ok(Seat { book: Arc::clone(self), who: who.clone(), recording })
    }

    /// Lets a call in that will use CPU time.
    pub(crate) fn admit_call(&self, who: &Principal) -> Result<(), UsedUp> {
        let (now, limits) = (self.now(), self.limits(who));
        let mut state = lock(&self.state);
        let accounts = state.both(who, &now);
        check(who, Quota::Cpu, &limits, &accounts, 1, &now)
    }

    /// Measures a call from now on.
    pub(crate) fn meter(self: &Arc<Self>, who: &Principal) -> Meter {
        Meter { book: Arc::clone(self), who: who.clone(), began: Instant::now(), used: None }
    }

    /// Adds CPU time.
    pub(crate) fn worked(&self, who: &Principal, cpu: Duration) {
        let now = self.now();
        let mut state = lock(&self.state);
        for account in state.both(who, &now) {
            account.worked(now.slot(), cpu);
        }
        *state.unsaved.entry((who.clone(), now.slot())).or_default() += cpu;
        state.waiting_since.get_or_insert(now.instant);
    }

    /// A recording of `bytes` lies on disk.
    pub(crate) fn keep(&self, id: &SessionId, who: &Principal, bytes: u64) {
        self.drop_kept(id);
        let now = self.now();
        let mut state = lock(&self.state);
        state.kept.insert(id.clone(), (who.clone(), bytes));
        for account in state.both(who, &now) {
            account.kept += bytes;
        }
    }

    /// A recording has been removed.
    pub(crate) fn drop_kept(&self, id: &SessionId) {
        let now = self.now();
        let mut state = lock(&self.state);
        if let Some((who, bytes)) = state.kept.remove(id) {
            for account in state.both(&who, &now) {
                account.kept = account.kept.saturating_sub(bytes);
            }
        }
    }

    /// What a principal and its tenant have used, and what they may.
    pub(crate) fn uses(&self, who: &Principal) -> Vec<Use> {
        let (now, limits) = (self.now(), self.limits(who));
        let mut state = lock(&self.state);
        let accounts = state.both(who, &now);
        let both = limits.iter().zip(&accounts);
        both.flat_map(|((scope, limits), account)| {
            Quota::ALL.map(|quota| Use {
                quota,
                scope: *scope,
                used: account.used(quota),
                limit: limits.get(quota),
            })
        })
        .collect()
    }

    /// The oldest slot that counts.
    pub(crate) fn first_slot(&self) -> u64 {
        self.now().slot().saturating_sub(SLOTS - 1)
    }

    /// Takes over what a store has of former days.
    pub(crate) fn remember(&self, records: Vec<CpuRecord>) {
        let now = self.now();
        let mut state = lock(&self.state);
        for CpuRecord { owner, slot, cpu } in records {
            // A clock that was set back must not make the future count for ever.
            for account in state.both(&owner, &now) {
                account.worked(slot.min(now.slot()), cpu);
            }
        }
    }

    /// CPU time that a store should keep now; `all` of it, or only if some has waited for long enough.
    pub(crate) fn unsaved(&self, which: Unsaved) -> Vec<CpuRecord> {
        let now = self.now();
        let mut state = lock(&self.state);
        let due = state.waiting_since.is_some_and(|since| now.instant.duration_since(since) >= KEEP_AFTER);
        if which == Unsaved::Due && !due {
            return Vec::new();
        }
        state.waiting_since = None;
        state.unsaved.drain().map(|((owner, slot), cpu)| CpuRecord { owner, slot, cpu }).collect()
    }

    /// Takes back what could not be kept, for the next time.
    pub(crate) fn not_saved(&self, records: Vec<CpuRecord>) {
        let now = self.now();
        let mut state = lock(&self.state);
        for CpuRecord { owner, slot, cpu } in records {
            *state.unsaved.entry((owner, slot)).or_default() += cpu;
        }
        state.waiting_since.get_or_insert(now.instant);
    }
}

/// What of the unsaved CPU time is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsaved {
    /// All, if some has waited for long enough.
    Due,
    /// All.
    All,
}

fn check(
    who: &Principal,
    quota: Quota,
    limits: &[(Scope, Limits); 2],
    accounts: &[&mut Account; 2],
    asked: u64,
    now: &Now,
) -> Result<(), UsedUp> {
    let mut refused: Option<UsedUp> = None;
    for ((scope, limits), account) in limits.iter().zip(accounts) {
        let (Some(limit), used) = (limits.get(quota), account.used(quota)) else { continue };
        let over = match quota {
            // The last call may end above the limit: how much it will use, nobody knows.
            Quota::Cpu => limits.cpu.is_some_and(|limit| account.cpu() >= limit),
            Quota::Stored => asked > 0 && used.saturating_add(asked) > limit,
            Quota::Sessions | Quota::Starts => used.saturating_add(asked) > limit,
        };
        if !over {
            continue;
        }
        let wait = match quota {
            Quota::Starts => account.until_start(limit, now),
            Quota::Cpu => account.until_cpu(limits.cpu.unwrap_or_default(), now),
            Quota::Sessions | Quota::Stored => None,
        };
        let found = UsedUp { who: who.clone(), quota, scope: *scope, used, limit, asked, wait };
        // Of both that are used up, the one that lasts longer: a shorter time would not be true.
        let lasts = |up: &UsedUp| up.wait.unwrap_or(Duration::MAX);
        if refused.as_ref().is_none_or(|first| lasts(&found) > lasts(first)) {
            refused = Some(found);
        }
    }
    refused.map_or(Ok(()), Err)
}

/// The place of a session in its quotas; dropping it gives the place back.
#[derive(Debug)]
pub struct Seat {
    book: Arc<Book>,
    who: Principal,
    recording: u64,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let now = self.book.now();
        let mut state = lock(&self.book.state);
        for account in state.both(&self.who, &now) {
            account.sessions = account.sessions.saturating_sub(1);
            account.reserved = account.reserved.saturating_sub(self.recording);
        }
    }
}

/// Measures one call. Whatever becomes of the call, what it used is counted when this is dropped: as reported, or else the time that
/// it took, so that a guest that ends its sandbox has not run for nothing.
#[derive(Debug)]
pub struct Meter {
    book: Arc<Book>,
    who: Principal,
    began: Instant,
    used: Option<Duration>,
}

impl Meter {
    /// The call has ended with this report.
    pub(crate) fn report(&mut self, used: Duration) {
        self.used = Some(used);
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        let used = self.used.unwrap_or_else(|| self.began.elapsed());
        self.book.worked(&self.who, used);
    }
}
