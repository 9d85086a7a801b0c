//! Background commands: started at once, looked at, stopped, and independent of the foreground.

use cloister_core::command::ToolCall;
use cloister_core::event::{Ended, Outcome, TaskStatus};
use cloister_tests::calls::in_session;
use cloister_tests::rig::plain;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_task_starts_at_once_and_tells_its_output_and_status_at_the_end() {
    in_session(plain(), async |session| {
        let task = session.start_task("echo out; echo err >&2; sleep 0.3; echo end").await;
        assert_eq!((task.status, task.exit_code), (TaskStatus::Submitted, None), "{task:?}");
        let early = session.task_when(&task.id, |t| t.stdout.starts_with(b"out")).await;
        assert_eq!(early.status, TaskStatus::Working, "output is there before the end: {early:?}");
        let ended = session.ended_task(&task.id).await;
        assert_eq!((ended.status, ended.exit_code), (TaskStatus::Completed, Some(0)));
        assert_eq!((&ended.stdout[..], &ended.stderr[..]), (&b"out\nend\n"[..], &b"err\n"[..]));
        assert!(ended.wall >= Duration::from_millis(300));
        assert_eq!(session.get_task(&task.id).await.stdout, ended.stdout, "it can be asked for again");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_fails_says_with_which_status() {
    in_session(plain(), async |session| {
        for (command, code) in [("exit 7", 7), ("no-such-program", 127), ("kill -9 $$", 137), ("if", 2)] {
            let task = session.start_task(command).await;
            let ended = session.ended_task(&task.id).await;
            assert_eq!(
                (ended.status, ended.exit_code),
                (TaskStatus::Failed, Some(code)),
                "{command}: {ended:?}"
            );
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_has_the_workspace_and_no_input_and_shares_nothing_with_the_shell() {
    in_session(plain(), async |session| {
        session.shell("X=1; mkdir d; cd d").await;
        let task = session.start_task("pwd; echo \"[$X]\"; cat; echo data > made").await;
        let ended = session.ended_task(&task.id).await;
        assert_eq!(ended.stdout, "/workspace\n[]\n");
        assert_eq!(session.read("made").await.unwrap(), "data\n");
        assert_eq!(session.shell("pwd").await.stdout, "/workspace/d\n");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_task_is_gone_with_everything_that_it_started() {
    in_session(plain(), async |session| {
        let task = session
            .start_task("sleep 1234 & (sleep 1234 &); setsid sleep 1234 & trap '' TERM INT; echo up; wait")
            .await;
        session.task_when(&task.id, |t| t.stdout.starts_with(b"up")).await;
        let other = session.start_task("sleep 1235; echo not reached").await;
        let stopped = session.stop_task(&task.id).await;
        assert_eq!(stopped.status, TaskStatus::Canceled, "{stopped:?}");
        let ended = session.ended_task(&task.id).await;
        assert_eq!((ended.status, ended.exit_code), (TaskStatus::Canceled, Some(137)));
        // What has been killed is in the table until it has been scheduled once more.
        let count = "for _ in $(seq 50); do n=$(ps -eo args | grep -c '^sleep 1234'); [ $n = 0 ] && break; sleep 0.1; done; echo $n";
        assert_eq!(session.shell(count).await.stdout, "0\n");
        assert_eq!(session.get_task(&other.id).await.status, TaskStatus::Working, "the others go on");
        assert_eq!(
            session.stop_task(&task.id).await.status,
            TaskStatus::Canceled,
            "a second stop changes nothing"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_a_task_that_has_ended_changes_nothing() {
    in_session(plain(), async |session| {
        let task = session.start_task("echo done").await;
        session.ended_task(&task.id).await;
        let stopped = session.stop_task(&task.id).await;
        assert_eq!(
            (stopped.status, stopped.exit_code, &stopped.stdout[..]),
            (TaskStatus::Completed, Some(0), &b"done\n"[..])
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_task_is_named() {
    in_session(plain(), async |session| {
        for call in
            [ToolCall::GetTask { task_id: "nobody".into() }, ToolCall::StopTask { task_id: "nobody".into() }]
        {
            let outcome = session.tool(call).await;
            assert!(
                matches!(&outcome, Outcome::Failed { message } if message.contains("nobody")),
                "{outcome:?}"
            );
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_survive_foreground_calls_even_those_that_are_killed() {
    let mut policy = plain();
    policy.time.grace = Duration::from_millis(300);
    in_session(policy, async |session| {
        let task = session.start_task("while [ ! -e go ]; do sleep 0.05; done; echo went").await;
        session.python("import os; os._exit(1)").await;
        let stubborn = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass";
        let ran = session.python_within(stubborn, Duration::from_millis(300)).await;
        assert_eq!(ran.execution.ended, Ended::Killed);
        let ran = session.shell_within("while true; do :; done", Duration::from_millis(300)).await;
        assert_eq!(ran.execution.ended, Ended::Killed);
        assert_eq!(session.get_task(&task.id).await.status, TaskStatus::Working);
        session.write(&[("go", b"")]).await.unwrap();
        assert_eq!(session.ended_task(&task.id).await.stdout, "went\n");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_killed_at_the_end_of_its_time() {
    let mut policy = plain();
    policy.time.task = Duration::from_millis(500);
    in_session(policy, async |session| {
        let task = session.start_task("trap '' TERM INT; echo up; while true; do sleep 1; done").await;
        let ended = session.ended_task(&task.id).await;
        assert_eq!((ended.status, ended.exit_code), (TaskStatus::Failed, Some(137)), "{ended:?}");
        assert_eq!(ended.stdout, "up\n");
        assert!(ended.wall >= Duration::from_millis(500));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_output_of_a_task_is_capped_and_its_writer_does_not_stall() {
    let mut policy = plain();
    policy.output.stream = 10_000;
    in_session(policy, async |session| {
        let task = session.start_task("head -c 5000000 /dev/zero; echo end >&2").await;
        let ended = session.ended_task(&task.id).await;
        assert_eq!(
            (ended.status, ended.stdout.len(), &ended.stderr[..]),
            (TaskStatus::Completed, 10_000, &b"end\n"[..])
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_so_many_tasks_run_at_once() {
    in_session(plain(), async |session| {
        let mut ids = Vec::new();
        let refusal = loop {
            match session.tool(ToolCall::StartCommandExecution { command: "sleep 1234".into() }).await {
                Outcome::Task(task) => ids.push(task.id),
                Outcome::Failed { message } => break message,
                other => panic!("{other:?}"),
            }
            assert!(ids.len() < 1000, "there is no limit");
        };
        assert!(refusal.contains("limit") && refusal.contains("stop one"), "{refusal}");
        session.stop_task(&ids[0]).await;
        session.ended_task(&ids[0]).await;
        session.start_task("true").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_whose_children_go_on_has_ended_with_its_leader() {
    in_session(plain(), async |session| {
        let task = session.start_task("(sleep 0.5; echo late) & echo started").await;
        let ended = session.ended_task(&task.id).await;
        assert_eq!(ended.status, TaskStatus::Completed);
        let late = session.task_when(&task.id, |t| t.stdout.ends_with(b"late\n")).await;
        assert_eq!(late.stdout, "started\nlate\n");
    })
    .await;
}
