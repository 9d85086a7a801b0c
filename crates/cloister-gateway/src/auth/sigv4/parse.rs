//! What a request says about its signature, before anything of it is believed.
//!
//! Strict: every part once, none that is not known, nothing that has to be guessed. What is read leniently could be read
//! differently by somebody else.

use super::super::{Denied, date};
use super::ALGORITHM;
use axum::http::HeaderMap;

/// The last part of every scope.
pub(super) const TERMINATOR: &str = "aws4_request";
/// Longest part of a credential scope, and longest access key id.
const LONGEST_PART: usize = 128;
/// Most headers that a signature may name; a request has no more than 100.
const MOST_HEADERS: usize = 100;

/// The scope of a credential: what its derived key is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scope {
    pub(super) date: String,
    pub(super) region: String,
    pub(super) service: String,
}

impl Scope {
    pub(super) fn text(&self) -> String {
        [&self.date, &self.region, &self.service, TERMINATOR].join("/")
    }
}

/// A claimed signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Claim {
    key: String,
    pub(super) scope: Scope,
    /// Lower-case names, ascending, with `host` among them.
    pub(super) signed_headers: Vec<String>,
    pub(super) signature: [u8; 32],
    /// `X-Amz-Date` as it stood.
    pub(super) stamp: String,
    pub(super) signed_at: u64,
    /// Seconds; `None` for the header form.
    pub(super) life: Option<u64>,
}

impl Claim {
    /// The access key id.
    pub(in super::super) fn key(&self) -> &str {
        &self.key
    }

    /// From an Authorization header, without its algorithm, and `X-Amz-Date`.
    pub(in super::super) fn of_header(rest: &str, headers: &HeaderMap) -> Result<Self, Denied> {
        let incomplete = || {
            Denied::new(format!(
                "the Authorization header must be {ALGORITHM} Credential=…, SignedHeaders=…, Signature=…, each of them once"
            ))
        };
        let [mut credential, mut signed, mut signature] = [None; 3];
        for part in rest.split(',') {
            let (name, value) = part.trim().split_once('=').ok_or_else(incomplete)?;
            let slot = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed,
                "Signature" => &mut signature,
                _ => return Err(incomplete()),
            };
            if slot.replace(value).is_some() {
                return Err(incomplete());
            }
        }
        let (Some(credential), Some(signed), Some(signature)) = (credential, signed, signature) else {
            return Err(incomplete());
        };
        let mut dates = headers.get_all("x-amz-date").iter();
        let (Some(stamp), None) = (dates.next(), dates.next()) else {
            return Err(Denied::new("a signed request must have X-Amz-Date, and once"));
        };
        let claim = Self::new(credential, signed, signature, stamp.to_str().unwrap_or_default(), None)?;
        if !claim.signed_headers.iter().any(|name| name == "x-amz-date") {
            return Err(Denied::new("X-Amz-Date must be among the signed headers"));
        }
        Ok(claim)
    }

    /// From a query, decoded.
    pub(in super::super) fn of_query(pairs: &[(String, String)]) -> Result<Self, Denied> {
        let part = |name: &str| {
            let mut values = pairs.iter().filter(|(key, _)| key == name);
            match (values.next(), values.next()) {
                (Some((_, value)), None) => Ok(value.as_str()),
                _ => Err(Denied::new(format!("a presigned URL must have {name}, and once"))),
            }
        };
        if part("X-Amz-Algorithm")? != ALGORITHM {
            return Err(Denied::new(format!("X-Amz-Algorithm must be {ALGORITHM}")));
        }
        let life = part("X-Amz-Expires")?;
        let digits = life.len() <= 6 && life.bytes().all(|b| b.is_ascii_digit());
        let life = life
            .parse()
            .ok()
            .filter(|_| digits)
            .ok_or_else(|| Denied::new("X-Amz-Expires must be a number"))?;
        Self::new(
            part("X-Amz-Credential")?,
            part("X-Amz-SignedHeaders")?,
            part("X-Amz-Signature")?,
            part("X-Amz-Date")?,
            Some(life),
        )
    }

    fn new(
        credential: &str,
        signed_headers: &str,
        signature: &str,
        stamp: &str,
        life: Option<u64>,
    ) -> Result<Self, Denied> {
        let parts: Vec<&str> = credential.split('/').collect();
        let [key, day, region, service, TERMINATOR] = parts[..] else {
            return Err(Denied::new(format!(
                "the credential must be KEY/YYYYMMDD/REGION/SERVICE/{TERMINATOR}"
            )));
        };
        let plain = |text: &str| {
            (1..=LONGEST_PART).contains(&text.len())
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        if ![key, region, service].into_iter().all(plain) || day.len() != 8 {
            return Err(Denied::new("the credential holds characters that no key, region or service has"));
        }
        let names: Vec<String> = signed_headers.split(';').map(str::to_owned).collect();
        let named = |name: &String| {
            !name.is_empty()
                && name
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
        };
        // Ascending and each once, as the algorithm has it.
        let ascending = names.windows(2).all(|pair| pair[0] < pair[1]);
        if names.len() > MOST_HEADERS || !names.iter().all(named) || !ascending {
            return Err(Denied::new("SignedHeaders must be lower-case names in order, joined by semicolons"));
        }
        if !names.iter().any(|name| name == "host") {
            return Err(Denied::new("Host must be among the signed headers"));
        }
        let signature =
            unhex(signature).ok_or_else(|| Denied::new("a signature is 64 lower-case hexadecimal digits"))?;
        let signed_at =
            date::seconds(stamp).ok_or_else(|| Denied::new("X-Amz-Date must be YYYYMMDDThhmmssZ"))?;
        Ok(Self {
            key: key.to_owned(),
            scope: Scope { date: day.to_owned(), region: region.to_owned(), service: service.to_owned() },
            signed_headers: names,
            signature,
            stamp: stamp.to_owned(),
            signed_at,
            life,
        })
    }
}

/// What a request declares to stand for its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Payload {
    /// SHA-256 in hexadecimal digits.
    Hash(String),
    /// The client chose not to sign the body. Its own choice, and signed as such.
    Unsigned,
}

impl Payload {
    const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

    /// From `x-amz-content-sha256`; botocore sends none, and then the body's own hash counts.
    pub(in super::super) fn declared(headers: &HeaderMap) -> Result<Option<Self>, Denied> {
        let mut values = headers.get_all("x-amz-content-sha256").iter();
        let value = match (values.next(), values.next()) {
            (None, _) => return Ok(None),
            (Some(value), None) => value.to_str().unwrap_or_default(),
            _ => return Err(Denied::new("the request carries two x-amz-content-sha256 headers")),
        };
        if value == Self::UNSIGNED {
            return Ok(Some(Self::Unsigned));
        }
        match unhex(value) {
            Some(_) => Ok(Some(Self::Hash(value.to_owned()))),
            None => Err(Denied::new(format!(
                "x-amz-content-sha256 must be 64 lower-case hexadecimal digits or {}; chunked signatures are not taken",
                Self::UNSIGNED
            ))),
        }
    }

    /// As it stands in the signed text.
    pub(in super::super) fn text(&self) -> &str {
        match self {
            Self::Hash(hash) => hash,
            Self::Unsigned => Self::UNSIGNED,
        }
    }
}

/// Whether a query tries to be a presigned one.
pub(in super::super) fn is_presigned(query: &str) -> bool {
    query.split('&').any(|pair| pair.starts_with("X-Amz-Algorithm=") || pair.starts_with("X-Amz-Signature="))
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let text: &[u8; 64] = text.as_bytes().try_into().ok()?;
    let mut out = [0; 32];
    for (slot, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
        *slot = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(out)
}
