//! Scroll the page or an element.

use super::locate::{Need, locate};
use super::run::Run;
use super::trouble::Outcome;
use super::world::{On, script};
use cloister_core::browser::page::{Given, Selector};
use serde_json::json;

const SCROLL: &str = include_str!("js/scroll.js");

/// The step. Says where it has come to, and how far it goes.
pub(super) async fn scroll(run: &Run<'_>, selector: Option<&Selector>, x: i32, y: i32) -> Outcome<Given> {
    let found = match selector {
        Some(selector) => Some(locate(run, selector, Need::Attached).await?),
        None => None,
    };
    let on = found.as_ref().map_or(On::Page, |found| On::Element(&found.handle));
    let args = [json!(x), json!(y), json!(selector.is_none())];
    Ok(Given::Json(script(&run.tab, on, SCROLL, &args, run.left()).await?))
}
