//! One CDP client: its messages through the filter to the browser, its sessions' messages back.
//!
//! ```text
//!   to_browser ──▶ parse ──▶ owned session? ──▶ Filter ──▶ written anew with the session ──▶ writer queue
//!   from_browser ◀── Outbox ◀── root session's id stripped ◀── Mux::dispatch
//! ```

use super::close;
use super::dialogs::Waiting;
use super::outbox::{Kind, Outbox, Pushed};
use super::streams::Streams;
use crate::connection::Connection;
use crate::downloads::Downloads;
use crate::envelope::{self, Head, Incoming, Request};
use crate::filter::{Filter, Verdict};
use crate::mux::Inbox;
use crate::recorder::Recorder;
use cloister_core::browser::cdp::FROM_CLIENT_MAX;
use cloister_core::browser::{Held, Role, Text, ToClient};
use serde::Deserialize;
use std::sync::Arc;

/// The id of the broker's own calls in a client's sessions. Chromium takes it; clients count from one and may not use it.
pub(super) const OWN_ID: i64 = i32::MAX as i64;

/// From this size on, what a message takes when it is parsed is held as well.
const LOOKED_AT: usize = 64 * 1024;

/// JSON-RPC's codes, as Chromium uses them.
const PARSE: i64 = -32700;
const INVALID: i64 = -32600;
const DENIED: i64 = -32000;
const NO_SESSION: i64 = -32001;

/// One connected client.
pub(super) struct Client {
    pub(super) id: u64,
    pub(super) role: Role,
    /// The session that the client takes for the browser.
    pub(super) root: String,
    pub(super) connection: Connection,
    pub(super) filter: Arc<Filter>,
    pub(super) downloads: Arc<Downloads>,
    pub(super) outbox: Outbox,
    pub(super) streams: Streams,
    pub(super) recorder: Option<Arc<Recorder>>,
    /// A person's: dialogs that wait for an answer.
    pub(super) dialogs: Option<Waiting>,
}

impl Client {
    /// One message of the client's.
    pub(super) async fn receive(&self, message: Text) {
        let Text { text, held } = message;
        let text = text.as_str();
        if text.len() > FROM_CLIENT_MAX {
            let reason = format!("a message of more than {FROM_CLIENT_MAX} bytes");
            return self.outbox.cut(close::TOO_LARGE, &reason);
        }
        let request: Request<'_> = match serde_json::from_str(text) {
            Ok(request) => request,
            Err(error) => return self.refuse(None, PARSE, &format!("not a CDP message: {error}"), None),
        };
        let Request { id, method, params, session } = request;
        let session = session.as_deref();
        if i32::try_from(id).is_err() || id == OWN_ID {
            return self.refuse(
                Some(id),
                INVALID,
                "id: a number of 31 bits below 2147483647 is needed",
                session,
            );
        }
        if let Some(session) = session
            && !self.connection.mux().owns(self.id, session)
        {
            return self.refuse(Some(id), NO_SESSION, "Session with given id not found.", Some(session));
        }
        // What is checked is parsed, and a short text can have very many values.
        let cost = if text.len() < LOOKED_AT { 0 } else { envelope::parsed_cost(text.as_bytes()) };
        let checking = match held.again(cost) {
            Ok(checking) => checking,
            Err(exhausted) => return self.refuse(Some(id), DENIED, &exhausted.to_string(), session),
        };
        let verdict = self.filter.check(self.role, &method, params, |handle| self.streams.owns(handle));
        if let Some(recorder) = &self.recorder {
            let verdict = match verdict {
                Verdict::Pass => "passed",
                Verdict::Changed(_) => "changed",
                Verdict::Refused(_) => "refused",
                Verdict::Disconnect => "disconnected",
            };
            recorder.command(self.id, self.role, session, &method, verdict);
        }
        let changed;
        let params = match verdict {
            Verdict::Pass => params.map(|params| params.get()),
            Verdict::Changed(params) => {
                changed = params;
                Some(changed.as_str())
            }
            Verdict::Refused(sentence) => {
                tracing::info!(client = self.id, method = &*method, sentence, "a CDP message was refused");
                let sentence = self.filter.refusal(&method, sentence);
                return self.refuse(Some(id), DENIED, &sentence, session);
            }
            Verdict::Disconnect => {
                self.push(Kind::Needed, envelope::done(id, session).into());
                return self
                    .outbox
                    .close(close::NORMAL, "the client has closed its browser; the session goes on");
            }
        };
        let copied = match held.again(text.len()) {
            Ok(copied) => copied,
            Err(exhausted) => return self.refuse(Some(id), DENIED, &exhausted.to_string(), session),
        };
        drop(checking);
        let session = session.unwrap_or(&self.root);
        self.streams.asked(session, id, &method);
        // The copy is made when there is room for it.
        let sent = match self.connection.room(text.len()).await {
            Ok(room) => {
                let message = envelope::request(id, &method, params, Some(session));
                self.connection.send_in(room, message, copied).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = sent {
            // The browser has ended. The client hears why when it is known, and its call has no answer.
            tracing::debug!(client = self.id, %error, "a message came too late");
        }
    }

    /// Brings what waits to the client until there is only a close to bring, which it gives, or nobody to bring it to.
    pub(super) async fn bring(&self, to: &tokio::sync::mpsc::Sender<ToClient>) -> Option<ToClient> {
        loop {
            let next = self.outbox.next().await;
            if matches!(next, ToClient::Close { .. }) {
                return Some(next);
            }
            tokio::select! {
                sent = to.send(next) => sent.ok()?,
                () = self.outbox.was_cut() => {}
            }
        }
    }

    fn refuse(&self, id: Option<i64>, code: i64, sentence: &str, session: Option<&str>) {
        self.push(Kind::Needed, envelope::refusal(id, code, sentence, session).into());
    }

    fn push(&self, kind: Kind, text: Text) {
        match self.outbox.push(kind, text) {
            Pushed::Kept => {}
            Pushed::Dropped(frames) => frames.iter().for_each(|frame| self.acknowledge(frame)),
            Pushed::Full => {
                tracing::warn!(client = self.id, "a CDP client is too slow and is closed");
                self.outbox
                    .cut(close::TOO_SLOW, "too slow: more messages waited than are kept; connect again");
            }
        }
    }

    /// Acknowledges a frame that the client never sees: the browser sends a few ahead and then waits.
    fn acknowledge(&self, frame: &str) {
        let Ok(Frame { params, session }) = serde_json::from_str(frame) else { return };
        let session = session.unwrap_or_else(|| self.root.clone());
        let params = format!("{{\"sessionId\":{}}}", params.number);
        let message = envelope::request(OWN_ID, "Page.screencastFrameAck", Some(&params), Some(&session));
        let connection = self.connection.clone();
        // The queue may be full, and whoever reads the pipe may not wait. Frames in flight are few, so these tasks are too.
        tokio::spawn(async move { connection.send(message).await });
    }
}

impl Inbox for Client {
    fn id(&self) -> u64 {
        self.id
    }

    fn deliver(&self, message: Incoming, held: Held) {
        if message.head == Head::Answer(OWN_ID) {
            return;
        }
        self.streams.answered(&message);
        let mut kind = Kind::Needed;
        match message.method() {
            Some("Page.screencastFrame") => kind = Kind::Frame,
            Some("Page.javascriptDialogOpening") => {
                if let (Some(dialogs), Some(session)) = (&self.dialogs, message.session()) {
                    dialogs.opened(session, &message.bytes);
                }
            }
            Some("Page.javascriptDialogClosed") => {
                if let (Some(dialogs), Some(session)) = (&self.dialogs, message.session()) {
                    dialogs.closed(session);
                }
            }
            Some(method) => self.downloads.note(method, &message.bytes),
            None => {}
        }
        let bytes =
            if message.session() == Some(&self.root) { message.without_session() } else { message.bytes };
        match String::from_utf8(bytes) {
            Ok(text) => self.push(kind, Text { text, held }),
            Err(_) => tracing::warn!(client = self.id, "the browser sent text that is not UTF-8; dropped"),
        }
    }

    fn lost(&self, why: &str) {
        tracing::warn!(client = self.id, why, "a CDP client cannot be given an event and is closed");
        self.outbox.cut(close::AGAIN_LATER, why);
    }

    fn ended(&self, reason: &str) {
        self.outbox.close(close::GONE, reason);
    }
}

#[derive(Deserialize)]
struct Frame {
    params: FrameParams,
    #[serde(rename = "sessionId")]
    session: Option<String>,
}

#[derive(Deserialize)]
struct FrameParams {
    #[serde(rename = "sessionId")]
    number: i64,
}
