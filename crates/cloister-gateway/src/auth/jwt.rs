//! Tokens of an identity provider: JWTs from one configured issuer, verified with its public keys.
//!
//! ```text
//! Bearer a.b.c ─▶ header: alg is RS256, ES256 or EdDSA; kid ─▶ the issuer's key of that kind ─▶ signature ─▶ exp nbf iss aud
//!                                                                                          claims ─▶ name, tenant, roles ─▶ Caller
//! ```
//!
//! The algorithm must be the key's: no `none`, no secret-key algorithm, nothing that the token could choose for itself. Parsing and
//! the checks of times are the jsonwebtoken crate's; the cryptography is ring's, as in the TLS door (`ring.rs`).

mod ring;
#[cfg(test)]
mod tests;

use super::{Caller, Role};
use cloister_core::Principal;
use cloister_core::audit::Method as Shown;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

/// Longest token, in bytes. Stops tokens that only cost time.
const LONGEST: usize = 8_192;
/// How far the issuer's clock may be off, in seconds.
const LEEWAY: u64 = 30;
/// Longest name and tenant, in characters.
const LONGEST_NAME: usize = 128;
/// The tenant of the keys that are issued here without another one. No token may speak for it.
const OWN_TENANT: &str = "local";

/// What an installation expects of its issuer's tokens.
#[derive(Clone, Debug)]
pub struct IssuerSettings {
    /// The exact `iss`.
    pub issuer: String,
    /// Audiences of which `aud` must name one.
    pub audience: Vec<String>,
    /// The claim with the caller's name. Claims are members of the token, or JSON pointers into it (`/realm_access/roles`).
    pub name_claim: String,
    /// Where the tenant comes from.
    pub tenant: Tenant,
    /// The claim with the roles: a list of words, or a text of words.
    pub roles_claim: String,
    /// What the issuer's words mean here; empty if it uses ours.
    pub roles: BTreeMap<String, Role>,
}

/// Where the tenant of a caller comes from.
#[derive(Clone, Debug)]
pub enum Tenant {
    /// From a claim; a token without it is refused.
    Claim(String),
    /// All callers are of one tenant.
    Fixed(String),
}

/// The issuer's key set is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadKeySet;

impl std::fmt::Display for BadKeySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("not a JSON Web Key Set with a public key for RS256, ES256 (P-256) or EdDSA (Ed25519)")
    }
}

impl std::error::Error for BadKeySet {}

struct VerifyingKey {
    id: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

/// An issuer, with its keys of the moment.
pub struct Issuer {
    settings: IssuerSettings,
    keys: RwLock<Arc<Vec<VerifyingKey>>>,
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issuer").field("issuer", &self.settings.issuer).finish_non_exhaustive()
    }
}

impl Issuer {
    /// An issuer without keys: until [`Self::set_keys`], none of its tokens is good.
    pub fn new(settings: IssuerSettings) -> Self {
        ring::install();
        Self { settings, keys: RwLock::default() }
    }

    /// Takes over a JSON Web Key Set in place of the one before. Keys that cannot verify anything here are left out.
    ///
    /// Errors: when no key is left; the ones before stay.
    pub fn set_keys(&self, document: &[u8]) -> Result<(), BadKeySet> {
        let set: JwkSet = serde_json::from_slice(document).map_err(|_| BadKeySet)?;
        let keys: Vec<_> = set.keys.iter().filter_map(verifying).collect();
        if keys.is_empty() {
            return Err(BadKeySet);
        }
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        Ok(())
    }

    /// The caller that a token speaks for; `None` if it is not good, for whatever reason.
    pub(super) fn caller(&self, token: &str) -> Option<Caller> {
        if token.len() > LONGEST {
            return None;
        }
        let header = jsonwebtoken::decode_header(token).ok()?;
        let keys = Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner));
        let mut fitting = keys.iter().filter(|key| {
            key.algorithm == header.alg && header.kid.as_ref().is_none_or(|id| key.id.as_ref() == Some(id))
        });
        // Of several keys, the token must say which.
        let (Some(key), None) = (fitting.next(), fitting.next()) else { return None };
        let mut validation = Validation::new(key.algorithm);
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        validation.set_issuer(&[&self.settings.issuer]);
        validation.set_audience(&self.settings.audience);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        let token = jsonwebtoken::decode::<Map<String, Value>>(token, &key.key, &validation).ok()?;
        self.of_claims(&Value::Object(token.claims))
    }

    fn of_claims(&self, claims: &Value) -> Option<Caller> {
        let settings = &self.settings;
        // The library takes a list that holds the issuer, too; there is one issuer of a token.
        if claims["iss"].as_str() != Some(&settings.issuer) {
            return None;
        }
        let name = text(claim(claims, &settings.name_claim)?)?;
        let tenant = match &settings.tenant {
            Tenant::Claim(name) => text(claim(claims, name)?)?,
            Tenant::Fixed(tenant) => tenant.clone(),
        };
        if tenant == OWN_TENANT {
            return None;
        }
        let words: Vec<&str> = match claim(claims, &settings.roles_claim) {
            Some(Value::Array(words)) => words.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(words)) => words.split_whitespace().collect(),
            _ => Vec::new(),
        };
        let role = |word: &str| match settings.roles.is_empty() {
            true => Role::of(word),
            false => settings.roles.get(word).copied(),
        };
        let mut roles: Vec<Role> = words.into_iter().filter_map(role).collect();
        roles.sort_unstable();
        roles.dedup();
        Some(Caller {
            principal: Principal { tenant, name },
            roles,
            key: None,
            method: Shown::Token,
            source: None,
            expires: Some(claims["exp"].as_u64().or_else(|| claims["exp"].as_f64().map(|at| at as u64))?),
        })
    }
}

/// A member of the claims, or what a JSON pointer leads to.
fn claim<'a>(claims: &'a Value, name: &str) -> Option<&'a Value> {
    if name.starts_with('/') { claims.pointer(name) } else { claims.get(name) }
}

/// A name that can stand in a log and in a store.
fn text(value: &Value) -> Option<String> {
    let text = value.as_str()?;
    let plain = !text.chars().any(char::is_control) && (1..=LONGEST_NAME).contains(&text.chars().count());
    plain.then(|| text.to_owned())
}

/// A key that verifies signatures of the one algorithm that it is for.
fn verifying(jwk: &Jwk) -> Option<VerifyingKey> {
    let (algorithm, word) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
        }
        _ => return None,
    };
    let common = &jwk.common;
    let for_signatures = common.public_key_use.as_ref().is_none_or(|usage| *usage == PublicKeyUse::Signature);
    if !for_signatures || common.key_algorithm.as_ref().is_some_and(|said| *said != word) {
        return None;
    }
    let key = DecodingKey::from_jwk(jwk).ok()?;
    Some(VerifyingKey { id: common.key_id.clone(), algorithm, key })
}
