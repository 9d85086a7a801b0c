//! The vocabulary and the rules of cloister: sessions, tool calls, policies, and the traits
//! that a backend, a browser or a store implements.
//!
//! ```text
//!   gateway ──ToolCall──▶ SessionManager ──▶ session driver ──▶ dyn Interpreter (a backend's worker)
//!      ▲                      │ policy, quotas, idempotency          │
//!      └────── Event ◀────────┴────────────── Event ◀────────────────┘
//! ```
//!
//! INVARIANT: this crate does no host I/O and knows no HTTP. Time enters through tokio, so tests can pause it.
#![forbid(unsafe_code)]

pub mod audit;
pub mod backend;
pub mod browser;
pub mod command;
pub mod denial;
pub mod egress;
pub mod error;
pub mod event;
pub mod id;
pub mod lock;
pub mod policy;
pub mod quota;
pub mod ready;
pub mod receipt;
pub mod recording;
pub mod session;
pub mod shelves;
pub mod store;
pub mod testing;

pub use error::{Error, Kind};
pub use id::{Principal, SandboxId, SessionId};
