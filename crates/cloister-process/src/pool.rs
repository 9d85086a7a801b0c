//! Ready sandboxes of one policy: made and warmed ahead of time with their limits already set.

use crate::maker::Maker;
use crate::sandbox::Sandbox;
use async_trait::async_trait;
use cloister_core::backend::StartError;
use cloister_core::policy::Policy;
use cloister_core::ready::{AGE, Ending, Shelf, Stock};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Time that warming may take; a cold one is handed out all the same.
const WARMING: Duration = Duration::from_secs(20);
/// What a client's start and first call take, and more.
const FIRST_CALL: Duration = Duration::from_millis(50);

/// The pool of one policy.
pub(crate) type Pool = Shelf<Sandboxes>;

/// Sandboxes of one policy.
pub(crate) struct Sandboxes {
    pub(crate) maker: Arc<Maker>,
    pub(crate) policy: Arc<Policy>,
}

impl Sandboxes {
    /// Whether they are of this policy: the very same one, with every limit. A ready sandbox's limits cannot be changed any more.
    pub(crate) fn serve(&self, policy: &Policy) -> bool {
        *self.policy == *policy
    }

    /// Warms a sandbox; whether it can be handed out.
    async fn warm(&self, sandbox: &Sandbox) -> bool {
        // Until it is taken its life is the pool's business, however short a session's may be.
        let warmed = async {
            sandbox.control.set_ttl(2 * AGE).await?;
            sandbox.control.warm().await
        };
        match timeout(WARMING, warmed).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(policy = self.policy.name, %error, "a ready sandbox has ended before it was warm");
                return false;
            }
            Err(_) => tracing::warn!(policy = self.policy.name, "a ready sandbox did not get warm in time"),
        }
        true
    }
}

#[async_trait]
impl Stock for Sandboxes {
    type Item = Sandbox;

    fn name(&self) -> &str {
        &self.policy.name
    }

    async fn make(&self, ending: &mut Ending) -> Result<Option<Sandbox>, StartError> {
        tokio::select! {
            () = self.maker.precedence.step_back() => {}
            _ = ending.changed() => return Ok(None),
        }
        // Not given up when the server ends: it would be taken down after its launcher.
        let sandbox = self.maker.make(Arc::clone(&self.policy)).await?;
        let fit = tokio::select! {
            fit = self.warm(&sandbox) => fit,
            _ = ending.changed() => false,
        };
        if fit {
            return Ok(Some(sandbox));
        }
        // Waited for: its cgroup must be gone before the server removes the one around it.
        self.destroy(sandbox).await;
        Ok(None)
    }

    fn lives(sandbox: &Sandbox) -> bool {
        sandbox.lives()
    }

    async fn destroy(&self, sandbox: Sandbox) {
        for left in sandbox.destroy().await.left_behind {
            tracing::warn!(left, "left behind by a ready sandbox");
        }
    }

    /// While half of the pool is left: making a successor takes as long as a client's first call, and would run beside it on the same
    /// processors (measured: the call took twice as long).
    fn breather(&self, left: usize, size: usize) -> Duration {
        if 2 * left >= size { FIRST_CALL } else { Duration::ZERO }
    }
}
