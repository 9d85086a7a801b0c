//! A question of the gateway in the terms of the schema: typed values only, so that no text of a caller can become policy.

use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression, Schema,
};
use cloister_core::Principal;
use cloister_core::lock::lock;
use cloister_gateway::{Action, Details, Query, Resource, Role, iso8601};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

/// Callers whose entities are kept. Stops memory exhaustion by tokens with ever new names.
const KEPT: usize = 4096;

/// Something in the schema is not what the code says. A test keeps the two together.
#[derive(Debug, thiserror::Error)]
#[error("the access schema and the program do not fit: {0}")]
pub(crate) struct Misfit(String);

impl Misfit {
    pub(crate) fn of(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// A caller as an entity, among all others that policies can name.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) user: EntityUid,
    pub(crate) entities: Entities,
}

type Caller = (Principal, Vec<Role>);

/// The types and entities that do not change, and callers that were seen before.
pub(crate) struct Terms {
    user: EntityTypeName,
    tenant: EntityTypeName,
    role: EntityTypeName,
    action: EntityTypeName,
    server: EntityUid,
    interpreter: EntityTypeName,
    session: EntityTypeName,
    /// Actions with their groups, roles with those that they include.
    fixed: Entities,
    seen: Mutex<HashMap<Caller, Arc<Known>>>,
}

impl Terms {
    pub(crate) fn new(schema: &Schema) -> Result<Self, Misfit> {
        let name = |text: &str| text.parse::<EntityTypeName>().map_err(Misfit::of);
        let role = name("Role")?;
        let roles = Role::ALL.iter().enumerate().map(|(rank, is)| {
            let below = Role::ALL[..rank].iter().map(|lower| uid(&role, lower.word())).collect();
            Entity::new_no_attrs(uid(&role, is.word()), below)
        });
        let fixed =
            schema.action_entities().map_err(Misfit::of)?.add_entities(roles, None).map_err(Misfit::of)?;
        Ok(Self {
            user: name("User")?,
            tenant: name("Tenant")?,
            action: name("Action")?,
            server: uid(&name("Server")?, "server"),
            interpreter: name("Interpreter")?,
            session: name("Session")?,
            role,
            fixed,
            seen: Mutex::default(),
        })
    }

    /// The caller and everything that it is in.
    pub(crate) fn caller(&self, who: &Principal, roles: &[Role]) -> Result<Arc<Known>, Misfit> {
        let key = (who.clone(), roles.to_vec());
        if let Some(known) = lock(&self.seen).get(&key) {
            return Ok(Arc::clone(known));
        }
        let escaped = who.tenant.replace('%', "%25").replace('/', "%2F");
        let user = uid(&self.user, &format!("{escaped}/{}", who.name));
        let attributes = HashMap::from([
            ("tenant".to_owned(), RestrictedExpression::new_string(who.tenant.clone())),
            ("name".to_owned(), RestrictedExpression::new_string(who.name.clone())),
        ]);
        let mut within: HashSet<_> = roles.iter().map(|role| uid(&self.role, role.word())).collect();
        within.insert(uid(&self.tenant, &who.tenant));
        let entity = Entity::new(user.clone(), attributes, within).map_err(Misfit::of)?;
        let entities = self.fixed.clone().add_entities([entity], None).map_err(Misfit::of)?;
        let known = Arc::new(Known { user, entities });
        let mut seen = lock(&self.seen);
        if seen.len() >= KEPT {
            seen.clear();
        }
        seen.insert(key, Arc::clone(&known));
        Ok(known)
    }

    pub(crate) fn action(&self, action: Action) -> EntityUid {
        uid(&self.action, action.word())
    }

    pub(crate) fn resource(&self, resource: Resource<'_>) -> EntityUid {
        match resource {
            Resource::Server => self.server.clone(),
            Resource::Interpreter(key) => uid(&self.interpreter, key),
            Resource::Session(id) => uid(&self.session, id),
        }
    }

    /// What a request is besides: `type Request` of the schema.
    pub(crate) fn context(&self, query: &Query<'_>) -> Result<Context, Misfit> {
        let Query { principal, roles, source, time, action: _, resource: _, details } = *query;
        let Details { timeout, language, runtime, scheme, host } = details;
        let text = |text: &str| RestrictedExpression::new_string(text.to_owned());
        let at = iso8601(UNIX_EPOCH + Duration::from_secs(time));
        // A part of a second counts as a whole one, so that a limit of n is a limit of n.
        let seconds = timeout.map(|asked| asked.as_secs() + u64::from(asked.subsec_nanos() > 0));
        let seconds = seconds.map(|asked| i64::try_from(asked).unwrap_or(i64::MAX));
        let limits = seconds.map(|asked| ("timeout".to_owned(), RestrictedExpression::new_long(asked)));
        let limits = RestrictedExpression::new_record(limits).map_err(Misfit::of)?;
        let pairs = [
            ("tenant", Some(text(&principal.tenant))),
            ("roles", Some(RestrictedExpression::new_set(roles.iter().map(|role| text(role.word()))))),
            ("time", Some(RestrictedExpression::new_datetime(at))),
            ("sourceIp", source.map(|ip| RestrictedExpression::new_ip(ip.to_string()))),
            ("requestedLimits", Some(limits)),
            ("language", language.map(text)),
            ("runtime", runtime.map(text)),
            ("scheme", scheme.map(text)),
            ("host", host.map(text)),
        ];
        let given = pairs.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Context::from_pairs(given).map_err(Misfit::of)
    }
}

fn uid(of: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(of.clone(), EntityId::new(id))
}
