//! The isolation tiers of a server, by name: some run code, some run browsers.

use crate::audit::Desk;
use crate::backend::InterpreterBackend;
use crate::browser::BrowserBackend;
use crate::recording::Recordings;
use std::sync::Arc;

/// The tiers that policies can name.
#[derive(Clone, Default)]
pub struct Backends {
    /// In the order in which they were added: a later one may rest on an earlier one.
    tiers: Vec<(&'static str, Tier)>,
    recordings: Option<Arc<dyn Recordings>>,
    desk: Arc<Desk>,
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
        self.tiers.push((backend.name(), Tier::Code(backend)));
        self
    }

    /// Adds a tier of browsers under its own name.
    #[must_use]
    pub fn with_browsers(mut self, backend: Arc<dyn BrowserBackend>) -> Self {
        self.tiers.push((backend.name(), Tier::Browser(backend)));
        self
    }

    /// Says where browser sessions are recorded. Without it, a policy that asks for a recording starts nothing.
    #[must_use]
    pub fn with_recordings(mut self, recordings: Arc<dyn Recordings>) -> Self {
        self.recordings = Some(recordings);
        self
    }

    /// Says where events and denials are kept. Without it they are kept nowhere.
    #[must_use]
    pub fn with_desk(mut self, desk: Arc<Desk>) -> Self {
        self.desk = desk;
        self
    }

    pub(super) fn desk(&self) -> &Arc<Desk> {
        &self.desk
    }

    pub(super) fn recordings(&self) -> Option<Arc<dyn Recordings>> {
        self.recordings.clone()
    }

    pub(super) fn get(&self, tier: &str) -> Option<Tier> {
        self.tiers.iter().rev().find(|(name, _)| *name == tier).map(|(_, tier)| tier.clone())
    }

    /// Stops what every tier keeps ready: the last one first, since what jails its workers may be a tier of its own, added before.
    pub(super) async fn shut_down(&self) {
        for (_, tier) in self.tiers.iter().rev() {
            match tier {
                Tier::Browser(backend) => backend.shutdown().await,
                Tier::Code(backend) => backend.shutdown().await,
            }
        }
    }
}

impl std::fmt::Debug for Backends {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.tiers.iter().map(|(name, _)| name)).finish()
    }
}
