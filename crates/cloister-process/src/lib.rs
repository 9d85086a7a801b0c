//! Interpreters as jailed processes.
//!
//! ```text
//!   ProcessBackend ── pool ──▶ Sandbox (ready)  ◀── Maker ── lower(policy, image) → Plan ── launcher or zygote
//!         │                        │
//!         └──────────▶ Interpreter ┴── control channel (ctl.sock) ──▶ init, pid 1 of the sandbox
//! ```
//!
//! INVARIANT: no path, header or log format is taken from a guest; what a guest says arrives as content of its own call.
#![forbid(unsafe_code)]

mod allowed;
mod backend;
mod browser;
mod calls;
mod control;
mod ids;
mod image;
mod inner;
mod interpreter;
mod launcher;
mod lower;
mod maker;
mod orders;
mod pool;
mod precedence;
mod reconcile;
mod redact;
mod remains;
mod report;
mod sandbox;
mod translate;
mod walls;
mod wasm;
mod zygote;

pub use backend::{ORPHAN, ProcessBackend, ProcessConfig};
pub use image::{Image, ImageError};
pub use lower::writable;
pub use wasm::{EngineRoom, WASM_TIER, WasmBackend, WasmConfig, Workshop, unsupported};
