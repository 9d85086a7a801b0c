//! The encoder of `application/vnd.amazon.eventstream`, as botocore and the JavaScript SDK decode it.
//!
//! ```text
//! u32 total | u32 headers length | u32 crc32(first 8 bytes) | headers | payload | u32 crc32(all before)     big-endian
//! header = u8 name length | name | u8 7 (string) | u16 value length | value
//! ```

use bytes::{BufMut, Bytes, BytesMut};

/// The media type of a stream.
pub(crate) const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";

/// Bytes of payload that botocore takes in one message (24 MiB); it refuses more, although the service
/// documents 100 MB.
pub(crate) const MAX_PAYLOAD: usize = 24 * 1024 * 1024;

/// An event of the stream's union: its member name and the JSON of its content.
pub(crate) fn event(name: &str, payload: &[u8]) -> Bytes {
    let headers = [(":event-type", name), (":content-type", "application/json"), (":message-type", "event")];
    message(&headers, payload)
}

/// An exception of the stream's union (`validationException`).
pub(crate) fn exception(name: &str, payload: &[u8]) -> Bytes {
    let headers =
        [(":exception-type", name), (":content-type", "application/json"), (":message-type", "exception")];
    message(&headers, payload)
}

/// An event of a type that no client knows. Both SDKs drop it, and it keeps read timeouts from firing.
pub(crate) fn heartbeat() -> Bytes {
    event("heartbeat", b"{}")
}

fn message(headers: &[(&str, &str)], payload: &[u8]) -> Bytes {
    let header_length: usize = headers.iter().map(|(name, value)| 1 + name.len() + 1 + 2 + value.len()).sum();
    let total = 12 + header_length + payload.len() + 4;
    let mut out = BytesMut::with_capacity(total);
    // Callers keep payloads below MAX_PAYLOAD and header names are constants of this file, so the casts lose
    // nothing.
    out.put_u32(total as u32);
    out.put_u32(header_length as u32);
    out.put_u32(crc32fast::hash(&out));
    for (name, value) in headers {
        out.put_u8(name.len() as u8);
        out.put_slice(name.as_bytes());
        out.put_u8(7);
        out.put_u16(value.len() as u16);
        out.put_slice(value.as_bytes());
    }
    out.put_slice(payload);
    out.put_u32(crc32fast::hash(&out));
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    // Both vectors were parsed with botocore's EventStreamBuffer.
    #[test]
    fn an_event_has_the_bytes_that_botocore_reads() {
        let payload = br#"{"content":[{"type":"text","text":"2"}],"structuredContent":{"stdout":"2","stderr":"","exitCode":0,"executionTime":0.01},"isError":false}"#;
        assert_eq!(
            hex(&event("result", payload)),
            "000000e50000004cfa7c9a7d0b3a6576656e742d74797065070006726573756c740d3a636f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e0d3a6d6573736167652d74797065070005\
             6576656e747b22636f6e74656e74223a5b7b2274797065223a2274657874222c2274657874223a2232227d5d2c2273747275637475726564436f6e74656e74223a7b227374646f7574223a2232222c22737464\
             657272223a22222c2265786974436f6465223a302c22657865637574696f6e54696d65223a302e30317d2c2269734572726f72223a66616c73657dcafd60b9"
        );
    }

    #[test]
    fn an_exception_has_the_bytes_that_botocore_reads() {
        let payload = br#"{"message":"bad","reason":"FieldValidationFailed"}"#;
        assert_eq!(
            hex(&exception("validationException", payload)),
            "000000a30000006168106be10f3a657863657074696f6e2d7479706507001376616c69646174696f6e457863657074696f6e0d3a636f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e\
             0d3a6d6573736167652d74797065070009657863657074696f6e7b226d657373616765223a22626164222c22726561736f6e223a224669656c6456616c69646174696f6e4661696c6564227d86eed7cf"
        );
    }
}
