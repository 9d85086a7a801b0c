//! Signatures as functions of bytes: see [`crate::fuzzing`].

use super::sigv4::{Claim, Payload, Target, is_presigned};
use crate::fuzzing::headers;
use crate::percent;
use axum::http::{Method, Uri};

/// `METHOD target`, headers, among them an Authorization: nobody who does not know the secret makes a good signature, and what is read
/// once is read alike again.
pub fn signature(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.lines();
    let (method, target) = lines.next().and_then(|line| line.split_once(' ')).unwrap_or(("GET", "/"));
    let (Ok(method), Ok(uri)) = (method.parse::<Method>(), target.parse::<Uri>()) else { return };
    let headers = headers(lines);
    let _ = Payload::declared(&headers);
    let stated = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let rest = stated.strip_prefix("AWS4-HMAC-SHA256 ").unwrap_or(stated);
    let query = uri.query().unwrap_or_default();
    let presigned = percent::decode_query(query).filter(|_| is_presigned(query));
    let claims =
        [Claim::of_header(rest, &headers).ok(), presigned.and_then(|pairs| Claim::of_query(&pairs).ok())];
    for claim in claims.into_iter().flatten() {
        let _ = claim.check(1_769_862_896);
        let target = Target::of(&method, &uri, &headers);
        // 256 random bits, which no input is made from.
        let secret = "b7c1f0d5a2e94c6b8d3f7a1e5c9b2d4f6a8c0e1b3d5f7a9c2e4b6d8f0a1c3e5b";
        let verified = claim.verify(secret, &target, "UNSIGNED-PAYLOAD");
        assert!(!matches!(verified, Ok(true)), "a signature is good that nobody has made");
        assert_eq!(claim.verify(secret, &target, "UNSIGNED-PAYLOAD").is_ok(), verified.is_ok());
    }
}
