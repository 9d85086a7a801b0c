//! States that are kept: on request, before every call, and calls that happen whole or not at all.

use super::{PLENTY, SHORT, checkpoint, restore, wasm};
use cloister_core::command::{Language, Runtime, ToolCall};
use cloister_core::event::{Ended, Outcome, StateAfter};
use cloister_core::policy::{Policy, Snapshots};
use cloister_tests::calls::in_session;
use cloister_tests::rig::Rig;
use std::sync::Arc;
use std::time::Duration;

fn keeping(snapshots: Snapshots) -> Policy {
    Policy { snapshots, ..wasm() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_brings_back_names_imports_and_files_as_often_as_asked() {
    in_session(wasm(), async |session| {
        session.python("import json\nxs = [1]\nopen('f', 'w').write('then')").await;
        let first = checkpoint(session).await;
        session.python("xs.append(2); del json; open('f', 'w').write('later'); open('g', 'w').close()").await;
        let second = checkpoint(session).await;
        assert_ne!(first, second);
        for _ in 0..2 {
            assert_eq!(restore(session, Some(&first)).await.unwrap(), first);
            let ran = session
                .python("import os\n(xs, json.dumps(xs), open('f').read(), os.path.exists('g'))")
                .await;
            assert_eq!(ran.text(), "([1], '[1]', 'then', False)", "{ran:?}");
            restore(session, Some(&second)).await.unwrap();
            let ran = session
                .python("import os\n(xs, 'json' in globals(), open('f').read(), os.path.exists('g'))")
                .await;
            assert_eq!(ran.text(), "([1, 2], False, 'later', True)", "{ran:?}");
        }
        let message = restore(session, Some("checkpoint-99")).await.unwrap_err();
        assert!(message.contains("checkpoint-99"), "{message}");
        assert_eq!(session.python("xs").await.text(), "[1, 2]", "a refusal changes nothing");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_restored_session_draws_for_secrets_is_new_each_time() {
    in_session(wasm(), async |session| {
        session.python("import secrets, uuid, os").await;
        let kept = checkpoint(session).await;
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..4 {
            let ran = session.python("secrets.token_hex(16) + uuid.uuid4().hex + os.urandom(16).hex()").await;
            assert!(ran.text().len() > 96 && seen.insert(ran.text().to_owned()), "{ran:?}");
            restore(session, Some(&kept)).await.unwrap();
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_so_many_checkpoints_are_kept_and_the_answer_says_how_many() {
    in_session(wasm(), async |session| {
        session.python("x = 1").await;
        for _ in 0..16 {
            checkpoint(session).await;
        }
        let refused = session.tool(ToolCall::Checkpoint).await;
        assert!(matches!(&refused, Outcome::Failed { message } if message.contains("16")), "{refused:?}");
        assert_eq!(session.python("x").await.text(), "1");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn undo_goes_one_call_back_with_its_files_and_no_further() {
    in_session(keeping(Snapshots::Call), async |session| {
        let message = restore(session, None).await.unwrap_err();
        assert!(message.contains("undo"), "{message}");
        session.python("x = 1; open('f', 'w').write('one')").await;
        session.python("x = 2; open('f', 'w').write('two'); open('g', 'w').close()").await;
        assert_eq!(restore(session, None).await.unwrap(), "previous");
        let ran = session.python("import os\n(x, open('f').read(), os.path.exists('g'))").await;
        assert_eq!(ran.text(), "(1, 'one', False)", "{ran:?}");
        restore(session, None).await.unwrap();
        assert!(restore(session, None).await.is_err(), "only one call is kept");
        assert_eq!(session.python("x").await.text(), "1");
    })
    .await;
    in_session(keeping(Snapshots::None), async |session| {
        session.python("x = 1").await;
        let message = restore(session, None).await.unwrap_err();
        assert!(message.contains("snapshots"), "the field to set is named: {message}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_was_undone_first_of_all_leaves_a_new_session() {
    in_session(keeping(Snapshots::Call), async |session| {
        session.python("x = 1; open('f', 'w').close()").await;
        restore(session, None).await.unwrap();
        let ran = session.python("import os\n('x' in globals(), os.listdir('.'))").await;
        assert_eq!(ran.text(), "(False, [])", "{ran:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_cut_off_call_with_an_empty_context_has_brought_back_is_brought_back_again() {
    const STUBBORN: &str = "while True:\n  try:\n    while True: pass\n  except BaseException: pass";
    in_session(keeping(Snapshots::Call), async |session| {
        session.python("x = 1").await;
        let cleared = ToolCall::ExecuteCode {
            code: STUBBORN.into(),
            language: Language::Python,
            runtime: Runtime::Python,
            clear_context: true,
        };
        let ran = session.run(cleared, SHORT).await;
        assert_eq!(ran.execution.state, StateAfter::Restored, "{ran:?}");
        let ran = session.python_within(STUBBORN, SHORT).await;
        assert_eq!(ran.execution.state, StateAfter::Restored, "{ran:?}");
        assert_eq!(session.python("x").await.text(), "1");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_whose_first_call_was_undone_have_nothing_random_in_common() {
    let Some(rig) = Rig::new(keeping(Snapshots::Call)) else { return };
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let session = rig.session().await;
        session.python("x = 1").await;
        restore(&session, None).await.unwrap();
        let ran = session.python("import random, uuid\n(random.random(), uuid.uuid4().hex)").await;
        assert!(seen.insert(ran.text().to_owned()), "{ran:?}");
        session.stop().await;
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_atomic_call_that_fails_has_never_happened_and_one_that_succeeds_stays() {
    in_session(keeping(Snapshots::Atomic), async |session| {
        let ran = session.python("x = [1]; open('f', 'w').write('good')").await;
        assert_eq!(ran.execution.state, StateAfter::Kept, "{ran:?}");
        let failing = [
            "x.append(2); open('f', 'w').write('bad'); 1 / 0",
            "x.append(2); open('g', 'w').close()\nwhile True: pass",
            "x.append(2); import os; os.remove('f'); os._exit(3)",
            "x.append(2); open('f', 'w').write('bad'); sum(iter(int, 1))",
            "x.append(2); y = bytearray(10 ** 10)",
        ];
        for code in failing {
            let ran = session.python_within(code, SHORT).await;
            assert_eq!(ran.execution.state, StateAfter::Restored, "{code}: {ran:?}");
            assert!(
                ran.execution.error.is_some() || ran.execution.ended != Ended::Completed,
                "{code}: {ran:?}"
            );
            let ran = session.python("import os\n(x, open('f').read(), os.listdir('.'))").await;
            assert_eq!(ran.text(), "([1], 'good', ['f'])", "after {code}: {ran:?}");
        }
        // What a call prints before it fails has been said, whatever becomes of it.
        let ran = session.python("print('said'); 1 / 0").await;
        assert_eq!((ran.stdout.as_str(), ran.exception().0), ("said\n", "ZeroDivisionError"), "{ran:?}");
    })
    .await;
}

/// Looking through all of it before each call would cost a large session more than the call does (`history.rs`: 64 MiB).
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_cut_off_is_undone_up_to_64_mib_of_written_memory_and_costs_the_variables_above() {
    let grow = |mib: u64| {
        format!(
            "big = bytearray({mib} << 20)\nfor n in range(0, len(big), 4096): big[n] = 1\nopen('f', 'w').write('two')"
        )
    };
    let endless = "x = 3; open('f', 'w').write('three'); sum(iter(int, 1))";
    let look = "('x' in globals() and x, 'big' in globals() and len(big), open('f').read())";
    in_session(keeping(Snapshots::Call), async |session| {
        session.python("x = 1; open('f', 'w').write('one')").await;
        session.python(&grow(24)).await;
        let ran = session.python_within(endless, SHORT).await;
        assert_eq!(
            (ran.execution.ended, ran.execution.state),
            (Ended::Killed, StateAfter::Restored),
            "{ran:?}"
        );
        assert_eq!(session.python(look).await.text(), format!("(1, {}, 'two')", 24 << 20));

        session.python(&grow(80)).await;
        let ran = session.python_within(endless, SHORT).await;
        assert_eq!((ran.execution.ended, ran.execution.state), (Ended::Killed, StateAfter::Lost), "{ran:?}");
        // Files stay as the call has left them, and the session goes on.
        assert_eq!(session.python(look).await.text(), "(False, False, 'three')");
        session.python("x = 4").await;
        let ran = session.python_within(endless, SHORT).await;
        assert_eq!(ran.execution.state, StateAfter::Restored, "small again, it is kept again: {ran:?}");
        assert_eq!(session.python("x").await.text(), "4");

        // What is asked for is kept at any size.
        session.python(&grow(80)).await;
        let kept = checkpoint(session).await;
        session.python_within(endless, SHORT).await;
        restore(session, Some(&kept)).await.unwrap();
        assert_eq!(session.python(look).await.text(), format!("(4, {}, 'two')", 80 << 20));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_was_written_to_disk_comes_back_whole_with_its_next_call() {
    let Some(rig) = Rig::new(wasm()) else { return };
    let wasm = Arc::clone(rig.wasm.as_ref().unwrap());
    let (idle, other) = (rig.session().await, rig.session().await);
    let code = "import json, os, hashlib\nxs = [bytes([n % 256]) * 1000 for n in range(20_000)]\nopen('f', 'wb').write(b'\\0\\xff' * 100_000)\nos.mkdir('d'); os.symlink('f', 'l'); os.chdir('d')\ndef digest(): return hashlib.sha256(b''.join(xs) + open('../l', 'rb').read()).hexdigest() + os.getcwd()\ndigest()";
    let digest = idle.python(code).await.text().to_owned();
    other.python("y = 7").await;
    for _ in 0..2 {
        assert_eq!(wasm.evict_idle(Duration::ZERO).await, 2);
        let ran = idle.python("digest()").await;
        assert_eq!(ran.text(), digest, "{ran:?}");
        assert_eq!(other.python("y").await.text(), "7");
    }
    // File tools and copies bring it back as well, and what is stopped on disk leaves nothing.
    assert_eq!(wasm.evict_idle(Duration::ZERO).await, 2);
    assert_eq!(idle.read("f").await.unwrap().len(), 200_000);
    assert_eq!(wasm.evict_idle(Duration::ZERO).await, 1, "the other one is there already");
    let copy = rig.copy(&idle).await.unwrap();
    assert_eq!(copy.python("digest()").await.text(), digest);
    wasm.evict_idle(Duration::ZERO).await;
    for session in [copy, idle, other] {
        session.stop().await;
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_runs_a_call_stays_in_memory() {
    let Some(rig) = Rig::new(wasm()) else { return };
    let wasm = Arc::clone(rig.wasm.as_ref().unwrap());
    let session = rig.session().await;
    let running = session.python_within("x = 1\nwhile True: pass", PLENTY);
    let evicting = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(wasm.evict_idle(Duration::ZERO).await, 0);
        session.interpreter.interrupt().await;
    };
    let (ran, ()) = tokio::join!(running, evicting);
    assert_eq!((ran.exception().0, ran.execution.state), ("KeyboardInterrupt", StateAfter::Kept), "{ran:?}");
    assert_eq!(session.python("x").await.text(), "1");
    session.stop().await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_somebody_keeps_is_there_however_long_its_session_is_idle() {
    let Some(rig) = Rig::new(wasm()) else { return };
    let wasm = Arc::clone(rig.wasm.as_ref().unwrap());
    let session = rig.session().await;
    session.python("x = 1").await;
    let kept = checkpoint(&session).await;
    session.python("x = 2").await;
    wasm.evict_idle(Duration::ZERO).await;
    assert_eq!(session.python("x").await.text(), "2");
    assert_eq!(restore(&session, Some(&kept)).await.as_ref(), Ok(&kept));
    assert_eq!(session.python("x").await.text(), "1");
    session.stop().await;
    rig.end().await;
}
