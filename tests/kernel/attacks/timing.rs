//! Timing: what measures the machine, or tells one session what another does. What remains is written down in SECURITY.md.

use super::{Attack, Verdicts, attack, warm};
use cloister_tests::rig::plain;

const GUEST: &str = include_str!("../guests/timing.py");
const SECURITY: &str = include_str!("../../../SECURITY.md");

async fn guest(attack: &Attack, function: &str) -> Verdicts {
    attack.verdicts(&format!("{GUEST}\n{function}()\nverdicts()")).await
}

/// Whether a residual is among those that nobody is promised to be safe from.
fn written_down(words: &str) {
    let text = SECURITY.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains(words), "SECURITY.md does not say {words:?}");
}

/// ISO-07: the page cache of the shared image, and what the kernel counts for all.
#[tokio::test(flavor = "multi_thread")]
pub(super) async fn the_page_cache_cannot_be_asked_or_emptied_and_no_counter_of_another_session_is_there() {
    for policy in [plain(), warm()] {
        attack(policy, async |a| {
            let v = guest(a, "page_cache").await;
            v.refused("cache", &["EPERM", "EROFS", "EACCES", "ENOENT"]);
            for call in ["mincore", "cachestat", "nowait", "dontcache", "drop"] {
                assert_eq!(v.get(&format!("cache {call}")), "EPERM", "{v:?}");
            }
            let v = guest(a, "counters").await;
            assert_eq!(v.get("pressure"), "[]", "{v:?}");
            v.refused("group", &["ENOENT"]);
            v.refused("core scheduling", &["EPERM"]);
            // Programs size their pools by these. They speak of the machine as a whole, and so, a little, of the neighbours.
            v.done("sees");
            written_down("Timing of caches, of the page cache of the shared image, of load");
            written_down("Covert channels between sessions that cooperate");
        })
        .await;
    }
}

/// SYS-18: the time stamp counter, performance counters, and the kernel's clocks.
#[tokio::test(flavor = "multi_thread")]
async fn time_can_be_read_and_neither_trapped_nor_set_and_there_are_no_performance_counters() {
    attack(plain(), async |a| {
        let v = guest(a, "clocks").await;
        assert_eq!((v.get("tsc runs"), v.get("clock runs")), ("True", "True"), "{v:?}");
        written_down("The time stamp counter and the clocks are as fine as the processor has them");
        // SIGSEGV: the instruction is the kernel's own.
        assert_eq!(v.get("pmc"), "-11", "{v:?}");
        for name in ["trap", "ask", "counter", "set clock"] {
            v.refused(name, &["EPERM"]);
        }
        v.refused("offsets", &["EACCES", "EPERM", "ENOENT", "EROFS"]);
    })
    .await;
}
