//! Press a key or a combination: `Enter`, `Control+a`, `Shift+Tab`, `é`.

use super::run::Run;
use super::settle;
use super::trouble::{Outcome, failed};
use crate::actions;
use crate::actions::keys::{self, Key};
use cloister_core::browser::page::Given;

/// The step.
pub(super) async fn press(run: &Run<'_>, combination: &str) -> Outcome<Given> {
    let before = settle::before(run);
    // The plus key itself: `+`, `Control++`.
    let (held, last) = match combination.strip_suffix('+') {
        Some(held) => (held.strip_suffix('+').unwrap_or(held), "+"),
        None => combination.rsplit_once('+').unwrap_or(("", combination)),
    };
    let mut names: Vec<&str> = held.split('+').filter(|name| !name.is_empty()).collect();
    if names.is_empty() && last.chars().count() == 1 && keys::find(last).is_none() {
        run.act(actions::insert(&run.tab, last)).await?;
        return Ok(settle::after(run, before).await);
    }
    names.push(last);
    named(run, &names).await?;
    Ok(settle::after(run, before).await)
}

/// Presses keys together by their names.
pub(super) async fn named(run: &Run<'_>, names: &[&str]) -> Outcome<()> {
    let mut combination: Vec<Key> = Vec::new();
    for name in names {
        let unknown = || {
            let message = format!(
                "there is no key {name:?}: names are as in Enter, ArrowDown, F5, Control+a, Shift+Tab"
            );
            failed("invalid", message)
        };
        combination.push(keys::find(name).ok_or_else(unknown)?);
    }
    run.act(actions::press_together(&run.tab, &combination)).await
}
