//! `[quotas]`: what principals and tenants may use.
//!
//! ```toml
//! [quotas.principal]               # each principal
//! sessions = 50
//! cpu_seconds = 36000              # within 24 hours
//!
//! [quotas.tenant]                  # all principals of a tenant together
//! starts_per_minute = 600
//!
//! [quotas.principals."acme/ann"]   # in place of each of these
//! sessions = "unlimited"
//!
//! [quotas.tenants.acme]
//! stored_mib = 10240
//! ```

use cloister_core::Principal;
use cloister_core::quota::{Limits, Quotas};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// The table. Absent fields are the defaults.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct QuotasConfig {
    /// Each principal without a table of its own.
    principal: LimitsConfig,
    /// Each tenant without a table of its own.
    tenant: LimitsConfig,
    /// Principals by `TENANT/NAME`; a `/` or `%` in the tenant is written %2F or %25. What one does not say, `principal` says.
    principals: BTreeMap<String, LimitsConfig>,
    /// Tenants by name. What one does not say, `tenant` says.
    tenants: BTreeMap<String, LimitsConfig>,
}

/// One set of limits.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct LimitsConfig {
    /// Live sessions at once. Default 500 for a principal.
    sessions: Option<Amount>,
    /// Starts within 60 seconds. Default unlimited.
    starts_per_minute: Option<Amount>,
    /// Seconds of CPU time within 24 hours. Default unlimited.
    cpu_seconds: Option<Amount>,
    /// MiB of recordings. Default unlimited.
    stored_mib: Option<Amount>,
}

/// A whole number, or `"unlimited"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Amount(Option<u64>);

impl QuotasConfig {
    /// As the sessions know them.
    ///
    /// Errors: what is wrong with a name.
    pub(crate) fn quotas(&self) -> Result<Quotas, String> {
        let defaults = Quotas::default();
        let each_principal = self.principal.over(&defaults.each_principal);
        let each_tenant = self.tenant.over(&defaults.each_tenant);
        let mut quotas = Quotas { each_principal, each_tenant, ..defaults };
        for (name, own) in &self.principals {
            let who = principal(name).ok_or_else(|| {
                format!("quotas.principals.{name:?}: a principal is TENANT/NAME, as `cloister token list` shows it")
            })?;
            quotas.principals.insert(who, own.over(&each_principal));
        }
        for (name, own) in &self.tenants {
            quotas.tenants.insert(name.clone(), own.over(&each_tenant));
        }
        Ok(quotas)
    }
}

impl LimitsConfig {
    fn over(&self, others: &Limits) -> Limits {
        let Self { sessions, starts_per_minute, cpu_seconds, stored_mib } = *self;
        let own = |said: Option<Amount>, other: Option<u64>| said.map_or(other, |Amount(said)| said);
        Limits {
            sessions: own(sessions, others.sessions),
            starts_per_minute: own(starts_per_minute, others.starts_per_minute),
            cpu: own(cpu_seconds, others.cpu.map(|cpu| cpu.as_secs())).map(Duration::from_secs),
            stored: stored_mib
                .map_or(others.stored, |Amount(said)| said.map(|mib| mib.saturating_mul(1 << 20))),
        }
    }
}

fn principal(text: &str) -> Option<Principal> {
    let (tenant, name) = text.split_once('/')?;
    let tenant = tenant.replace("%2F", "/").replace("%25", "%");
    (!tenant.is_empty() && !name.is_empty()).then(|| Principal { tenant, name: name.to_owned() })
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Amount;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number of at least 0, or \"unlimited\"")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Amount, E> {
                let number = u64::try_from(number);
                number.map(|number| Amount(Some(number))).map_err(|_| E::custom("must be at least 0"))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Amount, E> {
                Ok(Amount(Some(number)))
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<Amount, E> {
                match word {
                    "unlimited" => Ok(Amount(None)),
                    _ => Err(E::custom("must be a whole number or \"unlimited\"")),
                }
            }
        }
        from.deserialize_any(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Quotas, String> {
        let parsed: Result<QuotasConfig, _> = toml::from_str(text);
        parsed.map_err(|error| error.to_string())?.quotas()
    }

    #[test]
    fn an_empty_table_is_the_default_and_own_tables_change_what_they_say() {
        assert_eq!(read("").unwrap(), Quotas::default());
        let text = "[principal]\nsessions = 50\ncpu_seconds = 3600\n[tenant]\nstored_mib = 2\n\
                    [principals.'acme/ann']\nsessions = 'unlimited'\n[principals.'a%2Fb%25/c/d']\nstarts_per_minute = 0\n\
                    [tenants.acme]\nsessions = 7\n";
        let quotas = read(text).unwrap();
        let hour = Some(Duration::from_secs(3600));
        assert_eq!(quotas.each_principal, Limits { sessions: Some(50), cpu: hour, ..Limits::default() });
        let of = |tenant: &str, name: &str| {
            quotas.principals[&Principal { tenant: tenant.into(), name: name.into() }]
        };
        assert_eq!(of("acme", "ann"), Limits { cpu: hour, ..Limits::default() });
        assert_eq!(of("a/b%", "c/d").starts_per_minute, Some(0));
        let tenant = Limits { sessions: Some(7), stored: Some(2 << 20), ..Limits::default() };
        assert_eq!(quotas.tenants["acme"], tenant);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for bad in [
            "[principal]\nsessions = -1",
            "[principal]\nsessions = 'many'",
            "[principal]\nsessions = 1.5",
            "[principal]\ncpu = 1",
            "sessions = 1",
            "[principals.ann]\nsessions = 1",
            "[principals.'/ann']\nsessions = 1",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
