//! From start to nothing: how sandboxes end, by themselves and by others, and that nothing of them stays.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests: a failure here is a failed test"
)]

use cloister_core::Principal;
use cloister_core::backend::{InterpreterBackend, InterpreterSpec, InvokeError, StartError};
use cloister_core::command::{Language, Runtime, ToolCall};
use cloister_core::event::{Ended, Event, Outcome, StateAfter};
use cloister_core::policy::{Policy, StartMode};
use cloister_jail::guest::frame;
use cloister_jail::guest::message::Request;
use cloister_process::{ProcessBackend, ProcessConfig};
use cloister_tests::calls::in_session;
use cloister_tests::leftovers;
use cloister_tests::rig::{Rig, Session, plain};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What should happen soon has this long.
const SOON: Duration = Duration::from_secs(20);

/// Waits until the sandbox's processes have gone, without anybody stopping it.
async fn ends_by_itself(session: &Session) {
    let reason = tokio::time::timeout(SOON, session.interpreter.exited()).await.expect("it ends");
    assert!(!reason.is_empty() && !reason.contains('/'), "{reason}");
    let since = Instant::now();
    while session.traces.alive() {
        assert!(since.elapsed() < SOON, "its processes stay");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_ends_by_itself_at_the_end_of_its_life_whatever_runs_in_it() {
    let Some(rig) = Rig::new(plain()) else { return };
    let session = rig.try_session(Duration::from_millis(1500)).await.unwrap();
    session.start_task("trap '' TERM INT HUP; while true; do :; done").await;
    let call = ToolCall::ExecuteCode {
        code: "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass".into(),
        language: Language::Python,
        runtime: Runtime::Python,
        clear_context: false,
    };
    let (sender, _receiver) = tokio::sync::mpsc::channel(64);
    let ended = session.interpreter.invoke(call.clone(), Duration::from_secs(600), sender.clone()).await;
    assert!(matches!(ended, Err(InvokeError::WorkerGone { .. })), "{ended:?}");
    ends_by_itself(&session).await;
    let refused = session.interpreter.invoke(call, SOON, sender).await;
    assert!(matches!(refused, Err(InvokeError::WorkerGone { .. })), "{refused:?}");
    session.stop().await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_and_checkpoints_are_refused_by_the_name_of_the_tier_and_the_session_goes_on() {
    let Some(rig) = Rig::new(plain()) else { return };
    let session = rig.session().await;
    session.python("x = 41").await;
    for call in [ToolCall::Checkpoint, ToolCall::Restore { checkpoint: None }] {
        let (sender, _receiver) = tokio::sync::mpsc::channel(64);
        let refused = session.interpreter.invoke(call, SOON, sender).await;
        let named = matches!(&refused, Err(InvokeError::NotSupported(why)) if why.contains("process tier"));
        assert!(named, "{refused:?}");
    }
    let copy = InterpreterSpec {
        policy: Arc::clone(&rig.policy),
        ttl: SOON,
        owner: Principal::local(),
        copy_of: Some(session.interpreter.sandbox()),
    };
    let refused = rig.backend.start(copy).await.map(|_| "a copy");
    let named = matches!(&refused, Err(StartError::NotSupported(why)) if why.contains("process tier"));
    assert!(named, "{refused:?}");
    assert_eq!(session.python("x + 1").await.text(), "42");
    session.stop().await;
    rig.end().await;
}

/// Takes the place of the server on a sandbox's control socket.
fn usurp(rig: &Rig, session: &Session) -> UnixStream {
    let directory = rig.directory.path().join("sandboxes").join(session.interpreter.sandbox().as_str());
    UnixStream::connect(directory.join("ctl.sock")).unwrap()
}

fn nonce(rig: &Rig, session: &Session) -> String {
    let directory = rig.directory.path().join("sandboxes").join(session.interpreter.sandbox().as_str());
    let record: serde_json::Value =
        serde_json::from_slice(&std::fs::read(directory.join("record.json")).unwrap()).unwrap();
    record["nonce"].as_str().unwrap().to_owned()
}

fn say(stream: &mut UnixStream, request: &Request) {
    stream.write_all(&frame::encode(request, b"").unwrap()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_without_a_server_ends_by_itself_after_a_while() {
    let orphan = |config: &mut ProcessConfig| config.orphan = Duration::from_millis(1500);
    let Some(rig) = Rig::configured(plain(), orphan) else { return };
    let session = rig.session().await;
    session.start_task("sleep 1234").await;
    // A peer that does not know the nonce takes nobody's place; one that does replaces the server, and then goes away.
    let mut stranger = usurp(&rig, &session);
    say(&mut stranger, &Request::Attach { nonce: "0".repeat(32), ttl_ms: 0 });
    assert_eq!(session.python("1 + 1").await.text(), "2");
    let mut successor = usurp(&rig, &session);
    say(&mut successor, &Request::Attach { nonce: nonce(&rig, &session), ttl_ms: 0 });
    drop(successor);
    ends_by_itself(&session).await;
    session.stop().await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_lives_on_when_a_server_attaches_again_in_time() {
    let orphan = |config: &mut ProcessConfig| config.orphan = Duration::from_millis(1500);
    let Some(rig) = Rig::configured(plain(), orphan) else { return };
    let session = rig.session().await;
    let mut server = usurp(&rig, &session);
    say(&mut server, &Request::Attach { nonce: nonce(&rig, &session), ttl_ms: 0 });
    tokio::time::sleep(Duration::from_millis(3500)).await;
    say(&mut server, &Request::List { id: "look".into(), path: ".".into() });
    say(&mut server, &Request::Shutdown);
    server.set_read_timeout(Some(SOON)).unwrap();
    let mut answers = Vec::new();
    server.read_to_end(&mut answers).unwrap();
    assert!(String::from_utf8_lossy(&answers).contains("listing"), "it has a server and should answer");
    ends_by_itself(&session).await;
    session.stop().await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_starts_again_ends_what_an_earlier_one_left() {
    let mut kept = None;
    let Some(rig) = Rig::configured(plain(), |config| kept = Some(config.clone())) else { return };
    let session = rig.session().await;
    session.start_task("sleep 1234").await;
    let policies = [Arc::clone(&rig.policy)];
    let next = ProcessBackend::new(kept.unwrap(), &policies).unwrap();
    ends_by_itself(&session).await;
    let left = session.traces.left();
    assert!(left.is_empty(), "the new server leaves {left:?}");
    assert!(leftovers::directories(&rig.directory.path().join("sandboxes")).is_empty());
    session.stop().await;
    next.shutdown().await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_inside_can_end_or_stop_init() {
    in_session(plain(), async |session| {
        for attack in [
            "import os\nfor s in range(1, 65):\n    try: os.kill(1, s)\n    except OSError: pass",
            "import os\ntry: os.kill(-1, 9)\nexcept OSError: pass",
            "import os\nfor f in ('mem', 'oom_score_adj', 'comm', 'timerslack_ns'):\n    try: open(f'/proc/1/{f}', 'r+b').write(b'0')\n    except OSError: pass",
            "import ctypes\nlibc = ctypes.CDLL(None)\nfor r in (16, 0x4206): libc.ptrace(r, 1, 0, 0)",
            // Zombies and orphans by the hundred: init reaps them all.
            "import os\nfor n in range(300):\n    if os.fork() == 0:\n        if os.fork() == 0: os._exit(0)\n        os._exit(0)\nwhile True:\n    try: os.wait()\n    except ChildProcessError: break",
        ] {
            let ran = session.python(attack).await;
            assert_eq!(ran.execution.ended, Ended::Completed, "{attack}: {ran:?}");
            assert_eq!(session.python("1 + 1").await.text(), "2", "after {attack}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_on_the_drivers_channel_costs_the_runtime_and_not_the_session() {
    in_session(plain(), async |session| {
        let find = "import os, stat, time\nfds = [int(n) for n in os.listdir('/proc/self/fd')]\ndef sock(fd):\n    try: return stat.S_ISSOCK(os.fstat(fd).st_mode)\n    except OSError: return False\nfor fd in filter(sock, fds):\n";
        for attack in [
            "    os.write(fd, b'\\xff' * 64)\ntime.sleep(60)",
            "    os.write(fd, bytes(8) + os.urandom(4096))\ntime.sleep(60)",
            "    os.close(fd)\ntime.sleep(60)",
            "    os.write(fd, b'\\0\\0\\0\\x10\\0\\0\\0\\0{\"ev\":\"nonsense\"}')\ntime.sleep(60)",
        ] {
            session.python("x = 1").await;
            let ran = session.python_within(&format!("{find}{attack}"), Duration::from_secs(1)).await;
            assert_ne!(ran.execution.ended, Ended::Completed, "{attack}: {ran:?}");
            assert_eq!(session.python("1 + 1").await.text(), "2", "after {attack}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_that_dies_says_with_which_status_and_the_next_call_works() {
    in_session(plain(), async |session| {
        for (death, status) in [
            ("import os; os._exit(3)", 3),
            ("import os; os._exit(0)", 0),
            ("import ctypes; ctypes.string_at(0)", 128 + 11),
            ("import os; os.abort()", 128 + 6),
            ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 128 + 9),
            ("import threading, os, time; threading.Thread(target=os._exit, args=(4,)).start(); time.sleep(60)", 4),
            ("import os; os.execv('/bin/sh', ['sh', '-c', 'exit 9'])", 9),
        ] {
            session.python("x = 1; open('file', 'w').write('there');").await;
            let ran = session.python(&format!("print('before')\n{death}")).await;
            assert_eq!((ran.execution.ended, ran.execution.exit_code), (Ended::Died, status), "{death}: {ran:?}");
            assert_eq!((ran.execution.state, ran.stdout.as_str()), (StateAfter::Lost, "before\n"), "{death}");
            let ran = session.python("(open('file').read(), 'x' in globals())").await;
            assert_eq!((ran.text(), ran.stderr.as_str()), ("('there', False)", ""), "after {death}: {ran:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_that_dies_between_two_calls_is_announced_by_the_next_one() {
    in_session(plain(), async |session| {
        session.python("import os, threading; x = 1\nthreading.Timer(0.2, lambda: (os.write(1, b'last words'), os._exit(3))).start()").await;
        tokio::time::sleep(Duration::from_millis(1000)).await;
        let ran = session.python("'x' in globals()").await;
        assert_eq!((ran.text(), ran.stdout.as_str()), ("False", "last words"), "{ran:?}");
        assert!(ran.stderr.contains("python ended between two calls (status 3)"), "{ran:?}");
        assert_eq!(session.python("1").await.stderr, "");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_can_be_stopped_during_a_call() {
    let Some(rig) = Rig::new(plain()) else { return };
    let session = rig.session().await;
    let interpreter = Arc::clone(&session.interpreter);
    let (sender, mut receiver) = tokio::sync::mpsc::channel(64);
    let call =
        ToolCall::ExecuteCommand { command: "trap '' INT TERM; echo up; while true; do :; done".into() };
    let running =
        tokio::spawn(async move { interpreter.invoke(call, Duration::from_secs(600), sender).await });
    assert!(matches!(receiver.recv().await, Some(Event::Stdout(up)) if up == "up\n"));
    session.stop().await;
    let ended = tokio::time::timeout(SOON, running).await.expect("the call ends").unwrap();
    assert!(matches!(ended, Err(InvokeError::WorkerGone { .. })), "{ended:?}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_kills_descendants_that_have_done_everything_to_get_away() {
    let Some(rig) = Rig::new(plain()) else { return };
    let mut session = rig.session().await;
    let code = "import os, signal, time\nfor n in range(3):\n    if os.fork() == 0:\n        os.setsid()\n        for s in range(1, 65):\n            if s not in (9, 19, 32, 33): signal.signal(s, signal.SIG_IGN)\n        if os.fork(): os._exit(0)\n        os.closerange(0, 100)\n        while True: time.sleep(60)\n";
    session.python(code).await;
    session.shell("setsid nohup sleep 1234 > /dev/null 2>&1 < /dev/null & disown; (trap '' TERM; exec setsid sleep 1235) &").await;
    session.start_task("setsid setsid sleep 1236 & exit").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    session.traces = leftovers::Traces::of(&*session.interpreter);
    // Init, the driver, the shell, three daemons, three sleepers.
    assert!(session.traces.pids().len() >= 9, "{:?}", session.traces);
    session.stop().await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_forgotten_or_whose_start_is_given_up_leaves_nothing() {
    let Some(rig) = Rig::new(plain()) else { return };
    let session = rig.session().await;
    session.python("1").await;
    let Session { interpreter, traces } = session;
    drop(interpreter);
    let left = traces.left();
    assert!(left.is_empty(), "a dropped session leaves {left:?}");
    for patience in [0, 1, 3, 10, 30] {
        let start = rig.try_session(Duration::from_secs(60));
        drop(tokio::time::timeout(Duration::from_millis(patience), start).await);
    }
    // A start that was given up is finished in the background and taken down there.
    let since = Instant::now();
    while !leftovers::directories(&rig.directory.path().join("sandboxes")).is_empty() {
        assert!(since.elapsed() < SOON, "a start that was given up leaves a sandbox");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_sessions_do_not_see_each_other() {
    let Some(rig) = Rig::new(Policy { start: StartMode::Zygote, ..plain() }) else { return };
    let (first, second) = (rig.session().await, rig.session().await);
    let leave = "import os, socket, subprocess\nfor d in ('/workspace', '/tmp', '/home/agent', '/dev/shm'): open(d + '/secret', 'w').write('s')\ns = socket.socket(socket.AF_UNIX); s.bind('\\0meet'); s.listen()\nt = socket.create_server(('127.0.0.1', 4321))\nchild = subprocess.Popen(['sleep', '4321']); os.environ['MINE'] = '1'";
    let ran = first.python(leave).await;
    assert!(ran.execution.error.is_none(), "{ran:?}");
    first.shell("ipcmk -M 4096 || true").await;
    let look = "import os, socket, subprocess\nfound = [d for d in ('/workspace', '/tmp', '/home/agent', '/dev/shm') if os.listdir(d)]\nfor family, address in ((socket.AF_UNIX, '\\0meet'), (socket.AF_INET, ('127.0.0.1', 4321))):\n    try: socket.socket(family).connect(address); found.append(address)\n    except OSError: pass\nfor p in filter(str.isdigit, os.listdir('/proc')):\n    try: found += [p] * ('4321' in open(f'/proc/{p}/cmdline').read())\n    except OSError: pass\nfound += open('/proc/sysvipc/shm').read().splitlines()[1:] if os.path.exists('/proc/sysvipc/shm') else []\nfound";
    assert_eq!(second.python(look).await.text(), "[]");
    let who = "import socket\n(socket.gethostname(), open('/etc/machine-id').read())";
    assert_ne!(first.python(who).await.text(), second.python(who).await.text());
    let uid = |session: &Session| session.traces.uid();
    assert!(uid(&first).is_none() || uid(&first) != uid(&second), "as root each has a user of its own");
    first.stop().await;
    assert_eq!(second.python("1 + 1").await.text(), "2", "the other goes on");
    second.stop().await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_start_and_stop_at_once_without_harming_each_other() {
    let Some(rig) = Rig::new(Policy { start: StartMode::Zygote, ..plain() }) else { return };
    let all = (0..16).map(|n| {
        let rig = &rig;
        async move {
            let session = rig.session().await;
            assert_eq!(session.python(&format!("n = {n}; n * n")).await.text(), (n * n).to_string());
            session.stop().await;
        }
    });
    all_at_once(all).await;
    rig.end().await;
}

/// Drives all futures on this task.
async fn all_at_once<F: Future<Output = ()>>(all: impl Iterator<Item = F>) {
    let mut all: Vec<_> = all.map(Box::pin).collect();
    std::future::poll_fn(|context| {
        all.retain_mut(|future| future.as_mut().poll(context).is_pending());
        if all.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_sessions_in_a_row_leave_nothing() {
    let Some(rig) = Rig::new(plain()) else { return };
    in_a_row(&rig, 100).await;
    rig.end().await;
}

/// Starts, uses and stops sessions; [`Session::stop`] and [`Rig::end`] look for what is left.
async fn in_a_row(rig: &Rig, count: usize) {
    for n in 0..count {
        let session = rig.session().await;
        let ran = session.shell(&format!("echo {n} > file; sleep 1234 & cat file")).await;
        assert_eq!(ran.stdout, format!("{n}\n"), "{ran:?}");
        session.stop().await;
    }
}

/// The long version of the promise, from a pool and its zygotes.
#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_sessions_in_a_row_leave_nothing() {
    let Some(rig) = Rig::with_pool(Policy::built_in("test"), 4) else { return };
    in_a_row(&rig, 500).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_fill_all_memory_do_not_end_the_session() {
    let mut policy = plain();
    policy.resources.memory = 128 << 20;
    // As much as a policy may give: 16 MiB and a kilobyte per file remain for init.
    policy.filesystem.inodes = 16 << 10;
    policy.filesystem.disk = 96 << 20;
    policy.filesystem.max_file = 96 << 20;
    in_session(policy, async |session| {
        let ran = session.shell("head -c 200000000 /dev/zero > big; echo $?").await;
        assert!(!ran.execution.limits.is_empty(), "{ran:?}");
        let removed = session.tool(ToolCall::RemoveFiles { paths: vec!["big".into()] }).await;
        assert!(matches!(&removed, Outcome::Removed { removed, .. } if removed == &["big"]), "{removed:?}");
        assert_eq!(session.python("1 + 1").await.text(), "2");
    })
    .await;
}
