//! Our own calls on the debugging pipe: each has a deadline, and each ends.
//!
//! ```text
//!   call ──▶ Mux::expect (id) ──▶ writer queue ──▶ Chromium ──▶ Mux::dispatch ──▶ answer
//!     └── deadline · detached · crashed · browser gone ──▶ CallError
//! ```

use crate::call_error::CallError;
use crate::envelope;
use crate::events::Events;
use crate::mux::Mux;
use crate::transport::{self, QUEUE, Queued, Read};
use chromiumoxide_types::Command;
use cloister_core::browser::cdp::MESSAGE_MAX;
use cloister_core::browser::{Budget, Held};
use serde_json::{Value, json};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::unix::pipe;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::AbortHandle;
use tokio::time::timeout;

/// What one permit of the room stands for.
const UNIT: usize = 1024;
/// Permits: messages that wait for Chromium take no more than one of the largest size. A browser that stops reading, and clients
/// that go on writing, would fill the server's memory otherwise.
const ROOM: usize = MESSAGE_MAX / UNIT;

/// A browser's debugging pipe. Clones share it; when the last one goes, the pipe is closed, and Chromium ends by itself.
#[derive(Clone)]
pub struct Connection {
    mux: Arc<Mux>,
    queue: mpsc::Sender<Queued>,
    room: Arc<Semaphore>,
    budget: Budget,
    _tasks: Arc<Tasks>,
}

struct Tasks {
    mux: Arc<Mux>,
    reader: AbortHandle,
    writer: AbortHandle,
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.reader.abort();
        self.writer.abort();
        self.mux.end("the connection to it was closed");
    }
}

/// Forgets a call whose caller has gone.
struct Waiting<'a> {
    mux: &'a Mux,
    id: i64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.mux.forget(self.id);
    }
}

impl Connection {
    /// Takes over a pipe: `to` is what Chromium reads, `from` what it writes; `budget` is what its messages may take. Called inside
    /// of the runtime.
    pub fn open(to: OwnedFd, from: OwnedFd, budget: Budget) -> io::Result<Self> {
        let sender = pipe::Sender::from_owned_fd(to)?;
        let receiver = pipe::Receiver::from_owned_fd(from)?;
        let mux = Mux::new();
        let (queue, waiting) = mpsc::channel(QUEUE);
        let reads = Arc::clone(&mux);
        let held = budget.none();
        let reader = tokio::spawn(async move {
            let reason = transport::read(receiver, MESSAGE_MAX, held, |read| match read {
                Read::Message(bytes, held) => reads.dispatch(bytes, held),
                Read::Lost(lost) => reads.lost(lost),
            });
            let reason = reason.await;
            reads.end(&reason);
        });
        let writes = Arc::clone(&mux);
        let writer = tokio::spawn(async move {
            if let Err(error) = transport::write(sender, waiting).await {
                writes.end(&format!("its debugging pipe failed: {}", error.kind()));
            }
        });
        let tasks =
            Tasks { mux: Arc::clone(&mux), reader: reader.abort_handle(), writer: writer.abort_handle() };
        Ok(Self { mux, queue, room: Arc::new(Semaphore::new(ROOM)), budget, _tasks: Arc::new(tasks) })
    }

    /// One call; `session` `None` is the browser itself. Answers within `limit`, whatever the browser does.
    pub async fn call(
        &self,
        session: Option<&str>,
        method: &str,
        params: Value,
        limit: Duration,
    ) -> Result<Value, CallError> {
        self.call_held(session, method, params, limit).await.map(|(answer, _)| answer)
    }

    /// As [`Self::call`], with what the answer holds of the session's budget.
    pub(crate) async fn call_held(
        &self,
        session: Option<&str>,
        method: &str,
        params: Value,
        limit: Duration,
    ) -> Result<(Value, Held), CallError> {
        let (id, answer) = self.mux.expect(session.unwrap_or_default(), method)?;
        let waiting = Waiting { mux: &self.mux, id };
        let message = envelope::request(id, method, Some(&params.to_string()), session);
        let answer = timeout(limit, async {
            self.send(message).await?;
            answer.await.unwrap_or_else(|_| Err(gone()))
        });
        let answer = answer.await;
        drop(waiting);
        answer.unwrap_or_else(|_| Err(CallError::Deadline { method: method.to_owned(), limit }))
    }

    /// One call in the types of a protocol crate. An answer that they do not fit is [`CallError::Unreadable`]; [`Self::call`]
    /// gives it as it is.
    pub async fn run<C: Command>(
        &self,
        session: Option<&str>,
        command: C,
        limit: Duration,
    ) -> Result<C::Response, CallError> {
        let method = command.identifier();
        let unreadable = |error: serde_json::Error| CallError::Unreadable {
            method: method.to_string(),
            what: error.to_string(),
        };
        let params = serde_json::to_value(&command).map_err(unreadable)?;
        // Commands without parameters serialise to null, which Chromium does not take.
        let params = if params.is_null() { json!({}) } else { params };
        let answer = self.call(session, &method, params, limit).await?;
        serde_json::from_value(answer).map_err(unreadable)
    }

    /// Events of one of our sessions (the empty one: of the browser) from now on.
    pub fn events(&self, session: &str) -> Events {
        Events::new(self.mux.subscribe(session))
    }

    /// Attaches to a target and gives the session.
    pub async fn attach(&self, target: &str, limit: Duration) -> Result<String, CallError> {
        let params = json!({ "targetId": target, "flatten": true });
        let method = "Target.attachToTarget";
        let answer = self.call(None, method, params, limit).await?;
        session_of(method, &answer)
    }

    /// Ends a session of ours; what it has set goes with it.
    pub async fn detach(&self, session: &str, limit: Duration) -> Result<(), CallError> {
        let answer = self.call(None, "Target.detachFromTarget", json!({ "sessionId": session }), limit).await;
        self.mux.drop_session(session);
        answer.map(|_| ())
    }

    /// Resolves with the reason once the browser has closed the pipe.
    pub async fn ended(&self) -> String {
        self.mux.ended().await
    }

    /// As [`Self::ended`], and without keeping the pipe open.
    pub(crate) fn ended_signal(&self) -> impl Future<Output = String> + Send + 'static {
        let mux = Arc::clone(&self.mux);
        async move { mux.ended().await }
    }

    /// Whether the browser still has its end of the pipe.
    pub(crate) fn lives(&self) -> bool {
        self.mux.lives()
    }

    /// What messages of this browser and its clients may take.
    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }

    pub(crate) fn mux(&self) -> &Arc<Mux> {
        &self.mux
    }

    /// Puts a finished message into the writer's queue, and waits while it is full.
    pub(crate) async fn send(&self, message: Vec<u8>) -> Result<(), CallError> {
        let room = self.room(message.len()).await?;
        self.send_in(room, message, Held::default()).await
    }

    /// Waits until so many bytes may wait for the browser. Whoever came first is served first.
    pub(crate) async fn room(&self, bytes: usize) -> Result<OwnedSemaphorePermit, CallError> {
        let permits = u32::try_from((bytes / UNIT + 1).min(ROOM)).unwrap_or(u32::MAX);
        tokio::select! {
            room = Arc::clone(&self.room).acquire_many_owned(permits) => room.map_err(|_| gone()),
            // A writer that has ended gives nothing back that it never took.
            () = self.queue.closed() => Err(gone()),
        }
    }

    /// As [`Self::send`], for who has the room already.
    pub(crate) async fn send_in(
        &self,
        room: OwnedSemaphorePermit,
        bytes: Vec<u8>,
        held: Held,
    ) -> Result<(), CallError> {
        self.queue.send(Queued { bytes, room: Some(room), held }).await.map_err(|_| gone())
    }
}

fn gone() -> CallError {
    CallError::Gone("its debugging pipe was closed".to_owned())
}

/// The session in the answer of an attaching call.
pub(crate) fn session_of(method: &str, answer: &Value) -> Result<String, CallError> {
    let session = answer.get("sessionId").and_then(Value::as_str).map(str::to_owned);
    session.ok_or_else(|| CallError::Unreadable {
        method: method.to_owned(),
        what: "it has no sessionId".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;

    #[tokio::test]
    async fn messages_for_a_browser_that_does_not_read_take_the_room_of_one() {
        let (sender, _reader) = pipe::pipe().unwrap();
        let (_writer, receiver) = pipe::pipe().unwrap();
        let connection = Connection::open(
            sender.into_blocking_fd().unwrap(),
            receiver.into_blocking_fd().unwrap(),
            Budget::new(usize::MAX),
        )
        .unwrap();
        // One above the largest size is refused elsewhere; here it must not wait for ever.
        let first = connection.room(2 * MESSAGE_MAX).await.unwrap();
        let mut second = pin!(connection.room(0));
        tokio::select! {
            biased;
            _ = &mut second => panic!("there is no room"),
            () = std::future::ready(()) => {}
        }
        connection.send_in(first, vec![b'x'; 1 << 20], Held::default()).await.unwrap();
        tokio::select! {
            biased;
            _ = &mut second => panic!("the message has not been read"),
            () = tokio::task::yield_now() => {}
        }
        drop(_reader);
        assert!(second.await.is_err() || !connection.lives(), "the pipe is gone");
    }
}
