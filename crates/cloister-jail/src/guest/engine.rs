//! Orders to the engine of the wasm tier, which holds many sessions in one jailed process. A session's own conversation is the one of
//! [`super::message`], on a socket that comes with the order.
//!
//! ```text
//!   server ──EngineOrder + socket of the session──▶ engine      (SOCK_SEQPACKET, one message each)
//!          ◀──────────── EngineAnswer ───────────
//!   server ◀═════ Request / Reply of message.rs ═══▶ session    (one stream socket each)
//! ```

use serde::{Deserialize, Serialize};

/// Server to engine.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum EngineOrder {
    /// First message: what the process may hold, and what its interpreter begins with.
    Begin {
        /// For all sessions of this process.
        room: Room,
        /// Environment of guests: name and value.
        env: Vec<(String, String)>,
        /// Working directory of guests, as they name it.
        workspace: String,
        /// Their home directory.
        home: String,
        /// Files that they can read and never change, by their names in [`crate::plan::NOTICES`].
        notices: Vec<(String, String)>,
    },
    /// Make a session. Comes with the session's socket.
    Open {
        /// The server's number of it.
        session: u64,
        /// What it may do.
        terms: Terms,
    },
    /// Copy a session that is at rest. Comes with the copy's socket.
    Fork {
        /// The copy's number.
        session: u64,
        /// What it is a copy of.
        from: u64,
    },
    /// Write a session that is at rest to the file that comes with this, and free its memory. Its next request brings it back.
    Evict {
        /// Its number.
        session: u64,
    },
}

/// What one engine process may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Room {
    /// Sessions.
    pub sessions: u32,
    /// Bytes that all sessions together may have grown to. Below the limit of the process's cgroup, so that a session meets a refusal
    /// and not everybody the killer.
    pub memory: u64,
    /// Cells that run at once; more wait for their turn.
    pub cells: u32,
    /// Sessions that the server keeps ready, of those that it has made last.
    pub ready: u32,
}

/// What one session may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Bytes of linear memory.
    pub memory: u64,
    /// Bytes of files.
    pub disk: u64,
    /// Files and directories.
    pub inodes: u64,
    /// Bytes of one file.
    pub file_bytes: u64,
    /// Descriptors.
    pub open_files: u64,
    /// Bytes of stdout and stderr kept per call, each.
    pub stream: u64,
    /// Bytes of one display.
    pub display: u64,
    /// Displays per call.
    pub displays: u32,
    /// Changed files reported per call.
    pub files: u32,
    /// Between interrupt and trap.
    pub grace_ms: u64,
    /// Keep the state from before each call, so that a call that had to be cut off is undone instead of losing everything.
    pub checkpoint: Keep,
}

/// What is kept of a session before a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// Nothing: a call that has to be cut off loses the state.
    Nothing,
    /// The state before the call, for calls that have to be cut off, and to undo one call on request.
    Before,
    /// The same, and a call that ends with an exception is undone as well.
    Atomic,
}

/// Engine to server.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "ev", rename_all = "snake_case", deny_unknown_fields)]
pub enum EngineAnswer {
    /// The interpreter is up, and sessions can be made.
    Ready {
        /// Version of the interpreter.
        version: String,
        /// Bytes of the memory that sessions begin with.
        image: u64,
        /// Microseconds that the interpreter took to come up.
        took_us: u64,
    },
    /// A session exists.
    Opened {
        /// Its number.
        session: u64,
    },
    /// It has been written to its file.
    Evicted {
        /// Its number.
        session: u64,
        /// Bytes written.
        bytes: u64,
    },
    /// An order was not carried out; nothing is left of it.
    Refused {
        /// The session that it was about.
        session: u64,
        /// Why.
        reason: Refusal,
        /// For people.
        why: String,
    },
    /// A session has ended by itself or by its socket's end, and nothing is left of it.
    Closed {
        /// Its number.
        session: u64,
    },
}

/// Why an order was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The process is full; another one may have room.
    Full,
    /// The session is running a call.
    Busy,
    /// There is no such session.
    Unknown,
    /// Something failed.
    Failed,
}
