//! Read the page or an element: text, HTML, Markdown, links.

use super::locate::{Need, locate};
use super::run::Run;
use super::trouble::Outcome;
use super::world::{On, script};
use cloister_core::browser::page::{Extract, Given, Selector};
use serde_json::{Value, json};

const TEXT: &str = include_str!("js/text.js");
const HTML: &str = include_str!("js/html.js");
const MARKDOWN: &str = include_str!("js/markdown.js");
const LINKS: &str = include_str!("js/links.js");
/// Bytes of an answer. A page decides how much it has to say.
const LONGEST: usize = 4 << 20;

/// The step.
pub(super) async fn extract(run: &Run<'_>, selector: Option<&Selector>, what: Extract) -> Outcome<Given> {
    let found = match selector {
        Some(selector) => Some(locate(run, selector, Need::Attached).await?),
        None => None,
    };
    let job = match what {
        Extract::Text => TEXT,
        Extract::Html => HTML,
        Extract::Markdown => MARKDOWN,
        Extract::Links => LINKS,
    };
    let on = found.as_ref().map_or(On::Page, |found| On::Element(&found.handle));
    match script(&run.tab, on, job, &[json!(selector.is_none())], run.left()).await? {
        Value::String(text) => Ok(Given::Text(shorten(text))),
        value => Ok(Given::Json(value)),
    }
}

fn shorten(mut text: String) -> String {
    if text.len() > LONGEST {
        let mut at = LONGEST;
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        text.truncate(at);
        text.push_str("\n(cut: the page is longer; extract parts of it by selectors)");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, shorten};

    #[test]
    fn a_text_that_is_too_long_is_cut_between_characters_and_says_so() {
        let text = shorten("語".repeat(LONGEST / 3 + 10));
        assert!(text.len() < LONGEST + 100 && text.ends_with("by selectors)"));
        assert_eq!(shorten("short".to_owned()), "short");
    }
}
