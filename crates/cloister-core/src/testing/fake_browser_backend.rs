//! A browser backend without browsers: starts in no time unless told otherwise, and counts what it did.

use super::fake_backend::Counters;
use super::fake_browser::FakeBrowser;
use crate::backend::{StartError, Unavailable};
use crate::browser::{Action, Browser, BrowserBackend, BrowserSpec};
use crate::lock::lock;
use crate::policy::BROWSER_TIER;
use async_trait::async_trait;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

/// The test double of a browser tier. It renders nothing and speaks to nobody.
///
/// Actions are noted and succeed, but for these texts of `KeyType`: `fail` is a failed action, `hang` never ends, `slow`
/// ends as one that took too long, `die` ends the browser, `nonsense` breaks its protocol. A `KeyPress` of a name that
/// starts with `no` is refused, and so is a point outside of the viewport. Page actions are described at
/// [`Browser::perform`] of the double: `#missing` is not found, `https://fails.test/` cannot be loaded. CDP clients get
/// their own messages back in an answer; `Browser.getVersion` is answered as a browser would, `Test.flood`,
/// `Test.close` and `Test.end` send much, close the connection, and end the browser.
#[derive(Debug, Default)]
pub struct FakeBrowserBackend {
    faults: Mutex<Vec<StartError>>,
    shared: Arc<Shared>,
}

/// What a [`FakeBrowserBackend`] has done so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FakeBrowsers {
    /// Starts that were asked for.
    pub starts: usize,
    /// Browsers that are up now.
    pub live: usize,
    /// CDP clients that are connected now, in all browsers.
    pub clients: usize,
    /// The coordinate actions that were carried out, in order: what must not grow when a client retries.
    pub actions: Vec<Action>,
    /// The names of the page actions that were carried out, in order.
    pub steps: Vec<&'static str>,
    /// Times that the backend was shut down.
    pub shutdowns: usize,
}

/// What the browsers of one backend share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) counters: Arc<Counters>,
    pub(super) clients: std::sync::atomic::AtomicUsize,
    pub(super) actions: Mutex<Vec<Action>>,
    pub(super) steps: Mutex<Vec<&'static str>>,
    /// The last start's spec.
    pub(super) spec: Mutex<Option<BrowserSpec>>,
}

impl FakeBrowserBackend {
    /// A backend that starts at once and never fails.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Makes the next start fail like this; several pile up.
    pub fn fail_next_start(&self, error: StartError) {
        lock(&self.faults).push(error);
    }

    /// What the last start asked for.
    pub fn last_spec(&self) -> Option<BrowserSpec> {
        lock(&self.shared.spec).clone()
    }

    /// What it has done so far.
    pub fn counts(&self) -> FakeBrowsers {
        let counters = &self.shared.counters;
        FakeBrowsers {
            starts: counters.starts.load(Ordering::SeqCst),
            live: counters.live.load(Ordering::SeqCst),
            clients: self.shared.clients.load(Ordering::SeqCst),
            actions: lock(&self.shared.actions).clone(),
            steps: lock(&self.shared.steps).clone(),
            shutdowns: counters.shutdowns.load(Ordering::SeqCst),
        }
    }
}

#[async_trait]
impl BrowserBackend for FakeBrowserBackend {
    fn name(&self) -> &'static str {
        BROWSER_TIER
    }

    fn probe(&self) -> Result<(), Unavailable> {
        Ok(())
    }

    async fn start(&self, spec: BrowserSpec) -> Result<Arc<dyn Browser>, StartError> {
        self.shared.counters.starts.fetch_add(1, Ordering::SeqCst);
        *lock(&self.shared.spec) = Some(spec.clone());
        if let Some(error) = lock(&self.faults).pop() {
            return Err(error);
        }
        let browser = FakeBrowser::new(spec, Arc::clone(&self.shared)).map_err(|error| StartError::Step {
            step: "making an id".into(),
            source: std::io::Error::other(error.to_string()),
        })?;
        Ok(browser)
    }

    async fn shutdown(&self) {
        self.shared.counters.shutdowns.fetch_add(1, Ordering::SeqCst);
    }
}
