//! Whose a session is: the one comparison that every look-up makes.

use crate::id::Principal;

/// Whether what belongs to `owner` is there for `who`. Anybody else hears what they would hear of something that never was.
pub(super) fn is_there_for(who: &Principal, owner: &Principal) -> bool {
    #[cfg(debug_assertions)]
    if left_out::LEFT_OUT.get() {
        return true;
    }
    owner == who
}

/// The comparison left out, so that a test can show that it is what keeps sessions apart. Builds for debugging only.
#[cfg(debug_assertions)]
pub(crate) mod left_out {
    use std::cell::Cell;

    thread_local! {
        pub(super) static LEFT_OUT: Cell<bool> = const { Cell::new(false) };
    }

    /// Leaves the comparison out for look-ups of this thread.
    pub fn leave_out_owner_check() {
        LEFT_OUT.set(true);
    }
}
