//! The public keys of the configured issuer: read from a file, or fetched, and looked at again every few minutes.
//!
//! ```text
//! [auth.jwt] jwks = "/etc/cloister/jwks.json"        ─ read ─┐
//!            jwks = "https://id.example/jwks.json"   ─ GET ──┴▶ Issuer::set_keys
//! ```
//!
//! A file that cannot be read stops the start: it is the operator's own. A URL that does not answer does not, because the server must
//! come up without other machines; until it answers no token of the issuer is good.

use crate::config::{JwtConfig, TenantConfig};
use crate::tls::client_config;
use cloister_gateway::{BadKeySet, Issuer, IssuerSettings, Role, Tenant};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::header::HOST;
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

/// Between two looks at the keys. An issuer publishes a new key long before it signs with it.
const REFRESH: Duration = Duration::from_secs(300);
/// The same while there are none.
const RETRY: Duration = Duration::from_secs(10);
/// Longest time for one look.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest document, in bytes.
const LONGEST: usize = 1 << 20;

/// Why the issuer's keys are not there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IssuerError {
    /// The file.
    #[error("auth.jwt.jwks: {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is in the file, or at the URL.
    #[error("auth.jwt.jwks: {place}: {source}")]
    Keys {
        /// File or URL.
        place: String,
        /// Why.
        source: BadKeySet,
    },
    /// The URL.
    #[error("auth.jwt.jwks: {url}: {what}")]
    Fetch {
        /// The URL.
        url: String,
        /// What happened.
        what: String,
    },
    /// Neither a path nor a URL that may be used.
    #[error(
        "auth.jwt.jwks: {0:?}: give an absolute path, or an https:// URL (http:// on loopback only: keys that can be changed on their way are none)"
    )]
    Place(String),
}

/// Where the keys come from.
enum Place {
    File(PathBuf),
    Url(Uri),
}

/// An issuer, and where its keys come from.
pub(crate) struct Source {
    issuer: Arc<Issuer>,
    place: Place,
    authorities: Option<PathBuf>,
}

impl Source {
    /// From the configuration. Reads the file, if it is one.
    pub(crate) fn open(config: &JwtConfig) -> Result<Self, IssuerError> {
        let JwtConfig { issuer, audience, jwks, ca, tenant, name_claim, roles_claim, roles } = config;
        let settings = IssuerSettings {
            issuer: issuer.clone(),
            audience: audience.clone(),
            name_claim: name_claim.clone(),
            tenant: match tenant {
                TenantConfig::Claim(claim) => Tenant::Claim(claim.clone()),
                TenantConfig::Fixed(tenant) => Tenant::Fixed(tenant.clone()),
            },
            roles_claim: roles_claim.clone(),
            roles: roles.iter().map(|(word, role)| (word.clone(), Role::from(*role))).collect(),
        };
        let source =
            Self { issuer: Arc::new(Issuer::new(settings)), place: place(jwks)?, authorities: ca.clone() };
        if let Place::File(path) = &source.place {
            source.read(path)?;
        }
        Ok(source)
    }

    /// The issuer, for the door.
    pub(crate) fn issuer(&self) -> Arc<Issuer> {
        Arc::clone(&self.issuer)
    }

    /// Looks at the keys again and again, until it is dropped.
    pub(crate) async fn follow(self) {
        let mut known = matches!(self.place, Place::File(_));
        if known {
            sleep(REFRESH).await;
        }
        loop {
            match self.look().await {
                Ok(()) => known = true,
                Err(error) => {
                    tracing::warn!(%error, "the issuer's keys could not be read; those known before stay");
                }
            }
            sleep(if known { REFRESH } else { RETRY }).await;
        }
    }

    async fn look(&self) -> Result<(), IssuerError> {
        let url = match &self.place {
            Place::File(path) => return self.read(path),
            Place::Url(url) => url,
        };
        let failed = |what: String| IssuerError::Fetch { url: url.to_string(), what };
        let fetched = timeout(PATIENCE, fetch(url, self.authorities.as_deref())).await;
        let document = fetched.map_err(|_| failed("no answer in time".into()))?.map_err(failed)?;
        self.set(url.to_string(), &document)
    }

    fn read(&self, path: &Path) -> Result<(), IssuerError> {
        let read = std::fs::read(path);
        let document = read.map_err(|source| IssuerError::Read { path: path.to_owned(), source })?;
        self.set(path.display().to_string(), &document)
    }

    fn set(&self, place: String, document: &[u8]) -> Result<(), IssuerError> {
        self.issuer.set_keys(document).map_err(|source| IssuerError::Keys { place, source })
    }
}

fn place(text: &str) -> Result<Place, IssuerError> {
    let bad = || IssuerError::Place(text.to_owned());
    if text.starts_with('/') {
        return Ok(Place::File(text.into()));
    }
    let url: Uri = text.parse().map_err(|_| bad())?;
    let host = url.host().ok_or_else(bad)?;
    let loopback = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    match url.scheme_str() {
        Some("https") => Ok(Place::Url(url)),
        Some("http") if loopback => Ok(Place::Url(url)),
        _ => Err(bad()),
    }
}

/// The body of a GET that is answered with 200. Redirects are not followed: the URL is the operator's word.
async fn fetch(url: &Uri, authorities: Option<&Path>) -> Result<Bytes, String> {
    let text = |error: &dyn std::error::Error| error.to_string();
    let tls = url.scheme_str() == Some("https");
    let host = url.host().unwrap_or_default();
    let port = url.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let stream = TcpStream::connect((host, port)).await.map_err(|error| text(&error))?;
    if !tls {
        return ask(url, TokioIo::new(stream)).await;
    }
    let name = ServerName::try_from(host.to_owned()).map_err(|error| text(&error))?;
    let connector = TlsConnector::from(Arc::new(
        client_config(authorities).map_err(|error| format!("{error}; name a bundle with auth.jwt.ca"))?,
    ));
    let stream = connector.connect(name, stream).await.map_err(|error| text(&error))?;
    ask(url, TokioIo::new(stream)).await
}

async fn ask<S>(url: &Uri, stream: S) -> Result<Bytes, String>
where
    S: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
{
    let handshake = hyper::client::conn::http1::handshake(stream).await;
    let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
    let driving = tokio::spawn(connection);
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let host = url.authority().map(|authority| authority.as_str()).unwrap_or_default();
    let request = Request::get(path).header(HOST, host).body(Empty::<Bytes>::new());
    let answer = sender.send_request(request.map_err(|error| error.to_string())?).await;
    let answer = answer.map_err(|error| error.to_string())?;
    if answer.status() != hyper::StatusCode::OK {
        return Err(format!("it answers {}", answer.status()));
    }
    let body = Limited::new(answer.into_body(), LONGEST).collect().await;
    driving.abort();
    Ok(body.map_err(|error| error.to_string())?.to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_dir::DataDir;
    use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    /// The public key of RFC 8037, appendix A.2.
    const KEYS: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

    fn config(jwks: &str) -> JwtConfig {
        JwtConfig {
            issuer: "i".into(),
            audience: vec!["a".into()],
            jwks: jwks.into(),
            ..JwtConfig::default()
        }
    }

    #[test]
    fn a_file_is_read_at_the_start_and_a_broken_one_stops_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jwks.json");
        let name = path.to_str().unwrap();
        assert!(matches!(Source::open(&config(name)), Err(IssuerError::Read { .. })));
        std::fs::write(&path, "{}").unwrap();
        assert!(matches!(Source::open(&config(name)), Err(IssuerError::Keys { .. })));
        std::fs::write(&path, KEYS).unwrap();
        assert!(Source::open(&config(name)).is_ok());
    }

    #[test]
    fn keys_come_by_tls_or_from_this_machine() {
        for good in ["https://id.example/jwks", "http://127.0.0.1:8080/jwks", "http://localhost/x"] {
            assert!(Source::open(&config(good)).is_ok(), "{good}");
        }
        for bad in [
            "",
            "jwks.json",
            "http://id.example/jwks",
            "http://127.0.0.1.evil.example/",
            "file:///etc/x",
            "ftp://localhost/",
        ] {
            assert!(matches!(Source::open(&config(bad)), Err(IssuerError::Place(_))), "{bad}");
        }
    }

    async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, head: &str, body: &str) {
        let mut request = [0; 1024];
        let _ = stream.read(&mut request).await.unwrap();
        let answer = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes()).await.unwrap();
        let _ = stream.read(&mut request).await;
    }

    async fn answering(head: &'static str, body: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { answer(listener.accept().await.unwrap().0, head, body).await });
        format!("http://{address}/keys?x=1")
    }

    #[tokio::test]
    async fn over_tls_the_certificate_must_come_from_a_trusted_authority() {
        let folder = tempfile::tempdir().unwrap();
        let authority = DataDir::open(folder.path()).unwrap().authority().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(authority.server(crate::tls::names(address, &[])).unwrap());
        tokio::spawn(async move {
            loop {
                let stream = acceptor.accept(listener.accept().await.unwrap().0).await;
                if let Ok(stream) = stream {
                    answer(stream, "200 OK", KEYS).await;
                }
            }
        });
        let with =
            |ca: &Path| JwtConfig { ca: Some(ca.to_owned()), ..config(&format!("https://{address}/keys")) };
        assert!(Source::open(&with(authority.path())).unwrap().look().await.is_ok());
        let other = tempfile::tempdir().unwrap();
        let other = DataDir::open(other.path()).unwrap().authority().unwrap();
        assert!(Source::open(&with(other.path())).unwrap().look().await.is_err());
        assert!(Source::open(&with(Path::new("/nowhere"))).unwrap().look().await.is_err());
    }

    #[tokio::test]
    async fn a_url_is_fetched_and_what_is_no_key_set_is_not_taken() {
        for (head, body, good) in [
            ("200 OK", KEYS, true),
            ("200 OK", "<html>", false),
            ("404 Not Found", KEYS, false),
            ("302 Found\r\nLocation: http://127.0.0.1/", KEYS, false),
        ] {
            let source = Source::open(&config(&answering(head, body).await)).unwrap();
            assert_eq!(source.look().await.is_ok(), good, "{head}");
        }
    }
}
