//! The wasm tier against the real engine and the real kernel: what is particular to it. What every tier promises is tested by the
//! contract suites beside this folder, which run on each of them (`on_each_tier`).
//! `tests/attacks` says which cases of the threat catalogue are here.

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
