//! A PNG of the viewport.

use super::Refusal;
use crate::blob;
use crate::tab::Tab;
use bytes::Bytes;
use serde_json::json;
use std::time::Duration;

/// How long a picture may take: seconds on a loaded machine with a large viewport.
const PICTURE: Duration = Duration::from_secs(15);

/// Takes it. A dialog that opens meanwhile stops the page from painting, and the answer says so.
pub(super) async fn screenshot(tab: &Tab) -> Result<Bytes, Refusal> {
    let params = json!({"format": "png", "optimizeForSpeed": false});
    let answer = tokio::select! {
        answer = tab.call_held("Page.captureScreenshot", params, PICTURE) => answer?,
        () = tab.dialog_opens() => {
            return Err(Refusal::Failed("a dialog opened while the picture was taken; press enter or escape".into()));
        }
    };
    blob::data(answer).map_err(|error| Refusal::Failed(error.to_string()))
}
