//! Keys that a test hands out, and a signer that knows nothing of the server's code.

use crate::server::Call;
use cloister_core::Principal;
use cloister_core::error::Error;
use cloister_gateway::{Grant, Keys, Role, SigningKey, iso8601};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

/// The region and the service of every signature here.
const SCOPE: &str = "us-west-2/bedrock-agentcore/aws4_request";

/// A key of a test.
#[derive(Clone)]
pub struct Key {
    pub grant: Grant,
    pub secret: String,
    pub token: String,
}

impl Key {
    pub fn bearer(&self) -> String {
        format!("Bearer {}", self.token)
    }
}

/// The keys of a server under test.
#[derive(Default)]
pub struct TestKeys(Mutex<Vec<Key>>);

impl TestKeys {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// One key of the local principal.
    pub fn with_token(token: &str) -> Arc<Self> {
        let keys = Self::new();
        let key = keys.issue("local", "local", &[Role::Admin]);
        keys.0.lock().unwrap()[0] = Key { token: token.into(), ..key };
        keys
    }

    /// A further key.
    pub fn issue(&self, tenant: &str, name: &str, roles: &[Role]) -> Key {
        let mut keys = self.0.lock().unwrap();
        let id = format!("CLOITESTKEY{:09}", keys.len());
        let principal = Principal { tenant: tenant.into(), name: name.into() };
        let (secret, token) = (format!("secret-of-{id}"), format!("token-of-{id}"));
        let key = Key { grant: Grant { id, principal, roles: roles.to_vec(), expires: None }, secret, token };
        keys.push(key.clone());
        key
    }

    /// Lets a key expire at a point in time.
    pub fn expire(&self, key: &Key, at: SystemTime) {
        let at = at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        for known in self.0.lock().unwrap().iter_mut().filter(|known| known.grant.id == key.grant.id) {
            known.grant.expires = Some(at);
        }
    }

    pub fn revoke(&self, key: &Key) {
        self.0.lock().unwrap().retain(|known| known.grant.id != key.grant.id);
    }

    fn find(&self, found: impl Fn(&Key) -> bool) -> Option<Key> {
        self.0.lock().unwrap().iter().find(|key| found(key)).cloned()
    }
}

impl Keys for TestKeys {
    fn signing(&self, id: &str) -> Result<Option<SigningKey>, Error> {
        Ok(self.find(|key| key.grant.id == id).map(|key| SigningKey::new(key.grant, key.secret)))
    }

    fn bearer(&self, digest: &[u8; 32]) -> Result<Option<Grant>, Error> {
        Ok(self.find(|key| Sha256::digest(&key.token)[..] == digest[..]).map(|key| key.grant))
    }

    fn grant(&self, id: &str) -> Result<Option<Grant>, Error> {
        Ok(self.find(|key| key.grant.id == id).map(|key| key.grant))
    }
}

/// How a request is signed; every field is a way to do it wrong.
pub struct Signing<'a> {
    pub key: &'a Key,
    /// Seconds that the signer's clock is ahead.
    pub ahead: i64,
    pub scope: &'a str,
    /// Declared in `x-amz-content-sha256`, and signed.
    pub declared: Option<&'a str>,
}

impl<'a> Signing<'a> {
    pub fn by(key: &'a Key) -> Self {
        Self { key, ahead: 0, scope: SCOPE, declared: None }
    }

    /// The call with its signature. Paths must need no normalisation, and no header but Host is signed besides ours.
    pub fn sign(&self, call: Call) -> Call {
        let stamp = stamp(self.ahead);
        let hash = hex(&Sha256::digest(&call.body));
        let host = call.headers.iter().find(|(name, _)| name == "host").unwrap().1.clone();
        let (mut headers, mut names) = (format!("host:{host}\n"), "host".to_owned());
        if let Some(declared) = self.declared {
            headers += &format!("x-amz-content-sha256:{declared}\n");
            names += ";x-amz-content-sha256";
        }
        headers += &format!("x-amz-date:{stamp}\n");
        names += ";x-amz-date";
        let (path, query) = call.path.split_once('?').unwrap_or((&call.path, ""));
        let path = path.replace('%', "%25");
        let payload = self.declared.unwrap_or(&hash);
        let canonical = format!("{}\n{path}\n{query}\n{headers}\n{names}\n{payload}", call.method);
        let signature = self.signature(&stamp, &canonical);
        let scope = format!("{}/{}/{}", self.key.grant.id, &stamp[..8], self.scope);
        let value =
            format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={names}, Signature={signature}");
        let call = call.header("x-amz-date", &stamp).header("authorization", &value);
        match self.declared {
            Some(declared) => call.header("x-amz-content-sha256", declared),
            None => call,
        }
    }

    /// The presigned query of a GET.
    pub fn query(&self, host: &str, path: &str, expires: u64) -> String {
        let stamp = stamp(self.ahead);
        let credential = format!("{}/{}/{}", self.key.grant.id, &stamp[..8], self.scope).replace('/', "%2F");
        let query = format!(
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={credential}&X-Amz-Date={stamp}&X-Amz-Expires={expires}\
             &X-Amz-SignedHeaders=host"
        );
        let empty = hex(&Sha256::digest(""));
        let canonical = format!("GET\n{path}\n{query}\nhost:{host}\n\nhost\n{empty}");
        format!("{query}&X-Amz-Signature={}", self.signature(&stamp, &canonical))
    }

    fn signature(&self, stamp: &str, canonical: &str) -> String {
        let scope = format!("{}/{}", &stamp[..8], self.scope);
        let text = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
        let key = scope
            .split('/')
            .fold(format!("AWS4{}", self.key.secret).into_bytes(), |key, part| mac(&key, part));
        hex(&mac(&key, &text))
    }
}

fn stamp(ahead: i64) -> String {
    let shift = Duration::from_secs(ahead.unsigned_abs());
    let now = SystemTime::now();
    let at = if ahead < 0 { now - shift } else { now + shift };
    let text = iso8601(at);
    format!("{}Z", text.split('.').next().unwrap().replace(['-', ':'], ""))
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(text).finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
