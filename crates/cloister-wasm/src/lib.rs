//! Interpreters as WebAssembly instances: the program of an engine process, which is itself jailed.
//!
//! ```text
//!   server ──orders──▶ crew.rs ─▶ make.rs ─▶ factory.rs ─▶ guest.rs   one instance per session
//!                        │                     memory.rs (CoW image)    link.rs ─▶ wasi/ ─▶ view/
//!          ──requests──▶ session.rs ─▶ execute.rs, requests.rs, history.rs ──replies──▶
//! ```
//!
//! INVARIANT: a guest reaches the functions of `link.rs` and nothing else; none of them makes a system call that names anything of the
//! host. INVARIANT: `unsafe` stands in `memory.rs` and `artifact.rs`.

pub mod artifact;
pub mod budget;
pub mod channel;
pub mod control;
pub mod crew;
pub mod delta;
pub mod engine;
mod execute;
pub mod factory;
pub mod guest;
pub mod history;
pub mod link;
mod make;
pub mod memory;
pub mod orders;
pub mod output;
pub mod pages;
pub mod prepare;
mod requests;
pub mod serve;
pub mod session;
pub mod split;
pub mod state;
mod sweep;
pub mod ticker;
pub mod view;
pub mod wasi;

/// Locks a mutex also when a thread has panicked while it held it.
pub(crate) fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
