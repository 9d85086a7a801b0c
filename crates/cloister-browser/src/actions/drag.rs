//! Press at one point, move, release at another.

use super::pointer::{Mouse, event, glide};
use crate::call_error::CallError;
use crate::tab::Tab;
use cloister_core::browser::Button;

/// Moves between the two points. Pages begin a drag after some pixels and look where the pointer passes: one jump would not do.
const STOPS: i32 = 8;

/// Drags. The button is released even if a move fails.
pub(super) async fn drag(
    tab: &Tab,
    from: (i32, i32),
    to: (i32, i32),
    button: Button,
) -> Result<(), CallError> {
    glide(tab, from, None).await?;
    event(tab, Mouse::Pressed(button, 1)).await?;
    let moved = pull(tab, from, to, button).await;
    let released = if tab.dialog().is_none() { event(tab, Mouse::Released(button, 1)).await } else { Ok(()) };
    moved.and(released)
}

async fn pull(tab: &Tab, from: (i32, i32), to: (i32, i32), button: Button) -> Result<(), CallError> {
    for stop in 1..=STOPS {
        if tab.dialog().is_some() {
            break;
        }
        let part = |from: i32, to: i32| from + (to - from) * stop / STOPS;
        glide(tab, (part(from.0, to.0), part(from.1, to.1)), Some(button)).await?;
    }
    Ok(())
}
