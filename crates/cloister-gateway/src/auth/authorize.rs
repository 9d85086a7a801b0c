//! Whether a caller may do something: the one function that says so.
//!
//! ```text
//! authorize ─▶ Authorizer::decide ─┬─ Allow ─▶ Ok
//!                                  └─ Deny ─▶ mode ─┬─ enforce ─▶ Desk: id, audit log ─▶ AccessDenied with the id
//!                                                   └─ log-only ─▶ a log line ─▶ Ok
//! ```

use super::access::{AccessMode, Action, Decision, Details, Query, Refused, Resource};
use super::{Caller, now, roles};
use crate::config::GatewayConfig;
use crate::state::Gateway;
use cloister_core::denial::{Denial, Denials as _, Layer};
use cloister_core::error::{Error, Kind};

/// Fails if `caller` may not do this, as far as a request's head says what it is.
pub(crate) fn authorize(
    gateway: &Gateway,
    caller: &Caller,
    action: Action,
    resource: Resource<'_>,
) -> Result<(), Error> {
    authorize_with(gateway, caller, action, resource, Details::default())
}

/// Fails if `caller` may not do exactly this. A denial is noted with what denied it.
pub(crate) fn authorize_with(
    gateway: &Gateway,
    caller: &Caller,
    action: Action,
    resource: Resource<'_>,
    details: Details<'_>,
) -> Result<(), Error> {
    let Some(Refused { rule, why, how }) = refused(gateway.config(), caller, action, resource, details)
    else {
        return Ok(());
    };
    if enforced(gateway.config(), caller) {
        let denial = Denial::new(Layer::Access, rule, action.word(), why, how).owner(&caller.principal);
        return Err(Error::denied(Kind::AccessDenied, gateway.manager().desk().note(denial)));
    }
    let (who, action) = (&caller.principal, action.word());
    tracing::info!(
        tenant = who.tenant,
        name = who.name,
        action,
        ?resource,
        rule,
        why,
        "would be denied; the mode is log-only"
    );
    Ok(())
}

/// Whether `caller` may do this, for what is offered to it. Nothing is denied by it, so nothing is noted.
pub(crate) fn may(config: &GatewayConfig, caller: &Caller, action: Action, resource: Resource<'_>) -> bool {
    !enforced(config, caller) || refused(config, caller, action, resource, Details::default()).is_none()
}

/// Whether a denial is one. No policy and no mode can give rights to a credential that was given none.
fn enforced(config: &GatewayConfig, caller: &Caller) -> bool {
    config.access.mode == AccessMode::Enforce || caller.roles.is_empty()
}

fn refused(
    config: &GatewayConfig,
    caller: &Caller,
    action: Action,
    resource: Resource<'_>,
    details: Details<'_>,
) -> Option<Refused> {
    if caller.roles.is_empty() {
        return Some(Refused {
            rule: "role".to_owned(),
            why: format!("{} needs a role, and the caller has {}", action.word(), roles::words(&[])),
            how: "Ask whoever issues keys for this server for one with a role".to_owned(),
        });
    }
    let query = Query {
        principal: &caller.principal,
        roles: &caller.roles,
        source: caller.source,
        time: now(),
        action,
        resource,
        details,
    };
    match config.access.authorizer.decide(&query) {
        Decision::Allow => None,
        Decision::Deny(refused) => Some(refused),
    }
}

#[cfg(test)]
mod tests {
    use super::super::access::{Access, Authorizer};
    use super::super::keys::Role;
    use super::*;
    use cloister_core::session::{Backends, Interpreters, ManagerConfig, SessionManager};
    use cloister_core::testing::MemoryStore;
    use std::sync::Arc;

    struct Nothing;

    impl Authorizer for Nothing {
        fn decide(&self, _: &Query<'_>) -> Decision {
            Decision::Deny(Refused { rule: "closed".into(), why: "closed today".into(), how: "Wait".into() })
        }
    }

    fn gateway(access: Access) -> Gateway {
        let store = Arc::new(MemoryStore::new());
        let (backends, interpreters) = (Backends::default(), Interpreters::new([]));
        let manager = SessionManager::new(backends, store, interpreters, ManagerConfig::default());
        Gateway::new(manager, GatewayConfig { access, ..GatewayConfig::new([1; 32]) })
    }

    fn asked(gateway: &Gateway, roles: &[Role], action: Action) -> Result<(), Error> {
        let caller = Caller { roles: roles.to_vec(), ..Caller::local() };
        let answer = authorize(gateway, &caller, action, Resource::Server);
        assert_eq!(answer.is_ok(), may(gateway.config(), &caller, action, Resource::Server));
        answer
    }

    #[test]
    fn who_only_looks_changes_nothing_and_who_has_no_role_does_not_even_look() {
        let gateway = gateway(Access::default());
        for action in Action::ALL {
            let looks =
                ["Read", "List", "Get", "View", "Download"].iter().any(|w| action.word().starts_with(w));
            let decides = matches!(action, Action::ReadAudit | Action::ChangePolicy);
            let may = |roles: &[Role]| asked(&gateway, roles, *action).is_ok();
            assert!(may(&[Role::Admin]), "{action:?}");
            assert_eq!(may(&[Role::Viewer, Role::User]), !decides, "{action:?}");
            assert_eq!(may(&[Role::Viewer]), (looks || *action == Action::Public) && !decides, "{action:?}");
            assert!(!may(&[]), "{action:?}");
        }
    }

    #[test]
    fn a_denial_that_is_only_logged_lets_everybody_on_who_has_a_role() {
        for (mode, goes_on) in [(AccessMode::Enforce, false), (AccessMode::LogOnly, true)] {
            let gateway = gateway(Access { authorizer: Arc::new(Nothing), mode });
            let answer = asked(&gateway, &[Role::Viewer], Action::StartSession);
            assert_eq!(answer.is_ok(), goes_on);
            if let Err(error) = answer {
                let denial = &error.denial.as_ref().unwrap().denial;
                assert_eq!((denial.layer, denial.rule.as_str()), (Layer::Access, "closed"));
                assert!(error.message.starts_with("cloister refused StartSession: closed today"), "{error}");
            }
            assert!(asked(&gateway, &[], Action::ListSessions).unwrap_err().message.contains("has none"));
        }
    }
}
