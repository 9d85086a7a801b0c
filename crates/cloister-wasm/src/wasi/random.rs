//! Randomness, from the host.

use super::{Call, Done, Errno};

/// Bytes that one call gives at most. The standard has no short answers, so that more is an error; the C library asks for 256.
pub const RANDOM: usize = 1 << 20;

/// Bytes that the host is asked for at once.
const PIECE: usize = 64 << 10;

impl Call<'_> {
    pub(super) fn random_get(&mut self, buffer: u32, length: u32) -> Done {
        if length as usize > RANDOM {
            return Err(Errno::Inval.into());
        }
        self.memory.expect(buffer, length)?;
        self.pay(length as usize)?;
        for piece in self.memory.slice_mut(buffer, length)?.chunks_mut(PIECE) {
            self.host.random(piece);
        }
        Ok(())
    }
}
