//! Calls become requests on a control channel, replies become events: the same for a sandbox's init and for a session of an engine.

use crate::control::{Control, Message};
use crate::redact::Redact;
use crate::translate;
use cloister_core::backend::{EventSink, InvokeError};
use cloister_core::command::{Language, ToolCall};
use cloister_core::egress::Redaction;
use cloister_core::error::{Error, Kind};
use cloister_core::event::{Event, FileBody, Outcome, PathFailure, bytes_text};
use cloister_core::policy::Policy;
use cloister_jail::cgroup::Usage;
use cloister_jail::guest::frame::CONTROL;
use cloister_jail::guest::message::{Reply, Request, ToolResult, WriteFile};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Bytes of the files of one answer, their names and the reasons of those that could not be read included.
const FILES: usize = CONTROL.blob + (32 << 20);
/// What one of them costs beside its text.
const FILE_ENTRY: usize = 96;

/// Who carries out calls.
pub(crate) struct Peer<'a> {
    /// The channel to it.
    pub(crate) control: &'a Control,
    /// The policy in force.
    pub(crate) policy: &'a Policy,
    /// Set, with the reason, when the channel has ended.
    pub(crate) gone: &'a watch::Receiver<Option<String>>,
    /// What it has used, where the host measures that.
    pub(crate) usage: &'a (dyn Fn() -> Option<Usage> + Sync),
    /// What keeps values of secrets out of the answer; `None` without secrets.
    pub(crate) redaction: Option<&'a Arc<dyn Redaction>>,
}

/// Resolves when the channel has ended, with the reason.
pub(crate) async fn exited(gone: &watch::Receiver<Option<String>>) -> String {
    let mut gone = gone.clone();
    let reason = gone.wait_for(Option::is_some).await.ok().and_then(|r| r.clone());
    reason.unwrap_or_else(|| "its channel is closed".into())
}

impl Peer<'_> {
    /// Carries out one call, and sends what comes of it to `events`; its outcome is the last.
    pub(crate) async fn carry_out(
        &self,
        call: ToolCall,
        deadline: Duration,
        events: &EventSink,
    ) -> Result<(), InvokeError> {
        let random = |e: getrandom::Error| InvokeError::Protocol(format!("no random bytes for an id: {e}"));
        let id = format!("{:032x}", u128::from_be_bytes(random_bytes().map_err(random)?));
        let deadline_ms = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
        // Before the request is out: what it runs into at once counts as well.
        let before = call.is_foreground().then(|| (self.usage)()).flatten();
        let name = call.name();
        let mut redact = self.redaction.map(|values| Redact::new(Arc::clone(values)));
        let call = match &mut redact {
            Some(redact) => redact.call(call),
            None => call,
        };
        let (request, blob) = request(&id, call, deadline_ms).ok_or_else(|| {
            InvokeError::NotSupported(format!("a code session has no browser and does not take {name}"))
        })?;
        let called = self.control.call(&id, &request, &blob).await;
        drop(blob);
        let mut replies = called.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidInput => too_large(),
            _ => self.gone(),
        })?;
        let outcome = self.pump(&mut replies, before, redact.as_mut(), events).await;
        self.control.forget(&id);
        let mut outcome = outcome?;
        if let Some(mut redact) = redact {
            for event in redact.rest() {
                let _: Result<(), _> = events.send(event).await;
            }
            outcome = redact.looked_through(outcome).await?;
        }
        let _: Result<(), _> = events.send(translate::done(outcome)).await;
        Ok(())
    }

    fn gone(&self) -> InvokeError {
        let reason = self.gone.borrow().clone();
        InvokeError::WorkerGone { reason: reason.unwrap_or_else(|| "its channel is closed".into()) }
    }

    /// Passes replies on until the one that ends the call.
    async fn pump(
        &self,
        replies: &mut mpsc::Receiver<Message>,
        before: Option<Usage>,
        mut redact: Option<&mut Redact>,
        events: &EventSink,
    ) -> Result<Outcome, InvokeError> {
        let mut files = Vec::new();
        let mut failed = Vec::new();
        let mut carried = 0usize;
        while let Some((reply, blob)) = replies.recv().await {
            // A guest that has taken init over gains this: its own session may say nonsense, but not without end.
            if let Reply::File { path, error, .. } = &reply {
                carried += FILE_ENTRY + path.len() + error.as_ref().map_or(0, String::len) + blob.len();
                if carried > FILES {
                    return Err(InvokeError::Protocol("more file content than one answer carries".into()));
                }
            }
            let event = match reply {
                Reply::Stdout { .. } => Event::Stdout(blob),
                Reply::Stderr { .. } => Event::Stderr(blob),
                Reply::Display { forms, .. } => Event::Display(translate::rich(forms, &blob)),
                Reply::Value { forms, .. } => Event::Value(translate::rich(forms, &blob)),
                Reply::File { path, error: None, .. } => {
                    files.push(FileBody { path, data: blob });
                    continue;
                }
                Reply::File { path, error: Some(reason), .. } => {
                    failed.push(PathFailure { path, reason });
                    continue;
                }
                Reply::Executed { report, .. } => {
                    let measured = before.zip((self.usage)());
                    return Ok(translate::execution(report, &blob, measured, self.policy));
                }
                Reply::Done { result: ToolResult::Unknown { message }, .. } => {
                    return Err(InvokeError::Refused(Error::new(Kind::NotFound, message)));
                }
                Reply::Done { result, .. } => {
                    return Ok(translate::tool(result, blob).unwrap_or(Outcome::Files { files, failed }));
                }
                Reply::Hello { .. } | Reply::Warmed | Reply::ResidentEnded { .. } => continue,
            };
            let event = match redact.as_mut() {
                Some(redact) => redact.event(event),
                None => Some(event),
            };
            let Some(event) = event else { continue };
            // Nobody listening is no reason to stop: a call goes on when its client has left.
            let _: Result<(), _> = events.send(event).await;
        }
        Err(self.gone())
    }
}

/// A call that does not fit the channel. It has not been sent, and the session is fine.
fn too_large() -> InvokeError {
    let (text, content) = (bytes_text(CONTROL.json as u64), bytes_text(CONTROL.blob as u64));
    InvokeError::NotSupported(format!(
        "the call is too large: its paths may take {text} and its content {content}; make several calls of it"
    ))
}

fn random_bytes() -> Result<[u8; 16], getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map(|()| bytes)
}

/// The request of a call, with its blob; `None` for what only browsers do.
fn request(id: &str, call: ToolCall, deadline_ms: u64) -> Option<(Request, Vec<u8>)> {
    let id = id.to_owned();
    Some(match call {
        ToolCall::Act { .. } | ToolCall::Perform { .. } => return None,
        ToolCall::ExecuteCode { code, language, runtime, clear_context } => {
            let language = match language {
                Language::Python => "python",
                Language::JavaScript => "javascript",
                Language::TypeScript => "typescript",
            };
            let request = Request::Execute {
                id,
                runtime: runtime.name().into(),
                language: language.into(),
                clear: clear_context,
                deadline_ms,
            };
            (request, code.into_bytes())
        }
        ToolCall::ExecuteCommand { command } => (Request::Command { id, deadline_ms }, command.into_bytes()),
        ToolCall::StartCommandExecution { command } => {
            let task = id.clone();
            (Request::TaskStart { id, task }, command.into_bytes())
        }
        ToolCall::GetTask { task_id } => (Request::TaskGet { id, task: task_id }, Vec::new()),
        ToolCall::StopTask { task_id } => (Request::TaskStop { id, task: task_id }, Vec::new()),
        ToolCall::ReadFiles { paths } => (Request::Read { id, paths }, Vec::new()),
        ToolCall::WriteFiles { content } => {
            let mut blob = Vec::with_capacity(content.iter().map(|f| f.data.len()).sum());
            let mut files = Vec::with_capacity(content.len());
            for file in content {
                blob.extend_from_slice(&file.data);
                files.push(WriteFile { path: file.path, len: file.data.len() as u64 });
            }
            (Request::Write { id, files }, blob)
        }
        ToolCall::ListFiles { path } => (Request::List { id, path }, Vec::new()),
        ToolCall::RemoveFiles { paths } => (Request::Remove { id, paths }, Vec::new()),
        ToolCall::NameFile { path, stem, extension } => {
            (Request::Name { id, path, stem, extension }, Vec::new())
        }
        ToolCall::ReadRange { path, offset, length } => {
            (Request::Range { id, path, offset, length }, Vec::new())
        }
        ToolCall::Checkpoint => (Request::Checkpoint { id }, Vec::new()),
        ToolCall::Restore { checkpoint } => (Request::Restore { id, checkpoint }, Vec::new()),
    })
}
