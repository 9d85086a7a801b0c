//! Certificates for the hosts that secrets are bound to, by an authority that lives as long as the server and in memory only.
//!
//! Only sandboxes whose policy has secrets trust it, and its name constraints hold it to these hosts: for any other, a certificate
//! of this authority is worth nothing even there.

use super::Place;
use crate::egress::host::Host;
use crate::egress::rules::Pattern;
use crate::tls::{self, TlsError};
use cloister_core::lock::lock;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, GeneralSubtree, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, NameConstraints,
};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::CertificateDer;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Certificates that are kept. A wildcard stands for any number of hosts, which a guest may ask for one by one.
const KEPT: usize = 256;

/// The authority.
pub(super) struct Mint {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
    made: Mutex<HashMap<String, Arc<ServerConfig>>>,
}

impl Mint {
    /// An authority for `places` and nothing else.
    pub(super) fn new<'a>(places: impl Iterator<Item = &'a Place>) -> Result<Self, TlsError> {
        let mut parameters = CertificateParams::new(Vec::new())?;
        parameters.distinguished_name = DistinguishedName::new();
        parameters.distinguished_name.push(DnType::CommonName, "cloister: hosts of this session's secrets");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        parameters.not_before = (SystemTime::now() - DAY).into();
        parameters.not_after = (SystemTime::now() + 3650 * DAY).into();
        parameters.name_constraints =
            Some(NameConstraints { permitted_subtrees: permitted(places), excluded_subtrees: Vec::new() });
        let key = KeyPair::generate()?;
        let certificate = parameters.self_signed(&key)?;
        let pem = tls::pem(certificate.der());
        let certificate = certificate.der().clone();
        Ok(Self { issuer: Issuer::new(parameters, key), certificate, pem, made: Mutex::default() })
    }

    /// Its own certificate.
    pub(super) fn pem(&self) -> &str {
        &self.pem
    }

    /// What speaks for `host`: HTTP/1.1, since that is what is read here.
    pub(super) fn server(&self, host: &Host) -> Result<Arc<ServerConfig>, TlsError> {
        let name = match host {
            Host::Name(name) => name.clone(),
            Host::Address(address) => address.to_string(),
        };
        if let Some(made) = lock(&self.made).get(&name) {
            return Ok(Arc::clone(made));
        }
        // No subject: GnuTLS takes a common name for a host, which the constraints then refuse.
        let subject = DistinguishedName::new();
        let config = tls::certify(&self.issuer, &self.certificate, subject, vec![name.clone()])?;
        let mut made = lock(&self.made);
        if made.len() >= KEPT {
            made.clear();
        }
        made.insert(name, Arc::clone(&config));
        Ok(config)
    }
}

/// With nothing of one kind (names, addresses), a name that cannot exist, or constraints would not speak of that kind at all.
fn permitted<'a>(places: impl Iterator<Item = &'a Place>) -> Vec<GeneralSubtree> {
    let (mut names, mut addresses) = (Vec::new(), Vec::new());
    for place in places {
        match place {
            Place::Name(Pattern::Exact(name)) => names.push(name.clone()),
            // With the domain itself, which the proxy refuses on its own.
            Place::Name(Pattern::Below(suffix)) => names.push(suffix.trim_start_matches('.').to_owned()),
            Place::Address(IpAddr::V4(address)) => addresses.push(CidrSubnet::V4(address.octets(), [255; 4])),
            Place::Address(IpAddr::V6(address)) => {
                addresses.push(CidrSubnet::V6(address.octets(), [255; 16]));
            }
        }
    }
    if names.is_empty() {
        names.push("none.invalid".into());
    }
    if addresses.is_empty() {
        addresses.push(CidrSubnet::V4([192, 0, 2, 0], [255; 4]));
    }
    let names = names.into_iter().map(GeneralSubtree::DnsName);
    names.chain(addresses.into_iter().map(GeneralSubtree::IpAddress)).collect()
}
