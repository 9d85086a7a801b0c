//! Interpreters as WebAssembly instances: what such a session sees of files, and the functions that it may call.
//!
//! ```text
//!   guest ──call──▶ wasi (checks memory, counts the call) ──▶ view (files in memory, quotas, nothing of the host)
//!   server ──file tool──────────────────────────────────────▶ view
//! ```

pub mod view;
pub mod wasi;
