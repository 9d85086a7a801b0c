//! Which kernel user and group a sandbox gets: as root one of its own, as an ordinary user the caller's, in a user namespace.

use cloister_jail::plan::SANDBOX_IDS;
use std::sync::atomic::{AtomicU32, Ordering};

/// First id of the range; the zygote's own.
const FIRST: u32 = SANDBOX_IDS.start;
/// Ids in the range. One is used again after sixteen million sandboxes, and no file outlives a sandbox to be inherited (ISO-09).
const COUNT: u32 = SANDBOX_IDS.end - SANDBOX_IDS.start;

/// The allocator.
#[derive(Debug)]
pub(crate) struct Ids {
    root: bool,
    user: u32,
    group: u32,
    next: AtomicU32,
}

/// One sandbox's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outer {
    /// As the launcher sees it: kernel ids.
    pub(crate) launcher: (u32, u32),
    /// As a zygote sees it, from inside its user namespace.
    pub(crate) zygote: (u32, u32),
}

impl Ids {
    /// For the user that runs this process.
    pub(crate) fn new() -> Self {
        let (user, group) = (nix::unistd::geteuid(), nix::unistd::getegid());
        // A random start: two servers on one host seldom give out the same id at the same time.
        let start = getrandom::u32().unwrap_or(0) % COUNT;
        Self { root: user.is_root(), user: user.as_raw(), group: group.as_raw(), next: AtomicU32::new(start) }
    }

    /// Whether arbitrary ids may be mapped.
    pub(crate) fn privileged(&self) -> bool {
        self.root
    }

    /// An id for a new sandbox.
    pub(crate) fn next(&self) -> Outer {
        if !self.root {
            return Outer { launcher: (self.user, self.group), zygote: (0, 0) };
        }
        // 0 is the zygote's own.
        let n = 1 + self.next.fetch_add(1, Ordering::Relaxed) % (COUNT - 1);
        Outer { launcher: (FIRST + n, FIRST + n), zygote: (n, n) }
    }

    /// The zygote's map: its root, and the ids of its children.
    pub(crate) fn zygote_uids(&self) -> Vec<(u32, u32, u32)> {
        vec![if self.root { (0, FIRST, COUNT) } else { (0, self.user, 1) }]
    }

    /// The same for groups.
    pub(crate) fn zygote_gids(&self) -> Vec<(u32, u32, u32)> {
        vec![if self.root { (0, FIRST, COUNT) } else { (0, self.group, 1) }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_stay_in_their_range_when_they_begin_again_and_never_are_the_zygotes_own() {
        let ids = Ids { root: true, user: 0, group: 0, next: AtomicU32::new(u32::MAX - 1) };
        for _ in 0..4 {
            let outer = ids.next();
            assert!(SANDBOX_IDS.contains(&outer.launcher.0) && outer.launcher.0 != FIRST, "{outer:?}");
            assert_eq!(outer.launcher.0, FIRST + outer.zygote.0);
        }
    }
}
