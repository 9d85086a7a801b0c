//! From a path to an inode. Nothing outside of the view can be named: `/` is the session's root, `..` there stays there, and a symbolic
//! link means what its text means inside.

use super::errno::Errno;
use super::node::Id;
use super::tree::Tree;
use std::borrow::Cow;

/// Bytes of a path, and of a link's target.
pub const PATH: usize = 4095;
/// Bytes of a name.
pub const NAME: usize = 255;
/// Symbolic links on one way, as the kernel has it.
const HOPS: usize = 40;
/// Names on one way, those in links included: forty links of two thousand names each would keep a thread busy for nothing.
const STEPS: usize = 4096;

/// What a symbolic link at the end of a path stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follow {
    /// What it points to.
    Yes,
    /// Itself.
    No,
}

/// What a path is walked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Any,
    MakeFile,
}

/// Where a path led.
#[derive(Debug)]
pub(super) struct Found<'p> {
    /// The directory of the last name.
    pub(super) parent: Id,
    /// The last name; none if the path ended with `.` or `..`, or is `/`.
    pub(super) name: Option<Cow<'p, [u8]>>,
    /// The path ended with `..`.
    pub(super) up: bool,
    /// What is there.
    pub(super) id: Option<Id>,
    /// The path ended with a slash: only a directory will do.
    pub(super) slash: bool,
}

impl Found<'_> {
    /// What is there, which must be a directory if the path ended with a slash.
    pub(super) fn existing(&self, tree: &Tree) -> Result<Id, Errno> {
        let id = self.id.ok_or(Errno::Noent)?;
        if self.slash && !tree.is_directory(id)? {
            return Err(Errno::Notdir);
        }
        Ok(id)
    }
}

/// Whether these bytes can be a name.
pub(super) fn is_name(name: &[u8]) -> bool {
    (1..=NAME).contains(&name.len())
        && !name.contains(&b'/')
        && !name.contains(&0)
        && name != b"."
        && name != b".."
}

impl Tree {
    /// Walks from `start`. What is missing at the very end is no error.
    pub(super) fn walk<'p>(&self, start: Id, path: &'p [u8], follow: Follow) -> Result<Found<'p>, Errno> {
        self.walk_for(start, path, follow, Purpose::Any)
    }

    /// Walks to where a file may have to be made: a slash at the end, even that of a link on the way, asks for a directory.
    pub(super) fn walk_to_make<'p>(
        &self,
        start: Id,
        path: &'p [u8],
        follow: Follow,
    ) -> Result<Found<'p>, Errno> {
        self.walk_for(start, path, follow, Purpose::MakeFile)
    }

    fn walk_for<'p>(
        &self,
        start: Id,
        path: &'p [u8],
        follow: Follow,
        purpose: Purpose,
    ) -> Result<Found<'p>, Errno> {
        let mut path = Cow::Borrowed(path);
        check(&path)?;
        let mut at = if path.first() == Some(&b'/') { Id::Own(self.root) } else { start };
        if !self.is_directory(at)? {
            return Err(Errno::Notdir);
        }
        let (mut begin, mut hops, mut steps) = (0, 0, 0);
        let mut found = Found { parent: at, name: None, up: false, id: Some(at), slash: false };
        loop {
            let rest = path.get(begin..).unwrap_or_default();
            let skipped = rest.iter().take_while(|byte| **byte == b'/').count();
            let rest = rest.get(skipped..).unwrap_or_default();
            if rest.is_empty() {
                return Ok(found);
            }
            begin += skipped;
            let length = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
            let (name, after) = rest.split_at(length);
            let last = after.iter().all(|byte| *byte == b'/');
            let slash = last && !after.is_empty();
            steps += 1;
            if steps > STEPS {
                return Err(Errno::Loop);
            }
            if name.len() > NAME {
                return Err(Errno::Nametoolong);
            }
            if matches!(name, b"." | b"..") {
                // A directory that was removed has no parent any more, and says so.
                let to = if name == b".." { self.parent(at)? } else { at };
                self.lookup(to, name)?;
                at = to;
                found = Found { parent: at, name: None, up: name == b"..", id: Some(at), slash };
                begin += length;
                continue;
            }
            if slash && purpose == Purpose::MakeFile {
                return Err(Errno::Isdir);
            }
            let id = self.lookup(at, name)?;
            let target = match id {
                Some(id) if !last || follow == Follow::Yes => self.target(id)?,
                _ => None,
            };
            if let Some(target) = target {
                hops += 1;
                if hops > HOPS {
                    return Err(Errno::Loop);
                }
                // What is left of the path follows the target: `/` between them is in it already.
                let joined = [target, after].concat();
                check(&joined)?;
                if joined.first() == Some(&b'/') {
                    at = Id::Own(self.root);
                }
                found = Found { parent: at, name: None, up: false, id: Some(at), slash: false };
                path = Cow::Owned(joined);
                begin = 0;
                continue;
            }
            if last {
                let name = match &path {
                    Cow::Borrowed(path) => path.get(begin..begin + length).unwrap_or_default().into(),
                    Cow::Owned(_) => Cow::Owned(name.to_vec()),
                };
                return Ok(Found { parent: at, name: Some(name), up: false, id, slash });
            }
            at = id.ok_or(Errno::Noent)?;
            if !self.is_directory(at)? {
                return Err(Errno::Notdir);
            }
            begin += length;
        }
    }
}

fn check(path: &[u8]) -> Result<(), Errno> {
    match path {
        [] => Err(Errno::Noent),
        path if path.len() > PATH => Err(Errno::Nametoolong),
        path if path.contains(&0) => Err(Errno::Inval),
        _ => Ok(()),
    }
}
