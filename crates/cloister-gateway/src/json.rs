//! A strict JSON reader for request bodies: it borrows strings from the body and refuses what two parsers
//! could read differently.
//!
//! ```text
//! body bytes ──▶ Json<'body> ──▶ agentcore::validate, native requests
//! ```
//!
//! | refused | because |
//! |---|---|
//! | duplicate keys | a proxy could check the first and we could obey the second |
//! | lone surrogates, invalid UTF-8, a byte order mark, NaN, 1e400 | they are not JSON text |
//! | nesting above 100 | a deep document overflows the stack of a recursive reader |
//! | more than 1,000,000 values | `[0,0,…]` costs twenty times its size in memory |

use cloister_core::error::{Error, Reason};
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

/// Deepest nesting. The model's deepest request has five levels.
const DEPTH: usize = 100;
/// Most values and keys in one document. A `writeFiles` with 100,000 files stays below.
const VALUES: usize = 1_000_000;

/// A JSON value that borrows from the text it was read from. Objects keep the order of their members.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json<'a> {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    String(Cow<'a, str>),
    Array(Vec<Json<'a>>),
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

impl<'a> Json<'a> {
    /// Reads one document. Errors are `CannotParse` with the place, never with the content.
    pub(crate) fn parse(text: &'a [u8]) -> Result<Self, Error> {
        let left = Cell::new(VALUES);
        let mut reader = serde_json::Deserializer::from_slice(text);
        let seed = Seed { depth: 0, left: &left };
        let value = seed.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
        value.map_err(|e| {
            Error::invalid(Reason::CannotParse, format!("the request body is not valid JSON: {e}"))
        })
    }

    /// A member of an object; `null` counts as absent, as the AWS protocols have it.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members
                .iter()
                .find(|(key, value)| key == name && *value != Self::Null)
                .map(|(_, value)| value),
            _ => None,
        }
    }

    /// The text of a string.
    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The value of an integer.
    pub(crate) fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Number(number) => number.as_u64(),
            _ => None,
        }
    }

    /// The value of a boolean.
    pub(crate) fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The entries of an array; none for anything else.
    pub(crate) fn entries(&self) -> &[Self] {
        match self {
            Self::Array(entries) => entries,
            _ => &[],
        }
    }

    /// The same as a value of its own.
    pub(crate) fn to_value(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(value) => (*value).into(),
            Self::Number(number) => number.clone().into(),
            Self::String(text) => text.as_ref().into(),
            Self::Array(entries) => entries.iter().map(Self::to_value).collect(),
            Self::Object(members) => {
                members.iter().map(|(key, value)| (key.clone().into_owned(), value.to_value())).collect()
            }
        }
    }

    /// What it is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::Array(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

#[derive(Clone, Copy)]
struct Seed<'c> {
    depth: usize,
    left: &'c Cell<usize>,
}

impl Seed<'_> {
    fn count<E: de::Error>(&self) -> Result<(), E> {
        let left =
            self.left.get().checked_sub(1).ok_or_else(|| E::custom("it has more than 1,000,000 values"))?;
        self.left.set(left);
        Ok(())
    }

    fn deeper<E: de::Error>(&self) -> Result<Self, E> {
        if self.depth >= DEPTH {
            return Err(E::custom("it is nested more than 100 levels deep"));
        }
        Ok(Self { depth: self.depth + 1, left: self.left })
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Json<'de>, D::Error> {
        self.count()?;
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json<'de>, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json<'de>, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Json<'de>, E> {
        serde_json::Number::from_f64(value).map(Json::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::String(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json<'de>, E> {
        Ok(Json::String(Cow::Owned(value.to_owned())))
    }

    fn visit_string<E>(self, value: String) -> Result<Json<'de>, E> {
        Ok(Json::String(Cow::Owned(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json<'de>, A::Error> {
        let inner = self.deeper()?;
        let mut entries = Vec::new();
        while let Some(entry) = access.next_element_seed(inner)? {
            entries.push(entry);
        }
        Ok(Json::Array(entries))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json<'de>, A::Error> {
        let inner = self.deeper()?;
        let mut members: Vec<(Cow<'de, str>, Json<'de>)> = Vec::new();
        // A set instead of a scan, so that an object of a million keys is not quadratic.
        let mut seen = HashSet::new();
        while let Some(Key(key)) = access.next_key()? {
            self.count()?;
            if !seen.insert(key.clone()) {
                return Err(de::Error::custom("a member appears twice in one object"));
            }
            members.push((key, access.next_value_seed(inner)?));
        }
        Ok(Json::Object(members))
    }
}

struct Key<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a member's name")
            }
            fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(value)))
            }
            fn visit_str<E>(self, value: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(value.to_owned())))
            }
        }
        reader.deserialize_str(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &[u8]) -> String {
        let error = Json::parse(text).unwrap_err();
        assert_eq!(error.reason, Some(Reason::CannotParse));
        error.message
    }

    #[test]
    fn strings_without_escapes_are_borrowed_and_others_decoded() {
        let value = Json::parse(br#"{"a":"plain","b":"\u00e9\n"}"#).unwrap();
        assert!(matches!(value.get("a"), Some(Json::String(Cow::Borrowed("plain")))));
        assert_eq!(value.get("b").and_then(Json::as_str), Some("é\n"));
    }

    #[test]
    fn documents_that_two_parsers_could_read_differently_are_refused() {
        assert!(refused(br#"{"a":1,"a":2}"#).contains("appears twice"));
        assert!(refused(br#"{"a":1,"\u0061":2}"#).contains("appears twice"));
        for bad in [
            &br#"{"a":"\ud800"}"#[..],
            br#"{"a":"\udc00x"}"#,
            b"\"\xff\"",
            b"\xef\xbb\xbf{}",
            b"NaN",
            b"1e400",
            b"{} {}",
            b"{",
            b"",
            b"{'a':1}",
        ] {
            refused(bad);
        }
    }

    #[test]
    fn depth_and_number_of_values_are_limited() {
        let deep = "[".repeat(100_000);
        refused(deep.as_bytes());
        let legal = "[".repeat(DEPTH) + &"]".repeat(DEPTH);
        assert!(Json::parse(legal.as_bytes()).is_ok());
        let wide = format!("[{}0]", "0,".repeat(VALUES));
        assert!(refused(wide.as_bytes()).contains("1,000,000"));
    }

    #[test]
    fn messages_never_repeat_the_content() {
        assert!(!refused(br#"{"secret-key":1,"secret-key":2}"#).contains("secret"));
    }
}
