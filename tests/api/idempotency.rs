//! Client tokens and invocation ids: a retry gets the first answer, and nothing runs twice.

use crate::aws::{conforms, decode, error};
use crate::server::{KEY, Server};
use serde_json::json;
use std::time::Duration;

const TOKEN: &str = "0123456789abcdef0123456789abcdef-1";

#[tokio::test]
async fn the_same_token_gives_the_same_session() {
    let server = Server::new().await;
    let start = || server.start_session(json!({ "name": "a", "clientToken": TOKEN })).send();
    let (first, second, third) = tokio::join!(start(), start(), start());
    let first = conforms("StartCodeInterpreterSession", &first);
    assert_eq!(first, conforms("StartCodeInterpreterSession", &second));
    assert_eq!(first, conforms("StartCodeInterpreterSession", &third));
    assert_eq!(server.backend.counts().starts, 1);
    // The order of members and the spelling of the identifier are not parameters.
    let arn = "arn%3Aaws%3Abedrock-agentcore%3Aus-west-2%3Aaws%3Acode-interpreter%2Faws.codeinterpreter.v1";
    let body = format!(r#"{{"clientToken":"{TOKEN}","sessionTimeoutSeconds":null,"name":"a"}}"#);
    let again = server
        .request("PUT", &format!("/code-interpreters/{arn}/sessions/start"))
        .raw_json(body)
        .send()
        .await;
    assert_eq!(conforms("StartCodeInterpreterSession", &again)["sessionId"], first["sessionId"]);
}

#[tokio::test]
async fn the_same_token_with_other_parameters_is_refused() {
    let server = Server::new().await;
    server.start_session(json!({ "name": "a", "clientToken": TOKEN })).send().await;
    let answer = server.start_session(json!({ "name": "b", "clientToken": TOKEN })).send().await;
    assert_eq!(error("ValidationException", &answer)["reason"], "IdempotentParameterMismatchException");
    // Tokens belong to an interpreter.
    let other = server.request("PUT", "/code-interpreters/other-abcdefghij/sessions/start");
    conforms(
        "StartCodeInterpreterSession",
        &other.json(json!({ "name": "b", "clientToken": TOKEN })).send().await,
    );
}

#[tokio::test]
async fn retries_of_one_call_run_its_code_once_and_get_the_same_bytes() {
    let server = Server::new().await;
    let id = server.aws_session().await;
    let call = || {
        let call = server.invoke(&id, "executeCode", json!({ "code": "sleep 0.2\nprint once" }));
        call.header("amz-sdk-invocation-id", "5b0b2a5e-0000-4000-8000-000000000000").send()
    };
    let (first, second, third) = tokio::join!(call(), call(), call());
    let later = call().await;
    assert_eq!(decode(&first.body)[0].json()["structuredContent"]["stdout"], "once");
    for other in [second, third, later] {
        assert_eq!(first.body, other.body);
    }
    assert_eq!(server.backend.counts().runs, 1);
}

#[tokio::test]
async fn an_invocation_id_with_other_arguments_is_refused() {
    let server = Server::new().await;
    let id = server.aws_session().await;
    let call = |code: &str| {
        server
            .invoke(&id, "executeCode", json!({ "code": code }))
            .header("amz-sdk-invocation-id", "an-id")
            .send()
    };
    call("print a").await;
    let answer = call("print b").await;
    assert_eq!(error("ValidationException", &answer)["reason"], "IdempotentParameterMismatchException");
    assert_eq!(server.backend.counts().runs, 1);
}

#[tokio::test]
async fn a_client_that_goes_away_finds_the_answer_when_it_comes_back() {
    let server = Server::new().await;
    let id = server.aws_session().await;
    let call = || {
        let call = server.invoke(&id, "executeCode", json!({ "code": "sleep 0.5\nset x 1\nprint done" }));
        call.header("amz-sdk-invocation-id", "left-and-returned")
    };
    let gone = tokio::spawn(call().send());
    while server.backend.counts().runs == 0 {
        tokio::task::yield_now().await;
    }
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    let answer = call().send().await;
    assert_eq!(decode(&answer.body)[0].json()["structuredContent"]["stdout"], "done");
    assert_eq!(server.backend.counts().runs, 1);
    assert_eq!(server.run(&id, "get x").await["structuredContent"]["stdout"], "1");
}

#[tokio::test]
async fn the_second_call_without_an_id_runs_again() {
    let server = Server::new().await;
    let id = server.aws_session().await;
    for _ in 0..2 {
        server.run(&id, "print x").await;
    }
    assert_eq!(server.backend.counts().runs, 2);
}

#[tokio::test]
async fn calls_of_one_session_wait_for_each_other_and_all_are_answered() {
    let server = Server::new().await;
    let id = server.aws_session().await;
    let calls: Vec<_> = (0..8)
        .map(|n| {
            tokio::spawn(
                server.invoke(&id, "executeCode", json!({ "code": format!("sleep 0.02\nprint {n}") })).send(),
            )
        })
        .collect();
    for (n, call) in calls.into_iter().enumerate() {
        let answer = tokio::time::timeout(Duration::from_secs(10), call).await.unwrap().unwrap();
        assert_eq!(decode(&answer.body)[0].json()["structuredContent"]["stdout"], n.to_string());
    }
    assert_eq!(server.backend.counts().most_at_once, 1);
}

#[tokio::test]
async fn an_endless_invocation_id_is_refused() {
    let server = Server::new().await;
    let id = server.aws_session().await;
    let call = server.request("POST", &format!("/code-interpreters/{KEY}/tools/invoke"));
    let call = call
        .header("x-amzn-code-interpreter-session-id", &id)
        .header("amz-sdk-invocation-id", &"x".repeat(500));
    let answer = call.json(json!({ "name": "listFiles" })).send().await;
    error("ValidationException", &answer);
}
