//! The walls where no namespace can be made: another user, chroot, Landlock, seccomp, rlimits (`setup/container.rs`).

use cloister_core::backend::StartError;
use cloister_core::command::{NewFile, ToolCall};
use cloister_core::event::{Ended, Outcome};
use cloister_core::policy::{Policy, Wall};
use cloister_tests::needs;
use cloister_tests::rig::{Rig, plain};
use std::time::Duration;

/// A policy that is content with these walls.
fn policy() -> Policy {
    let mut policy = plain();
    policy.isolation.require = vec![Wall::Seccomp, Wall::Landlock];
    policy
}

/// A host that has no better ones.
fn rig() -> Option<Rig> {
    // As the server has it: what it makes for guests is theirs to use all the same.
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
    if !nix::unistd::geteuid().is_root() {
        needs::skip_unless_root("the container's walls need root (of the container)");
        return None;
    }
    Rig::without(policy(), vec![Wall::Namespaces, Wall::Root, Wall::Cgroup])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_requires_namespaces_is_refused_and_not_weakened() {
    let Some(rig) = Rig::without(plain(), vec![Wall::Namespaces]) else { return };
    let refused = rig.try_session(Duration::from_secs(60)).await.err();
    assert!(
        matches!(&refused, Some(StartError::Unavailable(why)) if why.what.contains("namespaces")),
        "{refused:?}"
    );
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_analysis_stack_the_shell_and_the_file_tools_work_in_a_container() {
    let Some(rig) = rig() else { return };
    let session = rig.session().await;
    let ran = session.python("import pandas as pd\nprint(pd.DataFrame({'x': [1, 2, 3]}).describe())").await;
    assert!(ran.stdout.contains("mean"), "{ran:?}");
    let file = NewFile { path: "in/data.csv".into(), data: "a\n1\n".into() };
    let written = session.tool(ToolCall::WriteFiles { content: vec![file] }).await;
    assert!(matches!(written, Outcome::Written { .. }), "{written:?}");
    let ran = session.shell("cat in/data.csv; echo hello > out.txt; id -u").await;
    assert!(ran.stdout.starts_with("a\n1\n18"), "{ran:?}");
    assert_eq!(ran.execution.files[0].path, "out.txt", "{ran:?}");
    session.stop().await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_session_reaches_neither_the_network_nor_another_session_nor_its_processes() {
    let Some(rig) = rig() else { return };
    let (mine, other) = (rig.session().await, rig.session().await);
    other.python("open('secret', 'w').write('flag')").await;
    let place = other.python("import os; os.getcwd()").await.text().trim_matches('\'').to_owned();
    let pid = other.python("os.getpid()").await.text().to_owned();
    let code = format!(
        "import os, socket\n\
         def tried(f):\n    try:\n        f()\n        return 'reached'\n    except OSError as e:\n        return type(e).__name__\n\
         print(tried(lambda: open('{place}/secret').read()))\n\
         print(tried(lambda: os.listdir('{place}')))\n\
         print(tried(lambda: os.listdir('/sessions')))\n\
         print(tried(lambda: os.kill({pid}, 9)))\n\
         print(tried(lambda: socket.socket(socket.AF_INET)))\n\
         print(tried(lambda: socket.socket(socket.AF_UNIX)))\n\
         print(tried(lambda: open('/usr/x', 'w')))\n"
    );
    let ran = mine.python(&code).await;
    assert_eq!(ran.stdout.lines().collect::<Vec<_>>(), ["PermissionError"; 7], "{ran:?}");
    assert_eq!(other.python("open('secret').read()").await.text(), "'flag'");
    mine.stop().await;
    other.stop().await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_a_container_session_kills_what_left_its_process_group_and_removes_its_files() {
    let Some(rig) = rig() else { return };
    let session = rig.session().await;
    let ran = session
        .python(
            "import os, subprocess\n\
             subprocess.Popen(['/usr/bin/setsid', 'sleep', '1000'])\n\
             print(os.getuid(), os.getcwd())",
        )
        .await;
    let (uid, place) = ran.stdout.trim().split_once(' ').unwrap();
    let (uid, place) = (uid.to_owned(), place.to_owned());
    session.stop().await;
    let left: Vec<String> = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|e| std::fs::read_to_string(e.path().join("status")).ok())
        .filter(|status| status.lines().any(|l| l.starts_with("Uid:") && l.contains(&uid)))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    let root = needs::images().unwrap().join("analysis/current/root");
    assert!(!root.join(place.trim_start_matches('/')).exists());
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deadlines_hold_in_a_container() {
    let Some(rig) = rig() else { return };
    let session = rig.session().await;
    session.python("x = 7").await;
    let ran = session.python_within("while True: pass", Duration::from_millis(500)).await;
    assert_eq!(ran.execution.ended, Ended::Interrupted, "{ran:?}");
    assert_eq!(session.python("x").await.text(), "7");
    let stubborn = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass";
    let ran = session.python_within(stubborn, Duration::from_millis(500)).await;
    assert_eq!(ran.execution.ended, Ended::Killed, "{ran:?}");
    assert_eq!(session.python("1 + 1").await.text(), "2");
    session.stop().await;
    rig.end().await;
}
