//! Policy to the terms of a session and to the policy of the engine around it: pure.

use crate::wasm::backend::EngineRoom;
use cloister_core::policy::{
    Filesystem, Isolation, Languages, NetworkMode, Output, Policy, Resources, Snapshots, StartMode, Time,
};
use cloister_jail::guest::engine::{Keep, Room, Terms};
use std::time::Duration;

/// What the engine needs besides its sessions: code, the interpreter's image, stacks of its threads (measured: 70 MiB).
const OWN_MEMORY: u64 = 192 << 20;
/// Threads besides those that run cells.
const OWN_THREADS: u64 = 8;
/// Descriptors besides those of sessions, each of which has a socket and perhaps a file that it was evicted to.
const OWN_DESCRIPTORS: u64 = 64;

/// The terms of a session under `policy`.
///
/// Every struct is taken apart without `..`: a new policy field does not compile until somebody decides here.
pub(super) fn terms(policy: &Policy) -> Terms {
    let Policy {
        name: _,
        description: _,
        tier: _,
        image: _,
        start: _,
        network: _, // there is none, and no host function that could use one
        packages: _,
        secrets: _,
        resources,
        filesystem,
        time,
        languages,
        output,
        browser: _,
        audit: _,
        snapshots,
        isolation,
    } = policy;
    let Resources { memory, cpu: _, pids: _, open_files } = resources; // one thread per call, on the engine's core
    let Filesystem { disk, inodes, max_file, exec: _, workspace: _ } = filesystem; // nothing can be executed
    let Time { session_default: _, session_max: _, call: _, grace, task: _ } = time;
    let Languages { runtimes: _, shell: _ } = languages; // Python, and no shell; `session.rs` says so
    let Output { stream, display, displays, figures: _, files: _, files_max, text: _ } = output;
    let Isolation { require: _, seccomp: _ } = isolation; // around the engine
    Terms {
        memory: *memory,
        disk: *disk,
        inodes: *inodes,
        file_bytes: *max_file,
        open_files: *open_files,
        stream: *stream,
        display: *display,
        displays: *displays,
        files: *files_max,
        grace_ms: u64::try_from(grace.as_millis()).unwrap_or(u64::MAX),
        checkpoint: match snapshots {
            Snapshots::None => Keep::Nothing,
            Snapshots::Call => Keep::Before,
            Snapshots::Atomic => Keep::Atomic,
        },
    }
}

/// What an engine may hold, of which the server keeps `ready` sessions ready.
pub(super) fn room(room: &EngineRoom, ready: usize) -> Room {
    let ready = u32::try_from(ready).unwrap_or(u32::MAX);
    Room { sessions: room.sessions, memory: room.memory, cells: room.cells, ready }
}

/// The policy of the engine's own sandbox: no network, next to no files, and the walls that sessions ask for.
pub(super) fn around(policy: &Policy, room: &EngineRoom) -> Policy {
    let mut around = policy.clone();
    around.start = StartMode::Exec;
    around.network.mode = NetworkMode::None;
    around.resources = Resources {
        memory: room.memory.saturating_add(OWN_MEMORY),
        // One process per core.
        cpu: 1.0,
        pids: u64::from(room.cells) + OWN_THREADS,
        open_files: 2 * u64::from(room.sessions) + OWN_DESCRIPTORS,
    };
    around.filesystem.disk = 1 << 20;
    around.filesystem.inodes = 64;
    // Of the engine's own files: the interpreter's image, and sessions that are written to disk. Too low, and the kernel would end the
    // engine with all of its sessions (SIGXFSZ); guests have a limit of their own.
    around.filesystem.max_file = room.memory.saturating_add(OWN_MEMORY);
    // Without it memory files are refused, and the interpreter's image is one. The engine's own filter, which has no execve, stands
    // before the first byte of a guest arrives.
    around.filesystem.exec = true;
    around.languages = Languages { runtimes: Vec::new(), shell: false };
    around
}

/// How long an engine takes new sessions. After that another one does, with another seed for hashes.
pub(super) const SERVICE: Duration = Duration::from_secs(6 * 3600);
