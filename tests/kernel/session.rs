//! What a session does: state, output, errors, files.

use cloister_core::event::{Ended, StateAfter};
use cloister_tests::rig::{Rig, plain};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn state_persists_between_calls_and_the_last_expression_is_shown() {
    let Some(rig) = Rig::new(plain()) else { return };
    let session = rig.session().await;
    let ran = session.python("x = 41\nprint('hello')").await;
    assert_eq!(ran.stdout, "hello\n", "{ran:?}");
    let ran = session.python("x + 1").await;
    assert_eq!(ran.text(), "42", "{ran:?}");
    session.stop().await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_loop_is_interrupted_at_its_deadline_and_the_state_lives_on() {
    let Some(rig) = Rig::new(plain()) else { return };
    let session = rig.session().await;
    session.python("x = 1").await;
    let ran = session.python_within("while True: pass", Duration::from_millis(500)).await;
    assert_eq!(ran.execution.ended, Ended::Interrupted, "{ran:?}");
    assert_eq!(ran.execution.state, StateAfter::Kept);
    assert_eq!(session.python("x").await.text(), "1");
    session.stop().await;
    rig.end().await;
}
