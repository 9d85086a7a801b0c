//! Makes sessions that nobody uses small: half of the pages that a call writes to are left as they were, and need not be kept.
//!
//! ```text
//!   every half second: sessions at rest for a second ─▶ written pages equal to the image ─▶ the image's again
//! ```
//!
//! Their next call takes a fault for each page that it needs again (measured: 0.1 ms together). Sessions that the server keeps ready are
//! left alone: their pages have been made ahead of time so that a first call meets none.

use crate::crew::Crew;
use std::thread::sleep;
use std::time::Duration;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);
/// How long a session must have been at rest.
const AT_REST: Duration = Duration::from_secs(1);
/// Sessions between two pauses, so that a thousand of them delay nobody.
const FEW: usize = 16;
/// The pause.
const PAUSE: Duration = Duration::from_millis(5);

impl Crew {
    /// Sweeps for ever.
    pub(crate) fn sweep(&self) {
        loop {
            sleep(LOOK);
            let mut sessions = self.sessions();
            // What the server keeps ready is what it has made last: it hands out the oldest first.
            sessions.sort_unstable_by_key(|session| std::cmp::Reverse(session.number));
            let mut ready = self.ready;
            for few in sessions.chunks(FEW) {
                for session in few {
                    if ready > 0 && !session.is_used() {
                        ready -= 1;
                        continue;
                    }
                    session.trim(&self.factory, AT_REST);
                }
                sleep(PAUSE);
            }
        }
    }
}
