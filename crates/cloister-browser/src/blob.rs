//! The base64 `data` of an answer as bytes that count for as long as anybody holds them: a picture goes on into an HTTP answer.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use cloister_core::browser::{Exhausted, Held};
use serde_json::Value;

/// What an answer holds of the budget beside its own bytes until it is sent: base64 again, and the body around it.
const COPIES: usize = 2;

/// Why there are no bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoData {
    /// Chromium's answer has none.
    #[error("the browser sent no data; try again")]
    Empty,
    /// They do not fit.
    #[error("{0}; try again when less is on its way")]
    Exhausted(#[from] Exhausted),
}

struct Owned {
    data: Vec<u8>,
    _held: Held,
}

impl AsRef<[u8]> for Owned {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

/// The bytes. `held` is what the answer itself holds.
pub(crate) fn data((answer, mut held): (Value, Held)) -> Result<Bytes, NoData> {
    let encoded = answer.get("data").and_then(Value::as_str).unwrap_or_default();
    held.grow(encoded.len().saturating_mul(COPIES))?;
    match STANDARD.decode(encoded) {
        Ok(data) if !data.is_empty() => Ok(Bytes::from_owner(Owned { data, _held: held })),
        _ => Err(NoData::Empty),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_core::browser::Budget;
    use serde_json::json;

    #[test]
    fn bytes_count_until_the_last_holder_goes() {
        let budget = Budget::new(100);
        let picture = |text: &str| data((json!({"data": STANDARD.encode(text)}), budget.hold(20).unwrap()));
        let (first, second) = (picture("0123456789").unwrap(), picture("0").unwrap());
        assert_eq!((&first[..], budget.used()), (&b"0123456789"[..], 20 + 32 + 20 + 8));
        assert!(matches!(picture("0"), Err(NoData::Exhausted(_))));
        drop(second);
        let part = first.slice(..1);
        drop(first);
        assert_eq!(budget.used(), 52);
        drop(part);
        assert_eq!((budget.used(), picture("")), (0, Err(NoData::Empty)));
    }
}
