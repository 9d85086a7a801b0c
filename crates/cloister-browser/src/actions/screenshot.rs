//! A PNG of the viewport.

use super::Refusal;
use crate::tab::Tab;
use base64::Engine;
use bytes::Bytes;
use serde_json::json;
use std::time::Duration;

/// How long a picture may take: seconds on a loaded machine with a large viewport.
const PICTURE: Duration = Duration::from_secs(15);

/// Takes it. A dialog that opens meanwhile stops the page from painting, and the answer says so.
pub(super) async fn screenshot(tab: &Tab) -> Result<Bytes, Refusal> {
    let params = json!({"format": "png", "optimizeForSpeed": false});
    let answer = tokio::select! {
        answer = tab.call("Page.captureScreenshot", params, PICTURE) => answer?,
        () = tab.dialog_opens() => {
            return Err(Refusal::Failed("a dialog opened while the picture was taken; press enter or escape".into()));
        }
    };
    let encoded = answer.get("data").and_then(|data| data.as_str()).unwrap_or_default();
    match base64::engine::general_purpose::STANDARD.decode(encoded) {
        Ok(data) if !data.is_empty() => Ok(data.into()),
        _ => Err(Refusal::Failed("the browser sent no picture; try again".to_owned())),
    }
}
