//! The pointer: where it is, and the mouse events that every mouse action is made of.

use super::send;
use crate::call_error::CallError;
use crate::tab::Tab;
use cloister_core::browser::Button;
use serde_json::json;

/// What a mouse event says.
#[derive(Clone, Copy)]
pub(super) enum Mouse {
    /// The pointer has moved, perhaps with a button held.
    Moved(Option<Button>),
    /// A button has gone down, for the n-th time in a row.
    Pressed(Button, u32),
    /// It has come up.
    Released(Button, u32),
}

pub(super) fn name(button: Button) -> &'static str {
    match button {
        Button::Left => "left",
        Button::Right => "right",
        Button::Middle => "middle",
    }
}

/// `MouseEvent.buttons`.
fn mask(button: Button) -> u8 {
    match button {
        Button::Left => 1,
        Button::Right => 2,
        Button::Middle => 4,
    }
}

/// Sends one mouse event at the pointer's position.
pub(super) async fn event(tab: &Tab, mouse: Mouse) -> Result<(), CallError> {
    let input = *tab.input();
    let (kind, button, buttons, count) = match mouse {
        Mouse::Moved(None) => ("mouseMoved", "none", 0, 0),
        Mouse::Moved(Some(held)) => ("mouseMoved", name(held), mask(held), 0),
        Mouse::Pressed(button, count) => ("mousePressed", name(button), mask(button), count),
        Mouse::Released(button, count) => ("mouseReleased", name(button), 0, count),
    };
    let (x, y) = input.at;
    let params = json!({"type": kind, "x": x, "y": y, "button": button, "buttons": buttons,
        "clickCount": count, "modifiers": input.modifiers, "pointerType": "mouse"});
    send(tab, "Input.dispatchMouseEvent", params).await
}

/// Moves the pointer, with a button held if one is given.
pub(crate) async fn glide(tab: &Tab, to: (i32, i32), held: Option<Button>) -> Result<(), CallError> {
    tab.input().at = to;
    event(tab, Mouse::Moved(held)).await
}
