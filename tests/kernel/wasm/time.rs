//! Time: what can be interrupted keeps its state, what cannot is put back to how it was before the call, and says so.

use super::{PLENTY, SHORT, wasm};
use cloister_core::command::{Language, Runtime, ToolCall};
use cloister_core::event::{Ended, Event, StateAfter};
use cloister_core::policy::Snapshots;
use cloister_tests::calls::in_session;
use cloister_tests::rig::{Ran, Rig};
use std::sync::Arc;
use std::time::Duration;

/// The call was ended by its deadline and the state is all there.
fn interrupted(ran: &Ran, code: &str) {
    let ended = (ran.execution.ended, ran.execution.state, ran.limits());
    assert_eq!(ended, (Ended::Interrupted, StateAfter::Kept, vec!["deadline"]), "{code}: {ran:?}");
}

/// WAS-02, RES-10: what looks at signals now and then.
#[tokio::test(flavor = "multi_thread")]
async fn long_work_in_the_interpreters_own_c_is_interrupted_and_keeps_its_state() {
    in_session(wasm(), async |session| {
        session.python("import re, json, time, sqlite3, asyncio, itertools\nx = 1").await;
        for code in [
            "while True: pass",
            "re.match(r'(a+)+$', 'a' * 64 + 'b')",
            "re.match(r'(?:a|a)*b', 'a' * 40)",
            "7 ** (7 ** 9)",
            "pow(7, 10 ** 9)",
            "[n for n in itertools.count()]",
            "while True: json.dumps(list(range(1000)))",
            "while True: time.time()",
            "while True:\n    try: 1 / 0\n    except ZeroDivisionError: pass",
            "async def spin():\n    while True: await asyncio.sleep(0)\nawait spin()",
            "def g():\n    while True: yield\nfor _ in g(): pass",
            "time.sleep(3600)",
            "while True: open('f', 'w').write('x')",
        ] {
            let ran = session.python_within(code, SHORT).await;
            // A session that fills its memory first has ended by itself.
            if ran.exception().0 != "MemoryError" {
                interrupted(&ran, code);
            }
            assert_eq!(session.python("x").await.text(), "1", "after {code}");
        }
    })
    .await;
}

/// RES-10: a loop that never looks at signals.
#[tokio::test(flavor = "multi_thread")]
async fn a_loop_in_c_that_hears_no_interrupt_is_undone_and_the_answer_says_so() {
    for code in [
        "x.append(2); open('f', 'w').write('after'); sum(range(10 ** 12))",
        "x.append(2); open('g', 'w').close(); sorted(iter(int, 1))",
        "x.append(2)\nwhile True:\n    try:\n        while True: pass\n    except BaseException: pass",
    ] {
        in_session(wasm(), async |session| {
            session.python("x = [1]; open('f', 'w').write('before')").await;
            let ran = session.python_within(code, SHORT).await;
            // On a fast machine the list of the second one has filled its memory first, and the call has ended by itself.
            if ran.exception().0 == "MemoryError" {
                assert_eq!(session.python("x").await.text(), "[1, 2]", "after {code}: {ran:?}");
                return;
            }
            let ended = (ran.execution.ended, ran.execution.state, ran.limits());
            assert_eq!(ended, (Ended::Killed, StateAfter::Restored, vec!["deadline"]), "{code}: {ran:?}");
            let ran = session.python("import os\n(x, open('f').read(), os.listdir('.'))").await;
            assert_eq!(ran.text(), "([1], 'before', ['f'])", "after {code}: {ran:?}");
        })
        .await;
    }
}

/// WAS-02: native stacks are larger than what a guest can use of them, however it recurses.
#[tokio::test(flavor = "multi_thread")]
async fn deep_recursion_of_every_kind_costs_the_call_and_never_the_engine() {
    let Some(rig) = Rig::new(wasm()) else { return };
    let (session, neighbour) = (rig.session().await, rig.session().await);
    neighbour.python("y = 7").await;
    session.python("import json, pickle, copy, ast, re, sys\nx = 1\ndeep = []\nfor _ in range(100_000): deep = [deep]").await;
    for code in [
        "repr(deep)",
        "json.loads('[' * 100_000)",
        "json.dumps(deep)",
        "pickle.dumps(deep)",
        "copy.deepcopy(deep)",
        "compile('(' * 100_000, 'c', 'eval')",
        "eval('-' * 100_000 + '1')",
        "ast.literal_eval('[' * 50_000 + ']' * 50_000)",
        "re.compile('(' * 50_000 + ')' * 50_000)",
        "deep == [deep]",
        "def r(): return r()\nr()",
        "sys.setrecursionlimit(10 ** 8)\ndef r(): return r()\nr()",
        "class R:\n    def __repr__(self): return repr(self)\nrepr(R())",
        "class A:\n    def __getattr__(self, name): return getattr(self, name + 'x')\nA().a",
        "class E(Exception):\n    def __str__(self): return str(self)\nraise E",
        "f = lambda: 0\nfor _ in range(100_000): f = (lambda g: lambda: g())(f)\nf()",
    ] {
        let ran = session.python_within(code, PLENTY).await;
        assert!(matches!(ran.execution.state, StateAfter::Kept | StateAfter::Restored), "{code}: {ran:?}");
        assert_eq!(session.python("x").await.text(), "1", "after {code}");
    }
    assert_eq!(neighbour.python("y").await.text(), "7");
    session.stop().await;
    neighbour.stop().await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ends_in_the_middle_of_a_call_is_gone_at_once_and_harms_no_neighbour() {
    let Some(rig) = Rig::new(wasm()) else { return };
    let neighbour = rig.session().await;
    neighbour.python("y = 7").await;
    for code in [
        "while True: pass",
        "sum(range(10 ** 12))",
        "import time; time.sleep(3600)",
        "while True: print('x' * 1000)",
    ] {
        let session = rig.session().await;
        let interpreter = Arc::clone(&session.interpreter);
        let code = code.to_owned();
        let running = tokio::spawn(async move {
            let (sender, mut receiver) = tokio::sync::mpsc::channel(64);
            let call = ToolCall::ExecuteCode {
                code,
                language: Language::Python,
                runtime: Runtime::Python,
                clear_context: false,
            };
            let drained = async { while receiver.recv().await.is_some() {} };
            tokio::join!(interpreter.invoke(call, PLENTY, sender), drained).0
        });
        tokio::time::sleep(Duration::from_millis(200)).await;
        session.stop().await;
        // Whoever waits for the call hears of it, with a typed answer or with what the call had come to.
        tokio::time::timeout(PLENTY, running).await.expect("the call ends with its session").unwrap().ok();
        assert_eq!(neighbour.python("y").await.text(), "7");
    }
    neighbour.stop().await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_slows_its_own_session_only_and_does_not_put_off_its_deadline() {
    let mut policy = wasm();
    policy.output.stream = 64 << 20;
    let Some(rig) = Rig::new(policy) else { return };
    let (slow, neighbour) = (rig.session().await, rig.session().await);
    let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
    let call = ToolCall::ExecuteCode {
        code: "while True: print('y' * 1000)".into(),
        language: Language::Python,
        runtime: Runtime::Python,
        clear_context: false,
    };
    let interpreter = Arc::clone(&slow.interpreter);
    let running = tokio::spawn(async move { interpreter.invoke(call, SHORT, sender).await });
    // Nothing is read for much longer than the call has.
    for n in 0..20 {
        assert_eq!(neighbour.python(&format!("{n} + 1")).await.text(), (n + 1).to_string());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut last = None;
    while let Some(event) = receiver.recv().await {
        last = Some(event);
    }
    running.await.unwrap().unwrap();
    assert!(matches!(last, Some(Event::Done(_))), "{last:?}");
    assert_eq!(slow.python("'works'").await.text(), "'works'");
    slow.stop().await;
    neighbour.stop().await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_kept_states_a_call_that_is_cut_off_loses_names_keeps_files_and_says_so() {
    let mut policy = wasm();
    policy.snapshots = Snapshots::None;
    in_session(policy, async |session| {
        session.python("x = 1; open('f', 'w').write('there')").await;
        let ran = session.python_within("sum(range(10 ** 12))", SHORT).await;
        assert_eq!((ran.execution.ended, ran.execution.state), (Ended::Killed, StateAfter::Lost), "{ran:?}");
        let ran = session.python("('x' in globals(), open('f').read())").await;
        assert_eq!(ran.text(), "(False, 'there')", "{ran:?}");
    })
    .await;
}
