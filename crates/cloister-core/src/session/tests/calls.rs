//! Promises about calls: order, single flight, deadlines, and what the policy forbids.

use super::*;
use crate::command::NewFile;
use crate::error::Reason;
use crate::event::{Ended, StateAfter};
use bytes::Bytes;

#[tokio::test(start_paused = true)]
async fn a_call_answers_and_the_next_one_finds_its_state() {
    let rig = rig();
    let id = rig.start().await;
    assert_eq!(rig.run(&id, "set x 42\nprint hello").await.stdout, "hello\n");
    let answer = rig.run(&id, "get x").await;
    assert_eq!((answer.stdout.as_str(), answer.execution().exit_code), ("42\n", 0));
    assert_eq!(rig.run(&id, "fail").await.execution().error.as_ref().unwrap().name, "ZeroDivisionError");
}

#[tokio::test(start_paused = true)]
async fn foreground_calls_run_one_at_a_time_in_order_of_arrival() {
    let rig = rig();
    let id = rig.start().await;
    let slow = rig.begin(&id, "sleep 5\nset x first").await;
    let calls = [rig.begin(&id, "get x\nset x second").await, rig.begin(&id, "get x").await];
    settle().await;
    assert_eq!((rig.manager.counts().running, rig.manager.counts().queued), (1, 2));
    let mut said = Vec::new();
    for call in calls {
        said.push(drain(call).await.stdout);
    }
    assert_eq!(said, ["first\n", "second\n"]);
    assert_eq!(drain(slow).await.execution().exit_code, 0);
    assert_eq!(rig.backend.counts().most_at_once, 1);
}

#[tokio::test(start_paused = true)]
async fn files_do_not_wait_for_code() {
    let rig = rig();
    let id = rig.start().await;
    let _slow = rig.begin(&id, "sleep 100").await;
    let file = NewFile { path: "a/b.txt".into(), data: Bytes::from_static(b"\0\xff") };
    let write = ToolCall::WriteFiles { content: vec![file] };
    drain(rig.invoke(&id, write, InvokeOptions::default()).await.unwrap()).await;
    let read = ToolCall::ReadFiles { paths: vec!["/workspace/a/b.txt".into(), "none".into()] };
    let answer = drain(rig.invoke(&id, read, InvokeOptions::default()).await.unwrap()).await;
    let Some(Outcome::Files { files, failed }) = answer.outcome else { panic!() };
    assert_eq!((files[0].data.as_ref(), failed[0].path.as_str()), (b"\0\xff".as_slice(), "none"));
    assert_eq!(rig.manager.counts().running, 1);
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_bounded_in_calls_and_in_bytes() {
    let rig = rig_with(|_, config| (config.max_queued, config.max_queued_bytes) = (2, 1000));
    let id = rig.start().await;
    let _running = rig.begin(&id, "sleep 100").await;
    let _waiting = rig.begin(&id, "print a").await;
    let large = code(&format!("# {}", "x".repeat(1000)));
    let error = rig.invoke(&id, large, InvokeOptions::default()).await.unwrap_err();
    assert!(error.kind == Kind::Throttled && error.message.contains("1000 bytes"), "{error}");
    let _waiting = rig.begin(&id, "print b").await;
    let error = rig.invoke(&id, code("print c"), under("c", 1)).await.unwrap_err();
    assert!(error.kind == Kind::Throttled && error.message.contains("2 calls wait"), "{error}");
    tokio::time::sleep(Duration::from_secs(101)).await;
    let retried = rig.invoke(&id, code("print c"), under("c", 1)).await.unwrap();
    assert_eq!(drain(retried).await.stdout, "c\n", "an id that was refused has not been used");
}

#[tokio::test(start_paused = true)]
async fn a_retry_attaches_to_the_running_call_and_later_to_its_answer() {
    let rig = rig();
    let id = rig.start().await;
    let text = "print a\nsleep 5\nprint b";
    let first = rig.invoke(&id, code(text), under("i", 1)).await.unwrap();
    settle().await;
    let second = rig.invoke(&id, code(text), under("i", 1)).await.unwrap();
    let (first, second) = tokio::join!(drain(first), drain(second));
    let third = drain(rig.invoke(&id, code(text), under("i", 1)).await.unwrap()).await;
    for answer in [first, second, third] {
        assert_eq!((answer.stdout.as_str(), answer.execution().exit_code), ("a\nb\n", 0));
    }
    assert_eq!(rig.backend.counts().runs, 1);
}

#[tokio::test(start_paused = true)]
async fn an_id_with_other_parameters_is_refused_and_belongs_to_its_session() {
    let rig = rig();
    let (a, b) = (rig.start().await, rig.start().await);
    drain(rig.invoke(&a, code("print a"), under("i", 1)).await.unwrap()).await;
    let error = rig.invoke(&a, code("print b"), under("i", 2)).await.unwrap_err();
    assert_eq!(error.reason, Some(Reason::IdempotentParameterMismatch));
    assert_eq!(drain(rig.invoke(&b, code("print b"), under("i", 2)).await.unwrap()).await.stdout, "b\n");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_no_longer_kept_is_never_made_again_but_a_look_may_be_repeated() {
    let rig = rig();
    let id = rig.start().await;
    drain(rig.invoke(&id, code("write f once"), under("i", 1)).await.unwrap()).await;
    let read = || ToolCall::ReadFiles { paths: vec!["f".into()] };
    drain(rig.invoke(&id, read(), under("r", 1)).await.unwrap()).await;
    tokio::time::sleep(Duration::from_secs(601)).await;
    let error = rig.invoke(&id, code("write f once"), under("i", 1)).await.unwrap_err();
    assert!(error.kind == Kind::Conflict && error.message.contains("was not run again"), "{error}");
    assert!(drain(rig.invoke(&id, read(), under("r", 1)).await.unwrap()).await.outcome.is_some());
    assert_eq!(rig.backend.counts().runs, 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_goes_on_when_its_client_goes_away() {
    let rig = rig();
    let id = rig.start().await;
    drop(rig.invoke(&id, code("sleep 5\nset x done"), under("i", 1)).await.unwrap());
    drop(rig.begin(&id, "get x\nset y too").await);
    let answer = rig.run(&id, "get x\nget y").await;
    assert_eq!(answer.stdout, "done\ntoo\n");
    assert_eq!(rig.backend.counts().runs, 3);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_is_the_policys_or_a_shorter_one_that_the_client_asks_for() {
    let rig = rig_with(|policy, _| policy.time.call = Duration::from_secs(30));
    let id = rig.start().await;
    for (wanted, seconds) in [(None, 30), (Some(10), 10), (Some(1000), 30)] {
        let began = tokio::time::Instant::now();
        let options = InvokeOptions { timeout: wanted.map(Duration::from_secs), ..InvokeOptions::default() };
        let answer = drain(rig.invoke(&id, code("sleep 500"), options).await.unwrap()).await;
        assert_eq!((answer.execution().ended, began.elapsed().as_secs()), (Ended::Interrupted, seconds));
    }
    let answer = rig.run(&id, "set x 1\nhang").await;
    assert_eq!((answer.execution().ended, answer.execution().state), (Ended::Killed, StateAfter::Lost));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_ignores_its_deadline_ends_the_call_and_the_session() {
    let rig = rig_with(|policy, _| policy.time.call = Duration::from_secs(30));
    let id = rig.start().await;
    let began = tokio::time::Instant::now();
    let waiting = (rig.begin(&id, "stuck").await, rig.begin(&id, "print never").await);
    drain(waiting.0).await.failed(Kind::Internal, "did not answer when the deadline came");
    assert_eq!(began.elapsed(), Duration::from_secs(30 + 2 + 5));
    drain(waiting.1).await.failed(Kind::Conflict, "broke its contract");
    settle().await;
    assert_eq!((rig.get(&id).await.status, rig.backend.counts().live), (Status::Terminated, 0));
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_panics_ends_the_call_and_the_session_and_nothing_else() {
    let rig = rig();
    let (id, other) = (rig.start().await, rig.start().await);
    rig.run(&id, "panic").await.failed(Kind::Internal, "broke off");
    settle().await;
    assert_eq!(rig.get(&id).await.status, Status::Terminated);
    assert_eq!(rig.run(&other, "print fine").await.stdout, "fine\n");
}

#[tokio::test(start_paused = true)]
async fn what_the_policy_forbids_is_refused_by_policy_and_field() {
    let rig = rig_with(|policy, _| {
        policy.languages.shell = false;
        policy.languages.runtimes = vec!["nodejs".into()];
    });
    let id = rig.start().await;
    let command = || "ls".to_owned();
    for (call, field) in [
        (code("print a"), "languages.runtimes"),
        (ToolCall::ExecuteCommand { command: command() }, "languages.shell"),
        (ToolCall::StartCommandExecution { command: command() }, "languages.shell"),
    ] {
        let error = rig.invoke(&id, call, InvokeOptions::default()).await.unwrap_err();
        assert_eq!(error.kind, Kind::AccessDenied);
        assert!(error.message.contains("`default`") && error.message.contains(field), "{error}");
    }
    assert_eq!(rig.backend.counts().runs, 0);
}

#[tokio::test(start_paused = true)]
async fn tasks_run_in_the_background_and_can_be_stopped() {
    let rig = rig();
    let id = rig.start().await;
    let ask = async |call: ToolCall| {
        let answer = drain(rig.invoke(&id, call, InvokeOptions::default()).await.unwrap()).await;
        let Some(Outcome::Task(task)) = answer.outcome else { panic!() };
        task
    };
    let started = ask(ToolCall::StartCommandExecution { command: "print a\nsleep 100".into() }).await;
    settle().await;
    let seen = ask(ToolCall::GetTask { task_id: started.id.clone() }).await;
    assert_eq!((seen.stdout.as_ref(), seen.exit_code), (b"a\n".as_slice(), None));
    let stopped = ask(ToolCall::StopTask { task_id: started.id }).await;
    assert_eq!(stopped.status, crate::event::TaskStatus::Canceled);
}
