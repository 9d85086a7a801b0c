//! The authorizer: one evaluation per question, and words for whoever is denied.

use crate::load::{self, AccessError, Place, PolicyFile, Rules};
use crate::memo;
use crate::terms::{Misfit, Terms};
use cedar_policy::{Authorizer as Engine, Decision as Verdict, Effect, PolicyId, Request, Response, Schema};
use cloister_core::lock::lock;
use cloister_gateway::{Authorizer, Decision, Query, Refused, Role};
use std::sync::{Arc, Mutex};

/// Decides by Cedar policies: default deny, and what one policy forbids no other permits.
pub struct Cedar {
    /// Exchanged as a whole: whoever is being decided about is decided about by one set.
    rules: Mutex<Arc<Rules>>,
    terms: Terms,
    engine: Engine,
}

impl std::fmt::Debug for Cedar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cedar").field("policies", &self.len()).finish_non_exhaustive()
    }
}

/// Where a policy stands, for whoever explains a denial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its file, below the folder of policies.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// Whether it forbids, as opposed to permits.
    pub forbids: bool,
}

impl Cedar {
    /// Reads policies.
    ///
    /// Errors: every problem of every file, each with its file and line; then nothing is in force.
    pub fn new(schema: &PolicyFile, files: &[PolicyFile]) -> Result<Self, AccessError> {
        let parsed = load::schema(schema)?;
        let rules = load::rules(&parsed, files)?;
        let terms = Terms::new(&parsed)
            .map_err(|error| AccessError::Schema { file: schema.name.clone(), what: error.to_string() })?;
        Ok(Self { rules: Mutex::new(Arc::new(rules)), terms, engine: Engine::new() })
    }

    /// How many policies there are.
    pub fn len(&self) -> usize {
        self.rules().places.len()
    }

    /// Whether nothing is permitted to anybody.
    pub fn is_empty(&self) -> bool {
        self.rules().places.is_empty()
    }

    /// What is different in `new`: a line for each policy that is new, gone or says something else.
    pub fn differences(&self, new: &Self) -> Vec<String> {
        let (old, new) = (self.rules(), new.rules());
        let mut lines: Vec<String> = Vec::new();
        for (id, Place { file, line, effect, text, .. }) in &new.places {
            let does = match effect {
                Effect::Permit => "permits",
                Effect::Forbid => "forbids",
            };
            let how = match old.places.get(id) {
                None => "new",
                Some(before) if before.text != *text => "changed",
                Some(_) => continue,
            };
            lines.push(format!("access policy {id} ({file}:{line}): {how}, it {does}"));
        }
        let gone = old.places.keys().filter(|id| !new.places.contains_key(*id));
        lines.extend(gone.map(|id| format!("access policy {id}: gone")));
        lines.sort();
        lines
    }

    /// Where the policy `id` stands; `None` if there is none.
    pub fn find(&self, id: &str) -> Option<Standing> {
        let rules = self.rules();
        let (_, Place { file, line, effect, .. }) =
            rules.places.iter().find(|(known, _)| AsRef::<str>::as_ref(*known) == id)?;
        Some(Standing { file: file.clone(), line: *line, forbids: *effect == Effect::Forbid })
    }

    /// What all policies say, each with its file, in an order that does not depend on how they were read.
    pub fn texts(&self) -> Vec<String> {
        let rules = self.rules();
        let mut all: Vec<_> =
            rules.places.iter().map(|(id, place)| format!("{id} {} {}", place.file, place.text)).collect();
        all.sort();
        all
    }

    /// Decides by the policies of `new` from now on. Both have the schema of this program.
    pub fn exchange(&self, new: &Self) {
        *lock(&self.rules) = new.rules();
    }

    fn rules(&self) -> Arc<Rules> {
        Arc::clone(&lock(&self.rules))
    }

    fn ask(&self, rules: &Rules, query: &Query<'_>) -> Result<Response, Misfit> {
        // Without the schema: tests put every question to it, and it would take as long as the decision.
        self.ask_by(rules, query, None)
    }

    fn ask_by(&self, rules: &Rules, query: &Query<'_>, schema: Option<&Schema>) -> Result<Response, Misfit> {
        let known = self.terms.caller(query.principal, query.roles)?;
        let (action, resource) = (self.terms.action(query.action), self.terms.resource(query.resource));
        let context = self.terms.context(query)?;
        let request = Request::new(known.user.clone(), action, resource, context, schema);
        let request = request.map_err(Misfit::of)?;
        Ok(self.engine.is_authorized(&request, &rules.set, &known.entities))
    }

    fn refused(&self, rules: &Rules, query: &Query<'_>, response: &Response) -> Refused {
        let action = query.action.word();
        // A policy that cannot be evaluated might have been the one that forbids.
        if let Some(error) = response.diagnostics().errors().next() {
            tracing::error!(%error, "an access policy could not be evaluated; what it was asked about is denied");
            return Refused {
                rule: "access.error".to_owned(),
                why: format!("an access policy that {action} was put to could not be evaluated"),
                how: "mend the policy that its log names".to_owned(),
            };
        }
        let forbids =
            response.diagnostics().reason().filter_map(|id| place(rules, id, Effect::Forbid)).next();
        if let Some((id, Place { file, line, advice, .. })) = forbids {
            return Refused {
                rule: id.to_string(),
                why: format!("the access policy `{id}` ({file}:{line}) forbids it"),
                how: advice.clone().unwrap_or_else(|| "change that policy".to_owned()),
            };
        }
        let roles: Vec<_> = query.roles.iter().map(|role| role.word()).collect();
        Refused {
            rule: "access.default-deny".to_owned(),
            why: format!("no access policy permits it to this caller, whose roles are {}", roles.join(", ")),
            how: match self.with_another_role(rules, query) {
                Some((role, id, Place { file, line, .. })) => format!(
                    "Ask whoever issues keys for this server for one with the role {}, to which `{id}` ({file}:{line}) permits it",
                    role.word()
                ),
                None => "add a policy to access/*.cedar that does".to_owned(),
            },
        }
    }

    /// The least role that would do, and the policy that says so.
    fn with_another_role<'r>(
        &self,
        rules: &'r Rules,
        query: &Query<'_>,
    ) -> Option<(Role, &'r PolicyId, &'r Place)> {
        Role::ALL.into_iter().find_map(|role| {
            let response = self.ask(rules, &Query { roles: &[role], ..*query }).ok()?;
            if response.decision() != Verdict::Allow || response.diagnostics().errors().next().is_some() {
                return None;
            }
            let (id, place) =
                response.diagnostics().reason().filter_map(|id| place(rules, id, Effect::Permit)).next()?;
            Some((role, id, place))
        })
    }
}

fn place<'r>(rules: &'r Rules, id: &PolicyId, effect: Effect) -> Option<(&'r PolicyId, &'r Place)> {
    rules.places.get_key_value(id).filter(|(_, place)| place.effect == effect)
}

impl Authorizer for Cedar {
    fn decide(&self, query: &Query<'_>) -> Decision {
        let rules = self.rules();
        let key = memo::key(query, rules.by_id);
        if key.as_ref().is_some_and(|key| rules.memo.holds(query.time, key)) {
            return Decision::Allow;
        }
        match self.ask(&rules, query) {
            Ok(response)
                if response.decision() == Verdict::Allow
                    && response.diagnostics().errors().next().is_none() =>
            {
                if let Some(key) = key {
                    rules.memo.keep(query.time, key);
                }
                Decision::Allow
            }
            Ok(response) => Decision::Deny(self.refused(&rules, query, &response)),
            Err(error) => {
                tracing::error!(%error, "a request cannot be put to the access policies; it is denied");
                Decision::Deny(Refused {
                    rule: "access.error".to_owned(),
                    why: "it cannot be put to the access policies".to_owned(),
                    how: "look into its log, which says why".to_owned(),
                })
            }
        }
    }
}

#[cfg(test)]
impl Cedar {
    /// The answer to a question that fits the schema.
    pub(crate) fn ask_strictly(&self, query: &Query<'_>, schema: &Schema) -> Result<Response, Misfit> {
        self.ask_by(&self.rules(), query, Some(schema))
    }
}
