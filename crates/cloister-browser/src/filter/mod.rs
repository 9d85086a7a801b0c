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
use cloister_core::SandboxId;
use cloister_core::audit::Desk;
use cloister_core::browser::Role;
use cloister_core::denial::{Denial, Denials as _, Layer};
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
    notary: Option<Notary>,
}

/// Where refusals get their ids.
pub(crate) struct Notary {
    pub(crate) desk: Arc<Desk>,
    /// The browser's, by which the desk knows the session.
    pub(crate) sandbox: SandboxId,
}

impl Filter {
    /// `workspace` is the session's, as the browser sees it; `rules` are its policy's.
    pub(crate) fn new(table: Arc<Table>, workspace: &str, rules: &BrowserRules) -> Self {
        Self { table, context: Context::new(workspace, rules), read_only: rules.read_only, notary: None }
    }

    /// The same, with ids for what it refuses.
    pub(crate) fn noting(self, notary: Option<Notary>) -> Self {
        Self { notary, ..self }
    }

    /// What a client hears of a refusal: the sentence, with rule, id and the way to ask.
    pub(crate) fn refusal(&self, method: &str, sentence: String) -> String {
        let Some(Notary { desk, sandbox }) = &self.notary else { return sentence };
        let how = if self.read_only {
            "change the method's entry in cdp/methods.json, or set browser.read_only = false in the session's policy"
        } else {
            "change the method's entry in cdp/methods.json"
        };
        let asked = format!("the CDP method {method}");
        let denial = Denial::new(Layer::Cdp, "cdp.methods", asked, sentence, how).matched(method);
        desk.note(denial.sandbox(sandbox)).rest()
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
