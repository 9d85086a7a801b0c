//! The text that a signature covers: the request in the one form that client and server agree on.
//!
//! ```text
//! METHOD \n path \n query \n name:value \n … \n \n names \n what stands for the body
//! ```

use super::super::Denied;
use super::parse::Claim;
use crate::percent;
use axum::http::{HeaderMap, Method, Uri};
use std::fmt::Write as _;

/// A request without its body.
pub(in super::super) struct Target<'a> {
    method: &'a Method,
    path: &'a str,
    query: &'a str,
    headers: &'a HeaderMap,
}

impl<'a> Target<'a> {
    /// As it stood in the request line.
    pub(in super::super) fn of(method: &'a Method, uri: &'a Uri, headers: &'a HeaderMap) -> Self {
        Self { method, path: uri.path(), query: uri.query().unwrap_or_default(), headers }
    }

    /// The canonical request.
    pub(super) fn canonical(&self, claim: &Claim, payload: &str) -> Result<String, Denied> {
        let mut text = format!("{}\n{}\n{}\n", self.method, path(self.path), query(self.query)?);
        for name in &claim.signed_headers {
            let mut values = self.headers.get_all(name).iter().peekable();
            if values.peek().is_none() {
                return Err(Denied::new(format!("the signed header {name} is missing")));
            }
            let mut line = String::new();
            for value in values {
                let value = value
                    .to_str()
                    .map_err(|_| Denied::new(format!("the signed header {name} is not plain text")))?;
                let comma = if line.is_empty() { "" } else { "," };
                let _ = write!(line, "{comma}{}", value.split_whitespace().collect::<Vec<_>>().join(" "));
            }
            let _ = writeln!(text, "{name}:{line}");
        }
        let _ = write!(text, "\n{}\n{payload}", claim.signed_headers.join(";"));
        Ok(text)
    }
}

/// The path as it was sent, without dot segments and empty segments, encoded once more.
fn path(raw: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in raw.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    let slash = if raw.ends_with('/') && !segments.is_empty() { "/" } else { "" };
    format!("/{}{slash}", percent::encode_path(&segments.join("/")))
}

/// The parameters but the signature, decoded, encoded and in order.
fn query(raw: &str) -> Result<String, Denied> {
    let mut pairs = Vec::new();
    for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        // Here `+` is a plus: only forms make it a space.
        let both = percent::decode(name).zip(percent::decode(value));
        let (name, value) = both.ok_or_else(|| Denied::new("the query is not UTF-8 in percent-encoding"))?;
        if name != "X-Amz-Signature" {
            pairs.push((percent::encode_query(&name), percent::encode_query(&value)));
        }
    }
    pairs.sort();
    let pairs: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    Ok(pairs.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_normalised_and_encoded_a_second_time() {
        for (raw, expected) in [
            ("/", "/"),
            ("", "/"),
            ("//", "/"),
            ("/a/./b/../c//d/", "/a/c/d/"),
            ("/..", "/"),
            ("/x/arn%3Aaws%2Fy", "/x/arn%253Aaws%252Fy"),
            ("/a~b-c_d.e", "/a~b-c_d.e"),
        ] {
            assert_eq!(path(raw), expected, "{raw}");
        }
    }

    #[test]
    fn queries_are_sorted_and_encoded_once_and_the_signature_is_left_out() {
        let canonical = |raw| query(raw).ok();
        assert_eq!(canonical("b=2&a=1&a=0&X-Amz-Signature=00&c").as_deref(), Some("a=0&a=1&b=2&c="));
        assert_eq!(canonical("a=%2f+%20~").as_deref(), Some("a=%2F%2B%20~"));
        assert_eq!(canonical("a=%zz"), None);
    }
}
