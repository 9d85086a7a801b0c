//! The guest's memory. Every address and every length comes from the guest and is checked here, and nowhere else is memory indexed.

use crate::view::{Errno, PATH};

/// A guest's memory during one call.
pub(super) struct Memory<'m>(&'m mut [u8]);

impl<'m> Memory<'m> {
    pub(super) fn new(bytes: &'m mut [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn slice(&self, at: u32, length: u32) -> Result<&[u8], Errno> {
        let end = (at as usize).checked_add(length as usize).ok_or(Errno::Fault)?;
        self.0.get(at as usize..end).ok_or(Errno::Fault)
    }

    pub(super) fn slice_mut(&mut self, at: u32, length: u32) -> Result<&mut [u8], Errno> {
        let end = (at as usize).checked_add(length as usize).ok_or(Errno::Fault)?;
        self.0.get_mut(at as usize..end).ok_or(Errno::Fault)
    }

    /// A path, whose length is checked before it is looked at.
    pub(super) fn path(&self, at: u32, length: u32) -> Result<&[u8], Errno> {
        if length as usize > PATH {
            return Err(Errno::Nametoolong);
        }
        self.slice(at, length)
    }

    fn array<const N: usize>(&self, at: u32) -> Result<[u8; N], Errno> {
        let bytes = self.0.get(at as usize..).and_then(|rest| rest.first_chunk());
        bytes.copied().ok_or(Errno::Fault)
    }

    pub(super) fn u8(&self, at: u32) -> Result<u8, Errno> {
        Ok(u8::from_le_bytes(self.array(at)?))
    }

    pub(super) fn u16(&self, at: u32) -> Result<u16, Errno> {
        Ok(u16::from_le_bytes(self.array(at)?))
    }

    pub(super) fn u32(&self, at: u32) -> Result<u32, Errno> {
        Ok(u32::from_le_bytes(self.array(at)?))
    }

    pub(super) fn u64(&self, at: u32) -> Result<u64, Errno> {
        Ok(u64::from_le_bytes(self.array(at)?))
    }

    pub(super) fn put(&mut self, at: u32, bytes: &[u8]) -> Result<(), Errno> {
        let end = (at as usize).checked_add(bytes.len()).ok_or(Errno::Fault)?;
        self.0.get_mut(at as usize..end).ok_or(Errno::Fault)?.copy_from_slice(bytes);
        Ok(())
    }

    pub(super) fn put_u32(&mut self, at: u32, value: u32) -> Result<(), Errno> {
        self.put(at, &value.to_le_bytes())
    }

    pub(super) fn put_u64(&mut self, at: u32, value: u64) -> Result<(), Errno> {
        self.put(at, &value.to_le_bytes())
    }

    /// Checks that something can be written later, before it is done and cannot be told any more.
    pub(super) fn expect(&self, at: u32, length: u32) -> Result<(), Errno> {
        self.slice(at, length).map(drop)
    }
}

/// The address of a field.
pub(super) fn field(at: u32, offset: u32) -> Result<u32, Errno> {
    at.checked_add(offset).ok_or(Errno::Fault)
}
