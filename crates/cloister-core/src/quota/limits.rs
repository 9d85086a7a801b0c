//! What may be used, by everybody and by some in particular.

use super::Quota;
use crate::id::Principal;
use std::collections::HashMap;
use std::time::Duration;

/// The limits of one principal or tenant. Absent is unlimited; zero is nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Live sessions at once.
    pub sessions: Option<u64>,
    /// Starts within 60 seconds.
    pub starts_per_minute: Option<u64>,
    /// CPU time within 24 hours.
    pub cpu: Option<Duration>,
    /// Bytes that the server keeps for it.
    pub stored: Option<u64>,
}

impl Limits {
    /// One of them, in the unit of [`super::Use`].
    pub fn get(&self, quota: Quota) -> Option<u64> {
        match quota {
            Quota::Sessions => self.sessions,
            Quota::Starts => self.starts_per_minute,
            Quota::Cpu => self.cpu.map(|cpu| cpu.as_secs()),
            Quota::Stored => self.stored,
        }
    }
}

/// The limits of everybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quotas {
    /// Of each principal that has none of its own.
    pub each_principal: Limits,
    /// Of each tenant that has none of its own.
    pub each_tenant: Limits,
    /// Of these principals.
    pub principals: HashMap<Principal, Limits>,
    /// Of these tenants.
    pub tenants: HashMap<String, Limits>,
}

impl Default for Quotas {
    /// No principal takes more than half of the sessions that a server has by default; the rest is unlimited.
    fn default() -> Self {
        Self {
            each_principal: Limits { sessions: Some(500), ..Limits::default() },
            each_tenant: Limits::default(),
            principals: HashMap::new(),
            tenants: HashMap::new(),
        }
    }
}

impl Quotas {
    pub(super) fn of_principal(&self, who: &Principal) -> &Limits {
        self.principals.get(who).unwrap_or(&self.each_principal)
    }

    pub(super) fn of_tenant(&self, tenant: &str) -> &Limits {
        self.tenants.get(tenant).unwrap_or(&self.each_tenant)
    }
}
