//! Reads the members of native requests: typed, with limits, and every mistake named in one answer.

use crate::body::{self, Held};
use crate::json::Json;
use crate::percent;
use crate::state::Gateway;
use crate::wire_error::Refusal;
use axum::body::Body;
use axum::http::request::Parts;
use cloister_core::SessionId;
use cloister_core::error::{Error, Field, Kind, Reason};
use cloister_core::policy::Ask;
use std::cell::RefCell;
use std::time::Duration;

/// Longest call that a client may ask for; the policy's own limit is usually shorter.
const LONGEST_CALL: f64 = 28_800.0;

/// Reads the JSON body of a request.
pub(super) async fn read(gateway: &Gateway, parts: &Parts, body: Body) -> Result<Held, Refusal> {
    body::read_json(gateway, parts, body).await
}

/// A session id from a path. An id that cannot exist is not found, like one that does not.
pub(crate) fn session_id(text: &str) -> Result<SessionId, Error> {
    SessionId::parse(text).ok_or_else(|| Error::new(Kind::NotFound, "there is no such session"))
}

/// The members of a body or of a query, with the mistakes found so far.
pub(crate) struct Members<'a> {
    given: Json<'a>,
    fields: RefCell<Vec<Field>>,
}

impl<'a> Members<'a> {
    /// The members of a JSON object that may have `names` only: to ignore an unknown one would do something
    /// else than what was asked.
    pub(crate) fn of(held: &'a Held, names: &[&str]) -> Result<Self, Error> {
        let given = Json::parse(body::or_empty(&held.bytes))?;
        if !matches!(given, Json::Object(_)) {
            let message = format!("the request body must be a JSON object, and it is {}", given.kind());
            return Err(Error::invalid(Reason::CannotParse, message));
        }
        Ok(Self::checked(given, names))
    }

    /// The parameters of a query.
    pub(super) fn of_query(parts: &Parts, names: &[&str]) -> Result<Members<'static>, Error> {
        let pairs = percent::decode_query(parts.uri.query().unwrap_or_default()).ok_or_else(|| {
            Error::invalid(Reason::CannotParse, "the query is not UTF-8 in percent-encoding")
        })?;
        let given = pairs.into_iter().map(|(key, value)| (key.into(), Json::String(value.into()))).collect();
        Ok(Members::checked(Json::Object(given), names))
    }

    fn checked(given: Json<'a>, names: &[&str]) -> Self {
        let members = Self { given, fields: RefCell::default() };
        if let Json::Object(given) = &members.given {
            for (index, (key, _)) in given.iter().enumerate() {
                if !names.contains(&key.as_ref()) {
                    let shown: String = key.chars().take(100).collect();
                    let known = match names {
                        [] => "this takes no members".to_owned(),
                        names => format!("known here are {}", names.join(", ")),
                    };
                    members.bad(&shown, format!("is unknown; {known}"));
                } else if given[..index].iter().any(|(other, _)| other == key) {
                    members.bad(key, "is given twice");
                }
            }
        }
        members
    }

    /// Notes a mistake.
    pub(crate) fn bad(&self, name: &str, message: impl Into<String>) {
        self.fields.borrow_mut().push(Field { name: name.to_owned(), message: message.into() });
    }

    /// Whether a member is there.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.given.get(name).is_some()
    }

    /// Fields of a policy file.
    pub(super) fn policy(&self, name: &str) -> Option<Ask> {
        let value = self.given.get(name)?;
        if !matches!(value, Json::Object(_)) {
            self.bad(name, format!("must be an object, and it is {}", value.kind()));
            return None;
        }
        let read = serde_json::from_value(value.to_value());
        read.map_err(|error| self.bad(name, format!("has no such form: {error}"))).ok()
    }

    /// A text.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let value = self.given.get(name)?;
        if value.as_str().is_none() {
            self.bad(name, format!("must be a string, and it is {}", value.kind()));
        }
        value.as_str().map(str::to_owned)
    }

    /// A text of 1 to `most` characters.
    pub(super) fn short(&self, name: &str, most: usize) -> Option<String> {
        let text = self.text(name)?;
        let length = text.chars().count();
        if !(1..=most).contains(&length) {
            self.bad(name, format!("must have 1 to {most} characters, and has {length}"));
        }
        Some(text)
    }

    /// One of several words.
    pub(super) fn choice<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(name)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            self.bad(name, format!("must be one of {}", words.join(", ")));
        }
        found
    }

    /// A boolean.
    pub(crate) fn flag(&self, name: &str) -> bool {
        let Some(value) = self.given.get(name) else { return false };
        if value.as_bool().is_none() {
            self.bad(name, format!("must be true or false, and it is {}", value.kind()));
        }
        value.as_bool().unwrap_or_default()
    }

    /// A whole number in a range; in a query, written in decimal.
    pub(super) fn whole(&self, name: &str, least: u64, most: u64) -> Option<u64> {
        let value = self.given.get(name)?;
        let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
        match number.filter(|n| (least..=most).contains(n)) {
            Some(number) => Some(number),
            None => {
                self.bad(name, format!("must be a whole number from {least} to {most}"));
                None
            }
        }
    }

    /// A time of a call in seconds, fractions allowed.
    pub(super) fn seconds(&self, name: &str) -> Option<Duration> {
        let seconds = match self.given.get(name)? {
            Json::Number(number) => number.as_f64(),
            _ => None,
        };
        match seconds.filter(|s| *s > 0.0 && *s <= LONGEST_CALL) {
            Some(seconds) => Some(Duration::from_secs_f64(seconds)),
            None => {
                self.bad(name, format!("must be a number of seconds above 0 and up to {LONGEST_CALL}"));
                None
            }
        }
    }

    /// The JSON itself, for digests.
    pub(super) fn json(&self) -> &Json<'a> {
        &self.given
    }

    /// An error that names every mistake, if there was one.
    pub(crate) fn finish(&self) -> Result<(), Error> {
        let fields = self.fields.take();
        if fields.is_empty() {
            return Ok(());
        }
        let list: Vec<_> = fields.iter().map(|field| format!("{} {}", field.name, field.message)).collect();
        let message = list.join("; ");
        Err(Error {
            reason: Some(Reason::FieldValidationFailed),
            fields,
            ..Error::new(Kind::Validation, message)
        })
    }
}
