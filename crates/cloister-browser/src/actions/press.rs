//! Press a named key or a character.

use super::keys::{ALT, CONTROL, Key, META, SHIFT};
use super::{Refusal, keys, send, text};
use crate::call_error::CallError;
use crate::tab::Tab;
use serde_json::{Value, json};

/// Presses a key several times.
pub(super) async fn press(tab: &Tab, name: &str, presses: u32) -> Result<(), Refusal> {
    for _ in 0..presses {
        if tab.dialog().is_some() {
            return Ok(());
        }
        match keys::find(name) {
            Some(key) => tap(tab, &key, 0).await?,
            // One character that is on no key of the US layout.
            None if name.chars().count() == 1 => text::insert(tab, name).await?,
            None => return Err(unknown("key", name)),
        }
    }
    Ok(())
}

pub(super) fn unknown(field: &'static str, name: &str) -> Refusal {
    let message = format!(
        "there is no key {name:?}: use a character, or one of enter, tab, space, backspace, delete, escape, \
         up, down, left, right, home, end, pageup, pagedown, f1 to f24, ctrl, alt, shift, meta"
    );
    Refusal::Invalid { field, message }
}

/// Presses and releases one key, with modifiers that somebody holds already.
pub(super) async fn tap(tab: &Tab, key: &Key, held: u8) -> Result<(), CallError> {
    down(tab, key, held).await?;
    if tab.dialog().is_some() {
        return Ok(());
    }
    up(tab, key, held).await
}

/// The key goes down.
pub(super) async fn down(tab: &Tab, key: &Key, held: u8) -> Result<(), CallError> {
    let key = if held & SHIFT == 0 { key.clone() } else { keys::shifted(key) };
    let typed = if held & (CONTROL | ALT | META) == 0 { key.text.as_str() } else { "" };
    let kind = if typed.is_empty() { "rawKeyDown" } else { "keyDown" };
    let mut params = event(kind, &key, held | key.modifier);
    if !typed.is_empty() {
        params["text"] = typed.into();
        params["unmodifiedText"] = typed.into();
    }
    send(tab, "Input.dispatchKeyEvent", params).await
}

/// The key comes up.
pub(super) async fn up(tab: &Tab, key: &Key, held: u8) -> Result<(), CallError> {
    let key = if held & SHIFT == 0 { key.clone() } else { keys::shifted(key) };
    send(tab, "Input.dispatchKeyEvent", event("keyUp", &key, held)).await
}

fn event(kind: &str, key: &Key, modifiers: u8) -> Value {
    let location = u8::from(key.modifier != 0);
    json!({"type": kind, "key": key.key, "code": key.code, "windowsVirtualKeyCode": key.number,
        "modifiers": modifiers, "location": location})
}
