//! Puts values into the head of a request to a host that they are bound to: header values, Basic credentials, nothing else.
//!
//! The head is the one that `head.rs` has written anew, so there is one way to read it. A placeholder that is still there afterwards
//! (in the address, of another host's secret, of another session) refuses the request: a program that sends one has lost its way.

use super::{Inject, PREFIX, Secret, Value};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Headers that a request to a bound host does not keep: compressed answers cannot be read here, and pieces of an answer could be
/// cut through the middle of a value.
const DROPPED: [&str; 3] = ["accept-encoding", "range", "if-range"];

/// Why a request does not go out.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Misplaced {
    /// In the address.
    InAddress,
    /// In a header, and of a secret that is not for this host or not for this header.
    NotForHere,
    /// The server cannot read its value.
    Unreadable(String),
}

/// A head with values in it.
pub(super) struct Filled {
    pub(super) head: Vec<u8>,
    /// Names of secrets, and the header that each stands in.
    pub(super) used: Vec<(String, String)>,
}

/// Whether a placeholder of whatever secret stands in these bytes, or in Basic credentials among them.
pub(crate) fn mentions_placeholder(head: &[u8]) -> bool {
    let text = String::from_utf8_lossy(head);
    text.contains(PREFIX)
        || text
            .split("\r\n")
            .filter_map(|line| line.split_once(':'))
            .any(|(_, value)| basic(value.trim()).is_some_and(|decoded| decoded.contains(PREFIX)))
}

/// `user:password` of a header value, if it is that.
fn basic(value: &str) -> Option<String> {
    let (scheme, rest) = value.split_once(' ')?;
    let decoded = STANDARD.decode(rest.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    String::from_utf8(decoded).ok()
}

/// Fills in the values of `bound`, the secrets of the host that `head` goes to.
pub(super) fn fill(head: &[u8], bound: &[&Secret]) -> Result<Filled, Misplaced> {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.trim_end_matches("\r\n").split("\r\n");
    let request = lines.next().unwrap_or_default();
    if request.contains(PREFIX) {
        return Err(Misplaced::InAddress);
    }
    let mut filling = Filling { bound, used: Vec::new() };
    let mut out = format!("{request}\r\n");
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        let dropped = DROPPED.iter().any(|dropped| dropped.eq_ignore_ascii_case(name));
        if !dropped && filling.header(name).is_none() {
            let value = filling.value(name, value)?;
            out.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    for secret in bound {
        if let Inject::Header { name, prefix } = &secret.inject {
            let Value(value) = filling.take(secret, name)?;
            out.push_str(&format!("{name}: {prefix}{value}\r\n"));
        }
    }
    out.push_str("Accept-Encoding: identity\r\n\r\n");
    Ok(Filled { head: out.into_bytes(), used: filling.used })
}

struct Filling<'a> {
    bound: &'a [&'a Secret],
    used: Vec<(String, String)>,
}

impl Filling<'_> {
    /// The secret that this header is set to, whatever the guest says.
    fn header(&self, name: &str) -> Option<&Secret> {
        let sets = |secret: &&&Secret| matches!(&secret.inject, Inject::Header { name: set, .. } if set.eq_ignore_ascii_case(name));
        self.bound.iter().find(sets).copied()
    }

    fn take(&mut self, secret: &Secret, place: &str) -> Result<Value, Misplaced> {
        let value = secret.value().map_err(|what| {
            tracing::warn!(target: "egress", secret = secret.name, what, "a secret cannot be used");
            Misplaced::Unreadable(secret.name.clone())
        })?;
        let use_ = (secret.name.clone(), place.to_ascii_lowercase());
        if !self.used.contains(&use_) {
            self.used.push(use_);
        }
        Ok(value)
    }

    fn value(&mut self, name: &str, value: &str) -> Result<String, Misplaced> {
        let credentials = basic(value).filter(|decoded| decoded.contains(PREFIX));
        match credentials {
            Some(decoded) => Ok(format!("Basic {}", STANDARD.encode(self.replaced(name, &decoded)?))),
            None => self.replaced(name, value),
        }
    }

    fn replaced(&mut self, name: &str, text: &str) -> Result<String, Misplaced> {
        let mut text = text.to_owned();
        for &secret in self.bound {
            if secret.inject == Inject::Placeholder && text.contains(&secret.placeholder) {
                let Value(value) = self.take(secret, name)?;
                // In one go: a value that looks like a placeholder is not looked at again.
                text = text.replace(&secret.placeholder, &value);
            }
        }
        if text.contains(PREFIX) { Err(Misplaced::NotForHere) } else { Ok(text) }
    }
}
