//! The key that signs receipts, and the check of a receipt by whoever has its public half.
//!
//! ```text
//!   <data-dir>/receipts.key (0600, made at the first start) ─▶ ReceiptKey: impl Signer ─▶ Ed25519 over the canonical payload
//!   cloister receipt verify FILE --key KEY ─▶ check                GET /v1/receipt-key, cloister receipt key ─▶ the public half
//! ```

use crate::data_dir::{DataDir, DataDirError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cloister_core::receipt::{PublicKey, Signature, Signer, canonical};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The key of a data folder.
pub(crate) struct ReceiptKey {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

/// Why a receipt is not good.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum BadReceipt {
    /// It has not the form of one.
    #[error("this is no receipt: {0}")]
    Form(&'static str),
    /// Another server's.
    #[error("it was signed by the key {found}, and this is the key {expected}")]
    OtherKey {
        /// The key of the receipt.
        found: String,
        /// The key it is checked with.
        expected: String,
    },
    /// Something in it was changed.
    #[error("its signature is not that of its payload: something in it was changed")]
    Signature,
    /// The key itself.
    #[error("the public key is not 32 bytes in base64")]
    Key,
}

impl ReceiptKey {
    /// The key of a data folder, made if it is missing.
    pub(crate) fn open(data: &DataDir) -> Result<Self, DataDirError> {
        let seed = data.receipts_key()?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed)
            .map_err(|_| DataDirError::Secret(data.receipts_key_path()))?;
        let public = public(pair.public_key().as_ref());
        Ok(Self { pair, public })
    }
}

impl Signer for ReceiptKey {
    fn sign(&self, text: &[u8]) -> Signature {
        Signature { key: self.public.id.clone(), value: STANDARD.encode(self.pair.sign(text).as_ref()) }
    }

    fn public(&self) -> PublicKey {
        self.public.clone()
    }
}

fn public(bytes: &[u8]) -> PublicKey {
    let digest = Sha256::digest(bytes);
    let id = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    PublicKey { id, value: STANDARD.encode(bytes) }
}

/// The public key that a text holds: its base64.
pub(crate) fn parse_key(text: &str) -> Result<PublicKey, BadReceipt> {
    let bytes = STANDARD.decode(text.trim()).map_err(|_| BadReceipt::Key)?;
    if bytes.len() == 32 { Ok(public(&bytes)) } else { Err(BadReceipt::Key) }
}

/// Checks a receipt; returns its payload.
pub(crate) fn check<'r>(receipt: &'r Value, key: &PublicKey) -> Result<&'r Value, BadReceipt> {
    let payload = receipt.get("payload").filter(|payload| payload.is_object());
    let payload = payload.ok_or(BadReceipt::Form("it has no payload"))?;
    let signature = &receipt["signature"];
    if signature["algorithm"] != "Ed25519" {
        return Err(BadReceipt::Form("it has no Ed25519 signature"));
    }
    let found = signature["key"].as_str().ok_or(BadReceipt::Form("its signature names no key"))?;
    if found != key.id {
        return Err(BadReceipt::OtherKey { found: found.to_owned(), expected: key.id.clone() });
    }
    let value = signature["value"].as_str().and_then(|text| STANDARD.decode(text).ok());
    let value = value.ok_or(BadReceipt::Form("its signature is not base64"))?;
    let bytes = STANDARD.decode(&key.value).map_err(|_| BadReceipt::Key)?;
    UnparsedPublicKey::new(&ED25519, bytes)
        .verify(canonical(payload).as_bytes(), &value)
        .map_err(|_| BadReceipt::Signature)?;
    Ok(payload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_core::receipt::Receipt;
    use serde_json::json;

    #[test]
    fn a_receipt_is_good_with_its_own_key_as_it_was_made_and_not_otherwise() {
        let parent = tempfile::tempdir().unwrap();
        let key = ReceiptKey::open(&DataDir::open(&parent.path().join("a")).unwrap()).unwrap();
        let other = ReceiptKey::open(&DataDir::open(&parent.path().join("b")).unwrap()).unwrap();
        let again = ReceiptKey::open(&DataDir::open(&parent.path().join("a")).unwrap()).unwrap();
        assert_eq!(key.public(), again.public());
        assert_eq!(parse_key(&key.public().value), Ok(key.public()));

        let Value::Object(payload) = json!({ "exit_code": 0, "files": [{ "path": "é.txt", "size": 3 }] })
        else {
            panic!()
        };
        let receipt = Receipt::new(payload, Some(&key)).to_json();
        // As a client may have kept it.
        let receipt: Value = serde_json::from_str(&serde_json::to_string_pretty(&receipt).unwrap()).unwrap();
        assert!(check(&receipt, &key.public()).is_ok());
        assert!(matches!(check(&receipt, &other.public()), Err(BadReceipt::OtherKey { .. })));
        let mut changed = receipt.clone();
        changed["payload"]["exit_code"] = 1.into();
        assert_eq!(check(&changed, &key.public()), Err(BadReceipt::Signature));
        let mut moved = receipt.clone();
        moved["signature"]["key"] = other.public().id.into();
        assert_eq!(check(&moved, &other.public()), Err(BadReceipt::Signature));
        assert!(matches!(check(&json!({ "payload": {} }), &key.public()), Err(BadReceipt::Form(_))));
    }

    /// As a build has made it that named no digest of the image.
    const FORMER: &str = r#"
        {"payload": {"version": 1, "session": "6W0EWPK0TXWVS3C3PM9JK47FP9", "call": 0, "tool": "executeCode", "language":
        "python", "code_sha256": "66febdee61c8bc6baeafc889674266684e13664eff5a8fb026b73f2886b521f8", "tier": "process",
        "image": "analysis", "policy": {"name": "default", "version":
        "b383eb0690a148b960fd32c23bcd2beee644796dbc211f435ce3894a518e354b"}, "began_ms": 1795992723027, "ended": "completed",
        "exit_code": 0, "limits": [], "state": "kept", "wall_us": 12580, "cpu_us": 5186, "memory_peak_bytes": 6545408,
        "stdout_bytes": 5, "stderr_bytes": 0, "files": [{"path": "é.txt", "size": 2, "created": true, "sha256":
        "8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4"}], "files_truncated": false, "egress": [],
        "egress_omitted": 0, "denials": [], "unmeasured": ["bytes_read", "bytes_written"]}, "signature": {"algorithm":
        "Ed25519", "key": "07684f9309ee81d8", "value":
        "zbv7W0WPyO49Xz5XyliVOvSc+VYbfLCkiYKpx0c+i1G0WML+bAKgyUKK+TH9nSdaxwGRU7yFy1sMvlMPw4MzAw=="}}"#;

    #[test]
    fn a_receipt_of_a_former_build_is_still_good() {
        let key = parse_key("qk9RAW1dWLTNLKMzclLHKJSQCjKivFMwUS5qkcEg2Io=").unwrap();
        let receipt: Value = serde_json::from_str(FORMER).unwrap();
        let payload = check(&receipt, &key).unwrap();
        assert_eq!((payload.get("image_digest"), &payload["files"][0]["size"]), (None, &2.into()));
        // Nothing can be added to it either.
        let mut more = receipt;
        more["payload"]["image_digest"] = "0".repeat(64).into();
        assert_eq!(check(&more, &key), Err(BadReceipt::Signature));
    }
}
