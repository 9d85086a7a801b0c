//! Put text into an input, a textarea or an editable element.

use super::locate::{Need, locate};
use super::run::Run;
use super::trouble::{Outcome, failed};
use super::world::{On, script};
use super::{press, settle};
use crate::actions;
use cloister_core::browser::page::{Given, Selector};
use serde_json::json;

const FILL: &str = include_str!("js/fill.js");
/// Characters of one step; larger texts are files.
const LONGEST: usize = 1_000_000;

/// How the text goes in.
#[derive(Clone, Copy, Debug)]
pub(super) struct How {
    /// Instead of what is there.
    pub(super) replace: bool,
    /// Enter afterwards.
    pub(super) submit: bool,
}

/// Types. Without a selector into whatever has the focus.
pub(super) async fn text(run: &Run<'_>, selector: Option<&Selector>, text: &str, how: How) -> Outcome<Given> {
    if text.chars().count() > LONGEST {
        return Err(failed(
            "invalid",
            format!("the text has more than {LONGEST} characters: upload a file instead"),
        ));
    }
    let before = settle::before(run);
    let mut typed = true;
    match selector {
        Some(selector) => {
            let found = locate(run, selector, Need::Edit).await?;
            let args = [json!(text), json!(how.replace)];
            let answer = script(&run.tab, On::Element(&found.handle), FILL, &args, run.left()).await?;
            match answer.as_str() {
                Some("type") => {}
                Some("done") => typed = false,
                other => return Err(failed("invalid", other.unwrap_or("the element takes no text"))),
            }
        }
        None if how.replace => {
            press::named(run, &["control", "a"]).await?;
        }
        None => {}
    }
    if typed {
        if text.is_empty() {
            press::named(run, &["delete"]).await?;
        } else {
            run.act(actions::insert(&run.tab, text)).await?;
        }
    }
    if how.submit {
        press::named(run, &["enter"]).await?;
        return Ok(settle::after(run, before).await);
    }
    Ok(Given::Done)
}
