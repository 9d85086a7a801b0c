//! Copies and kept states of a session over the native door, and what a client hears where there are none.

use crate::server::{Answer, BROWSER, Server, Setup, WASM};
use cloister_core::backend::StartError;
use cloister_core::policy::Snapshots;
use cloister_core::{Principal, SessionId};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::sleep;

/// A session that nobody has.
const NOBODY: &str = "01K00Z3F8WZ9KBBW4QGRJCVBHH";

impl Server {
    async fn copyable(&self) -> String {
        let answer = self.request("POST", "/v1/sessions").json(json!({ "interpreter": WASM })).send().await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    async fn post(&self, id: &str, what: &str, body: Value) -> Answer {
        self.request("POST", &format!("/v1/sessions/{id}/{what}")).json(body).send().await
    }

    /// What code prints, which must end well.
    async fn prints(&self, id: &str, code: &str) -> String {
        let answer = self.post(id, "invoke", json!({ "code": code })).await.json();
        assert_eq!(answer["exitCode"], 0, "{answer}");
        answer["stdout"].as_str().unwrap().to_owned()
    }

    /// Starts a call that takes its time, and waits until it runs.
    async fn busy(&self, id: &str) {
        let call = self.request("POST", &format!("/v1/sessions/{id}/invoke"));
        let call = call.json(json!({ "code": "print up\nsleep 60", "stream": true }));
        let mut response = call.open().await;
        let begun = http_body_util::BodyExt::frame(response.body_mut()).await.unwrap().unwrap();
        assert!(begun.into_data().unwrap().starts_with(b"event: stdout"));
    }
}

#[track_caller]
fn refused(answer: &Answer, status: u16, kind: &str, says: &str) {
    let error = &answer.json()["error"];
    assert_eq!((answer.status.as_u16(), error["kind"].as_str()), (status, Some(kind)), "{answer:?}");
    assert!(error["message"].as_str().unwrap().contains(says), "{answer:?}");
}

#[tokio::test]
async fn a_fork_has_what_the_original_had_and_goes_its_own_way() {
    let server = Server::new().await;
    let id = server.copyable().await;
    server.prints(&id, "set x 1\nwrite d/a.txt before").await;
    let answer = server.post(&id, "fork", json!({ "name": "what if", "timeout": 60 })).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let copy = answer.json();
    let new = copy["id"].as_str().unwrap();
    assert_ne!(new, id);
    assert_eq!(answer.header("location"), format!("/v1/sessions/{new}"));
    for (member, value) in [
        ("interpreter", json!(WASM)),
        ("policy", json!("wasm")),
        ("tier", json!("wasm")),
        ("name", json!("what if")),
        ("timeout", json!(60)),
        ("status", json!("ready")),
    ] {
        assert_eq!(copy[member], value, "{member}");
    }
    assert_eq!(server.prints(new, "get x\ncat d/a.txt").await, "1\nbefore");
    server.prints(new, "set x 2\nwrite d/a.txt after").await;
    assert_eq!(server.prints(&id, "get x\ncat d/a.txt").await, "1\nbefore");
    // Each ends for itself.
    assert_eq!(server.request("DELETE", &format!("/v1/sessions/{id}")).send().await.status, 200);
    assert_eq!(server.prints(new, "get x").await, "2\n");
    assert_eq!(server.wasm.counts().live, 1);
}

#[tokio::test]
async fn a_fork_needs_no_body() {
    let server = Server::new().await;
    let id = server.copyable().await;
    let answer = server.request("POST", &format!("/v1/sessions/{id}/fork")).send().await;
    assert_eq!((answer.status.as_u16(), &answer.json()["name"]), (201, &Value::Null));
}

#[tokio::test]
async fn a_client_token_makes_one_fork_of_several() {
    let server = Server::new().await;
    let (id, other) = (server.copyable().await, server.copyable().await);
    let fork = json!({ "name": "n", "clientToken": "once" });
    let (one, two) =
        tokio::join!(server.post(&id, "fork", fork.clone()), server.post(&id, "fork", fork.clone()));
    assert_eq!(one.json()["id"], two.json()["id"]);
    assert_eq!(server.wasm.counts().starts, 3);
    let again = json!({ "name": "another", "clientToken": "once" });
    refused(&server.post(&id, "fork", again).await, 400, "validation", "other parameters");
    refused(&server.post(&other, "fork", fork.clone()).await, 400, "validation", "other parameters");
    // Who lost the answer hears it again, although the original has ended.
    server.request("DELETE", &format!("/v1/sessions/{id}")).send().await;
    let late = server.post(&id, "fork", fork).await;
    assert_eq!((late.status.as_u16(), &late.json()["id"]), (201, &one.json()["id"]));
    let fresh = json!({ "clientToken": "too late" });
    refused(&server.post(&id, "fork", fresh).await, 404, "not_found", "was stopped");
    assert_eq!(server.wasm.counts().starts, 3);
}

#[tokio::test]
async fn a_checkpoint_is_come_back_to_as_often_as_one_likes() {
    let server = Server::new().await;
    let id = server.copyable().await;
    server.prints(&id, "set x 1\nwrite a.txt one").await;
    let kept = server.post(&id, "checkpoint", json!({})).await;
    assert_eq!(kept.status, 200, "{kept:?}");
    let kept = kept.json();
    assert!(kept["bytes"].as_u64().unwrap() > 0, "{kept}");
    for _ in 0..2 {
        server.prints(&id, "set x 2\nwrite a.txt two\nwrite b.txt new").await;
        let body = json!({ "checkpoint": kept["checkpoint"] });
        let back = server.post(&id, "restore", body).await;
        assert_eq!((back.status.as_u16(), &back.json()["checkpoint"]), (200, &kept["checkpoint"]));
        assert_eq!(server.prints(&id, "get x\ncat a.txt").await, "1\none");
        assert_eq!(server.get(&format!("/v1/sessions/{id}/files/b.txt")).send().await.status, 404);
    }
}

#[tokio::test]
async fn one_call_can_be_undone_and_no_second_one() {
    let server = Server::new().await;
    let id = server.copyable().await;
    refused(&server.post(&id, "restore", json!({})).await, 409, "conflict", "no call to undo");
    server.prints(&id, "set x 1").await;
    server.prints(&id, "set x 2").await;
    let undone = server.post(&id, "restore", json!({})).await;
    assert_eq!((undone.status.as_u16(), &undone.json()["checkpoint"]), (200, &json!("previous")));
    assert_eq!(server.prints(&id, "get x").await, "1\n");
    let again = server.request("POST", &format!("/v1/sessions/{id}/restore")).send().await;
    assert_eq!(again.status, 200, "the call that looked is a call too, and a body is not needed: {again:?}");
    refused(&server.post(&id, "restore", json!({})).await, 409, "conflict", "no call to undo");
}

#[tokio::test]
async fn a_call_that_had_to_be_killed_is_undone_and_the_answer_says_so() {
    let fast = |policy: &mut cloister_core::policy::Policy| policy.time.grace = Duration::from_millis(50);
    let server = Setup::default().wasm_policy(fast).start().await;
    let id = server.copyable().await;
    server.prints(&id, "set x 1").await;
    let answer = server.post(&id, "invoke", json!({ "code": "set x 2\nhang", "timeout": 0.1 })).await.json();
    assert_eq!((&answer["ended"], &answer["state"]), (&json!("killed"), &json!("restored")), "{answer}");
    assert!(answer["notes"][1].as_str().unwrap().contains("has been undone"), "{answer}");
    assert_eq!(server.prints(&id, "get x").await, "1\n");
}

#[tokio::test]
async fn atomic_calls_leave_nothing_when_they_fail_and_without_snapshots_nothing_can_be_undone() {
    let server = Setup::default().wasm_policy(|policy| policy.snapshots = Snapshots::Atomic).start().await;
    let id = server.copyable().await;
    server.prints(&id, "set x 1").await;
    let answer = server.post(&id, "invoke", json!({ "code": "set x 2\nwrite a.txt b\nfail" })).await.json();
    assert_eq!(
        (&answer["error"]["name"], &answer["state"]),
        (&json!("ZeroDivisionError"), &json!("restored"))
    );
    assert_eq!(server.prints(&id, "get x").await, "1\n");
    assert_eq!(server.get(&format!("/v1/sessions/{id}/files/a.txt")).send().await.status, 404);

    let server = Setup::default().wasm_policy(|policy| policy.snapshots = Snapshots::None).start().await;
    let id = server.copyable().await;
    server.prints(&id, "set x 1").await;
    refused(&server.post(&id, "restore", json!({})).await, 409, "conflict", "no call to undo");
    assert_eq!(server.prints(&id, "get x").await, "1\n");
}

#[tokio::test]
async fn while_a_call_runs_there_is_nothing_to_copy_keep_or_undo() {
    let server = Server::new().await;
    let id = server.copyable().await;
    server.busy(&id).await;
    for (what, body) in [
        ("fork", json!({})),
        ("checkpoint", json!({})),
        ("restore", json!({})),
        ("restore", json!({ "checkpoint": "checkpoint-1" })),
    ] {
        refused(&server.post(&id, what, body).await, 409, "conflict", "a call");
    }
    assert_eq!(server.wasm.counts().live, 1);
    // And the failed fork has left no record.
    let list = server.get("/v1/sessions").send().await.json();
    assert_eq!(list["sessions"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_client_that_has_its_answer_never_hears_that_the_call_still_runs() {
    let server = Server::new().await;
    let id = server.copyable().await;
    for round in 0..50 {
        server.prints(&id, &format!("set x {round}")).await;
        for (what, expected) in [("checkpoint", 200), ("fork", 201), ("restore", 200)] {
            let answer = server.post(&id, what, json!({})).await;
            assert_eq!(answer.status.as_u16(), expected, "round {round}: {what}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn other_tiers_name_themselves() {
    let server = Server::new().await;
    let id = server.session().await;
    for what in ["fork", "checkpoint", "restore"] {
        refused(&server.post(&id, what, json!({})).await, 400, "validation", "process tier");
    }
    // The session is fine, and nothing is left of the copy.
    assert_eq!(server.prints(&id, "print x").await, "x\n");
    assert_eq!(server.backend.counts().live, 1);
    let browser = server.request("POST", "/v1/sessions").json(json!({ "interpreter": BROWSER })).send().await;
    let browser = browser.json()["id"].as_str().unwrap().to_owned();
    for what in ["fork", "checkpoint", "restore"] {
        refused(&server.post(&browser, what, json!({})).await, 400, "validation", "is a browser");
    }
}

#[tokio::test]
async fn a_tier_without_room_throttles() {
    let server = Server::new().await;
    let id = server.copyable().await;
    server.wasm.fail_next_start(StartError::Full("every engine is full".into()));
    refused(&server.post(&id, "fork", json!({})).await, 429, "throttled", "full");
    assert_eq!(server.post(&id, "fork", json!({})).await.status, 201);
}

#[tokio::test]
async fn a_full_server_makes_no_fork() {
    let server = Setup::default().manager(|config| config.max_sessions = 1).start().await;
    let id = server.copyable().await;
    refused(&server.post(&id, "fork", json!({})).await, 402, "quota_exceeded", "in use");
}

#[tokio::test]
async fn what_is_not_there_is_not_found_whoever_it_belongs_to() {
    let server = Server::new().await;
    let stranger = Principal { tenant: "local".into(), name: "stranger".into() };
    let start = cloister_core::session::StartSession {
        interpreter: WASM.into(),
        key: WASM.into(),
        ..Default::default()
    };
    let theirs = server.manager.start(&stranger, start).await.unwrap().id;
    for what in ["fork", "checkpoint", "restore"] {
        let unknown = server.post(NOBODY, what, json!({})).await;
        let foreign = server.post(theirs.as_str(), what, json!({})).await;
        refused(&unknown, 404, "not_found", "no such session");
        // The same words but for the id that was asked for.
        assert_eq!(foreign.text().replace(theirs.as_str(), NOBODY), unknown.text());
        assert_eq!(server.post("..%2f..", what, json!({})).await.status, 404);
    }
    assert_eq!(server.wasm.counts().starts, 1);
    let id = server.copyable().await;
    let gone = json!({ "checkpoint": "checkpoint-7" });
    refused(&server.post(&id, "restore", gone).await, 404, "not_found", "no such checkpoint");
    server.request("DELETE", &format!("/v1/sessions/{id}")).send().await;
    for what in ["fork", "checkpoint", "restore"] {
        refused(&server.post(&id, what, json!({})).await, 404, "not_found", "was stopped");
    }
}

#[tokio::test]
async fn a_copy_keeps_the_policy_of_its_original_when_the_interpreter_gets_another() {
    let server = Server::new().await;
    let id = server.copyable().await;
    let other = cloister_core::policy::Policy {
        tier: "wasm".into(),
        ..cloister_core::policy::Policy::built_in("later")
    };
    server.manager.interpreters().replace([(WASM.to_owned(), std::sync::Arc::new(other))]);
    assert_eq!(server.post(&id, "fork", json!({})).await.json()["policy"], "wasm");
    let fresh = server.copyable().await;
    assert_eq!(server.get(&format!("/v1/sessions/{fresh}")).send().await.json()["policy"], "later");
}

#[tokio::test]
async fn every_mistake_in_a_body_is_named() {
    let server = Server::new().await;
    let id = server.copyable().await;
    for (what, body, expected) in [
        ("fork", json!({ "name": "", "timeout": 0 }), vec!["name", "timeout"]),
        ("fork", json!({ "interpreter": "other-abcdefghij" }), vec!["interpreter"]),
        ("fork", json!({ "timeout": 28_801, "clientToken": 7 }), vec!["timeout", "clientToken"]),
        ("checkpoint", json!({ "name": "mine" }), vec!["name"]),
        ("restore", json!({ "checkpoint": "" }), vec!["checkpoint"]),
        ("restore", json!({ "checkpoint": 1 }), vec!["checkpoint"]),
        ("restore", json!({ "checkpoint": "x".repeat(101) }), vec!["checkpoint"]),
        ("restore", json!({ "id": "checkpoint-1" }), vec!["id"]),
    ] {
        let answer = server.post(&id, what, body.clone()).await;
        refused(&answer, 400, "validation", "");
        let error = &answer.json()["error"];
        let fields = error["fields"].as_array().unwrap().iter();
        let names: Vec<_> = fields.map(|field| field["name"].as_str().unwrap()).collect();
        assert_eq!(names, expected, "{what} {body}");
    }
    for what in ["fork", "checkpoint", "restore"] {
        for body in ["[]", "7", "{", "{\"a\":1,\"a\":2}", "\u{0}"] {
            let call = server.request("POST", &format!("/v1/sessions/{id}/{what}")).raw_json(body);
            refused(&call.send().await, 400, "validation", "");
        }
        let form = server.request("POST", &format!("/v1/sessions/{id}/{what}"));
        let form = form.header("content-type", "text/plain").body("{}").send().await;
        assert!(form.status.is_client_error(), "{form:?}");
        assert_eq!(server.get(&format!("/v1/sessions/{id}/{what}")).send().await.status, 405);
    }
    assert_eq!(server.wasm.counts().starts, 1);
}

#[tokio::test]
async fn a_longer_life_than_the_policy_allows_is_refused() {
    let limit =
        |policy: &mut cloister_core::policy::Policy| policy.time.session_max = Duration::from_secs(900);
    let server = Setup::default().wasm_policy(limit).start().await;
    let start = json!({ "interpreter": WASM, "timeout": 900 });
    let id = server.request("POST", "/v1/sessions").json(start).send().await.json()["id"].clone();
    let id = id.as_str().unwrap();
    refused(&server.post(id, "fork", json!({ "timeout": 901 })).await, 400, "validation", "session_max");
}

#[tokio::test]
async fn a_tier_can_be_asked_for_and_every_answer_names_the_one_that_ran() {
    let server = Server::new().await;
    for tier in ["wasm", "process"] {
        let session = server.request("POST", "/v1/sessions").json(json!({ "tier": tier })).send().await;
        assert_eq!(session.status, 201, "{session:?}");
        let session = session.json();
        assert_eq!(session["tier"], tier);
        let id = session["id"].as_str().unwrap();
        let whole = server.post(id, "invoke", json!({ "code": "print x" })).await.json();
        assert_eq!(whole["tier"], tier);
        let streamed = server.post(id, "invoke", json!({ "code": "print x", "stream": true })).await;
        let done = streamed.text().split("event: done\ndata: ").nth(1).unwrap().to_owned();
        assert_eq!(serde_json::from_str::<Value>(&done).unwrap()["tier"], tier);
    }
    let browser =
        server.request("POST", "/v1/sessions").json(json!({ "tier": "browser" })).send().await.json();
    assert_eq!((&browser["kind"], &browser["interpreter"]), (&json!("browser"), &json!(BROWSER)));
    let unknown = server.request("POST", "/v1/sessions").json(json!({ "tier": "moon" })).send().await;
    refused(&unknown, 400, "validation", "browser, process, wasm");
    let both = json!({ "tier": "wasm", "interpreter": WASM });
    refused(
        &server.request("POST", "/v1/sessions").json(both).send().await,
        400,
        "validation",
        "does not go with",
    );
}

#[tokio::test]
async fn a_session_can_be_stopped_while_it_is_copied() {
    let server = Server::new().await;
    let id = server.copyable().await;
    server.wasm.set_start_delay(Duration::from_millis(300));
    let path = format!("/v1/sessions/{id}");
    let (fork, stopped) = tokio::join!(server.post(&id, "fork", json!({})), async {
        sleep(Duration::from_millis(100)).await;
        server.request("DELETE", &path).send().await
    });
    assert_eq!(stopped.status, 200);
    // Either it was quick enough or it says what has become of the original; nothing is left of a copy that was not made.
    let live = server.wasm.counts().live;
    match fork.status.as_u16() {
        201 => assert_eq!(live, 1),
        _ => assert_eq!((fork.status.is_server_error(), live), (false, 0), "{fork:?}"),
    }
    let id = SessionId::parse(&id).unwrap();
    assert!(server.manager.get(&Principal::local(), None, &id).await.unwrap().ended.is_some());
}
