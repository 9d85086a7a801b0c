//! The access policies in force: the embedded ones, with those of a folder laid over them by file name.
//!
//! ```text
//!   embedded (build.rs) ◀─ over ─ access/*.cedar of `policies/` beside the executable, or of --policies DIR ──▶ Cedar
//! ```
//!
//! The schema is the embedded one in any case: it says what this program tells, and another one would be untrue.

use crate::cli::Failure;
use crate::locate::Installation;
use crate::policies::{PoliciesError, check_writable, embedded, files, read};
use cloister_access::{AccessError, Cedar, PolicyFile};
use cloister_gateway::{Access, AccessMode};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Why access policies cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// A file cannot be read, or anybody could change it.
    #[error(transparent)]
    File(#[from] PoliciesError),
    /// What they say is not whole.
    #[error("access policies: {0}")]
    Policies(#[from] AccessError),
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        Self::new(error.to_string())
    }
}

/// The policies of this installation; `given` is the folder of `--policies`. For the start, and to be exchanged later.
pub(crate) fn open(given: Option<&Path>, installation: &Installation) -> Result<Cedar, OpenError> {
    let folder = given.map(Path::to_owned).or_else(|| installation.policies());
    load(folder.as_deref())
}

/// What the gateway asks.
pub(crate) fn access(cedar: &Arc<Cedar>, mode: AccessMode) -> Access {
    tracing::info!(policies = cedar.len(), ?mode, "access policies are in force");
    if mode == AccessMode::LogOnly {
        tracing::warn!(
            "[access] mode = \"log-only\": whoever has any role may do everything; denials are only logged"
        );
    }
    Access { authorizer: Arc::clone(cedar) as _, mode }
}

fn load(folder: Option<&Path>) -> Result<Cedar, OpenError> {
    let file =
        |(name, text): &(&str, &str)| PolicyFile { name: (*name).to_owned(), text: (*text).to_owned() };
    let mut all: BTreeMap<String, PolicyFile> =
        embedded::ACCESS.iter().map(|known| (known.0.to_owned(), file(known))).collect();
    if let Some(folder) = folder.map(|folder| folder.join("access")).filter(|folder| folder.is_dir()) {
        check_writable(&folder)?;
        for path in files(&folder, "cedar")? {
            let name = format!("access/{}", path.file_name().unwrap_or_default().to_string_lossy());
            all.insert(name.clone(), PolicyFile { name, text: read(&path)? });
        }
    }
    let schema =
        embedded::ACCESS_SCHEMA.first().map(file).unwrap_or_else(|| file(&("access/schema.cedarschema", "")));
    let files: Vec<_> = all.into_values().collect();
    Ok(Cedar::new(&schema, &files)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("access")).unwrap();
        for (name, text) in files {
            fs::write(folder.path().join("access").join(name), text).unwrap();
        }
        folder
    }

    #[test]
    fn a_folder_adds_policies_and_replaces_those_of_the_same_file() {
        let shipped = load(None).unwrap().len();
        assert!(shipped > 0);
        let one = "@id(\"one\") permit (principal, action, resource);";
        let added =
            folder(&[("site.cedar", one), ("schema.cedarschema", "nonsense"), ("notes.txt", "nonsense")]);
        assert_eq!(load(Some(added.path())).unwrap().len(), shipped + 1);
        let replaced = folder(&[("roles.cedar", one)]);
        assert_eq!(load(Some(replaced.path())).unwrap().len(), 1);
        let without = tempfile::tempdir().unwrap();
        assert_eq!(load(Some(without.path())).unwrap().len(), shipped);
    }

    #[test]
    fn a_policy_that_is_not_whole_or_that_everybody_can_change_is_refused() {
        let broken = folder(&[(
            "site.cedar",
            "\n@id(\"a\") permit (principal, action == Action::\"Fly\", resource);",
        )]);
        let error = load(Some(broken.path())).unwrap_err().to_string();
        assert!(error.contains("access/site.cedar:2") && error.contains("Fly"), "{error}");
        let open = folder(&[("site.cedar", "")]);
        let path = open.path().join("access/site.cedar");
        fs::set_permissions(path, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(matches!(load(Some(open.path())), Err(OpenError::File(PoliciesError::Writable(_)))));
    }
}
