//! Who is calling: the one place that turns a request into a [`Principal`]. Every route goes through it.
//!
//! ```text
//! no token configured ───────────────────────────────▶ Principal::local()
//! Authorization: Bearer TOKEN ──────────┐
//! Authorization: AWS4-HMAC-SHA256       ├─ equal, in constant time ─▶ Principal::local(), else refused
//!   Credential=TOKEN/20260101/…  ───────┘
//! ```
//!
//! The AWS form lets unmodified SDKs carry the token: it is their access key id. The signature is not
//! verified here; the token alone is the secret. Nothing is read from cookies or from the query string, which
//! end up in other people's pages and in logs. The one exception are links to a live view, because a person who
//! follows a link has no header to send (`live_view/access.rs`).

use crate::config::GatewayConfig;
use axum::http::{HeaderMap, header};
use cloister_core::Principal;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The request carries no credential, or a wrong one. There is no detail on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unauthenticated;

/// The caller of a request.
pub(crate) fn principal(config: &GatewayConfig, headers: &HeaderMap) -> Result<Principal, Unauthenticated> {
    let Some(token) = &config.token else { return Ok(Principal::local()) };
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    // Two headers could be read differently by a proxy and by us.
    let (Some(value), None) = (values.next(), values.next()) else { return Err(Unauthenticated) };
    let presented = value.to_str().ok().and_then(credential).ok_or(Unauthenticated)?;
    judged(config, token, presented)
}

/// The caller who presents this token otherwise than in the header: a presigned URL of a live view, and nothing else.
pub(crate) fn holder(config: &GatewayConfig, presented: &str) -> Result<Principal, Unauthenticated> {
    let Some(token) = &config.token else { return Ok(Principal::local()) };
    judged(config, token, presented)
}

fn judged(config: &GatewayConfig, token: &str, presented: &str) -> Result<Principal, Unauthenticated> {
    // An empty token is a mistake in a configuration, and must not open the door to an empty credential.
    if !token.is_empty() && equal(&config.cursor_key, token, presented) {
        Ok(Principal::local())
    } else {
        Err(Unauthenticated)
    }
}

/// The token in an Authorization header of either form.
fn credential(value: &str) -> Option<&str> {
    let (scheme, rest) = value.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim_matches(' '));
    }
    if scheme != "AWS4-HMAC-SHA256" {
        return None;
    }
    let scope = rest.split(',').find_map(|part| part.trim().strip_prefix("Credential="))?;
    scope.split_once('/').map(|(id, _)| id)
}

/// Compares digests under a secret key instead of the texts, so that the time says nothing about the token's
/// content or length.
fn equal(key: &[u8; 32], expected: &str, presented: &str) -> bool {
    let digest =
        |text: &str| Hmac::<Sha256>::new_from_slice(key).ok().map(|mac| mac.chain_update(text.as_bytes()));
    match (digest(expected), digest(presented)) {
        (Some(expected), Some(presented)) => {
            presented.verify_slice(&expected.finalize().into_bytes()).is_ok()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "correct-horse";

    fn passes(token: Option<&str>, values: &[&str]) -> bool {
        let mut config = GatewayConfig::new([1; 32]);
        config.token = token.map(str::to_owned);
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, value.parse().unwrap());
        }
        principal(&config, &headers).is_ok()
    }

    #[test]
    fn without_a_token_everybody_is_the_local_principal() {
        assert!(passes(None, &[]));
        assert!(passes(
            None,
            &["AWS4-HMAC-SHA256 Credential=local/x/y/z/aws4_request, SignedHeaders=host, Signature=0"]
        ));
    }

    #[test]
    fn the_token_is_taken_as_a_bearer_token_or_as_an_access_key_id() {
        assert!(passes(Some(TOKEN), &["Bearer correct-horse"]));
        assert!(passes(Some(TOKEN), &["bearer correct-horse"]));
        let aws = "AWS4-HMAC-SHA256 Credential=correct-horse/20260101/us-west-2/bedrock-agentcore/aws4_request, \
                   SignedHeaders=host;x-amz-date, Signature=00";
        assert!(passes(Some(TOKEN), &[aws]));
    }

    #[test]
    fn everything_else_is_refused() {
        for bad in [
            "",
            "correct-horse",
            "Bearer",
            "Bearer ",
            "Bearer wrong",
            "Bearer correct-hors",
            "Bearer correct-horsee",
            "Bearer CORRECT-HORSE",
            "Basic correct-horse",
            "AWS4-HMAC-SHA256 Credential=wrong/20260101/x/y/aws4_request",
            "AWS4-HMAC-SHA256 Credential=correct-horse",
            "AWS4-HMAC-SHA256 Signature=correct-horse/",
        ] {
            assert!(!passes(Some(TOKEN), &[bad]), "{bad}");
        }
        assert!(!passes(Some(TOKEN), &[]));
        assert!(!passes(Some(""), &["Bearer "]));
        assert!(!passes(Some(TOKEN), &["Bearer correct-horse", "Bearer correct-horse"]));
    }
}
