//! The server's own certificate authority: made once per data folder, and a fresh server certificate at every start.
//!
//! ```text
//!   <data-dir>/tls/ca.key (0600) ──signs──▶ certificate of this start, in memory only
//!   <data-dir>/tls/ca.pem ──AWS_CA_BUNDLE, NODE_EXTRA_CA_CERTS──▶ clients that this shell starts
//! ```
//!
//! Nothing is put into the trust store of the machine.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{self, ServerConfig};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Life of a server certificate. A server that runs for longer is started anew before.
const LIFE: u32 = 397;
/// Life of the authority, in days.
const AUTHORITY_LIFE: u32 = 3650;

/// An authority.
pub(crate) struct Authority {
    key: Vec<u8>,
    certificate: Vec<u8>,
    path: PathBuf,
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// A file of the authority.
    #[error("{path}: {source}; remove the folder to let the server make a new authority")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A key or a certificate.
    #[error("a certificate could not be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The TLS library.
    #[error("TLS could not be set up: {0}")]
    Setup(#[from] rustls::Error),
}

impl Authority {
    /// The authority whose key is `key` (PKCS 8). Its certificate lies in `folder`, and is made if it is missing.
    pub(crate) fn open(key: Vec<u8>, folder: &Path) -> Result<Self, TlsError> {
        let path = folder.join("ca.pem");
        let failure = |source| TlsError::File { path: path.clone(), source };
        let pem = match fs::read_to_string(&path) {
            Ok(pem) => pem,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let made = parameters()?.self_signed(&KeyPair::try_from(key.as_slice())?)?;
                let pem = pem(made.der());
                let temporary = folder.join(format!("ca.{}.new", std::process::id()));
                let write = || {
                    fs::write(&temporary, &pem)?;
                    fs::rename(&temporary, &path)
                };
                write().map_err(failure)?;
                pem
            }
            Err(error) => return Err(failure(error)),
        };
        let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        let certificate = STANDARD
            .decode(body)
            .map_err(|error| failure(io::Error::new(io::ErrorKind::InvalidData, error)))?;
        Ok(Self { key, certificate, path })
    }

    /// A new key for an authority.
    pub(crate) fn new_key() -> io::Result<Vec<u8>> {
        Ok(KeyPair::generate().map_err(io::Error::other)?.serialize_der())
    }

    /// The file for clients.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// TLS with a certificate for these names and addresses.
    pub(crate) fn server(&self, names: Vec<String>) -> Result<Arc<ServerConfig>, TlsError> {
        let issuer = Issuer::new(parameters()?, KeyPair::try_from(self.key.as_slice())?);
        certify(&issuer, &self.certificate.clone().into(), named("cloister"), names)
    }
}

/// TLS for HTTP/1.1 with a fresh certificate for these names, by an issuer and its own certificate.
pub(crate) fn certify(
    issuer: &Issuer<'_, KeyPair>,
    certificate: &CertificateDer<'static>,
    subject: DistinguishedName,
    names: Vec<String>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let key = KeyPair::generate()?;
    let mut leaf = CertificateParams::new(names)?;
    leaf.distinguished_name = subject;
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // Strict clients want to see which key of the issuer signed.
    leaf.use_authority_key_identifier_extension = true;
    // Clocks differ.
    leaf.not_before = (SystemTime::now() - DAY).into();
    leaf.not_after = (SystemTime::now() + DAY * LIFE).into();
    let made = leaf.signed_by(&key, issuer)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![made.der().clone(), certificate.clone()], key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// What the authority's certificate says, which is the same whenever it is made from the same key, but for its dates.
fn parameters() -> Result<CertificateParams, rcgen::Error> {
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.distinguished_name = named("cloister: this machine's own authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    authority.not_before = (SystemTime::now() - DAY).into();
    authority.not_after = (SystemTime::now() + DAY * AUTHORITY_LIFE).into();
    Ok(authority)
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// RFC 7468.
pub(crate) fn pem(der: &[u8]) -> String {
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    let encoded = STANDARD.encode(der);
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = more;
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}
