//! Asks the mirror, and the hosts that its pages name: addresses judged, certificates verified, redirects followed a few times.

use crate::egress::address::{Class, canonical, classify};
use crate::egress::cidr::Cidr;
use crate::egress::host::{Destination, Host, parse};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, LOCATION, USER_AGENT};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

/// For a connection, and for the head of an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest page, in bytes.
const PAGE: usize = 32 << 20;
const REDIRECTS: usize = 3;
/// The kinds of pages that can be read, the better one first.
const PAGES: &str =
    "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1";

/// An address on the web: parsed by the one parser of destinations, and a path that is written as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    tls: bool,
    to: Destination,
    path: String,
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", if self.tls { "https" } else { "http" }, self.to, self.path)
    }
}

impl Url {
    /// The address of an index, as a policy has it.
    pub(super) fn of_index(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is no index: write https://HOST/simple/");
        let url = Self::parse(text).filter(|url| !url.path.contains(['?', '#'])).ok_or_else(bad)?;
        let here = matches!(&url.to.host, Host::Address(address) if address.is_loopback());
        if !url.tls && !here {
            return Err(format!(
                "{text:?}: use https://; over plain HTTP whoever is on the way decides what is installed"
            ));
        }
        Ok(url)
    }

    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let tls = match scheme {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        let to = parse(authority.as_bytes(), Some(if tls { 443 } else { 80 })).ok()?;
        let plain = path.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
        plain.then(|| Self { tls, to, path: path.to_owned() })
    }

    /// The page of a project, by its name in normal form.
    pub(super) fn project(&self, project: &str) -> Self {
        let path = format!("{}/{project}/", self.path.trim_end_matches('/'));
        Self { path, ..self.clone() }
    }

    /// Where a link on the page at this address leads.
    pub(super) fn join(&self, link: &str) -> Option<Self> {
        let link = link.split('#').next().unwrap_or_default();
        if link.contains("://") {
            return Self::parse(link);
        }
        if let Some(rest) = link.strip_prefix("//") {
            return Self::parse(&format!("{}://{rest}", if self.tls { "https" } else { "http" }));
        }
        let from = self.path.split('?').next().unwrap_or_default();
        let (place, query) = link.split_once('?').map_or((link, None), |(place, query)| (place, Some(query)));
        let whole = if place.starts_with('/') {
            place.to_owned()
        } else {
            format!("{}/{place}", from.rsplit_once('/').map_or("", |(folder, _)| folder))
        };
        let mut parts: Vec<&str> = Vec::new();
        for part in whole.split('/').skip(1) {
            match part {
                "." => {}
                ".." => drop(parts.pop()),
                part => parts.push(part),
            }
        }
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        let scheme = if self.tls { "https" } else { "http" };
        Self::parse(&format!("{scheme}://{}/{}{query}", self.to, parts.join("/")))
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    /// The host has no address that may be asked.
    #[error(
        "{0} has no address that may be asked: it is not public, and in no range of network.allowed_cidrs"
    )]
    Address(Host),
    /// No connection, or no TLS.
    #[error("no connection: {0}")]
    Connect(String),
    /// It answered with another status than 200.
    #[error("it answers {0}")]
    Status(u16),
    /// Round and round.
    #[error("it redirects too often, or from https to http")]
    Redirect,
    /// Too long, cut off, or not a page.
    #[error("its answer cannot be read")]
    Nonsense,
}

/// Asks on behalf of one policy.
pub(super) struct Fetcher {
    index: Url,
    client: Arc<ClientConfig>,
    /// Ranges that the policy opens, beside public addresses, and those that it denies.
    ranges: Vec<Cidr>,
    denied: Vec<Cidr>,
}

impl Fetcher {
    pub(super) fn new(index: Url, client: Arc<ClientConfig>, ranges: Vec<Cidr>, denied: Vec<Cidr>) -> Self {
        Self { index, client, ranges, denied }
    }

    /// A page: where it came from in the end, its type, its text.
    pub(super) async fn text(&self, url: Url) -> Result<(Url, String, String), FetchError> {
        let (url, answer) = self.get(url, PAGES).await?;
        let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.unwrap_or("text/html").to_owned();
        let body = timeout(PATIENCE, Limited::new(answer.into_body(), PAGE).collect()).await;
        let body = body.map_err(|_| FetchError::Nonsense)?.map_err(|_| FetchError::Nonsense)?.to_bytes();
        Ok((url, kind, String::from_utf8_lossy(&body).into_owned()))
    }

    /// An answer with status 200, whose body is still to be read.
    pub(super) async fn get(
        &self,
        mut url: Url,
        accept: &str,
    ) -> Result<(Url, Response<Incoming>), FetchError> {
        for _ in 0..=REDIRECTS {
            let answer = timeout(PATIENCE, self.ask(&url, accept)).await;
            let answer = answer.map_err(|_| FetchError::Connect("no answer in time".into()))??;
            match answer.status().as_u16() {
                200 => return Ok((url, answer)),
                301 | 302 | 303 | 307 | 308 => {
                    let to = answer.headers().get(LOCATION).and_then(|to| to.to_str().ok());
                    let next = to.and_then(|to| url.join(to)).ok_or(FetchError::Redirect)?;
                    if url.tls && !next.tls {
                        return Err(FetchError::Redirect);
                    }
                    url = next;
                }
                status => return Err(FetchError::Status(status)),
            }
        }
        Err(FetchError::Redirect)
    }

    async fn ask(&self, url: &Url, accept: &str) -> Result<Response<Incoming>, FetchError> {
        let failed = |error: &dyn fmt::Display| FetchError::Connect(error.to_string());
        let stream = self.connect(&url.to).await?;
        if !url.tls {
            return exchange(url, accept, TokioIo::new(stream)).await;
        }
        let name = match &url.to.host {
            Host::Name(name) => ServerName::try_from(name.clone()).map_err(|e| failed(&e))?,
            Host::Address(address) => ServerName::from(*address),
        };
        let stream = TlsConnector::from(Arc::clone(&self.client)).connect(name, stream).await;
        exchange(url, accept, TokioIo::new(stream.map_err(|e| failed(&e))?)).await
    }

    /// The mirror itself is the operator's word, wherever it is; what its pages name has to be public, or in a range of the policy's.
    async fn connect(&self, to: &Destination) -> Result<TcpStream, FetchError> {
        let addresses = match &to.host {
            Host::Address(address) => vec![*address],
            Host::Name(name) => {
                let found = tokio::net::lookup_host((name.as_str(), 0)).await;
                found.map(|all| all.map(|address| address.ip()).collect()).unwrap_or_default()
            }
        };
        let named = *to == self.index.to;
        let within =
            |ranges: &[Cidr], address: &IpAddr| ranges.iter().any(|r| r.contains(canonical(*address)));
        let good = |address: &IpAddr| match classify(*address) {
            Class::Metadata => false,
            _ if !named && within(&self.denied, address) => false,
            Class::Public => true,
            _ => named || within(&self.ranges, address),
        };
        let mut error = FetchError::Address(to.host.clone());
        for address in addresses.into_iter().filter(good).take(4) {
            match TcpStream::connect(SocketAddr::new(canonical(address), to.port)).await {
                Ok(stream) => {
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Err(cause) => error = FetchError::Connect(cause.kind().to_string()),
            }
        }
        Err(error)
    }
}

async fn exchange<S>(url: &Url, accept: &str, stream: S) -> Result<Response<Incoming>, FetchError>
where
    S: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
{
    let failed = |error: &dyn fmt::Display| FetchError::Connect(error.to_string());
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(stream).await.map_err(|error| failed(&error))?;
    // It ends with the body, or when whoever reads that has gone.
    tokio::spawn(connection);
    let usual = if url.tls { 443 } else { 80 };
    let host = if url.to.port == usual { url.to.host.to_string() } else { url.to.to_string() };
    let request = Request::get(url.path.as_str())
        .header(HOST, host)
        .header(ACCEPT, accept)
        .header(USER_AGENT, concat!("cloister/", env!("CARGO_PKG_VERSION")))
        .body(Empty::<Bytes>::new());
    sender.send_request(request.map_err(|error| failed(&error))?).await.map_err(|error| failed(&error))
}
