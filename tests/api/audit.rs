//! What is on record: each start, stop, call and denial once, before its effect, with whoever did it.

use crate::keys::{Key, TestKeys};
use crate::server::{Call, KEY, Server, Setup};
use cloister_core::audit::{Action, Event, Method, Outcome, Resource};
use cloister_core::backend::StartError;
use cloister_core::denial::DenialId;
use cloister_gateway::Role;
use serde_json::{Value, json};

fn one(server: &Server, action: Action) -> Event {
    let mut events = server.audit.of(action);
    assert_eq!(events.len(), 1, "{action:?}: {events:#?}");
    events.remove(0)
}

fn as_key(call: Call, key: &Key) -> Call {
    call.header("authorization", &key.bearer())
}

#[tokio::test]
async fn each_start_call_and_stop_leaves_one_record_with_whoever_did_it() {
    let keys = TestKeys::new();
    let key = keys.issue("acme", "ann", &[Role::User]);
    let server = Setup::default().keys(&keys).start().await;
    let start = server.request("POST", "/v1/sessions").json(json!({ "name": "n\u{1b}[31m", "timeout": 60 }));
    let id = as_key(start, &key).send().await.json()["id"].as_str().unwrap().to_owned();
    let invoke = server.request("POST", &format!("/v1/sessions/{id}/invoke"));
    let answer = as_key(invoke.json(json!({ "code": "print a" })), &key).send().await.json();
    let stop = server.request("DELETE", &format!("/v1/sessions/{id}"));
    assert_eq!(as_key(stop, &key).send().await.status, 200);

    let actions = [
        Action::SessionStart,
        Action::SessionReady,
        Action::Call,
        Action::Receipt,
        Action::SessionStop,
        Action::SessionEnd,
    ];
    let found: Vec<_> = server.audit.events().iter().map(|event| event.action).collect();
    assert_eq!(found, actions, "in this order, each once");
    for event in server.audit.events() {
        assert_eq!(event.session.as_ref().unwrap().as_str(), id, "{event:?}");
        assert_eq!(event.policy.as_ref().unwrap().name, "default");
        let actor = event.actor.unwrap();
        assert_eq!((actor.principal.tenant.as_str(), actor.principal.name.as_str()), ("acme", "ann"));
        let asked = [Action::SessionStart, Action::Call, Action::SessionStop].contains(&event.action);
        assert_eq!(actor.method, if asked { Method::Bearer } else { Method::Session });
        assert_eq!(actor.key.is_some(), asked);
        assert_eq!(event.outcome, if asked { Outcome::Pending } else { Outcome::Success });
    }
    assert_eq!(one(&server, Action::SessionStart).resource, Some(Resource::Interpreter(KEY.into())));
    let call = one(&server, Action::Call);
    let text = format!("{:?}", call.detail);
    // The hash of the code, and none of the code.
    assert!(text.contains(&sha256("print a")) && !text.contains("print"), "{text}");
    assert_eq!(answer["receipt"]["payload"]["code_sha256"], sha256("print a"));
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_started_and_what_runs_can_be_stopped() {
    let server = Server::new().await;
    let id = server.session().await;
    server.audit.fail(true);
    let refused = server.request("POST", "/v1/sessions").send().await;
    assert_eq!(refused.status, 500);
    let text = refused.json()["error"]["message"].to_string();
    assert!(text.contains("audit log cannot be written"), "{text}");
    assert_eq!(server.backend.counts().starts, 1, "the backend has not heard of it");
    let list = server.get("/v1/sessions").send().await.json();
    assert_eq!(list["sessions"].as_array().unwrap().len(), 1, "and there is no record of a session");
    assert_eq!(server.request("DELETE", &format!("/v1/sessions/{id}")).send().await.status, 200);
    server.audit.fail(false);
    server.session().await;
}

#[tokio::test]
async fn a_denial_has_one_id_in_the_answer_in_the_record_and_for_whoever_was_denied() {
    let keys = TestKeys::new();
    let (ann, bob) = (keys.issue("acme", "ann", &[Role::User]), keys.issue("acme", "bob", &[Role::Admin]));
    let server = Setup::default().keys(&keys).policy(|policy| policy.languages.shell = false).start().await;
    let start = as_key(server.request("POST", "/v1/sessions"), &ann).send().await;
    let id = start.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/sessions/{id}/invoke");
    let run = || as_key(server.request("POST", &path).json(json!({ "command": "id" })), &ann).send();

    let answer = run().await;
    assert_eq!(answer.status, 403);
    let error = &answer.json()["error"];
    let denial = &error["denial"];
    let den = denial["id"].as_str().unwrap().to_owned();
    assert!(DenialId::parse(&den).is_some());
    assert_eq!((&denial["layer"], &denial["rule"]), (&json!("policy"), &json!("languages.shell")));
    let message = error["message"].as_str().unwrap();
    for part in ["cloister", "languages.shell", &den, "ask whoever runs"] {
        assert!(message.contains(part), "{part} is missing in {message}");
    }
    let record = one(&server, Action::Denied);
    assert_eq!(record.denial.unwrap().as_str(), den);
    assert_eq!(record.actor.unwrap().principal.name, "ann");

    let aws = server
        .request("POST", &format!("/code-interpreters/{KEY}/tools/invoke"))
        .header("x-amzn-code-interpreter-session-id", &id)
        .json(json!({ "name": "executeCommand", "arguments": { "command": "id" } }));
    let aws = as_key(aws, &ann).send().await;
    assert_eq!(aws.status, 403);
    assert!(aws.text().contains(&den), "the same refusal has the same id on the other door: {}", aws.text());
    assert_eq!(one(&server, Action::Denied).session.unwrap().as_str(), id);

    let look = |key: &Key, id: &str| as_key(server.get(&format!("/v1/denials/{id}")), key).send();
    let found = look(&ann, &den).await;
    assert_eq!((found.status.as_u16(), &found.json()), (200, denial));
    let unknown = DenialId::random().unwrap();
    let (foreign, unknown) = (look(&bob, &den).await, look(&bob, unknown.as_str()).await);
    assert_eq!((foreign.status.as_u16(), foreign.body), (404, unknown.body));
    assert_eq!(look(&ann, "..%2f..%2fetc").await.status, 404);
    assert_eq!(server.audit.of(Action::Call).len(), 0, "nothing of it was a call");
}

#[tokio::test]
async fn a_receipt_says_what_was_used_and_names_what_was_not_measured() {
    let server = Server::new().await;
    let id = server.session().await;
    let invoke = |body: Value| server.request("POST", &format!("/v1/sessions/{id}/invoke")).json(body);
    let answer = invoke(json!({ "code": "print abc\nwarn d\nwrite x.csv 1,2" })).send().await.json();
    let payload = &answer["receipt"]["payload"];
    for (name, value) in [
        ("session", json!(id)),
        ("call", json!(0)),
        ("tool", json!("executeCode")),
        ("language", json!("python")),
        ("tier", json!("process")),
        ("ended", json!("completed")),
        ("exit_code", json!(0)),
        ("stdout_bytes", json!(4)),
        ("stderr_bytes", json!(2)),
        ("limits", json!([])),
    ] {
        assert_eq!(payload[name], value, "{name}");
    }
    assert_eq!(payload["files"][0]["path"], "x.csv");
    let unmeasured: Vec<_> = payload["unmeasured"].as_array().unwrap().iter().collect();
    for name in ["bytes_read", "bytes_written"] {
        assert!(unmeasured.contains(&&json!(name)) && payload.get(name).is_none(), "{name}");
    }
    // As output arrives, it comes with the end.
    let stream = invoke(json!({ "code": "print a", "stream": true })).send().await;
    let done = stream.text().split("event: done\ndata: ").nth(1).unwrap();
    let done: Value = serde_json::from_str(done.trim()).unwrap();
    assert_eq!(done["receipt"]["payload"]["call"], 1);
    assert_eq!(server.audit.of(Action::Receipt).len(), 2);
}

#[tokio::test]
async fn a_start_that_fails_is_on_record_with_its_end() {
    let server = Server::new().await;
    server.backend.fail_next_start(StartError::Full("no room".into()));
    assert_ne!(server.request("POST", "/v1/sessions").send().await.status, 201);
    let found: Vec<_> = server.audit.events().iter().map(|event| event.action).collect();
    assert_eq!(found, [Action::SessionStart, Action::SessionEnd]);
    assert_eq!(one(&server, Action::SessionEnd).outcome, Outcome::Failure);
}

fn sha256(text: &str) -> String {
    use sha2::{Digest as _, Sha256};
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}
