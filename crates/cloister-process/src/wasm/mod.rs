//! Interpreters as WebAssembly instances: many sessions of one principal in one jailed engine process.
//!
//! ```text
//!   WasmBackend ─▶ a group per principal and policy ─▶ engines, one per core ─▶ sessions, a socket each
//!                     artifacts.rs                       engine.rs               session.rs
//! ```
//!
//! The engine is another program (`cloister-wasm`): this crate links no WebAssembly, and the server runs no guest's bytes.

mod artifacts;
mod backend;
mod engine;
mod group;
mod idle;
mod session;
mod terms;

pub use artifacts::Workshop;
pub use backend::{EngineRoom, WasmBackend, WasmConfig};
pub use session::unsupported;

pub use cloister_core::policy::WASM_TIER;
