//! Memory: what is too much is an exception of the one who asked, and what a session wrote is read by nobody after it.

use super::{MIB, wasm};
use cloister_core::event::{LimitHit, StateAfter};
use cloister_tests::needs;
use cloister_tests::rig::{Rig, Session};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

/// WAS-02, RES-02: `memory.grow` as far as it goes, by many ways, with a neighbour that goes on.
#[tokio::test(flavor = "multi_thread")]
async fn too_much_memory_is_a_memory_error_and_the_neighbour_notices_nothing() {
    let Some(rig) = Rig::new(wasm()) else { return };
    let (greedy, neighbour) = (rig.session().await, rig.session().await);
    neighbour.python("y = [7]").await;
    greedy.python("x = 1").await;
    for code in [
        "y = bytearray(10 ** 9)",
        "y = []\nwhile True: y.append(bytearray(1 << 20))",
        "y = 'x' * (1 << 31)",
        "y = list(range(10 ** 9))",
        "y = {n: n for n in range(10 ** 9)}",
        "import os; y = os.urandom(1 << 30)",
        "y = (1).__lshift__(1 << 33)",
    ] {
        let ran = greedy.python(code).await;
        assert!(matches!(ran.exception().0, "MemoryError" | "OverflowError"), "{code}: {ran:?}");
        assert_eq!(ran.execution.state, StateAfter::Kept, "{code}: {ran:?}");
        if ran.exception().0 == "MemoryError" {
            let limit = LimitHit::Memory { limit: 256 * MIB };
            assert!(ran.execution.limits.is_empty() || ran.execution.limits == [limit], "{code}: {ran:?}");
        }
        assert_eq!(greedy.python("y = None; x").await.text(), "1", "after {code}");
        assert_eq!(neighbour.python("len(y)").await.text(), "1");
    }
    greedy.stop().await;
    neighbour.stop().await;
    rig.end().await;
}

/// RES-02: many sessions that each take what they may take do not take the engine down: the room that they share is counted.
#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_together_want_more_than_the_engine_has_are_refused_and_all_live_on() {
    let mut room = cloister_tests::tiers::room();
    room.memory = 512 * MIB;
    let Some(rig) = Rig::with_room(wasm(), room, |_| {}) else { return };
    let mut sessions = Vec::new();
    for _ in 0..4 {
        sessions.push(rig.session().await);
    }
    let mut errors = 0;
    for (n, session) in sessions.iter().enumerate() {
        let ran = session
            .python(&format!("x = {n}\ny = []\nfor _ in range(200): y.append(bytearray(b'z') * (1 << 20))"))
            .await;
        errors += usize::from(ran.exception().0 == "MemoryError");
    }
    assert!(errors >= 2, "512 MiB hold no four times 200: {errors}");
    for (n, session) in sessions.iter().enumerate() {
        assert_eq!(session.python("x").await.text(), n.to_string());
    }
    for session in sessions {
        session.stop().await;
    }
    let next = rig.session().await;
    let ran = next.python("len(bytearray(b'z') * (150 << 20))").await;
    assert_eq!(ran.text(), (150 * MIB).to_string(), "what was taken has been given back: {ran:?}");
    next.stop().await;
    rig.end().await;
}

/// The marker, as guest and test compute it: it is in no text that travels.
const MARKER: &str = "m = bytes((n * n * 7 + 3) % 251 for n in range(64))";

fn marker() -> Vec<u8> {
    (0..64u32).map(|n| u8::try_from((n * n * 7 + 3) % 251).unwrap()).collect()
}

/// How often the marker is in linear memory that sessions of the engine have or had: what is mapped over its image, and what grew behind it.
fn marked(pid: i32) -> usize {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let memory = File::open(format!("/proc/{pid}/mem")).unwrap();
    let finder = marker();
    let (mut found, mut behind, mut regions) = (0, 0, 0);
    let mut buffer = vec![0; 1 << 20];
    for line in maps.lines() {
        let range = line.split(' ').next().unwrap();
        let (from, to) = range.split_once('-').unwrap();
        let (from, to) = (u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap());
        let of_session = line.contains("memfd:interpreter") || from == behind;
        if !of_session || !line.contains(" rw") {
            continue;
        }
        (behind, regions) = (to, regions + 1);
        let mut at = from;
        while at < to {
            let part = &mut buffer[..usize::try_from((to - at).min(1 << 20)).unwrap()];
            memory.read_exact_at(part, at).unwrap();
            let starts = (0..part.len() - 16).step_by(4);
            found += starts.filter(|&start| finder.starts_with(&part[start..start + 16])).count();
            at += part.len() as u64;
        }
    }
    assert!(regions > 0, "the engine's memories are not where this test looks:\n{maps}");
    found
}

/// The process of the session's engine, which the test may look into as root only.
fn engine(rig: &Rig) -> i32 {
    let name = |pid: &i32| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let engines: Vec<i32> =
        rig.engine_pids().into_iter().filter(|pid| name(pid).starts_with("engine")).collect();
    let all: Vec<_> = rig.engine_pids().iter().map(|pid| (*pid, name(pid))).collect();
    assert_eq!(engines.len(), 1, "{all:?}");
    engines[0]
}

async fn fill(session: &Session) {
    let code = format!(
        "{MARKER}\nheap = [m * 1024 for _ in range(320)]\nsmall = [m[:32] + bytes([n % 256]) for n in range(10_000)]\nopen('f', 'wb').write(m * 4096)\nlen(heap)"
    );
    assert_eq!(session.python(&code).await.text(), "320");
}

/// WAS-03, ISO-03: the memory of a session that has stopped, was undone, or grew, in the slots that later sessions get.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_stopped_session_wrote_is_in_memory_that_a_later_one_has() {
    if !nix::unistd::geteuid().is_root() {
        return needs::skip_unless_root("only root reads an engine's memory");
    }
    let Some(rig) = Rig::new(wasm()) else { return };
    let first = rig.session().await;
    let pid = engine(&rig);
    assert_eq!(marked(pid), 0);
    fill(&first).await;
    assert!(marked(pid) > 10_000, "the test finds what a living session has");
    first.stop().await;
    assert_eq!(marked(pid), 0, "a stopped session's memory is still there");
    for n in 0..20 {
        let session = rig.session().await;
        // Grown and touched, so that its memory lies where the first one's was.
        let ran = session.python("x = bytearray(40 << 20)\nx.count(0) == len(x)").await;
        assert_eq!(ran.text(), "True", "{ran:?}");
        assert_eq!(marked(pid), 0, "session {n} has memory of the first");
        session.stop().await;
    }
    // A copy has it, since it is one; when both have gone, it has gone.
    let original = rig.session().await;
    fill(&original).await;
    let copy = rig.copy(&original).await.unwrap();
    original.stop().await;
    assert!(marked(pid) > 10_000);
    copy.stop().await;
    assert_eq!(marked(pid), 0, "a copy's memory is still there");
    rig.end().await;
}
