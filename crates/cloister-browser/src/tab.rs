//! One tab: its CDP sessions, and what its events have told so far.
//!
//! ```text
//!   Connection::events(session) ──▶ page/watch.rs (pump) ──▶ watch::Sender<State>
//!                                                                │
//!   steps and actions ──call──▶ session      wait ◀──────────────┘
//!   page/rescue.rs ────call──▶ watchdog (a second session: it answers while the first one is stuck)
//! ```

use crate::call_error::CallError;
use crate::connection::Connection;
use cloister_core::browser::Held;
use cloister_core::lock::lock;
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// A JavaScript dialog that is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dialog {
    /// `alert`, `confirm`, `prompt`, `beforeunload`.
    pub(crate) kind: String,
    /// What it says.
    pub(crate) message: String,
    /// What a prompt proposes.
    pub(crate) proposal: String,
}

/// The document that the tab's main frame shows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Document {
    /// The navigation that brought it.
    pub(crate) loader: String,
    /// Its URL, with the fragment.
    pub(crate) url: String,
    /// DOMContentLoaded has fired.
    pub(crate) parsed: bool,
    /// The load event has fired.
    pub(crate) loaded: bool,
}

/// The answer to a main frame's request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Response {
    /// The navigation that it belongs to.
    pub(crate) loader: String,
    /// HTTP status.
    pub(crate) status: u16,
    /// MIME type.
    pub(crate) mime: String,
}

/// Everything that steps wait for. Only the pump changes it.
#[derive(Clone, Debug)]
pub(crate) struct State {
    /// What is shown.
    pub(crate) document: Document,
    /// Counts the documents and the jumps within one, so that a step sees that something came.
    pub(crate) commits: u64,
    /// The main frame has been sent somewhere and has not arrived.
    pub(crate) leaving: bool,
    /// The last answer to a main frame's request.
    pub(crate) response: Response,
    /// The dialog that blocks the page.
    pub(crate) dialog: Option<Dialog>,
    /// The renderer has ended; the next navigation makes a new one.
    pub(crate) crashed: bool,
    /// How often that has happened.
    pub(crate) crashes: u64,
    /// Counts the windows and the downloads that the page has asked for.
    pub(crate) windows: u64,
    /// See above.
    pub(crate) downloads: u64,
    /// The tab is closed.
    pub(crate) closed: bool,
    /// Requests that have not ended.
    pub(crate) open_requests: HashSet<String>,
    /// When the set above last changed.
    pub(crate) traffic: Instant,
}

impl State {
    pub(crate) fn new(url: String) -> Self {
        Self {
            document: Document { url, ..Document::default() },
            commits: 0,
            leaving: false,
            response: Response::default(),
            dialog: None,
            crashed: false,
            crashes: 0,
            windows: 0,
            downloads: 0,
            closed: false,
            open_requests: HashSet::new(),
            traffic: Instant::now(),
        }
    }
}

/// What the pointer and the keyboard are doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Input {
    /// Where the pointer is.
    pub(crate) at: (i32, i32),
    /// Modifiers that are held, in CDP's bits: 1 Alt, 2 Control, 4 Meta, 8 Shift.
    pub(crate) modifiers: u8,
}

/// Names that a snapshot gave to elements. The same element keeps its name as long as its document lives.
#[derive(Debug, Default)]
pub(crate) struct References {
    /// The document that they are of.
    pub(crate) loader: String,
    /// Never goes back, so that a name of an older document is known to be one.
    pub(crate) last: u64,
    /// Backend node to name.
    pub(crate) names: HashMap<i64, String>,
    /// Name to backend node and its frame.
    pub(crate) nodes: HashMap<String, (i64, String)>,
}

/// One tab.
pub(crate) struct Tab {
    /// `t1`, `t2`, …: what clients call it.
    pub(crate) id: String,
    /// CDP's target, which is also its main frame's id at the start.
    pub(crate) target: String,
    /// The tab whose page opened it.
    pub(crate) opener: Option<String>,
    /// The session of steps and actions.
    pub(crate) session: String,
    /// The session that ends scripts when the other one hangs.
    pub(crate) watchdog: String,
    /// The pipe.
    pub(crate) connection: Connection,
    /// What its events have told.
    pub(crate) state: watch::Sender<State>,
    input: Mutex<Input>,
    prompt: Mutex<String>,
    references: Mutex<References>,
}

impl Tab {
    /// A tab on two attached sessions. Nothing is enabled yet: `page/prepare.rs` does that.
    pub(crate) fn new(
        connection: Connection,
        id: String,
        target: String,
        sessions: (String, String),
    ) -> Self {
        let (session, watchdog) = sessions;
        let state = watch::Sender::new(State::new("about:blank".to_owned()));
        Self {
            id,
            target,
            opener: None,
            session,
            watchdog,
            connection,
            state,
            input: Mutex::default(),
            prompt: Mutex::default(),
            references: Mutex::default(),
        }
    }

    /// One call on the tab's session.
    pub(crate) async fn call(
        &self,
        method: &str,
        params: Value,
        limit: Duration,
    ) -> Result<Value, CallError> {
        self.connection.call(Some(&self.session), method, params, limit).await
    }

    /// As [`Self::call`], with what the answer holds of the session's budget.
    pub(crate) async fn call_held(
        &self,
        method: &str,
        params: Value,
        limit: Duration,
    ) -> Result<(Value, Held), CallError> {
        self.connection.call_held(Some(&self.session), method, params, limit).await
    }

    /// The pointer and the held keys. Never kept over an await.
    pub(crate) fn input(&self) -> MutexGuard<'_, Input> {
        lock(&self.input)
    }

    /// What has been typed into the open prompt. Never kept over an await.
    pub(crate) fn input_for_prompt(&self) -> MutexGuard<'_, String> {
        lock(&self.prompt)
    }

    /// The names given to elements. Never kept over an await.
    pub(crate) fn references(&self) -> MutexGuard<'_, References> {
        lock(&self.references)
    }

    /// The dialog that is open now.
    pub(crate) fn dialog(&self) -> Option<Dialog> {
        self.state.borrow().dialog.clone()
    }

    /// The URL that is shown.
    pub(crate) fn url(&self) -> String {
        self.state.borrow().document.url.clone()
    }

    /// Resolves when a dialog is open.
    pub(crate) async fn dialog_opens(&self) {
        let mut state = self.state.subscribe();
        if state.wait_for(|state| state.dialog.is_some()).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
