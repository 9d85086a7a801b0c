//! Makes a tab ready: its domains enabled, its viewport set, its script held until then.

use crate::call_error::CallError;
use crate::tab::Tab;
use cloister_core::browser::Viewport;
use serde_json::{Value, json};
use std::time::Duration;

/// A tab that is not ready by then is stuck; what works of it works.
const READY: Duration = Duration::from_secs(5);
/// What Chromium keeps of answers for us, which we never ask for. Less is not taken for zero.
const KEPT: u32 = 1;

/// Enables what the steps and the log need. In one go: the pipe keeps the order, and the page is held meanwhile.
pub(super) async fn prepare(tab: &Tab, viewport: Viewport) -> Result<(), CallError> {
    let size =
        json!({"width": viewport.width, "height": viewport.height, "deviceScaleFactor": 1, "mobile": false});
    let network = json!({"maxTotalBufferSize": KEPT, "maxResourceBufferSize": KEPT, "maxPostDataSize": KEPT});
    let call = |method: &'static str, params: Value| tab.call(method, params, READY);
    // The last one lets the page go on: a new process answers none of the others before that.
    let made = tokio::try_join!(
        call("Page.enable", json!({})),
        call("Page.setLifecycleEventsEnabled", json!({"enabled": true})),
        call("Runtime.enable", json!({})),
        call("Log.enable", json!({})),
        call("Network.enable", network),
        call("Emulation.setDeviceMetricsOverride", size),
        call("Emulation.setFocusEmulationEnabled", json!({"enabled": true})),
        call("Page.getFrameTree", json!({})),
        call("Runtime.runIfWaitingForDebugger", json!({})),
    );
    let (.., tree, _) = made?;
    let text = |pointer: &str| tree.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (loader, url) = (text("/frameTree/frame/loaderId"), text("/frameTree/frame/url"));
    let url = format!("{url}{}", text("/frameTree/frame/urlFragment"));
    tab.state.send_modify(|state| {
        // An event may have been faster.
        if state.document.loader.is_empty() {
            state.document.loader = loader.to_owned();
            state.document.url = url;
            let blank = state.document.url == "about:blank";
            state.document.parsed |= blank;
            state.document.loaded |= blank;
        }
    });
    Ok(())
}
