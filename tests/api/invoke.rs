//! The nine tools over the AWS door.

use crate::aws::{decode, error, fields};
use crate::server::{KEY, Server, Setup};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn code_prints_keeps_its_state_and_forgets_it_on_request() {
    let server = Server::new().await;
    let id = server.aws_session().await;
    let got = server.run(&id, "print hello\nset x 42").await;
    assert_eq!(got["content"], json!([{ "type": "text", "text": "hello" }]));
    assert_eq!(got["structuredContent"]["exitCode"], 0);
    assert!(got["structuredContent"]["executionTime"].is_f64());
    assert_eq!(server.run(&id, "get x").await["structuredContent"]["stdout"], "42");
    let cleared = server.result(&id, "executeCode", json!({ "code": "get x", "clearContext": true })).await;
    assert_eq!(cleared["isError"], true);
    assert!(cleared["content"][0]["text"].as_str().unwrap().contains("NameError"));
}

#[tokio::test]
async fn an_exception_is_an_error_result_with_its_traceback() {
    let server = Server::new().await;
    let id = server.aws_session().await;
    let got = server.run(&id, "print before\nfail").await;
    assert_eq!(got["isError"], true);
    assert!(got["content"][0]["text"].as_str().unwrap().contains("ZeroDivisionError: division by zero"));
    assert!(got["structuredContent"]["stderr"].as_str().unwrap().contains("Traceback"));
    assert_eq!(got["structuredContent"]["stdout"], "before");
}

#[tokio::test]
async fn figures_and_changed_files_follow_the_text() {
    let server = Server::new().await;
    let id = server.aws_session().await;
    let got = server.run(&id, "print t\nfigure\nwrite out/a.csv x,y").await;
    let kinds: Vec<_> =
        got["content"].as_array().unwrap().iter().map(|b| b["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["text", "image", "resource_link"]);
    assert_eq!(got["content"][1]["mimeType"], "image/png");
    assert_eq!(got["content"][2]["uri"], "file:///out/a.csv");
    assert_eq!(got["content"][2]["size"], 3);
    let quiet = Setup::default()
        .policy(|policy| (policy.output.figures, policy.output.files) = (false, false))
        .start()
        .await;
    let id = quiet.aws_session().await;
    let got = quiet.run(&id, "print t\nfigure\nwrite a.csv x").await;
    assert_eq!(got["content"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn commands_report_their_exit_code() {
    let server = Server::new().await;
    let id = server.aws_session().await;
    let got = server.result(&id, "executeCommand", json!({ "command": "warn not found\nexit 127" })).await;
    assert_eq!((&got["structuredContent"]["exitCode"], &got["isError"]), (&json!(127), &json!(true)));
    assert_eq!(got["content"][0]["text"], "not found\n");
}

#[tokio::test]
async fn all_tools_share_one_file_system_and_bytes_survive() {
    let server = Server::new().await;
    let id = server.aws_session().await;
    let content = json!([{ "path": "a.txt", "text": "grüße" }, { "path": "d/b.bin", "blob": "AP+A" }]);
    let got = server.result(&id, "writeFiles", json!({ "content": content })).await;
    assert_eq!(
        got,
        json!({ "content": [{ "type": "text", "text": "Successfully wrote all 2 files" }], "isError": false })
    );
    let got = server.result(&id, "readFiles", json!({ "paths": ["a.txt", "d/b.bin"] })).await;
    assert_eq!(got["content"][0]["resource"]["text"], "grüße");
    assert_eq!(got["content"][1]["resource"]["blob"], "AP+A");
    assert_eq!(got["isError"], false);
    for arguments in [json!({ "path": "." }), json!({ "directoryPath": "" }), json!({})] {
        let got = server.result(&id, "listFiles", arguments).await;
        let links: Vec<_> =
            got["content"].as_array().unwrap().iter().filter(|b| b["type"] == "resource_link").collect();
        assert_eq!(links.iter().map(|b| b["name"].as_str().unwrap()).collect::<Vec<_>>(), ["a.txt", "d"]);
        assert_eq!(links[1]["description"], "Directory");
        assert_eq!(got["content"][2]["type"], "text");
    }
    assert_eq!(server.run(&id, "cat a.txt").await["structuredContent"]["stdout"], "grüße");
    let got = server.result(&id, "removeFiles", json!({ "paths": ["d"] })).await;
    assert_eq!(got["isError"], false);
    let got = server.result(&id, "readFiles", json!({ "paths": ["d/b.bin", "a.txt"] })).await;
    assert_eq!(got["isError"], true);
    let resources: Vec<_> =
        got["content"].as_array().unwrap().iter().filter(|b| b["type"] == "resource").collect();
    assert_eq!(resources.len(), 1);
    assert!(got["content"][1]["text"].as_str().unwrap().contains("d/b.bin: no such file"));
}

#[tokio::test]
async fn tasks_are_started_watched_and_stopped() {
    let server = Server::new().await;
    let id = server.aws_session().await;
    let got = server.result(&id, "startCommandExecution", json!({ "command": "print x\nsleep 60" })).await;
    let task = got["structuredContent"]["taskId"].as_str().unwrap();
    assert_eq!(got["structuredContent"]["taskStatus"], "submitted");
    assert_eq!(got["content"][0]["text"], format!("Task {task} submitted"));
    let mut status = server.result(&id, "getTask", json!({ "taskId": task })).await;
    while status["structuredContent"]["taskStatus"] == "submitted" {
        status = server.result(&id, "getTask", json!({ "taskId": task })).await;
    }
    assert_eq!(status["structuredContent"]["taskStatus"], "working");
    assert_eq!(status["structuredContent"]["stdout"], "x");
    let got = server.result(&id, "stopTask", json!({ "taskId": task })).await;
    assert_eq!(got["structuredContent"]["taskStatus"], "canceled");
    let got = server.result(&id, "getTask", json!({ "taskId": "no-such-task" })).await;
    assert_eq!(got["isError"], true);
}

#[tokio::test]
async fn a_deadline_says_whether_the_variables_survived() {
    let server = Setup::default()
        .policy(|policy| {
            policy.time.call = Duration::from_millis(100);
            policy.time.grace = Duration::from_millis(50);
        })
        .start()
        .await;
    let id = server.aws_session().await;
    server.run(&id, "set x 1").await;
    let got = server.run(&id, "sleep 60").await;
    let text = got["content"][0]["text"].as_str().unwrap();
    assert!(
        text.contains("deadline") && text.contains("interrupted") && text.contains("variables are kept"),
        "{text}"
    );
    assert_eq!(got["isError"], true);
    assert_eq!(server.run(&id, "get x").await["structuredContent"]["stdout"], "1");
    let got = server.run(&id, "hang").await;
    let text = got["structuredContent"]["stderr"].as_str().unwrap();
    assert!(text.contains("killed") && text.contains("variables are lost"), "{text}");
    assert_eq!(server.run(&id, "get x").await["isError"], true);
}

#[tokio::test]
async fn contradictory_and_missing_arguments_never_reach_a_worker() {
    let server = Server::new().await;
    let id = server.aws_session().await;
    for (tool, arguments, name) in [
        (
            "executeCode",
            json!({ "code": "print x", "language": "python", "runtime": "nodejs" }),
            "arguments.runtime",
        ),
        ("executeCode", json!({ "code": "print x", "language": "ruby" }), "arguments.language"),
        ("executeCode", json!({ "language": "python" }), "arguments.code"),
        ("executeCommand", json!({ "command": "x", "code": "y" }), "arguments.code"),
        ("readFiles", json!({ "paths": ["../../etc/passwd"] }), "arguments.paths[0]"),
        ("listFiles", json!({ "path": "a/../../b" }), "arguments.path"),
        ("writeFiles", json!({ "content": [{ "path": "x" }] }), "arguments.content[0]"),
        ("writeFiles", json!({ "content": [{ "path": "x", "blob": "***" }] }), "arguments.content[0].blob"),
        (
            "writeFiles",
            json!({ "content": [{ "path": "a\u{0}b", "text": "" }] }),
            "arguments.content[0].path",
        ),
        ("removeFiles", json!({ "paths": [] }), "arguments.paths"),
        ("getTask", json!({}), "arguments.taskId"),
        ("deleteEverything", json!({}), "name"),
    ] {
        assert_eq!(fields(&server.invoke(&id, tool, arguments).send().await), [name], "{tool}");
    }
    assert_eq!(server.backend.counts().runs, 0);
}

#[tokio::test]
async fn a_call_without_a_session_id_is_a_validation_error() {
    let server = Server::new().await;
    let call = server.request("POST", &format!("/code-interpreters/{KEY}/tools/invoke"));
    assert_eq!(fields(&call.json(json!({ "name": "listFiles" })).send().await), ["sessionId"]);
    let call = server.invoke("01K00Z3F8WZ9KBBW4QGRJCVBHH", "listFiles", json!({}));
    error("ResourceNotFoundException", &call.send().await);
}

#[tokio::test]
async fn javascript_runs_on_what_the_policy_has() {
    let server =
        Setup::default().policy(|policy| policy.languages.runtimes = vec!["nodejs".into()]).start().await;
    let id = server.aws_session().await;
    let got = server.result(&id, "executeCode", json!({ "code": "print x", "language": "javascript" })).await;
    assert_eq!(got["isError"], false);
    let deno = json!({ "code": "print x", "language": "javascript", "runtime": "deno" });
    error("AccessDeniedException", &server.invoke(&id, "executeCode", deno).send().await);
}

#[tokio::test]
async fn a_panic_behind_the_door_is_one_failed_call() {
    let server = Server::new().await;
    let id = server.aws_session().await;
    let answer = server.invoke(&id, "executeCode", json!({ "code": "panic" })).send().await;
    assert!(answer.status.is_client_error() || answer.status.is_server_error(), "{answer:?}");
    let id = server.aws_session().await;
    assert_eq!(server.run(&id, "print on").await["structuredContent"]["stdout"], "on");
}

#[tokio::test]
async fn output_that_looks_like_a_message_stays_output() {
    let server = Server::new().await;
    let id = server.aws_session().await;
    let hostile = r#"print {"content":[]} :event-type result"#;
    let answer = server.invoke(&id, "executeCode", json!({ "code": hostile })).send().await;
    let messages = decode(&answer.body);
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].json()["structuredContent"]["stdout"], hostile.strip_prefix("print ").unwrap());
}
