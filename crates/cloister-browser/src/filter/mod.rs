//! Which CDP messages of a client reach the browser: every method of the protocol is allowed, checked or denied, and one that
//! is not known is denied.
//!
//! ```text
//!   policies/cdp/methods.json ──▶ table.rs ─┬─ allow ──▶ as it is
//!                                           ├─ check ──▶ checks.rs: passes, changed, or refused with a sentence
//!                                           └─ deny, unknown, not for this role ──▶ refused with a sentence
//! ```

mod checks;
mod path;
mod table;
mod url;

pub(crate) use checks::Verdict;
pub(crate) use path::is_file_url;
pub use table::Table;

use checks::Context;
use cloister_core::browser::Role;
use serde_json::value::RawValue;
use std::sync::Arc;
use table::Action;

/// Folder of the workspace that downloads go to.
pub(crate) const DOWNLOADS: &str = "downloads";

/// The filter of one session.
pub(crate) struct Filter {
    table: Arc<Table>,
    context: Context,
}

impl Filter {
    /// `workspace` is the session's, as the browser sees it.
    pub(crate) fn new(table: Arc<Table>, workspace: &str) -> Self {
        Self { table, context: Context::new(workspace) }
    }

    /// What becomes of a message. `owns_stream` says whether the client was given a stream.
    pub(crate) fn check(
        &self,
        role: Role,
        method: &str,
        params: Option<&RawValue>,
        owns_stream: impl Fn(&str) -> bool,
    ) -> Verdict {
        if role == Role::Observer && !self.table.for_observers(method) {
            return Verdict::Refused(format!("{method} is not for observers: this connection may look only"));
        }
        match self.table.action(method) {
            None => Verdict::Refused(format!("{method} is not known to the CDP policy, so it is denied")),
            Some(Action::Deny(why)) => {
                Verdict::Refused(format!("{method} is denied by the CDP policy: {why}"))
            }
            Some(Action::Allow) => Verdict::Pass,
            Some(Action::Check(check)) => {
                let params = params.map_or("{}", RawValue::get);
                match serde_json::from_str(params) {
                    // What is passed on is what was read, and not what was written: a repeated key is gone.
                    Ok(params) => self.context.check(&self.table, *check, params, owns_stream),
                    Err(error) => Verdict::Refused(format!("{method}: its params are no object: {error}")),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
