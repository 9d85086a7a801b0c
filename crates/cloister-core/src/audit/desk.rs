//! Where events and denials come together: it knows which session a sandbox runs, and keeps floods of denials short.
//!
//! ```text
//!   note ─▶ whose? ─▶ the same within a minute? ─yes─▶ count, the first one's id
//!                                               └no──▶ too many different ones? ─yes─▶ one id for all of that rule
//!                                                                               └no──▶ a new id, a record
//! ```

use super::{
    Action, Actor, Audit, AuditError, Decision, Durability, Event, EventId, Key, Method, NoAudit, Origin,
    Outcome, Reached, Seen,
};
use crate::denial::{Denial, DenialId, Denials, Layer, Noted};
use crate::error::Error;
use crate::id::{Principal, SandboxId, SessionId};
use crate::lock::lock;
use crate::policy::PolicyRef;
use crate::receipt::Signer;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// How long the same refusal keeps its id.
const WINDOW: Duration = Duration::from_secs(60);
/// Different refusals of one session in that time that get an id and a record of their own.
const DIFFERENT: usize = 100;
/// Refusals that are kept in memory for whoever asks by id; older ones are in the log.
const RECENT: usize = 4096;
/// Bytes of one text in a refusal.
const TEXT: usize = 512;

/// What a sandbox is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribution {
    /// The session that it runs.
    pub session: SessionId,
    /// Whose session it is.
    pub owner: Principal,
    /// The policy of the session.
    pub policy: PolicyRef,
}

/// Completes events, and gives denials their ids. One for a server; shared by all that record.
pub struct Desk {
    audit: Arc<dyn Audit>,
    signer: Option<Arc<dyn Signer>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    sandboxes: HashMap<SandboxId, Attribution>,
    windows: HashMap<Subject, Window>,
    seen: HashMap<SessionId, Seen>,
    recent: HashMap<DenialId, Noted>,
    order: VecDeque<DenialId>,
    unnamed: u64,
}

/// Who shares ids: a session, a sandbox that has none yet, or a caller.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Subject {
    Session(SessionId),
    Sandbox(SandboxId),
    Caller(Option<Principal>),
}

struct Window {
    since: Instant,
    /// By layer, rule and what was asked; the latter is empty for the one that stands for all others.
    denials: HashMap<(Layer, String, String), Counted>,
}

struct Counted {
    noted: Noted,
    more: u64,
}

impl Default for Desk {
    /// One that keeps nothing.
    fn default() -> Self {
        Self::new(Arc::new(NoAudit))
    }
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").finish_non_exhaustive()
    }
}

impl Desk {
    /// One that writes to `audit`.
    pub fn new(audit: Arc<dyn Audit>) -> Self {
        Self { audit, signer: None, state: Mutex::default() }
    }

    /// The same, with receipts that are signed.
    #[must_use]
    pub fn signing(self, signer: Arc<dyn Signer>) -> Self {
        Self { signer: Some(signer), ..self }
    }

    /// What signs receipts.
    pub fn signer(&self) -> Option<&dyn Signer> {
        self.signer.as_deref()
    }

    /// Records what must be on disk before its effect. An error means that the effect must not be.
    pub async fn before(self: &Arc<Self>, event: Event) -> Result<EventId, Error> {
        let event = self.complete(event);
        if self.audit.durability(event.action) == Durability::Soon {
            // One write into the kernel's memory: handing it to another thread and back would take several times as long.
            return Ok(self.audit.record(event)?);
        }
        let desk = Arc::clone(self);
        match tokio::task::spawn_blocking(move || desk.audit.record(event)).await {
            Ok(result) => Ok(result?),
            Err(error) => Err(Error::internal("an event could not be recorded", error)),
        }
    }

    /// Records what has happened whether or not it can be written.
    pub fn after(&self, event: Event) {
        let action = event.action.name();
        if let Err(error) = self.record(event) {
            let cause = error.source.to_string();
            tracing::error!(action, %error, cause, "an event is not in the audit log");
        }
    }

    /// The egress proxy has decided about a connection of a sandbox.
    pub fn reached(&self, sandbox: &SandboxId, reached: Reached) {
        let state = &mut *lock(&self.state);
        if let Some(of) = state.sandboxes.get(sandbox)
            && let Some(seen) = state.seen.get_mut(&of.session)
        {
            seen.reach(reached);
        }
    }

    /// What a session reached and was refused since this was last asked.
    pub fn seen(&self, session: &SessionId) -> Seen {
        lock(&self.state).seen.get_mut(session).map(std::mem::take).unwrap_or_default()
    }

    fn complete(&self, mut event: Event) -> Event {
        let Origin { actor, source } = Origin::current();
        event.source = event.source.or(source);
        event.actor = event.actor.or(actor);
        if let Some(Attribution { session, owner, policy }) =
            event.sandbox.as_ref().and_then(|sandbox| self.attribution(sandbox))
        {
            event.session = event.session.or(Some(session));
            event.policy = event.policy.or(Some(policy));
            let itself = Actor { principal: owner, key: None, method: Method::Session };
            event.actor = event.actor.or(Some(itself));
        }
        event
    }

    /// A sandbox runs a session from now on.
    pub fn bind(&self, sandbox: &SandboxId, attribution: Attribution) {
        let state = &mut *lock(&self.state);
        state.seen.entry(attribution.session.clone()).or_default();
        state.sandboxes.insert(sandbox.clone(), attribution);
    }

    /// What a sandbox is for; `None` for one that no session has taken, or whose session is over.
    pub fn attribution(&self, sandbox: &SandboxId) -> Option<Attribution> {
        lock(&self.state).sandboxes.get(sandbox).cloned()
    }

    /// A session is over: what was counted for it is written, and its sandbox forgotten.
    pub fn unbind(&self, session: &SessionId) {
        let closed = {
            let mut state = lock(&self.state);
            state.sandboxes.retain(|_, attribution| attribution.session != *session);
            state.seen.remove(session);
            state.windows.remove(&Subject::Session(session.clone()))
        };
        self.write_counts(closed);
    }

    /// Writes what was counted and not yet written. For the server's timer, and before it ends. Refusals keep their ids for as long as
    /// they would have without it.
    pub fn settle(&self) {
        let mut counted = Vec::new();
        lock(&self.state).windows.retain(|_, window| {
            for denial in window.denials.values_mut().filter(|denial| denial.more > 0) {
                counted.push(Counted { noted: denial.noted.clone(), more: std::mem::take(&mut denial.more) });
            }
            window.since.elapsed() < WINDOW
        });
        self.write(counted);
    }

    fn write_counts(&self, windows: impl IntoIterator<Item = Window>) {
        self.write(windows.into_iter().flat_map(|window| window.denials.into_values()));
    }

    fn write(&self, all: impl IntoIterator<Item = Counted>) {
        for counted in all {
            if counted.more > 0 {
                self.after(event(Action::DenialsRepeated, &counted.noted).with(Key::Count, counted.more));
            }
        }
    }
}

impl Audit for Desk {
    fn record(&self, event: Event) -> Result<EventId, AuditError> {
        self.audit.record(self.complete(event))
    }

    fn durability(&self, action: Action) -> Durability {
        self.audit.durability(action)
    }

    fn denial(&self, id: &DenialId) -> Result<Option<Noted>, AuditError> {
        match lock(&self.state).recent.get(id).cloned() {
            Some(noted) => Ok(Some(noted)),
            None => self.audit.denial(id),
        }
    }
}

impl Desk {
    /// As [`Denials::note`], for a refusal that is known to be of one call, whose receipt is about to name it: [`Desk::seen`] has it not.
    pub fn note_of_call(&self, denial: Denial) -> Noted {
        self.take_down(denial, false)
    }

    fn take_down(&self, denial: Denial, see: bool) -> Noted {
        let mut closed = None;
        let (noted, new) = {
            let state = &mut *lock(&self.state);
            let denial = state.complete(denial);
            let subject = match (&denial.session, &denial.sandbox) {
                (Some(session), _) => Subject::Session(session.clone()),
                (None, Some(sandbox)) => Subject::Sandbox(sandbox.clone()),
                (None, None) => Subject::Caller(denial.owner.clone()),
            };
            if state.windows.get(&subject).is_some_and(|window| window.since.elapsed() >= WINDOW) {
                closed = state.windows.remove(&subject);
            }
            let (noted, new) = state.count(subject, denial);
            if see
                && let Some(session) = &noted.denial.session
                && let Some(seen) = state.seen.get_mut(session)
            {
                seen.refuse(&noted);
            }
            (noted, new)
        };
        self.write_counts(closed);
        if new {
            self.after(event(Action::Denied, &noted));
        }
        noted
    }
}

impl Denials for Desk {
    fn note(&self, denial: Denial) -> Noted {
        self.take_down(denial, true)
    }
}

impl State {
    fn complete(&self, denial: Denial) -> Denial {
        let Denial { layer, rule, asked, why, how, matched, policy, session, sandbox, owner } = denial;
        let of = sandbox.as_ref().and_then(|sandbox| self.sandboxes.get(sandbox));
        Denial {
            layer,
            rule: one_line(&rule),
            asked: one_line(&asked),
            why: one_line(&why),
            how: one_line(&how),
            matched: matched.as_deref().map(one_line),
            policy: policy.or_else(|| of.map(|of| of.policy.clone())),
            session: session.or_else(|| of.map(|of| of.session.clone())),
            owner: owner
                .or_else(|| of.map(|of| of.owner.clone()))
                .or_else(|| Origin::current().actor.map(|actor| actor.principal)),
            sandbox,
        }
    }

    /// The refusal under its id, and whether that is a new one.
    fn count(&mut self, subject: Subject, denial: Denial) -> (Noted, bool) {
        let window = self
            .windows
            .entry(subject)
            .or_insert_with(|| Window { since: Instant::now(), denials: HashMap::new() });
        let mut key = (denial.layer, denial.rule.clone(), denial.asked.clone());
        let mut denial = denial;
        if window.denials.len() >= DIFFERENT && !window.denials.contains_key(&key) {
            key.2 = String::new();
            denial.asked = format!("one of more than {DIFFERENT} different requests within a minute");
        }
        if let Some(counted) = window.denials.get_mut(&key) {
            counted.more += 1;
            return (counted.noted.clone(), false);
        }
        let id = DenialId::random().unwrap_or_else(|_| {
            self.unnamed += 1;
            DenialId::numbered(self.unnamed)
        });
        let noted = Noted { id, at: SystemTime::now(), denial };
        window.denials.insert(key, Counted { noted: noted.clone(), more: 0 });
        self.order.push_back(noted.id.clone());
        self.recent.insert(noted.id.clone(), noted.clone());
        if self.order.len() > RECENT
            && let Some(oldest) = self.order.pop_front()
        {
            self.recent.remove(&oldest);
        }
        (noted, true)
    }
}

fn event(action: Action, noted: &Noted) -> Event {
    let Noted { id, at: _, denial } = noted;
    let Denial { layer, rule, asked, why, how, matched, policy, session, sandbox, owner } = denial;
    let mut event = Event::new(action).outcome(Outcome::Failure).decided(Decision::Denied, rule);
    event.denial = Some(id.clone());
    event.policy.clone_from(policy);
    event.session.clone_from(session);
    event.sandbox.clone_from(sandbox);
    if session.is_some() || sandbox.is_some() {
        event.actor = owner.clone().map(|principal| Actor { principal, key: None, method: Method::Session });
    }
    event = event
        .with(Key::Layer, layer.name())
        .with(Key::Asked, asked.as_str())
        .with(Key::Why, why.as_str())
        .with(Key::How, how.as_str());
    match matched {
        Some(value) => event.with(Key::Matched, value.as_str()),
        None => event,
    }
}

/// Without control characters, and no longer than [`TEXT`].
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(TEXT));
    for c in text.chars() {
        if line.len() + c.len_utf8() > TEXT {
            line.push('…');
            break;
        }
        line.push(if c.is_control() { ' ' } else { c });
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::MemoryAudit;

    fn refused(session: &SessionId, asked: &str) -> Denial {
        Denial::new(Layer::Egress, "network.allowed_domains", asked, "it is not on the list", "add it")
            .session(session)
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_denial_of_one_session_has_one_id_for_a_minute_and_is_counted() {
        let audit = Arc::new(MemoryAudit::default());
        let desk = Desk::new(Arc::clone(&audit) as Arc<dyn Audit>);
        let session = SessionId::random().unwrap();
        let first = desk.note(refused(&session, "a"));
        for _ in 0..1000 {
            assert_eq!(desk.note(refused(&session, "a")).id, first.id);
        }
        assert_ne!(desk.note(refused(&session, "b")).id, first.id);
        assert_ne!(desk.note(refused(&SessionId::random().unwrap(), "a")).id, first.id);
        assert_eq!(audit.of(Action::Denied).len(), 3);

        tokio::time::advance(WINDOW).await;
        assert_ne!(desk.note(refused(&session, "a")).id, first.id);
        let counted = audit.of(Action::DenialsRepeated);
        assert_eq!(counted.len(), 1);
        assert_eq!(counted[0].detail[&Key::Count], 1000);
        assert_eq!(counted[0].denial, Some(first.id.clone()));
        assert_eq!(desk.denial(&first.id).unwrap().unwrap(), first);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_written_on_the_hour_of_the_server_takes_no_id_away() {
        let audit = Arc::new(MemoryAudit::default());
        let desk = Desk::new(Arc::clone(&audit) as Arc<dyn Audit>);
        let session = SessionId::random().unwrap();
        let first = desk.note(refused(&session, "a"));
        assert_eq!(desk.note_of_call(refused(&session, "a")), first);
        tokio::time::advance(WINDOW / 2).await;
        desk.settle();
        assert_eq!(desk.note(refused(&session, "a")).id, first.id);
        tokio::time::advance(WINDOW / 2).await;
        desk.settle();
        desk.settle();
        let counts: Vec<_> =
            audit.of(Action::DenialsRepeated).iter().map(|e| e.detail[&Key::Count].clone()).collect();
        assert_eq!(counts, [1, 1]);
        assert_ne!(desk.note(refused(&session, "a")).id, first.id);
    }

    #[tokio::test(start_paused = true)]
    async fn a_scan_leaves_as_many_records_as_are_worth_reading() {
        let audit = Arc::new(MemoryAudit::default());
        let desk = Desk::new(Arc::clone(&audit) as Arc<dyn Audit>);
        let session = SessionId::random().unwrap();
        let ids: std::collections::HashSet<_> =
            (0..10_000).map(|n| desk.note(refused(&session, &format!("host{n}:443"))).id).collect();
        assert_eq!(ids.len(), DIFFERENT + 1);
        assert_eq!(audit.of(Action::Denied).len(), DIFFERENT + 1);
        desk.unbind(&session);
        let counted: u64 =
            audit.of(Action::DenialsRepeated).iter().filter_map(|e| e.detail[&Key::Count].as_u64()).sum();
        assert_eq!(counted, 10_000 - DIFFERENT as u64 - 1);
    }

    #[tokio::test]
    async fn what_a_sandbox_does_is_its_sessions() {
        let audit = Arc::new(MemoryAudit::default());
        let desk = Desk::new(Arc::clone(&audit) as Arc<dyn Audit>);
        let (sandbox, session) = (SandboxId::random().unwrap(), SessionId::random().unwrap());
        let policy = crate::policy::Policy::built_in("p").reference();
        let owner = Principal { tenant: "t".into(), name: "n".into() };
        desk.bind(
            &sandbox,
            Attribution { session: session.clone(), owner: owner.clone(), policy: policy.clone() },
        );
        let denial = Denial::new(Layer::Egress, "r", "a\nb", "w", "h").sandbox(&sandbox);
        let noted = desk.note(denial).denial;
        assert_eq!(
            (noted.session, noted.owner, noted.policy),
            (Some(session.clone()), Some(owner), Some(policy))
        );
        assert_eq!(noted.asked, "a b");
        desk.record(Event::new(Action::Egress).sandbox(&sandbox)).unwrap();
        assert!(audit.events().iter().all(|event| event.session.as_ref() == Some(&session)));
        desk.unbind(&session);
        assert_eq!(desk.attribution(&sandbox), None);
    }
}
