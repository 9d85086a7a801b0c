//! What the audit log has of a CDP client: who asked for its connection, whether it was let in, and why the connection ended.

use crate::auth::Caller;
use crate::state::Gateway;
use cloister_core::audit::{Action, Decision, Desk, Event, Key, Origin, Outcome};
use cloister_core::browser::{Browser, CdpClient, Role};
use cloister_core::error::Error;
use cloister_core::{SandboxId, SessionId};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A client that asks for a connection.
pub(crate) struct Asking {
    desk: Arc<Desk>,
    origin: Origin,
    session: SessionId,
    sandbox: SandboxId,
    role: Role,
    target: Option<String>,
}

/// Why a connection is over, in the log's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// The client has left.
    Left,
    /// The browser takes no more.
    Ended,
    /// The server or the browser has closed it, and said why.
    Closed,
    /// It broke before it was a WebSocket, or the server gave it up.
    Broken,
}

impl Over {
    fn name(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Ended => "ended",
            Self::Closed => "closed",
            Self::Broken => "broken",
        }
    }
}

impl Asking {
    pub(crate) fn new(
        gateway: &Gateway,
        caller: &Caller,
        session: &SessionId,
        browser: &dyn Browser,
        role: Role,
        target: Option<&str>,
    ) -> Self {
        Self {
            desk: Arc::clone(gateway.manager().desk()),
            origin: caller.origin(),
            session: session.clone(),
            sandbox: browser.sandbox(),
            role,
            target: target.map(str::to_owned),
        }
    }

    /// Asks the browser. A refusal is on record when this returns; a connection is when it is [`Self::accepted`].
    pub(crate) async fn connect(&self, browser: &dyn Browser) -> Result<CdpClient, Error> {
        let connected = browser.connect(self.role, self.target.clone()).await.map_err(Error::from);
        connected.inspect_err(|error| {
            let mut event = self.event(Action::Connect).outcome(Outcome::Failure);
            event.decision = Decision::Denied;
            event.denial = error.denial.as_ref().map(|denial| denial.id.clone());
            self.desk.after(event.with(Key::Why, error.message.as_str()));
        })
    }

    /// The connection is made.
    pub(super) fn accepted(self) -> Connected {
        let mut event = self.event(Action::Connect);
        event.decision = Decision::Allowed;
        self.desk.after(event);
        Connected { client: self, since: Instant::now(), over: Over::Broken, why: String::new() }
    }

    fn event(&self, action: Action) -> Event {
        let Origin { actor, source } = self.origin.clone();
        let mut event = Event::new(action)
            .session(&self.session)
            .sandbox(&self.sandbox)
            .with(Key::Client, self.role.name());
        (event.actor, event.source) = (actor, source);
        match &self.target {
            Some(target) => event.with(Key::Target, target.as_str()),
            None => event,
        }
    }
}

/// A connection that is on record; its end is when this is dropped, whatever has become of it.
pub(super) struct Connected {
    client: Asking,
    since: Instant,
    over: Over,
    why: String,
}

impl Connected {
    /// Why it is over.
    pub(super) fn over(&mut self, over: Over, why: String) {
        (self.over, self.why) = (over, why);
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        let mut event = self.client.event(Action::Disconnect);
        event = event.with(Key::Reason, self.over.name()).with(Key::Lasted, millis(self.since.elapsed()));
        if !self.why.is_empty() {
            event = event.with(Key::Why, self.why.as_str());
        }
        self.client.desk.after(event);
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
