//! What is served: every interpreter and browser with its policy, and what bounds whom.
//!
//! ```text
//!   configuration + policies ─▶ interpreters ─ narrow ─ [policy] ceiling ─▶ Served ─▶ Interpreters (one table, exchanged as a whole)
//!                               tenants' ceilings ──────────────────────────▶    └──▶ pools of the backends
//! ```
//!
//! It is made at the start and again at every reload, from nothing but files: a set that cannot be made changes nothing.

use crate::audit::sha256;
use crate::config::{ByName, Config, SYSTEM_BROWSER, SYSTEM_INTERPRETER};
use crate::policies::{Policies, PoliciesError, read, stem};
use cloister_access::Cedar;
use cloister_core::policy::narrow::{Beyond, narrow, widenings};
use cloister_core::policy::{Policy, StartMode};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Everything that sessions can start under.
#[derive(Clone, Debug, Default)]
pub(crate) struct Served {
    /// Policies by the name of their interpreter or browser.
    pub(crate) interpreters: Vec<(String, Arc<Policy>)>,
    /// Ceilings by tenant.
    pub(crate) tenants: Vec<(String, Arc<Policy>)>,
    /// Policies whose sandboxes are kept ready.
    pub(crate) pooled: Vec<Arc<Policy>>,
    /// SHA-256 of the system call lists, by their path below `policies/`.
    pub(crate) lists: BTreeMap<String, String>,
}

/// Why nothing can be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServedError {
    /// A policy.
    #[error(transparent)]
    Policies(#[from] PoliciesError),
    /// A ceiling that a policy has nothing in common with.
    #[error("[policy] ceiling: {0}")]
    Beyond(#[from] Beyond),
}

impl Served {
    /// Every interpreter and browser: the system's, those of the configuration, and policies under their own names; each within the
    /// deployment's ceiling.
    pub(crate) fn of(config: &Config, policies: &Policies) -> Result<Self, ServedError> {
        let bounds = config.policy.ceiling.as_deref().map(|given| ceiling(policies, given)).transpose()?;
        let within = |policy: Arc<Policy>| match &bounds {
            None => Ok(policy),
            Some(bounds) => narrow(&policy, bounds).map(Arc::new),
        };
        let load = |name: &str| -> Result<Arc<Policy>, ServedError> { Ok(within(policies.load(name)?)?) };
        let mut listed = BTreeMap::from([
            (SYSTEM_INTERPRETER.to_owned(), load("default")?),
            // As the service that clients know: public addresses, and only those.
            (SYSTEM_BROWSER.to_owned(), load("browser-open")?),
        ]);
        for (id, interpreter) in &config.interpreters {
            listed.insert(id.clone(), load(&interpreter.policy)?);
        }
        // All are read in any case: a broken file is found at the start and not at the first use.
        let all = policies.all()?.into_iter().map(within).collect::<Result<Vec<_>, _>>()?;
        let bound = listed.get(SYSTEM_INTERPRETER).cloned();
        let named = all.into_iter().filter(|policy| match config.server.policies_by_name {
            ByName::All => true,
            ByName::None => false,
            ByName::Narrower => bound.as_deref().is_some_and(|bound| widenings(policy, bound).is_empty()),
        });
        for policy in named {
            listed.entry(policy.name.clone()).or_insert(policy);
        }
        let tenants = config.tenants.iter().filter_map(|(tenant, bounds)| {
            let given = bounds.ceiling.as_deref()?;
            Some(ceiling(policies, given).map(|policy| (tenant.clone(), Arc::new(policy))))
        });
        let tenants = tenants.collect::<Result<_, _>>()?;
        let interpreters: Vec<_> = listed.into_iter().collect();
        let pooled = pooled(config, &interpreters);
        Ok(Self { interpreters, tenants, pooled, lists: policies.list_digests() })
    }

    /// SHA-256 of everything that decides: which policy is whose and what it says, ceilings, system call lists, access policies. Two
    /// servers with the same one allow the same.
    pub(crate) fn digest(&self, access: &Cedar) -> String {
        let Self { interpreters, tenants, pooled: _, lists } = self;
        let mut text = String::new();
        let mut line = |words: [&str; 3]| text.push_str(&format!("{words:?}\n"));
        for (kind, table) in [("interpreter", interpreters), ("tenant", tenants)] {
            table.iter().for_each(|(id, policy)| line([kind, id, &policy.reference().to_string()]));
        }
        lists.iter().for_each(|(name, digest)| line(["list", name, digest]));
        access.texts().iter().for_each(|text| line(["access", text, ""]));
        sha256(text.as_bytes())
    }

    /// Every policy that an interpreter has.
    pub(crate) fn policies(&self) -> Vec<Arc<Policy>> {
        self.interpreters.iter().map(|(_, policy)| Arc::clone(policy)).collect()
    }
}

/// A ceiling: the name of a policy, or a file, which may extend policies. Whether it says `ceiling = true` does not matter here.
fn ceiling(policies: &Policies, given: &str) -> Result<Policy, PoliciesError> {
    let path = Path::new(given);
    if !(given.contains('/') || path.extension().is_some_and(|extension| extension == "toml")) {
        return Ok(policies.resolve(given)?.policy);
    }
    let mut policies = policies.clone();
    policies.add(&stem(path), given.to_owned(), read(path)?);
    Ok(policies.resolve(&stem(path))?.policy)
}

/// Policies whose sandboxes are kept ready: those that somebody chose. One that is only reachable by its name starts on
/// demand, because every ready sandbox holds memory.
fn pooled(config: &Config, interpreters: &[(String, Arc<Policy>)]) -> Vec<Arc<Policy>> {
    let mut pooled: Vec<Arc<Policy>> = Vec::new();
    for (id, policy) in interpreters {
        let chosen = id == SYSTEM_INTERPRETER || id == SYSTEM_BROWSER || config.interpreters.contains_key(id);
        if chosen && policy.start == StartMode::Pool && !pooled.iter().any(|other| other.name == policy.name)
        {
            pooled.push(Arc::clone(policy));
        }
    }
    pooled
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Bounds, Interpreter};

    fn served(config: &Config) -> Served {
        Served::of(config, &Policies::embedded()).unwrap()
    }

    fn has(config: &Config, id: &str) -> bool {
        served(config).interpreters.iter().any(|(other, _)| other == id)
    }

    #[test]
    fn clients_choose_by_name_only_what_grants_no_more_than_the_default() {
        let mut config = Config::default();
        assert!(has(&config, SYSTEM_INTERPRETER) && has(&config, "default") && has(&config, "strict"));
        assert!(!has(&config, "public") && !has(&config, "ceiling"));
        config.server.policies_by_name = ByName::All;
        assert!(has(&config, "public") && !has(&config, "ceiling"));
        config.server.policies_by_name = ByName::None;
        config.interpreters.insert("mine".into(), Interpreter { policy: "public".into() });
        let ids: Vec<_> = served(&config).interpreters.into_iter().map(|(id, _)| id).collect();
        assert_eq!(ids, [SYSTEM_BROWSER, SYSTEM_INTERPRETER, "mine"]);
    }

    #[test]
    fn an_interpreter_of_an_unknown_policy_stops_the_server() {
        let mut config = Config::default();
        config.interpreters.insert("mine".into(), Interpreter { policy: "nonsense".into() });
        let error = Served::of(&config, &Policies::embedded()).unwrap_err();
        assert!(error.to_string().contains("nonsense"), "{error}");
    }

    #[test]
    fn only_chosen_policies_are_kept_ready_and_each_once() {
        let mut config = Config::default();
        config.interpreters.insert("mine".into(), Interpreter { policy: "default".into() });
        let names: Vec<_> = served(&config).pooled.iter().map(|policy| policy.name.clone()).collect();
        assert_eq!(names, ["browser-open", "default"]);
    }

    #[test]
    fn the_deployments_ceiling_bounds_every_policy_and_a_tenants_stands_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("small.toml");
        std::fs::write(
            &path,
            "ceiling = true\n[resources]\nmemory = '1GiB'\npids = 4096\nopen_files = 65536",
        )
        .unwrap();
        let mut config = Config::default();
        config.policy.ceiling = Some(path.display().to_string());
        config.tenants.insert("acme".into(), Bounds { ceiling: Some("strict".into()) });
        config.tenants.insert("corp".into(), Bounds { ceiling: None });
        let served = served(&config);
        for (id, policy) in &served.interpreters {
            assert!(policy.resources.memory <= 1 << 30, "{id}");
        }
        let browser = served.interpreters.iter().find(|(id, _)| id == SYSTEM_BROWSER).unwrap();
        assert_eq!(
            (browser.1.tier.as_str(), browser.1.isolation.seccomp.as_str()),
            ("browser", "seccomp/browser.json")
        );
        assert!(
            served.pooled.iter().all(|policy| policy.resources.memory <= 1 << 30),
            "what is kept ready is bounded too"
        );
        let tenants: Vec<_> =
            served.tenants.iter().map(|(tenant, policy)| (tenant.as_str(), policy.name.as_str())).collect();
        assert_eq!(tenants, [("acme", "strict")]);

        config.policy.ceiling = Some("wasm".into());
        let error = Served::of(&config, &Policies::embedded()).unwrap_err();
        assert!(error.to_string().contains("tier"), "{error}");
        config.policy.ceiling = Some("nonsense".into());
        assert!(Served::of(&config, &Policies::embedded()).is_err());
    }
}
