//! Press and release, once or several times in a row.

use super::pointer::{Mouse, event, glide};
use crate::call_error::CallError;
use crate::tab::Tab;
use cloister_core::browser::Button;

/// Clicks at a point, or where the pointer is. A dialog that opens on the way ends it: what is below gets no more clicks.
pub(crate) async fn click(
    tab: &Tab,
    at: Option<(i32, i32)>,
    button: Button,
    count: u32,
) -> Result<(), CallError> {
    let to = at.unwrap_or_else(|| tab.input().at);
    glide(tab, to, None).await?;
    for click in 1..=count {
        if tab.dialog().is_some() {
            return Ok(());
        }
        event(tab, Mouse::Pressed(button, click)).await?;
        // A dialog opened by mousedown swallows the release, as on a desktop.
        if tab.dialog().is_none() {
            event(tab, Mouse::Released(button, click)).await?;
        }
    }
    Ok(())
}
