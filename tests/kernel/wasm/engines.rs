//! Engines: one principal's each, shared fairly, with an end to what they take, and expendable.

use super::{PLENTY, SHORT, refused, wall, wasm};
use cloister_core::backend::{InvokeError, StartError};
use cloister_core::command::ToolCall;
use cloister_tests::host::settled;
use cloister_tests::needs;
use cloister_tests::rig::{Rig, Session};
use cloister_tests::tiers::room;
use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

/// What should happen soon has this long.
const SOON: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn principals_never_share_an_engine_and_their_engines_have_users_of_their_own() {
    let Some(rig) = Rig::new(wasm()) else { return };
    let mut sessions = Vec::new();
    for owner in ["a", "b", "a", "b"] {
        sessions.push(rig.session_of(owner).await);
    }
    let engines: Vec<String> = sessions.iter().map(|session| wall(session, "engine")).collect();
    assert_eq!((&engines[0], &engines[1]), (&engines[2], &engines[3]));
    assert_ne!(engines[0], engines[1]);
    assert_eq!(rig.wasm.as_ref().unwrap().engines(), 2);
    if nix::unistd::geteuid().is_root() {
        let users: BTreeSet<u32> = rig.engine_users().into_iter().collect();
        assert_eq!(users.len(), 2, "{users:?}");
    }
    for session in sessions {
        session.stop().await;
    }
    rig.end().await;
}

/// ISO-02: what a session leaves behind in its interpreter is in no other, and a ready one is used once.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_session_leaves_in_its_interpreter_is_in_no_later_one() {
    const LEAVE: &str = "import os, sys, atexit, json, builtins, random, signal\nx = 1\nopen('f', 'w').close(); open('/tmp/t', 'w').close(); open(os.path.expanduser('~/h'), 'w').close()\nos.environ['LEFT'] = 'v'; os.chdir('/tmp'); sys.path.insert(0, '/tmp'); sys.modules['left'] = json\nbuiltins.left = 1; json.dumps = None; atexit.register(print, 'left'); random.seed(1); sys.setrecursionlimit(500)\nkept = open('/tmp/t')";
    const LOOK: &str = "import os, sys, json, builtins\n('x' in globals(), os.listdir('.'), os.listdir('/tmp'), os.listdir(os.path.expanduser('~')), 'LEFT' in os.environ, os.getcwd(), '/tmp' in sys.path, 'left' in sys.modules, hasattr(builtins, 'left'), json.dumps(1), sys.getrecursionlimit() > 500)";
    for pool in [0, 2] {
        let Some(rig) = Rig::with_pool(wasm(), pool) else { return };
        let living = rig.session().await;
        living.python(LEAVE).await;
        for _ in 0..4 {
            let session = rig.session().await;
            let ran = session.python(LOOK).await;
            assert_eq!(
                ran.text(),
                "(False, [], [], [], False, '/workspace', False, False, False, '1', True)",
                "{ran:?}"
            );
            session.python(LEAVE).await;
            session.stop().await;
        }
        living.stop().await;
        rig.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_loops_do_not_stop_their_neighbours() {
    let Some(rig) = Rig::new(wasm()) else { return };
    let neighbour = rig.session().await;
    let mut looping = Vec::new();
    for _ in 0..4 {
        looping.push(rig.session().await);
    }
    let loops = async {
        let all = looping.iter().map(|session| session.python_within("while True: pass", PLENTY));
        futures_util::future::join_all(all).await
    };
    let work = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        for n in 0..20 {
            assert_eq!(neighbour.python(&format!("{n} * 2")).await.text(), (n * 2).to_string());
        }
        // A new one starts as well.
        let another = rig.session().await;
        assert_eq!(another.python("6 * 7").await.text(), "42");
        another.stop().await;
        for session in &looping {
            session.interpreter.interrupt().await;
        }
    };
    // The loops have a minute. Were the neighbour to wait for them, they would end by their deadline and not by the interrupt.
    let (ran, ()) = tokio::join!(loops, work);
    for ran in ran {
        assert_eq!((ran.exception().0, ran.limits()), ("KeyboardInterrupt", vec![]), "{ran:?}");
    }
    for session in looping {
        session.stop().await;
    }
    neighbour.stop().await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_beyond_what_an_engine_runs_at_once_wait_for_their_turn() {
    let mut room = room();
    room.cells = 2;
    let Some(rig) = Rig::with_room(wasm(), room, |_| {}) else { return };
    let mut sessions = Vec::new();
    for _ in 0..6 {
        sessions.push(rig.session().await);
    }
    let all = sessions.iter().map(|session| session.python("n = 0\nfor _ in range(200_000): n += 1\nn"));
    for ran in futures_util::future::join_all(all).await {
        assert_eq!(ran.text(), "200000", "{ran:?}");
    }
    for session in sessions {
        session.stop().await;
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_sessions_than_there_is_room_for_are_refused_with_a_typed_answer_until_one_ends() {
    let mut room = room();
    room.sessions = 3;
    let Some(rig) = Rig::with_room(wasm(), room, |_| {}) else { return };
    let mut sessions = Vec::new();
    for _ in 0..3 {
        sessions.push(rig.session().await);
    }
    for _ in 0..2 {
        let refused = rig.start(rig.spec()).await.map(|_| ()).unwrap_err();
        assert!(matches!(refused, StartError::Full(_)), "{refused:?}");
    }
    let refused = rig.copy(&sessions[0]).await.map(|_| ()).unwrap_err();
    assert!(matches!(refused, StartError::Full(_)), "a copy is a session as well: {refused:?}");
    assert_eq!(rig.wasm.as_ref().unwrap().engines(), 1, "no more engines than allowed");
    let other = rig.session_of("somebody else").await;
    other.stop().await;
    sessions.pop().unwrap().stop().await;
    let next = soon(&rig).await;
    assert_eq!(next.python("6 * 7").await.text(), "42");
    next.stop().await;
    for session in sessions {
        assert_eq!(session.python("1 + 1").await.text(), "2");
        session.stop().await;
    }
    rig.end().await;
}

/// A session, as soon as there is room.
async fn soon(rig: &Rig) -> Session {
    let since = Instant::now();
    loop {
        match rig.start(rig.spec()).await {
            Ok(session) => return session,
            Err(error) => assert!(since.elapsed() < SOON, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_killed_loses_its_own_sessions_with_a_typed_answer_and_the_next_start_works() {
    let Some(rig) = Rig::new(wasm()) else { return };
    for _ in 0..3 {
        let (idle, busy) = (rig.session_of("a").await, rig.session_of("a").await);
        let engine = rig.pids_of(&idle);
        let other = rig.session_of("b").await;
        other.python("y = 7").await;
        let (interpreter, ready) =
            (std::sync::Arc::clone(&busy.interpreter), tokio::sync::oneshot::channel());
        let running = tokio::spawn(async move {
            let (sender, mut receiver) = tokio::sync::mpsc::channel(64);
            let call = ToolCall::ExecuteCode {
                code: "print('started', flush=True)\nwhile True: pass".into(),
                language: cloister_core::command::Language::Python,
                runtime: cloister_core::command::Runtime::Python,
                clear_context: false,
            };
            let heard = async {
                let mut ready = Some(ready.0);
                while receiver.recv().await.is_some() {
                    if let Some(ready) = ready.take() {
                        ready.send(()).unwrap();
                    }
                }
            };
            tokio::join!(interpreter.invoke(call, PLENTY, sender), heard).0
        });
        ready.1.await.unwrap();
        for pid in engine.iter().filter(|&&pid| is_engine(pid)) {
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(*pid), nix::sys::signal::Signal::SIGKILL).ok();
        }
        let answer = tokio::time::timeout(SOON, running).await.expect("the call ends").unwrap();
        assert!(matches!(answer, Err(InvokeError::WorkerGone { .. })), "{answer:?}");
        let answer = refused(&idle, ToolCall::ListFiles { path: String::new() }).await;
        assert!(matches!(answer, InvokeError::WorkerGone { .. }), "{answer:?}");
        let reason =
            tokio::time::timeout(SOON, idle.interpreter.exited()).await.expect("it says that it has ended");
        assert!(!reason.is_empty() && !reason.contains('/'), "{reason}");
        assert_eq!(other.python("y").await.text(), "7", "the engine of another principal lives on");
        let next = rig.session_of("a").await;
        assert_eq!(next.python("6 * 7").await.text(), "42");
        for session in [next, other, idle, busy] {
            session.stop().await;
        }
    }
    rig.end().await;
}

/// Whether a process is an engine and lives: others of its sandbox are its init.
fn is_engine(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.starts_with("engine"))
}

fn of_status(pid: i32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim_start_matches(':').split_whitespace().next().unwrap().parse().unwrap()
}

fn descriptors(pid: i32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_sessions_in_a_row_leave_nothing_behind() {
    if !nix::unistd::geteuid().is_root() {
        return needs::skip_unless_root("only root counts an engine's descriptors");
    }
    let Some(rig) = Rig::new(wasm()) else { return };
    let run = async |n: usize| {
        let session = rig.session().await;
        let ran = session.python(&format!("x = bytearray(1 << 20)\nopen('f', 'wb').write(x)\n{n}")).await;
        assert_eq!(ran.text(), n.to_string());
        if n.is_multiple_of(10) {
            session.python_within("while True: pass", Duration::from_millis(20)).await;
            let copy = rig.copy(&session).await.unwrap();
            copy.stop().await;
        }
        session.stop().await;
    };
    for n in 0..50 {
        run(n).await;
    }
    let engine = rig.engine_pids().into_iter().find(|&pid| is_engine(pid)).unwrap();
    let own = i32::try_from(std::process::id()).unwrap();
    let look = || (of_status(engine, "Threads"), rig.engine_pids().len());
    let open = descriptors(engine);
    let (before, kib, of_own) = (look(), of_status(engine, "VmRSS"), descriptors(own));
    for n in 50..2000 {
        run(n).await;
    }
    assert_eq!(before, look(), "threads and processes of the engine");
    // A session's socket is closed a moment after its end has been said.
    settled(|| match descriptors(engine) {
        few if few <= open => Ok(()),
        many => Err(format!("{open} descriptors of the engine became {many}")),
    });
    let grown = of_status(engine, "VmRSS").saturating_sub(kib);
    assert!(grown < 64 << 10, "the engine has grown by {grown} KiB from {kib}");
    // Other tests of this process come and go, each with a few dozen.
    assert!(
        descriptors(own) < of_own + 1000,
        "{of_own} descriptors of the server became {}",
        descriptors(own)
    );
    assert_eq!(rig.wasm.as_ref().unwrap().engines(), 1);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_sessions_at_once_all_answer() {
    let mut room = room();
    room.sessions = 200;
    let Some(rig) = Rig::with_room(wasm(), room, |_| {}) else { return };
    let starts = (0..100).map(|_| rig.start(rig.spec()));
    let sessions: Vec<Session> =
        futures_util::future::join_all(starts).await.into_iter().map(Result::unwrap).collect();
    let calls = sessions.iter().enumerate().map(|(n, session)| async move {
        let ran = session.python_within(&format!("x = {n}\nx"), PLENTY).await;
        assert_eq!(ran.text(), n.to_string(), "{ran:?}");
    });
    futures_util::future::join_all(calls).await;
    assert_eq!(rig.wasm.as_ref().unwrap().engines(), 1);
    for session in sessions {
        session.stop().await;
    }
    let after = rig.session().await;
    assert_eq!(after.python_within("6 * 7", SHORT * 10).await.text(), "42");
    after.stop().await;
    rig.end().await;
}
