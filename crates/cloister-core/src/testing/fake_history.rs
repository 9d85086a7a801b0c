//! What a fake session of a tier with snapshots keeps: copies of its variables and files.

use super::fake_interpreter::World;
use crate::event::Outcome;
use crate::lock::lock;
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

/// Variables and files at one moment.
#[derive(Clone, Debug)]
struct Snapshot {
    files: BTreeMap<String, Bytes>,
    variables: HashMap<String, String>,
}

/// Kept states of one session.
#[derive(Debug, Default)]
pub(super) struct History {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    kept: BTreeMap<String, Snapshot>,
    /// Before the last foreground call.
    previous: Option<Snapshot>,
    count: u32,
}

impl Snapshot {
    fn of(world: &World) -> Self {
        Self { files: lock(&world.files).clone(), variables: lock(&world.variables).clone() }
    }

    fn put_back(self, world: &World) {
        *lock(&world.files) = self.files;
        *lock(&world.variables) = self.variables;
    }

    fn bytes(&self) -> u64 {
        let files = self.files.iter().map(|(path, data)| path.len() + data.len()).sum::<usize>();
        (files + self.variables.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()) as u64
    }
}

impl History {
    /// Before a foreground call.
    pub(super) fn remember(&self, world: &World) {
        lock(&self.inner).previous = Some(Snapshot::of(world));
    }

    /// Undoes the call that runs.
    pub(super) fn undo(&self, world: &World) -> bool {
        let previous = lock(&self.inner).previous.take();
        previous.map(|snapshot| snapshot.put_back(world)).is_some()
    }

    pub(super) fn checkpoint(&self, world: &World) -> Outcome {
        let (snapshot, mut inner) = (Snapshot::of(world), lock(&self.inner));
        inner.count += 1;
        let (checkpoint, bytes) = (format!("checkpoint-{}", inner.count), snapshot.bytes());
        inner.kept.insert(checkpoint.clone(), snapshot);
        Outcome::Checkpointed { checkpoint, bytes }
    }

    /// `None` if nothing is kept under that name.
    pub(super) fn restore(&self, world: &World, checkpoint: Option<String>) -> Option<Outcome> {
        let Some(checkpoint) = checkpoint else {
            let message = "there is no call to undo".into();
            return Some(match self.undo(world) {
                true => Outcome::Restored { checkpoint: "previous".into() },
                false => Outcome::Failed { message },
            });
        };
        let mut inner = lock(&self.inner);
        inner.kept.get(&checkpoint)?.clone().put_back(world);
        inner.previous = None;
        Some(Outcome::Restored { checkpoint })
    }
}

impl World {
    /// Another world with the same variables and files, and without the tasks.
    pub(super) fn copy(&self) -> Self {
        let copy = Self::default();
        Snapshot::of(self).put_back(&copy);
        copy
    }
}
