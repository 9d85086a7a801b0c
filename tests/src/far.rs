//! A server on a loopback address of its own that remembers what it was asked, with TLS by an authority that nobody else trusts.
//!
//! ```text
//!   session ──▶ egress proxy ──▶ Far: reads one request, keeps it, answers with what the test says, closes
//! ```
#![expect(clippy::unwrap_used, reason = "support code of tests: a failure here is a failed test")]

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{self, ServerConfig, ServerConnection, StreamOwned};

/// Longest time for one read.
const PATIENCE: Duration = Duration::from_secs(20);

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Method, path and version.
    pub line: String,
    /// The head's other lines.
    pub headers: Vec<String>,
    /// The body, out of its chunks.
    pub body: Vec<u8>,
}

impl Asked {
    /// What stands after the method.
    pub fn path(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or_default()
    }

    /// The value of a header, by its name in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let named = |line: &&String| line.split(':').next().is_some_and(|n| n.eq_ignore_ascii_case(name));
        self.headers.iter().find(named).and_then(|line| line.split_once(':')).map(|(_, value)| value.trim())
    }
}

/// Makes the whole answer, head and body.
type Answer = dyn Fn(&Asked) -> Vec<u8> + Send + Sync;

/// The server.
pub struct Far {
    /// Where it listens.
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// An authority for test servers.
pub struct TestAuthority {
    key: KeyPair,
    pem: String,
    parameters: CertificateParams,
}

impl Default for TestAuthority {
    fn default() -> Self {
        Self::new()
    }
}

impl TestAuthority {
    /// A fresh one.
    pub fn new() -> Self {
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        // The default would be that of its servers too, and look like a certificate that has signed itself.
        parameters.distinguished_name.push(DnType::CommonName, "an authority of a test");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = pem(parameters.self_signed(&key).unwrap().der());
        Self { key, pem, parameters }
    }

    /// Its certificate, for those who are to trust it.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    fn server(&self, names: Vec<String>) -> Arc<ServerConfig> {
        let issuer = Issuer::new(self.parameters.clone(), &self.key);
        let key = KeyPair::generate().unwrap();
        let mut leaf = CertificateParams::new(names).unwrap();
        leaf.use_authority_key_identifier_extension = true;
        let certificate = leaf.signed_by(&key, &issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key);
        Arc::new(config.unwrap())
    }
}

/// RFC 7468.
fn pem(der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line)).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

/// 127.0.0.0/8 is this host's; an address of this process's own, and of one server in it, which no proxy variable exempts.
fn own_address() -> IpAddr {
    static NEXT: AtomicU8 = AtomicU8::new(90);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, NEXT.fetch_add(1, Ordering::SeqCst), high, low))
}

impl Far {
    /// A server of plain HTTP.
    pub fn plain(answer: impl Fn(&Asked) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::open(None, Arc::new(answer))
    }

    /// The same behind TLS, with a certificate for its address.
    pub fn tls(
        authority: &TestAuthority,
        answer: impl Fn(&Asked) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        Self::open(Some(authority), Arc::new(answer))
    }

    fn open(authority: Option<&TestAuthority>, answer: Arc<Answer>) -> Self {
        let listener = TcpListener::bind((own_address(), 0)).unwrap();
        let address = listener.local_addr().unwrap();
        // Where a host is an address and not a name, npm compares the certificate with `localhost`.
        let names = || vec![address.ip().to_string(), "localhost".to_owned()];
        let config = authority.map(|authority| authority.server(names()));
        let (asked, ending) = (Arc::<Mutex<Vec<Asked>>>::default(), Arc::new(AtomicBool::new(false)));
        let (log, end) = (Arc::clone(&asked), Arc::clone(&ending));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if end.load(Ordering::SeqCst) {
                    break;
                }
                let (config, log, answer) = (config.clone(), Arc::clone(&log), Arc::clone(&answer));
                // Clients open a second connection while the first waits.
                std::thread::spawn(move || {
                    let _ = stream.set_read_timeout(Some(PATIENCE));
                    match config.map(ServerConnection::new) {
                        Some(Ok(tls)) => serve(StreamOwned::new(tls, stream), &log, &*answer),
                        Some(Err(_)) => {}
                        None => serve(stream, &log, &*answer),
                    }
                });
            }
        });
        Self { address, asked, ending, thread: Some(thread) }
    }

    /// What was asked since the last time.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    /// The lines of a policy's network part by which this server is reached.
    pub fn rules(&self) -> String {
        let (ip, port) = (self.address.ip(), self.address.port());
        format!("mode = \"allowlist\"\nallowed_cidrs = [\"{ip}/32\"]\nports = [{port}]\n")
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        drop(self.thread.take().map(JoinHandle::join));
    }
}

fn serve(mut stream: impl Read + Write, log: &Mutex<Vec<Asked>>, answer: &Answer) {
    let Some(asked) = read(&mut stream) else { return };
    log.lock().unwrap().push(asked.clone());
    // Byte streams come in pieces anyway; these are cut where no program would cut them.
    let answer = answer(&asked);
    for piece in answer.chunks(answer.len().div_ceil(7).max(1)) {
        if stream.write_all(piece).and_then(|()| stream.flush()).is_err() {
            return;
        }
    }
}

fn read(stream: &mut impl Read) -> Option<Asked> {
    let head = read_until(stream, b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut lines = head.trim_end().split("\r\n").map(str::to_owned);
    let mut asked = Asked { line: lines.next()?, headers: lines.collect(), body: Vec::new() };
    if let Some(length) = asked.header("content-length").and_then(|length| length.parse().ok()) {
        asked.body = vec![0; length];
        stream.read_exact(&mut asked.body).ok()?;
    } else if asked.header("transfer-encoding").is_some() {
        loop {
            let line = String::from_utf8(read_until(stream, b"\r\n")?).ok()?;
            let size = usize::from_str_radix(line.trim(), 16).ok()?;
            let mut chunk = vec![0; size + 2];
            stream.read_exact(&mut chunk).ok()?;
            if size == 0 {
                break;
            }
            asked.body.extend(&chunk[..size]);
        }
    }
    Some(asked)
}

fn read_until(stream: &mut impl Read, end: &[u8]) -> Option<Vec<u8>> {
    let (mut all, mut byte) = (Vec::new(), [0]);
    while !all.ends_with(end) {
        stream.read_exact(&mut byte).ok()?;
        all.push(byte[0]);
    }
    Some(all)
}

/// An answer with this status, type and body.
pub fn answer(status: &str, kind: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}
