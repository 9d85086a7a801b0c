//! Where the request comes from that a task works for: for records only, nothing is decided by it.

use super::Actor;

tokio::task_local! {
    static ORIGIN: Origin;
}

/// A request's caller and address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Who asks.
    pub actor: Option<Actor>,
    /// The address that the request came from.
    pub source: Option<String>,
}

impl Origin {
    /// Runs `work` for a request. The door does this once for each.
    pub async fn scope<T>(self, work: impl Future<Output = T>) -> T {
        ORIGIN.scope(self, work).await
    }

    /// Of the request that this task works for; empty in tasks of the server's own, and in tasks that a request has started,
    /// unless they were given it.
    pub fn current() -> Self {
        ORIGIN.try_with(Clone::clone).unwrap_or_default()
    }
}
