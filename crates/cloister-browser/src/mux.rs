//! Whose a message is: every CDP session of the pipe has one owner, either ourselves or one client.
//!
//! ```text
//!   message ─┬─ no session ───────────────────────────▶ ours (the root)
//!            └─ session ─▶ owner ─┬─ ours ── answer ──▶ the waiting call        event ──▶ Events
//!                                 └─ client ──────────▶ Inbox::deliver
//!   Target.attachedToTarget in a session makes the new one its child, with the same owner; detached: it goes, with its children
//! ```
//!
//! Chromium counts ids per session, so no id is rewritten.

use crate::call_error::CallError;
use crate::envelope::{self, Head, Incoming, Lost, LostHead};
use crate::events::{BACKLOG, CdpEvent};
use cloister_core::browser::{Exhausted, Held};
use cloister_core::lock::lock;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use tokio::sync::{broadcast, oneshot, watch};

/// Sessions that one browser may have. Clients attach as often as they like, and what the browser says is a guest's word: both
/// would fill the server's memory. Of further ones nothing is delivered.
const SESSIONS: usize = 16 * 1024;

/// From this size on, what a message takes when it is parsed is held as well.
const LOOKED_AT: usize = 64 * 1024;
/// The code of an answer for which there was no memory; JSON-RPC leaves it to the server.
const OUT_OF_MEMORY: i64 = -32000;

/// A client as the mux sees it. Neither method may wait: they run in the task that reads the pipe.
pub(crate) trait Inbox: Send + Sync {
    /// Tells clients of one browser apart.
    fn id(&self) -> u64;
    /// A message for one of the client's sessions, with what it holds of the budget.
    fn deliver(&self, message: Incoming, held: Held);
    /// An event for one of the client's sessions could not be kept.
    fn lost(&self, why: &str);
    /// The client's root session has ended, and the browser goes on.
    fn ended(&self, reason: &str);
}

type Answer = Result<(Value, Held), CallError>;

/// Who gets a session's messages.
#[derive(Clone)]
enum Owner {
    Ours,
    Client(Arc<dyn Inbox>),
}

struct Session {
    owner: Owner,
    /// The session that it was attached in; empty for the root.
    parent: String,
    /// Those that were attached in it.
    children: HashSet<String>,
    target: String,
    events: Option<broadcast::Sender<Arc<CdpEvent>>>,
}

struct Pending {
    session: String,
    method: String,
    answer: oneshot::Sender<Answer>,
}

#[derive(Default)]
struct State {
    last_id: i64,
    pending: HashMap<i64, Pending>,
    sessions: HashMap<String, Session>,
    root_events: Option<broadcast::Sender<Arc<CdpEvent>>>,
    ended: Option<String>,
}

/// The table of sessions and waiting calls of one browser.
pub(crate) struct Mux {
    state: Mutex<State>,
    ended: watch::Sender<Option<String>>,
}

impl Mux {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), ended: watch::Sender::new(None) })
    }

    /// Registers a call of ours and gives its id. The empty session is the root.
    pub(crate) fn expect(
        &self,
        session: &str,
        method: &str,
    ) -> Result<(i64, oneshot::Receiver<Answer>), CallError> {
        let (answer, receiver) = oneshot::channel();
        let mut state = lock(&self.state);
        if let Some(reason) = &state.ended {
            return Err(CallError::Gone(reason.clone()));
        }
        if !session.is_empty() && !state.is_ours(session) {
            return Err(CallError::Gone("its page or the CDP session was closed".to_owned()));
        }
        // Chromium's ids are 32 bits wide.
        state.last_id = if state.last_id >= i64::from(i32::MAX) - 1 { 1 } else { state.last_id + 1 };
        let id = state.last_id;
        let (session, method) = (session.to_owned(), method.to_owned());
        state.pending.insert(id, Pending { session, method, answer });
        Ok((id, receiver))
    }

    /// The caller no longer waits.
    pub(crate) fn forget(&self, id: i64) {
        lock(&self.state).pending.remove(&id);
    }

    /// Events of one of our sessions from now on.
    pub(crate) fn subscribe(&self, session: &str) -> Option<broadcast::Receiver<Arc<CdpEvent>>> {
        let mut state = lock(&self.state);
        if state.ended.is_some() {
            return None;
        }
        let slot = if session.is_empty() {
            &mut state.root_events
        } else {
            match state.sessions.get_mut(session)? {
                Session { owner: Owner::Ours, events, .. } => events,
                Session { owner: Owner::Client(_), .. } => return None,
            }
        };
        Some(slot.get_or_insert_with(|| broadcast::Sender::new(BACKLOG)).subscribe())
    }

    /// Gives a session that was just attached by us to a client.
    pub(crate) fn give(&self, session: &str, target: &str, client: Arc<dyn Inbox>) {
        let mut state = lock(&self.state);
        let (parent, target) = (String::new(), target.to_owned());
        let given =
            Session { owner: Owner::Client(client), parent, children: HashSet::new(), target, events: None };
        state.sessions.insert(session.to_owned(), given);
    }

    /// Whether the client with this id owns the session.
    pub(crate) fn owns(&self, client: u64, session: &str) -> bool {
        let state = lock(&self.state);
        matches!(state.sessions.get(session), Some(Session { owner: Owner::Client(owner), .. }) if owner.id() == client)
    }

    /// Takes a session and its children out of the table: what still comes for them is dropped.
    pub(crate) fn drop_session(&self, session: &str) {
        let given = lock(&self.state).remove(session);
        if let Some(client) = given {
            client.ended("the page that it was connected to has been closed");
        }
    }

    /// Resolves with the reason once the browser has ended.
    pub(crate) async fn ended(&self) -> String {
        let mut ended = self.ended.subscribe();
        let reason = ended.wait_for(Option::is_some).await.map(|reason| reason.clone());
        reason.ok().flatten().unwrap_or_default()
    }

    /// Whether the browser has not ended.
    pub(crate) fn lives(&self) -> bool {
        lock(&self.state).ended.is_none()
    }

    /// The browser has ended: every call fails, every client hears it. The first reason stays.
    pub(crate) fn end(&self, reason: &str) {
        let (pending, sessions) = {
            let mut state = lock(&self.state);
            if state.ended.is_some() {
                return;
            }
            state.ended = Some(reason.to_owned());
            state.root_events = None;
            (std::mem::take(&mut state.pending), std::mem::take(&mut state.sessions))
        };
        for waiting in pending.into_values() {
            let _ = waiting.answer.send(Err(CallError::Gone(reason.to_owned())));
        }
        // Clients hear it from the broker, when more is known than that the pipe is closed.
        drop(sessions);
        self.ended.send_replace(Some(reason.to_owned()));
    }

    /// One message from the pipe.
    pub(crate) fn dispatch(&self, bytes: Vec<u8>, held: Held) {
        let Some(message) = Incoming::read(bytes) else {
            tracing::warn!("the browser sent a message that is not of the protocol; dropped");
            return;
        };
        let session = message.session().unwrap_or_default().to_owned();
        let owner = {
            let mut state = lock(&self.state);
            let owner = match state.sessions.get(&session) {
                _ if session.is_empty() => Owner::Ours,
                Some(known) => known.owner.clone(),
                None => {
                    tracing::debug!(session, "a message for a session that is gone");
                    return;
                }
            };
            if message.method() == Some("Target.attachedToTarget") {
                state.attached(&session, &owner, &message.bytes);
            }
            owner
        };
        let detached = match message.method() {
            Some("Target.detachedFromTarget") => inner_session(&message.bytes),
            _ => None,
        };
        match owner {
            Owner::Ours => self.dispatch_own(&session, &message, held),
            Owner::Client(client) => client.deliver(message, held),
        }
        if let Some(detached) = detached {
            self.drop_session(&detached);
        }
    }

    /// A message for which there was no budget: an answer becomes an error, of an event its reader hears that it was lost.
    pub(crate) fn lost(&self, lost: Lost) {
        let Lost { head, session, why } = lost;
        tracing::info!(?head, session, why, "a message of the browser's was not kept");
        match head {
            LostHead::Answer(id) => {
                let refusal = envelope::refusal(Some(id), OUT_OF_MEMORY, &why, session.as_deref());
                self.dispatch(refusal.into_bytes(), Held::default());
            }
            LostHead::Event(_) => {
                let state = lock(&self.state);
                let session = session.as_deref().map(|session| state.sessions.get(session));
                match session {
                    None => {
                        state
                            .root_events
                            .iter()
                            .for_each(|events| drop(events.send(Arc::new(CdpEvent::lagged(1)))));
                    }
                    Some(Some(Session { owner: Owner::Ours, events, .. })) => {
                        events.iter().for_each(|events| drop(events.send(Arc::new(CdpEvent::lagged(1)))));
                    }
                    Some(Some(Session { owner: Owner::Client(client), .. })) => {
                        let client = Arc::clone(client);
                        drop(state);
                        client.lost(&why);
                    }
                    Some(None) => {}
                }
            }
            LostHead::Other => {}
        }
    }

    fn dispatch_own(&self, session: &str, message: &Incoming, mut held: Held) {
        match message.head {
            Head::Answer(id) => {
                let pending = {
                    let mut state = lock(&self.state);
                    let same = state.pending.get(&id).is_some_and(|pending| pending.session == session);
                    if same { state.pending.remove(&id) } else { None }
                };
                if let Some(Pending { answer, method, .. }) = pending {
                    // Read outside of the lock: it may be a large picture.
                    let read = match grow_to_parsed(&mut held, &message.bytes) {
                        Ok(()) => read_answer(&method, &message.bytes).map(|answer| (answer, held)),
                        Err(exhausted) => {
                            let message = exhausted.to_string();
                            Err(CallError::Refused { method, code: OUT_OF_MEMORY, message })
                        }
                    };
                    let _ = answer.send(read);
                }
            }
            Head::Event(_) => self.event(session, message, held),
            Head::Other => tracing::debug!("the browser sent an error that belongs to no call"),
        }
    }

    fn event(&self, session: &str, message: &Incoming, mut held: Held) {
        let method = message.method().unwrap_or_default();
        let sender = {
            let state = lock(&self.state);
            match session {
                "" => state.root_events.clone(),
                _ => state.sessions.get(session).and_then(|session| session.events.clone()),
            }
        };
        let crashed = matches!(method, "Target.targetCrashed" | "Inspector.targetCrashed");
        if sender.is_none() && !crashed {
            return;
        }
        if let Err(exhausted) = grow_to_parsed(&mut held, &message.bytes) {
            let (head, session) = (LostHead::Event(method.to_owned()), message.session().map(str::to_owned));
            return self.lost(Lost { head, session, why: exhausted.to_string() });
        }
        let params =
            serde_json::from_slice::<EventBody>(&message.bytes).map(|body| body.params).unwrap_or_default();
        match method {
            "Inspector.targetCrashed" => lock(&self.state).crash(|at, _| at == session),
            "Target.targetCrashed" => {
                let target = params.get("targetId").and_then(Value::as_str).unwrap_or_default();
                lock(&self.state).crash(|_, of| of == Some(target));
            }
            _ => {}
        }
        if let Some(sender) = sender {
            let _ = sender.send(Arc::new(CdpEvent { method: method.to_owned(), params, _held: held }));
        }
    }
}

impl State {
    fn is_ours(&self, session: &str) -> bool {
        matches!(self.sessions.get(session), Some(Session { owner: Owner::Ours, .. }))
    }

    fn attached(&mut self, parent: &str, owner: &Owner, bytes: &[u8]) {
        let Ok(Attached { params }) = serde_json::from_slice(bytes) else { return };
        if self.sessions.contains_key(&params.session_id) {
            return;
        }
        if self.sessions.len() >= SESSIONS {
            tracing::warn!("a browser has {SESSIONS} CDP sessions; a further one is not served");
            return;
        }
        if let Some(parent) = self.sessions.get_mut(parent) {
            parent.children.insert(params.session_id.clone());
        }
        let session = Session {
            owner: owner.clone(),
            parent: parent.to_owned(),
            children: HashSet::new(),
            target: params.target_info.target_id,
            events: None,
        };
        self.sessions.insert(params.session_id, session);
    }

    /// Removes a session with its children; gives the client whose root it was.
    fn remove(&mut self, session: &str) -> Option<Arc<dyn Inbox>> {
        let mut root = None;
        let mut gone = HashSet::new();
        let mut next = vec![session.to_owned()];
        while let Some(session) = next.pop() {
            if let Some(Session { owner, parent, children, .. }) = self.sessions.remove(&session) {
                match (owner, self.sessions.get_mut(&parent)) {
                    (Owner::Client(client), _) if parent.is_empty() => root = Some(client),
                    (_, Some(parent)) => {
                        parent.children.remove(&session);
                    }
                    _ => {}
                }
                next.extend(children);
            }
            gone.insert(session);
        }
        self.fail(CallError::Gone("its page or the CDP session was closed".to_owned()), |pending| {
            gone.contains(&pending.session)
        });
        root
    }

    /// Fails the calls of the sessions that `which` (session, target) names: a crashed renderer never answers them.
    fn crash(&mut self, which: impl Fn(&str, Option<&str>) -> bool) {
        let sessions = &self.sessions;
        let crashed: Vec<String> = sessions
            .iter()
            .filter(|(id, session)| which(id, Some(&session.target)))
            .map(|(id, _)| id.clone())
            .collect();
        self.fail(CallError::Crashed, |pending| crashed.contains(&pending.session));
    }

    fn fail(&mut self, error: CallError, which: impl Fn(&Pending) -> bool) {
        let ids: Vec<i64> = self.pending.iter().filter(|(_, p)| which(p)).map(|(id, _)| *id).collect();
        for pending in ids.iter().filter_map(|id| self.pending.remove(id)) {
            let _ = pending.answer.send(Err(error.clone()));
        }
    }
}

#[derive(Deserialize)]
struct EventBody {
    #[serde(default)]
    params: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Attached {
    params: AttachedParams,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AttachedParams {
    session_id: String,
    target_info: TargetInfo,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TargetInfo {
    target_id: String,
}

fn inner_session(bytes: &[u8]) -> Option<String> {
    let body: EventBody = serde_json::from_slice(bytes).ok()?;
    body.params.get("sessionId")?.as_str().map(str::to_owned)
}

#[derive(Deserialize)]
struct AnswerBody {
    #[serde(default)]
    result: Value,
    error: Option<AnswerError>,
}

#[derive(Deserialize)]
struct AnswerError {
    code: i64,
    message: String,
    #[serde(default)]
    data: Option<String>,
}

/// Holds what the tree of a message takes beside its bytes.
fn grow_to_parsed(held: &mut Held, bytes: &[u8]) -> Result<(), Exhausted> {
    // Nearly all messages are short, and then it is not worth a look.
    if bytes.len() < LOOKED_AT { Ok(()) } else { held.grow(envelope::parsed_cost(bytes)) }
}

fn read_answer(method: &str, bytes: &[u8]) -> Result<Value, CallError> {
    let body: AnswerBody = serde_json::from_slice(bytes)
        .map_err(|error| CallError::Unreadable { method: method.to_owned(), what: error.to_string() })?;
    match body.error {
        None => Ok(body.result),
        Some(AnswerError { code, message, data }) => {
            let message = data.map_or(message.clone(), |data| format!("{message}: {data}"));
            Err(CallError::Refused { method: method.to_owned(), code, message })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn attach(mux: &Mux, parent: &str, session: &str) {
        let params = json!({"sessionId": session, "targetInfo": {"targetId": "T"}});
        let mut event = json!({"method": "Target.attachedToTarget", "params": params});
        if !parent.is_empty() {
            event["sessionId"] = parent.into();
        }
        mux.dispatch(event.to_string().into_bytes(), Held::default());
    }

    fn known(mux: &Mux) -> usize {
        lock(&mux.state).sessions.len()
    }

    #[test]
    fn a_browser_that_announces_sessions_without_end_fills_no_memory() {
        let mux = Mux::new();
        for number in 0..SESSIONS + 100 {
            attach(&mux, "", &format!("{number:032X}"));
        }
        assert_eq!(known(&mux), SESSIONS);
    }

    #[test]
    fn a_session_goes_with_its_children_and_leaves_those_of_others() {
        let mux = Mux::new();
        for (parent, session) in [("", "A"), ("A", "A1"), ("A1", "A2"), ("A", "A3"), ("", "B"), ("B", "B1")] {
            attach(&mux, parent, session);
        }
        let (_, mut call) = mux.expect("A2", "Page.reload").unwrap();
        mux.drop_session("A3");
        assert_eq!(known(&mux), 5);
        mux.drop_session("A");
        assert!(matches!(call.try_recv(), Ok(Err(CallError::Gone(_)))));
        assert!(mux.expect("A1", "Page.reload").is_err() && mux.expect("B1", "Page.reload").is_ok());
        assert_eq!(known(&mux), 2);
    }
}
