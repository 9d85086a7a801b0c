//! Ready browsers of one policy: launched and attached ahead of time.

use crate::launch::Launched;
use async_trait::async_trait;
use cloister_core::backend::StartError;
use cloister_core::browser::{BrowserHost, Proxies, Viewport};
use cloister_core::policy::Policy;
use cloister_core::ready::{Ending, Shelf, Stock};
use std::sync::Arc;
use std::time::Duration;

/// What a client's first steps take, and more: a launch beside them would take half of the machine.
const FIRST_STEPS: Duration = Duration::from_millis(300);

/// The pool of one policy.
pub(crate) type Pool = Shelf<Browsers>;

/// Browsers of one policy.
pub(crate) struct Browsers {
    pub(crate) host: Arc<dyn BrowserHost>,
    pub(crate) policy: Arc<Policy>,
    pub(crate) shares: crate::backend::Shares,
}

impl Browsers {
    /// Whether they are of this very policy: a ready sandbox's limits cannot be changed any more.
    pub(crate) fn serve(&self, policy: &Policy) -> bool {
        *self.policy == *policy
    }
}

#[async_trait]
impl Stock for Browsers {
    type Item = Launched;

    fn name(&self) -> &str {
        &self.policy.name
    }

    async fn make(&self, _: &mut Ending) -> Result<Option<Launched>, StartError> {
        let (policy, viewport) = (Arc::clone(&self.policy), Viewport::default());
        let share = self.shares.share();
        Launched::new(self.host.as_ref(), policy, Proxies::default(), viewport, share).await.map(Some)
    }

    fn lives(browser: &Launched) -> bool {
        browser.lives()
    }

    async fn destroy(&self, browser: Launched) {
        browser.destroy().await;
    }

    fn breather(&self, _: usize, _: usize) -> Duration {
        FIRST_STEPS
    }
}
