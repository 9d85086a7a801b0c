//! The contract of the persistent shell.

use cloister_core::command::{Runtime, ToolCall};
use cloister_core::event::{Ended, Outcome, StateAfter};
use cloister_core::policy::Policy;
use cloister_tests::calls::in_session;
use cloister_tests::rig::plain;

#[tokio::test(flavor = "multi_thread")]
async fn the_shell_keeps_directory_variables_and_functions_between_calls() {
    in_session(plain(), async |session| {
        let ran = session
            .shell("mkdir -p a/b && cd a/b && X='two words' && export Y=1 && f() { echo \"f:$1\"; }")
            .await;
        assert_eq!((ran.execution.ended, ran.execution.exit_code), (Ended::Completed, 0), "{ran:?}");
        let ran = session.shell("pwd; echo \"$X\"; env | grep ^Y=; f arg").await;
        assert_eq!(ran.stdout, "/workspace/a/b\ntwo words\nY=1\nf:arg\n");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_answers_with_its_status_and_its_two_streams() {
    in_session(plain(), async |session| {
        let ran = session.shell("echo out; echo err >&2; (exit 7)").await;
        assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("out\n", "err\n"));
        assert_eq!((ran.execution.exit_code, ran.execution.state), (7, StateAfter::Kept));
        assert_eq!(session.shell("no-such-program").await.execution.exit_code, 127);
        assert_eq!(session.shell("sh -c 'kill -9 $$'").await.execution.exit_code, 137);
        assert_eq!(session.shell("false | true").await.execution.exit_code, 0);
        assert_eq!(session.shell("printf 'no new line'").await.stdout, "no new line");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_of_any_shape_are_one_command() {
    in_session(plain(), async |session| {
        for (command, output) in [
            ("echo 'it'\\''s' \"a \\\"quote\\\"\" # a comment", "it's a \"quote\"\n"),
            ("cat <<END\nline 1\n  line '2'\nEND", "line 1\n  line '2'\n"),
            ("for n in 1 2\ndo\n  echo $n\ndone", "1\n2\n"),
            ("echo one \\\n  two", "one two\n"),
            ("echo first\necho 'second\nthird'\n\n", "first\nsecond\nthird\n"),
            ("", ""),
            ("  \n# nothing\n", ""),
            ("echo größe 漢 😀", "größe 漢 😀\n"),
            ("echo back\\\\slash\\", "back\\slash\\\n"),
        ] {
            let ran = session.shell(command).await;
            assert_eq!((ran.stdout.as_str(), ran.execution.exit_code), (output, 0), "{command:?}: {ran:?}");
        }
        let long = "x".repeat(100_000);
        assert_eq!(session.shell(&format!("v={long}; echo ${{#v}}")).await.stdout, "100000\n");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_syntax_error_costs_the_command_and_not_the_shell() {
    in_session(plain(), async |session| {
        session.shell("X=kept").await;
        for broken in ["if true; then", "echo 'open", "echo )", "cat <<END\nno end"] {
            let ran = session.shell(broken).await;
            assert!(ran.execution.exit_code != 0 || broken.starts_with("cat"), "{broken}: {ran:?}");
            assert!(!ran.stderr.is_empty(), "{broken}: {ran:?}");
            assert_eq!(session.shell("echo $X").await.stdout, "kept\n", "after {broken}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_reads_its_input_finds_it_empty() {
    in_session(plain(), async |session| {
        let ran = session.shell("cat; read line || echo none; head -c 10 | wc -c").await;
        assert_eq!(ran.stdout, "none\n0\n", "{ran:?}");
        assert_eq!(session.shell("echo still here").await.stdout, "still here\n");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_ends_the_shell_with_its_status_and_the_next_command_gets_a_new_one() {
    in_session(plain(), async |session| {
        session.shell("X=1; touch file").await;
        for (command, status) in [("exit 3", 3), ("exit 200", 200), ("exec true", 0), ("set -e; false", 1)] {
            let ran = session.shell(command).await;
            assert_eq!(
                (ran.execution.ended, ran.execution.exit_code),
                (Ended::Exited, status),
                "{command}: {ran:?}"
            );
            assert_eq!(ran.execution.state, StateAfter::Lost);
            assert_eq!(session.shell("echo \"[$X]\"; ls").await.stdout, "[]\nfile\n");
        }
        let ran = session.shell("kill -9 $$").await;
        assert_eq!((ran.execution.ended, ran.execution.exit_code), (Ended::Died, 137), "{ran:?}");
        assert_eq!(session.shell("echo new").await.stdout, "new\n");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_background_job_outlives_its_command_and_what_it_says_later_comes_with_the_next_one() {
    in_session(plain(), async |session| {
        let ran = session.shell("(sleep 0.3; echo late) & echo started").await;
        assert_eq!(ran.stdout, "started\n");
        tokio::time::sleep(std::time::Duration::from_millis(800)).await;
        assert_eq!(session.shell("echo next").await.stdout, "late\nnext\n");
        session.shell("sleep 0.2 & child=$!").await;
        assert_eq!(session.shell("wait $child; echo $?").await.stdout, "0\n");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shell_output_that_is_not_utf_8_arrives_byte_for_byte() {
    in_session(plain(), async |session| {
        let command = "printf '\\377\\000\\200'; printf '\\376' >&2; head -c 300000 /dev/zero";
        let (stdout, stderr) = session.streams(ToolCall::ExecuteCommand { command: command.into() }).await;
        assert_eq!(stdout.get(..3), Some(&b"\xff\x00\x80"[..]));
        assert_eq!((stdout.len(), stderr.as_slice()), (300_003, &b"\xfe"[..]));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_cannot_answer_for_another_by_writing_statuses_itself() {
    in_session(plain(), async |session| {
        // Descriptor 9 is where the shell reports; a command does not have it.
        let ran = session.shell("echo 'x 0' >&9; echo \"ran $?\"").await;
        assert_eq!(ran.stdout, "ran 1\n", "{ran:?}");
        assert!(ran.stderr.contains("Bad file descriptor"), "{ran:?}");
        // Even where it digs the descriptor out, the line must name the running call, whose id is the server's.
        let ran = session.shell("for f in /proc/$$/fd/*; do printf '%s 0\\n' 00000000000000000000000000000000 > $f; done 2>/dev/null; sleep 0.2; echo end; (exit 4)").await;
        assert_eq!(ran.execution.exit_code, 4, "{ran:?}");
        assert!(ran.stdout.ends_with("end\n"), "{ran:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_without_a_shell_refuses_commands_and_a_runtime_that_it_does_not_name() {
    let mut policy = plain();
    policy.languages.shell = false;
    policy.languages.runtimes = vec!["python".into()];
    in_session(policy, async |session| {
        let ran = session.shell("echo ran").await;
        assert!(ran.stdout.is_empty() && ran.exception().1.contains("shell"), "{ran:?}");
        let started = session.tool(ToolCall::StartCommandExecution { command: "echo ran".into() }).await;
        assert!(matches!(&started, Outcome::Failed { message } if message.contains("shell")), "{started:?}");
        let ran = session.code(cloister_core::command::Language::JavaScript, Runtime::Nodejs, "1").await;
        assert!(ran.value.is_none() && ran.exception().1.contains("nodejs"), "{ran:?}");
        assert_eq!(session.python("1").await.text(), "1");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shell_works_beside_an_interpreter_forked_from_the_zygote() {
    in_session(Policy::built_in("test"), async |session| {
        session.python("open('n', 'w').write('7');").await;
        let ran = session.shell("cat n; python3 -c 'print(6 * 7)'; id -u").await;
        assert_eq!(ran.stdout, "742\n65532\n", "{ran:?}");
        assert!(ran.stderr.is_empty(), "{ran:?}");
    })
    .await;
}
