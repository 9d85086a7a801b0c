//! The tiers that code runs on: the same promise, kept by each of them.
//!
//! ```text
//!   on_each_tier(policy, body) ─┬─▶ process: as the policy is
//!                               └─▶ wasm: on_wasm(policy), engines with a small room
//! ```

use crate::calls::in_session;
use crate::needs;
use crate::rig::Session;
use cloister_core::policy::Policy;
use cloister_process::{EngineRoom, WASM_TIER, Workshop};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// Runs `test` in a session of every tier that has Python, each with the limits of `policy`.
pub async fn on_each_tier(policy: Policy, test: impl AsyncFn(&Session)) {
    for policy in [policy.clone(), on_wasm(policy)] {
        // Part of a failed test's output: which tier it was.
        println!("on the {} tier:", policy.tier);
        in_session(policy, &test).await;
    }
}

/// The same limits on the wasm tier, with what `policies/wasm.toml` says of the tier itself.
pub fn on_wasm(mut policy: Policy) -> Policy {
    policy.tier = WASM_TIER.into();
    policy.image = "wasm-python".into();
    policy.isolation.seccomp = "seccomp/wasm.json".into();
    policy.filesystem.exec = false;
    policy.languages.runtimes = vec!["python".into()];
    policy.languages.shell = false;
    policy
}

/// What the engines of a test may hold: one of them, so that a test knows where its sessions are.
pub fn room() -> EngineRoom {
    EngineRoom { engines: 1, sessions: 64, memory: 3 << 30, cells: 8 }
}

/// Where roots of engines are kept: compiled once for all tests and all runs. `None` after a visible skip.
pub(crate) fn workshop() -> Option<Arc<Workshop>> {
    static ONE: OnceLock<Option<Arc<Workshop>>> = OnceLock::new();
    if !needs::image("wasm-python") {
        return None;
    }
    let made = || {
        let engine = needs::built("cloister-wasm")?;
        let cache = std::env::var_os("CLOISTER_CACHE").map(PathBuf::from);
        let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/cloister"));
        let cache = cache.or_else(home)?;
        // Compiled code is taken from a folder of one's own only, and the cache may be another user's (scripts/test-as-user.sh).
        let ours = std::fs::metadata(&cache).is_ok_and(|meta| meta.uid() == nix::unistd::geteuid().as_raw());
        let place = if ours { cache } else { PathBuf::from(std::env::var_os("HOME")?) };
        let folder = place.join("wasm-tests");
        Some(Arc::new(Workshop::new(folder, engine)))
    };
    let one = ONE.get_or_init(made).clone();
    if one.is_none() {
        needs::skip("there is no engine of the wasm tier, or no cache to compile its interpreter into");
    }
    one
}
