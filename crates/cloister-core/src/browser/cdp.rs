//! A CDP client's connection as the gateway sees it: text in, text out, both bounded.

use super::budget::{Budget, Held};
use std::ops::Deref;
use tokio::sync::mpsc;

/// Largest message of either direction, in bytes. Playwright takes 256 MiB; a full-page screenshot of a long page is tens of them.
pub const MESSAGE_MAX: usize = 128 << 20;

/// Largest message that a client may send, in bytes: what uploads by `DOM.setFileInputFiles` and long scripts need, and no more. The
/// server holds such a message several times over while it passes, for every client that sends one.
pub const FROM_CLIENT_MAX: usize = 64 << 20;

/// What a client may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// An automation client: everything that the CDP policy allows, while the stream is enabled.
    Driver,
    /// A person in the live view: may use the browser while drivers are held.
    Human,
    /// Sees, and does nothing.
    Observer,
}

impl Role {
    /// Its word in recordings and in the audit log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Driver => "driver",
            Self::Human => "human",
            Self::Observer => "observer",
        }
    }
}

/// One CDP message, with the part of the budget that its bytes take for as long as it is somewhere.
#[derive(Debug)]
pub struct Text {
    /// JSON.
    pub text: String,
    /// Goes with the text.
    pub held: Held,
}

impl From<String> for Text {
    /// A text that nobody counts: short, and made by the server itself.
    fn from(text: String) -> Self {
        Self { text, held: Held::default() }
    }
}

impl Deref for Text {
    type Target = str;
    fn deref(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// What goes to a client.
#[derive(Debug, PartialEq)]
pub enum ToClient {
    /// One CDP message.
    Text(Text),
    /// The connection is over; close the WebSocket with this code and reason.
    Close {
        /// RFC 6455 §7.4.
        code: u16,
        /// For people.
        reason: String,
    },
}

/// One connected client. Dropping it disconnects: its CDP sessions are detached, and with them its overrides.
#[derive(Debug)]
pub struct CdpClient {
    /// From the client to the browser. A full queue makes the client wait.
    pub to_browser: mpsc::Sender<Text>,
    /// From the browser to the client. A client that lets it grow too long is closed with a reason.
    pub from_browser: mpsc::Receiver<ToClient>,
    /// The session's share, for what is still being put together.
    pub budget: Budget,
}
