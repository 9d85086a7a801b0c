//! What has happened in a session's pages: console, requests and downloads, each a bounded ring.
//!
//! A page chooses what it logs and how much: entries are cut, the oldest go first, and how many have gone is told.

use cloister_core::lock::lock;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::Mutex;

/// Entries of the console ring.
const CONSOLE: usize = 500;
/// Entries of the request ring.
const REQUESTS: usize = 1000;
/// Entries of the download ring.
const DOWNLOADS: usize = 200;
/// Characters of a text in an entry.
const TEXT: usize = 2000;

/// One line of the console.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Line {
    /// The tab.
    pub(super) tab: String,
    /// `log`, `warning`, `error`, `exception`, `dialog`, …
    pub(super) kind: String,
    /// What it says.
    pub(super) text: String,
    /// Where it comes from.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) source: String,
}

/// One request.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Request {
    #[serde(skip)]
    pub(super) id: String,
    /// The tab.
    pub(super) tab: String,
    /// HTTP method.
    pub(super) method: String,
    /// Where to.
    pub(super) url: String,
    /// `Document`, `Fetch`, `Image`, …
    pub(super) kind: String,
    /// HTTP status, once there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<u16>,
    /// MIME type.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) mime: String,
    /// Bytes on the wire, once all are there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bytes: Option<u64>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

/// One download.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Download {
    #[serde(skip)]
    pub(super) id: String,
    #[serde(skip)]
    pub(super) frame: String,
    /// As the server or the page named it, made safe by the browser.
    pub(super) name: String,
    /// Where it comes from.
    pub(super) url: String,
    /// `inProgress`, `completed`, `canceled`.
    pub(super) state: String,
    /// Bytes so far.
    pub(super) size: u64,
}

#[derive(Debug, Default)]
struct Rings {
    console: VecDeque<Line>,
    requests: VecDeque<Request>,
    downloads: VecDeque<Download>,
    lost: [u64; 3],
}

/// The log of one session.
#[derive(Debug, Default)]
pub(crate) struct Log {
    rings: Mutex<Rings>,
}

/// Cuts a text that a page has chosen.
pub(super) fn cut(text: &str) -> String {
    match text.char_indices().nth(TEXT) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

fn push<T>(ring: &mut VecDeque<T>, cap: usize, lost: &mut u64, entry: T) {
    if ring.len() >= cap {
        ring.pop_front();
        *lost += 1;
    }
    ring.push_back(entry);
}

impl Log {
    /// Adds a line to the console.
    pub(super) fn line(&self, tab: &str, kind: &str, text: &str, source: &str) {
        let line = Line { tab: tab.to_owned(), kind: kind.to_owned(), text: cut(text), source: cut(source) };
        let Rings { console, lost, .. } = &mut *lock(&self.rings);
        push(console, CONSOLE, &mut lost[0], line);
    }

    /// Adds a request.
    pub(super) fn request(&self, request: Request) {
        let Rings { requests, lost, .. } = &mut *lock(&self.rings);
        push(requests, REQUESTS, &mut lost[1], request);
    }

    /// Changes the newest request of this id, if it is still there.
    pub(super) fn change_request(&self, tab: &str, id: &str, change: impl FnOnce(&mut Request)) {
        let mut rings = lock(&self.rings);
        if let Some(request) = rings.requests.iter_mut().rev().find(|r| r.id == id && r.tab == tab) {
            change(request);
        }
    }

    /// Adds a download.
    pub(super) fn download(&self, download: Download) {
        let Rings { downloads, lost, .. } = &mut *lock(&self.rings);
        push(downloads, DOWNLOADS, &mut lost[2], download);
    }

    /// Changes a download, if it is still there.
    pub(super) fn change_download(&self, id: &str, change: impl FnOnce(&mut Download)) {
        if let Some(download) = lock(&self.rings).downloads.iter_mut().rev().find(|d| d.id == id) {
            change(download);
        }
    }

    /// How many downloads have begun, forgotten ones included.
    pub(super) fn downloads_begun(&self) -> u64 {
        let rings = lock(&self.rings);
        rings.lost[2] + u64::try_from(rings.downloads.len()).unwrap_or(u64::MAX)
    }

    /// The newest download of a frame.
    pub(super) fn newest_download(&self, frame: &str) -> Option<Download> {
        lock(&self.rings).downloads.iter().rev().find(|download| download.frame == frame).cloned()
    }

    /// The console as JSON, newest last.
    pub(super) fn console(&self) -> Value {
        let rings = lock(&self.rings);
        json!({"messages": rings.console, "forgotten": rings.lost[0]})
    }

    /// The requests as JSON, newest last.
    pub(super) fn requests(&self) -> Value {
        let rings = lock(&self.rings);
        json!({"requests": rings.requests, "forgotten": rings.lost[1]})
    }

    /// The downloads, newest last, and how many have been forgotten.
    pub(super) fn downloads(&self) -> (Vec<Download>, u64) {
        let rings = lock(&self.rings);
        (rings.downloads.iter().cloned().collect(), rings.lost[2])
    }
}

#[cfg(test)]
mod tests {
    use super::{CONSOLE, Log, TEXT};

    #[test]
    fn a_page_that_floods_the_console_loses_its_oldest_lines_and_the_log_says_how_many() {
        let log = Log::default();
        for n in 0..CONSOLE + 7 {
            log.line("t1", "log", &n.to_string(), "");
        }
        let console = log.console();
        assert_eq!(console["forgotten"], 7);
        assert_eq!(console["messages"].as_array().unwrap().len(), CONSOLE);
        assert_eq!(console["messages"][0]["text"], "7");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let log = Log::default();
        log.line("t1", "log", &"語".repeat(TEXT + 1), "");
        let console = log.console();
        let text = console["messages"][0]["text"].as_str().unwrap();
        assert_eq!(text.chars().count(), TEXT + 1);
        assert!(text.ends_with('…'));
    }
}
