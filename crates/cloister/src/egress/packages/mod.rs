//! Packages from the operator's mirror: an index of the proxy's own (PEP 503) that offers what a policy takes and nothing else.
//!
//! ```text
//!   pip ──http://packages.cloister/simple/NAME/──▶ rules: name ─▶ fetch.rs: the mirror's page ─▶ page.rs ─▶ rules: files ─▶ page
//!   pip ──http://packages.cloister/files/NAME/FILE─▶ rules ─▶ that page again ─▶ rules ─▶ fetch, SHA-256 on the way ─▶ file
//! ```
//!
//! The name leads nowhere but here. A guest names a project and a file; where they lie, the mirror's page alone says. Both steps are
//! judged, so a file that a page does not offer cannot be had by its address.

mod fetch;
mod page;
pub(crate) mod question;
mod rules;
#[cfg(test)]
mod tests;

use super::answer::Answer;
use super::cidr::Cidr;
use super::connection::Shared;
use super::head::Body;
use super::host::{Destination, Host};
use super::meter::Direction;
use super::relay::Relay;
use crate::tls::client_config;
use cloister_core::lock::lock;
use cloister_core::policy::{Install, NetworkMode, Policy};
use fetch::{FetchError, Fetcher, Url};
use http_body_util::BodyExt;
use page::File;
use rules::{Rules, normal};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::rustls::ClientConfig;

/// The name by which sessions know the index. It is in no DNS.
const NAME: &str = "packages.cloister";
/// How long a page is taken for true: an installation asks for the same one several times.
const FRESH: Duration = Duration::from_secs(120);
/// Pages that are kept.
const PAGES: usize = 128;

/// Why packages cannot be offered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PackagesError {
    /// A policy.
    #[error("policy {policy}: packages.index: {what}")]
    Index {
        /// Which.
        policy: String,
        /// What would be right.
        what: String,
    },
    /// The authorities.
    #[error("egress.ca: {0}")]
    Authorities(String),
}

/// What all mirrors share.
#[derive(Default)]
pub(crate) struct Mirrors {
    authorities: Option<PathBuf>,
    /// Made for the first policy that uses a mirror.
    client: OnceLock<Arc<ClientConfig>>,
    pages: Arc<Pages>,
}

/// Pages by their address.
#[derive(Default)]
struct Pages(Mutex<HashMap<String, Kept>>);

/// A page, and when it was asked for.
struct Kept {
    since: Instant,
    page: Arc<Vec<File>>,
}

impl Mirrors {
    /// For interpreters with these policies, whose mirrors' certificates are checked against `authorities`, or the system's.
    pub(crate) fn open(
        authorities: Option<&Path>,
        interpreters: &[(String, Arc<Policy>)],
    ) -> Result<Self, PackagesError> {
        let mirrors = Self { authorities: authorities.map(Path::to_owned), ..Self::default() };
        interpreters.iter().try_for_each(|(_, policy)| mirrors.check(policy))?;
        Ok(mirrors)
    }

    /// Whether a policy can be kept: its mirror has an address, and the way there is open.
    pub(crate) fn check(&self, policy: &Policy) -> Result<(), PackagesError> {
        let error = |what: String| PackagesError::Index { policy: policy.name.clone(), what };
        if policy.packages.install == Install::Off {
            return Ok(());
        }
        Url::of_index(&policy.packages.index).map_err(error)?;
        if policy.network.mode == NetworkMode::None {
            let what = "without a network nothing is reached; set network.mode to \"allowlist\", whose list may be empty";
            return Err(error(what.into()));
        }
        if self.client.get().is_none() {
            let client = client_config(self.authorities.as_deref()).map_err(PackagesError::Authorities)?;
            let _ = self.client.set(Arc::new(client));
        }
        Ok(())
    }

    /// The index for sessions of `policy`; `None` if it has none.
    pub(crate) fn index(&self, policy: &Policy) -> Option<Index> {
        let packages = &policy.packages;
        if packages.install == Install::Off || policy.network.mode == NetworkMode::None {
            return None;
        }
        let url = Url::of_index(&packages.index).ok()?;
        let ranges =
            |list: &[String]| list.iter().filter_map(|range| Cidr::parse(range).ok()).collect::<Vec<_>>();
        let (open, denied) = (ranges(&policy.network.allowed_cidrs), ranges(&policy.network.denied_cidrs));
        let fetcher = Fetcher::new(url.clone(), Arc::clone(self.client.get()?), open, denied);
        let left = AtomicU64::new(packages.max_bytes);
        Some(Index { url, rules: Rules::of(packages), fetcher, pages: Arc::clone(&self.pages), left })
    }
}

/// Variables with which pip and uv ask the index.
pub(crate) fn variables(policy: &Policy) -> Vec<(String, String)> {
    let packages = &policy.packages;
    if packages.install == Install::Off || policy.network.mode == NetworkMode::None {
        return Vec::new();
    }
    let index = format!("http://{NAME}/simple/");
    let mut all = vec![
        ("PIP_INDEX_URL", index.clone()),
        // From the program to the proxy it is the sandbox's own loopback; the proxy speaks TLS with the mirror.
        ("PIP_TRUSTED_HOST", NAME.to_owned()),
        ("UV_DEFAULT_INDEX", index),
        ("UV_INSECURE_HOST", NAME.to_owned()),
    ];
    if packages.wheels_only {
        all.push(("PIP_ONLY_BINARY", ":all:".to_owned()));
    }
    all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The index of one sandbox.
pub(crate) struct Index {
    url: Url,
    rules: Rules,
    fetcher: Fetcher,
    pages: Arc<Pages>,
    /// Bytes of files that it may still have.
    left: AtomicU64,
}

/// What is asked for.
enum Asked {
    Project(String),
    File(String, String),
}

impl Index {
    /// Whether a request is for the index.
    pub(crate) fn is(&self, to: &Destination) -> bool {
        matches!(&to.host, Host::Name(name) if name == NAME) && to.port == 80
    }

    /// Serves one request, whose head has been written anew.
    pub(crate) async fn serve(
        &self,
        shared: &Shared,
        relay: &Relay<'_>,
        client: &mut BufReader<TcpStream>,
        head: &[u8],
        body: Body,
    ) -> Result<(), Answer> {
        let text = String::from_utf8_lossy(head);
        let mut words = text.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if !matches!(method, "GET" | "HEAD") || body != Body::Length(0) {
            return Err(Answer::packages(405, "the package index answers GET", "proxy-only", None));
        }
        let only_head = method == "HEAD";
        match asked(path) {
            Some(Asked::Project(project)) => {
                self.judge(&project)?;
                let files = self.page(&project).await?;
                let offered = self.rules.offer(&project, &files, SystemTime::now());
                let offered = offered.map_err(|why| Answer::package(403, &project, &why.what, why.rule))?;
                let body = page::write(&project, &offered);
                let head = ok("text/html; charset=utf-8", Some(body.len() as u64));
                let body = if only_head { "" } else { &body };
                send(relay, client, &[head.as_bytes(), body.as_bytes()].concat()).await;
            }
            Some(Asked::File(project, name)) => {
                self.judge(&project)?;
                let files = self.page(&project).await?;
                let file = files.iter().find(|file| file.name == name);
                let file = file
                    .ok_or_else(|| Answer::package(404, &name, "the mirror's page has no such file", None))?;
                let taken = self.rules.takes(&project, file, SystemTime::now());
                taken.map_err(|why| Answer::package(403, &name, &why.what, Some(why.rule)))?;
                if !only_head {
                    shared.journal.package(&project, &name);
                }
                self.pass(relay, client, file, only_head).await?;
            }
            None => {
                let what = "the package index has /simple/NAME/ and the files that its pages name";
                return Err(Answer::packages(404, what, "proxy-only", None));
            }
        }
        Ok(())
    }

    fn judge(&self, project: &str) -> Result<(), Answer> {
        self.rules.admits(project).map_err(|why| Answer::package(403, project, &why.what, Some(why.rule)))
    }

    /// The mirror's page of a project.
    async fn page(&self, project: &str) -> Result<Arc<Vec<File>>, Answer> {
        let url = self.url.project(project);
        let key = url.to_string();
        if let Some(Kept { since, page }) = lock(&self.pages.0).get(&key)
            && since.elapsed() < FRESH
        {
            return Ok(Arc::clone(page));
        }
        let failed = |error: FetchError| {
            tracing::info!(target: "egress", project, %error, "no answer of the package mirror");
            match error {
                FetchError::Status(404) => Answer::package(404, project, "the mirror does not have it", None),
                FetchError::Address(_) => not_dialled(project, &error),
                error => Answer::package(
                    502,
                    project,
                    &format!("the mirror does not give its page: {error}"),
                    None,
                ),
            }
        };
        let (base, kind, text) = self.fetcher.text(url).await.map_err(failed)?;
        let page = Arc::new(page::read(&base, &kind, &text).map_err(|_| failed(FetchError::Nonsense))?);
        let mut pages = lock(&self.pages.0);
        if pages.len() >= PAGES {
            pages.clear();
        }
        pages.insert(key, Kept { since: Instant::now(), page: Arc::clone(&page) });
        Ok(page)
    }

    /// A file, of which the end is sent only if the whole is the one that the page promised.
    async fn pass(
        &self,
        relay: &Relay<'_>,
        client: &mut BufReader<TcpStream>,
        file: &File,
        only_head: bool,
    ) -> Result<(), Answer> {
        let failed = |error: FetchError| match error {
            FetchError::Address(_) => not_dialled(&file.name, &error),
            error => Answer::package(502, &file.name, &format!("the mirror does not give it: {error}"), None),
        };
        let answer = self.fetcher.get(file.url.clone(), "*/*").await.map_err(failed)?.1;
        let length =
            answer.headers().get("content-length").and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
        if length.unwrap_or(0) > self.left.load(Relaxed) || self.left.load(Relaxed) == 0 {
            let what = "it is larger than what is left of the session's bytes for packages";
            return Err(Answer::package(403, &file.name, what, Some("packages.max_bytes")));
        }
        let head = ok("application/octet-stream", length);
        send(relay, client, head.as_bytes()).await;
        if only_head {
            return Ok(());
        }
        let cut =
            |why: &str| tracing::warn!(target: "egress", file = file.name, why, "a package was cut off");
        let (mut body, mut hash, mut held) = (answer.into_body(), Sha256::new(), Vec::new());
        while let Ok(frame) = body.frame().await.transpose() {
            let Some(frame) = frame else {
                let sum = hash.finalize();
                let sum: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
                match &file.sha256 {
                    Some(promised) if *promised != sum => cut("its SHA-256 is not the one of the page"),
                    _ => send(relay, client, &held).await,
                }
                return Ok(());
            };
            let Ok(data) = frame.into_data() else { continue };
            let size = data.len() as u64;
            let room = self.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(size));
            if room.is_err() {
                cut("the session's bytes for packages are used up");
                return Ok(());
            }
            hash.update(&data);
            if !held.is_empty() && relay.write(client.get_mut(), &held, Direction::In).await.is_err() {
                return Ok(());
            }
            held = data.to_vec();
        }
        cut("the mirror's answer ended early");
        Ok(())
    }
}

/// The mirror names a host that this proxy does not connect to.
fn not_dialled(name: &str, error: &FetchError) -> Answer {
    Answer::package(403, name, &error.to_string(), Some("network.allowed_cidrs"))
}

/// A path of the index, without a query. Names are taken in their normal form, whatever they are asked as.
fn asked(path: &str) -> Option<Asked> {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let mut parts = path.strip_prefix('/')?.trim_end_matches('/').split('/');
    let asked = match (parts.next()?, parts.next()?, parts.next()) {
        ("simple", project, None) => Asked::Project(normal(project)?),
        ("files", project, Some(file)) if page::is_file_name(file) => {
            Asked::File(normal(project)?, file.to_owned())
        }
        _ => return None,
    };
    parts.next().is_none().then_some(asked)
}

fn ok(kind: &str, length: Option<u64>) -> String {
    let length = length.map(|length| format!("Content-Length: {length}\r\n")).unwrap_or_default();
    format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{length}Connection: close\r\n\r\n")
}

/// A client that has gone needs no answer.
async fn send(relay: &Relay<'_>, client: &mut BufReader<TcpStream>, bytes: &[u8]) {
    let sent: io::Result<()> = relay.write(client.get_mut(), bytes, Direction::In).await;
    if sent.is_err() {
        let _ = client.get_mut().shutdown().await;
    }
}
