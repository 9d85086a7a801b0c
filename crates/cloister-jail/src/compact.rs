//! Gathers a zygote's memory in huge pages, so that forking it copies a few entries instead of one for each page.
//!
//! ```text
//!   imports done: 4 KiB pages, 20,000 entries ─▶ 2 MiB pages, 40 entries ─▶ fork ─▶ init ─▶ fork ─▶ interpreter
//! ```
//!
//! Nothing else changes: who writes to a huge page that is shared gets a copy of the 4 KiB that it wrote to, as before.

use crate::sys;

/// Size of a huge page on x86_64.
const HUGE: usize = 2 << 20;

/// Gathers what can be. A kernel without huge pages, or a host without free ones, forks more slowly and that is all.
pub(crate) fn compact() {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    for (start, end) in maps.lines().filter_map(anonymous) {
        let first = start.next_multiple_of(HUGE);
        for place in (first..end).step_by(HUGE).filter(|place| end - place >= HUGE) {
            // For each by itself: one that cannot be gathered leaves the others.
            let _: Result<(), nix::errno::Errno> = sys::collapse(place, HUGE);
        }
    }
}

/// The range of a line of proc_pid_maps(5), if it is private memory that no file stands behind.
fn anonymous(line: &str) -> Option<(usize, usize)> {
    let mut fields = line.split_ascii_whitespace();
    let (range, rights) = (fields.next()?, fields.next()?);
    let (inode, name) = (fields.nth(2)?, fields.next());
    if !rights.starts_with("rw") || !rights.ends_with('p') || inode != "0" {
        return None;
    }
    if name.is_some_and(|name| name != "[heap]") {
        return None;
    }
    let (start, end) = range.split_once('-')?;
    Some((usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_private_memory_without_a_file_is_gathered() {
        for (line, range) in [
            ("55d0c0a00000-55d0c2a00000 rw-p 00000000 00:00 0                  [heap]", true),
            ("7f0000000000-7f0000400000 rw-p 00000000 00:00 0 ", true),
            ("7f0000000000-7f0000400000 rw-s 00000000 00:01 9                  /dev/zero (deleted)", false),
            ("7f0000000000-7f0000400000 r--p 00000000 00:00 0 ", false),
            ("7f0000000000-7f0000400000 rw-p 00001000 fe:00 77                 /usr/lib/libc.so.6", false),
            ("7ffd00000000-7ffd00400000 rw-p 00000000 00:00 0                  [stack]", false),
            ("", false),
        ] {
            assert_eq!(anonymous(line).is_some(), range, "{line}");
        }
        assert_eq!(anonymous("1000-3000 rw-p 0 00:00 0"), Some((0x1000, 0x3000)));
    }
}
