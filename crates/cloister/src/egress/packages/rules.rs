//! The packages part of a policy as decisions: may this project be asked for, may this file be had.

use super::page::File;
use cloister_core::policy::Packages;
use std::time::{Duration, SystemTime};

/// A compiled policy.
pub(super) struct Rules {
    allow: Vec<String>,
    deny: Vec<String>,
    wheels_only: bool,
    require_hashes: bool,
    min_age: Duration,
}

/// Why not, and which field says so.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) what: String,
    pub(super) rule: &'static str,
}

/// Why a page has nothing to offer; without a rule, because there is nothing.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NothingLeft {
    pub(super) what: String,
    pub(super) rule: Option<&'static str>,
}

/// The normal form of a project's name (PEP 503); `None` for what is none.
pub(super) fn normal(name: &str) -> Option<String> {
    let end = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if name.len() > 100 || !end(bytes.first()) || !end(bytes.last()) || !bytes.iter().all(|&b| legal(b)) {
        return None;
    }
    let mut out = String::with_capacity(name.len());
    for b in bytes {
        match b {
            b'-' | b'_' | b'.' if out.ends_with('-') => {}
            b'-' | b'_' | b'.' => out.push('-'),
            b => out.push(char::from(b.to_ascii_lowercase())),
        }
    }
    Some(out)
}

impl Rules {
    pub(super) fn of(packages: &Packages) -> Self {
        let Packages {
            install: _,
            index: _,
            allow,
            deny,
            wheels_only,
            require_hashes,
            max_bytes: _,
            min_age,
        } = packages;
        Self {
            allow: allow.clone(),
            deny: deny.clone(),
            wheels_only: *wheels_only,
            require_hashes: *require_hashes,
            min_age: *min_age,
        }
    }

    /// The entries that name a project: of what is denied, and of what is allowed.
    pub(super) fn matches(&self, project: &str) -> [Option<&str>; 2] {
        [&self.deny, &self.allow].map(|list| {
            let names = |entry: &&String| match entry.strip_suffix('*') {
                Some(prefix) => project.starts_with(prefix),
                None => entry.as_str() == project,
            };
            list.iter().find(names).map(String::as_str)
        })
    }

    /// A project, by its name in normal form.
    pub(super) fn admits(&self, project: &str) -> Result<(), Refused> {
        let [denied, allowed] = self.matches(project);
        if denied.is_some() {
            return Err(Refused {
                what: "it is on the list of denied packages".into(),
                rule: "packages.deny",
            });
        }
        if allowed.is_none() {
            return Err(Refused {
                what: "it is not on the list of allowed packages".into(),
                rule: "packages.allow",
            });
        }
        Ok(())
    }

    /// A file of an admitted project.
    pub(super) fn takes(&self, project: &str, file: &File, now: SystemTime) -> Result<(), Refused> {
        let refused = |what: &str, rule| Err(Refused { what: what.to_owned(), rule });
        let name = file.name.as_str();
        let source = [".tar.gz", ".zip"].iter().any(|end| name.ends_with(end));
        match name.strip_suffix(".whl") {
            // A page of one project that offers another's wheel is a way round the list.
            Some(stem) if stem.split('-').next().and_then(normal).as_deref() != Some(project) => {
                return refused("the wheel is another project's", "packages.allow");
            }
            Some(_) => {}
            None if source && self.wheels_only => {
                return refused(
                    "it is a source archive, whose installation runs code of the package's own",
                    "packages.wheels_only",
                );
            }
            None if source => {}
            None => return refused("it is neither a wheel nor a source archive", "packages.wheels_only"),
        }
        if self.require_hashes && file.sha256.is_none() {
            return refused("the mirror states no SHA-256 for it", "packages.require_hashes");
        }
        if !self.min_age.is_zero() {
            let age = file.uploaded.and_then(|uploaded| now.duration_since(uploaded).ok());
            match age {
                None => return refused("the mirror does not say how old it is", "packages.min_age"),
                Some(age) if age < self.min_age => {
                    return refused("it is younger than the policy takes", "packages.min_age");
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// The files of a page that may be had. If there are none, why the last of them may not.
    pub(super) fn offer<'a>(
        &self,
        project: &str,
        files: &'a [File],
        now: SystemTime,
    ) -> Result<Vec<&'a File>, NothingLeft> {
        let (mut good, mut refused) = (Vec::new(), None);
        for file in files {
            match self.takes(project, file, now) {
                Ok(()) => good.push(file),
                Err(why) => refused = Some((file, why)),
            }
        }
        match (good.is_empty(), refused) {
            (true, Some((file, why))) => Err(NothingLeft {
                what: format!(
                    "none of its {} files may be installed; {}: {}",
                    files.len(),
                    file.name,
                    why.what
                ),
                rule: Some(why.rule),
            }),
            _ => Ok(good),
        }
    }
}
