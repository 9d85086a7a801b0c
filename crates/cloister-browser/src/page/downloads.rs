//! Downloads: told by the browser, kept in the log, found in the session's files.

use super::desk::Tabs;
use super::run::Run;
use crate::call_error::CallError;
use cloister_core::browser::page::Given;
use serde_json::{Value, json};

/// Folder of the workspace.
const FOLDER: &str = "downloads";

/// Downloads go to the workspace and are told to us. Chromium makes the names safe.
pub(super) async fn enable(tabs: &Tabs) -> Result<(), CallError> {
    let path = format!("{}/{FOLDER}", tabs.workspace().trim_end_matches('/'));
    let params = json!({"behavior": "allow", "downloadPath": path, "eventsEnabled": true});
    tabs.browser("Browser.setDownloadBehavior", params).await.map(|_| ())
}

/// The browser tells how far a download is.
pub(super) fn progress(tabs: &Tabs, params: &Value) {
    let text = |name: &str| params.get(name).and_then(Value::as_str).unwrap_or_default();
    let received = params.get("receivedBytes").and_then(Value::as_f64).unwrap_or_default();
    let file = text("filePath").rsplit('/').next().unwrap_or_default().to_owned();
    tabs.log().change_download(text("guid"), |download| {
        download.state = text("state").to_owned();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float cast saturates")]
        let bytes = received as u64;
        download.size = bytes;
        if download.state == "completed" {
            let name = if file.is_empty() { download.name.clone() } else { file };
            download.path = Some(format!("{FOLDER}/{name}"));
        }
    });
}

/// The step.
pub(super) fn read(run: &Run<'_>) -> Given {
    Given::Json(run.tabs.log().downloads())
}
