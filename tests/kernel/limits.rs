//! Limits: each has a typed outcome, and only the call that goes too far pays for it, where that is possible.

use cloister_core::command::ToolCall;
use cloister_core::event::{Ended, LimitHit, Outcome, StateAfter};
use cloister_core::policy::Policy;
use cloister_tests::needs;
use cloister_tests::rig::{Ran, Rig, Session, plain};
use cloister_tests::tiers::on_each_tier;

const MIB: u64 = 1 << 20;

/// A policy with little of everything.
fn small() -> Policy {
    let mut policy = plain();
    policy.resources.memory = 256 * MIB;
    policy.resources.pids = 40;
    policy.resources.open_files = 64;
    policy.filesystem.disk = 32 * MIB;
    policy.filesystem.max_file = 8 * MIB;
    policy.filesystem.inodes = 2048;
    policy.output.stream = 10_000;
    policy.output.display = 100_000;
    policy.output.displays = 3;
    policy
}

/// Runs `test` where the host has cgroups: the limit under test is theirs.
async fn with_cgroups(policy: Policy, test: impl AsyncFnOnce(&Session)) {
    let Some(rig) = Rig::new(policy) else { return };
    if rig.backend.findings().iter().any(|f| f.wall == "cgroup" && !f.ok) {
        return needs::skip_unless_root("this host has no cgroups for sandboxes");
    }
    let session = rig.session().await;
    test(&session).await;
    session.stop().await;
    rig.end().await;
}

fn kept(ran: &Ran) {
    assert_eq!((ran.execution.ended, ran.execution.state), (Ended::Completed, StateAfter::Kept), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_big_allocation_is_a_memory_error_with_the_state_kept() {
    on_each_tier(small(), async |session| {
        session.python("x = 1").await;
        for greedy in [
            "y = bytearray(10 ** 9)",
            "y = [0] * 10 ** 9",
            "y = []\nwhile True: y.append(bytearray(10 ** 6))",
        ] {
            let ran = session.python(greedy).await;
            kept(&ran);
            assert_eq!(ran.exception().0, "MemoryError", "{greedy}: {ran:?}");
            assert_eq!(ran.execution.limits, [LimitHit::Memory { limit: 256 * MIB }], "{greedy}");
            assert_eq!(session.python("y = None; x").await.text(), "1", "after {greedy}");
        }
        let ran = session.python("len(bytearray(100 * 10 ** 6))").await;
        assert_eq!(ran.text(), "100000000", "what fits is not refused: {ran:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_process_that_takes_all_memory_dies_alone() {
    with_cgroups(small(), async |session| {
        session.python("x = 1").await;
        // Shared memory is no data segment: only the group's limit sees it.
        let eat = "import mmap\nm = mmap.mmap(-1, 10 ** 9)\nfor n in range(0, len(m), 4096): m[n] = 1\nprint('not reached')";
        session.write(&[("eat.py", eat.as_bytes())]).await.unwrap();
        let ran = session.python("import subprocess, sys\nsubprocess.run(['python3', 'eat.py']).returncode").await;
        kept(&ran);
        assert_eq!((ran.text(), ran.stdout.as_str()), ("-9", ""), "{ran:?}");
        assert_eq!(ran.limits(), ["memory"], "{ran:?}");
        assert_eq!(session.python("x").await.text(), "1");

        let ran = session.shell("python3 eat.py; echo \"status $?\"").await;
        assert_eq!((ran.stdout.as_str(), ran.limits()), ("status 137\n", vec!["memory"]), "{ran:?}");
        assert!(session.python("1").await.limits().is_empty(), "the limit belongs to the call that ran into it");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_native_allocation_beyond_the_limit_ends_the_runtime_and_says_why() {
    with_cgroups(small(), async |session| {
        session.python("x = 1; open('file', 'w').write('there');").await;
        let ran = session
            .python("import mmap\nm = mmap.mmap(-1, 10 ** 9)\nfor n in range(0, len(m), 4096): m[n] = 1")
            .await;
        assert_eq!((ran.execution.ended, ran.execution.exit_code), (Ended::Died, 137), "{ran:?}");
        assert_eq!((ran.execution.state, ran.limits()), (StateAfter::Lost, vec!["memory"]), "{ran:?}");
        let ran = session.python("(open('file').read(), 'x' in globals())").await;
        assert_eq!(ran.text(), "('there', False)", "{ran:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_that_a_javascript_heap_takes_ends_the_runtime_and_says_why() {
    use cloister_core::command::{Language, Runtime};
    let mut policy = small();
    policy.resources.memory = 400 * MIB;
    with_cgroups(policy, async |session| {
        let greedy = "const all = []; while (true) all.push(Buffer.alloc(1 << 20, 1))";
        let ran = session.code(Language::JavaScript, Runtime::Nodejs, greedy).await;
        assert_eq!(ran.limits(), ["memory"], "{ran:?}");
        let ran = session.code(Language::JavaScript, Runtime::Nodejs, "1 + 1").await;
        assert_eq!(ran.text(), "2", "{ran:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_processes_are_refused_with_a_typed_outcome() {
    with_cgroups(small(), async |session| {
        let ran = session.python("import subprocess\nchildren = [subprocess.Popen(['sleep', '60']) for n in range(100)]").await;
        kept(&ran);
        assert_eq!(ran.exception().0, "BlockingIOError", "{ran:?}");
        assert_eq!(ran.execution.limits, [LimitHit::Processes { limit: 40 }], "{ran:?}");
        let ran = session.python("import os, signal\nimport glob\nfor p in glob.glob('/proc/[0-9]*'):\n    if open(p + '/comm').read() == 'sleep\\n': os.kill(int(p[6:]), signal.SIGKILL)").await;
        kept(&ran);

        let ran = session.python("import threading, time\nfor n in range(100): threading.Thread(target=time.sleep, args=(2,)).start()").await;
        assert_eq!(ran.exception().0, "RuntimeError", "{ran:?}");
        assert_eq!(ran.limits(), ["processes"], "{ran:?}");
        let ran = session.shell("for n in $(seq 100); do sleep 60 & done; wait").await;
        assert!(ran.limits().contains(&"processes"), "{ran:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_a_typed_outcome_and_removed_files_give_their_space_back() {
    on_each_tier(small(), async |session| {
        let fill = "for n in range(10): open(f'f{n}', 'wb').write(bytes(6 * 10 ** 6))";
        let ran = session.python(fill).await;
        kept(&ran);
        assert_eq!((ran.exception().0, ran.limits()), ("OSError", vec!["disk"]), "{ran:?}");
        assert!(ran.exception().1.contains("No space left on device"), "{ran:?}");
        let message = session.write(&[("more", &[1; 1_000_000])]).await.unwrap_err();
        assert!(message.contains("disk quota"), "{message}");

        let paths = session.names(".").await;
        let Outcome::Removed { failed, .. } = session.tool(ToolCall::RemoveFiles { paths }).await else {
            panic!("not removed")
        };
        assert!(failed.is_empty(), "{failed:?}");
        let ran = session.python("open('again', 'wb').write(bytes(6 * 10 ** 6))").await;
        assert_eq!((ran.text(), ran.limits()), ("6000000", vec![]), "{ran:?}");

        if session.is_wasm() {
            return;
        }
        let ran = session
            .shell("for n in 1 2 3 4 5 6 7 8; do head -c 6000000 /dev/zero > /tmp/t$n || break; done")
            .await;
        assert_eq!(ran.limits(), ["disk"], "home, /tmp and /dev/shm share the quota: {ran:?}");
        session.shell("rm -rf /tmp/t* again").await;
        let ran = session.shell("seq 4000 | xargs touch 2> /dev/null").await;
        assert_eq!(ran.limits(), ["files"], "inodes are limited as well: {ran:?}");
        session.shell("seq 4000 | xargs rm -f").await;
        session.write(&[("works", b"again")]).await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_grows_too_large_is_stopped_at_its_limit() {
    on_each_tier(small(), async |session| {
        let ran = session
            .python("f = open('big', 'wb', buffering=0)\nfor n in range(20): f.write(bytes(10 ** 6))")
            .await;
        kept(&ran);
        assert_eq!(ran.exception().0, "OSError", "{ran:?}");
        assert!(ran.exception().1.contains("File too large"), "{ran:?}");
        assert_eq!(session.python("import os; os.path.getsize('big')").await.text(), (8 * MIB).to_string());
        let message = session.write(&[("big3", &vec![1; 9 << 20])]).await.unwrap_err();
        assert!(message.contains("big3") && message.contains("at most 8388608"), "{message}");
        if session.is_wasm() {
            return;
        }
        let ran = session.shell("head -c 20000000 /dev/zero > big2; echo $?; stat -c %s big2").await;
        assert_eq!(ran.stdout.lines().last(), Some((8 * MIB).to_string().as_str()), "{ran:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn open_files_are_limited_and_the_state_survives() {
    on_each_tier(small(), async |session| {
        let ran = session.python("x = 1; fs = []\nwhile True: fs.append(open('/dev/null'))").await;
        kept(&ran);
        assert_eq!(ran.exception().0, "OSError", "{ran:?}");
        // The words are those of the C library.
        let words = if session.is_wasm() { "No file descriptors available" } else { "Too many open files" };
        assert!(ran.exception().1.contains(words), "{ran:?}");
        assert_eq!(session.python("fs.clear(); open('/dev/null').close(); x").await.text(), "1");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn output_is_cut_at_its_limit_with_the_rest_counted() {
    on_each_tier(small(), async |session| {
        let ran = session
            .python("import sys\nprint('x' * 25_000, end='')\nprint('y' * 12_000, end='', file=sys.stderr)")
            .await;
        kept(&ran);
        assert_eq!(ran.stdout, "x".repeat(10_000));
        assert_eq!(ran.stderr, "y".repeat(10_000));
        let hit = |stream, dropped| LimitHit::Output { stream, limit: 10_000, dropped };
        assert_eq!(ran.execution.limits, [hit("stdout", 15_000), hit("stderr", 2_000)]);
        if !session.is_wasm() {
            let ran = session.shell("yes | head -c 200000000").await;
            let limits = &[hit("stdout", 199_990_000)][..];
            assert_eq!((ran.stdout.len(), &ran.execution.limits[..]), (10_000, limits));
        }
        let ran = session.python("print('short', end='')").await;
        assert_eq!((ran.stdout.as_str(), ran.limits()), ("short", vec![]), "the next call starts at zero");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn displays_are_limited_in_size_and_number() {
    on_each_tier(small(), async |session| {
        let ran = session.python("for n in range(10): display(n)\n'last'").await;
        assert_eq!((ran.displays.len(), ran.text()), (3, "'last'"), "{ran:?}");
        assert!(ran.stderr.contains("3 displays"), "{ran:?}");
        let ran = session.python("'x' * 10 ** 6").await;
        let size: usize = ran.value.iter().flat_map(|v| v.forms.iter()).map(|(_, data)| data.len()).sum();
        assert!(size <= 100_000 && ran.text().contains("bytes"), "{size}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_says_what_it_used() {
    with_cgroups(plain(), async |session| {
        let ran = session
            .python("import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass")
            .await;
        let usage = ran.execution.usage;
        assert!(usage.cpu.is_some_and(|cpu| cpu.as_millis() >= 250), "{usage:?}");
        assert!(usage.wall.as_millis() >= 300, "{usage:?}");
        let ran = session.python("x = b'x' * (200 << 20); del x").await;
        assert!(ran.execution.usage.memory_peak.is_some_and(|peak| peak > 200 << 20), "{ran:?}");
    })
    .await;
}
