//! SYS-01, SYS-02: the lists of browsers and engines, every call by number, and both foreign numberings under every list.
//!
//! ```text
//!   a session without a filter of its own ──▶ a program that installs the list in a process, and makes one call in it
//! ```
//!
//! The namespaces stand around it, so a call that a list lets pass by mistake does no harm.

use super::attack_as;
use super::sys_table::{Declared, EPERM_OF_THE_KERNEL, Planned, compare, observe, plan};
use cloister_tests::rig::plain;
use serde_json::Value;

/// A list's name, its text, and the allowed calls to which the kernel itself answers EPERM in a session, and why.
type List = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const LISTS: [List; 4] = [
    ("default", include_str!("../../../policies/seccomp/default.json"), &[]),
    (
        "browser",
        include_str!("../../../policies/seccomp/browser.json"),
        &[
            ("chroot", "without the capability, which a namespace of one's own brings"),
            ("capset", "more than what one has"),
            ("clone", "a pid or network namespace without a user namespace"),
        ],
    ),
    ("wasm", include_str!("../../../policies/seccomp/wasm.json"), &[]),
    ("engine", include_str!("../../../policies/seccomp/engine.json"), &[]),
];

/// The bit that marks a call by the x32 numbering.
const X32: u64 = 0x4000_0000;

/// Calls by foreign numberings: all end the program.
fn foreign() -> Vec<Planned> {
    let call = |gate, number| Planned { gate, number, arguments: [0; 6], declared: Declared::Killed };
    let x32 = (0..=600).step_by(7).chain([39, 59, 101, 165, 272, 321, 425, 512, 520, 547]);
    let gate = (0..=460).step_by(7).chain([1, 11, 20, 26, 102, 120, 310, 357, 425]);
    x32.map(|n| call("", X32 | n)).chain(gate.map(|n| call("i", n))).collect()
}

/// SYS-01, SYS-02: what each list declares is what the kernel does, for every number, and every foreign numbering is the end.
#[tokio::test(flavor = "multi_thread")]
async fn every_list_does_what_it_says_for_every_number_and_ends_foreign_numberings() {
    for (name, text, by_kernel) in LISTS {
        let list: Value = serde_json::from_str(text).unwrap();
        let mut planned = foreign();
        if name != "default" {
            planned.extend(plan(&list));
        }
        let filters = cloister_jail::seccomp::compile(text).unwrap();
        let words = filters.iter().flat_map(|filter| {
            std::iter::once(filter.len() as u64).chain(filter.iter().copied()).flat_map(u64::to_le_bytes)
        });
        let filters: Vec<u8> = words.collect();
        let around = plain().isolation.seccomp;
        attack_as(
            plain(),
            |config| drop(config.filters.insert(around, Vec::new())),
            async |a| {
                a.session.write(&[("filters", &filters)]).await.unwrap();
                let Some(observed) = observe(a, &planned, "../filters").await else { return };
                // Part of a failed test's output: which list it was.
                println!("{name}: {} calls", planned.len());
                let by_kernel: Vec<_> = EPERM_OF_THE_KERNEL.iter().chain(by_kernel).copied().collect();
                compare(&planned, &observed, &by_kernel);
            },
        )
        .await;
    }
}
