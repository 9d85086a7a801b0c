//! The wasm tier against the real engine and the real kernel: what is particular to it. What every tier promises is tested by the
//! contract suites beside this folder, which run on each of them (`on_each_tier`).
//!
//! The cases of the threat catalogue and where they are:
//!
//! | case | where |
//! |---|---|
//! | WAS-01 | `hostile.rs`: host functions called by hand; the list of imports and fuzzed calls: `crates/cloister-wasm` |
//! | WAS-02 | `hostile.rs`, `time.rs`, `memory.rs` |
//! | WAS-03, ISO-03 | `memory.rs`: no byte of a stopped session in any memory that a later one can have |
//! | WAS-04 | `hostile.rs`: paths; the view against a model: `crates/cloister-wasm` |
//! | WAS-05 | `posture.rs`: system calls made in the engine's own threads from outside |
//! | WAS-06 | `hostile.rs`: no threads, no shared memory; `randomness.rs`: clocks |
//! | WAS-07 | `crates/cloister-process/src/wasm/artifacts.rs`: seals, and folders that others can write to |
//! | WAS-08 | `posture.rs`: the features that are compiled in |
//! | WAS-09, RES-06 | `hostile.rs`; `limits.rs` on every tier |
//! | PY-01 … PY-04 | `hostile.rs` |
//! | ISO-02 | `engines.rs`: what a session leaves, and ready sessions that are used once |
//! | ISO-04 | `randomness.rs` |
//! | RES-02 | `memory.rs`; `limits.rs` on every tier. No mlock, memfd, shared memory, pipes or sockets: WASI has none |
//! | RES-10 | `time.rs`; `deadlines.rs` on every tier. Python has no C extensions here; loops in C of its own stand for them |

mod copies;
mod engines;
mod hostile;
mod memory;
mod posture;
mod randomness;
mod states;
mod tier;
mod time;

use cloister_core::backend::InvokeError;
use cloister_core::command::ToolCall;
use cloister_core::event::Outcome;
use cloister_core::policy::Policy;
use cloister_tests::rig::{Session, plain};
use cloister_tests::tiers::on_wasm;
use std::time::Duration;

const MIB: u64 = 1 << 20;
const SHORT: Duration = Duration::from_millis(400);
const PLENTY: Duration = Duration::from_secs(60);

/// The default policy with the memory and disk that `policies/wasm.toml` gives.
fn wasm() -> Policy {
    let mut policy = on_wasm(plain());
    policy.resources.memory = 256 * MIB;
    policy.filesystem.disk = 128 * MIB;
    policy.filesystem.max_file = 64 * MIB;
    policy.time.grace = Duration::from_millis(400);
    policy
}

/// A call that is expected to be refused.
async fn refused(session: &Session, call: ToolCall) -> InvokeError {
    let answer = session.try_tool(call).await;
    answer.expect_err("the call is refused")
}

/// Keeps the state.
async fn checkpoint(session: &Session) -> String {
    match session.tool(ToolCall::Checkpoint).await {
        Outcome::Checkpointed { checkpoint, bytes } => {
            assert!(bytes > 0);
            checkpoint
        }
        other => panic!("the state was not kept: {other:?}"),
    }
}

/// Goes back; `Err` is the sentence of a refusal.
async fn restore(session: &Session, checkpoint: Option<&str>) -> Result<String, String> {
    match session.try_tool(ToolCall::Restore { checkpoint: checkpoint.map(str::to_owned) }).await {
        Ok(Outcome::Restored { checkpoint }) => Ok(checkpoint),
        Ok(Outcome::Failed { message }) => Err(message),
        Err(refused) => Err(refused.to_string()),
        Ok(other) => panic!("a restore ended with {other:?}"),
    }
}

fn wall(session: &Session, name: &str) -> String {
    session
        .interpreter
        .walls()
        .into_iter()
        .find(|(n, _)| n == name)
        .map(|(_, value)| value)
        .unwrap_or_default()
}

#[test]
fn every_case_of_the_catalogue_that_means_this_tier_is_in_this_folder() {
    let tests = [
        include_str!("copies.rs"),
        include_str!("engines.rs"),
        include_str!("hostile.rs"),
        include_str!("memory.rs"),
        include_str!("posture.rs"),
        include_str!("randomness.rs"),
        include_str!("states.rs"),
        include_str!("time.rs"),
    ];
    let said = |id: &str| {
        tests.iter().flat_map(|text| text.lines()).any(|line| line.starts_with("//") && line.contains(id))
    };
    let was = [1, 2, 3, 4, 5, 6, 8, 9].map(|n| format!("WAS-0{n}")); // WAS-07 is a test of the server's side: see the table
    let py = [1, 2, 3, 4].map(|n| format!("PY-0{n}"));
    let shared = ["ISO-02", "ISO-03", "ISO-04", "RES-02", "RES-06", "RES-10"].map(str::to_owned);
    let missing: Vec<String> = was.into_iter().chain(py).chain(shared).filter(|id| !said(id)).collect();
    assert!(missing.is_empty(), "no test says that it is {missing:?}");
}
