//! Hold all keys but the last, press the last, release in reverse.

use super::keys::Key;
use super::press::{down, unknown, up};
use super::{Refusal, keys};
use crate::call_error::CallError;
use crate::tab::Tab;

/// Presses a combination. Every name is checked before the first key goes down, and all come up again.
pub(super) async fn shortcut(tab: &Tab, names: &[String]) -> Result<(), Refusal> {
    let mut combination = Vec::new();
    for name in names {
        combination.push(keys::find(name).ok_or_else(|| unknown("keys", name))?);
    }
    Ok(press_together(tab, &combination).await?)
}

/// See [`shortcut`], for keys that have been looked up.
pub(crate) async fn press_together(tab: &Tab, combination: &[Key]) -> Result<(), CallError> {
    let mut held = 0;
    let mut pressed = Vec::new();
    let mut outcome = Ok(());
    for key in combination {
        outcome = down(tab, key, held).await;
        pressed.push(key);
        held |= key.modifier;
        tab.input().modifiers = held;
        if outcome.is_err() || tab.dialog().is_some() {
            break;
        }
    }
    while let Some(key) = pressed.pop() {
        held &= !key.modifier;
        tab.input().modifiers = held;
        // A dialog takes the keyboard: the page sees no release, as on a desktop.
        if tab.dialog().is_none() && outcome.is_ok() {
            outcome = up(tab, key, held).await;
        }
    }
    outcome
}
