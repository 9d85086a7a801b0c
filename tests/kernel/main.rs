//! The tiers for code against the real kernel: what a session does, and what it cannot do.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests: a failure in one is a failed test"
)]

mod allowed;
mod attacks;
mod container;
mod contract_files;
mod contract_js;
mod contract_python;
mod contract_shell;
mod deadlines;
mod lifecycle;
mod limits;
mod robustness;
mod session;
mod start;
mod tasks;
mod wasm;
