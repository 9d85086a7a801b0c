//! Quotas over both doors: what is refused, in which words, until when, and what a retry does not use.

use crate::keys::{Key, TestKeys};
use crate::server::{Answer, KEY, Server, Setup};
use cloister_core::quota::{Limits, Quotas};
use cloister_gateway::Role;
use serde_json::{Value, json};
use std::time::Duration;

/// A server whose principals have these limits, and two of one tenant and one of another.
async fn limited(setup: Setup, limits: Limits) -> (Server, [Key; 3]) {
    let keys = TestKeys::new();
    let people = [("acme", "ann"), ("acme", "bob"), ("emca", "ann")];
    let people = people.map(|(tenant, name)| keys.issue(tenant, name, &[Role::User]));
    let quotas = Quotas { each_principal: limits, ..Quotas::default() };
    let setup = setup.keys(&keys).manager(move |config| config.quotas = quotas);
    (setup.start().await, people)
}

async fn start(server: &Server, key: &Key, body: Value) -> Answer {
    let call = server.request("POST", "/v1/sessions").header("authorization", &key.bearer());
    call.json(body).send().await
}

async fn aws_start(server: &Server, key: &Key) -> Answer {
    let call = server.request("PUT", &format!("/code-interpreters/{KEY}/sessions/start"));
    call.header("authorization", &key.bearer()).json(json!({})).send().await
}

/// `executeCode` under an invocation id.
async fn run(server: &Server, key: &Key, id: &str, invocation: &str) -> Answer {
    let call = json!({ "name": "executeCode", "arguments": { "code": "print x", "language": "python" } });
    let request = server.request("POST", &format!("/code-interpreters/{KEY}/tools/invoke"));
    let request = request.header("authorization", &key.bearer()).header("amz-sdk-invocation-id", invocation);
    request.header("x-amzn-code-interpreter-session-id", id).json(call).send().await
}

/// What the server says that a caller has used, by whose quota it is.
async fn used(server: &Server, key: &Key, quota: &str) -> [Value; 2] {
    let answer = server.get("/v1/quotas").header("authorization", &key.bearer()).send().await.json();
    ["principal", "tenant"].map(|of| {
        let all = answer["quotas"].as_array().unwrap();
        let found = all.iter().find(|found| found["quota"] == quota && found["of"] == of);
        found.unwrap()["used"].clone()
    })
}

fn id(answer: &Answer) -> String {
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_session_above_the_quota_is_402_until_another_one_ends() {
    let limits = Limits { sessions: Some(1), ..Limits::default() };
    let (server, [ann, bob, _]) = limited(Setup::default(), limits).await;
    let first = id(&start(&server, &ann, json!({})).await);
    let native = start(&server, &ann, json!({})).await;
    assert_eq!((native.status.as_u16(), native.header("retry-after")), (402, ""));
    assert_eq!(native.json()["error"]["kind"], "quota_exceeded");
    for part in ["acme/ann has 1 live sessions", "quota is 1", "quotas.principal.sessions", "den_"] {
        assert!(native.text().contains(part), "{part}: {native:?}");
    }
    let aws = aws_start(&server, &ann).await;
    assert_eq!((aws.status.as_u16(), aws.header("x-amzn-errortype")), (402, "ServiceQuotaExceededException"));
    id(&start(&server, &bob, json!({})).await);
    assert_eq!(used(&server, &ann, "sessions").await, [json!(1), json!(2)]);
    let stop = server.request("DELETE", &format!("/v1/sessions/{first}"));
    assert_eq!(stop.header("authorization", &ann.bearer()).send().await.status, 200);
    id(&start(&server, &ann, json!({})).await);
}

#[tokio::test]
async fn starts_that_come_too_fast_are_429_with_the_time_to_wait_and_a_retry_is_no_start() {
    let limits = Limits { starts_per_minute: Some(2), ..Limits::default() };
    let (server, [ann, bob, _]) = limited(Setup::default(), limits).await;
    let token = json!({ "clientToken": "0123456789-0123456789-0123456789-012" });
    let first = id(&start(&server, &ann, token.clone()).await);
    for _ in 0..3 {
        assert_eq!(id(&start(&server, &ann, token.clone()).await), first);
    }
    id(&start(&server, &ann, json!({})).await);
    let native = start(&server, &ann, json!({})).await;
    let wait: u64 = native.header("retry-after").parse().unwrap();
    assert_eq!((native.status.as_u16(), (50..=60).contains(&wait)), (429, true), "{native:?}");
    assert!(native.text().contains(&format!("try again in {wait} s")), "{native:?}");
    let aws = aws_start(&server, &ann).await;
    assert_eq!((aws.status.as_u16(), aws.header("x-amzn-errortype")), (429, "ThrottlingException"));
    assert!(aws.header("retry-after").parse::<u64>().is_ok());
    assert_eq!(id(&start(&server, &ann, token).await), first, "also above the quota");
    id(&start(&server, &bob, json!({})).await);
    assert_eq!(used(&server, &ann, "starts_per_minute").await, [json!(2), json!(3)]);
    assert_eq!(server.backend.counts().starts, 3);
}

#[tokio::test]
async fn calls_above_the_quota_of_cpu_time_are_402_and_the_answer_of_a_call_that_ran_is_still_there() {
    let limits = Limits { cpu: Some(Duration::from_nanos(1)), ..Limits::default() };
    let (server, [ann, bob, _]) = limited(Setup::default(), limits).await;
    let session = id(&start(&server, &ann, json!({})).await);
    let first = run(&server, &ann, &session, "one").await;
    assert_eq!(first.status, 200, "{first:?}");
    let refused = run(&server, &ann, &session, "two").await;
    assert_eq!(
        (refused.status.as_u16(), refused.header("x-amzn-errortype")),
        (402, "ServiceQuotaExceededException")
    );
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((86_000..=86_400 + 300).contains(&wait), "{wait}");
    let again = run(&server, &ann, &session, "one").await;
    assert_eq!((again.status.as_u16(), again.body), (200, first.body), "it had run within the quota");
    let command = server.request("POST", &format!("/v1/sessions/{session}/invoke"));
    let command = command.header("authorization", &ann.bearer()).json(json!({ "command": "true" }));
    assert_eq!(command.send().await.status, 402);
    assert_eq!(start(&server, &ann, json!({})).await.status, 402);
    let files = server.get(&format!("/v1/sessions/{session}/files")).header("authorization", &ann.bearer());
    assert_eq!(files.send().await.status, 200, "one's files are one's own");
    id(&start(&server, &bob, json!({})).await);
}

#[tokio::test]
async fn recordings_above_the_quota_of_stored_bytes_are_402_and_count_as_they_are_once_they_are_made() {
    let limits = Limits { stored: Some(300 << 20), ..Limits::default() };
    let setup = Setup::default().browser_policy(|policy| policy.browser.recording = true);
    let (server, [ann, ..]) = limited(setup, limits).await;
    let first = id(&start(&server, &ann, json!({ "browser": {} })).await);
    assert_eq!(used(&server, &ann, "stored_bytes").await, [json!(256 << 20), json!(256 << 20)]);
    let refused = start(&server, &ann, json!({ "browser": {} })).await;
    assert_eq!(refused.status, 402, "{refused:?}");
    assert!(refused.text().contains("256") && refused.text().contains("300"), "{refused:?}");
    id(&start(&server, &ann, json!({})).await);
    let sink = server.browsers.last_spec().unwrap().recording.unwrap().sink;
    sink.line("{\"at\":1000,\"kind\":\"page\"}").unwrap();
    let stop = server.request("DELETE", &format!("/v1/sessions/{first}"));
    assert_eq!(stop.header("authorization", &ann.bearer()).send().await.status, 200);
    let small = used(&server, &ann, "stored_bytes").await[0].as_u64().unwrap();
    assert!((1..1000).contains(&small), "{small}");
    id(&start(&server, &ann, json!({ "browser": {} })).await);
}

#[tokio::test]
async fn everybody_sees_their_own_use_and_that_of_their_tenant_and_a_viewer_may_look() {
    let (server, [ann, bob, eve]) =
        limited(Setup::default(), Limits { sessions: Some(9), ..Limits::default() }).await;
    id(&start(&server, &bob, json!({})).await);
    assert_eq!(used(&server, &ann, "sessions").await, [json!(0), json!(1)]);
    assert_eq!(used(&server, &eve, "sessions").await, [json!(0), json!(0)]);
    let keys = TestKeys::new();
    let viewer = keys.issue("acme", "vic", &[Role::Viewer]);
    let server = Setup::default().keys(&keys).start().await;
    let answer = server.get("/v1/quotas").header("authorization", &viewer.bearer()).send().await;
    let shown = answer.json();
    assert_eq!((&shown["tenant"], &shown["name"]), (&json!("acme"), &json!("vic")));
    assert_eq!(shown["quotas"].as_array().unwrap().len(), 8);
    let sessions =
        json!({ "quota": "sessions", "of": "principal", "used": 0, "limit": 500, "windowSeconds": null });
    assert_eq!(shown["quotas"][0], sessions);
}
