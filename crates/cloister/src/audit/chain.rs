//! How a line is bound to the one before it: number, hash of the former line, and its own hash at its end.

use serde_json::Value;
use sha2::{Digest, Sha256};

/// What stands before a line's own hash.
const MARK: &str = ",\"hash\":\"";

/// The place of a record: its number, and the hash of its line in hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) seq: u64,
    pub(super) hash: String,
}

impl Link {
    /// Before the first record.
    pub(super) fn origin() -> Self {
        Self { seq: 0, hash: "0".repeat(64) }
    }
}

/// SHA-256 in hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The line after `last`, without its line end, from the members of a record (`"id":…,"detail":{…}`), and its place.
pub(super) fn bind(last: &Link, members: &str) -> (String, Link) {
    let seq = last.seq + 1;
    let body = format!("{{\"seq\":{seq},\"prev\":\"{}\",{members}", last.hash);
    let hash = sha256(format!("{body}}}").as_bytes());
    (format!("{body}{MARK}{hash}\"}}"), Link { seq, hash })
}

/// A line whose hash is right.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Checked {
    pub(super) link: Link,
    pub(super) prev: String,
    pub(super) record: Value,
}

/// Reads a line. The error says what is wrong with it, by itself.
pub(super) fn check(line: &[u8]) -> Result<Checked, &'static str> {
    let text = std::str::from_utf8(line).map_err(|_| "it is not text")?;
    let at = text.rfind(MARK).ok_or("it has no hash")?;
    let hash = text[at + MARK.len()..].strip_suffix("\"}").ok_or("it does not end with its hash")?;
    if sha256(format!("{}}}", &text[..at]).as_bytes()) != hash {
        return Err("its hash is not that of its text");
    }
    let record: Value = serde_json::from_str(text).map_err(|_| "it is not JSON")?;
    let seq = record["seq"].as_u64().ok_or("it has no number")?;
    let prev = record["prev"].as_str().ok_or("it does not say what it follows")?.to_owned();
    Ok(Checked { link: Link { seq, hash: hash.to_owned() }, prev, record })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_bound_to_the_one_before_and_any_other_byte_shows() {
        let (one, link) = bind(&Link::origin(), "\"a\":\"b\"");
        let (two, _) = bind(&link, "\"hash\":\"x\"");
        let checked = check(two.as_bytes()).unwrap();
        assert_eq!((checked.prev, checked.link.seq), (link.hash.clone(), 2));
        assert_eq!(check(one.as_bytes()).unwrap().link, link);
        for at in 0..one.len() {
            let mut other = one.clone().into_bytes();
            other[at] ^= 1;
            assert!(check(&other).is_err(), "byte {at}");
        }
    }
}
