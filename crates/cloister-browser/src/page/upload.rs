//! Put files of the session into a file input.

use super::files::inside;
use super::locate::{Need, locate};
use super::run::Run;
use super::settle;
use super::trouble::{Outcome, failed};
use super::world::Handle;
use crate::call_error::CallError;
use cloister_core::browser::page::{Given, Selector};
use serde_json::json;

/// The step. The files are the session's, by their paths in its workspace; the browser reads them inside of its walls.
pub(super) async fn upload(run: &Run<'_>, selector: &Selector, paths: &[String]) -> Outcome<Given> {
    let mut files = Vec::new();
    for path in paths {
        let plain = inside(path)?;
        if let Err(reason) = run.tabs.files().size(&plain).await {
            // The sandbox's file tools begin with the path.
            let reason = reason.strip_prefix(&format!("{plain}: ")).unwrap_or(&reason);
            let what = format!("{path}: {reason}; upload it to the session's files first");
            return Err(failed("not_found", what));
        }
        files.push(format!("{}/{plain}", run.tabs.workspace().trim_end_matches('/')));
    }
    // File inputs are often hidden behind a nicer button.
    let found = locate(run, selector, Need::Attached).await?;
    let (tag, kind) = (found.state.tag.as_str(), found.state.kind.as_str());
    if (tag, kind) != ("input", "file") {
        let what =
            format!("{} is no <input type=file>: select that one, it may be hidden", found.state.description);
        return Err(failed("invalid", what));
    }
    let Handle(id) = &found.handle;
    let before = settle::before(run);
    match run.tab.call("DOM.setFileInputFiles", json!({"objectId": id, "files": files}), run.left()).await {
        Ok(_) => Ok(settle::after(run, before).await),
        Err(CallError::Refused { message, .. }) => {
            Err(failed("invalid", format!("the files were not taken: {message}")))
        }
        Err(error) => Err(error.into()),
    }
}
