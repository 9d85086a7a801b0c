//! Percent-encoding, strict on the way in: a malformed escape is an error, and never passed through for
//! somebody else to read.

/// Decodes a path segment or a label; `None` for a malformed escape or for bytes that are not UTF-8.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let high = char::from(bytes.next()?).to_digit(16)?;
            let low = char::from(bytes.next()?).to_digit(16)?;
            out.push((high * 16 + low) as u8);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

/// Decodes a query string into pairs; `None` if one of them is malformed. `+` is a space, as in forms.
pub(crate) fn decode_query(query: &str) -> Option<Vec<(String, String)>> {
    let pair = |part: &str| {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        Some((decode(&key.replace('+', " "))?, decode(&value.replace('+', " "))?))
    };
    query.split('&').filter(|part| !part.is_empty()).map(pair).collect()
}

/// Encodes a path, segment by segment: everything but RFC 3986's unreserved characters and the slashes
/// between segments.
pub(crate) fn encode_path(path: &str) -> String {
    encode(path, b"-._~/")
}

/// Encodes a name or a value of a query: everything but the unreserved characters.
pub(crate) fn encode_query(text: &str) -> String {
    encode(text, b"-._~")
}

/// Encodes for RFC 5987 (`filename*=UTF-8''…`): letters, digits and the marks of its `attr-char`.
pub(crate) fn encode_attribute(text: &str) -> String {
    encode(text, b"!#$&+-.^_`|~")
}

fn encode(text: &str, plain: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || plain.contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_decodes_to_the_same() {
        for text in ["a b/ü%.txt", "\r\n\"'", "%2F", ""] {
            assert_eq!(decode(&encode_path(text)).as_deref(), Some(text));
            assert_eq!(decode(&encode_attribute(text)).as_deref(), Some(text));
        }
        assert!(!encode_attribute("a\r\nb\"; x=y").contains(['\r', '\n', '"', ';', ' ', '=']));
    }

    #[test]
    fn malformed_escapes_are_errors() {
        for bad in ["%", "%2", "%zz", "%ff", "%+1", "%c3%28"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
        // Decoded once and only once.
        assert_eq!(decode("%252e").as_deref(), Some("%2e"));
    }

    #[test]
    fn queries_are_pairs_in_order() {
        let pairs = decode_query("a=1&b=x%26y&a=2&c&d=p+q").unwrap();
        let expected = [("a", "1"), ("b", "x&y"), ("a", "2"), ("c", ""), ("d", "p q")];
        assert_eq!(pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect::<Vec<_>>(), expected);
        assert_eq!(decode_query("a=%zz"), None);
    }
}
