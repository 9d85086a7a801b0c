//! How sessions start: forked from a zygote, and from the pool.

use cloister_core::policy::Policy;
use cloister_tests::rig::Rig;
use std::time::Duration;

fn wall(session: &cloister_tests::rig::Session, name: &str) -> String {
    session.interpreter.walls().into_iter().find(|(n, _)| n == name).map(|(_, v)| v).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zygote_hands_out_interpreters_with_the_analysis_stack_imported() {
    let Some(rig) = Rig::new(Policy::built_in("test")) else { return };
    let session = rig.session().await;
    assert_eq!(wall(&session, "start"), "zygote");
    let ran = session
        .python("import pandas as pd\nprint(pd.DataFrame({'x': [1, 2, 3]}).describe())\nprint('pandas')")
        .await;
    assert!(ran.stdout.contains("mean") && ran.stdout.contains("2.0"), "{ran:?}");
    session.stop().await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ready_sandbox_is_used_once_and_replaced() {
    let Some(rig) = Rig::with_pool(Policy::built_in("test"), 2) else { return };
    while rig.backend.ready() < 2 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let first = rig.session().await;
    let second = rig.session().await;
    assert_ne!(first.interpreter.sandbox(), second.interpreter.sandbox());
    first.python("open('mine', 'w').write('x')").await;
    first.stop().await;
    while rig.backend.ready() < 2 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let third = rig.session().await;
    assert_eq!(third.python("import os; os.listdir('.')").await.text(), "[]");
    second.stop().await;
    third.stop().await;
    rig.end().await;
}
