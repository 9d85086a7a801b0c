//! The isolation tiers of a server, by name: some run code, some run browsers.

use crate::backend::InterpreterBackend;
use crate::browser::BrowserBackend;
use std::collections::HashMap;
use std::sync::Arc;

/// The tiers that policies can name.
#[derive(Clone, Default)]
pub struct Backends {
    tiers: HashMap<&'static str, Tier>,
}

/// One tier.
#[derive(Clone)]
pub(super) enum Tier {
    /// It runs code.
    Code(Arc<dyn InterpreterBackend>),
    /// It runs browsers.
    Browser(Arc<dyn BrowserBackend>),
}

impl Backends {
    /// Adds a tier of interpreters under its own name.
    #[must_use]
    pub fn with_code(mut self, backend: Arc<dyn InterpreterBackend>) -> Self {
        self.tiers.insert(backend.name(), Tier::Code(backend));
        self
    }

    /// Adds a tier of browsers under its own name.
    #[must_use]
    pub fn with_browsers(mut self, backend: Arc<dyn BrowserBackend>) -> Self {
        self.tiers.insert(backend.name(), Tier::Browser(backend));
        self
    }

    pub(super) fn get(&self, tier: &str) -> Option<Tier> {
        self.tiers.get(tier).cloned()
    }

    /// Stops what every tier keeps ready.
    pub(super) async fn shut_down(&self) {
        for tier in self.tiers.values() {
            match tier {
                Tier::Code(backend) => backend.shutdown().await,
                Tier::Browser(backend) => backend.shutdown().await,
            }
        }
    }
}

impl std::fmt::Debug for Backends {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.tiers.keys()).finish()
    }
}
