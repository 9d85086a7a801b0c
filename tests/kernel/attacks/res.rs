//! RES: more than one's share.

use super::{Attack, Verdicts, attack};
use cloister_core::command::ToolCall;
use cloister_core::event::{Ended, Outcome};
use cloister_core::policy::Policy;
use cloister_tests::rig::{Ran, plain};
use std::time::{Duration, Instant};

const GUEST: &str = include_str!("../guests/res.py");
const MIB: u64 = 1 << 20;

/// The default policy with a short grace, for tests that wait for kills.
fn strict() -> Policy {
    let mut policy = plain();
    policy.time.grace = Duration::from_millis(300);
    policy
}

/// Little memory and storage, which are soon used up.
fn small() -> Policy {
    let mut policy = strict();
    policy.resources.memory = 128 * MIB;
    policy.filesystem.disk = 48 * MIB;
    policy.filesystem.inodes = 3000;
    policy
}

async fn guest(attack: &Attack, code: &str, deadline: Duration) -> Ran {
    attack.python_within(&format!("{GUEST}\n{code}"), deadline).await
}

/// Memory of this process, which is the server here, in MiB.
fn own_memory() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap() * 4096 / MIB
}

/// RES-01: bombs of processes, daemons and threads.
#[tokio::test(flavor = "multi_thread")]
async fn bombs_end_with_their_call_and_the_neighbour_does_not_notice() {
    attack(strict(), async |a| {
        let neighbour = a.rig.session().await;
        for bomb in ["fork_bomb()", "daemon_bomb()", "thread_bomb()", "spawn_storm()"] {
            let endless = !bomb.starts_with("thread") && !bomb.starts_with("spawn");
            let call = guest(a, bomb, Duration::from_secs(60));
            let beside = async {
                // Until it has met the limit, however slow this machine is; then the client gives up.
                while endless && a.session.read("/tmp/full").await.is_err() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                assert_eq!(neighbour.python("6 * 7").await.text(), "42");
                if endless {
                    a.session.interpreter.interrupt().await;
                }
            };
            let (ran, ()) = tokio::join!(call, beside);
            // The neighbour was answered while the bomb went on, which ends at its deadline if nobody ends it before.
            assert!(
                !ran.limits().contains(&"deadline"),
                "{bomb}: the neighbour waits as long as it lasts: {ran:?}"
            );
            // Without a group the bomb meets the limit all the same (it says so in /tmp/full), but nobody counts for the answer.
            if bomb.ends_with("bomb()") && a.has_group() {
                assert_eq!(ran.limits(), ["processes"], "{bomb}: {ran:?}");
            }
            // What is left of it goes with the runtime that it came from.
            a.session.python("import os; os._exit(0)").await;
            assert_eq!(a.session.python("6 * 7").await.text(), "42", "after {bomb}");
            a.session.tool(ToolCall::RemoveFiles { paths: vec!["/tmp/full".into()] }).await;
        }
        neighbour.stop().await;
    })
    .await;
}

/// RES-01: so many processes that init cannot start another one.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_full_of_processes_refuses_to_start_more_and_can_be_emptied() {
    attack(strict(), async |a| {
        let held = guest(a, "hold_processes()", Duration::from_secs(20)).await;
        let held: u64 = held.stdout.trim().parse().unwrap_or_else(|e| panic!("{e}: {held:?}"));
        assert!(held > 10 && held <= a.rig.policy.resources.pids, "{held} processes");
        if !a.has_group() {
            // Weaker: the limit is on what guests start, and init, which has none, starts another program.
            a.session.python("import os; os._exit(0)").await;
            return assert_eq!(a.session.shell("echo 42").await.stdout, "42\n");
        }
        let full = a.session.tool(ToolCall::StartCommandExecution { command: "echo started".into() }).await;
        match &full {
            Outcome::Failed { message } => {
                assert!(message.contains("fork") || message.contains("EAGAIN"), "{message}");
            }
            Outcome::Task(task) => {
                assert_ne!(a.session.ended_task(&task.id).await.exit_code, Some(0), "{task:?}");
            }
            other => panic!("{other:?}"),
        }
        // The file tools need no process.
        a.session.write(&[("beside", b"x")]).await.unwrap();
        a.session.python("import os; os._exit(0)").await;
        assert_eq!(a.session.shell("echo 42").await.stdout, "42\n");
    })
    .await;
}

/// RES-02: every kind of memory that a process can take, also the kinds that the kernel holds for it.
#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_memory_is_charged_to_the_session_that_takes_it() {
    attack(small(), async |a| {
        if !a.has_group() {
            return cloister_tests::needs::skip_unless_root(
                "memory is charged to groups, and this host has none for sandboxes",
            );
        }
        let (before, limit) = (own_memory(), a.rig.policy.resources.memory);
        let kinds = [
            "anonymous",
            "memfd",
            "shared_segment",
            "pipes",
            "sockets",
            "page_tables",
            "locked",
            "inodes",
            "reservation",
            "negative_names",
        ];
        let mut killed = 0;
        for kind in kinds {
            let ran = guest(a, &format!("memory({limit}, {kind:?})"), Duration::from_secs(20)).await;
            let ended = ran.stdout.trim().strip_prefix("ended ").unwrap_or("parent");
            // By the killer (-9), by MemoryError or ENOMEM (12), or by a limit of its own: descriptors (24), storage (28), locks (1, 11).
            let bounded = match kind {
                // Reserving addresses, and asking for names that are not there, costs nothing that lasts.
                "reservation" | "negative_names" => &["0", "12", "-9", "parent"][..],
                _ => &["-9", "12", "24", "28", "1", "11", "parent"],
            };
            assert!(bounded.contains(&ended), "{kind} ended with {ended}: {ran:?}");
            let peak = ran.execution.usage.memory_peak.unwrap();
            assert!(peak <= limit, "{kind}: {peak} bytes of {limit}");
            assert_eq!(
                ran.limits().contains(&"memory"),
                matches!(ended, "-9" | "parent"),
                "{kind} ended with {ended}: {ran:?}"
            );
            killed += usize::from(matches!(ended, "-9" | "parent"));
            guest(a, "drop_segments()", Duration::from_secs(20)).await;
            a.session.shell("rm -rf /workspace/*").await;
        }
        assert!(killed >= 3, "the killer came for {killed} of them only");
        assert!(own_memory() < before + 100, "the server has grown from {before} to {} MiB", own_memory());
    })
    .await;
}

/// RES-02: memory that no killed process gives back: files, and the kernel's objects with names, as much as there may be of each.
#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_no_process_leaves_init_the_memory_that_it_needs() {
    attack(plain(), async |a| {
        let v = Verdicts::of(&guest(a, "ownerless()\nverdicts()", Duration::from_secs(60)).await);
        v.refused("disk", &["ENOSPC"]);
        v.refused("large", &["EPERM"]);
        v.refused("many", &["ENOSPC", "ENOMEM"]);
        assert!(a.session.write(&[("more", &[0; 1 << 20])]).await.unwrap_err().contains("quota"));
        a.shell("rm -rf /workspace/*").await;
        a.session.write(&[("more", &[0; 1 << 20])]).await.unwrap();
        guest(a, "drop_ownerless()", Duration::from_secs(60)).await;
    })
    .await;
}

/// RES-03: storage full of bytes, of names, of holes.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_storage_is_an_error_and_can_be_emptied() {
    attack(small(), async |a| {
        let neighbour = a.rig.session().await;
        let v = Verdicts::of(&guest(a, "storage()\nverdicts()", Duration::from_secs(40)).await);
        for name in ["disk", "elsewhere", "names", "links"] {
            v.refused(name, &["ENOSPC"]);
        }
        v.refused("large", &["EFBIG"]);
        v.refused("allocate", &["ENOSPC"]);
        assert_eq!(a.read("after").await.as_deref(), Ok(b"works".as_slice()));
        let full = a.python("f = open('full', 'wb')\nwhile True: f.write(bytes(1 << 20)); f.flush()").await;
        assert!(full.limits().contains(&"disk"), "{full:?}");
        assert!(a.session.write(&[("more", &[0; 1 << 20])]).await.unwrap_err().contains("quota"));
        neighbour.write(&[("more", &[0; 1 << 20])]).await.unwrap();
        a.session.python("f.close(); import os; os.unlink('full')").await;
        a.session.write(&[("more", &[0; 1 << 20])]).await.unwrap();
        neighbour.stop().await;
    })
    .await;
}

/// RES-04: descriptors, timers, locks, nested polls: tables that a whole host shares.
#[tokio::test(flavor = "multi_thread")]
async fn tables_of_the_host_cannot_be_filled_by_one_session() {
    attack(small(), async |a| {
        let used = || {
            std::fs::read_to_string("/proc/sys/fs/file-nr")
                .unwrap()
                .split('\t')
                .next()
                .unwrap()
                .parse::<u64>()
                .unwrap()
        };
        let before = used();
        let v = Verdicts::of(&guest(a, "tables()\nverdicts()", Duration::from_secs(40)).await);
        for name in ["files", "events", "timers", "epolls"] {
            v.refused(name, &["EMFILE"]);
        }
        v.refused("raise", &["EPERM", "ValueError"]);
        v.refused("nested epoll", &["ELOOP", "EINVAL"]);
        v.refused("alarms", &["EAGAIN"]);
        v.refused("queues", &["EPERM"]);
        assert_eq!(v.get("signals"), nix::libc::EAGAIN.to_string(), "{v:?}");
        assert!(["0", "-9", "12", "37"].contains(&v.get("locks")), "{v:?}");
        assert!(used() < before + 20_000, "the host's table has grown from {before} to {}", used());
    })
    .await;
}

/// RES-06: output without end, without lines, and with everything in it that a terminal or a parser might obey.
#[tokio::test(flavor = "multi_thread")]
async fn floods_of_output_are_cut_and_counted_and_cost_the_server_nothing() {
    attack(strict(), async |a| {
        let (before, cap) = (own_memory(), a.rig.policy.output.stream as usize);
        for flood in ["while True: os.write(1, b'x' * 65536)", "while True: print('line' * 1000, flush=True)", "sys.stdout.write('y' * (300 << 20)); print()",
            "os.write(2, b'\\xff\\x00' * (40 << 20)); os.write(1, b'\\x1b]0;title\\x07\\x1b[2J' * 1000000)",
            "import subprocess; subprocess.run('yes | head -c 500000000; yes >&2 & sleep 0.5; kill $!', shell=True)"]
        {
            let since = Instant::now();
            let ran = a.session.python_within(&format!("import os, sys\n{flood}"), Duration::from_secs(3)).await;
            assert!(ran.stdout.len() <= 3 * cap && ran.stderr.len() <= 3 * cap + 10_000, "{flood}: {} bytes", ran.stdout.len());
            assert!(ran.limits().contains(&"output"), "{flood}: {:?}", ran.execution);
            assert!(since.elapsed() < Duration::from_secs(40), "{flood} takes {:?}", since.elapsed());
            assert_eq!(a.session.python("6 * 7").await.text(), "42", "after {flood}");
        }
        assert!(own_memory() < before + 150, "the server has grown from {before} to {} MiB", own_memory());
    })
    .await;
}

/// RES-06: background commands that keep their pipes filled, so that a reader who wants to empty them never comes back.
#[tokio::test(flavor = "multi_thread")]
async fn background_floods_keep_neither_init_nor_the_next_call_from_working() {
    attack(strict(), async |a| {
        let mut tasks = Vec::new();
        for _ in 0..3 {
            tasks.push(a.session.start_task("for i in 1 2 3 4; do cat /dev/zero & done; wait").await);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        let since = Instant::now();
        assert_eq!(a.session.python("6 * 7").await.text(), "42");
        let endless = a.session.python_within("while True: pass", Duration::from_millis(500)).await;
        assert_eq!(endless.execution.ended, Ended::Interrupted, "{endless:?}");
        for task in tasks {
            a.session.stop_task(&task.id).await;
            assert!(a.session.ended_task(&task.id).await.stdout.len() as u64 <= a.rig.policy.output.stream);
        }
        assert!(since.elapsed() < Duration::from_secs(60), "{:?}", since.elapsed());
    })
    .await;
}

/// RES-07: zombies, daemons and stopped processes that ignore every signal; the rig looks for them after the stop.
#[tokio::test(flavor = "multi_thread")]
async fn stubborn_processes_are_gone_when_the_session_is() {
    attack(strict(), async |a| {
        guest(a, "litter()", Duration::from_secs(20)).await;
        a.session.start_task("trap '' INT TERM HUP QUIT; setsid sh -c 'while :; do sleep 1; done' & while :; do sleep 1; done").await;
        let since = Instant::now();
        let other = a.rig.session().await;
        other.python(&format!("{}\n{GUEST}\nlitter()", super::PRELUDE)).await;
        let began = Instant::now();
        other.stop().await;
        assert!(began.elapsed() < Duration::from_secs(30) && since.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    })
    .await;
}

/// RES-10: code that does not end and does not listen.
#[tokio::test(flavor = "multi_thread")]
async fn endless_code_ends_at_its_deadline_whatever_it_ignores() {
    attack(strict(), async |a| {
        let endless = [
            "while True: pass",
            "import time\nwhile True:\n    try: time.sleep(100)\n    except BaseException: pass",
            "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\nsignal.pause()",
            "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass",
            "import re; re.match(r'(a+)+$', 'a' * 40 + 'b')",
            "pow(7, 10**9)",
            "import ctypes; ctypes.CDLL(None).sleep(1000)",
            "import ctypes; ctypes.CFUNCTYPE(None)(lambda: [None for _ in iter(int, 1)])()",
            "import subprocess; subprocess.run(['sh', '-c', 'trap \"\" INT TERM; while :; do sleep 1; done'])",
            "import os\nif os.fork() == 0:\n    os.setsid()\n    while True: pass\nwhile True: os.wait()",
            "import threading\nfor _ in range(100): threading.Thread(target=lambda: [None for _ in iter(int, 1)], daemon=True).start()\nwhile True: pass",
            "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)",
            "class R:\n    def __repr__(self):\n        while True: pass\nR()",
        ];
        for code in endless {
            let since = Instant::now();
            let ran = a.session.python_within(code, Duration::from_millis(300)).await;
            assert!(matches!(ran.execution.ended, Ended::Interrupted | Ended::Killed), "{code}: {ran:?}");
            assert!(ran.limits().contains(&"deadline"), "{code}: {ran:?}");
            assert!(since.elapsed() < Duration::from_secs(30), "{code} takes {:?}", since.elapsed());
            assert_eq!(a.session.python("6 * 7").await.text(), "42", "after {code}");
        }
        for command in ["trap '' INT TERM; while :; do :; done", "sleep 1000", "cat /dev/zero > /dev/null", "exec sleep 1000", "kill -STOP $$"] {
            let ran = a.session.shell_within(command, Duration::from_millis(300)).await;
            assert!(matches!(ran.execution.ended, Ended::Interrupted | Ended::Killed), "{command}: {ran:?}");
            assert_eq!(a.session.shell("echo 42").await.stdout, "42\n", "after {command}");
        }
    })
    .await;
}
