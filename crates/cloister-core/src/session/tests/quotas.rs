//! Promises about quotas: whatever becomes of a session or a call, it is counted once, and what matters outlives the server.

use super::*;
use crate::quota::{Limits, Quota, Scope};

fn limited(limits: Limits) -> Rig {
    rig_with(|_, config| config.quotas.each_principal = limits)
}

fn used(manager: &SessionManager, who: &Principal, quota: Quota) -> u64 {
    let uses = manager.uses(who);
    uses.iter().find(|found| found.quota == quota && found.scope == Scope::Principal).unwrap().used
}

#[tokio::test(start_paused = true)]
async fn a_place_is_given_back_however_a_session_ends_or_fails_to_start() {
    let rig = limited(Limits { sessions: Some(1), ..Limits::default() });
    for end in ["stop", "die", "expire", "fail"] {
        let id = match end {
            "fail" => {
                rig.store.fill_up(true);
                rig.manager.start(&rig.me, request()).await.unwrap_err();
                rig.store.fill_up(false);
                rig.start().await
            }
            _ => rig.start().await,
        };
        let full = rig.manager.start(&rig.me, request()).await.unwrap_err();
        assert_eq!(full.kind, Kind::QuotaExceeded, "{end}: {full}");
        assert!(full.retry_after.is_none() && full.denial.is_some(), "{full:?}");
        match end {
            "die" => drop(rig.run(&id, "die").await),
            "expire" => tokio::time::sleep(Duration::from_secs(9 * 3600)).await,
            _ => drop(rig.stop(&id).await),
        }
        settle().await;
        assert_eq!(used(&rig.manager, &rig.me, Quota::Sessions), 0, "{end}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_used_again_starts_nothing_and_counts_for_nothing() {
    let rig = limited(Limits { starts_per_minute: Some(1), sessions: Some(1), ..Limits::default() });
    let both = tokio::join!(
        rig.manager.start(&rig.me, with_token("t", 1)),
        rig.manager.start(&rig.me, with_token("t", 1))
    );
    let first = both.0.unwrap();
    assert_eq!(both.1.unwrap(), first);
    rig.stop(&first.id).await;
    assert_eq!(rig.manager.start(&rig.me, with_token("t", 1)).await.unwrap().id, first.id);
    let error = rig.manager.start(&rig.me, with_token("u", 1)).await.unwrap_err();
    assert_eq!((error.kind, error.retry_after), (Kind::Throttled, Some(Duration::from_secs(60))));
    tokio::time::sleep(Duration::from_secs(60)).await;
    rig.manager.start(&rig.me, with_token("u", 1)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn every_call_counts_once_also_one_that_takes_its_worker_along_or_never_answers() {
    let rig = limited(Limits::default());
    let cpu = || used(&rig.manager, &rig.me, Quota::Cpu);
    let id = rig.start().await;
    for _ in 0..3 {
        drain(rig.invoke(&id, code("sleep 5"), under("one", 1)).await.unwrap()).await;
    }
    assert_eq!(cpu(), 5, "a retry finds the answer of the first");
    rig.run(&id, "sleep 7\ndie").await;
    settle().await;
    assert_eq!(cpu(), 12, "a call that ends its worker has no report");
    let id = rig.start().await;
    let running = rig.begin(&id, "sleep 40").await;
    tokio::time::sleep(Duration::from_secs(9)).await;
    rig.stop(&id).await;
    drain(running).await;
    settle().await;
    assert!((21..=22).contains(&cpu()), "{}", cpu());
}

#[tokio::test(start_paused = true)]
async fn what_works_without_a_call_is_counted_once_and_what_was_used_before_the_session_is_not() {
    let rig = limited(Limits { cpu: Some(Duration::from_secs(30)), ..Limits::default() });
    let cpu = || used(&rig.manager, &rig.me, Quota::Cpu);
    let uses = |seconds| rig.backend.set_cpu(Duration::from_secs(seconds));
    uses(100);
    let id = rig.start().await;
    rig.run(&id, "sleep 5").await;
    assert_eq!(cpu(), 0, "it was ready before, and sleeping costs nothing");
    uses(107);
    rig.run(&id, "print x").await;
    assert_eq!(cpu(), 7, "a call's end counts what there is, its own or not");
    uses(112);
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(cpu(), 12, "nobody has called");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(cpu(), 12, "and it is counted once");
    uses(131);
    rig.stop(&id).await;
    assert_eq!(cpu(), 31, "what it did until its stop");
    let refused = rig.manager.start(&rig.me, request()).await.unwrap_err();
    assert!(refused.message.contains("CPU time"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn cpu_time_outlives_the_server_and_sessions_do_not() {
    let rig = limited(Limits { cpu: Some(Duration::from_secs(10)), ..Limits::default() });
    let id = rig.start().await;
    rig.run(&id, "sleep 6").await;
    rig.manager.drain().await;

    let quotas = crate::quota::Quotas {
        each_principal: Limits { cpu: Some(Duration::from_secs(10)), ..Limits::default() },
        ..Default::default()
    };
    let policy = Arc::new(Policy::built_in("default"));
    let next = SessionManager::new(
        Backends::default().with_code(FakeBackend::new()),
        Arc::clone(&rig.store) as Arc<dyn Store>,
        Interpreters::new([(KEY.to_owned(), policy)]),
        ManagerConfig { quotas, ..ManagerConfig::default() },
    );
    next.reconcile().await.unwrap();
    assert_eq!((used(&next, &rig.me, Quota::Cpu), used(&next, &rig.me, Quota::Sessions)), (6, 0));
    let id = next.start(&rig.me, request()).await.unwrap().id;
    let call = next.invoke(&rig.me, None, &id, code("sleep 4"), InvokeOptions::default()).await.unwrap();
    drain(call).await;
    let refused =
        next.invoke(&rig.me, None, &id, code("print x"), InvokeOptions::default()).await.unwrap_err();
    assert_eq!(refused.kind, Kind::QuotaExceeded);
    assert!(refused.retry_after.is_some_and(|wait| wait <= Duration::from_secs(24 * 3600)), "{refused:?}");
    assert!(refused.message.contains("10 s of CPU time"), "{refused}");
}
