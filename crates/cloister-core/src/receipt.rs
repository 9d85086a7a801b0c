//! The receipt of a call: what was run under which policy, what it used, changed and reached, signed by the server.
//!
//! ```text
//!   call's events ─▶ Tally ─▶ payload (JSON) ─▶ canonical text (RFC 8785) ─▶ dyn Signer ─▶ Receipt ─┬─▶ native answer
//!   egress, denials (Desk) ──▶                                                                      └─▶ the audit log
//! ```
//!
//! A field that the tier cannot measure is absent, and its name stands in `unmeasured`. Numbers are whole, so that every program
//! writes them alike; there are no members but ASCII ones, so that sorting them by code points is sorting them by UTF-16.

use serde_json::{Map, Value, json};

/// The version of the payload's form.
pub const VERSION: u32 = 1;

/// Makes signatures that anybody with the server's public key can check.
pub trait Signer: Send + Sync + 'static {
    /// The signature of a text.
    fn sign(&self, text: &[u8]) -> Signature;
    /// What its signatures are checked with.
    fn public(&self) -> PublicKey;
}

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// The first 16 hexadecimal digits of the SHA-256 of its 32 bytes.
    pub id: String,
    /// The 32 bytes, in base64.
    pub value: String,
}

/// A signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The id of the key that has signed.
    pub key: String,
    /// Ed25519, in base64.
    pub value: String,
}

/// A receipt. Without a signer it carries no signature.
#[derive(Clone, Debug, PartialEq)]
pub struct Receipt {
    /// What is signed, by its canonical text.
    pub payload: Value,
    /// By whom.
    pub signature: Option<Signature>,
}

impl Receipt {
    /// Signs a payload.
    pub fn new(payload: Map<String, Value>, signer: Option<&dyn Signer>) -> Self {
        let payload = Value::Object(payload);
        let signature = signer.map(|signer| signer.sign(canonical(&payload).as_bytes()));
        Self { payload, signature }
    }

    /// As it stands in answers and in the log.
    pub fn to_json(&self) -> Value {
        let signature = self
            .signature
            .as_ref()
            .map(|Signature { key, value }| json!({ "algorithm": "Ed25519", "key": key, "value": value }));
        json!({ "payload": self.payload, "signature": signature })
    }
}

/// The canonical text of a value (RFC 8785): members sorted, no blanks, strings with the shortest escapes. For whole numbers only.
pub fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text);
    text
}

fn write(value: &Value, to: &mut String) {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by(|a, b| a.0.encode_utf16().cmp(b.0.encode_utf16()));
            to.push('{');
            for (at, (name, value)) in members.into_iter().enumerate() {
                if at > 0 {
                    to.push(',');
                }
                write(&Value::from(name.as_str()), to);
                to.push(':');
                write(value, to);
            }
            to.push('}');
        }
        Value::Array(items) => {
            to.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    to.push(',');
                }
                write(item, to);
            }
            to.push(']');
        }
        // Serde writes these as the standard wants them.
        other => to.push_str(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_canonical_text_does_not_depend_on_the_order_of_members() {
        let one = json!({ "b": [1, true, null], "a": "é\n\u{1}\"\\/", "c": { "z": -1, "y": {} } });
        let text = canonical(&one);
        assert_eq!(text, "{\"a\":\"é\\n\\u0001\\\"\\\\/\",\"b\":[1,true,null],\"c\":{\"y\":{},\"z\":-1}}");
        assert_eq!(canonical(&serde_json::from_str(&text).unwrap()), text);
    }
}
