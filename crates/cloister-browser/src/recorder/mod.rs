//! Records a session: pictures of its pages, and who asked the browser for what, without what was typed.
//!
//! ```text
//!   Target events ──▶ one page.rs per page ──frames · console · network──┐
//!   broker: command() ─────────────────────────────────────────────────┼──▶ queue ──▶ writer.rs ──▶ dyn RecordingSink
//!   browser.rs: action() ──────────────────────────────────────────────┘
//! ```
//!
//! It has CDP sessions of its own, so no client can switch it off. It never makes anybody wait: what does not fit into the
//! queue is counted and said. INVARIANT: no parameter of a command or an action is written, since that is where passwords,
//! cookies and bodies are.

mod line;
mod page;
mod writer;

use crate::connection::Connection;
use crate::events::LAGGED;
use crate::pages::Target;
use cloister_core::browser::{Engine, Role};
use cloister_core::recording::Recording;
use line::{cut, line};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;
use writer::Item;

/// Items that may wait for the disk.
const QUEUE: usize = 1024;
/// How long a call may take.
const LIMIT: Duration = Duration::from_secs(10);
/// How long the end of a session waits for the disk.
const FLUSH: Duration = Duration::from_secs(2);
/// Pages that are watched at once. Stops a flood of windows from costing an encoder each.
const PAGES: usize = 32;

/// Where everything goes that is recorded.
#[derive(Clone)]
struct Tape {
    queue: mpsc::Sender<Item>,
    lost: Arc<AtomicU64>,
}

impl Tape {
    /// Adds an event; drops it and counts if the disk is too far behind.
    fn event(&self, kind: &str, members: Value) {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 && self.queue.try_send(Item::Line(line("lost", json!({ "events": lost })))).is_err() {
            self.lost.fetch_add(lost, Ordering::Relaxed);
        }
        if let Err(mpsc::error::TrySendError::Full(_)) = self.queue.try_send(Item::Line(line(kind, members)))
        {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The recorder of one session. Dropping it ends the recording.
pub(crate) struct Recorder {
    tape: Tape,
    watching: AbortHandle,
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

impl Recorder {
    /// Starts to record. Inside of the runtime.
    pub(crate) fn start(connection: Connection, engine: &Engine, recording: Recording) -> Arc<Self> {
        let (queue, items) = mpsc::channel(QUEUE);
        tokio::spawn(writer::write(items, recording));
        let tape = Tape { queue, lost: Arc::default() };
        tape.event("start", json!({ "engine": engine.product }));
        let own = tape.clone();
        let watching = tokio::spawn(async move {
            let queue = own.queue.clone();
            tokio::select! {
                () = watch(connection, own) => {}
                // The writer has stopped: there is no room any more, or the disk has failed.
                () = queue.closed() => {}
            }
        });
        Arc::new(Self { tape, watching: watching.abort_handle() })
    }

    /// A client's message, by its method only. Acknowledged pictures of a live view are left out: they say nothing, and come many
    /// times a second.
    pub(crate) fn command(
        &self,
        client: u64,
        role: Role,
        session: Option<&str>,
        method: &str,
        verdict: &str,
    ) {
        if method == "Page.screencastFrameAck" {
            return;
        }
        let role = role.name();
        let session = session.map(|session| cut(session, line::NAME));
        let method = cut(method, line::NAME);
        let members = json!({ "client": client, "role": role, "session": session, "method": method, "verdict": verdict });
        self.tape.event("command", members);
    }

    /// An action of the API, by its name only.
    pub(crate) fn action(&self, name: &str, outcome: &str) {
        self.tape.event("action", json!({ "name": name, "outcome": outcome }));
    }

    /// Ends the recording, and waits a moment for the disk.
    pub(crate) async fn end(&self) {
        let (done, flushed) = oneshot::channel();
        let ending = async {
            let last = line("end", json!({}));
            if self.tape.queue.send(Item::End(last, done)).await.is_ok() {
                let _ = flushed.await;
            }
        };
        if timeout(FLUSH, ending).await.is_err() {
            tracing::warn!("the end of a recording could not be written in time");
        }
        self.watching.abort();
    }
}

/// What is known of a page.
struct Known {
    number: u32,
    shown: (String, String),
    task: Option<AbortHandle>,
}

/// Watches every page of the browser, whoever has opened it, until the browser ends.
async fn watch(connection: Connection, tape: Tape) {
    let mut events = connection.events("");
    let (mut pages, mut tasks, mut last) = (HashMap::<String, Known>::new(), JoinSet::new(), 0);
    let mut seen = |info: Value, tasks: &mut JoinSet<()>, pages: &mut HashMap<String, Known>| {
        let Ok(target) = serde_json::from_value::<Target>(info) else { return };
        if target.kind != "page" || target.subtype.is_some() {
            return;
        }
        let shown = (cut(&target.url, line::URL), cut(&target.title, line::TEXT));
        let known = pages.entry(target.target_id.clone()).or_insert_with(|| {
            last += 1;
            Known { number: last, shown: Default::default(), task: None }
        });
        if known.shown != shown {
            tape.event("page", json!({ "page": known.number, "url": shown.0, "title": shown.1 }));
            known.shown = shown;
        }
        if known.task.is_none() && tasks.len() < PAGES {
            let (connection, tape, number) = (connection.clone(), tape.clone(), known.number);
            known.task = Some(tasks.spawn(async move {
                if let Err(error) = page::record(connection, &tape, &target.target_id, number).await {
                    // Gone before it was looked at, most often.
                    tracing::debug!(%error, "a page was not recorded");
                    tape.event("unseen", json!({ "page": number }));
                }
            }));
        }
    };
    for info in targets(&connection).await {
        seen(info, &mut tasks, &mut pages);
    }
    while let Some(event) = events.next().await {
        while tasks.try_join_next().is_some() {}
        match event.method.as_str() {
            "Target.targetCreated" | "Target.targetInfoChanged" => {
                let info = event.params.get("targetInfo").cloned().unwrap_or_default();
                seen(info, &mut tasks, &mut pages);
            }
            "Target.targetDestroyed" => {
                let target = event.params.get("targetId").and_then(Value::as_str).unwrap_or_default();
                if let Some(gone) = pages.remove(target) {
                    tape.event("closed", json!({ "page": gone.number }));
                    if let Some(task) = gone.task {
                        task.abort();
                    }
                }
            }
            LAGGED => {
                for info in targets(&connection).await {
                    seen(info, &mut tasks, &mut pages);
                }
            }
            _ => {}
        }
    }
}

async fn targets(connection: &Connection) -> Vec<Value> {
    match connection.call(None, "Target.getTargets", json!({}), LIMIT).await {
        Ok(mut answer) => {
            let infos = answer.get_mut("targetInfos").map(Value::take);
            infos.and_then(|infos| infos.as_array().cloned()).unwrap_or_default()
        }
        Err(error) => {
            tracing::warn!(%error, "the pages to record could not be listed");
            Vec::new()
        }
    }
}
