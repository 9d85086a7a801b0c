//! Promises about endings: stop, expiry, death and drain, and what everybody hears of them.

use super::*;
use crate::session::EndReason;

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_session_and_keeps_its_record() {
    let rig = rig();
    let id = rig.start().await;
    let record = rig.stop(&id).await;
    assert_eq!((record.status, record.ended), (Status::Terminated, Some(EndReason::Stopped)));
    assert_eq!((rig.get(&id).await, rig.stop(&id).await), (record.clone(), record.clone()));
    assert_eq!(rig.store.all()[0].record, record);
    assert_eq!((rig.backend.counts().live, rig.manager.counts().ready), (0, 0));
    let error = rig.invoke(&id, code("print a"), InvokeOptions::default()).await.unwrap_err();
    assert!(error.kind == Kind::NotFound && error.message.contains("was stopped"), "{error}");
    let detail = rig.manager.detail(&rig.me, &id).await.unwrap();
    assert!(detail.walls.is_empty() && detail.policy.is_some());
}

#[tokio::test(start_paused = true)]
async fn stops_at_once_all_hear_the_same() {
    let rig = rig();
    let id = rig.start().await;
    let (a, b, c) = tokio::join!(rig.stop(&id), rig.stop(&id), rig.stop(&id));
    assert!(a == b && b == c && a.ended == Some(EndReason::Stopped));
}

#[tokio::test(start_paused = true)]
async fn a_foreign_session_and_one_that_never_was_are_the_same_to_every_question() {
    let rig = rig();
    let live = rig.start().await;
    let ended = rig.start().await;
    rig.stop(&ended).await;
    let never = SessionId::random().unwrap();
    let who = stranger();
    let mut texts = Vec::new();
    for (who, key, id) in [
        (&who, None, &live),
        (&who, None, &ended),
        (&who, None, &never),
        (&rig.me, Some("other"), &live),
        (&rig.me, Some("other"), &ended),
    ] {
        let options = InvokeOptions::default();
        let mut errors = vec![
            rig.manager.get(who, key, id).await.unwrap_err(),
            rig.manager.stop(who, key, id).await.unwrap_err(),
            rig.manager.invoke(who, key, id, code("print a"), options).await.unwrap_err(),
        ];
        if key.is_none() {
            errors.push(rig.manager.detail(who, id).await.unwrap_err());
        }
        for error in errors {
            assert_eq!(error.kind, Kind::NotFound);
            texts.push(error.message.replace(id.as_str(), "ID"));
        }
    }
    texts.dedup();
    assert_eq!(texts.len(), 1, "{texts:?}");
    assert_eq!(rig.get(&live).await.status, Status::Ready);
    assert!(rig.manager.list(&who, None, everything()).await.unwrap().items.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_stop_reaches_through_a_running_call_and_ends_those_that_wait() {
    let rig = rig();
    let id = rig.start().await;
    let running = rig.begin(&id, "print a\nstuck").await;
    let waiting = rig.begin(&id, "print never").await;
    settle().await;
    rig.stop(&id).await;
    let answer = drain(running).await;
    assert_eq!(answer.stdout, "a\n");
    answer.failed(Kind::Conflict, "the session was stopped");
    drain(waiting).await.failed(Kind::Conflict, "the session was stopped");
    assert_eq!(rig.backend.counts().runs, 1);
}

#[tokio::test(start_paused = true)]
async fn while_a_session_is_taken_down_it_takes_no_calls() {
    let rig = rig();
    rig.backend.set_stop_delay(Duration::from_secs(2));
    let id = rig.start().await;
    let invoke = async {
        settle().await;
        rig.invoke(&id, code("print a"), InvokeOptions::default()).await.unwrap_err()
    };
    let (record, error) = tokio::join!(rig.stop(&id), invoke);
    assert_eq!((record.status, error.kind), (Status::Terminated, Kind::NotFound));
}

#[tokio::test(start_paused = true)]
async fn calls_and_a_stop_at_once_all_come_to_an_end() {
    for late in 0..8u64 {
        let rig = rig();
        let id = rig.start().await;
        let calls: Vec<_> = (0..20)
            .map(|i| {
                let (manager, me, id) = (Arc::clone(&rig.manager), rig.me.clone(), id.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_micros(i * 700)).await;
                    match manager.invoke(&me, None, &id, code("sleep 0.003"), InvokeOptions::default()).await
                    {
                        Ok(invocation) => drain(invocation).await,
                        Err(error) => Answer { error: Some(error), ..Answer::default() },
                    }
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(late * 2)).await;
        rig.stop(&id).await;
        for call in calls {
            let answer = call.await.unwrap();
            match &answer.error {
                None => assert_eq!(answer.execution().exit_code, 0),
                Some(error) => assert!(matches!(error.kind, Kind::Conflict | Kind::NotFound), "{error}"),
            }
        }
        assert_eq!(rig.backend.counts().live, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_expires_at_its_time_whatever_it_does() {
    let rig = rig();
    let start = StartSession { timeout: Some(Duration::from_secs(60)), ..request() };
    let id = rig.manager.start(&rig.me, start).await.unwrap().id;
    tokio::time::sleep(Duration::from_secs(50)).await;
    let busy = rig.begin(&id, "sleep 1000").await;
    tokio::time::sleep(Duration::from_millis(9_900)).await;
    assert_eq!(rig.get(&id).await.status, Status::Ready);
    drain(busy).await.failed(Kind::Conflict, "its time was up");
    settle().await;
    let record = rig.get(&id).await;
    assert_eq!((record.status, record.ended), (Status::Terminated, Some(EndReason::Expired)));
    assert_eq!(rig.backend.counts().live, 0);
}

#[tokio::test(start_paused = true)]
async fn when_the_worker_dies_calls_hear_why_and_the_session_is_over() {
    let rig = rig();
    let id = rig.start().await;
    let dies = rig.begin(&id, "sleep 1\ndie").await;
    let waits = rig.begin(&id, "print never").await;
    drain(dies).await.failed(Kind::Conflict, "it died of `die`");
    drain(waits).await.failed(Kind::Conflict, "it died of `die`");
    settle().await;
    assert_eq!(rig.get(&id).await.ended, Some(EndReason::Failed));
    assert_eq!((rig.backend.counts().live, rig.manager.counts().running), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_drain_stops_everything_starts_nothing_and_shuts_the_backends_down_once() {
    let rig = rig();
    let ready = rig.start().await;
    let running = rig.begin(&ready, "stuck").await;
    rig.backend.set_start_delay(Duration::from_secs(5));
    let (manager, me) = (Arc::clone(&rig.manager), rig.me.clone());
    let starting = tokio::spawn(async move { manager.start(&me, request()).await });
    settle().await;
    tokio::join!(rig.manager.drain(), rig.manager.drain());
    assert_eq!(rig.get(&ready).await.ended, Some(EndReason::Drained));
    drain(running).await.failed(Kind::Conflict, "the server shut down");
    for error in
        [starting.await.unwrap().unwrap_err(), rig.manager.start(&rig.me, request()).await.unwrap_err()]
    {
        assert!(
            error.kind == Kind::Throttled && error.message.contains("the server is shutting down"),
            "{error}"
        );
    }
    let (counts, fakes) = (rig.manager.counts(), rig.backend.counts());
    assert!(counts.draining && counts.starting + counts.ready + counts.stopping == 0);
    assert_eq!((fakes.live, fakes.shutdowns, fakes.starts), (0, 1, 2));
    assert_eq!(rig.store.all().len(), 1, "nothing is recorded of the start that came to nothing");
}

#[tokio::test(start_paused = true)]
async fn an_end_that_the_store_does_not_take_is_tried_again_and_shows_in_any_case() {
    let rig = rig();
    let (a, b) = (rig.start().await, rig.start().await);
    settle().await;
    rig.store.break_down(true);
    let back = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        rig.store.break_down(false);
    };
    tokio::join!(rig.stop(&a), back);
    assert_eq!(rig.store.all()[0].record.ended, Some(EndReason::Stopped));
    rig.store.break_down(true);
    assert_eq!(rig.stop(&b).await.status, Status::Terminated);
    rig.store.break_down(false);
    assert_eq!(
        rig.get(&b).await.ended,
        Some(EndReason::Lost),
        "nobody takes calls for it, whatever the store says"
    );
}

#[tokio::test(start_paused = true)]
async fn on_a_full_disk_sessions_end_and_whoever_asks_is_answered() {
    let rig = rig();
    let (ended, live) = (rig.start().await, rig.start().await);
    settle().await;
    rig.store.fill_up(true);
    assert_eq!(rig.stop(&ended).await.status, Status::Terminated);
    assert_eq!(rig.get(&ended).await.status, Status::Terminated);
    let query = |status| ListQuery { status, limit: 10, after: None };
    let all = rig.manager.list(&rig.me, None, query(None)).await.unwrap();
    let seen: Vec<_> = all.items.iter().map(|record| (&record.id, record.status)).collect();
    assert_eq!(seen, [(&live, Status::Ready), (&ended, Status::Terminated)]);
    let ready = rig.manager.list(&rig.me, None, query(Some(Status::Ready))).await.unwrap();
    assert_eq!(ready.items.iter().map(|record| &record.id).collect::<Vec<_>>(), [&live]);
}

#[tokio::test(start_paused = true)]
async fn records_of_long_ended_sessions_are_dropped_and_live_ones_never() {
    let rig = rig_with(|_, config| config.keep_records = Duration::ZERO);
    let (ended, _live) = (rig.start().await, rig.start().await);
    rig.stop(&ended).await;
    std::thread::sleep(Duration::from_millis(2));
    assert_eq!(rig.manager.prune().await.unwrap(), 1);
    assert_eq!(rig.store.all().len(), 1);
}
