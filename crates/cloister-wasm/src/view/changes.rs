//! Which files a call created or changed: the workspace compared with how it was at a mark.

use super::View;
use super::content::Content;
use super::node::{FIRST, Id, Node};
use super::resolve::Follow;
use super::tree::{FileType, Tree};
use cloister_jail::guest::digest::Digests;
use cloister_jail::guest::message::Changed;
use cloister_jail::guest::path::show;
use cloister_jail::guest::tools::{self, REPORTED, REPORTED_LEVELS, is_skipped};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A view's files at one moment. It costs a few counts, and keeps what was removed since until it is dropped.
///
/// It means something for the view that it was taken of, and not for one that was brought back from before: versions are counted on
/// from there, and could be the same for other changes.
#[derive(Clone, Debug)]
pub struct Mark(Tree);

struct Comparison<'a> {
    before: &'a Tree,
    after: &'a Tree,
    workspace: &'a str,
    changed: Vec<Changed>,
    /// Where they are, by the path that they are reported under.
    places: HashMap<String, Id>,
    /// Entries that are still looked at.
    budget: usize,
}

impl View {
    /// Remembers how the files are now.
    pub fn mark(&self) -> Mark {
        Mark(self.tree.clone())
    }

    /// The regular files of the workspace that are new or different since `mark`, by path, at most `limit`; and whether there were more.
    /// Symbolic links are not followed, and folders that tools fill are left out.
    pub fn changes_since(&self, mark: &Mark, limit: usize) -> (Vec<Changed>, bool) {
        // Most calls change no file.
        if self.tree.tick() == mark.0.tick() {
            return (Vec::new(), false);
        }
        let mut comparison = Comparison {
            before: &mark.0,
            after: &self.tree,
            workspace: &self.workspace,
            changed: Vec::new(),
            places: HashMap::new(),
            budget: REPORTED,
        };
        let at = |tree: &Tree| {
            tree.walk(Id::Own(tree.root), self.workspace.as_bytes(), Follow::No)
                .ok()
                .and_then(|found| found.id)
        };
        if let Some(now) = at(&self.tree) {
            comparison.walk(at(&mark.0), now, Path::new(&*self.workspace), REPORTED_LEVELS);
        }
        let Comparison { after, changed, places, .. } = comparison;
        let (mut reported, more) = tools::report(changed, limit);
        let mut digests = Digests::default();
        for file in &mut reported {
            // A file of a base is as it always was, and has not been written by anybody.
            if let Some(Id::Own(slot)) = places.get(&file.path)
                && let Ok(content) = after.content(*slot)
            {
                file.digest = digests.of(file.size, Bytes { content, at: 0 });
            }
        }
        (reported, more)
    }
}

impl Comparison<'_> {
    fn walk(&mut self, before: Option<Id>, now: Id, path: &Path, levels: usize) {
        let after = self.after;
        let mut below: Vec<(Option<Id>, Id, PathBuf)> = Vec::new();
        // What cannot be looked at is left out.
        let _ = after.entries(now, FIRST, |_, name, id| {
            let Some(left) = self.budget.checked_sub(1) else { return Ok(false) };
            self.budget = left;
            let old = before.and_then(|old| self.before.lookup(old, name).ok().flatten());
            match after.file_type(id)? {
                FileType::Directory if levels > 0 && !is_skipped(name) => {
                    below.push((old, id, path.join(OsStr::from_bytes(name))));
                }
                FileType::RegularFile
                    if version(after, id) != old.and_then(|old| version(self.before, old)) =>
                {
                    self.changed.push(Changed {
                        path: show(self.workspace, &path.join(OsStr::from_bytes(name))),
                        size: after.stat(id)?.size,
                        created: !old
                            .is_some_and(|old| self.before.file_type(old) == Ok(FileType::RegularFile)),
                        digest: None,
                    });
                    self.places.insert(show(self.workspace, &path.join(OsStr::from_bytes(name))), id);
                }
                _ => {}
            }
            Ok(true)
        });
        for (old, id, path) in below {
            self.walk(old, id, &path, levels - 1);
        }
    }
}

/// A file's content from its beginning.
struct Bytes<'a> {
    content: &'a Content,
    at: u64,
}

impl Read for Bytes<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.content.read(self.at, out);
        self.at += read as u64;
        Ok(read)
    }
}

/// What two views have in common if a file is the same in both. Something of a base never changes.
fn version(tree: &Tree, id: Id) -> Option<(u64, u64)> {
    match id {
        Id::Own(slot) => tree.node(slot).ok().map(|Node { serial, version, .. }| (*serial, *version)),
        Id::Base(..) => Some((0, 0)),
    }
}
