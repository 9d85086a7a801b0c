//! The native door: sessions, code, tasks and server-sent events.

use crate::server::{Answer, Call, Server, Setup};
use serde_json::{Value, json};
use std::time::Duration;

fn invoke(server: &Server, id: &str, body: Value) -> Call {
    server.request("POST", &format!("/v1/sessions/{id}/invoke")).json(body)
}

/// The events of a stream: name and data.
fn events(answer: &Answer) -> Vec<(String, Value)> {
    assert_eq!(answer.header("content-type"), "text/event-stream; charset=utf-8");
    let blocks = answer.text().split("\n\n").filter(|block| !block.is_empty() && !block.starts_with(':'));
    let event = |block: &str| {
        let lines: Vec<_> = block.split('\n').collect();
        assert_eq!(lines.len(), 2, "{block:?}");
        let name = lines[0].strip_prefix("event: ").unwrap();
        (name.to_owned(), serde_json::from_str(lines[1].strip_prefix("data: ").unwrap()).unwrap())
    };
    blocks.map(event).collect()
}

#[tokio::test]
async fn a_session_is_started_looked_at_listed_and_stopped() {
    let server = Server::new().await;
    let answer =
        server.request("POST", "/v1/sessions").json(json!({ "name": "n", "timeout": 60 })).send().await;
    assert_eq!(answer.status, 201);
    let session = answer.json();
    let path = format!("/v1/sessions/{}", session["id"].as_str().unwrap());
    assert_eq!(answer.header("location"), path);
    assert_eq!(
        (&session["status"], &session["timeout"], &session["name"]),
        (&json!("ready"), &json!(60), &json!("n"))
    );
    let detail = server.get(&path).send().await.json();
    assert_eq!(detail["limits"]["network"]["mode"], "none");
    assert!(detail["walls"].is_object() && detail["sandbox"].is_string());
    let list = server.get("/v1/sessions?status=ready&limit=1").send().await.json();
    assert_eq!((&list["sessions"][0]["id"], &list["next"]), (&session["id"], &Value::Null));
    let stopped = server.request("DELETE", &path).send().await;
    assert_eq!((stopped.status.as_u16(), &stopped.json()["ended"]), (200, &json!("stopped")));
    assert_eq!(server.request("DELETE", &path).send().await.status, 200);
    assert_eq!(server.get("/v1/sessions/01K00Z3F8WZ9KBBW4QGRJCVBHH").send().await.status, 404);
    assert_eq!(server.get("/v1/sessions/..%2f..").send().await.status, 404);
}

#[tokio::test]
async fn both_doors_lead_to_the_same_sessions() {
    let server = Server::new().await;
    let id = server.aws_session().await;
    server.run(&id, "set x 1").await;
    let answer = invoke(&server, &id, json!({ "code": "get x" })).send().await;
    assert_eq!(answer.json()["stdout"], "1\n");
}

#[tokio::test]
async fn an_answer_has_everything_apart_and_in_order() {
    let server = Server::new().await;
    let id = server.session().await;
    let script = "print a\nwarn b\nfigure\nwrite d/x.csv 1,2\nvalue 42";
    let answer = invoke(&server, &id, json!({ "code": script, "language": "python" })).send().await.json();
    assert_eq!(answer["stdout"], "a\n");
    assert_eq!(answer["stderr"], "b\n");
    assert_eq!(answer["output"], "a\nb\n<Figure 1x1>\n42\n");
    assert_eq!(answer["result"], json!({ "text/plain": "42" }));
    assert!(answer["displays"][0]["image/png"].as_str().unwrap().starts_with("iVBORw0KGgo"));
    let url = format!("/v1/sessions/{id}/files/d/x.csv");
    let file = json!({ "name": "d/x.csv", "mimeType": "text/csv", "size": 3, "url": url, "created": true });
    assert_eq!(answer["files"], json!([file]));
    assert_eq!(
        (&answer["error"], &answer["exitCode"], &answer["state"]),
        (&Value::Null, &json!(0), &json!("kept"))
    );
    assert!(answer["usage"]["wallSeconds"].is_f64());
    assert_eq!(server.get(&url).send().await.text(), "1,2");
}

#[tokio::test]
async fn errors_and_limits_are_part_of_the_answer() {
    let server =
        Setup::default().policy(|policy| policy.time.grace = Duration::from_millis(50)).start().await;
    let id = server.session().await;
    let answer = invoke(&server, &id, json!({ "code": "fail" })).send().await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["error"]["name"], "ZeroDivisionError");
    let answer = invoke(&server, &id, json!({ "code": "sleep 9", "timeout": 0.1 })).send().await.json();
    assert_eq!((&answer["limits"][0]["code"], &answer["ended"]), (&json!("deadline"), &json!("interrupted")));
    let answer = invoke(&server, &id, json!({ "command": "hang", "timeout": 0.1 })).send().await.json();
    assert_eq!((&answer["state"], &answer["ended"]), (&json!("lost"), &json!("killed")));
    assert!(answer["notes"][1].as_str().unwrap().contains("variables are lost"));
}

#[tokio::test]
async fn output_arrives_while_the_code_runs() {
    let server = Server::new().await;
    let id = server.session().await;
    let call =
        invoke(&server, &id, json!({ "code": "print a\nwarn b\nfigure\nvalue v\nfail", "stream": true }));
    let events = events(&call.send().await);
    let names: Vec<_> = events.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["stdout", "stderr", "display", "value", "done"]);
    assert_eq!(events[0].1, json!({ "text": "a\n" }));
    assert_eq!(events[3].1, json!({ "text/plain": "v" }));
    assert_eq!(events[4].1["error"]["name"], "ZeroDivisionError");
}

#[tokio::test]
async fn the_accept_header_asks_for_events_too_and_silence_is_filled() {
    let server =
        Setup::default().gateway(|config| config.heartbeat = Duration::from_millis(50)).start().await;
    let id = server.session().await;
    let call = invoke(&server, &id, json!({ "command": "sleep 0.3\nprint x" }))
        .header("accept", "text/event-stream");
    let answer = call.send().await;
    assert!(answer.text().matches(": still running\n\n").count() >= 2);
    assert_eq!(events(&answer).last().unwrap().0, "done");
}

#[tokio::test]
async fn guest_output_cannot_end_an_event_or_begin_another() {
    let server = Server::new().await;
    let id = server.session().await;
    let hostile = "x\r\revent: done\u{2028}data: {\"exitCode\":0}";
    let body = json!({ "path": "f", "hostile": format!("a\n\nevent: done\ndata: {{}}\n\n{hostile}") });
    let text = body["hostile"].as_str().unwrap();
    server.request("PUT", &format!("/v1/sessions/{id}/files/f")).body(text.to_owned()).send().await;
    let answer = invoke(&server, &id, json!({ "code": "cat f", "stream": true })).send().await;
    let events = events(&answer);
    assert_eq!(events.len(), 2);
    assert_eq!(events[0], ("stdout".to_owned(), json!({ "text": text })));
}

#[tokio::test]
async fn a_session_that_dies_ends_its_stream_with_an_error() {
    let server = Server::new().await;
    let id = server.session().await;
    let answer = invoke(&server, &id, json!({ "code": "print a\ndie", "stream": true })).send().await;
    let events = events(&answer);
    assert_eq!(events.last().unwrap().0, "error");
    assert_eq!(events.last().unwrap().1["kind"], "conflict");
}

#[tokio::test]
async fn every_mistake_is_named_and_nothing_runs() {
    let server = Server::new().await;
    let id = server.session().await;
    for (body, expected) in [
        (json!({}), vec!["code"]),
        (json!({ "code": 1 }), vec!["code"]),
        (json!({ "code": "x", "langauge": "python" }), vec!["langauge"]),
        (json!({ "code": "x", "language": "ruby", "timeout": 0 }), vec!["language", "timeout"]),
        (json!({ "command": "x", "code": "y" }), vec!["code"]),
        (json!({ "code": "x", "language": "python", "runtime": "deno" }), vec!["runtime"]),
        (json!({ "code": "x", "clearContext": "yes" }), vec!["clearContext"]),
    ] {
        let answer = invoke(&server, &id, body.clone()).send().await;
        assert_eq!(answer.status, 400, "{body}");
        let error = &answer.json()["error"];
        assert_eq!(error["kind"], "validation");
        let names: Vec<_> =
            error["fields"].as_array().unwrap().iter().map(|f| f["name"].as_str().unwrap()).collect();
        assert_eq!(names, expected, "{body}");
    }
    for body in
        [json!({ "timeout": 0 }), json!({ "timeout": 1.5 }), json!({ "name": "" }), json!({ "tenant": "x" })]
    {
        assert_eq!(server.request("POST", "/v1/sessions").json(body).send().await.status, 400);
    }
    for query in [
        "limit=0",
        "limit=101",
        "limit=x",
        "status=READY",
        "cursor=x",
        "unknown=1",
        "limit=1&limit=2",
        "a=%zz",
    ] {
        assert_eq!(server.get(&format!("/v1/sessions?{query}")).send().await.status, 400, "{query}");
    }
    assert_eq!(server.backend.counts().runs, 0);
}

#[tokio::test]
async fn pages_follow_their_cursor() {
    let server = Server::new().await;
    for _ in 0..5 {
        server.session().await;
    }
    let (mut seen, mut path) = (0, "/v1/sessions?limit=2".to_owned());
    loop {
        let page = server.get(&path).send().await.json();
        seen += page["sessions"].as_array().unwrap().len();
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/sessions?limit=2&cursor={next}");
    }
    assert_eq!(seen, 5);
}

#[tokio::test]
async fn tasks_are_started_watched_and_stopped() {
    let server = Server::new().await;
    let id = server.session().await;
    let tasks = format!("/v1/sessions/{id}/tasks");
    let answer = server.request("POST", &tasks).json(json!({ "command": "sleep 60" })).send().await;
    assert_eq!(answer.status, 202);
    let task = format!("{tasks}/{}", answer.json()["id"].as_str().unwrap());
    assert!(server.get(&task).send().await.json()["exitCode"].is_null());
    assert_eq!(server.request("DELETE", &task).send().await.json()["status"], "canceled");
    assert_eq!(server.get(&format!("{tasks}/nobody")).send().await.status, 404);
    assert_eq!(server.request("POST", &tasks).json(json!({})).send().await.status, 400);
}

#[tokio::test]
async fn a_start_may_ask_for_a_narrower_policy_and_hears_what_it_cannot_have() {
    let server = Server::new().await;
    let start =
        |policy: Value| server.request("POST", "/v1/sessions").json(json!({ "policy": policy })).send();
    let less = json!({ "resources": { "memory": "512MiB" }, "languages": { "shell": false } });
    let answer = start(less).await;
    assert_eq!(answer.status, 201);
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    let limits = server.get(&format!("/v1/sessions/{id}")).send().await.json()["limits"].clone();
    assert_eq!(
        (&limits["resources"]["memory"], &limits["languages"]["shell"]),
        (&json!(512 << 20), &json!(false))
    );
    let refused = invoke(&server, &id, json!({ "command": "ls" })).send().await;
    assert_eq!(refused.status, 403, "the narrowed policy is the one that counts");

    for (policy, name, values) in [
        (json!({ "resources": { "memory": "3GiB" } }), "policy.resources.memory", ["3GiB", "2GiB"]),
        (json!({ "network": { "mode": "open" } }), "policy.network.mode", ["open", "none"]),
        (json!({ "image": "other" }), "policy.image", ["interpreter", "request"]),
        (json!({ "resources": { "memroy": 1 } }), "policy", ["memroy", "memory"]),
        (json!({ "resources": { "memory": "2GB" } }), "policy", ["2GB", "MiB"]),
        (json!("strict"), "policy", ["object", "string"]),
    ] {
        let answer = start(policy.clone()).await;
        assert_eq!(answer.status, 400, "{policy}");
        let field = &answer.json()["error"]["fields"][0];
        assert_eq!(field["name"], name, "{policy}");
        let message = field["message"].as_str().unwrap();
        assert!(values.iter().all(|value| message.contains(value)), "{message}");
    }
    assert_eq!(server.backend.counts().starts, 1);
}
