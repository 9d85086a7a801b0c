//! What the benches share: a server to measure, clients to measure it with, the alternatives, and the tables.
//!
//! ```text
//! bench ─▶ Run::case(name, samples, work) ─┬─▶ criterion: median, comparison with the last run
//!             │                            └─▶ Samples: p50, p99 ─▶ Report ─▶ <out>/<bench>.md ─▶ docs/benchmarks.md
//!             └─ work: Server + Client (HTTP over loopback)  |  alternatives (bwrap, crun, runsc, ipykernel, plain python3)
//!                      Server + Browser (its CDP stream)     |  alternatives (a plain Chromium, Playwright)
//! ```

pub mod alternatives;
pub mod browser;
pub mod cdp;
pub mod client;
pub mod crowd;
pub mod failure;
pub mod http;
pub mod memory;
pub mod quiet;
pub mod report;
pub mod run;
pub mod samples;
pub mod server;
pub mod websocket;
pub mod work;

pub use failure::Failure;
