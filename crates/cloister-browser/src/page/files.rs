//! The session's files as steps use them: pictures are saved there, uploads come from there.
//!
//! Everything goes through the sandbox's own file tools, so that the host opens no path that a page or a client chose.

use super::run::Run;
use super::trouble::{Outcome, failed};
use crate::files::tool;
use crate::filter::is_file_url;
use async_trait::async_trait;
use bytes::Bytes;
use cloister_core::backend::Interpreter;
use cloister_core::command::{NewFile, ToolCall};
use cloister_core::event::Outcome as Told;
use std::sync::Arc;
use std::time::Duration;

/// What one use of the file tools may take.
const LIMIT: Duration = Duration::from_secs(20);

/// Where pictures go and uploads come from. Errors are sentences for clients.
#[async_trait]
pub(crate) trait Files: Send + Sync {
    /// Writes a file, relative to the workspace.
    async fn write(&self, path: &str, data: Bytes) -> Result<(), String>;
    /// The size of a file, relative to the workspace.
    async fn size(&self, path: &str) -> Result<u64, String>;
}

/// The files of a sandbox.
pub(crate) struct SandboxFiles {
    sandbox: Arc<dyn Interpreter>,
}

impl SandboxFiles {
    /// By the file tools of `sandbox`.
    pub(crate) fn new(sandbox: Arc<dyn Interpreter>) -> Self {
        Self { sandbox }
    }
}

#[async_trait]
impl Files for SandboxFiles {
    async fn write(&self, path: &str, data: Bytes) -> Result<(), String> {
        let content = vec![NewFile { path: path.to_owned(), data }];
        tool(&*self.sandbox, ToolCall::WriteFiles { content }, LIMIT).await.map(|_| ())
    }

    async fn size(&self, path: &str) -> Result<u64, String> {
        let call = ToolCall::ReadRange { path: path.to_owned(), offset: 0, length: 1 };
        match tool(&*self.sandbox, call, LIMIT).await? {
            Told::Range { size, .. } => Ok(size),
            _ => Err("the file tool gave another answer than was asked for".to_owned()),
        }
    }
}

/// A path of the workspace, relative and without a way out of it.
pub(super) fn inside(path: &str) -> Outcome<String> {
    if is_file_url(path) {
        let message = format!("{path:?} is a URL, and a path in the session's files is needed");
        return Err(failed("invalid", message));
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if path.starts_with('/') || path.contains('\0') || parts.is_empty() || parts.contains(&"..") {
        let message = format!("{path:?} is no path in the session's files: give a relative one without `..`");
        return Err(failed("invalid", message));
    }
    Ok(parts.join("/"))
}

/// Saves what a step made, if that was asked for. Gives the path.
pub(super) async fn save(run: &Run<'_>, path: Option<String>, data: &Bytes) -> Outcome<Option<String>> {
    let Some(path) = path else { return Ok(None) };
    let plain = inside(&path)?;
    match run.tabs.files().write(&plain, data.clone()).await {
        Ok(()) => Ok(Some(plain)),
        Err(reason) => Err(failed("invalid", format!("{path} was not written: {reason}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::inside;

    #[test]
    fn a_path_stays_inside_of_the_workspace() {
        assert_eq!(inside("a/./b//c.png").ok().as_deref(), Some("a/b/c.png"));
        for path in ["", ".", "/etc/passwd", "../x", "a/../../x", "a\0b", "file:///workspace/a", "File:a"] {
            assert!(inside(path).is_err(), "{path:?}");
        }
    }
}
