//! Tests of the result shapes, against the recorded answers of the AWS service and against the service model.

use super::*;
use crate::agentcore::model::CODE_INTERPRETER_RESULT;
use crate::agentcore::validate::differences;
use cloister_core::event::{Ended, FileChange, GuestError, LimitHit, Rich, StateAfter, Usage};
use serde_json::{Value, json};
use std::time::Duration;

const OPTIONS: Options<'static> =
    Options { figures: true, files: true, text: true, files_url: "/v1/sessions/S/files" };

fn answer(outcome: Outcome) -> Answer {
    Answer {
        stdout: vec![],
        stderr: vec![],
        output: vec![],
        displays: vec![],
        value: None,
        receipt: None,
        outcome,
    }
}

fn ran(stdout: &str, stderr: &str, execution: Execution) -> Answer {
    Answer { stdout: stdout.into(), stderr: stderr.into(), ..answer(Outcome::Executed(execution)) }
}

/// The payloads of events, each held against the model.
fn payloads(events: &[Bytes]) -> Vec<Value> {
    let payload = |event: &Bytes| {
        let headers = u32::from_be_bytes(event[4..8].try_into().unwrap()) as usize;
        let payload = &event[12 + headers..event.len() - 4];
        assert!(payload.len() <= MAX_PAYLOAD, "{}", payload.len());
        assert_eq!(differences(&CODE_INTERPRETER_RESULT, payload), [""; 0]);
        serde_json::from_slice(payload).unwrap()
    };
    events.iter().map(payload).collect()
}

fn one(answer: Answer, options: Options<'_>) -> Value {
    let mut all = payloads(&events(answer, options));
    assert_eq!(all.len(), 1, "exactly one result event");
    all.remove(0)
}

fn png() -> Rich {
    Rich {
        forms: vec![
            ("text/plain".into(), Bytes::from_static(b"<Figure size 640x480>")),
            ("image/png".into(), Bytes::from_static(b"\x89PNG")),
        ],
    }
}

fn plain(text: &'static str) -> Rich {
    Rich { forms: vec![("text/plain".into(), Bytes::from_static(text.as_bytes()))] }
}

#[test]
fn the_recorded_answers_of_the_service_come_out_byte_for_byte() {
    let no_text = Options { text: false, ..OPTIONS };
    let payload = |answer: Answer| {
        let event = events(answer, no_text).remove(0);
        let headers = u32::from_be_bytes(event[4..8].try_into().unwrap()) as usize;
        String::from_utf8(event[12 + headers..event.len() - 4].to_vec()).unwrap()
    };
    let written = Outcome::Written { files: vec![("a".into(), 1), ("b".into(), 2)] };
    assert_eq!(
        payload(answer(written)),
        r#"{"content":[{"type":"text","text":"Successfully wrote all 2 files"}],"isError":false}"#
    );
    let execution = Execution {
        usage: Usage { wall: Duration::from_micros(711_100), ..Usage::default() },
        ..Execution::default()
    };
    assert_eq!(
        payload(ran("<stdout>\n", "", execution)),
        r#"{"content":[{"type":"text","text":"<stdout>"}],"structuredContent":{"stdout":"<stdout>","stderr":"","exitCode":0,"executionTime":0.7111},"isError":false}"#
    );
    let entries = vec![
        Entry { name: "log".into(), path: "log".into(), kind: EntryKind::Directory, size: 0, modified: 0 },
        Entry {
            name: "data.csv".into(),
            path: "data.csv".into(),
            kind: EntryKind::File,
            size: 7,
            modified: 0,
        },
    ];
    assert_eq!(
        payload(answer(Outcome::Listing { entries, truncated: false })),
        r#"{"content":[{"type":"resource_link","uri":"file:///log","name":"log","description":"Directory"},{"type":"resource_link","mimeType":"text/csv","uri":"file:///data.csv","name":"data.csv","description":"File","size":7}],"isError":false}"#
    );
}

#[test]
fn a_failed_command_keeps_its_stderr_and_shows_it_as_text() {
    let execution = Execution { exit_code: 127, ..Execution::default() };
    let got = one(ran("", "/bin/sh: line 1: pytest: command not found\r\n", execution), OPTIONS);
    assert_eq!(got["structuredContent"]["stderr"], "/bin/sh: line 1: pytest: command not found\r\n");
    assert_eq!(got["content"][0]["text"], "/bin/sh: line 1: pytest: command not found\r\n");
    assert_eq!(got["isError"], true);
}

#[test]
fn a_traceback_is_in_the_text_and_in_stderr_once() {
    let traceback = "Traceback (most recent call last):\nZeroDivisionError: division by zero\n";
    let error = GuestError {
        name: "ZeroDivisionError".into(),
        message: "division by zero".into(),
        traceback: traceback.into(),
    };
    let execution = Execution { exit_code: 1, error: Some(error), ..Execution::default() };
    for stderr in ["", traceback] {
        let got = one(ran("before\n", stderr, execution.clone()), OPTIONS);
        assert_eq!(got["content"][0]["text"], format!("before\n{traceback}"));
        assert_eq!(got["structuredContent"]["stderr"], traceback);
        assert_eq!(got["structuredContent"]["stdout"], "before");
    }
}

#[test]
fn the_last_value_follows_the_output_as_in_a_notebook() {
    let mut answer = ran("line\n", "", Execution::default());
    answer.displays = vec![plain("shown")];
    answer.value = Some(plain("42"));
    let got = one(answer, OPTIONS);
    assert_eq!(got["content"][0]["text"], "line\nshown\n42");
    assert_eq!(got["structuredContent"]["stdout"], "line");
}

#[test]
fn warnings_are_shown_when_there_is_nothing_else() {
    let warned = |stdout| one(ran(stdout, "a warning\n", Execution::default()), OPTIONS);
    assert_eq!(warned("")["content"][0]["text"], "a warning\n");
    assert_eq!(warned("x\n")["content"][0]["text"], "x");
    assert_eq!(warned("")["isError"], false);
}

#[test]
fn figures_and_files_follow_the_text_unless_the_policy_turns_them_off() {
    let execution = || Execution {
        files: vec![FileChange { path: "out/plot.png".into(), size: 9, created: true, digest: None }],
        ..Execution::default()
    };
    let shown = || Answer { displays: vec![png()], ..ran("t\n", "", execution()) };
    let got = one(shown(), OPTIONS);
    assert_eq!(got["content"][0], json!({ "type": "text", "text": "t" }));
    assert_eq!(got["content"][1], json!({ "type": "image", "data": "iVBORw==", "mimeType": "image/png" }));
    assert_eq!(
        got["content"][2],
        json!({ "type": "resource_link", "mimeType": "image/png", "uri": "file:///out/plot.png", "name": "out/plot.png", "description": "File", "size": 9 })
    );
    let got = one(shown(), Options { figures: false, files: false, ..OPTIONS });
    assert_eq!(got["content"], json!([{ "type": "text", "text": "t\n<Figure size 640x480>" }]));
}

#[test]
fn limits_are_readable_in_the_text_and_in_stderr() {
    let execution = Execution {
        exit_code: 137,
        ended: Ended::Killed,
        state: StateAfter::Lost,
        limits: vec![LimitHit::Memory { limit: 2 << 30 }],
        ..Execution::default()
    };
    let got = one(ran("", "", execution), OPTIONS);
    for text in [&got["content"][0]["text"], &got["structuredContent"]["stderr"]] {
        let text = text.as_str().unwrap();
        assert!(
            text.contains("out of memory") && text.contains("2 GiB") && text.contains("variables are lost"),
            "{text}"
        );
    }
    let truncated = Execution {
        limits: vec![LimitHit::Output { stream: "stdout", limit: 10, dropped: 5 }],
        ..Execution::default()
    };
    let got = one(ran("0123456789", "", truncated), OPTIONS);
    assert_eq!(got["isError"], false);
    assert!(got["content"][0]["text"].as_str().unwrap().contains("output truncated at 10 bytes"));
}

#[test]
fn output_that_is_not_utf8_cannot_break_the_answer() {
    let mut answer = ran("", "", Execution::default());
    answer.stdout = vec![b'a', 0xff, 0xfe, 0, b'\n'];
    assert_eq!(one(answer, OPTIONS)["structuredContent"]["stdout"], "a\u{fffd}\u{fffd}\0");
}

#[test]
fn text_files_are_text_and_all_others_are_exact_bytes() {
    let file =
        |path: &str, data: &'static [u8]| FileBody { path: path.into(), data: Bytes::from_static(data) };
    let files = vec![
        file("data.csv", b"a,b\n"),
        file("latin.csv", b"\xe9"),
        file("x.bin", b"text"),
        file("Makefile", b"all:\n"),
        file("a.out", b"\x7fELF\0"),
    ];
    let failed = vec![PathFailure { path: "gone.txt".into(), reason: "no such file".into() }];
    let got = one(answer(Outcome::Files { files, failed }), OPTIONS);
    let resource = |i: usize| got["content"][i]["resource"].clone();
    assert_eq!(
        resource(0),
        json!({ "type": "text", "uri": "file:///data.csv", "mimeType": "text/csv", "text": "a,b\n" })
    );
    assert_eq!(resource(1)["blob"], "6Q==");
    assert_eq!(
        resource(2),
        json!({ "type": "blob", "uri": "file:///x.bin", "mimeType": "application/octet-stream", "blob": "dGV4dA==" })
    );
    assert_eq!(resource(3)["text"], "all:\n");
    assert_eq!(resource(4)["type"], "blob");
    assert_eq!(got["content"][5], json!({ "type": "text", "text": "Could not read gone.txt: no such file" }));
    assert_eq!(got["isError"], true);
}

#[test]
fn a_large_result_is_spread_over_events_that_botocore_takes() {
    let body = |i: u8| FileBody { path: format!("f{i}.bin"), data: Bytes::from(vec![i; 10 << 20]) };
    let all = payloads(&events(
        answer(Outcome::Files { files: (0..3).map(body).collect(), failed: vec![] }),
        OPTIONS,
    ));
    assert_eq!(all.len(), 3);
    let names: Vec<_> =
        all.iter().flat_map(|p| p["content"].as_array().unwrap()).map(|b| &b["resource"]["uri"]).collect();
    assert_eq!(names, ["file:///f0.bin", "file:///f1.bin", "file:///f2.bin"]);
    assert!(all.iter().all(|p| p["isError"] == false));
}

#[test]
fn a_file_that_fits_into_no_event_is_refused_with_advice() {
    let files = vec![
        FileBody { path: "small.txt".into(), data: Bytes::from_static(b"x") },
        FileBody { path: "big file.bin".into(), data: Bytes::from(vec![1; 19 << 20]) },
        FileBody { path: "big.txt".into(), data: Bytes::from(vec![1; 24 << 20]) },
    ];
    let got = one(answer(Outcome::Files { files, failed: vec![] }), OPTIONS);
    assert_eq!(got["isError"], true);
    assert_eq!(got["content"][0]["resource"]["text"], "x");
    for (index, name) in [(1, "big%20file.bin"), (2, "big.txt")] {
        let text = got["content"][index]["text"].as_str().unwrap();
        assert!(text.contains(&format!("GET /v1/sessions/S/files/{name}")), "{text}");
    }
}

#[test]
fn output_of_any_size_stays_in_one_event_with_its_structured_content() {
    // NUL needs six bytes in JSON: 16 MiB become 96.
    let hostile = "\0".repeat(16 << 20);
    let execution = Execution { exit_code: 1, ..Execution::default() };
    let got = one(ran(&hostile, &hostile, execution), OPTIONS);
    let text = got["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("output truncated at 1000000 bytes"), "no sentence");
    assert_eq!(got["structuredContent"]["exitCode"], 1);
}

#[test]
fn tasks_have_their_state_in_structured_content_and_as_text() {
    let task = Task {
        id: "T1".into(),
        status: TaskStatus::Failed,
        stdout: Bytes::from_static(b"out\n"),
        stderr: Bytes::from_static(b"err\n"),
        exit_code: Some(3),
        wall: Duration::from_millis(1_500),
    };
    let got = one(answer(Outcome::Task(task.clone())), OPTIONS);
    assert_eq!(
        got["structuredContent"],
        json!({ "taskId": "T1", "taskStatus": "failed", "stdout": "out", "stderr": "err\n", "exitCode": 3, "executionTime": 1.5 })
    );
    assert_eq!(got["content"][0]["text"], "Task T1 failed with exit code 3\nout\nerr\n");
    let silent = one(answer(Outcome::Task(task)), Options { text: false, ..OPTIONS });
    assert_eq!(silent["content"], json!([]));
}

#[test]
fn a_tool_that_could_not_do_it_says_so() {
    let got = one(answer(Outcome::Failed { message: "no such directory: x".into() }), OPTIONS);
    assert_eq!(
        got,
        json!({ "content": [{ "type": "text", "text": "no such directory: x" }], "isError": true })
    );
    let failed = vec![PathFailure { path: "a".into(), reason: "no such file or directory".into() }];
    let got = one(answer(Outcome::Removed { removed: vec!["b".into()], failed }), OPTIONS);
    assert!(got["content"][0]["text"].as_str().unwrap().contains("a: no such file or directory"));
    assert_eq!(got["isError"], true);
}
