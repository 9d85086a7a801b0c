//! Dialogs that wait for a person: answered by the session's rule when the person takes too long, or has given control back.
//!
//! ```text
//!   Page.javascriptDialogOpening ──▶ the person's client, and in here ──PATIENCE · control released──▶ Page.handleJavaScriptDialog
//!   Page.javascriptDialogClosed ───▶ out of here
//! ```
//!
//! A dialog waits for as long as a client has asked to hear of dialogs, and the page with it, for all that use it. Automation clients
//! answer theirs at once; a person may have gone for lunch.

use crate::connection::Connection;
use crate::envelope;
use crate::page::Dialogs;
use crate::tab::Dialog;
use cloister_core::lock::lock;
use serde::Deserialize;
use serde_json::json;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long a person may think.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Open {
    last: u64,
    dialogs: HashMap<String, (u64, Dialog)>,
}

/// The dialogs that one client was told of, by the session that it heard of them in.
pub(super) struct Waiting {
    open: Arc<Mutex<Open>>,
    rule: Arc<Dialogs>,
    connection: Connection,
    id: i64,
}

impl Waiting {
    /// `id` is that of the broker's own calls in a client's sessions.
    pub(super) fn new(connection: Connection, rule: Arc<Dialogs>, id: i64) -> Self {
        Self { open: Arc::default(), rule, connection, id }
    }

    /// The client hears of a dialog. Never waits.
    pub(super) fn opened(&self, session: &str, message: &[u8]) {
        let Ok(Body { params: Params { kind, message, default_prompt } }) = serde_json::from_slice(message)
        else {
            return;
        };
        let number = {
            let mut open = lock(&self.open);
            open.last += 1;
            let number = open.last;
            let dialog = Dialog { kind, message, proposal: default_prompt };
            open.dialogs.insert(session.to_owned(), (number, dialog));
            number
        };
        let (open, rule) = (Arc::downgrade(&self.open), Arc::clone(&self.rule));
        let (connection, session, id) = (self.connection.clone(), session.to_owned(), self.id);
        tokio::spawn(async move {
            tokio::time::sleep(PATIENCE).await;
            // A client that has gone has no sessions any more, and its dialogs went with them.
            let Some(open) = open.upgrade() else { return };
            let late = {
                let mut open = lock(&open);
                let same = open.dialogs.get(&session).is_some_and(|(of, _)| *of == number);
                if same { open.dialogs.remove(&session) } else { None }
            };
            if let Some((_, dialog)) = late {
                tracing::info!(session, "a dialog that a person left open is answered by the session's rule");
                answer(&connection, &rule, id, &session, &dialog).await;
            }
        });
    }

    /// Somebody has answered it.
    pub(super) fn closed(&self, session: &str) {
        lock(&self.open).dialogs.remove(session);
    }

    /// Control was given back: nobody is left who would answer. Never waits.
    pub(super) fn released(&self) {
        let dialogs = std::mem::take(&mut lock(&self.open).dialogs);
        for (session, (_, dialog)) in dialogs {
            let (connection, rule, id) = (self.connection.clone(), Arc::clone(&self.rule), self.id);
            tokio::spawn(async move { answer(&connection, &rule, id, &session, &dialog).await });
        }
    }
}

async fn answer(connection: &Connection, rule: &Dialogs, id: i64, session: &str, dialog: &Dialog) {
    let (accept, text) = rule.answer(dialog);
    let mut params = json!({ "accept": accept });
    if let Some(text) = text {
        params["promptText"] = text.into();
    }
    let method = "Page.handleJavaScriptDialog";
    let message = envelope::request(id, method, Some(&params.to_string()), Some(session));
    if let Err(error) = connection.send(message).await {
        tracing::debug!(%error, "a dialog was not answered");
    }
}

#[derive(Deserialize)]
struct Body {
    params: Params,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Params {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    default_prompt: String,
}
