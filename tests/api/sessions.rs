//! Start, get, list and stop, as an AWS client sees them.

use crate::aws::{conforms, error, fields};
use crate::server::{KEY, Server, Setup};
use serde_json::{Value, json};

const ARN: &str =
    "arn%3Aaws%3Abedrock-agentcore%3Aus-west-2%3Aaws%3Acode-interpreter%2Faws.codeinterpreter.v1";

#[tokio::test]
async fn a_session_is_started_looked_at_listed_and_stopped() {
    let server = Server::new().await;
    let started = server.start_session(json!({ "name": "report", "sessionTimeoutSeconds": 60 })).send().await;
    let started = conforms("StartCodeInterpreterSession", &started);
    let id = started["sessionId"].as_str().unwrap();
    assert_eq!((id.len(), &started["codeInterpreterIdentifier"]), (26, &json!(KEY)));

    let got = conforms("GetCodeInterpreterSession", &server.get_session(id).send().await);
    assert_eq!(got["status"], "READY");
    assert_eq!((&got["name"], &got["sessionTimeoutSeconds"]), (&json!("report"), &json!(60)));
    assert_eq!(got["createdAt"], started["createdAt"]);

    let listed = conforms("ListCodeInterpreterSessions", &server.list_sessions(json!({})).send().await);
    assert_eq!(listed["items"][0]["sessionId"], id);
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);

    let stopped = conforms("StopCodeInterpreterSession", &server.stop_session(id).send().await);
    assert_eq!(stopped["sessionId"], id);
    let got = conforms("GetCodeInterpreterSession", &server.get_session(id).send().await);
    assert_eq!(got["status"], "TERMINATED");
    assert_eq!(server.backend.counts().live, 0);
}

#[tokio::test]
async fn the_default_life_is_that_of_the_service() {
    let server = Server::new().await;
    let id = server.aws_session().await;
    let got = conforms("GetCodeInterpreterSession", &server.get_session(&id).send().await);
    assert_eq!(got["sessionTimeoutSeconds"], 900);
    assert!(got.get("name").is_none());
}

#[tokio::test]
async fn stopping_twice_succeeds_and_stopping_nothing_does_not() {
    let server = Server::new().await;
    let id = server.aws_session().await;
    for _ in 0..2 {
        conforms("StopCodeInterpreterSession", &server.stop_session(&id).send().await);
    }
    error("ResourceNotFoundException", &server.stop_session("01K00Z3F8WZ9KBBW4QGRJCVBHH").send().await);
}

#[tokio::test]
async fn an_arn_is_one_encoded_segment_and_is_echoed_as_given() {
    let server = Server::new().await;
    let decoded = "arn:aws:bedrock-agentcore:us-west-2:aws:code-interpreter/aws.codeinterpreter.v1";
    let path = |rest: &str| format!("/code-interpreters/{ARN}/sessions/{rest}");
    let started = server.request("PUT", &path("start")).json(json!({})).send().await;
    let started = conforms("StartCodeInterpreterSession", &started);
    assert_eq!(started["codeInterpreterIdentifier"], decoded);
    let id = started["sessionId"].as_str().unwrap();
    let got = server.get(&path(&format!("get?sessionId={id}"))).send().await;
    assert_eq!(conforms("GetCodeInterpreterSession", &got)["codeInterpreterIdentifier"], decoded);
    // The same interpreter under its short name.
    let got = conforms("GetCodeInterpreterSession", &server.get_session(id).send().await);
    assert_eq!(got["codeInterpreterIdentifier"], KEY);
}

#[tokio::test]
async fn a_session_of_another_interpreter_is_not_found() {
    let server = Server::new().await;
    let id = server.aws_session().await;
    let other = server.get(&format!("/code-interpreters/other-abcdefghij/sessions/get?sessionId={id}"));
    error("ResourceNotFoundException", &other.send().await);
}

#[tokio::test]
async fn unknown_interpreters_are_not_found() {
    let server = Server::new().await;
    for (method, rest) in [("PUT", "start"), ("POST", "list")] {
        let call = server.request(method, &format!("/code-interpreters/nobody-abcdefghij/sessions/{rest}"));
        error("ResourceNotFoundException", &call.json(json!({})).send().await);
    }
    let call = server.request("PUT", "/code-interpreters/not%20an%20id/sessions/start").json(json!({}));
    assert_eq!(fields(&call.send().await), ["codeInterpreterIdentifier"]);
}

#[tokio::test]
async fn bodies_may_be_empty_where_nothing_is_required() {
    let server = Server::new().await;
    let started = server.request("PUT", &format!("/code-interpreters/{KEY}/sessions/start")).send().await;
    conforms("StartCodeInterpreterSession", &started);
}

#[tokio::test]
async fn members_that_need_aws_resources_are_refused_by_name() {
    let server = Server::new().await;
    let secret = json!({ "location": { "secretsManager": { "secretArn": "arn:aws:secretsmanager:us-west-2:123456789012:secret:x" } } });
    let answer = server.start_session(json!({ "certificates": [secret] })).send().await;
    assert_eq!(fields(&answer), ["certificates"]);
    assert!(answer.json()["message"].as_str().unwrap().contains("does not support"));
    // Nothing was asked for, so there is nothing to refuse.
    let answer = server.start_session(json!({ "filesystemConfigurations": [] })).send().await;
    conforms("StartCodeInterpreterSession", &answer);
    assert_eq!(server.backend.counts().starts, 1);
}

#[tokio::test]
async fn pages_hold_every_session_once_newest_first() {
    let server = Server::new().await;
    let mut ids = Vec::new();
    for _ in 0..7 {
        ids.push(server.aws_session().await);
    }
    ids.reverse();
    let (mut seen, mut token) = (Vec::new(), Value::Null);
    loop {
        let page = server.list_sessions(json!({ "maxResults": 3, "nextToken": token })).send().await;
        let page = conforms("ListCodeInterpreterSessions", &page);
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 3);
        seen.extend(items.iter().map(|item| item["sessionId"].as_str().unwrap().to_owned()));
        token = page["nextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(seen, ids);
}

#[tokio::test]
async fn ten_sessions_are_a_page_and_the_status_filters() {
    let server = Server::new().await;
    for _ in 0..11 {
        server.aws_session().await;
    }
    let id = server.aws_session().await;
    server.stop_session(&id).send().await;
    let page = server.list_sessions(json!({ "status": "READY" })).send().await.json();
    assert_eq!(page["items"].as_array().unwrap().len(), 10);
    let page = server.list_sessions(json!({ "status": "TERMINATED" })).send().await.json();
    assert_eq!((&page["items"][0]["sessionId"], page["items"].as_array().unwrap().len()), (&json!(id), 1));
}

#[tokio::test]
async fn a_cursor_that_was_changed_or_belongs_to_another_list_is_refused() {
    let server = Server::new().await;
    for _ in 0..2 {
        server.aws_session().await;
    }
    let page = server.list_sessions(json!({ "maxResults": 1 })).send().await.json();
    let token = page["nextToken"].as_str().unwrap().to_owned();
    let mut changed = token.clone().into_bytes();
    changed[5] ^= 1;
    let changed = String::from_utf8(changed).unwrap();
    for body in [
        json!({ "nextToken": changed }),
        json!({ "nextToken": "made-up" }),
        json!({ "nextToken": token, "status": "READY" }),
    ] {
        assert_eq!(fields(&server.list_sessions(body).send().await), ["nextToken"]);
    }
    let elsewhere = server.request("POST", "/code-interpreters/other-abcdefghij/sessions/list");
    assert_eq!(fields(&elsewhere.json(json!({ "nextToken": token })).send().await), ["nextToken"]);
    conforms(
        "ListCodeInterpreterSessions",
        &server.list_sessions(json!({ "nextToken": token })).send().await,
    );
}

#[tokio::test]
async fn a_session_over_its_time_is_terminated_and_takes_no_calls() {
    let server = Setup::default().start().await;
    let started = server.start_session(json!({ "sessionTimeoutSeconds": 1 })).send().await.json();
    let id = started["sessionId"].as_str().unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1_300)).await;
    let got = conforms("GetCodeInterpreterSession", &server.get_session(id).send().await);
    assert_eq!(got["status"], "TERMINATED");
    let call = server.invoke(id, "executeCode", json!({ "code": "print x" }));
    error("ResourceNotFoundException", &call.send().await);
}
