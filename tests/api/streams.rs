//! Event streams that take long or are large.

use crate::aws::{decode, error};
use crate::server::{Server, Setup};
use http_body_util::BodyExt;
use serde_json::json;
use std::time::Duration;

fn impatient() -> Setup {
    Setup::default().gateway(|config| {
        config.first_byte = Duration::from_millis(50);
        config.heartbeat = Duration::from_millis(50);
    })
}

#[tokio::test]
async fn a_long_call_gets_its_head_early_heartbeats_and_one_result() {
    let server = impatient().start().await;
    let id = server.aws_session().await;
    let began = std::time::Instant::now();
    let response = server.invoke(&id, "executeCode", json!({ "code": "sleep 1\nprint late" })).open().await;
    assert!(began.elapsed() < Duration::from_millis(800), "the head must not wait for the call");
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["x-amzn-code-interpreter-session-id"], id.as_str());
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let messages = decode(&body);
    let (last, beats) = messages.split_last().unwrap();
    assert!(beats.len() >= 3, "{}", beats.len());
    assert!(
        beats
            .iter()
            .all(|m| (m.kind.as_str(), m.name.as_str()) == ("event", "heartbeat") && m.payload == "{}")
    );
    assert_eq!(last.name, "result");
    assert_eq!(last.json()["structuredContent"]["stdout"], "late");
}

#[tokio::test]
async fn an_error_after_the_first_heartbeat_is_an_exception_in_the_stream() {
    let server = impatient().start().await;
    let id = server.aws_session().await;
    let answer = server.invoke(&id, "executeCode", json!({ "code": "sleep 0.2\ndie" })).send().await;
    assert_eq!(answer.status, 200);
    let messages = decode(&answer.body);
    let last = messages.last().unwrap();
    assert_eq!((last.kind.as_str(), last.name.as_str()), ("exception", "conflictException"));
    assert!(last.json()["message"].as_str().unwrap().contains("ended while the call ran"));
}

#[tokio::test]
async fn an_error_before_the_first_heartbeat_has_a_status_of_its_own() {
    let server = Server::new().await;
    let id = server.aws_session().await;
    error(
        "ConflictException",
        &server.invoke(&id, "executeCode", json!({ "code": "sleep 0.1\ndie" })).send().await,
    );
}

#[tokio::test]
async fn a_client_that_stops_reading_a_stream_does_not_hold_the_session() {
    let server = impatient().start().await;
    let id = server.aws_session().await;
    let response = server.invoke(&id, "executeCode", json!({ "code": "sleep 0.3\nset x 1" })).open().await;
    drop(response);
    let got = server.invoke(&id, "executeCode", json!({ "code": "get x" })).send().await;
    assert_eq!(decode(&got.body).last().unwrap().json()["structuredContent"]["stdout"], "1");
}

#[tokio::test]
async fn a_result_above_24_mib_is_spread_over_events() {
    let server = Server::new().await;
    let id = server.aws_session().await;
    for name in ["a.bin", "b.bin"] {
        let path = format!("/v1/sessions/{id}/files/{name}");
        assert_eq!(server.request("PUT", &path).body(vec![7; 15 << 20]).send().await.status, 200);
    }
    let answer = server.invoke(&id, "readFiles", json!({ "paths": ["a.bin", "b.bin"] })).send().await;
    let messages = decode(&answer.body);
    assert_eq!(messages.len(), 2);
    for (message, name) in messages.iter().zip(["a.bin", "b.bin"]) {
        assert!(message.payload.len() <= 24 << 20);
        assert_eq!(message.json()["content"][0]["resource"]["uri"], format!("file:///{name}"));
    }
}

#[tokio::test]
async fn a_file_above_24_mib_is_refused_with_the_address_to_download_it_from() {
    let server =
        Setup::default().gateway(|config| config.public_url = "http://localhost:1234".into()).start().await;
    let id = server.aws_session().await;
    let path = format!("/v1/sessions/{id}/files/big.bin");
    assert_eq!(server.request("PUT", &path).body(vec![7; 20 << 20]).send().await.status, 200);
    let got = server.result(&id, "readFiles", json!({ "paths": ["big.bin"] })).await;
    assert_eq!(got["isError"], true);
    let text = got["content"][0]["text"].as_str().unwrap();
    assert!(text.contains(&format!("GET http://localhost:1234{path}")), "{text}");
    assert_eq!(server.get(&path).send().await.body.len(), 20 << 20);
}
