//! Turn the wheel.

use super::send;
use crate::call_error::CallError;
use crate::tab::Tab;
use serde_json::json;

/// Turns the wheel at a point. On this wire a negative `delta_y` goes down; Chromium's positive one does.
pub(super) async fn scroll(tab: &Tab, at: (i32, i32), delta_x: i32, delta_y: i32) -> Result<(), CallError> {
    tab.input().at = at;
    let modifiers = tab.input().modifiers;
    let params = json!({"type": "mouseWheel", "x": at.0, "y": at.1, "deltaX": delta_x, "deltaY": -delta_y,
        "modifiers": modifiers, "pointerType": "mouse"});
    send(tab, "Input.dispatchMouseEvent", params).await
}
