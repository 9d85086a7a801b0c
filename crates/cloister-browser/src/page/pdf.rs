//! The page as PDF.

use super::capture::decode;
use super::files::save;
use super::run::Run;
use super::trouble::Outcome;
use cloister_core::browser::page::Given;
use serde_json::json;

/// The step: A4 or what the page's style says, with its backgrounds.
pub(super) async fn pdf(run: &Run<'_>, path: Option<String>) -> Outcome<Given> {
    let params =
        json!({"printBackground": true, "preferCSSPageSize": true, "paperWidth": 8.27, "paperHeight": 11.69});
    let answer = run.tab.call_held("Page.printToPDF", params, run.left()).await?;
    let data = decode(answer)?;
    let path = save(run, path, &data).await?;
    Ok(Given::Binary { data, mime: "application/pdf", path })
}
