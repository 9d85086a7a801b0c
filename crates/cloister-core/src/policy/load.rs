//! From files to policies: parse, follow `extends`, lay each file over its parent, and refuse what widens.
//!
//! ```text
//!   strict.toml ─extends─▶ default.toml ─extends─▶ ceiling.toml (ceiling = true) ─▶ root
//!        │                      │                       │
//!        └ over default         └ over (built-in ∧ ceiling)   └ over built-in
//! ```
//!
//! What an absent field means: in a root, the built-in default; under a ceiling, the built-in default or the ceiling's
//! value, whichever grants less; under any other parent, the parent's value. No file is read here: the caller hands the
//! texts in, so that this crate does no I/O.

use super::Policy;
use super::check::{complaints, is_name};
use super::describe::rows;
use super::document::Document;
use super::narrow::{meet, widenings};
use std::collections::BTreeMap;
use std::fmt;
use toml::de::{DeTable, DeValue};

/// The texts of all policy files, by policy name (the file's name without `.toml`).
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: BTreeMap<String, Source>,
}

#[derive(Clone, Debug)]
struct Source {
    file: String,
    text: String,
}

/// A policy with where it comes from, for tools.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// The policy.
    pub policy: Policy,
    /// It only bounds others; no interpreter may use it.
    pub ceiling: bool,
    /// Its own name, then its parent's, up to the root.
    pub chain: Vec<String>,
}

/// Why a policy cannot be used: every problem that was found, one per line of text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct LoadError {
    /// At least one.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong with one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, as the caller named it.
    pub file: String,
    /// Counted from 1; absent where no line is at fault.
    pub line: Option<usize>,
    /// The field, as `resources.memory`.
    pub field: Option<String>,
    /// What is wrong and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(field) = &self.field {
            write!(f, ": {field}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl Sources {
    /// No files yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the text of policy `name`; `file` is how errors call it. A second text for a name replaces the first.
    pub fn add(&mut self, name: impl Into<String>, file: impl Into<String>, text: impl Into<String>) {
        self.files.insert(name.into(), Source { file: file.into(), text: text.into() });
    }

    /// File and text of policy `name`.
    pub(super) fn text(&self, name: &str) -> Option<(&str, &str)> {
        self.files.get(name).map(|source| (source.file.as_str(), source.text.as_str()))
    }

    /// The names of all files, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// The policy `name`, for sessions to run under. A ceiling is refused.
    pub fn load(&self, name: &str) -> Result<Policy, LoadError> {
        let resolved = self.resolve(name)?;
        if resolved.ceiling {
            let text = "it is a ceiling, which bounds other policies and runs nothing; extend it";
            return Err(self.problem(name, "ceiling", text.into()).into());
        }
        Ok(resolved.policy)
    }

    /// The policy `name`, ceiling or not, with its ancestry.
    pub fn resolve(&self, name: &str) -> Result<Resolved, LoadError> {
        self.follow(name, &mut Vec::new())
    }

    fn follow(&self, name: &str, path: &mut Vec<String>) -> Result<Resolved, LoadError> {
        let Some(source) = self.files.get(name) else {
            let known = self.files.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            let text = format!("there is no policy `{name}`; there are: {known}");
            let at = path.last().map_or("", String::as_str);
            return Err(self.problem(at, "extends", text).into());
        };
        if !is_name(name) {
            let text =
                format!("`{name}` is no name for a policy: use lower-case letters, digits, `-` and `_`");
            return Err(self.problem(name, "", text).into());
        }
        if path.iter().any(|above| above == name) {
            let circle = path.iter().map(String::as_str).chain([name]).collect::<Vec<_>>().join(" → ");
            let at = path.last().map_or("", String::as_str);
            return Err(self
                .problem(at, "extends", format!("policies extend each other in a circle: {circle}"))
                .into());
        }
        path.push(name.to_owned());

        let document: Document = toml::from_str(&source.text).map_err(|error| Problem {
            file: source.file.clone(),
            line: error.span().map(|span| line_at(&source.text, span.start)),
            field: None,
            message: error.message().trim_end().replace('\n', "; "),
        })?;
        let parent = document.extends.as_deref().map(|parent| self.follow(parent, path)).transpose()?;
        let base = match &parent {
            None => Policy::built_in(name),
            Some(parent) if parent.ceiling && !document.ceiling => {
                meet(&Policy::built_in(name), &parent.policy)
            }
            Some(parent) => parent.policy.clone(),
        };
        let ceiling = document.ceiling;
        let policy = document.over(base, name);
        self.judge(name, &policy, parent.as_ref())?;

        let chain = [name.to_owned()].into_iter().chain(parent.into_iter().flat_map(|p| p.chain)).collect();
        Ok(Resolved { policy, ceiling, chain })
    }

    /// Refuses a policy that makes no sense or that grants more than its parent.
    fn judge(&self, name: &str, policy: &Policy, parent: Option<&Resolved>) -> Result<(), LoadError> {
        let mut problems: Vec<Problem> =
            complaints(policy).into_iter().map(|(field, text)| self.problem(name, field, text)).collect();
        if let Some(parent) = parent {
            let (ours, theirs) = (rows(policy), rows(&parent.policy));
            for field in widenings(policy, &parent.policy) {
                let (child, limit) = (value_of(&ours, field), value_of(&theirs, field));
                let above = &parent.policy.name;
                let text = format!(
                    "{child} is wider than `{above}` allows, which is {limit}; a child may only narrow"
                );
                problems.push(self.problem(name, field, text));
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(LoadError { problems }) }
    }

    fn problem(&self, name: &str, field: &str, message: String) -> Problem {
        let source = self.files.get(name);
        Problem {
            file: source.map_or_else(|| "policies".to_owned(), |source| source.file.clone()),
            line: source.and_then(|source| line_of(&source.text, field)),
            field: (!field.is_empty()).then(|| field.to_owned()),
            message,
        }
    }
}

impl From<Problem> for LoadError {
    fn from(problem: Problem) -> Self {
        Self { problems: vec![problem] }
    }
}

fn value_of<'a>(rows: &'a [(&'static str, String)], field: &str) -> &'a str {
    rows.iter().find(|(name, _)| *name == field).map_or("?", |(_, value)| value)
}

/// The line on which `section.key` or `key` stands.
pub(super) fn line_of(text: &str, field: &str) -> Option<usize> {
    let document = DeTable::parse(text).ok()?;
    let mut table = document.get_ref();
    let mut parts = field.split('.').peekable();
    while let Some(part) = parts.next() {
        let (key, value) = table.iter().find(|(key, _)| key.get_ref() == part)?;
        if parts.peek().is_none() {
            return Some(line_at(text, key.span().start));
        }
        let DeValue::Table(inner) = value.get_ref() else { return None };
        table = inner;
    }
    None
}

/// The number, from 1, of the line that holds byte `offset`.
pub(super) fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}
