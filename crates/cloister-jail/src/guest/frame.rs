//! The framing of both channels: two lengths, a JSON object, a blob.
//!
//! ```text
//! u32 json_length | u32 blob_length | json | blob        (big-endian)
//! ```

use serde::{Serialize, de::DeserializeOwned};

/// Bytes of the two lengths.
pub const HEADER: usize = 8;

/// Bytes of a reader's buffer that stay allocated: in init they are the guest's memory.
const KEPT: usize = 1 << 16;

/// Bytes that one read takes when no frame has begun: most frames are smaller.
const SMALL: usize = 4 << 10;
/// The most that one read takes of a frame that has begun. A header that promises more than arrives costs no more than this.
const LARGE: usize = 256 << 10;

/// Limits of one direction of one channel. They are checked before anything is allocated, so that a length of 2^32-1 costs nothing.
#[derive(Clone, Copy, Debug)]
pub struct Caps {
    /// Bytes of JSON.
    pub json: usize,
    /// Bytes of blob.
    pub blob: usize,
}

/// From a driver, which shares its process with guest code.
pub const CELL: Caps = Caps { json: 1 << 20, blob: 8 << 20 };
/// Between server and init.
pub const CONTROL: Caps = Caps { json: 1 << 20, blob: 128 << 20 };

/// Why bytes are no frame. The channel is closed: framing is lost and nothing can be resynchronised on.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// A length is above its cap.
    #[error("a message of {json} bytes with a blob of {blob} bytes exceeds the channel's limit")]
    TooLarge {
        /// JSON bytes.
        json: usize,
        /// Blob bytes.
        blob: usize,
    },
    /// The JSON is not a message of this channel.
    #[error("a frame holds no message of this channel: {0}")]
    Json(#[from] serde_json::Error),
}

/// The two lengths of a frame, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lengths {
    /// Bytes of JSON.
    pub json: usize,
    /// Bytes of blob.
    pub blob: usize,
}

impl Lengths {
    /// Reads the header, refusing lengths above `caps`.
    pub fn parse(header: [u8; HEADER], caps: Caps) -> Result<Self, FrameError> {
        let [a, b, c, d, e, f, g, h] = header;
        let json = u32::from_be_bytes([a, b, c, d]) as usize;
        let blob = u32::from_be_bytes([e, f, g, h]) as usize;
        if json > caps.json || blob > caps.blob {
            return Err(FrameError::TooLarge { json, blob });
        }
        Ok(Self { json, blob })
    }

    /// Bytes of the whole frame.
    pub fn total(self) -> usize {
        HEADER + self.json + self.blob
    }
}

/// A message as bytes, without a look at the channel's limits: for what is small by its making.
///
/// Fails when `message` does not serialise or is longer than four gigabytes; both are bugs of the sender.
pub fn encode<M: Serialize>(message: &M, blob: &[u8]) -> Result<Vec<u8>, FrameError> {
    let most = u32::MAX as usize;
    let mut out = head(message, blob.len(), Caps { json: most, blob: most })?;
    out.extend_from_slice(blob);
    Ok(out)
}

/// What stands before a blob of `blob` bytes: the lengths and the message. Fails where the receiver would close the channel.
pub fn head<M: Serialize>(message: &M, blob: usize, caps: Caps) -> Result<Vec<u8>, FrameError> {
    let mut out = vec![0; HEADER];
    serde_json::to_writer(&mut out, message)?;
    let json = out.len() - HEADER;
    let too_large = || FrameError::TooLarge { json, blob };
    if json > caps.json || blob > caps.blob {
        return Err(too_large());
    }
    let lengths = [json, blob].map(|length| u32::try_from(length).map(u32::to_be_bytes));
    for (place, length) in out.chunks_exact_mut(HEADER / 2).zip(lengths) {
        place.copy_from_slice(&length.map_err(|_| too_large())?);
    }
    Ok(out)
}

/// Collects bytes as they arrive and yields whole frames.
#[derive(Debug)]
pub struct Reader {
    caps: Caps,
    buffer: Vec<u8>,
    start: usize,
}

impl Reader {
    /// A reader with the caps of its channel.
    pub fn new(caps: Caps) -> Self {
        Self { caps, buffer: Vec::new(), start: 0 }
    }

    /// Takes larger frames from now on, from a peer that has proved itself.
    pub fn trust(&mut self, caps: Caps) {
        self.caps = caps;
    }

    /// Adds bytes that were read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.rewind();
        self.buffer.extend_from_slice(bytes);
    }

    /// Lets `read` put bytes into the buffer itself, and passes on what it returns: how many there were. It is offered what is missing
    /// of the frame that has begun, so that a large frame needs few reads and a small one little memory.
    pub fn fill<E>(&mut self, read: impl FnOnce(&mut [u8]) -> Result<usize, E>) -> Result<usize, E> {
        self.rewind();
        let (end, room) = (self.buffer.len(), self.missing().clamp(SMALL, LARGE));
        self.buffer.resize(end + room, 0);
        let got = read(self.buffer.get_mut(end..).unwrap_or_default());
        self.buffer.truncate(end + got.as_ref().map_or(0, |&n| n.min(room)));
        got
    }

    /// Bytes that the frame that has begun still lacks; 0 if none has, or if it will be refused.
    fn missing(&self) -> usize {
        let pending = self.buffer.get(self.start..).unwrap_or_default();
        let lengths =
            pending.first_chunk::<HEADER>().and_then(|header| Lengths::parse(*header, self.caps).ok());
        lengths.map_or(0, |lengths| lengths.total().saturating_sub(pending.len()))
    }

    /// Begins anew at the buffer's start when everything in it has been taken.
    fn rewind(&mut self) {
        if self.start > 0 && self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
        }
    }

    /// The next whole frame, if one is there. After an error the channel must be closed.
    pub fn take<M: DeserializeOwned>(&mut self) -> Result<Option<(M, Vec<u8>)>, FrameError> {
        let pending = self.buffer.get(self.start..).unwrap_or_default();
        let Some(header) = pending.first_chunk::<HEADER>() else { return Ok(None) };
        let lengths = Lengths::parse(*header, self.caps)?;
        let Some(frame) = pending.get(HEADER..lengths.total()) else { return Ok(None) };
        let (json, blob) = frame.split_at(lengths.json);
        let message = serde_json::from_slice(json)?;
        if lengths.total() == pending.len() && lengths.blob > KEPT {
            // The buffer becomes the blob: a hundred megabytes are not held twice.
            let mut blob = std::mem::take(&mut self.buffer);
            blob.drain(..self.start + HEADER + lengths.json);
            self.start = 0;
            return Ok(Some((message, blob)));
        }
        let blob = blob.to_vec();
        self.start += lengths.total();
        if self.start > KEPT {
            self.buffer.drain(..self.start);
            self.start = 0;
            self.buffer.shrink_to(KEPT);
        }
        Ok(Some((message, blob)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn frames_survive_being_cut_at_every_byte() {
        let mut bytes = encode(&json!({"op": "run", "id": "9f"}), b"print(1)\xff\0").unwrap();
        bytes.extend(encode(&json!({"op": "exit"}), b"").unwrap());
        for cut in 0..bytes.len() {
            let mut reader = Reader::new(CELL);
            let mut seen: Vec<(Value, Vec<u8>)> = Vec::new();
            for part in [&bytes[..cut], &bytes[cut..]] {
                reader.push(part);
                while let Some(frame) = reader.take().unwrap() {
                    seen.push(frame);
                }
            }
            assert_eq!(seen.len(), 2, "cut at {cut}");
            assert_eq!(seen[0].1, b"print(1)\xff\0");
        }
    }

    #[test]
    fn large_blobs_come_through_alone_and_among_others_and_their_memory_is_given_back() {
        let blob: Vec<u8> = (0..3 << 20).map(|n| n as u8).collect();
        let large = encode(&json!({"op": "write"}), &blob).unwrap();
        let small = encode(&json!({"op": "exit"}), b"x").unwrap();
        for frames in [large.clone(), [large.clone(), small.clone()].concat(), [small, large].concat()] {
            let mut reader = Reader::new(CELL);
            for part in frames.chunks(100_000) {
                reader.push(part);
            }
            let mut seen = 0;
            while let Some((message, got)) = reader.take::<Value>().unwrap() {
                assert_eq!(got.as_slice(), if message["op"] == "write" { &blob[..] } else { b"x" });
                seen += HEADER + message.to_string().len() + got.len();
            }
            assert_eq!(seen, frames.len());
            assert!(reader.buffer.capacity() <= 2 * KEPT, "{}", reader.buffer.capacity());
        }
    }

    #[test]
    fn a_large_frame_is_read_in_few_reads_and_a_promise_of_one_takes_no_memory() {
        let blob: Vec<u8> = (0..3 << 20).map(|n| n as u8).collect();
        let bytes = encode(&json!({"op": "write"}), &blob).unwrap();
        let mut source = bytes.as_slice();
        let mut reader = Reader::new(CELL);
        let mut reads = 0;
        let seen = loop {
            reads += 1;
            assert!(reader.fill(|room| std::io::Read::read(&mut source, room)).unwrap() > 0);
            if let Some((_, blob)) = reader.take::<Value>().unwrap() {
                break blob;
            }
        };
        assert_eq!(seen, blob);
        assert!(reads <= 2 + bytes.len() / LARGE, "{reads} reads");
        let mut reader = Reader::new(CONTROL);
        let header = [[0, 0, 0, 2], ((100u32) << 20).to_be_bytes()].concat();
        reader.fill(|room| std::io::Read::read(&mut header.as_slice(), room)).unwrap();
        for _ in 0..3 {
            let nothing: Result<usize, ()> = reader.fill(|_| Err(()));
            assert!(nothing.is_err() && reader.take::<Value>().unwrap().is_none());
        }
        assert!(reader.buffer.capacity() <= 2 * LARGE, "{}", reader.buffer.capacity());
    }

    #[test]
    fn a_sender_refuses_what_the_receiver_would() {
        let caps = Caps { json: 20, blob: 4 };
        assert!(head(&json!({"op": "run"}), 4, caps).is_ok());
        assert!(matches!(head(&json!({"op": "run"}), 5, caps), Err(FrameError::TooLarge { blob: 5, .. })));
        assert!(matches!(head(&json!({"op": "a".repeat(20)}), 0, caps), Err(FrameError::TooLarge { .. })));
    }

    #[test]
    fn a_length_of_four_gigabytes_is_refused_before_it_costs_memory() {
        let mut reader = Reader::new(CELL);
        reader.push(&[0xff; HEADER]);
        assert!(matches!(reader.take::<Value>(), Err(FrameError::TooLarge { .. })));
        assert!(reader.buffer.capacity() < 4096);
    }

    #[test]
    fn nonsense_is_an_error_and_no_message() {
        let mut reader = Reader::new(CELL);
        reader.push(&[0, 0, 0, 3, 0, 0, 0, 0, b'{', b'{', b'{']);
        assert!(matches!(reader.take::<Value>(), Err(FrameError::Json(_))));
    }
}
