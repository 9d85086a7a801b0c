//! Which interpreters exist: a table from key to policy that can be exchanged as a whole while sessions run.

use crate::id::Principal;
use crate::policy::Policy;
use crate::policy::narrow::{Beyond, narrow};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

/// Policies by key, and what bounds the sessions of some tenants. Both are exchanged together.
#[derive(Debug, Default)]
struct Table {
    policies: BTreeMap<String, Arc<Policy>>,
    tenants: BTreeMap<String, Arc<Policy>>,
}

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
        self.snapshot().policies.get(key).cloned()
    }

    /// The policy that a session of `who` would get: the interpreter's, within the ceiling of the caller's tenant.
    pub fn within_ceilings(&self, key: &str, who: &Principal) -> Option<Result<Arc<Policy>, Beyond>> {
        let table = self.snapshot();
        let policy = table.policies.get(key)?;
        let Some(ceiling) = table.tenants.get(&who.tenant) else { return Some(Ok(Arc::clone(policy))) };
        Some(narrow(policy, ceiling).map(|within| {
            // The very same policy finds its ready sandboxes.
            if within == **policy { Arc::clone(policy) } else { Arc::new(within) }
        }))
    }

    /// The interpreter for clients that name a tier only: `preferred` if it is on that tier, else the one that is called like
    /// the tier, else the first by name.
    pub fn on_tier(&self, tier: &str, preferred: &str) -> Option<String> {
        let table = self.snapshot();
        let fits = |key: &&str| table.policies.get(*key).is_some_and(|policy| policy.tier == tier);
        let known = [preferred, tier].into_iter().find(fits);
        known.or_else(|| table.policies.keys().map(String::as_str).find(fits)).map(str::to_owned)
    }

    /// Every tier that has an interpreter, sorted.
    pub fn tiers(&self) -> Vec<String> {
        let tiers: BTreeSet<String> =
            self.snapshot().policies.values().map(|policy| policy.tier.clone()).collect();
        tiers.into_iter().collect()
    }

    /// Every key, sorted.
    pub fn keys(&self) -> Vec<String> {
        self.snapshot().policies.keys().cloned().collect()
    }

    /// Put another table in place of this one, in one step: a reader sees the old one or the new one, never a mixture.
    pub fn replace(&self, entries: impl IntoIterator<Item = (String, Arc<Policy>)>) {
        self.replace_all(entries, []);
    }

    /// The same with the ceilings of tenants, by the tenant's name. A tenant that is not among them has none of its own.
    pub fn replace_all(
        &self,
        entries: impl IntoIterator<Item = (String, Arc<Policy>)>,
        tenants: impl IntoIterator<Item = (String, Arc<Policy>)>,
    ) {
        let (policies, tenants) = (entries.into_iter().collect(), tenants.into_iter().collect());
        let table = Arc::new(Table { policies, tenants });
        // A poisoned lock is no danger: the only write is this assignment of a finished table.
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = table;
    }

    fn snapshot(&self) -> Arc<Table> {
        Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(tier: &str) -> Arc<Policy> {
        Arc::new(Policy { tier: tier.into(), ..Policy::built_in("p") })
    }

    #[test]
    fn a_tier_means_the_preferred_interpreter_then_its_namesake_then_the_first() {
        let table = Interpreters::new([
            ("aws".to_owned(), on("process")),
            ("a-mine".to_owned(), on("process")),
            ("wasm".to_owned(), on("wasm")),
            ("b-mine".to_owned(), on("wasm")),
        ]);
        let found = |tier: &str| table.on_tier(tier, "aws");
        assert_eq!(found("process").as_deref(), Some("aws"));
        assert_eq!(found("wasm").as_deref(), Some("wasm"));
        assert_eq!(found("browser"), None);
        assert_eq!(table.tiers(), ["process", "wasm"]);
        table.replace([("b".to_owned(), on("wasm")), ("c".to_owned(), on("wasm"))]);
        assert_eq!(table.on_tier("wasm", "aws").as_deref(), Some("b"));
        // A policy that is called like a tier and is on another one is not meant.
        table.replace([("wasm".to_owned(), on("process"))]);
        assert_eq!(table.on_tier("wasm", "aws"), None);
    }

    #[test]
    fn a_tenants_ceiling_bounds_its_sessions_and_nobody_elses() {
        let mut ceiling = Policy::built_in("small");
        ceiling.resources.memory = 1 << 30;
        ceiling.filesystem.disk = 256 << 20;
        ceiling.filesystem.max_file = 256 << 20;
        let table = Interpreters::default();
        table.replace_all([("a".to_owned(), on("process"))], [("acme".to_owned(), Arc::new(ceiling))]);
        let who = |tenant: &str| Principal { tenant: tenant.into(), name: "ann".into() };
        let memory =
            |tenant: &str| table.within_ceilings("a", &who(tenant)).unwrap().unwrap().resources.memory;
        assert_eq!((memory("acme"), memory("other")), (1 << 30, 2 << 30));
        assert!(Arc::ptr_eq(
            &table.within_ceilings("a", &who("other")).unwrap().unwrap(),
            &table.get("a").unwrap()
        ));
        assert!(table.within_ceilings("b", &who("acme")).is_none());
        table.replace_all(
            [("a".to_owned(), on("process"))],
            [("acme".to_owned(), Arc::new(Policy { tier: "wasm".into(), ..Policy::built_in("w") }))],
        );
        assert!(table.within_ceilings("a", &who("acme")).unwrap().is_err());
    }
}
