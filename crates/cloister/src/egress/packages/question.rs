//! The index's decision on a package that nobody has asked for: the same rules, without a mirror.

use super::fetch::Url;
use super::page::{File, is_file_name};
use super::rules::{Rules, normal};
use cloister_core::policy::{NetworkMode, Policy};
use std::time::{SystemTime, UNIX_EPOCH};

/// What the index would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The project in its normal form.
    pub(crate) project: String,
    /// The entry that allows it, or why it is not offered, and the field that says so.
    pub(crate) answer: Result<String, (&'static str, String)>,
    /// The entry that denies it.
    pub(crate) denied: Option<String>,
}

/// What the index of a policy that installs from a mirror would do with `text`, the name of a project or of a file; `None` if it is
/// neither. A file is taken to be old, and to have a SHA-256: only the mirror knows.
pub(crate) fn ask(policy: &Policy, text: &str) -> Option<Verdict> {
    let (project, file) = match project_of(text) {
        Some(project) if is_file_name(text) => (normal(project)?, Some(text)),
        Some(_) => return None,
        None => (normal(text)?, None),
    };
    let rules = Rules::of(&policy.packages);
    let [denied, allowed] = rules.matches(&project).map(|entry| entry.map(str::to_owned));
    let answer = judge(policy, &rules, &project, file).map(|()| allowed.unwrap_or_default());
    Some(Verdict { project, answer, denied })
}

fn judge(
    policy: &Policy,
    rules: &Rules,
    project: &str,
    file: Option<&str>,
) -> Result<(), (&'static str, String)> {
    if policy.network.mode == NetworkMode::None {
        return Err((
            "network.mode",
            "without a network nothing is reached, and the index is not either".into(),
        ));
    }
    let url = Url::of_index(&policy.packages.index).map_err(|what| ("packages.index", what))?;
    rules.admits(project).map_err(|refused| (refused.rule, refused.what))?;
    let Some(name) = file else { return Ok(()) };
    let file = File {
        name: name.to_owned(),
        url,
        sha256: Some(String::new()),
        requires_python: None,
        yanked: false,
        uploaded: Some(UNIX_EPOCH),
    };
    rules.takes(project, &file, SystemTime::now()).map_err(|refused| (refused.rule, refused.what))
}

/// The project that a file's name says it is of; `None` if it is no name of a file.
fn project_of(text: &str) -> Option<&str> {
    if let Some(stem) = text.strip_suffix(".whl") {
        return stem.split('-').next();
    }
    let stem = [".tar.gz", ".zip", ".exe", ".egg"].iter().find_map(|end| text.strip_suffix(end))?;
    stem.rsplit_once('-').map(|(project, _)| project)
}
