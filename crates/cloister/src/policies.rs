//! The policies in force: the embedded ones, with those of a folder laid over them by name.
//!
//! ```text
//!   embedded (build.rs) ◀─ over ─ `policies/` beside the executable, or --policies DIR ──▶ Sources + system call lists
//! ```

pub(crate) mod cases;
pub(crate) mod diff;
pub(crate) mod explain;
pub(crate) mod learn;
pub(crate) mod lint;
pub(crate) mod past;
pub(crate) mod request;

use crate::audit::sha256;
use crate::egress;
use crate::locate::Installation;
use cloister_core::policy::{LoadError, Origin, Policy, Resolved, Sources};
use cloister_jail::seccomp::Ruling;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The repository's files, as build.rs found them.
pub(crate) mod embedded {
    include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
}

/// Policy texts, and the system call lists that they name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Policies {
    sources: Sources,
    /// By path below `policies/`, as `isolation.seccomp` names them.
    seccomp: HashMap<String, String>,
}

/// Why policies cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PoliciesError {
    /// What the loader says: one problem per line, with file and line.
    #[error("{0}")]
    Load(#[from] LoadError),
    /// The file system says no.
    #[error("{path}: {source}")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Anybody could widen it.
    #[error(
        "{0} can be changed by every user of this machine; take the right away (chmod o-w) and check what it says"
    )]
    Writable(PathBuf),
    /// `isolation.seccomp` names nothing.
    #[error("policy {policy}: isolation.seccomp names {name}, and there is no such file below policies/")]
    Seccomp {
        /// The policy.
        policy: String,
        /// What it names.
        name: String,
    },
    /// A system call list cannot be read.
    #[error("policies/{name}: {what}")]
    SeccompList {
        /// The list.
        name: String,
        /// What is wrong.
        what: String,
    },
    /// The proxy cannot read the network part.
    #[error("policy {policy}: {what}")]
    Network {
        /// The policy.
        policy: String,
        /// The field and what would be right.
        what: String,
    },
}

impl Policies {
    /// The policies of this installation; `given` is the folder of `--policies`.
    pub(crate) fn find(given: Option<&Path>, installation: &Installation) -> Result<Self, PoliciesError> {
        let mut policies = Self::embedded();
        if let Some(folder) = given.map(Path::to_owned).or_else(|| installation.policies()) {
            policies.lay_over(&folder)?;
        }
        Ok(policies)
    }

    /// Those that were built in.
    pub(crate) fn embedded() -> Self {
        let mut policies = Self::default();
        for (path, text) in embedded::POLICIES {
            policies.add(path.trim_end_matches(".toml"), format!("policies/{path}"), (*text).to_owned());
        }
        for (path, text) in embedded::SECCOMP {
            policies.seccomp.insert((*path).to_owned(), (*text).to_owned());
        }
        policies
    }

    /// Adds a policy text, or replaces the one of this name.
    pub(crate) fn add(&mut self, name: &str, file: String, text: String) {
        self.sources.add(name, file, text);
    }

    /// Takes every `*.toml` and `seccomp/*.json` of a folder.
    fn lay_over(&mut self, folder: &Path) -> Result<(), PoliciesError> {
        check_writable(folder)?;
        for path in files(folder, "toml")? {
            self.add(&stem(&path), path.display().to_string(), read(&path)?);
        }
        let lists = folder.join("seccomp");
        if lists.is_dir() {
            check_writable(&lists)?;
            for path in files(&lists, "json")? {
                self.seccomp.insert(format!("seccomp/{}.json", stem(&path)), read(&path)?);
            }
        }
        Ok(())
    }

    /// Every name, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        self.sources.names().map(str::to_owned).collect()
    }

    /// The policy `name`, checked in every way that does not need this host.
    pub(crate) fn load(&self, name: &str) -> Result<Arc<Policy>, PoliciesError> {
        let policy = self.sources.load(name)?;
        self.check(&policy)?;
        Ok(Arc::new(policy))
    }

    /// The policy `name`, a ceiling or not, with its ancestry.
    pub(crate) fn resolve(&self, name: &str) -> Result<Resolved, PoliciesError> {
        let resolved = self.sources.resolve(name)?;
        self.check(&resolved.policy)?;
        Ok(resolved)
    }

    /// Every policy that sessions can run under. One broken file fails all: a half-read set is nobody's intent.
    pub(crate) fn all(&self) -> Result<Vec<Arc<Policy>>, PoliciesError> {
        let mut all = Vec::new();
        for name in self.names() {
            let Resolved { policy, ceiling, .. } = self.resolve(&name)?;
            if !ceiling {
                all.push(Arc::new(policy));
            }
        }
        Ok(all)
    }

    /// The file and line that decided a field of policy `name`, or an item of it.
    pub(crate) fn origin(&self, name: &str, field: &str, item: Option<&str>) -> Option<Origin> {
        self.sources.origin(name, field, item)
    }

    /// What the system call list `name` says of a call.
    pub(crate) fn ruling(&self, name: &str, call: &str) -> Result<Ruling, PoliciesError> {
        let bad = |what: String| PoliciesError::SeccompList { name: name.to_owned(), what };
        let text = self.seccomp.get(name).ok_or_else(|| bad("there is no such list".to_owned()))?;
        cloister_jail::seccomp::ruling(text, call).map_err(|error| bad(error.to_string()))
    }

    /// The system call filters, by path below `policies/`.
    pub(crate) fn filters(&self) -> Result<HashMap<String, Filters>, PoliciesError> {
        self.seccomp.iter().map(|(name, text)| Ok((name.clone(), compile(name, text)?))).collect()
    }

    /// SHA-256 of every system call list, by path below `policies/`.
    pub(crate) fn list_digests(&self) -> BTreeMap<String, String> {
        self.seccomp.iter().map(|(name, text)| (name.clone(), sha256(text.as_bytes()))).collect()
    }

    fn check(&self, policy: &Policy) -> Result<(), PoliciesError> {
        let name = &policy.isolation.seccomp;
        let Some(text) = self.seccomp.get(name) else {
            return Err(PoliciesError::Seccomp { policy: policy.name.clone(), name: name.clone() });
        };
        compile(name, text)?;
        egress::check(&policy.network)
            .map_err(|what| PoliciesError::Network { policy: policy.name.clone(), what })
    }
}

/// The filters of one list, in the order of installation.
type Filters = Vec<Vec<u64>>;

fn compile(name: &str, text: &str) -> Result<Filters, PoliciesError> {
    let bad = |what: String| PoliciesError::SeccompList { name: name.to_owned(), what };
    cloister_jail::seccomp::compile(text).map_err(|error| bad(error.to_string()))
}

/// The name of the policy in a file.
pub(crate) fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// The text of a file that only its owner and group can change.
pub(crate) fn read(path: &Path) -> Result<String, PoliciesError> {
    check_writable(path)?;
    fs::read_to_string(path).map_err(|source| PoliciesError::Read { path: path.to_owned(), source })
}

pub(crate) fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>, PoliciesError> {
    let io = |source| PoliciesError::Read { path: folder.to_owned(), source };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

pub(crate) fn check_writable(path: &Path) -> Result<(), PoliciesError> {
    let metadata =
        fs::metadata(path).map_err(|source| PoliciesError::Read { path: path.to_owned(), source })?;
    if metadata.mode() & 0o002 == 0 { Ok(()) } else { Err(PoliciesError::Writable(path.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// A system call list that can be read.
    fn list() -> (&'static str, &'static str) {
        let (_, text) = embedded::SECCOMP.iter().find(|(name, _)| *name == "seccomp/default.json").unwrap();
        ("seccomp/default.json", text)
    }

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("seccomp")).unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    fn laid_over(folder: &tempfile::TempDir) -> Policies {
        let mut policies = Policies::default();
        policies.lay_over(folder.path()).unwrap();
        policies
    }

    #[test]
    fn every_embedded_policy_loads_and_the_default_one_is_among_them() {
        let names: Vec<String> =
            Policies::embedded().all().unwrap().iter().map(|policy| policy.name.clone()).collect();
        assert!(names.iter().any(|name| name == "default"), "{names:?}");
    }

    #[test]
    fn a_folder_adds_policies_and_replaces_those_of_the_same_name() {
        let first = folder(&[("a.toml", "description = 'one'"), ("b.toml", ""), list()]);
        let second = folder(&[("a.toml", "description = 'two'")]);
        let mut policies = laid_over(&first);
        policies.lay_over(second.path()).unwrap();
        assert_eq!(policies.names(), ["a", "b"]);
        assert_eq!(policies.load("a").unwrap().description, "two");
    }

    #[test]
    fn a_file_that_everybody_can_change_is_refused() {
        let found = folder(&[("a.toml", "")]);
        fs::set_permissions(found.path().join("a.toml"), fs::Permissions::from_mode(0o666)).unwrap();
        assert!(matches!(Policies::default().lay_over(found.path()), Err(PoliciesError::Writable(_))));
    }

    #[test]
    fn a_policy_without_a_readable_system_call_list_is_refused() {
        let error = laid_over(&folder(&[("a.toml", "")])).load("a").unwrap_err();
        assert!(matches!(error, PoliciesError::Seccomp { .. }), "{error}");
        let error =
            laid_over(&folder(&[("a.toml", ""), ("seccomp/default.json", "{}")])).load("a").unwrap_err();
        assert!(matches!(error, PoliciesError::SeccompList { .. }), "{error}");
    }

    #[test]
    fn a_domain_that_the_proxy_cannot_read_is_found_before_a_session_starts() {
        let text = "[network]\nmode = 'allowlist'\nallowed_domains = ['_dmarc.example.com']";
        let error = laid_over(&folder(&[("a.toml", text), list()])).load("a").unwrap_err();
        assert!(error.to_string().contains("network.allowed_domains"), "{error}");
    }
}
