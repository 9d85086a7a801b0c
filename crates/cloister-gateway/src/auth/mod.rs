//! Who is calling: the one place that turns a request into a [`Caller`]. Every route goes through it.
//!
//! ```text
//! Auth::Off ─────────────────────────────────────────────────▶ the local principal, admin
//! Authorization: AWS4-HMAC-SHA256 …  ┐ sigv4/  parse ─▶ time, scope ─▶ Keys::signing ─▶ (body's hash) ─▶ signature ┐
//! ?X-Amz-Algorithm=… (streams, GET)  ┘                                                                            ├▶ Caller
//! Authorization: Bearer KEY ──────────── SHA-256 ─▶ Keys::bearer ─────────────────────────────────────────────────┤
//! Authorization: Bearer a.b.c ────────── jwt.rs  the issuer's keys ─────────────────────────────────────────────────┘
//!
//! Caller ─▶ authorize.rs: may it do this?      signature.rs (live_view/): links that a caller has made for people
//!            ├ access.rs: question and answer, by cloister-access (Cedar) or roles.rs
//!            └ calls.rs: asked once more when the body has said what exactly, then done
//! ```
//!
//! Nothing is read from cookies, and nothing but a signature that expires from a query string: the rest would end up in other
//! people's pages and in logs. Why a request is refused is told only as far as the request itself shows it; whether its key is
//! unknown, revoked or expired, or the signature wrong, is one answer.

pub(crate) mod access;
mod authorize;
pub(crate) mod calls;
mod date;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod jwt;
mod keys;
mod roles;
mod sigv4;

pub use access::{Access, AccessMode, Action, Authorizer, Decision, Details, Query, Refused, Resource};
pub(crate) use authorize::{authorize, authorize_with, may};
pub use jwt::{BadKeySet, Issuer, IssuerSettings, Tenant};
pub use keys::{Grant, Keys, Role, SigningKey};
pub use roles::ByRole;

use crate::body;
use crate::percent;
use crate::state::Gateway;
use crate::wire_error::Refusal;
use axum::body::{Body, HttpBody as _};
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, header};
use cloister_core::Principal;
use cloister_core::audit::{Actor, Method as Shown, Origin};
use cloister_core::error::{Error, Kind};
use sha2::{Digest, Sha256};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

/// Bytes of a body above which its hash is taken where it may block.
const LARGE: usize = 1 << 20;

/// Whether requests need a credential, and which are good.
#[derive(Clone, Default)]
pub enum Auth {
    /// Everybody is the local principal. For a loopback address on a machine of one's own, and for tests.
    #[default]
    Off,
    /// Every request but health checks and the scripts of the live view's page needs one.
    On(Arc<dyn Keys>),
}

/// A caller whose credential was good.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// Whose sessions it sees.
    pub(crate) principal: Principal,
    /// What it may do with them.
    pub(crate) roles: Vec<Role>,
    /// The key that vouches for it, by which a connection that lasts is looked at again.
    pub(crate) key: Option<String>,
    /// How it showed who it is.
    pub(crate) method: Shown,
    /// When the credential ends, in seconds since 1970.
    pub(crate) expires: Option<u64>,
    /// Where its request comes from, if that is known.
    pub(crate) source: Option<IpAddr>,
}

impl Caller {
    /// Everybody, where no credential is needed.
    pub(crate) fn local() -> Self {
        Self {
            principal: Principal::local(),
            roles: vec![Role::Admin],
            key: None,
            method: Shown::None,
            expires: None,
            source: None,
        }
    }

    fn of(grant: Grant, method: Shown) -> Self {
        let Grant { id, principal, roles, expires } = grant;
        Self { principal, roles, key: Some(id), method, expires, source: None }
    }

    /// As records name it.
    pub(crate) fn origin(&self) -> Origin {
        let actor = Actor { principal: self.principal.clone(), key: self.key.clone(), method: self.method };
        Origin { actor: Some(actor), source: self.source.map(|address| address.to_string()) }
    }
}

/// Why a request is not answered.
#[derive(Debug)]
pub(crate) enum Denied {
    /// No credential, or none that is good. What it says depends on nothing but the request's own form and time.
    Unauthenticated(String),
    /// The body could not be read, or the keys not be looked at.
    Other(Refusal),
}

impl From<Refusal> for Denied {
    fn from(refusal: Refusal) -> Self {
        Self::Other(refusal)
    }
}

impl From<Error> for Denied {
    fn from(error: Error) -> Self {
        Self::Other(error.into())
    }
}

impl Denied {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self::Unauthenticated(text.into())
    }

    /// The one answer for every key and signature that is not good.
    fn credential() -> Self {
        Self::new(
            "the request carries no valid credential: its key is unknown, revoked or expired, or the signature does not match; \
             `cloister env` prints the key of a server on this machine",
        )
    }

    /// As an answer: the native door knows 401; the service model does not, and SDKs know only the errors of the model.
    pub(crate) fn refusal(self, native: bool) -> Refusal {
        match self {
            Self::Other(refusal) => refusal,
            Self::Unauthenticated(text) => {
                let error = Error::new(Kind::AccessDenied, text);
                if native {
                    Refusal::http(StatusCode::UNAUTHORIZED, "AccessDeniedException", error)
                } else {
                    error.into()
                }
            }
        }
    }
}

/// Whether a path takes a presigned query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presigned {
    /// Streams and pages, whose clients have no header to send.
    Accepted,
    /// Everything else.
    Refused,
}

/// The caller of a request. If its signature covers its body, the body has been read and lies in the extensions afterwards
/// (`body.rs` takes it from there).
pub(crate) async fn identify(
    gateway: &Gateway,
    request: &mut Request,
    presigned: Presigned,
) -> Result<Caller, Denied> {
    let Auth::On(keys) = &gateway.config().auth else { return Ok(Caller::local()) };
    let keys = Arc::clone(keys);
    let now = now();
    let query = request.uri().query().unwrap_or_default();
    let signed_query = presigned == Presigned::Accepted && sigv4::is_presigned(query);
    let Some(value) = authorization(request.headers())? else {
        if !signed_query {
            return Err(Denied::credential());
        }
        return presigned_caller(keys.as_ref(), request, now);
    };
    if signed_query {
        // Two credentials could be read differently by a proxy and by us.
        return Err(Denied::new(
            "the request carries a signature in its query and an Authorization header; send one of them",
        ));
    }
    let (scheme, rest) = value.split_once(' ').unwrap_or((value, ""));
    if scheme.eq_ignore_ascii_case("bearer") {
        let presented = rest.trim_matches(' ');
        return match &gateway.config().issuer {
            // No secret that is issued here has a dot in it.
            Some(issuer) if presented.contains('.') => {
                issuer.caller(presented).ok_or_else(Denied::credential)
            }
            _ => bearer(keys.as_ref(), presented, now),
        };
    }
    if scheme == sigv4::ALGORITHM {
        let claim = sigv4::Claim::of_header(rest, request.headers())?;
        return signed_caller(gateway, keys.as_ref(), &claim, request, now).await;
    }
    Err(Denied::new(format!("the Authorization header must begin with {} or Bearer", sigv4::ALGORITHM)))
}

/// Whether a caller's credential is still good, for connections that last. A failing key store does not cut anybody off.
pub(crate) fn still_good(auth: &Auth, caller: &Caller) -> bool {
    if caller.expires.is_some_and(|at| at <= now()) {
        return false;
    }
    match (auth, &caller.key) {
        (Auth::On(keys), Some(key)) => !matches!(live(keys.grant(key), now()), Ok(None)),
        _ => true,
    }
}

/// The caller for whom a key vouches by its id: the maker of a link.
pub(crate) fn vouched(auth: &Auth, key: &str) -> Result<Option<Caller>, Error> {
    let Auth::On(keys) = auth else { return Ok(None) };
    Ok(live(keys.grant(key), now())?.map(|grant| Caller::of(grant, Shown::Link)))
}

fn live(found: Result<Option<Grant>, Error>, now: u64) -> Result<Option<Grant>, Error> {
    Ok(found?.filter(|grant| grant.expires.is_none_or(|at| at > now)))
}

fn authorization(headers: &HeaderMap) -> Result<Option<&str>, Denied> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| Denied::credential()),
        // Two headers could be read differently by a proxy and by us.
        _ => Err(Denied::new("the request carries two Authorization headers")),
    }
}

fn bearer(keys: &dyn Keys, presented: &str, now: u64) -> Result<Caller, Denied> {
    // 256 random bits cannot be guessed, so one round of a fast hash keeps them as well as a slow one would; and a lookup by
    // hash says nothing by its time, because nobody can choose a hash that shares a prefix with another.
    let digest = Sha256::digest(presented.as_bytes()).into();
    let grant = live(keys.bearer(&digest), now)?.ok_or_else(Denied::credential)?;
    Ok(Caller::of(grant, Shown::Bearer))
}

fn presigned_caller(keys: &dyn Keys, request: &Request, now: u64) -> Result<Caller, Denied> {
    // Such a signature covers an empty body, and what a URL does must not depend on who sends it.
    if !matches!(*request.method(), Method::GET | Method::HEAD) || !request.body().is_end_stream() {
        return Err(Denied::new("a presigned URL is for GET without a body"));
    }
    let pairs =
        percent::decode_query(request.uri().query().unwrap_or_default()).ok_or_else(Denied::credential)?;
    let claim = sigv4::Claim::of_query(&pairs)?;
    claim.check(now)?;
    let key = signing(keys, &claim, now)?;
    let target = sigv4::Target::of(request.method(), request.uri(), request.headers());
    verified(&claim, &key, &target, sigv4::EMPTY)
}

async fn signed_caller(
    gateway: &Gateway,
    keys: &dyn Keys,
    claim: &sigv4::Claim,
    request: &mut Request,
    now: u64,
) -> Result<Caller, Denied> {
    claim.check(now)?;
    // Before anything of the body is read: a stranger must not make this server take 140 MB of it.
    let key = signing(keys, claim, now)?;
    let declared = sigv4::Payload::declared(request.headers())?;
    if let Some(payload) = &declared {
        let target = sigv4::Target::of(request.method(), request.uri(), request.headers());
        verified(claim, &key, &target, payload.text())?;
        if matches!(payload, sigv4::Payload::Unsigned) {
            return Ok(Caller::of(key.grant, Shown::Signature));
        }
    }
    let hash = hash_of_body(gateway, request).await?;
    match declared {
        // The signature covers the declared hash, so it is enough that the body has it.
        Some(payload) if payload.text() != hash => Err(Denied::credential()),
        Some(_) => Ok(Caller::of(key.grant, Shown::Signature)),
        None => {
            let target = sigv4::Target::of(request.method(), request.uri(), request.headers());
            verified(claim, &key, &target, &hash)
        }
    }
}

/// The hash of the body in hexadecimal digits; the body itself goes to the extensions.
async fn hash_of_body(gateway: &Gateway, request: &mut Request) -> Result<String, Denied> {
    if request.body().is_end_stream() {
        return Ok(sigv4::EMPTY.to_owned());
    }
    let body = std::mem::replace(request.body_mut(), Body::empty());
    let held = body::read(gateway, request.headers(), body, body::JSON_LIMIT).await?;
    let bytes = held.bytes.clone();
    request.extensions_mut().insert(held);
    if bytes.len() <= LARGE {
        return Ok(sigv4::hex(&Sha256::digest(&bytes)));
    }
    let hashed = tokio::task::spawn_blocking(move || sigv4::hex(&Sha256::digest(&bytes))).await;
    hashed.map_err(|error| Error::internal("the request could not be checked", error).into())
}

fn signing(keys: &dyn Keys, claim: &sigv4::Claim, now: u64) -> Result<SigningKey, Denied> {
    let found = keys.signing(claim.key())?.filter(|key| key.grant.expires.is_none_or(|at| at > now));
    found.ok_or_else(Denied::credential)
}

fn verified(
    claim: &sigv4::Claim,
    key: &SigningKey,
    target: &sigv4::Target<'_>,
    payload: &str,
) -> Result<Caller, Denied> {
    if claim.verify(key.secret(), target, payload)? {
        Ok(Caller::of(key.grant.clone(), Shown::Signature))
    } else {
        Err(Denied::credential())
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}
