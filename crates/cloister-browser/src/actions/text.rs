//! Type text of any script into whatever has the focus.

use super::{keys, press, send};
use crate::call_error::CallError;
use crate::tab::Tab;
use serde_json::json;

/// Inserts text as an input method does: any Unicode, in one piece.
pub(crate) async fn insert(tab: &Tab, text: &str) -> Result<(), CallError> {
    if text.is_empty() {
        return Ok(());
    }
    send(tab, "Input.insertText", json!({"text": text})).await
}

/// Types as somebody at the keyboard does: line ends are Enter, tabs are Tab, the rest is inserted.
pub(super) async fn keyboard(tab: &Tab, text: &str) -> Result<(), CallError> {
    let text = text.replace("\r\n", "\n");
    for piece in text.split_inclusive(['\n', '\r', '\t']) {
        let plain = piece.trim_end_matches(['\n', '\r', '\t']);
        insert(tab, plain).await?;
        let name = match piece.get(plain.len()..) {
            Some("\t") => "tab",
            Some("\n" | "\r") => "enter",
            _ => continue,
        };
        if tab.dialog().is_some() {
            return Ok(());
        }
        if let Some(key) = keys::find(name) {
            press::tap(tab, &key, 0).await?;
        }
    }
    Ok(())
}
