//! What ends in the wrong moment, is too large, or dies beside a session costs the call that it belongs to, and never the session.

use cloister_core::command::ToolCall;
use cloister_core::event::{Ended, Outcome, StateAfter};
use cloister_core::policy::{Policy, Wall};
use cloister_tests::calls::in_session;
use cloister_tests::leftovers;
use cloister_tests::rig::{Rig, plain};
use cloister_tests::tiers::on_each_tier;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

/// What should happen soon has this long.
const SOON: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn what_a_runtime_shows_just_before_it_dies_is_shown() {
    on_each_tier(plain(), async |session| {
        for n in 0..10 {
            let ran = session.python(&format!("import os\nprint({n})\ndisplay({n})\nos._exit(3)")).await;
            assert_eq!((ran.execution.ended, ran.execution.exit_code), (Ended::Died, 3), "{ran:?}");
            assert_eq!(ran.displays.len(), 1, "{n}: {ran:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_would_be_too_long_are_cut_or_refused_and_the_session_lives_on() {
    on_each_tier(plain(), async |session| {
        session.python("x = 1").await;
        // A quarter of a megabyte of names in each of fourteen levels of directories, none of it text.
        let names = "import os\nfor n in range(200):\n    d = b'/workspace'\n    for level in range(14):\n        d += b'/' + b'\\xff' * 250\n        os.makedirs(d, exist_ok=True)\n    open(d + b'/%d' % n, 'w').close()";
        let ran = session.python(names).await;
        assert!(ran.execution.files_truncated && !ran.execution.files.is_empty(), "{:?}", ran.execution.files.len());
        let ran = session.python("raise ValueError('\\x01' * (4 << 20))").await;
        assert_eq!((ran.exception().0, ran.execution.ended), ("ValueError", Ended::Completed));
        session.python("import os\nos.mkdir('many')\nfor n in range(9000): open(f'many/{n}' + 'x' * 200, 'w').close()").await;
        let Outcome::Listing { entries, truncated } = session.tool(ToolCall::ListFiles { path: "many".into() }).await else { panic!("no listing") };
        assert!(truncated && entries.len() > 1000, "{} entries", entries.len());
        let paths = (0..60_000).map(|n| n.to_string()).collect();
        let refused = session.tool(ToolCall::RemoveFiles { paths }).await;
        assert!(matches!(&refused, Outcome::Failed { message } if message.contains("too many")), "{refused:?}");
        assert!(session.read(&"x".repeat(600_000)).await.is_err());
        assert_eq!(session.python("x").await.text(), "1");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn code_that_is_larger_than_a_cell_is_refused_with_advice_and_the_state_is_kept() {
    on_each_tier(plain(), async |session| {
        session.python("x = 1").await;
        let ran = session.python(&format!("x = '{}'", "x".repeat(9 << 20))).await;
        assert!(ran.exception().1.contains("write it to a file"), "{ran:?}");
        assert_eq!((ran.execution.state, ran.stderr.as_str()), (StateAfter::Kept, ""));
        assert_eq!(session.python("x").await.text(), "1");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_deadline_comes_before_its_runtime_is_up_costs_no_runtime() {
    in_session(plain(), async |session| {
        let ran = session.python_within("open('ran', 'w').close()", Duration::from_millis(1)).await;
        assert_eq!(
            (ran.execution.ended, ran.execution.state),
            (Ended::Interrupted, StateAfter::Kept),
            "{ran:?}"
        );
        assert_eq!(session.python("import os; os.listdir('.')").await.text(), "[]", "it never ran");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_that_a_guest_sends_itself_is_its_own_exception() {
    in_session(plain(), async |session| {
        let ran = session
            .python("import os, signal, time\nos.kill(os.getpid(), signal.SIGINT); time.sleep(5)")
            .await;
        assert_eq!(
            (ran.execution.ended, ran.exception().0),
            (Ended::Completed, "KeyboardInterrupt"),
            "{ran:?}"
        );
    })
    .await;
}

/// Processes whose standard output is `file`.
fn writing_to(file: &Path) -> Vec<i32> {
    let pids =
        std::fs::read_dir("/proc").unwrap().flatten().filter_map(|e| e.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &i32| {
        std::fs::read_link(format!("/proc/{pid}/fd/1")).is_ok_and(|target| target == file)
    })
    .collect()
}

fn kill(pid: i32) {
    // What has ended meanwhile, with its init, is as dead as it should be.
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zygote_that_is_killed_costs_no_start_and_no_session() {
    let Some(rig) = Rig::new(Policy::built_in("test")) else { return };
    let log = rig.directory.path().join("sandboxes/zygote.log");
    let first = rig.session().await;
    first.python("x = 1").await;
    for _ in 0..2 {
        let zygotes = writing_to(&log);
        assert!(!zygotes.is_empty());
        zygotes.into_iter().for_each(kill);
        let next = rig.session().await;
        assert_eq!(next.python("6 * 7").await.text(), "42");
        next.stop().await;
        // The one after it is forked again.
        let again = rig.session().await;
        let walls = again.interpreter.walls();
        assert!(walls.contains(&("start".into(), "zygote".into())), "{walls:?}");
        again.stop().await;
    }
    assert_eq!(first.python("x").await.text(), "1");
    first.stop().await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_launcher_that_is_killed_costs_no_start_and_no_session() {
    let Some(rig) = Rig::new(plain()) else { return };
    let lock = rig.directory.path().join("sandboxes/launcher.lock");
    let first = rig.session().await;
    first.python("x = 1").await;
    for _ in 0..2 {
        let launchers = writing_to(&lock);
        assert_eq!(launchers.len(), 1);
        launchers.into_iter().for_each(kill);
        let next = rig.session().await;
        assert_eq!(next.python("6 * 7").await.text(), "42");
        next.stop().await;
    }
    assert_eq!(first.python("x").await.text(), "1");
    first.stop().await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ready_sandbox_that_dies_is_never_handed_out_and_is_replaced() {
    let Some(rig) = Rig::with_pool(Policy::built_in("test"), 2) else { return };
    let sandboxes = || -> BTreeSet<String> {
        leftovers::directories(&rig.directory.path().join("sandboxes")).into_iter().collect()
    };
    let full = async || {
        let since = Instant::now();
        while rig.backend.ready() < 2 || sandboxes().len() < 2 {
            assert!(since.elapsed() < SOON, "the pool does not fill");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    full().await;
    let dead = sandboxes();
    for sandbox in &dead {
        let groups = leftovers::cgroups(sandbox);
        if groups.is_empty() {
            cloister_tests::needs::skip_unless_root(
                "no cgroups: a ready sandbox's processes cannot be told from others",
            );
            return rig.end().await;
        }
        let listed = groups
            .iter()
            .map(|group| std::fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default());
        let pids: BTreeSet<i32> =
            listed.collect::<String>().lines().filter_map(|line| line.parse().ok()).collect();
        pids.into_iter().for_each(kill);
    }
    let since = Instant::now();
    while !sandboxes().is_disjoint(&dead) {
        assert!(since.elapsed() < SOON, "dead sandboxes stay in the pool");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    full().await;
    let session = rig.session().await;
    assert_eq!(session.python("6 * 7").await.text(), "42");
    session.stop().await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_without_a_namespace_takes_along_what_it_started_when_its_time_is_up() {
    if !nix::unistd::geteuid().is_root() {
        return cloister_tests::needs::skip_unless_root("the container's walls need root (of the container)");
    }
    let mut policy = plain();
    policy.isolation.require = vec![Wall::Seccomp, Wall::Landlock];
    let Some(rig) = Rig::without(policy, vec![Wall::Namespaces, Wall::Root, Wall::Cgroup]) else { return };
    let session = rig.try_session(Duration::from_secs(3)).await.unwrap();
    let ran = session
        .python("import os, subprocess\nsubprocess.Popen(['/usr/bin/setsid', 'sleep', '1000'])\nos.getuid()")
        .await;
    let owner = format!("Uid:\t{}", ran.text());
    let living = || -> Vec<String> {
        let statuses = std::fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .filter_map(|e| std::fs::read_to_string(e.path().join("status")).ok());
        statuses.filter(|status| status.contains(&owner) && !status.contains("State:\tZ")).collect()
    };
    assert!(living().len() >= 3, "init, the interpreter and the daemon");
    tokio::time::timeout(SOON, session.interpreter.exited()).await.expect("it ends by itself");
    // Nobody has stopped it yet, as if there were no server.
    let since = Instant::now();
    while !living().is_empty() {
        assert!(since.elapsed() < SOON, "{:?}", living());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    session.stop().await;
    rig.end().await;
}
