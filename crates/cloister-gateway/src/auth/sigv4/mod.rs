//! AWS Signature Version 4, verified: from what a request claims of its signature to whether that is true.
//!
//! ```text
//! Authorization header ─┐
//!                       ├─parse.rs─▶ Claim ──check(now)──▶ time and scope are acceptable
//! X-Amz-… in the query ─┘              └──verify(secret, Target, hash of the body)──▶ true or false, in constant time
//!                                            └── canonical.rs: the text that was signed
//! ```
//!
//! The algorithm is AWS's published one, with what its SDKs do for services other than S3: the path is normalised and encoded a
//! second time. The region is whatever the client is configured with, because a self-hosted server has none; the service must be
//! the one that the AgentCore clients sign for. A session token is not issued here and counts as any other header.

mod canonical;
mod parse;
#[cfg(test)]
mod tests;

pub(super) use canonical::Target;
pub(super) use parse::{Claim, Payload, is_presigned};

use super::Denied;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// The only algorithm.
pub(super) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// SHA-256 of nothing.
pub(super) const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// What the clients of the AgentCore data and control planes sign for.
const SERVICE: &str = "bedrock-agentcore";
/// How far a client's clock may be off, in seconds, as AWS has it. Also the time in which a request could be sent again.
const SKEW: u64 = 300;
/// Longest life of a presigned URL, in seconds: AWS's for live views.
const LONGEST: u64 = 300;

impl Claim {
    /// Fails unless time and scope are ones that this server accepts. Says why: the request shows both itself.
    pub(super) fn check(&self, now: u64) -> Result<(), Denied> {
        let scope = &self.scope;
        if scope.service != SERVICE {
            return Err(Denied::new(format!(
                "the signature is for the service {}, and this server verifies those for {SERVICE}",
                scope.service
            )));
        }
        if !self.stamp.starts_with(&scope.date) {
            return Err(Denied::new("the date of the credential scope is not the day of X-Amz-Date"));
        }
        if self.signed_at > now + SKEW {
            let text =
                "Signature not yet current: X-Amz-Date is more than 5 min ahead of this server's clock";
            return Err(Denied::new(format!("{text}; set the client's clock")));
        }
        let (life, whose) = match self.life {
            None => {
                (SKEW, "X-Amz-Date is more than 5 min behind this server's clock; set the client's clock")
            }
            Some(life) if (1..=LONGEST).contains(&life) => {
                (life, "the time of the presigned URL is over; make a new one")
            }
            Some(_) => return Err(Denied::new(format!("X-Amz-Expires must be 1 to {LONGEST} seconds"))),
        };
        if self.signed_at + life <= now {
            return Err(Denied::new(format!("Signature expired: {whose}")));
        }
        Ok(())
    }

    /// Whether the request was signed with `secret`. `payload` is what stands for the body: its SHA-256 in hexadecimal digits, or
    /// the word of an unsigned one. Fails if the request is not one that can have been signed so.
    pub(super) fn verify(&self, secret: &str, target: &Target<'_>, payload: &str) -> Result<bool, Denied> {
        let canonical = target.canonical(self, payload)?;
        let scope = self.scope.text();
        let text = [ALGORITHM, &self.stamp, &scope, &hex(&Sha256::digest(canonical.as_bytes()))].join("\n");
        let key = [self.scope.date.as_str(), &self.scope.region, &self.scope.service, parse::TERMINATOR]
            .iter()
            .try_fold(format!("AWS4{secret}").into_bytes(), |key, part| {
                Some(mac(&key, part)?.finalize().into_bytes().to_vec())
            });
        let expected = key.and_then(|key| mac(&key, &text));
        // Compares in constant time.
        Ok(expected.is_some_and(|mac| mac.verify_slice(&self.signature).is_ok()))
    }
}

fn mac(key: &[u8], text: &str) -> Option<Hmac<Sha256>> {
    Hmac::<Sha256>::new_from_slice(key).ok().map(|mac| mac.chain_update(text.as_bytes()))
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|b| [b >> 4, b & 15]).map(|n| char::from(DIGITS[usize::from(n)])).collect()
}
