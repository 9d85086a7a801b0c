//! The manager: the door to every session, live ones in memory and ended ones in the store.
//!
//! A live session is a driver task behind a channel; the manager finds it, checks whose it is, and passes the request on.
//! "Belongs to somebody else" and "never existed" get the same answer, by the same code.

use super::account;
use super::backends::Backends;
use super::driver::Request;
use super::interpreters::Interpreters;
use super::invocation::Invocation;
use super::live::{Handle, Live};
use super::owner;
use super::start::Starter;
use super::state::{Phase, Refusal};
use super::tokens::Tokens;
use super::worker::Worker;
use super::{
    EndReason, ForkSession, InvokeOptions, ListQuery, ManagerConfig, Page, SessionKind, SessionRecord,
    StartSession, Status, counted, recordings, records, refusal,
};
use crate::audit::{Desk, Origin};
use crate::browser::{Browser, Engine, StartBrowser, StreamStatus};
use crate::command::ToolCall;
use crate::egress::EgressReport;
use crate::error::{Error, Kind};
use crate::id::{Principal, SandboxId, SessionId};
use crate::policy::{BROWSER_TIER, Policy};
use crate::quota::{Book, Use};
use crate::recording::{RecordingError, Recordings};
use crate::store::{Store, StoredSession};
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::{OnceCell, oneshot};
use tokio::task::JoinSet;

/// Longest invocation id that is accepted, in bytes. The SDKs send UUIDs of 36. Stops ids from being used as storage.
const INVOCATION_ID_MAX: usize = 256;

/// Owns every live session. Shared by all doors.
pub struct SessionManager {
    starter: Starter,
    shut_down: OnceCell<()>,
}

impl std::fmt::Debug for SessionManager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionManager").field("counts", &self.counts()).finish_non_exhaustive()
    }
}

/// What the native door shows of one session.
#[derive(Clone, Debug)]
pub struct Detail {
    /// The record.
    pub record: SessionRecord,
    /// The configured interpreter or browser.
    pub key: String,
    /// Name and value of every wall, as measured; empty once the session has ended.
    pub walls: Vec<(String, String)>,
    /// What has gone through its way out; `None` without one, and once the session has ended (the log has its end).
    pub egress: Option<EgressReport>,
    /// The sandbox that runs it or ran it, once known.
    pub sandbox: Option<SandboxId>,
    /// The policy that it runs under; for an ended session the interpreter's policy of today, if there still is one.
    pub policy: Option<Arc<Policy>>,
    /// What is known of the browser while a browser session lives.
    pub browser: Option<BrowserDetail>,
}

/// A live browser session's browser.
#[derive(Clone, Debug)]
pub struct BrowserDetail {
    /// What it was asked to be.
    pub asked: StartBrowser,
    /// What runs.
    pub engine: Engine,
    /// Whether automation clients may connect.
    pub stream: StreamStatus,
}

/// How much is going on, for `/readyz` and metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Sessions whose worker is not up yet.
    pub starting: usize,
    /// Sessions that take calls.
    pub ready: usize,
    /// Sessions that are being taken down.
    pub stopping: usize,
    /// Calls that run now, in all sessions.
    pub running: usize,
    /// Foreground calls that wait for their turn, in all sessions.
    pub queued: usize,
    /// How many sessions may be live at once.
    pub max_sessions: usize,
    /// The server is shutting down and starts nothing.
    pub draining: bool,
}

impl SessionManager {
    /// A manager without sessions. `backends` maps the tier names that policies use; call [`Self::reconcile`] before serving.
    pub fn new(
        backends: Backends,
        store: Arc<dyn Store>,
        interpreters: Interpreters,
        config: ManagerConfig,
    ) -> Arc<Self> {
        let book = Book::new(config.quotas.clone());
        let starter = Starter {
            backends: Arc::new(backends),
            store,
            interpreters,
            config: Arc::new(config),
            live: Arc::new(Live::default()),
            tokens: Arc::new(Tokens::default()),
            book,
        };
        Arc::new(Self { starter, shut_down: OnceCell::new() })
    }

    /// Marks the sessions that a former server left without an end as lost, drops records that are too old, and returns
    /// the ids of the lost. What is left of their sandboxes is the backends' to clean.
    pub async fn reconcile(&self) -> Result<Vec<SessionId>, Error> {
        let stale: Vec<(SessionId, Principal)> = records::ask(self.store(), |store| store.live())
            .await?
            .into_iter()
            .map(|session| (session.record.id, session.owner))
            .filter(|(id, _)| self.starter.live.find(id).is_none())
            .collect();
        let now = SystemTime::now();
        let ended = records::ask(self.store(), move |store| {
            stale.iter().try_for_each(|(id, _)| store.terminate(id, EndReason::Lost, None, now))?;
            Ok(stale)
        })
        .await?;
        ended.iter().for_each(|(id, owner)| account::lost(self.desk(), id, owner));
        let lost = ended.into_iter().map(|(id, _)| id).collect();
        self.prune().await?;
        let (book, first) = (&self.starter.book, self.starter.book.first_slot());
        recordings::count(&self.starter.backends, self.store(), book).await?;
        book.remember(records::ask(self.store(), move |store| store.cpu_since(first)).await?);
        Ok(lost)
    }

    /// Drops the records of sessions that ended longer ago than [`ManagerConfig::keep_records`], and recordings without a record;
    /// returns how many records. For a
    /// daily timer of the server.
    pub async fn prune(&self) -> Result<usize, Error> {
        let keep = self.starter.config.keep_records;
        let before = SystemTime::now().checked_sub(keep).unwrap_or(SystemTime::UNIX_EPOCH);
        let pruned = records::ask(self.store(), move |store| store.prune(before)).await?;
        recordings::sweep(&self.starter.backends, self.store(), &self.starter.book).await?;
        Ok(pruned)
    }

    /// Looks at the recording of one session, live or ended. `what` runs where it may wait for a disk.
    ///
    /// Errors: `NotFound` for an unknown or foreign session, and for one that is not recorded.
    pub async fn recording<T: Send + 'static>(
        &self,
        who: &Principal,
        key: Option<&str>,
        id: &SessionId,
        what: impl FnOnce(&dyn Recordings) -> Result<Option<T>, RecordingError> + Send + 'static,
    ) -> Result<T, Error> {
        self.get(who, key, id).await?;
        recordings::look(&self.starter.backends, id, what).await
    }

    /// Starts a session and returns when it takes calls.
    ///
    /// Errors: `NotFound` for an unknown interpreter; `Validation` for a time above the policy's, or a client token that
    /// was used with other parameters; `QuotaExceeded` when the server is full or a quota used up; `Throttled` when it is shutting down
    /// or the caller starts too fast;
    /// `Internal` when the host or the image is not fit. A client that goes away does not cancel the start.
    pub async fn start(&self, who: &Principal, request: StartSession) -> Result<SessionRecord, Error> {
        self.starter.start(who, request).await
    }

    /// Starts a copy of a session that is at rest: its variables, imports and files, with randomness of its own.
    ///
    /// Errors: as [`Self::start`]; `NotFound` for an unknown, foreign or ended session; `Validation` where the session's tier
    /// cannot; `Conflict` while it starts or runs a call; `Throttled` when its tier has no room.
    pub async fn fork(
        &self,
        who: &Principal,
        id: &SessionId,
        request: ForkSession,
    ) -> Result<SessionRecord, Error> {
        let (key, interpreter) = match self.live_of(who, None, id) {
            Some(handle) if handle.policy.kind() == SessionKind::Browser => {
                return Err(refusal::other_kind(id, SessionKind::Browser, "be forked"));
            }
            Some(handle) => (handle.key.clone(), handle.view.borrow().record.interpreter.clone()),
            None => {
                let StoredSession { record, key, .. } = self.stored(who, None, id).await?;
                // A retry of a fork that was made hears of it all the same.
                if request.client_token.is_none() || record.tier == BROWSER_TIER {
                    return Err(refusal::session_over(id, record.ended.unwrap_or(EndReason::Lost)));
                }
                (key, record.interpreter)
            }
        };
        let ForkSession { name, timeout, client_token, fingerprint } = request;
        let copy_of = Some(id.clone());
        let copy = StartSession {
            interpreter,
            key,
            name,
            timeout,
            browser: None,
            copy_of,
            narrowing: None,
            client_token,
            fingerprint,
        };
        self.starter.start(who, copy).await
    }

    /// One session of `who`, under the interpreter `key` or under any.
    pub async fn get(
        &self,
        who: &Principal,
        key: Option<&str>,
        id: &SessionId,
    ) -> Result<SessionRecord, Error> {
        match self.live_of(who, key, id) {
            Some(handle) => Ok(handle.view.borrow().record.clone()),
            None => Ok(self.stored(who, key, id).await?.record),
        }
    }

    /// A page of the sessions of `who`, newest first. `query.limit` is kept within 1 to 100.
    pub async fn list(&self, who: &Principal, key: Option<&str>, query: ListQuery) -> Result<Page, Error> {
        let (owner, of) = (who.clone(), key.map(str::to_owned));
        let query = ListQuery { limit: query.limit.clamp(1, 100), ..query };
        let wanted = query.status;
        let mut page =
            records::ask(self.store(), move |store| store.list(&owner, of.as_deref(), &query)).await?;
        let mut items = Vec::with_capacity(page.items.len());
        for record in page.items {
            let over = record.status == Status::Ready && self.starter.live.find(&record.id).is_none();
            match if over { self.stored(who, key, &record.id).await.map(|s| s.record) } else { Ok(record) } {
                Ok(record) if wanted.is_none_or(|wanted| wanted == record.status) => items.push(record),
                Ok(_) => {}
                // Its start has failed in the meantime, and with it the record has gone.
                Err(error) if error.kind == Kind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        page.items = items;
        Ok(page)
    }

    /// Stops a session and returns its record when nothing is left of it. Stopping one that has ended is no error.
    pub async fn stop(
        &self,
        who: &Principal,
        key: Option<&str>,
        id: &SessionId,
    ) -> Result<SessionRecord, Error> {
        if let Some(handle) = self.live_of(who, key, id) {
            handle.account.stopping().await;
            if let Some(record) = ask_to_stop(&handle, EndReason::Stopped).await {
                return Ok(record);
            }
        }
        Ok(self.stored(who, key, id).await?.record)
    }

    /// Makes a call, or attaches to the one with the same invocation id, and returns a consumer of its events.
    ///
    /// Errors: `NotFound` for an unknown, foreign or ended session; `AccessDenied` for what the policy forbids; `Throttled`
    /// when too much waits already; `Validation` for an id that was used with other parameters; `Conflict` for one whose
    /// answer is no longer kept. The call goes on when every consumer is gone.
    pub async fn invoke(
        &self,
        who: &Principal,
        key: Option<&str>,
        id: &SessionId,
        call: ToolCall,
        options: InvokeOptions,
    ) -> Result<Invocation, Error> {
        if options.invocation_id.as_ref().is_some_and(|id| id.len() > INVOCATION_ID_MAX) {
            let text = format!("must not be longer than {INVOCATION_ID_MAX} bytes");
            return Err(Error::field("amz-sdk-invocation-id", text));
        }
        if options.timeout.is_some_and(|timeout| timeout.is_zero()) {
            return Err(Error::field("timeout", "must be more than nothing"));
        }
        if let Some(handle) = self.live_of(who, key, id) {
            if !takes(handle.policy.kind(), &call) {
                return Err(refusal::other_kind(id, handle.policy.kind(), call.name()));
            }
            if let Some(denial) = refusal::forbidden(&handle.policy, &call) {
                return Err(handle.account.refused(denial));
            }
            let (reply, answer) = oneshot::channel();
            let sent = handle
                .requests
                .send(Request::Invoke { call, options, origin: Box::new(Origin::current()), reply })
                .await;
            if let (Ok(()), Ok(result)) = (sent, answer.await) {
                return result;
            }
        }
        // Not live, or it ended between the look and the request.
        let over = self.stored(who, key, id).await?.record;
        Err(refusal::session_over(id, over.ended.unwrap_or(EndReason::Lost)))
    }

    /// The browser of a session that is ready, for what is not a call: CDP clients, targets, the stream's status.
    ///
    /// Errors: as [`Self::invoke`]; `Validation` for a session that runs code; `Conflict` while it starts.
    pub async fn browser(
        &self,
        who: &Principal,
        key: Option<&str>,
        id: &SessionId,
    ) -> Result<Arc<dyn Browser>, Error> {
        if let Some(handle) = self.live_of(who, key, id) {
            let (phase, worker) = {
                let view = handle.view.borrow();
                (view.phase, view.worker.clone())
            };
            match (phase, worker) {
                (Phase::Ready, Some(Worker::Browser(browser))) => return Ok(browser),
                (Phase::Ready, _) => return Err(refusal::other_kind(id, SessionKind::Code, "be browsed")),
                (Phase::Starting, _) => return Err(refusal::not_admitted(id, Refusal::Starting)),
                (Phase::Abandoned(reason) | Phase::Stopping(reason) | Phase::Terminated(reason), _) => {
                    return Err(refusal::session_over(id, reason));
                }
            }
        }
        let over = self.stored(who, key, id).await?.record;
        Err(refusal::session_over(id, over.ended.unwrap_or(EndReason::Lost)))
    }

    /// What the native door shows of one session.
    pub async fn detail(&self, who: &Principal, id: &SessionId) -> Result<Detail, Error> {
        if let Some(handle) = self.live_of(who, None, id) {
            let view = handle.view.borrow().clone();
            let browser = match &view.worker {
                Some(Worker::Browser(browser)) => Some(BrowserDetail {
                    asked: view.browser.unwrap_or_default(),
                    engine: browser.engine(),
                    stream: browser.stream(),
                }),
                _ => None,
            };
            return Ok(Detail {
                record: view.record,
                key: handle.key.clone(),
                walls: view.worker.as_ref().map(Worker::walls).unwrap_or_default(),
                egress: view.worker.as_ref().and_then(Worker::egress),
                sandbox: view.worker.as_ref().map(Worker::sandbox),
                policy: Some(Arc::clone(&handle.policy)),
                browser,
            });
        }
        let StoredSession { record, key, sandbox, .. } = self.stored(who, None, id).await?;
        let policy = self.policy(&key);
        Ok(Detail { record, key, walls: Vec::new(), egress: None, sandbox, policy, browser: None })
    }

    /// The policy that sessions of one interpreter start with.
    pub fn policy(&self, key: &str) -> Option<Arc<Policy>> {
        self.starter.interpreters.get(key)
    }

    /// Fails, as a start would, if sessions under `key` are of another kind. A key that nobody configured any more passes:
    /// its sessions of former days can be looked at.
    pub fn expect_kind(&self, kind: SessionKind, key: &str) -> Result<(), Error> {
        match self.policy(key) {
            Some(policy) if policy.kind() != kind => Err(refusal::no_such_interpreter(kind, key)),
            _ => Ok(()),
        }
    }

    /// The configured interpreters.
    pub fn interpreters(&self) -> &Interpreters {
        &self.starter.interpreters
    }

    /// What a principal and its tenant have used of their quotas, and what they may.
    pub fn uses(&self, who: &Principal) -> Vec<Use> {
        self.starter.book.uses(who)
    }

    /// Where events and denials go.
    pub fn desk(&self) -> &Arc<Desk> {
        self.starter.backends.desk()
    }

    /// How much is going on. A snapshot: sessions change while it is taken.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts {
            max_sessions: self.starter.config.max_sessions,
            draining: self.starter.live.is_closed(),
            ..Counts::default()
        };
        for handle in self.starter.live.all() {
            let view = handle.view.borrow();
            match view.phase {
                Phase::Starting | Phase::Abandoned(_) => counts.starting += 1,
                Phase::Ready => counts.ready += 1,
                Phase::Stopping(_) | Phase::Terminated(_) => counts.stopping += 1,
            }
            counts.running += view.running;
            counts.queued += view.queued;
        }
        counts
    }

    /// Refuses new starts and stops every session: calls that run hear why at once. Returns when no session is left.
    pub async fn end_sessions(&self) {
        self.starter.live.close();
        let mut stops = JoinSet::new();
        for handle in self.starter.live.all() {
            stops.spawn(async move { ask_to_stop(&handle, EndReason::Drained).await });
        }
        stops.join_all().await;
        counted::save_all(&self.starter.book, self.store()).await;
    }

    /// Ends the sessions and shuts the backends down; returns when nothing is left. A second caller waits for the first.
    pub async fn drain(&self) {
        self.end_sessions().await;
        self.shut_down
            .get_or_init(|| async {
                self.starter.backends.shut_down().await;
            })
            .await;
    }

    fn store(&self) -> &Arc<dyn Store> {
        &self.starter.store
    }

    /// The live session, if there is one and it is the caller's. Somebody else's is looked up in the store like one that does not
    /// exist, so that it takes as long, too.
    fn live_of(&self, who: &Principal, key: Option<&str>, id: &SessionId) -> Option<Arc<Handle>> {
        self.starter.live.find(id).filter(|handle| handle.belongs_to(who, key))
    }

    /// The record of a session that is not live.
    async fn stored(
        &self,
        who: &Principal,
        key: Option<&str>,
        id: &SessionId,
    ) -> Result<StoredSession, Error> {
        let session = id.clone();
        let found = records::ask(self.store(), move |store| store.get(&session)).await?;
        let mut found = found
            .filter(|session| {
                owner::is_there_for(who, &session.owner) && key.is_none_or(|key| key == session.key)
            })
            .ok_or_else(|| refusal::no_such_session(id))?;
        if found.record.status == Status::Ready {
            // Its end could not be written at the time; nobody will take calls for it any more.
            let (session, now) = (id.clone(), SystemTime::now());
            let written = records::ask(self.store(), move |store| {
                store.terminate(&session, EndReason::Lost, None, now)
            })
            .await;
            if let Err(error) = written {
                // The disk may still be full: who only asks is answered all the same.
                tracing::warn!(session = %id, %error, "the end of a session could still not be recorded");
            }
            found.record.status = Status::Terminated;
            found.record.ended = Some(EndReason::Lost);
            found.record.updated = now;
        }
        Ok(found)
    }
}

/// Whether sessions of a kind take a call at all.
fn takes(kind: SessionKind, call: &ToolCall) -> bool {
    let browsing = matches!(call, ToolCall::Act { .. } | ToolCall::Perform { .. });
    match kind {
        SessionKind::Code => !browsing,
        SessionKind::Browser => browsing || call.is_file_tool(),
    }
}

/// Asks a session to end and waits until nothing is left of it; `None` if it had ended before it could be asked.
async fn ask_to_stop(handle: &Handle, reason: EndReason) -> Option<SessionRecord> {
    let (reply, answer) = oneshot::channel();
    handle.requests.send(Request::Stop { reason, reply }).await.ok()?;
    answer.await.ok()
}
