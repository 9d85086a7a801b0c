//! Click an element, or move the pointer over it.

use super::locate::{Need, locate};
use super::run::Run;
use super::settle;
use super::trouble::{Outcome, failed};
use crate::actions;
use cloister_core::browser::Button;
use cloister_core::browser::page::{Given, Selector};

/// Clicks at the element's middle, once it stands still and receives the click.
pub(super) async fn click(run: &Run<'_>, selector: &Selector, button: Button, count: u32) -> Outcome<Given> {
    if !(1..=10).contains(&count) {
        return Err(failed(
            "invalid",
            format!("count is {count}: 1 to 10 clicks are possible, 2 is a double click"),
        ));
    }
    let found = locate(run, selector, Need::Click).await?;
    let before = settle::before(run);
    run.act(actions::click(&run.tab, Some(found.point()), button, count)).await?;
    Ok(settle::after(run, before).await)
}

/// Moves the pointer there.
pub(super) async fn hover(run: &Run<'_>, selector: &Selector) -> Outcome<Given> {
    let found = locate(run, selector, Need::Hover).await?;
    run.act(actions::glide(&run.tab, found.point(), None)).await?;
    Ok(Given::Done)
}
