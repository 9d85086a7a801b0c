//! Starting a session: intent on disk first, then the driver; and once per client token.
//!
//! ```text
//!   start ─▶ kind, policy, limits ─▶ token: first? ──no──▶ wait for the first
//!                                   │yes
//!                                   ▼
//!    place in table and quotas ─▶ Store::insert ─▶ driver ─▶ backend.start ─▶ Ready
//!                                                        └─ failed ─▶ Store::forget
//! ```

use super::account::Account;
use super::backends::{Backends, Tier};
use super::counted::Counted;
use super::driver::Birth;
use super::live::{Handle, Live, NoPlace, View};
use super::owner;
use super::refusal;
use super::state::{Phase, Refusal};
use super::tokens::{Claim, Tokens};
use super::worker::Order;
use super::{
    EndReason, Interpreters, ManagerConfig, SessionKind, SessionRecord, StartSession, Status, recordings,
    records,
};
use crate::audit::Origin;
use crate::error::Error;
use crate::id::{Principal, SandboxId, SessionId};
use crate::policy::Policy;
use crate::quota::Book;
use crate::store::{Store, StoredSession};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

/// Requests that may wait for a driver. It never waits itself, so this is about a burst, not about a backlog.
const REQUESTS: usize = 64;

/// What starts need of the manager; they run as tasks of their own and outlive the client that asked.
#[derive(Clone)]
pub(super) struct Starter {
    pub(super) backends: Arc<Backends>,
    pub(super) store: Arc<dyn Store>,
    pub(super) interpreters: Interpreters,
    pub(super) config: Arc<ManagerConfig>,
    pub(super) live: Arc<Live>,
    pub(super) tokens: Arc<Tokens>,
    pub(super) book: Arc<Book>,
}

/// A request that has passed its checks.
struct Checked {
    who: Principal,
    request: StartSession,
    policy: Arc<Policy>,
    tier: Tier,
    ttl: Duration,
}

impl Starter {
    pub(super) async fn start(&self, who: &Principal, request: StartSession) -> Result<SessionRecord, Error> {
        let checked = self.check(who, request)?;
        let Some(token) = checked.request.client_token.clone() else {
            return detached(self.clone().begin(checked)).await;
        };
        let key = (who.clone(), checked.request.key.clone(), token);
        match self.tokens.claim(key, checked.request.fingerprint) {
            Claim::Mismatch => Err(refusal::mismatched_token()),
            Claim::Follow(first) => first.wait().await,
            Claim::Lead(lead) => {
                let this = self.clone();
                detached(async move { lead.finish(this.once(checked).await) }).await
            }
        }
    }

    fn check(&self, who: &Principal, request: StartSession) -> Result<Checked, Error> {
        let kind = if request.browser.is_some() { SessionKind::Browser } else { SessionKind::Code };
        let original = request.copy_of.as_ref().and_then(|id| self.original(who, &request.key, id));
        // A copy has the walls and limits of its original, also when the interpreter has got others since.
        let policy = match original {
            Some(original) => Some(Arc::clone(&original.policy)),
            None => {
                self.interpreters.within_ceilings(&request.key, who).transpose().map_err(refusal::beyond)?
            }
        };
        let policy = policy
            .filter(|policy| policy.kind() == kind)
            .ok_or_else(|| refusal::no_such_interpreter(kind, &request.interpreter))?;
        let policy = match &request.narrowing {
            None => policy,
            Some(ask) => Arc::new(policy.asked(ask).map_err(refusal::not_granted)?),
        };
        let ttl = life(&policy, request.timeout)?;
        let tier = self.backends.get(&policy.tier).ok_or_else(|| refusal::no_such_tier(&policy))?;
        Ok(Checked { who: who.clone(), request, policy, tier, ttl })
    }

    /// A live session of the caller's own, of the same interpreter.
    fn original(&self, who: &Principal, key: &str, id: &SessionId) -> Option<Arc<Handle>> {
        self.live.find(id).filter(|handle| handle.belongs_to(who, Some(key)))
    }

    /// What runs the session that is to be copied. Looked for last: a retry hears of its copy when the original has ended.
    async fn copied(&self, who: &Principal, request: &StartSession) -> Result<Option<SandboxId>, Error> {
        let Some(id) = &request.copy_of else { return Ok(None) };
        let Some(original) = self.original(who, &request.key, id) else {
            let wanted = id.clone();
            let found = records::ask(&self.store, move |store| store.get(&wanted)).await?;
            let ended = found
                .filter(|session| owner::is_there_for(who, &session.owner))
                .and_then(|session| session.record.ended);
            return Err(match ended {
                Some(reason) => refusal::session_over(id, reason),
                None => refusal::no_such_session(id),
            });
        };
        let view = original.view.borrow();
        match (&view.worker, view.phase) {
            (Some(worker), Phase::Ready) => Ok(Some(worker.sandbox())),
            (_, Phase::Abandoned(reason) | Phase::Stopping(reason) | Phase::Terminated(reason)) => {
                Err(refusal::session_over(id, reason))
            }
            (_, Phase::Starting | Phase::Ready) => Err(refusal::not_admitted(id, Refusal::Starting)),
        }
    }

    /// The first start under a token in this process; a former process may have had it.
    async fn once(self, checked: Checked) -> Result<SessionRecord, Error> {
        let (who, key) = (checked.who.clone(), checked.request.key.clone());
        let token = checked.request.client_token.clone().unwrap_or_default();
        match records::ask(&self.store, move |store| store.by_token(&who, &key, &token)).await? {
            Some(first) if first.fingerprint != checked.request.fingerprint => {
                Err(refusal::mismatched_token())
            }
            Some(first) => Ok(first.record),
            None => self.begin(checked).await,
        }
    }

    async fn begin(self, checked: Checked) -> Result<SessionRecord, Error> {
        let Checked { who, request, policy, tier, ttl } = checked;
        let copy_of = self.copied(&who, &request).await?;
        // The worker ends itself a little later than the server would, so that an expiry is an expiry and not a death.
        let life = ttl + policy.time.grace;
        let order = Order::new(tier, Arc::clone(&policy), life, who.clone(), &request).copying(copy_of);
        let id = SessionId::random()
            .map_err(|error| Error::internal("the server's random source failed", error.to_string()))?;
        let account = Account::new(self.backends.desk(), &id, &who, &policy);
        let (created, expires) = (SystemTime::now(), Instant::now() + ttl);
        let record = SessionRecord {
            id: id.clone(),
            interpreter: request.interpreter.clone(),
            name: request.name.clone(),
            status: Status::Ready,
            ended: None,
            cause: None,
            created,
            updated: created,
            ttl,
            policy: policy.name.clone(),
            tier: policy.tier.clone(),
        };
        let stored = StoredSession {
            record: record.clone(),
            key: request.key.clone(),
            owner: who.clone(),
            sandbox: None,
            client_token: request.client_token.clone(),
            fingerprint: request.fingerprint,
        };

        let (asking, requests) = mpsc::channel(REQUESTS);
        let (view, watching) = watch::channel(View {
            record: record.clone(),
            phase: Phase::Starting,
            running: 0,
            queued: 0,
            worker: None,
            browser: request.browser.clone(),
        });
        let handle = Arc::new(Handle {
            key: request.key.clone(),
            owner: who.clone(),
            policy: Arc::clone(&policy),
            account: Arc::clone(&account),
            requests: asking,
            view: watching,
        });
        let recorded = recordings::wanted(&policy);
        let seat = || self.book.admit(&who, recorded.unwrap_or_default());
        let place = self.live.enter(&id, handle, &self.config, seat).map_err(|none| match none {
            NoPlace::Server(error) => error,
            NoPlace::Quota(up) => up.error(self.backends.desk(), "a session"),
        })?;
        // Both written before the backend hears of it; at once, because each waits for its turn.
        let (noted, inserted) = tokio::join!(
            account.starting(&request, ttl),
            records::ask(&self.store, move |store| store.insert(&stored)),
        );
        match (noted, inserted) {
            (Ok(()), Ok(())) => {}
            (Err(error), Ok(())) => return Err(self.forgotten(id, error).await),
            (noted, Err(error)) => {
                if noted.is_ok() {
                    account.ended(EndReason::Failed, None);
                }
                return Err(error);
            }
        }
        let order = match recordings::begin(&self.backends, &policy, &id).await {
            Ok(recording) => order.recorded(recording),
            Err(error) => {
                account.ended(EndReason::Failed, None);
                return Err(self.forgotten(id, error).await);
            }
        };

        let (starter, answer) = oneshot::channel();
        let (store, config) = (Arc::clone(&self.store), Arc::clone(&self.config));
        let counted = Counted {
            owner: who,
            book: Arc::clone(&self.book),
            desk: Arc::clone(self.backends.desk()),
            store: Arc::clone(&store),
            recordings: recorded.and_then(|_| self.backends.recordings()),
            seen: Arc::default(),
        };
        Birth {
            record,
            policy,
            account,
            order,
            store,
            config,
            counted,
            expires,
            place,
            requests,
            view,
            starter,
        }
        .spawn();
        let result = answer.await.unwrap_or_else(|_| Err(refusal::broke_off("the start of the session")));
        match result {
            Ok(record) => Ok(record),
            Err(error) => Err(self.forgotten(id, error).await),
        }
    }

    /// The error of a start, once nothing of the session is left.
    async fn forgotten(&self, id: SessionId, error: Error) -> Error {
        recordings::forget(&self.backends, &id).await;
        match records::ask(&self.store, move |store| store.forget(&id)).await {
            Ok(()) => error,
            Err(second) => with_second(error, second),
        }
    }
}

/// How long a session lives that asks for so much; more than the policy's longest is refused.
pub fn life(policy: &Policy, asked: Option<Duration>) -> Result<Duration, Error> {
    let ttl = asked.unwrap_or(policy.time.session_default);
    let longest = policy.time.session_max;
    if ttl > longest || ttl.is_zero() {
        let (name, longest) = (&policy.name, longest.as_secs());
        return Err(Error::field(
            "sessionTimeoutSeconds",
            format!(
                "must be 1 to {longest} under policy `{name}` (time.session_max), and is {}",
                ttl.as_secs()
            ),
        ));
    }
    Ok(ttl)
}

/// Keeps both errors: the start's is the caller's, the store's goes along to the log.
fn with_second(mut first: Error, second: Error) -> Error {
    let cause = first.source.take().map_or_else(|| first.message.clone(), |source| source.to_string());
    first.with_source(NotForgotten { cause, second })
}

/// A start failed and its record could not be removed either.
#[derive(Debug, thiserror::Error)]
#[error("{cause}; and the record of the session could not be removed")]
struct NotForgotten {
    cause: String,
    #[source]
    second: Error,
}

/// Runs `work` to its end even if the client that asked for it goes away.
async fn detached(
    work: impl Future<Output = Result<SessionRecord, Error>> + Send + 'static,
) -> Result<SessionRecord, Error> {
    match tokio::spawn(Origin::current().scope(work)).await {
        Ok(result) => result,
        Err(error) => Err(refusal::broke_off("the start of the session").with_source(error)),
    }
}
