//! A digest of a request's parameters, by which a repeated token is told from a reused one.

use crate::json::Json;
use sha2::{Digest, Sha256};

/// SHA-256 over a canonical form: `labels` first, then the JSON with its members sorted, nulls and `without`
/// left out. Two requests that mean the same have the same digest, whatever the order of their members.
pub(crate) fn of(labels: &[&str], body: &Json<'_>, without: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for label in labels {
        text(&mut hash, b'l', label);
    }
    feed(&mut hash, body, without);
    hash.finalize().into()
}

fn feed(hash: &mut Sha256, value: &Json<'_>, without: &[&str]) {
    match value {
        Json::Null => hash.update(b"n"),
        Json::Bool(value) => hash.update([b'b', u8::from(*value)]),
        Json::Number(number) => text(hash, b'd', &number.to_string()),
        Json::String(value) => text(hash, b's', value),
        Json::Array(entries) => {
            hash.update(b"a");
            hash.update((entries.len() as u64).to_be_bytes());
            entries.iter().for_each(|entry| feed(hash, entry, &[]));
        }
        Json::Object(members) => {
            let mut members: Vec<_> = members
                .iter()
                .filter(|(name, value)| *value != Json::Null && !without.contains(&name.as_ref()))
                .collect();
            members.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
            hash.update(b"o");
            hash.update((members.len() as u64).to_be_bytes());
            for (name, value) in members {
                text(hash, b'k', name);
                feed(hash, value, &[]);
            }
        }
    }
}

/// A tag and a length before every text, so that no two documents feed the same bytes.
fn text(hash: &mut Sha256, tag: u8, text: &str) {
    hash.update([tag]);
    hash.update((text.len() as u64).to_be_bytes());
    hash.update(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(body: &str) -> [u8; 32] {
        of(&["x"], &Json::parse(body.as_bytes()).unwrap(), &["clientToken"])
    }

    #[test]
    fn order_nulls_and_the_token_do_not_count_and_everything_else_does() {
        let one = digest(r#"{"a":1,"b":{"c":[1,2]},"clientToken":"x"}"#);
        assert_eq!(one, digest(r#"{"clientToken":"y","b":{"c":[1,2]},"a":1,"z":null}"#));
        for other in [r#"{"a":1,"b":{"c":[2,1]}}"#, r#"{"a":"1","b":{"c":[1,2]}}"#, r#"{"a":1}"#] {
            assert_ne!(one, digest(other));
        }
        assert_ne!(digest(r#"{"b":{"clientToken":"x"}}"#), digest(r#"{"b":{}}"#));
    }
}
