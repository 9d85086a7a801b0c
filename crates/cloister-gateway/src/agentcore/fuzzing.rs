//! What the AWS door writes and reads, as functions of bytes: see [`crate::fuzzing`].

pub use super::stream::fuzzing::websocket;

use super::event_stream::{event, exception};

/// A name, a NUL, a payload: the message that is written is the message that is read, by the lengths and sums alone.
pub fn event_stream(data: &[u8]) {
    let at = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    let (name, payload) = data.split_at(at);
    let Some(name) = std::str::from_utf8(name).ok().filter(|name| name.len() < 256) else { return };
    let payload = payload.get(1..).unwrap_or_default();
    for message in [event(name, payload), exception(name, payload)] {
        let word = |at: usize| {
            message.get(at..at + 4).and_then(|word| <[u8; 4]>::try_from(word).ok()).map(u32::from_be_bytes)
        };
        let (total, headers) = (word(0).unwrap_or(0) as usize, word(4).unwrap_or(0) as usize);
        assert_eq!(total, message.len(), "the length is the message's");
        assert_eq!(word(8), message.get(..8).map(crc32fast::hash), "the sum of the prelude");
        assert_eq!(word(total - 4), message.get(..total - 4).map(crc32fast::hash), "the sum of the message");
        assert_eq!(message.get(12 + headers..total - 4), Some(payload), "the payload is whole");
    }
}
