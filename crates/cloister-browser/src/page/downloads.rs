//! Downloads as steps tell them: what the browser has said, and where the file lies in the session's files.

use super::desk::Tabs;
use super::log::Download;
use super::run::Run;
use cloister_core::browser::page::Given;
use serde_json::{Value, json};

/// The browser tells how far a download is.
pub(super) fn progress(tabs: &Tabs, params: &Value) {
    let text = |name: &str| params.get(name).and_then(Value::as_str).unwrap_or_default();
    let received = params.get("receivedBytes").and_then(Value::as_f64).unwrap_or_default();
    tabs.log().change_download(text("guid"), |download| {
        download.state = text("state").to_owned();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float cast saturates")]
        let bytes = received as u64;
        download.size = bytes;
    });
}

/// A download as JSON, with its path once it is complete.
pub(super) fn shown(tabs: &Tabs, download: &Download) -> Value {
    let mut told = json!(download);
    if download.state == "completed" {
        let kept = tabs.downloads().list().into_iter().find(|kept| kept.guid == download.id);
        told["path"] = kept.map(|kept| kept.path).into();
    }
    told
}

/// The step.
pub(super) fn read(run: &Run<'_>) -> Given {
    let (downloads, forgotten) = run.tabs.log().downloads();
    let downloads: Vec<Value> = downloads.iter().map(|download| shown(run.tabs, download)).collect();
    Given::Json(json!({"downloads": downloads, "forgotten": forgotten}))
}
