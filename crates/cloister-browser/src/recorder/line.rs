//! One line of a recording, and how much of a page's or a client's text may stand in it.

use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// Characters of an address.
pub(super) const URL: usize = 2000;
/// Characters of any other text.
pub(super) const TEXT: usize = 2000;
/// Characters of a method's or a session's name.
pub(super) const NAME: usize = 100;

/// Milliseconds after 1970.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A line: `at`, `kind`, and the members of an object.
pub(super) fn line(kind: &str, members: Value) -> String {
    let mut all = json!({ "at": now(), "kind": kind });
    if let (Value::Object(all), Value::Object(members)) = (&mut all, members) {
        all.extend(members.into_iter().filter(|(_, value)| !value.is_null()));
    }
    all.to_string()
}

/// The first `most` characters.
pub(super) fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_whatever_a_page_says() {
        let text = line("console", json!({ "text": "a\nb\u{2028}\"c", "page": null }));
        assert!(!text.contains('\n') && !text.contains("page"), "{text}");
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (read["kind"].as_str(), read["text"].as_str()),
            (Some("console"), Some("a\nb\u{2028}\"c"))
        );
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut("äöü", 2), "äö");
    }
}
