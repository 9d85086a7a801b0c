//! How much of a session's memory its storage may take: what lies in files belongs to no process, so the out-of-memory killer frees
//! nothing of it, and comes for init in the end.
//!
//! ```text
//!   memory = headroom (init, the kernel's bookkeeping) + 1 KiB per file + disk + what is left to programs
//! ```

/// Kept free for init: what it is itself, and what the kernel holds for it while it serves the file tools.
pub(super) const HEADROOM: u64 = 16 << 20;
/// What the kernel holds for an empty file of a tmpfs: an inode and a name, charged to the session's group.
pub(super) const PER_FILE: u64 = 1 << 10;

/// The most that files may hold.
pub(super) fn storage(memory: u64, inodes: u64) -> u64 {
    memory.saturating_sub(HEADROOM).saturating_sub(inodes.saturating_mul(PER_FILE))
}

/// How many files there may be where the policy does not say: their bookkeeping takes an eighth.
pub(super) fn inodes(memory: u64) -> u64 {
    memory / 8 / PER_FILE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_memory_leaves_room_for_files_and_none_is_promised_beyond_it() {
        let smallest = 32 << 20;
        assert_eq!(inodes(smallest), 4096);
        assert_eq!(storage(smallest, inodes(smallest)), 12 << 20);
        assert_eq!(storage(smallest, 1 << 32), 0);
    }
}
