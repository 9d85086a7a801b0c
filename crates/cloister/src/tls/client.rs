//! TLS to other servers: whose certificates are believed.

use std::path::Path;
use std::sync::Arc;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

/// Where systems keep the certificates of the authorities that they trust.
const BUNDLES: [&str; 2] = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

/// A client that believes the authorities in a PEM file; without one, those of this system.
pub(crate) fn client_config(authorities: Option<&Path>) -> Result<ClientConfig, String> {
    let system = || BUNDLES.iter().map(Path::new).find(|path| path.exists());
    let bundle = authorities.or_else(system).ok_or("this system has no bundle of certificates")?;
    let failed = |error: String| format!("{}: {error}", bundle.display());
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(bundle).map_err(|error| failed(error.to_string()))?;
    // Some of a system's bundle are of kinds that this library does not take.
    roots.add_parsable_certificates(certificates.flatten());
    if roots.is_empty() {
        return Err(failed("no certificate in it".into()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config =
        config.map_err(|error| error.to_string())?.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
