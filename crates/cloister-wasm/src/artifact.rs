//! Loads compiled code.
#![expect(
    unsafe_code,
    reason = "compiled code is trusted: wasmtime cannot check it, the server has, by its seal"
)]

use std::path::Path;
use wasmtime::{Engine, Module};

/// Maps compiled code. It lies in the read-only root of the sandbox, which the server has checked against its seal before it started
/// this process (`cloister-process/src/wasm/artifacts.rs`); wasmtime refuses code of another version, other settings or another processor.
pub fn load(engine: &Engine, path: &Path) -> wasmtime::Result<Module> {
    // SAFETY: the file was made by `prepare` of this program and sealed; nothing in the sandbox can write to it.
    unsafe { Module::deserialize_file(engine, path) }
}
