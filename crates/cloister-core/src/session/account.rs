//! What a session leaves in the audit log, from before its start to its end.
//!
//! ```text
//!   session.start (on disk before the backend is asked) ─▶ session.ready ─▶ call, receipt … ─▶ session.stop ─▶ session.end
//! ```

use super::met::Walls;
use super::tally::{Called, Ended, Measured, Reaches, Tally};
use super::worker::Worker;
use super::{EndReason, StartSession};
use crate::audit::{
    Action, Actor, Attribution, Decision, Desk, Event, Key, Method, Origin, Outcome, Resource, Seen,
};
use crate::backend::Provenance;
use crate::command::{NewFile, ToolCall};
use crate::denial::{Denial, Noted};
use crate::error::{Error, Kind};
use crate::event::Outcome as CallOutcome;
use crate::id::{Principal, SessionId};
use crate::policy::{AuditLevel, AuditRules, Capture, Policy, PolicyRef};
use crate::receipt::Receipt;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Bytes of code above which its hash is taken where it may block.
const LARGE: usize = 1 << 20;

/// One session, as the log sees it.
#[derive(Debug)]
pub(super) struct Account {
    desk: Arc<Desk>,
    session: SessionId,
    owner: Principal,
    policy: PolicyRef,
    level: AuditLevel,
    capture: Capture,
    pub(super) tier: String,
    pub(super) image: String,
    /// Both set when it is ready.
    provenance: OnceLock<Provenance>,
    walls: OnceLock<Walls>,
    rules: Arc<Policy>,
}

/// A call, as the log sees it.
#[derive(Debug)]
pub(super) struct CallFacts {
    pub(super) number: u64,
    pub(super) invocation: Option<String>,
    pub(super) origin: Origin,
}

impl Account {
    pub(super) fn new(
        desk: &Arc<Desk>,
        session: &SessionId,
        owner: &Principal,
        policy: &Arc<Policy>,
    ) -> Arc<Self> {
        let AuditRules { level, capture_code: capture } = policy.audit.clone();
        Arc::new(Self {
            desk: Arc::clone(desk),
            session: session.clone(),
            owner: owner.clone(),
            policy: policy.reference(),
            level,
            capture,
            tier: policy.tier.clone(),
            image: policy.image.clone(),
            provenance: OnceLock::new(),
            walls: OnceLock::new(),
            rules: Arc::clone(policy),
        })
    }

    fn event(&self, action: Action, origin: Origin) -> Event {
        let itself = || Actor { principal: self.owner.clone(), key: None, method: Method::None };
        let mut event = Event::new(action).session(&self.session).under(self.policy.clone());
        event.actor = Some(origin.actor.unwrap_or_else(itself));
        event.source = origin.source;
        event
    }

    /// Of the server's own doing.
    fn own(&self, action: Action) -> Event {
        let actor = Actor { principal: self.owner.clone(), key: None, method: Method::Session };
        self.event(action, Origin { actor: Some(actor), source: None })
    }

    /// Before anything of the session exists. Fails if it cannot be recorded, and then nothing may be started.
    pub(super) async fn starting(&self, request: &StartSession, life: Duration) -> Result<(), Error> {
        let mut event = self
            .event(Action::SessionStart, Origin::current())
            .on(Resource::Interpreter(request.key.clone()))
            .with(Key::Tier, self.tier.as_str())
            .with(Key::Image, self.image.as_str())
            .with(Key::Timeout, millis(life));
        event.decision = Decision::Allowed;
        if let Some(name) = &request.name {
            event = event.with(Key::Name, name.as_str());
        }
        if let Some(original) = &request.copy_of {
            event = event.with(Key::CopyOf, original.as_str());
        }
        self.desk.before(event).await.map(drop)
    }

    /// It takes calls. From now on, what its sandbox does is this session's.
    pub(super) fn ready(&self, worker: &Worker) {
        let sandbox = worker.sandbox();
        let attribution = Attribution {
            session: self.session.clone(),
            owner: self.owner.clone(),
            policy: self.policy.clone(),
        };
        self.desk.bind(&sandbox, attribution);
        let walls: serde_json::Map<_, _> =
            worker.walls().into_iter().map(|(name, value)| (name, value.into())).collect();
        let mut event = self.own(Action::SessionReady).sandbox(&sandbox).with(Key::Tier, self.tier.as_str());
        if !walls.is_empty() {
            event = event.with(Key::Walls, walls);
        }
        self.walls.get_or_init(|| Walls::new(Arc::clone(&self.rules), worker.writable()));
        let provenance = self.provenance.get_or_init(|| worker.provenance());
        if let Some(digest) = &provenance.image {
            event = event.with(Key::ImageDigest, digest.as_str());
        }
        self.desk.after(event);
    }

    /// Somebody asks for the end. It ends also if that cannot be recorded: what runs on is no safer.
    pub(super) async fn stopping(&self) {
        if let Err(error) = self.desk.before(self.event(Action::SessionStop, Origin::current())).await {
            tracing::error!(session = %self.session, %error, "a stop is not in the audit log");
        }
    }

    /// It is over, or has never come up.
    pub(super) fn ended(&self, reason: EndReason, cause: Option<&str>) {
        let outcome = match reason {
            EndReason::Stopped | EndReason::Expired | EndReason::Drained => Outcome::Success,
            EndReason::Failed | EndReason::Lost => Outcome::Failure,
        };
        let mut event = self.own(Action::SessionEnd).outcome(outcome).with(Key::Reason, word(reason));
        if let Some(cause) = cause {
            event = event.with(Key::Cause, cause);
        }
        self.desk.after(event);
        self.desk.unbind(&self.session);
    }

    /// A rule of the policy says no to a call.
    pub(super) fn refused(&self, denial: Denial) -> Error {
        // Of a request that was not let in, and of no call that may be under way.
        Error::denied(Kind::AccessDenied, self.note(denial))
    }

    /// A call is about to run. What it is goes into the log now, and into its receipt when it is over.
    pub(super) async fn called(&self, call: &ToolCall, facts: CallFacts, worker: &Worker) -> Tally {
        let CallFacts { number, invocation, origin } = facts;
        let (language, code) = text_of(call);
        let digest = match code {
            Some(code) if self.capture != Capture::None => Some(hash(code).await),
            _ => None,
        };
        let mut event = self
            .event(Action::Call, origin)
            .invocation(invocation.clone())
            .with(Key::Number, number)
            .with(Key::Tool, call.name());
        event.decision = Decision::Allowed;
        if let Some(language) = language {
            event = event.with(Key::Language, language);
        }
        if let Some(code) = code {
            event = event.with(Key::CodeBytes, code.len());
        }
        if let Some(digest) = &digest {
            event = event.with(Key::CodeSha256, digest.as_str());
        }
        if let Some(code) = self.kept(call) {
            event = event.with(Key::Code, code);
        }
        if self.level >= AuditLevel::Full
            && let Some(paths) = paths_of(call)
        {
            event = event.with(Key::Paths, paths);
        }
        self.desk.after(event);
        // What the session reaches is its foreground call's; file tools that run beside it reach nothing.
        let reaches = if call.is_foreground() { Reaches::Out } else { Reaches::Nothing };
        if reaches == Reaches::Out {
            self.desk.seen(&self.session);
        }
        let files = written(call).await;
        let since = Measured::of(call, worker);
        Tally::new(Called {
            number,
            invocation,
            tool: call.name(),
            language,
            code: digest,
            files,
            since,
            reaches,
        })
    }

    /// The text of code or of a command, where the policy asks for it.
    fn kept<'c>(&self, call: &'c ToolCall) -> Option<&'c str> {
        match call {
            ToolCall::ExecuteCode { code, .. } => (self.capture >= Capture::Full).then_some(code),
            ToolCall::ExecuteCommand { command } | ToolCall::StartCommandExecution { command } => {
                (self.level >= AuditLevel::Commands).then_some(command)
            }
            _ => None,
        }
    }

    /// A call has an answer: what it was refused goes into that; and its receipt.
    pub(super) fn answered(&self, tally: Tally, outcome: &mut CallOutcome) -> Receipt {
        let met =
            self.walls.get().map(|walls| walls.met(outcome, tally.said(), &mut |denial| self.note(denial)));
        let met = met.unwrap_or_default();
        let seen = self.seen(&tally);
        if let CallOutcome::Executed(execution) = outcome {
            execution.meanwhile = seen.denials.iter().filter(|noted| !met.contains(noted)).cloned().collect();
            execution.denials.clone_from(&met);
        }
        self.receipt(tally, Ended::Answered(outcome), seen.with(met))
    }

    /// A call has an error in place of an answer, whose receipt is in the log only.
    pub(super) fn failed(&self, tally: Tally, error: &Error) {
        let met =
            self.walls.get().map(|walls| walls.met_by_words(tally.said(), &mut |denial| self.note(denial)));
        let seen = self.seen(&tally).with(met.unwrap_or_default());
        self.receipt(tally, Ended::Failed(error), seen);
    }

    fn note(&self, denial: Denial) -> Noted {
        self.desk.note_of_call(denial.session(&self.session).under(self.policy.clone()).owner(&self.owner))
    }

    fn seen(&self, tally: &Tally) -> Seen {
        match tally.called.reaches {
            Reaches::Out => self.desk.seen(&self.session),
            Reaches::Nothing => Seen::default(),
        }
    }

    /// A call is over: its receipt, signed and recorded.
    fn receipt(&self, tally: Tally, ended: Ended<'_>, seen: Seen) -> Receipt {
        let (invocation, failed) = (tally.called.invocation.clone(), ended.failed());
        let payload = tally.payload(self, ended, seen);
        let receipt = Receipt::new(payload, self.desk.signer());
        let outcome = if failed { Outcome::Failure } else { Outcome::Success };
        let event = self.own(Action::Receipt).outcome(outcome).invocation(invocation);
        self.desk.after(event.with(Key::Receipt, receipt.to_json()));
        receipt
    }

    /// What its worker was made of, as far as it is known.
    pub(super) fn provenance(&self) -> Option<&Provenance> {
        self.provenance.get()
    }

    pub(super) fn session(&self) -> &SessionId {
        &self.session
    }

    pub(super) fn policy(&self) -> &PolicyRef {
        &self.policy
    }
}

/// The session of a former server is over, and nobody knows how.
pub(super) fn lost(desk: &Desk, id: &SessionId, owner: &Principal) {
    let actor = Actor { principal: owner.clone(), key: None, method: Method::Session };
    let event = Event::new(Action::SessionEnd).session(id).by(actor).outcome(Outcome::Failure);
    desk.after(event.with(Key::Reason, word(EndReason::Lost)));
}

fn word(reason: EndReason) -> &'static str {
    match reason {
        EndReason::Stopped => "stopped",
        EndReason::Expired => "expired",
        EndReason::Drained => "drained",
        EndReason::Failed => "failed",
        EndReason::Lost => "lost",
    }
}

/// The language and the text of what a call runs.
fn text_of(call: &ToolCall) -> (Option<&'static str>, Option<&str>) {
    match call {
        ToolCall::ExecuteCode { code, runtime, .. } => (Some(runtime.name()), Some(code)),
        ToolCall::ExecuteCommand { command } | ToolCall::StartCommandExecution { command } => {
            (Some("shell"), Some(command))
        }
        _ => (None, None),
    }
}

fn paths_of(call: &ToolCall) -> Option<Vec<String>> {
    /// Names of one call that are recorded.
    const MOST: usize = 64;
    let paths: Vec<&String> = match call {
        ToolCall::ReadFiles { paths } | ToolCall::RemoveFiles { paths } => paths.iter().collect(),
        ToolCall::WriteFiles { content } => content.iter().map(|file| &file.path).collect(),
        ToolCall::ListFiles { path } | ToolCall::ReadRange { path, .. } | ToolCall::NameFile { path, .. } => {
            vec![path]
        }
        _ => return None,
    };
    Some(paths.into_iter().take(MOST).map(|path| path.chars().take(1024).collect()).collect())
}

/// Bytes of the largest written file that is hashed, and of all of one call: as for files that code writes.
const WRITTEN: (usize, usize) = (8 << 20, 16 << 20);

/// What a call that writes files is about to write, as its receipt says it.
async fn written(call: &ToolCall) -> Vec<Value> {
    let ToolCall::WriteFiles { content } = call else { return Vec::new() };
    let total: usize = content.iter().map(|file| file.data.len()).sum();
    let content = content.clone();
    let list = move || {
        let mut left = WRITTEN.1;
        let file = |file: NewFile| {
            let size = file.data.len();
            let fits = size <= WRITTEN.0 && size <= left;
            let digest = fits.then(|| hex(&file.data));
            left -= if fits { size } else { 0 };
            json!({ "path": file.path, "size": size, "sha256": digest })
        };
        content.into_iter().map(file).collect()
    };
    if total <= LARGE {
        return list();
    }
    tokio::task::spawn_blocking(list).await.unwrap_or_default()
}

async fn hash(code: &str) -> String {
    if code.len() > LARGE {
        let copy = code.to_owned();
        if let Ok(digest) = tokio::task::spawn_blocking(move || hex(copy.as_bytes())).await {
            return digest;
        }
    }
    hex(code.as_bytes())
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
