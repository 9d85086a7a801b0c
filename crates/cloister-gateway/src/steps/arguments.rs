//! The arguments of one page action, read by name; what is wrong or unknown is noted with its path.

use super::{Mistakes, selector};
use crate::guest_path;
use crate::json::Json;
use cloister_core::browser::page::Selector;
use std::cell::RefCell;

/// Longest text of an argument, in bytes: as much as a form of any page takes, and a long script.
const TEXT: usize = 4 << 20;
/// Most entries of a list.
const LIST: usize = 1_000;

/// The arguments of one page action.
pub(super) struct Arguments<'a> {
    path: String,
    given: &'a Json<'a>,
    mistakes: &'a Mistakes,
    /// Names that were asked for: every other one is unknown.
    known: RefCell<Vec<&'static str>>,
}

impl<'a> Arguments<'a> {
    /// `{}` and `null` are no arguments.
    pub(super) fn of(given: &'a Json<'a>, path: String, mistakes: &'a Mistakes) -> Self {
        if !matches!(given, Json::Object(_) | Json::Null) {
            mistakes.add(&path, format!("must be an object of arguments, and it is {}", given.kind()));
        }
        Self { path, given, mistakes, known: RefCell::default() }
    }

    fn get(&self, name: &'static str) -> Option<&'a Json<'a>> {
        self.known.borrow_mut().push(name);
        self.given.get(name)
    }

    pub(super) fn has(&self, name: &'static str) -> bool {
        self.get(name).is_some()
    }

    /// Notes a mistake of one argument.
    pub(super) fn bad(&self, name: &str, message: impl Into<String>) {
        self.mistakes.add(format!("{}.{name}", self.path), message);
    }

    /// Notes every argument that nobody asked for: to ignore it would be to do something else than what was asked.
    pub(super) fn finish(&self) {
        let known = self.known.borrow();
        let Json::Object(members) = self.given else { return };
        for (name, _) in members.iter().filter(|(name, _)| !known.contains(&name.as_ref())) {
            let mut names: Vec<_> = known.clone();
            names.dedup();
            let message = if names.is_empty() {
                "is unknown: this action has no arguments".to_owned()
            } else {
                format!("is unknown; known here are {}", names.join(", "))
            };
            self.bad(name, message);
        }
    }

    /// A text.
    pub(super) fn text(&self, name: &'static str) -> Option<String> {
        let given = self.get(name)?;
        match given.as_str() {
            None => self.bad(name, format!("must be a string, and it is {}", given.kind())),
            Some(text) if text.len() > TEXT => {
                self.bad(name, format!("must not be longer than {TEXT} bytes"));
            }
            Some(_) => {}
        }
        given.as_str().map(str::to_owned)
    }

    /// A text that must be there and not be empty.
    pub(super) fn required(&self, name: &'static str) -> String {
        let text = self.text(name);
        if !self.has(name) {
            self.bad(name, "must be there");
        } else if text.as_ref().is_some_and(String::is_empty) {
            self.bad(name, "must not be empty");
        }
        text.unwrap_or_default()
    }

    /// true or false.
    pub(super) fn flag(&self, name: &'static str, otherwise: bool) -> bool {
        let Some(given) = self.get(name) else { return otherwise };
        given.as_bool().unwrap_or_else(|| {
            self.bad(name, format!("must be true or false, and it is {}", given.kind()));
            otherwise
        })
    }

    /// A number.
    pub(super) fn number(&self, name: &'static str) -> Option<f64> {
        let given = self.get(name)?;
        match given {
            Json::Number(number) => number.as_f64(),
            _ => {
                self.bad(name, format!("must be a number, and it is {}", given.kind()));
                None
            }
        }
    }

    /// A whole number in a range.
    pub(super) fn whole(&self, name: &'static str, least: i32, most: i32) -> Option<i32> {
        let number = match self.get(name)? {
            Json::Number(number) => number.as_i64().and_then(|n| i32::try_from(n).ok()),
            _ => None,
        };
        let number = number.filter(|n| (least..=most).contains(n));
        if number.is_none() {
            self.bad(name, format!("must be a whole number from {least} to {most}"));
        }
        number
    }

    /// One of several words.
    pub(super) fn choice<T: Copy>(&self, name: &'static str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(name)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            self.bad(name, format!("must be one of {}", words.join(", ")));
        }
        found
    }

    /// A list of texts; one text counts as a list of one.
    pub(super) fn texts(&self, name: &'static str) -> Vec<String> {
        match self.get(name) {
            None => Vec::new(),
            Some(Json::String(text)) => vec![text.to_string()],
            Some(list @ Json::Array(_)) => {
                let texts: Vec<_> =
                    list.entries().iter().filter_map(Json::as_str).map(str::to_owned).collect();
                if texts.len() != list.entries().len() || texts.len() > LIST {
                    self.bad(name, format!("must be a list of at most {LIST} strings"));
                }
                texts
            }
            Some(other) => {
                self.bad(name, format!("must be a list of strings, and it is {}", other.kind()));
                Vec::new()
            }
        }
    }

    /// A list of objects, each as arguments of their own.
    pub(super) fn objects(&self, name: &'static str) -> Vec<Arguments<'a>> {
        let entries = self.get(name).map(Json::entries).unwrap_or_default();
        if !(1..=LIST).contains(&entries.len()) {
            self.bad(name, format!("must be a list of 1 to {LIST} objects"));
        }
        let of =
            |(index, entry)| Arguments::of(entry, format!("{}.{name}[{index}]", self.path), self.mistakes);
        entries.iter().take(LIST).enumerate().map(of).collect()
    }

    /// A path in the session's files.
    pub(super) fn file(&self, name: &'static str) -> Option<String> {
        let path = self.text(name)?;
        if let Err(message) = guest_path::relative(&path) {
            self.bad(name, message);
        }
        Some(path)
    }

    /// How to find an element.
    pub(super) fn selector(&self, name: &'static str) -> Option<Selector> {
        let given = self.get(name)?;
        selector::read(given).map_err(|message| self.bad(name, message)).ok()
    }

    /// The same, where one must be there.
    pub(super) fn required_selector(&self, name: &'static str) -> Selector {
        if !self.has(name) {
            self.bad(name, "must be there: a CSS selector, text=…, role=…[name=\"…\"] or ref=…");
        }
        self.selector(name).unwrap_or_else(|| Selector::Css(String::new()))
    }
}
