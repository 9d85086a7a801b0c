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
pub(crate) use url::allowed_to_readers;
pub use url::may_open;

use checks::Context;
use cloister_core::browser::Role;
use cloister_core::policy::BrowserRules;
use serde_json::value::RawValue;
use std::sync::Arc;

/// Folder of the workspace that downloads go to.
pub(crate) const DOWNLOADS: &str = "downloads";

/// The filter of one session.
pub(crate) struct Filter {
    table: Arc<Table>,
    context: Context,
    read_only: bool,
}

impl Filter {
    /// `workspace` is the session's, as the browser sees it; `rules` are its policy's.
    pub(crate) fn new(table: Arc<Table>, workspace: &str, rules: &BrowserRules) -> Self {
        Self { table, context: Context::new(workspace, rules), read_only: rules.read_only }
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
        match self.table.judge(method, self.read_only) {
            Err(sentence) => Verdict::Refused(sentence),
            Ok(None) => Verdict::Pass,
            Ok(Some(check)) => {
                let params = params.map_or("{}", RawValue::get);
                match serde_json::from_str(params) {
                    // What is passed on is what was read, and not what was written: a repeated key is gone.
                    Ok(params) => self.context.check(&self.table, check, params, owns_stream),
                    Err(error) => Verdict::Refused(format!("{method}: its params are no object: {error}")),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
