//! Readers of foreign bytes, each as a function of bytes that fails where a promise about its result does not hold.
//!
//! ```text
//!   tests/fuzz   seeds ─▶ mutate.rs (seeded) ─┐
//!   cargo-fuzz   its own corpus ──────────────┴─▶ TARGETS ─▶ the reader ─▶ what it promises
//! ```
//!
//! The file view of the wasm tier and its functions have the like beside them (`crates/cloister-wasm/src/wasi/tests/fuzz.rs`): what tests link
//! does not include an engine.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a promise that does not hold is a failed test"
)]

mod egress;
mod guest;
mod mutate;
mod policies;
mod seeds;

pub use mutate::Mutator;

/// A reader, and inputs that it takes, to begin with.
pub struct Target {
    /// Its name, also for cargo-fuzz.
    pub name: &'static str,
    /// Fails where a promise does not hold.
    pub run: fn(&[u8]),
    /// Inputs to change.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "frame", run: guest::frame, seeds: seeds::frames },
    Target { name: "guest_path", run: guest::path, seeds: seeds::paths },
    Target { name: "call_list", run: policies::call_list, seeds: seeds::call_lists },
    Target { name: "policy", run: policies::policy, seeds: seeds::policies },
    Target { name: "destination", run: egress::destination, seeds: seeds::destinations },
    Target { name: "address", run: egress::address, seeds: seeds::addresses },
    Target { name: "proxy_head", run: egress::head, seeds: seeds::heads },
    Target { name: "signature", run: cloister_gateway::fuzzing::signature, seeds: seeds::signatures },
    Target { name: "host", run: cloister_gateway::fuzzing::host, seeds: seeds::hosts },
    Target { name: "json", run: cloister_gateway::fuzzing::json, seeds: seeds::json },
    Target { name: "query", run: cloister_gateway::fuzzing::query, seeds: seeds::queries },
    Target { name: "event_stream", run: cloister_gateway::fuzzing::event_stream, seeds: seeds::events },
    Target { name: "websocket", run: cloister_gateway::fuzzing::websocket, seeds: seeds::websockets },
    Target { name: "cdp_client", run: cloister_browser::fuzzing::from_client, seeds: seeds::cdp_requests },
    Target { name: "cdp_browser", run: cloister_browser::fuzzing::from_browser, seeds: seeds::cdp_messages },
];

/// Runs the target of this name: the entry for cargo-fuzz, whose programs are called after it.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target of this name");
    (target.run)(data);
}
