//! Every kind of error, requests that no client of ours would send, and operations that are not served.

use crate::aws::{error, fields};
use crate::server::{KEY, Server, Setup};
use cloister_core::backend::StartError;
use cloister_gateway::agentcore::model::{OPERATIONS, served};
use serde_json::json;

#[tokio::test]
async fn a_full_server_answers_402() {
    let server = Setup::default().manager(|config| config.max_sessions = 1).start().await;
    server.aws_session().await;
    error("ServiceQuotaExceededException", &server.start_session(json!({})).send().await);
}

#[tokio::test]
async fn what_the_policy_forbids_answers_403() {
    let server = Setup::default().policy(|policy| policy.languages.shell = false).start().await;
    let id = server.aws_session().await;
    let call = server.invoke(&id, "executeCommand", json!({ "command": "print x" }));
    error("AccessDeniedException", &call.send().await);
    assert_eq!(server.backend.counts().runs, 0);
}

#[tokio::test]
async fn a_failure_of_ours_answers_500_without_its_cause() {
    let server = Server::new().await;
    server.backend.fail_next_start(StartError::Step {
        step: "mounting /var/lib/secret".into(),
        source: std::io::Error::other("the cause"),
    });
    let body = error("InternalServerException", &server.start_session(json!({})).send().await);
    assert!(!body.to_string().contains("the cause") && !body.to_string().contains("/var/lib"), "{body}");
}

#[tokio::test]
async fn a_broken_store_answers_500() {
    let server = Server::new().await;
    server.store.break_down(true);
    error("InternalServerException", &server.list_sessions(json!({})).send().await);
}

#[tokio::test]
async fn too_many_waiting_calls_answer_429() {
    let server = Setup::default().manager(|config| config.max_queued = 1).start().await;
    let id = server.aws_session().await;
    let running: Vec<_> = (0..2)
        .map(|_| tokio::spawn(server.invoke(&id, "executeCode", json!({ "code": "sleep 5" })).send()))
        .collect();
    while server.manager.counts().running + server.manager.counts().queued < 2 {
        tokio::task::yield_now().await;
    }
    let call = server.invoke(&id, "executeCode", json!({ "code": "print x" }));
    error("ThrottlingException", &call.send().await);
    running.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn a_session_that_dies_under_a_call_answers_409_and_is_gone_afterwards() {
    let server = Server::new().await;
    let id = server.aws_session().await;
    let call = || server.invoke(&id, "executeCode", json!({ "code": "die" }));
    error("ConflictException", &call().send().await);
    error("ResourceNotFoundException", &call().send().await);
}

#[tokio::test]
async fn every_bad_member_of_a_request_is_named_and_nothing_starts() {
    let server = Server::new().await;
    let body = json!({ "name": "", "sessionTimeoutSeconds": 0, "clientToken": "x", "policy": "root", "filesystemConfigurations": [{}] });
    let mut names = fields(&server.start_session(body).send().await);
    names.sort();
    let expected = ["clientToken", "filesystemConfigurations[0]", "name", "policy", "sessionTimeoutSeconds"];
    assert_eq!(names, expected);
    assert_eq!(server.backend.counts().starts, 0);
}

#[tokio::test]
async fn bodies_that_are_no_json_are_refused_as_such() {
    let server = Server::new().await;
    let start = || server.request("PUT", &format!("/code-interpreters/{KEY}/sessions/start"));
    let deep = "[".repeat(100_000);
    for bad in [
        &b"{"[..],
        b"[]",
        b"\"x\"",
        b"null",
        br#"{"name":"a","name":"b"}"#,
        br#"{"name":"\ud800"}"#,
        b"{\"name\":\"\xff\"}",
        b"\xef\xbb\xbf{}",
        br#"{"sessionTimeoutSeconds":NaN}"#,
        br#"{"sessionTimeoutSeconds":1e400}"#,
        deep.as_bytes(),
    ] {
        let answer = start().raw_json(bad.to_vec()).send().await;
        let body = error("ValidationException", &answer);
        assert_eq!(body["reason"], "CannotParse", "{body}");
    }
    assert_eq!(server.backend.counts().starts, 0);
}

#[tokio::test]
async fn bodies_that_do_not_say_json_are_refused() {
    let server = Server::new().await;
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=utf-16",
    ] {
        for path in [format!("/code-interpreters/{KEY}/sessions/list"), "/v1/sessions".into()] {
            let answer = server.request("POST", &path).header("content-type", kind).body("{}").send().await;
            assert_eq!(answer.status, 415, "{path} {kind}");
        }
    }
    let answer = server.request("POST", "/v1/sessions").body("{}").send().await;
    assert_eq!(answer.status, 415);
    assert_eq!(server.backend.counts().starts, 0);
}

#[tokio::test]
async fn a_body_above_the_limit_answers_413() {
    let server = Server::new().await;
    let call = server.request("POST", &format!("/code-interpreters/{KEY}/tools/invoke"));
    let answer = call.header("content-type", "application/json").body(vec![b' '; 140_000_001]).send().await;
    assert_eq!(answer.status, 413);
    assert_eq!(answer.header("x-amzn-errortype"), "ValidationException");
}

#[tokio::test]
async fn every_operation_of_both_services_answers_or_says_that_it_is_not_offered() {
    let server = Server::new().await;
    let mut refused = 0;
    for operation in OPERATIONS.iter().filter(|operation| served(operation.name).is_none()) {
        let path: Vec<_> =
            operation.uri.split('/').map(|s| if s.starts_with('{') { "x" } else { s }).collect();
        let answer = server.request(operation.method, &path.join("/")).send().await;
        assert_eq!(answer.status, 501, "{}", operation.name);
        assert_eq!(answer.header("x-amzn-errortype"), "UnknownOperationException");
        assert_eq!(answer.header("content-type"), "application/json");
        assert!(answer.json()["message"].as_str().unwrap().contains("does not offer"));
        refused += 1;
    }
    assert!(refused > 200, "{refused}");
}

#[tokio::test]
async fn unknown_paths_answer_json_in_the_style_of_their_door() {
    let server = Server::new().await;
    for path in
        ["/nowhere", "/code-interpreters", "//", "/code-interpreters/x/sessions/start/", "/V1/sessions"]
    {
        let answer = server.get(path).send().await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.header("x-amzn-errortype"), "UnknownOperationException", "{path}");
    }
    for path in ["/v1", "/v1/", "/v1/nowhere", "/v1/sessions/"] {
        let answer = server.get(path).send().await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.json()["error"]["kind"], "not_found", "{path}");
    }
    let answer = server.request("PATCH", "/v1/sessions").send().await;
    assert_eq!(answer.status, 405);
    assert!(answer.json()["error"]["message"].is_string());
}
