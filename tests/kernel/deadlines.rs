//! Deadlines: an interrupt that leaves the state alive where that is possible, and a kill where it is not.

use cloister_core::command::{Language, Runtime, ToolCall};
use cloister_core::event::{Ended, LimitHit, StateAfter};
use cloister_core::policy::{Policy, Snapshots};
use cloister_tests::calls::in_session;
use cloister_tests::rig::{Ran, Session, plain};
use cloister_tests::tiers::on_each_tier;
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(400);

/// A short grace period: these tests wait for it to end.
fn impatient() -> Policy {
    let mut policy = plain();
    policy.time.grace = Duration::from_millis(400);
    // A tier that could undo the call would: what is tested here is what becomes of a state that nobody has kept.
    policy.snapshots = Snapshots::None;
    policy
}

/// The call was ended by the interrupt, and says by which limit.
fn interrupted(ran: &Ran) {
    assert_eq!((ran.execution.ended, ran.execution.state), (Ended::Interrupted, StateAfter::Kept), "{ran:?}");
    assert_eq!(ran.execution.limits, [LimitHit::Deadline { limit: SHORT }], "{ran:?}");
}

/// The call was ended by the kill.
fn killed(ran: &Ran) {
    assert_eq!((ran.execution.ended, ran.execution.state), (Ended::Killed, StateAfter::Lost), "{ran:?}");
    assert_eq!(ran.limits(), ["deadline"], "{ran:?}");
}

/// A file and a variable, whose fates differ when the interpreter is killed.
async fn prepare(session: &Session) {
    session.python("x = 1; open('file', 'w').write('there');").await;
}

async fn works_again_with_its_files(session: &Session) {
    let ran = session.python("(open('file').read(), 'x' in globals())").await;
    assert_eq!(ran.text(), "('there', False)", "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn python_in_a_loop_a_sleep_a_wait_or_long_arithmetic_is_interrupted_and_keeps_its_state() {
    on_each_tier(plain(), async |session| {
        session.python("x = 1; import time, subprocess, threading").await;
        let anywhere = [
            "while True: pass",
            "time.sleep(60)",
            "import asyncio; await asyncio.sleep(60)",
            "[n for n in iter(int, 1)]",
            "7 ** (7 ** 9)",
        ];
        let with_processes = [
            "subprocess.run(['sleep', '60'])",
            "subprocess.Popen(['sleep', '60']).wait()",
            "threading.Event().wait()",
        ];
        let with_processes = with_processes.into_iter().filter(|_| !session.is_wasm());
        for endless in anywhere.into_iter().chain(with_processes) {
            let ran = session.python_within(endless, SHORT).await;
            interrupted(&ran);
            assert_eq!(
                (ran.exception().0, ran.execution.exit_code),
                ("KeyboardInterrupt", 130),
                "{endless}: {ran:?}"
            );
            assert_eq!(session.python("x").await.text(), "1", "after {endless}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_python_waits_for_is_interrupted_with_it() {
    in_session(plain(), async |session| {
        // system(3) makes the caller deaf to SIGINT while it waits.
        let ran = session.python_within("x = 1; import os; print(os.system('sleep 60'))", SHORT).await;
        interrupted(&ran);
        assert_eq!(ran.stdout, "2\n", "the command died of SIGINT: {ran:?}");
        assert_eq!(session.python("x").await.text(), "1");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runaway_regular_expression_is_interrupted_and_keeps_its_state() {
    on_each_tier(plain(), async |session| {
        session.python("import re; x = 1").await;
        interrupted(&session.python_within("re.match(r'(a+)+$', 'a' * 64 + 'b')", SHORT).await);
        assert_eq!(session.python("x").await.text(), "1");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn output_and_files_from_before_the_deadline_are_part_of_the_answer() {
    on_each_tier(plain(), async |session| {
        let ran = session
            .python_within("print('before'); open('f', 'w').write('xyz')\nwhile True: pass", SHORT)
            .await;
        interrupted(&ran);
        assert_eq!((ran.stdout.as_str(), ran.files()), ("before\n", vec![("f", 3, true)]));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn javascript_in_a_loop_or_an_await_is_interrupted_and_keeps_its_state() {
    for (language, runtime) in
        [(Language::JavaScript, Runtime::Nodejs), (Language::TypeScript, Runtime::Deno)]
    {
        in_session(plain(), async |session| {
            session.code(language, runtime, "let x = 1").await;
            for endless in [
                "while (true) {}",
                "await new Promise(r => setTimeout(r, 60_000))",
                "for (let i = 0; ; i++) [i].map(String)",
                "(await import('node:child_process')).spawnSync('sleep', ['60']); while (true) {}",
            ] {
                let code =
                    ToolCall::ExecuteCode { code: endless.into(), language, runtime, clear_context: false };
                let ran = session.run(code, SHORT).await;
                interrupted(&ran);
                assert_eq!(ran.exception().0, "KeyboardInterrupt", "{endless}: {ran:?}");
                assert_eq!(
                    session.code(language, runtime, "x").await.text(),
                    "1",
                    "{runtime:?} after {endless}"
                );
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_swallows_the_interrupt_is_killed_and_the_next_call_works() {
    on_each_tier(impatient(), async |session| {
        let anywhere = ["import time\nwhile True:\n    try: time.sleep(60)\n    except KeyboardInterrupt: pass"];
        let with_signals = [
            "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass",
            "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\nwhile True: pass",
            "import os, signal\nfor s in (signal.SIGTERM, signal.SIGHUP): signal.signal(s, signal.SIG_IGN)\nos.kill(os.getpid(), signal.SIGSTOP)",
        ];
        let with_signals = with_signals.into_iter().filter(|_| !session.is_wasm());
        for stubborn in anywhere.into_iter().chain(with_signals) {
            prepare(session).await;
            let ran = session.python_within(stubborn, SHORT).await;
            assert_eq!(ran.execution.ended, Ended::Killed, "{stubborn}: {ran:?}");
            killed(&ran);
            works_again_with_its_files(session).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_in_c_is_killed_and_the_next_call_works() {
    on_each_tier(impatient(), async |session| {
        prepare(session).await;
        // One instruction of Python, which never comes back to where signals are looked at.
        killed(&session.python_within("sum(iter(int, 1))", SHORT).await);
        works_again_with_its_files(session).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_call_takes_its_children_along() {
    in_session(impatient(), async |session| {
        prepare(session).await;
        let code = "import subprocess, signal\nsubprocess.Popen(['sleep', '1234'])\nsubprocess.Popen(['setsid', 'sleep', '1234'])\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass";
        killed(&session.python_within(code, SHORT).await);
        works_again_with_its_files(session).await;
        assert_eq!(session.shell("ps -eo args | grep -c '^sleep 1234'").await.stdout, "0\n");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_call_takes_along_what_it_started_and_leaves_what_earlier_calls_started() {
    in_session(plain(), async |session| {
        session.python("import subprocess, signal, time, os\nearlier = subprocess.Popen(['sh', '-c', 'trap \"\" INT; sleep 1231'])").await;
        let task = session.start_task("sleep 1232").await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let code = "signal.signal(signal.SIGINT, signal.SIG_IGN)\nsubprocess.Popen(['sleep', '1233'])\nsubprocess.Popen(['setsid', '-f', 'sleep', '1234'])\nsignal.signal(signal.SIGINT, signal.default_int_handler)\ntime.sleep(60)";
        interrupted(&session.python_within(code, SHORT).await);
        let left = session.shell("ps -eo stat,args | grep -v '^Z' | grep -o 'sleep 123.$' | sort -u").await;
        assert_eq!(left.stdout, "sleep 1231\nsleep 1232\n", "{left:?}");
        session.stop_task(&task.id).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_command_past_its_deadline_is_interrupted_and_the_shell_lives_on() {
    in_session(impatient(), async |session| {
        session.shell("X=kept").await;
        let ran = session.shell_within("echo before; sleep 60", SHORT).await;
        interrupted(&ran);
        assert_eq!((ran.stdout.as_str(), ran.execution.exit_code), ("before\n", 130));
        assert_eq!(session.shell("echo $X").await.stdout, "kept\n");
        // The shell itself in a loop has nothing but its life to give.
        killed(&session.shell_within("while true; do :; done", SHORT).await);
        assert_eq!(session.shell("echo \"[$X]\"").await.stdout, "[]\n");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_bomb_ends_at_its_deadline_and_the_next_call_works() {
    let mut policy = impatient();
    policy.resources.pids = 64;
    in_session(policy, async |session| {
        session.python("open('file', 'w').write('there');").await;
        let since = Instant::now();
        let ran = session.shell_within("f() { f | f & }; f; while true; do f; done", SHORT).await;
        assert!(
            matches!(ran.execution.ended, Ended::Killed | Ended::Died | Ended::Exited | Ended::Interrupted),
            "{ran:?}"
        );
        let bomb = "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass";
        let ran = session.python_within(bomb, SHORT).await;
        assert!(matches!(ran.execution.ended, Ended::Killed | Ended::Interrupted | Ended::Died), "{ran:?}");
        assert!(since.elapsed() < Duration::from_secs(30));
        let ran = session.python("open('file').read()").await;
        assert_eq!(ran.text(), "'there'", "{ran:?}");
        let ran = session.shell("echo works").await;
        assert_eq!(ran.stdout, "works\n", "{ran:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_can_be_interrupted_before_its_deadline() {
    on_each_tier(plain(), async |session| {
        session.python("x = 1").await;
        let running = session.python("print('started')\nwhile True: pass");
        let interrupting = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            session.interpreter.interrupt().await;
        };
        let (ran, ()) = tokio::join!(running, interrupting);
        assert_eq!(
            (ran.execution.ended, ran.execution.state),
            (Ended::Interrupted, StateAfter::Kept),
            "{ran:?}"
        );
        assert!(ran.execution.limits.is_empty(), "no limit was hit: {ran:?}");
        assert_eq!(session.python("x").await.text(), "1");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_between_calls_harms_nobody() {
    on_each_tier(plain(), async |session| {
        session.python("x = 1").await;
        for _ in 0..3 {
            session.interpreter.interrupt().await;
        }
        assert_eq!(session.python("x").await.text(), "1");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_client_has_left_ends_at_its_deadline_all_the_same() {
    on_each_tier(impatient(), async |session| {
        session.python("x = 1").await;
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        drop(receiver);
        let call = ToolCall::ExecuteCode {
            code: "while True: print('to nobody')".into(),
            language: Language::Python,
            runtime: Runtime::Python,
            clear_context: false,
        };
        session.interpreter.invoke(call, SHORT, sender).await.unwrap();
        assert_eq!(session.python("x").await.text(), "1");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_slows_the_guest_and_does_not_put_off_its_deadline() {
    let mut policy = impatient();
    policy.output.stream = 64 << 20;
    in_session(policy, async |session| {
        let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
        let call = ToolCall::ExecuteCommand { command: "yes".into() };
        let interpreter = std::sync::Arc::clone(&session.interpreter);
        let running = tokio::spawn(async move { interpreter.invoke(call, SHORT, sender).await });
        // Nothing is read for much longer than the call has: its pipes and queues are full by then.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let mut last = None;
        while let Some(event) = receiver.recv().await {
            last = Some(event);
        }
        running.await.unwrap().unwrap();
        assert!(matches!(last, Some(cloister_core::event::Event::Done(_))), "{last:?}");
        assert_eq!(session.shell("echo works").await.stdout, "works\n");
    })
    .await;
}
