//! Downloads: Chromium stores each under its GUID, and a finished one gets its real name.
//!
//! ```text
//!   Browser.downloadWillBegin ──▶ note: GUID, suggested name     (of our root session, or of the client's that set the behaviour)
//!   Browser.downloadProgress ───▶ note: bytes, state ── completed ──▶ queue ──▶ keep: the sandbox names it
//! ```
//!
//! Under its suggested name Chromium would overwrite a file of the same name, and fail when the name is too long.
//!
//! INVARIANT: a suggested name is one component: no separator, no leading dot, no control, at most 200 bytes.

mod name;

use crate::files::tool;
use crate::filter::DOWNLOADS;
use cloister_core::backend::Interpreter;
use cloister_core::command::ToolCall;
use cloister_core::event::Outcome;
use cloister_core::lock::lock;
use serde::Deserialize;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;

/// Downloads that are remembered; the oldest is forgotten first. A page that floods downloads takes no more memory than this.
const REMEMBERED: usize = 1000;
/// Finished ones that wait for their name. Naming one takes less time than downloading it; of a flood, the rest is named when the
/// queue is empty.
const WAITING: usize = 4096;
/// Characters of a URL that are kept: a `data:` URL holds the whole download, and a page makes as many as it likes.
const URL: usize = 2000;
/// How long one file tool may take.
const TOOL: Duration = Duration::from_secs(30);

/// How far a download has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DownloadState {
    /// Bytes still come.
    InProgress,
    /// All bytes are there.
    Completed,
    /// It was cancelled, or failed.
    Canceled,
}

/// One download.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Download {
    /// Chromium's name for it.
    pub guid: String,
    /// Where it came from: its first 2000 characters.
    pub url: String,
    /// The name that the page or the server suggested, sanitised.
    pub suggested: String,
    /// Where it lies, relative to the workspace. The GUID's file until it has its real name.
    pub path: String,
    /// Bytes so far.
    pub bytes: u64,
    /// How far it is.
    pub state: DownloadState,
}

/// The downloads of one session.
pub struct Downloads {
    list: Mutex<VecDeque<Download>>,
    finished: mpsc::Sender<Finished>,
    /// Some did not fit into the queue.
    overlooked: AtomicBool,
}

/// A finished download: it gets its name even if it has been forgotten meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finished {
    guid: String,
    suggested: String,
}

impl Downloads {
    /// The list, and the queue of finished ones for [`Self::keep`].
    pub(crate) fn new() -> (Arc<Self>, mpsc::Receiver<Finished>) {
        let (finished, queue) = mpsc::channel(WAITING);
        (Arc::new(Self { list: Mutex::default(), finished, overlooked: AtomicBool::new(false) }), queue)
    }

    /// All that are remembered, oldest first.
    pub fn list(&self) -> Vec<Download> {
        lock(&self.list).iter().cloned().collect()
    }

    /// An event of any session. The same one may come from several.
    pub(crate) fn note(&self, method: &str, message: &[u8]) {
        match method {
            "Browser.downloadWillBegin" | "Page.downloadWillBegin" => {
                if let Ok(Body { params }) = serde_json::from_slice(message) {
                    self.begun(params);
                }
            }
            "Browser.downloadProgress" | "Page.downloadProgress" => {
                if let Ok(Body { params }) = serde_json::from_slice(message) {
                    self.progressed(&params);
                }
            }
            _ => {}
        }
    }

    fn begun(&self, Begun { guid, url, suggested_filename }: Begun) {
        let mut list = lock(&self.list);
        if !name::is_guid(&guid) || list.iter().any(|download| download.guid == guid) {
            return;
        }
        if list.len() >= REMEMBERED {
            list.pop_front();
        }
        let url = url.chars().take(URL).collect();
        let suggested = name::sanitised(&suggested_filename);
        let path = format!("{DOWNLOADS}/{guid}");
        list.push_back(Download { guid, url, suggested, path, bytes: 0, state: DownloadState::InProgress });
    }

    fn progressed(&self, Progressed { guid, received_bytes, state }: &Progressed) {
        let mut list = lock(&self.list);
        let Some(download) = list.iter_mut().find(|download| download.guid == *guid) else { return };
        // A second report of the same end is another session's.
        if download.state != DownloadState::InProgress {
            return;
        }
        download.bytes = *received_bytes as u64;
        download.state = *state;
        if *state == DownloadState::Completed {
            let finished = Finished { guid: guid.clone(), suggested: download.suggested.clone() };
            if self.finished.try_send(finished).is_err() {
                self.overlooked.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Gives finished downloads their names, one after the other, until the session ends.
    pub(crate) async fn keep(
        self: Arc<Self>,
        mut queue: mpsc::Receiver<Finished>,
        sandbox: Arc<dyn Interpreter>,
    ) {
        while let Some(finished) = queue.recv().await {
            self.name(sandbox.as_ref(), finished).await;
            if queue.is_empty() && self.overlooked.swap(false, Ordering::Relaxed) {
                for finished in self.unnamed() {
                    self.name(sandbox.as_ref(), finished).await;
                }
            }
        }
    }

    /// Finished ones that still have their GUIDs.
    fn unnamed(&self) -> Vec<Finished> {
        let list = lock(&self.list);
        let unnamed =
            list.iter().filter(|d| d.state == DownloadState::Completed && d.path.ends_with(&d.guid));
        unnamed.map(|d| Finished { guid: d.guid.clone(), suggested: d.suggested.clone() }).collect()
    }

    async fn name(&self, sandbox: &dyn Interpreter, Finished { guid, suggested }: Finished) {
        match named(sandbox, &guid, &suggested).await {
            Ok(path) => {
                if let Some(download) = lock(&self.list).iter_mut().find(|download| download.guid == guid) {
                    download.path = path;
                }
            }
            Err(what) => tracing::warn!(guid, what, "a download keeps its GUID as its name"),
        }
    }
}

/// Gives a download a free name. Gives the new path, relative to the workspace.
async fn named(sandbox: &dyn Interpreter, guid: &str, suggested: &str) -> Result<String, String> {
    let (stem, extension) = name::split(suggested);
    let path = format!("{DOWNLOADS}/{guid}");
    let call = ToolCall::NameFile { path, stem: stem.to_owned(), extension: extension.to_owned() };
    match tool(sandbox, call, TOOL).await? {
        Outcome::Written { files } => {
            files.into_iter().next().map(|(path, _)| path).ok_or_else(|| "nothing was named".to_owned())
        }
        _ => Err("the file tool gave another answer than was asked for".to_owned()),
    }
}

#[derive(Deserialize)]
struct Body<P> {
    params: P,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Begun {
    guid: String,
    url: String,
    suggested_filename: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Progressed {
    guid: String,
    received_bytes: f64,
    state: DownloadState,
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUID: &str = "a8e410b3-0bd1-451d-b3d2-a7e4be3190a7";

    fn begin(downloads: &Downloads, guid: &str, name: &str) {
        let event =
            serde_json::json!({"params": {"guid": guid, "url": "http://a/", "suggestedFilename": name}});
        downloads.note("Browser.downloadWillBegin", event.to_string().as_bytes());
    }

    fn progress(downloads: &Downloads, guid: &str, state: &str) {
        let event = serde_json::json!({"params": {"guid": guid, "receivedBytes": 50.0, "state": state}});
        downloads.note("Browser.downloadProgress", event.to_string().as_bytes());
    }

    #[test]
    fn a_download_that_several_sessions_report_is_one_download() {
        let (downloads, mut queue) = Downloads::new();
        for _ in 0..2 {
            begin(&downloads, GUID, "../a.csv");
        }
        for _ in 0..2 {
            progress(&downloads, GUID, "completed");
        }
        let list = downloads.list();
        assert_eq!(list.len(), 1);
        assert_eq!((list[0].bytes, list[0].state), (50, DownloadState::Completed));
        assert_eq!(queue.try_recv().unwrap().guid, GUID);
        assert!(queue.try_recv().is_err());
    }

    #[test]
    fn a_flood_of_downloads_is_forgotten_from_its_beginning() {
        let (downloads, _queue) = Downloads::new();
        for number in 0..REMEMBERED + 5 {
            begin(&downloads, &format!("a8e410b3-0bd1-451d-b3d2-{number:012}"), "a");
        }
        assert_eq!(downloads.list().len(), REMEMBERED);
        assert!(downloads.list()[0].guid.ends_with("005"));
    }

    #[test]
    fn what_does_not_fit_into_the_queue_is_found_again() {
        let (downloads, mut queue) = Downloads::new();
        let guid = |number: usize| format!("a8e410b3-0bd1-451d-b3d2-{number:012}");
        for number in 0..=WAITING {
            begin(&downloads, &guid(number), "a");
            progress(&downloads, &guid(number), "completed");
        }
        assert!(downloads.overlooked.load(Ordering::Relaxed));
        assert_eq!(std::iter::from_fn(|| queue.try_recv().ok()).count(), WAITING);
        assert_eq!(downloads.unnamed().last().unwrap().guid, guid(WAITING));
    }

    #[test]
    fn a_download_out_of_a_url_is_not_remembered_whole() {
        let (downloads, _queue) = Downloads::new();
        let url = format!("data:,{}", "é".repeat(1 << 20));
        let event = serde_json::json!({"params": {"guid": GUID, "url": url, "suggestedFilename": "a"}});
        downloads.note("Browser.downloadWillBegin", event.to_string().as_bytes());
        assert_eq!(downloads.list()[0].url.chars().count(), URL);
    }

    #[test]
    fn what_is_no_guid_is_no_path() {
        let (downloads, _queue) = Downloads::new();
        begin(&downloads, "../../etc/passwd", "a");
        assert!(downloads.list().is_empty());
    }
}
