//! Copies of live sessions: everything that the original has, and nothing in common from then on.

use super::{PLENTY, SHORT, wall, wasm};
use cloister_core::Principal;
use cloister_core::backend::{InterpreterSpec, StartError};
use cloister_core::event::StateAfter;
use cloister_core::policy::{Policy, Snapshots};
use cloister_tests::rig::{Rig, plain};
use std::sync::Arc;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_has_names_imports_functions_directory_and_files_and_shares_none_of_them() {
    let Some(rig) = Rig::new(wasm()) else { return };
    let original = rig.session().await;
    let code = "import json, os\nxs = [1, 2, 3]\ndef f(n): return n + len(xs)\nclass C: pass\nopen('f', 'w').write('first')\nos.mkdir('d'); os.chdir('d'); os.environ['K'] = 'v'";
    original.python(code).await;
    let copy = rig.copy(&original).await.unwrap();
    assert_ne!(copy.interpreter.sandbox(), original.interpreter.sandbox());
    let look = "(xs, f(1), json.dumps(xs), C.__name__, os.path.basename(os.getcwd()), os.environ['K'], open('../f').read())";
    let wanted = "([1, 2, 3], 4, '[1, 2, 3]', 'C', 'd', 'v', 'first')";
    assert_eq!(copy.python(look).await.text(), wanted);

    copy.python("xs.append(4); open('../f', 'w').write('copy'); os.remove; open('../new', 'w').close(); os.environ['K'] = 'w'").await;
    assert_eq!(original.python(look).await.text(), wanted, "the copy does not touch the original");
    original.python("xs.clear(); open('../f', 'w').write('original')").await;
    let ran = copy.python("(xs, open('../f').read(), os.path.exists('../new'))").await;
    assert_eq!(ran.text(), "([1, 2, 3, 4], 'copy', True)", "nor the original the copy");

    // A copy outlives its original, and can be copied.
    original.stop().await;
    let second = rig.copy(&copy).await.unwrap();
    copy.stop().await;
    assert_eq!(second.python("(xs, f(1))").await.text(), "([1, 2, 3, 4], 5)");
    second.stop().await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_has_randomness_of_its_own_even_where_the_original_had_drawn_some() {
    const DRAW: &str = "[random.random(), random.getrandbits(128), uuid.uuid4().hex, secrets.token_hex(16), os.urandom(16).hex()]";
    let Some(rig) = Rig::new(wasm()) else { return };
    let original = rig.session().await;
    original.python(&format!("import random, uuid, secrets, os\n{DRAW}")).await;
    let mut copies = Vec::new();
    for _ in 0..3 {
        copies.push(rig.copy(&original).await.unwrap());
    }
    let mut seen = std::collections::BTreeSet::new();
    for session in copies.iter().chain([&original]) {
        let ran = session.python(DRAW).await;
        let drawn: Vec<String> = ran.text().trim_matches(['[', ']']).split(", ").map(str::to_owned).collect();
        assert_eq!(drawn.len(), 5, "{ran:?}");
        for value in drawn {
            assert!(seen.insert(value.clone()), "{value} was drawn twice");
        }
    }
    for session in copies {
        session.stop().await;
    }
    original.stop().await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_whose_first_call_is_cut_off_is_what_it_was_copied_as_with_randomness_of_its_own() {
    let Some(rig) = Rig::new(Policy { snapshots: Snapshots::Call, ..wasm() }) else { return };
    let original = rig.session().await;
    original.python("import random\nx = [1]\nopen('f', 'w').write('there')").await;
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..2 {
        let copy = rig.copy(&original).await.unwrap();
        let ran = copy
            .python_within(
                "x.append(2)\nwhile True:\n  try:\n    while True: pass\n  except BaseException: pass",
                SHORT,
            )
            .await;
        assert_eq!(ran.execution.state, StateAfter::Restored, "{ran:?}");
        let ran = copy.python("(x, open('f').read())").await;
        assert_eq!(ran.text(), "([1], 'there')", "{ran:?}");
        assert!(seen.insert(copy.python("random.random()").await.text().to_owned()), "drawn twice");
        copy.stop().await;
    }
    original.stop().await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_with_much_of_its_own_is_copied_byte_for_byte() {
    let Some(rig) = Rig::new(wasm()) else { return };
    let original = rig.session().await;
    let code = "import random, hashlib\nr = random.Random(1)\ndata = [r.randbytes(1 << 16) for _ in range(300)]\nopen('big', 'wb').write(b''.join(data[:100]))\ndef digest(): return hashlib.sha256(b''.join(data) + open('big', 'rb').read()).hexdigest()\ndigest()";
    let digest = original.python(code).await.text().to_owned();
    assert_eq!(digest.len(), 66);
    let copy = rig.copy(&original).await.unwrap();
    original.python("data.clear(); open('big', 'w').close()").await;
    assert_eq!(copy.python("digest()").await.text(), digest);
    copy.stop().await;
    original.stop().await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_runs_a_call_is_not_copied_and_the_call_goes_on() {
    let Some(rig) = Rig::new(wasm()) else { return };
    let original = rig.session().await;
    original.python("import os, time\nopen('n', 'w').write('0')").await;
    let mut running = Box::pin(original.python_within("x = 5\nwhile True: pass", PLENTY));
    tokio::select! {
        ran = &mut running => panic!("it ended: {ran:?}"),
        () = tokio::time::sleep(Duration::from_millis(500)) => {}
    }
    let refused = tokio::select! {
        ran = &mut running => panic!("it ended: {ran:?}"),
        copy = rig.copy(&original) => copy.map(|_| ()).unwrap_err(),
    };
    assert!(matches!(refused, StartError::Busy(_)), "{refused:?}");
    let (ran, ()) = tokio::join!(running, original.interpreter.interrupt());
    assert_eq!(ran.exception().0, "KeyboardInterrupt", "{ran:?}");
    let copy = rig.copy(&original).await.unwrap();
    assert_eq!(copy.python("x").await.text(), "5");
    copy.stop().await;
    original.stop().await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_a_copy_of_a_session_of_somebody_else_or_under_another_policy() {
    let Some(rig) = Rig::new(wasm()) else { return };
    let original = rig.session().await;
    let copy_of = Some(original.interpreter.sandbox());
    let owner = Principal { tenant: "tests".into(), name: "somebody else".into() };
    let theirs = rig.start(InterpreterSpec { owner, copy_of: copy_of.clone(), ..rig.spec() }).await;
    let refused = theirs.map(|copy| wall(&copy, "engine")).unwrap_err();
    assert!(matches!(refused, StartError::NotSupported(_)), "{refused:?}");
    let mut wider = wasm();
    wider.resources.memory *= 2;
    let other = rig.start(InterpreterSpec { policy: Arc::new(wider), copy_of, ..rig.spec() }).await;
    let refused = other.map(|_| ()).unwrap_err();
    assert!(matches!(refused, StartError::NotSupported(_)), "{refused:?}");

    // Of one that has ended there is none.
    let gone = original.interpreter.sandbox();
    original.stop().await;
    let refused =
        rig.start(InterpreterSpec { copy_of: Some(gone), ..rig.spec() }).await.map(|_| ()).unwrap_err();
    assert!(matches!(refused, StartError::NotSupported(_)), "{refused:?}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_process_tier_refuses_to_copy_and_names_the_tier_that_can() {
    let Some(rig) = Rig::new(plain()) else { return };
    let original = rig.session().await;
    let refused = rig.copy(&original).await.map(|_| ()).unwrap_err();
    assert!(matches!(&refused, StartError::NotSupported(why) if why.contains("wasm")), "{refused:?}");
    original.stop().await;
    rig.end().await;
}
