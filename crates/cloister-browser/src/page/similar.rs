//! What a search that found nothing may have meant.

use super::run::Run;
use super::tree;
use super::world::{On, script};
use cloister_core::browser::page::Selector;
use serde_json::json;
use std::time::Duration;

const SIMILAR: &str = include_str!("js/similar.js");
/// A hint is not worth more.
const LIMIT: Duration = Duration::from_millis(500);

/// Up to five descriptions; none if the page does not answer at once.
pub(super) async fn to(run: &Run<'_>, selector: &Selector) -> Vec<String> {
    let (kind, wanted) = match selector {
        Selector::Css(css) => ("css", css),
        Selector::Text(text) => ("text", text),
        Selector::Role { role, .. } => return tree::names_of(run, role, LIMIT).await,
        Selector::Ref(_) => return Vec::new(),
    };
    let found = script(&run.tab, On::Page, SIMILAR, &[json!(kind), json!(wanted)], LIMIT).await;
    found.ok().and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default()
}
