//! Promises about starting: once per token, intent first, and nothing left of what failed.

use super::*;
use crate::backend::{StartError, Unavailable};
use crate::error::Reason;
use crate::session::EndReason;

#[tokio::test(start_paused = true)]
async fn a_started_session_is_recorded_listed_and_shown() {
    let rig = rig();
    let record =
        rig.manager.start(&rig.me, StartSession { name: Some("mine".into()), ..request() }).await.unwrap();
    assert_eq!(
        (record.status, record.ttl, record.tier.as_str()),
        (Status::Ready, Duration::from_secs(900), "process")
    );
    assert_eq!(rig.get(&record.id).await, record);
    let page = rig.manager.list(&rig.me, Some(KEY), everything()).await.unwrap();
    assert_eq!((page.items, page.next), (vec![record.clone()], None));
    // The sandbox is noted a moment later.
    tokio::time::sleep(Duration::from_secs(1)).await;
    settle().await;
    let detail = rig.manager.detail(&rig.me, &record.id).await.unwrap();
    assert_eq!(detail.walls.len(), 1);
    assert!(detail.sandbox.is_some() && detail.sandbox == rig.store.all()[0].sandbox);
    assert_eq!(detail.policy.unwrap().name, "default");
    assert_eq!((rig.manager.counts().ready, rig.backend.counts().live), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_interpreter_or_too_long_a_life_is_refused_before_anything_exists() {
    let rig = rig_with(|policy, _| policy.time.session_max = Duration::from_secs(1000));
    let unknown = StartSession { key: "nothing".into(), interpreter: "nothing".into(), ..request() };
    assert_eq!(rig.manager.start(&rig.me, unknown).await.unwrap_err().kind, Kind::NotFound);
    let long = StartSession { timeout: Some(Duration::from_secs(1001)), ..request() };
    let error = rig.manager.start(&rig.me, long).await.unwrap_err();
    assert_eq!((error.kind, error.fields[0].name.as_str()), (Kind::Validation, "sessionTimeoutSeconds"));
    assert!(error.message.contains("1000") && error.message.contains("default"), "{error}");
    assert!(rig.store.all().is_empty() && rig.backend.counts().starts == 0);
}

#[tokio::test(start_paused = true)]
async fn the_same_token_is_the_same_session_and_with_other_parameters_an_error() {
    let rig = rig();
    let first = rig.manager.start(&rig.me, with_token("t", 1)).await.unwrap();
    let again = rig.manager.start(&rig.me, with_token("t", 1)).await.unwrap();
    assert_eq!(first, again);
    let error = rig.manager.start(&rig.me, with_token("t", 2)).await.unwrap_err();
    assert_eq!(error.reason, Some(Reason::IdempotentParameterMismatch));
    // A token is its owner's and its interpreter's.
    let theirs = rig.manager.start(&stranger(), with_token("t", 2)).await.unwrap();
    let other = StartSession { key: "other".into(), ..with_token("t", 2) };
    let elsewhere = rig.manager.start(&rig.me, other).await.unwrap();
    assert!(theirs.id != first.id && elsewhere.id != first.id);
    assert_eq!(rig.backend.counts().starts, 3);
}

#[tokio::test(start_paused = true)]
async fn of_many_starts_at_once_with_one_token_one_starts_and_the_rest_wait_for_it() {
    let rig = rig();
    rig.backend.set_start_delay(Duration::from_secs(3));
    let starts = (0..10).map(|_| {
        let (manager, me) = (Arc::clone(&rig.manager), rig.me.clone());
        tokio::spawn(async move { manager.start(&me, with_token("t", 1)).await.unwrap().id })
    });
    let starts: Vec<_> = starts.collect();
    settle().await;
    let error = rig.manager.start(&rig.me, with_token("t", 2)).await.unwrap_err();
    assert_eq!(error.reason, Some(Reason::IdempotentParameterMismatch), "a mismatch is told at once");
    let mut ids = Vec::new();
    for start in starts {
        ids.push(start.await.unwrap());
    }
    ids.dedup();
    assert_eq!((ids.len(), rig.backend.counts().starts), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_failed_start_is_told_to_all_who_wait_leaves_nothing_and_frees_the_token() {
    let rig = rig();
    rig.backend.set_start_delay(Duration::from_secs(1));
    rig.backend.fail_next_start(StartError::Unavailable(Unavailable {
        what: "the landlock wall".into(),
        advice: "boot with it".into(),
    }));
    let (a, b) = tokio::join!(
        rig.manager.start(&rig.me, with_token("t", 1)),
        rig.manager.start(&rig.me, with_token("t", 1)),
    );
    for error in [a.unwrap_err(), b.unwrap_err()] {
        assert_eq!(error.kind, Kind::Internal);
        assert!(
            error.message.contains("the landlock wall") && error.message.contains("cloister doctor"),
            "{error}"
        );
    }
    assert!(rig.store.all().is_empty());
    assert_eq!((rig.manager.counts().starting, rig.backend.counts().starts), (0, 1));
    rig.manager.start(&rig.me, with_token("t", 1)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_missing_image_says_what_to_do() {
    let rig = rig();
    rig.backend
        .fail_next_start(StartError::Image { image: "analysis".into(), what: "/srv/secret: gone".into() });
    let error = rig.manager.start(&rig.me, request()).await.unwrap_err();
    assert!(error.message.contains("`analysis`") && error.message.contains("make images"), "{error}");
    assert!(!error.message.contains("/srv"), "the cause goes to the log: {error}");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_stops_the_start_before_the_backend_and_keeps_no_place() {
    let rig = rig_with(|_, config| config.max_sessions = 1);
    rig.store.break_down(true);
    assert_eq!(rig.manager.start(&rig.me, request()).await.unwrap_err().kind, Kind::Internal);
    assert_eq!(rig.backend.counts().starts, 0);
    rig.store.break_down(false);
    rig.start().await;
}

#[tokio::test(start_paused = true)]
async fn when_the_record_of_a_failed_start_cannot_be_removed_both_errors_are_kept() {
    let rig = rig();
    rig.backend.set_start_delay(Duration::from_secs(1));
    rig.backend.fail_next_start(StartError::Image { image: "analysis".into(), what: "gone".into() });
    let start = rig.manager.start(&rig.me, request());
    let broken = async {
        settle().await;
        rig.store.break_down(true);
    };
    let error = tokio::join!(start, broken).0.unwrap_err();
    assert!(error.message.contains("make images"));
    let source = error.source.unwrap();
    assert!(source.to_string().contains("image analysis: gone"), "{source}");
    assert!(source.source().unwrap().to_string().contains("store"), "{source:?}");
}

#[tokio::test(start_paused = true)]
async fn the_server_takes_so_many_sessions_and_a_stop_makes_room() {
    let rig = rig_with(|_, config| config.max_sessions = 2);
    let first = rig.start().await;
    rig.start().await;
    let error = rig.manager.start(&rig.me, request()).await.unwrap_err();
    assert_eq!(error.kind, Kind::QuotaExceeded);
    rig.stop(&first).await;
    rig.start().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_away_does_not_cancel_its_start() {
    let rig = rig();
    rig.backend.set_start_delay(Duration::from_secs(3));
    let start = rig.manager.start(&rig.me, with_token("t", 1));
    assert!(tokio::time::timeout(Duration::from_secs(1), start).await.is_err());
    let record = rig.manager.start(&rig.me, with_token("t", 1)).await.unwrap();
    assert_eq!(
        (rig.backend.counts().starts, rig.run(&record.id, "print hello").await.stdout),
        (1, "hello\n".into())
    );
}

#[tokio::test(start_paused = true)]
async fn a_start_that_hangs_is_given_up_and_its_late_worker_is_taken_down() {
    let rig = rig_with(|_, config| config.start_timeout = Duration::from_secs(10));
    rig.backend.set_start_delay(Duration::from_secs(100));
    let error = rig.manager.start(&rig.me, request()).await.unwrap_err();
    assert!(error.kind == Kind::Internal && error.message.contains("10 s"), "{error}");
    assert!(rig.store.all().is_empty());
    assert_eq!(rig.manager.counts().starting, 1, "its place is taken until the backend is done with it");
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(
        (rig.manager.counts().starting, rig.backend.counts().live, rig.backend.counts().starts),
        (0, 0, 1)
    );
    assert!(rig.store.all().is_empty());
}

#[tokio::test(start_paused = true)]
async fn sessions_of_a_former_server_are_lost_and_their_tokens_still_known() {
    let rig = rig();
    let first = rig.manager.start(&rig.me, with_token("t", 1)).await.unwrap();
    let store: Arc<dyn Store> = Arc::clone(&rig.store) as _;
    let tier: Arc<dyn InterpreterBackend> = Arc::clone(&rig.backend) as _;
    let interpreters = rig.manager.interpreters().clone();
    let next = SessionManager::new(
        Backends::default().with_code(tier),
        store,
        interpreters,
        ManagerConfig::default(),
    );
    assert_eq!(next.reconcile().await.unwrap(), std::slice::from_ref(&first.id));
    assert_eq!(next.reconcile().await.unwrap(), []);
    let again = next.start(&rig.me, with_token("t", 1)).await.unwrap();
    assert_eq!((again.id, again.ended), (first.id.clone(), Some(EndReason::Lost)));
    assert_eq!(rig.manager.reconcile().await.unwrap(), [], "what is live is not lost");
}

#[tokio::test(start_paused = true)]
async fn a_start_may_ask_for_less_than_its_interpreter_gives_and_not_for_more() {
    let rig = rig();
    let ask = |text: &str| StartSession { narrowing: Some(serde_json::from_str(text).unwrap()), ..request() };
    let less = ask(r#"{"resources":{"memory":"1GiB"},"time":{"session_max":"5m"}}"#);
    let record = rig.manager.start(&rig.me, less).await.unwrap();
    assert_eq!((record.ttl, record.policy.as_str()), (Duration::from_secs(300), "default"));
    let detail = rig.manager.detail(&rig.me, &record.id).await.unwrap();
    assert_eq!(detail.policy.unwrap().resources.memory, 1 << 30);

    let more = ask(r#"{"resources":{"memory":"3GiB"},"network":{"mode":"open"}}"#);
    let error = rig.manager.start(&rig.me, more).await.unwrap_err();
    let fields: Vec<_> = error.fields.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(
        (error.kind, fields),
        (Kind::Validation, vec!["policy.network.mode", "policy.resources.memory"])
    );
    assert!(error.message.contains("3GiB") && error.message.contains("2GiB"), "{error}");
    assert_eq!(rig.backend.counts().starts, 1, "nothing was started for it");
}

#[tokio::test(start_paused = true)]
async fn what_a_request_asks_for_is_judged_within_its_tenants_ceiling() {
    let rig = rig();
    let mut ceiling = Policy::built_in("small");
    ceiling.resources.pids = 100;
    let policy = rig.manager.policy(KEY).unwrap();
    let tenant = (rig.me.tenant.clone(), Arc::new(ceiling));
    rig.manager.interpreters().replace_all([(KEY.to_owned(), policy)], [tenant]);
    let id = rig.start().await;
    assert_eq!(rig.manager.detail(&rig.me, &id).await.unwrap().policy.unwrap().resources.pids, 100);
    let ask = |pids: u64| StartSession {
        narrowing: Some(
            serde_json::from_value(serde_json::json!({ "resources": { "pids": pids } })).unwrap(),
        ),
        ..request()
    };
    assert!(rig.manager.start(&rig.me, ask(101)).await.is_err());
    assert!(rig.manager.start(&rig.me, ask(99)).await.is_ok());
}
