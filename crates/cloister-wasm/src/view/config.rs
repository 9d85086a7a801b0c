//! What a view is made of, and the frame that is built from it: the directories that lead to what is mounted and what is writable.

use super::View;
use super::base::Base;
use super::descriptors::Descriptors;
use super::errno::Errno;
use super::node::{Directory, Id, Kind, Zone};
use super::resolve::{Follow, is_name};
use super::tree::{Limits, Mount, Tree};
use std::sync::Arc;

/// Bases of one view.
const MOUNTS: usize = 64;

/// What a view is made of. Paths are absolute and canonical.
#[derive(Clone, Debug)]
pub struct Config {
    /// Read-only trees, and where they are.
    pub mounts: Vec<(String, Arc<Base>)>,
    /// Directories that the session may write to; they begin empty.
    pub writable: Vec<String>,
    /// The one of them that relative paths of clients are in, and whose changes are reported.
    pub workspace: String,
    /// What the session may have.
    pub limits: Limits,
}

/// Why there is no such view.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadConfig {
    /// A path is not absolute, or not in its shortest form.
    #[error("{0:?} is not the canonical absolute path of a directory")]
    Path(String),
    /// Two directories have the same place, or one is inside of a base.
    #[error("{0:?} is taken by another directory or a base")]
    Taken(String),
    /// The workspace must be writable.
    #[error("the workspace {0:?} is not one of the writable directories")]
    Workspace(String),
    /// Too many bases.
    #[error("a view can have 64 bases at most")]
    Mounts,
}

impl View {
    /// A view with empty writable directories. `now`: nanoseconds since the epoch.
    pub fn new(config: &Config, now: u64) -> Result<Self, BadConfig> {
        let mut tree = Tree::new(config.limits);
        if config.mounts.len() > MOUNTS {
            return Err(BadConfig::Mounts);
        }
        if !config.writable.contains(&config.workspace) {
            return Err(BadConfig::Workspace(config.workspace.clone()));
        }
        let null = create(&mut tree, "/dev/null", now)?;
        tree.create(null.0, null.1.as_bytes(), Kind::Null, Zone::Frame, now).map_err(taken("/dev/null"))?;
        let mut roots = Vec::new();
        let mut shape = String::new();
        // The outer ones first, whatever the order in the configuration.
        let mut writable: Vec<&String> = config.writable.iter().collect();
        writable.sort();
        for path in writable {
            let (parent, name) = create(&mut tree, path, now)?;
            let kind = Kind::Directory(Directory::new(parent));
            roots.push(tree.create(parent, name.as_bytes(), kind, Zone::Root, now).map_err(taken(path))?);
            shape.push_str(&format!("writable {path}\n"));
        }
        let mut mounts = Vec::new();
        for (path, base) in &config.mounts {
            let (parent, name) = create(&mut tree, path, now)?;
            let number = u16::try_from(mounts.len()).map_err(|_| BadConfig::Mounts)?;
            // What is writable cannot hold a base: the session could move the directory that it is in.
            let frame = tree.writable(Id::Own(parent)) == Err(Errno::Rofs);
            if !frame || tree.set_entry(parent, name.as_bytes(), Id::Base(number, 0), now).is_err() {
                return Err(BadConfig::Taken(path.clone()));
            }
            mounts.push(Mount { base: base.clone(), parent });
            tree.mounts = Arc::new(mounts.clone());
            let (nodes, bytes) = base.measure();
            shape.push_str(&format!("base {path} {nodes} {bytes}\n"));
        }
        tree.roots = Arc::new(roots);
        let descriptors = Descriptors::new(Id::Own(tree.root));
        let fresh = Arc::new(tree.clone());
        Ok(Self {
            tree,
            descriptors,
            workspace: config.workspace.as_str().into(),
            fresh,
            shape: shape.into(),
        })
    }
}

fn taken(path: &str) -> impl Fn(Errno) -> BadConfig + use<'_> {
    |_| BadConfig::Taken(path.to_owned())
}

/// Makes the directories above `path`; the last of them, and the name that is free in it.
fn create<'p>(tree: &mut Tree, path: &'p str, now: u64) -> Result<(u32, &'p str), BadConfig> {
    let bad = || BadConfig::Path(path.to_owned());
    let names: Vec<&str> = path.strip_prefix('/').ok_or_else(bad)?.split('/').collect();
    if path.len() > 1024 || !names.iter().all(|name| is_name(name.as_bytes())) {
        return Err(bad());
    }
    let (last, above) = names.split_last().ok_or_else(bad)?;
    let mut at = tree.root;
    for name in above {
        let found = tree.walk(Id::Own(at), name.as_bytes(), Follow::No).map_err(taken(path))?;
        at = match found.id {
            Some(Id::Own(slot)) => slot,
            Some(Id::Base(..)) => return Err(BadConfig::Taken(path.to_owned())),
            None => {
                // Below a writable directory, too, it is part of the frame: what is at its end must stay where it is.
                let kind = Kind::Directory(Directory::new(at));
                tree.create(at, name.as_bytes(), kind, Zone::Frame, now).map_err(taken(path))?
            }
        };
    }
    match tree.lookup(Id::Own(at), last.as_bytes()) {
        Ok(None) => Ok((at, last)),
        _ => Err(BadConfig::Taken(path.to_owned())),
    }
}
