//! Bytes that a worker has moved: what it and the programs that it has waited for have read and written.
//!
//! The kernel counts what read and write calls move, of files, pipes and sockets alike; a process that is waited for adds its count to
//! its parent's. What is mapped is not counted, and neither is what still runs besides, or was left to init.

use nix::unistd::Pid;
use std::fs::File;
use std::io::Read;

/// The longest that the file is: seven names with numbers.
const LONGEST: usize = 512;

/// Bytes in both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Moved {
    pub(super) read: u64,
    pub(super) written: u64,
}

impl Moved {
    /// What a process has moved so far; `None` where the kernel does not count it, or not for us.
    pub(super) fn of(pid: Pid) -> Option<Self> {
        let mut text = [0; LONGEST];
        let mut file = File::open(format!("/proc/{pid}/io")).ok()?;
        // The kernel writes all of it at once.
        let length = file.read(&mut text).ok()?;
        Self::parse(std::str::from_utf8(text.get(..length)?).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            line?.trim().parse().ok()
        };
        Some(Self { read: value("rchar")?, written: value("wchar")? })
    }

    /// What has been moved since.
    pub(super) fn since(self, before: Self) -> Self {
        Self {
            read: self.read.saturating_sub(before.read),
            written: self.written.saturating_sub(before.written),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_text_is_read_and_one_that_lacks_a_number_is_no_measurement() {
        let text = "rchar: 10\nwchar: 7\nsyscr: 1\nsyscw: 1\nread_bytes: 0\n";
        let moved = Moved::parse(text).unwrap();
        assert_eq!(moved, Moved { read: 10, written: 7 });
        assert_eq!(moved.since(Moved { read: 4, written: 9 }), Moved { read: 6, written: 0 });
        assert_eq!(Moved::parse("rchar: 10\n"), None);
        assert_eq!(Moved::parse("rchar: ten\nwchar: 7\n"), None);
    }
}
