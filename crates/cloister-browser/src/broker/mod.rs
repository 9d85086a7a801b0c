//! Many CDP clients on one browser: each gets a root session of its own, and what it attaches to belongs to it.
//!
//! ```text
//!   connect ──▶ Target.attachToBrowserTarget ──▶ session S ──▶ Client{root: S}      (or attachToTarget, for one page)
//!   client's message without a session ──▶ S        message of S ──▶ client, without the session
//!   disconnect ──▶ Target.detachFromTarget(S): its child sessions and its overrides go with it
//! ```

mod client;
mod close;
mod dialogs;
mod outbox;
mod streams;
#[cfg(test)]
mod tests;

use crate::connection::{Connection, session_of};
use crate::downloads::Downloads;
use crate::filter::Filter;
use crate::page::Dialogs;
use crate::recorder::Recorder;
use client::Client;
use cloister_core::browser::{BrowserError, CdpClient, Role, StreamStatus, Text};
use cloister_core::lock::lock;
use serde_json::json;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;

/// How long attaching and detaching may take: the browser process answers, not a page.
const LIMIT: Duration = Duration::from_secs(10);
/// How long a client whose browser has ended waits for the reason. Sessions are ended in less time than that.
const REASON: Duration = Duration::from_secs(15);
/// Messages that wait for the client's socket. Few, since each may be large; what waits, waits in the outbox.
const CHANNEL: usize = 2;
/// Messages of a client that wait for the broker: the client itself can keep the next one.
const INBOUND: usize = 1;

struct State {
    status: StreamStatus,
    last: u64,
    clients: HashMap<u64, Arc<Client>>,
}

/// What is done when a client has gone, for example setting again what its sessions had overridden.
pub(crate) type OnLeave = Arc<dyn Fn() + Send + Sync>;

/// The clients of one browser.
pub(crate) struct Broker {
    connection: Connection,
    filter: Arc<Filter>,
    downloads: Arc<Downloads>,
    max: usize,
    on_leave: OnLeave,
    recorder: Option<Arc<Recorder>>,
    rule: Arc<Dialogs>,
    state: Mutex<State>,
}

impl Broker {
    pub(crate) fn new(
        connection: Connection,
        filter: Filter,
        downloads: Arc<Downloads>,
        max: usize,
        on_leave: OnLeave,
        recorder: Option<Arc<Recorder>>,
        rule: Arc<Dialogs>,
    ) -> Arc<Self> {
        let state = State { status: StreamStatus::Enabled, last: 0, clients: HashMap::new() };
        let filter = Arc::new(filter);
        let state = Mutex::new(state);
        Arc::new(Self { connection, filter, downloads, max, on_leave, recorder, rule, state })
    }

    /// Lets a client in.
    pub(crate) async fn connect(
        self: &Arc<Self>,
        role: Role,
        target: Option<String>,
    ) -> Result<CdpClient, BrowserError> {
        self.admit(role)?;
        let (method, params) = match &target {
            None => ("Target.attachToBrowserTarget", json!({})),
            Some(target) => ("Target.attachToTarget", json!({ "targetId": target, "flatten": true })),
        };
        let root = match self.connection.call(None, method, params, LIMIT).await {
            Ok(answer) => session_of(method, &answer)?,
            Err(crate::CallError::Refused { message, .. }) if target.is_some() => {
                return Err(BrowserError::Invalid { field: "target".to_owned(), message });
            }
            Err(error) => return Err(error.into()),
        };
        let client = match self.register(role, root.clone(), target.as_deref()) {
            Ok(client) => client,
            Err(refused) => {
                let _ = self.connection.detach(&root, LIMIT).await;
                return Err(refused);
            }
        };
        let (to_browser, messages) = mpsc::channel(INBOUND);
        let (sender, from_browser) = mpsc::channel(CHANNEL);
        tokio::spawn(Arc::clone(self).serve(client, messages, sender));
        let budget = self.connection.budget().clone();
        Ok(CdpClient { to_browser, from_browser, budget })
    }

    fn admit(&self, role: Role) -> Result<(), BrowserError> {
        let state = lock(&self.state);
        if role == Role::Driver && state.status == StreamStatus::Disabled {
            return Err(BrowserError::StreamDisabled);
        }
        if state.clients.len() >= self.max {
            return Err(BrowserError::TooManyClients(self.max));
        }
        Ok(())
    }

    fn register(&self, role: Role, root: String, target: Option<&str>) -> Result<Arc<Client>, BrowserError> {
        // Again: while the session was attached, the stream may have been disabled and others may have come.
        self.admit(role)?;
        let mut state = lock(&self.state);
        state.last += 1;
        let client = Arc::new(Client {
            id: state.last,
            role,
            root,
            connection: self.connection.clone(),
            filter: Arc::clone(&self.filter),
            downloads: Arc::clone(&self.downloads),
            outbox: outbox::Outbox::default(),
            streams: streams::Streams::default(),
            recorder: self.recorder.clone(),
            dialogs: (role == Role::Human).then(|| {
                dialogs::Waiting::new(self.connection.clone(), Arc::clone(&self.rule), client::OWN_ID)
            }),
        });
        self.connection.mux().give(&client.root, target.unwrap_or_default(), Arc::clone(&client) as _);
        state.clients.insert(client.id, Arc::clone(&client));
        Ok(client)
    }

    async fn serve(
        self: Arc<Self>,
        client: Arc<Client>,
        mut messages: mpsc::Receiver<Text>,
        sender: mpsc::Sender<cloister_core::browser::ToClient>,
    ) {
        let up = async {
            // While others wait for room, the client's next message stays where it is.
            while self.connection.room(0).await.is_ok()
                && let Some(text) = messages.recv().await
            {
                client.receive(text).await;
            }
        };
        let up = async {
            up.await;
            if !self.connection.lives() {
                // Whoever ends the session says why; the record of the session comes first.
                tokio::time::sleep(REASON).await;
                client.outbox.close(close::GONE, "the session's browser has ended");
                std::future::pending::<()>().await;
            }
        };
        let close = tokio::select! {
            () = up => None,
            () = sender.closed() => None,
            close = client.bring(&sender) => close,
        };
        // A client that reads hears it at once; one that does not keeps nothing alive until it does.
        let unsent = match close.map(|close| sender.try_send(close)) {
            Some(Err(mpsc::error::TrySendError::Full(close))) => Some(close),
            _ => None,
        };
        lock(&self.state).clients.remove(&client.id);
        self.connection.mux().drop_session(&client.root);
        let _ = self.connection.detach(&client.root, LIMIT).await;
        (self.on_leave)();
        if let Some(close) = unsent {
            // Only the word waits, for as long as the client's socket does: until it is taken, or the socket is given up.
            drop((client, self));
            let _ = sender.send(close).await;
        }
    }

    pub(crate) fn status(&self) -> StreamStatus {
        lock(&self.state).status
    }

    /// Lets drivers in, or closes and refuses them.
    pub(crate) fn set_status(&self, status: StreamStatus) {
        let mut state = lock(&self.state);
        state.status = status;
        if status == StreamStatus::Disabled {
            for client in state.clients.values().filter(|client| client.role == Role::Driver) {
                client.outbox.cut(close::DISABLED, &BrowserError::StreamDisabled.to_string());
            }
        } else {
            state
                .clients
                .values()
                .filter_map(|client| client.dialogs.as_ref())
                .for_each(|open| open.released());
        }
    }

    /// The session ends: everybody is told.
    pub(crate) fn end(&self, reason: &str) {
        for client in lock(&self.state).clients.values() {
            client.outbox.close(close::GONE, reason);
        }
    }

    /// How many are connected.
    #[cfg(test)]
    pub(crate) fn clients(&self) -> usize {
        lock(&self.state).clients.len()
    }
}
