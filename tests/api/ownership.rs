//! A foreign id and an unknown one are one thing, on every route that the OpenAPI document has, so that a new route cannot forget.
//!
//! ```text
//! /openapi.json ─▶ every method and path that names a session ─▶ as the owner:  what there is
//!                                                               as a stranger, the id:    ┐ the same answer but for the id
//!                                                               as a stranger, a made-up: ┘
//! ```

use crate::keys::{Key, TestKeys};
use crate::server::{Answer, BROWSER, Call, KEY, Server, Setup};
use cloister_gateway::Role;
use serde_json::{Value, json};

/// A session that nobody has; as long as a real id.
const NOBODYS: &str = "7ZZZZZZZZZZZZZZZZZZZZZZZZZ";

/// One request of the document, for one session.
struct Case {
    method: String,
    path: String,
    /// The operation names its session in a header.
    header: Option<&'static str>,
    body: Value,
    upgrade: bool,
}

impl Case {
    fn call(&self, server: &Server, key: &Key) -> Call {
        let mut call = server.request(&self.method, &self.path).header("authorization", &key.bearer());
        if let Some(name) = self.header {
            call = call.header(name, self.path.split("#").nth(1).unwrap_or_default());
        }
        if self.upgrade {
            return call
                .header("connection", "upgrade")
                .header("upgrade", "websocket")
                .header("sec-websocket-version", "13")
                .header("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA==");
        }
        if self.method == "GET" { call } else { call.json(self.body.clone()) }
    }
}

/// What a path needs in its body to get as far as the session.
fn body(method: &str, path: &str) -> Value {
    let rest = path.rsplit_once("Id}").or_else(|| path.rsplit_once("{id}")).map_or(path, |(_, rest)| rest);
    match (method, rest) {
        ("POST", "/invoke") => json!({ "code": "1" }),
        ("POST", "/actions") => json!({ "actions": [{ "navigate": { "url": "http://a.example/" } }] }),
        ("PUT", "/stream") => json!({ "status": "disabled" }),
        ("POST", "/tasks") => json!({ "command": "true" }),
        ("POST", "/live-view/control") => json!({ "take": true }),
        _ => json!({}),
    }
}

/// Every operation of the document that is about one session, with `id` for it. Fails for one that this test does not know how to
/// aim.
fn cases(document: &Value, id: &str, kind: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys().filter(|key| *key != "parameters" && *key != "head") {
            let method = method.to_uppercase();
            let filled = path
                .replace("{codeInterpreterIdentifier}", KEY)
                .replace("{browserIdentifier}", BROWSER)
                .replace("{browserId}", BROWSER)
                .replace("{task}", "t1")
                .replace("{n}", "0")
                .replace("{target}", "T1")
                .replace("{path}", "x.txt")
                .replace("{file}", "main.js")
                .replace("{denial}", "den_00000000000000000000000000")
                .replace("{id}", id)
                .replace("{sessionId}", id);
            assert!(!filled.contains('{'), "{path}: a parameter that this test does not know");
            let case = |path: String, body: Value| Case {
                method: method.clone(),
                path,
                header: None,
                body,
                upgrade: false,
            };
            if path.contains("{id}") || path.contains("{sessionId}") {
                let upgrade = path.ends_with("/automation")
                    || path.contains("/devtools/")
                    || path.ends_with("/live-view/stream");
                cases.push(Case { upgrade, ..case(filled, body(&method, path)) });
                continue;
            }
            // The AWS operations name it elsewhere.
            let (query, tail) = (format!("{filled}?sessionId={id}"), path.rsplit('/').next().unwrap());
            match (path.split('/').nth(1).unwrap(), tail) {
                ("code-interpreters" | "browsers", "get" | "stop") => cases.push(case(query, json!({}))),
                ("browsers", "update") => {
                    let update = json!({ "streamUpdate": { "automationStreamUpdate": { "streamStatus": "DISABLED" } } });
                    cases.push(case(query.clone(), update));
                    cases.push(case(
                        query,
                        json!({ "action": { "navigate": { "url": "http://a.example/" } } }),
                    ));
                }
                ("code-interpreters", "invoke") => {
                    let call =
                        json!({ "name": "executeCode", "arguments": { "code": "1", "language": "python" } });
                    let header = Some("x-amzn-code-interpreter-session-id");
                    cases.push(Case { header, ..case(format!("{filled}#{id}"), call) });
                }
                ("browsers", "invoke") => {
                    let call = json!({ "action": { "screenshot": {} } });
                    let header = Some("x-amzn-browser-session-id");
                    cases.push(Case { header, ..case(format!("{filled}#{id}"), call) });
                }
                // These make sessions or list one's own; the tests below hold the lists.
                ("code-interpreters" | "browsers", "start" | "list")
                | ("v1", "sessions" | "quotas" | "receipt-key") => {}
                // It names a denial; `audit.rs` holds whose that is.
                ("v1", "{denial}") => {}
                (
                    "" | "docs" | "openapi.json" | "version" | "healthz" | "livez" | "readyz" | "live-view",
                    _,
                ) => {}
                _ => panic!("{method} {path}: say here how it names a session, or that it names none"),
            }
        }
    }
    assert!(cases.len() > 20, "{kind}");
    cases
}

/// Everything of an answer that a client sees, with the session's id taken out.
fn seen(answer: &Answer, id: &str) -> (u16, Vec<(String, String)>, String) {
    let mut headers: Vec<_> = answer
        .headers
        .iter()
        .filter(|(name, _)| !["date", "x-amzn-requestid"].contains(&name.as_str()))
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().replace(id, "ID")))
        .collect();
    headers.sort();
    (answer.status.as_u16(), headers, String::from_utf8_lossy(&answer.body).replace(id, "ID"))
}

async fn start(server: &Server, key: &Key, body: Value) -> String {
    let call = server.request("POST", "/v1/sessions").header("authorization", &key.bearer()).json(body);
    let answer = call.send().await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()["id"].as_str().unwrap().to_owned()
}

async fn guarded() -> (Server, Key, Vec<Key>) {
    let keys = TestKeys::new();
    let owner = keys.issue("acme", "ann", &[Role::User]);
    // Of another tenant with the same name, of the same tenant, and one that decides about others.
    let strangers = vec![
        keys.issue("emca", "ann", &[Role::User]),
        keys.issue("acme", "bob", &[Role::User]),
        keys.issue("acme", "root", &[Role::Admin]),
    ];
    (Setup::default().keys(&keys).start().await, owner, strangers)
}

#[tokio::test]
async fn on_every_route_a_foreign_session_is_one_that_does_not_exist() {
    let (server, owner, strangers) = guarded().await;
    let document = server.get("/openapi.json").header("authorization", &owner.bearer()).send().await.json();
    for (kind, body) in [("code", json!({})), ("browser", json!({ "browser": {} }))] {
        let id = start(&server, &owner, body).await;
        let (code, browsers) = (server.backend.counts(), server.browsers.counts());
        let mut found = 0;
        for stranger in &strangers {
            let both = cases(&document, &id, kind).into_iter().zip(cases(&document, NOBODYS, kind));
            for (theirs, nobodys) in both {
                let foreign = seen(&theirs.call(&server, stranger).send().await, &id);
                let unknown = seen(&nobodys.call(&server, stranger).send().await, NOBODYS);
                assert_eq!(foreign, unknown, "{} {}", theirs.method, theirs.path);
                assert_eq!(foreign.0, 404, "{} {}: {foreign:?}", theirs.method, theirs.path);
                found += 1;
            }
        }
        assert!(found >= 3 * 30, "{found}");
        assert_eq!(
            (server.backend.counts(), server.browsers.counts()),
            (code, browsers),
            "nothing has happened to it"
        );
        let mine =
            server.get(&format!("/v1/sessions/{id}")).header("authorization", &owner.bearer()).send().await;
        assert_eq!((mine.status.as_u16(), &mine.json()["status"]), (200, &json!("ready")));
    }
}

#[tokio::test]
async fn lists_cursors_and_client_tokens_are_each_principals_own() {
    let (server, owner, strangers) = guarded().await;
    let stranger = &strangers[0];
    let token = "0123456789-0123456789-0123456789-012";
    let list = async |key: &Key, query: &str| {
        server.get(&format!("/v1/sessions{query}")).header("authorization", &key.bearer()).send().await
    };
    let mine = start(&server, &owner, json!({ "clientToken": token })).await;
    start(&server, &owner, json!({})).await;
    assert_eq!(start(&server, &owner, json!({ "clientToken": token })).await, mine);
    let theirs = start(&server, stranger, json!({ "clientToken": token })).await;
    assert_ne!(theirs, mine);
    let page = list(&owner, "?limit=1").await.json();
    let cursor = page["next"].as_str().unwrap();
    assert_eq!(list(&owner, &format!("?limit=1&cursor={cursor}")).await.status, 200);
    assert_eq!(list(stranger, &format!("?limit=1&cursor={cursor}")).await.status, 400);
    let ids = |answer: &Answer| {
        answer.json()["sessions"].as_array().unwrap().iter().map(|s| s["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&list(stranger, "").await), [json!(theirs)]);
    assert_eq!(ids(&list(&owner, "").await).len(), 2);
    assert_eq!(
        ids(&list(&strangers[2], "").await).len(),
        0,
        "deciding about others is not seeing what they do"
    );
}

#[tokio::test]
async fn no_route_is_answered_to_another_name_another_page_or_nobody() {
    let (server, owner, _) = guarded().await;
    let document = server.get("/openapi.json").header("authorization", &owner.bearer()).send().await.json();
    let id = start(&server, &owner, json!({ "browser": {} })).await;
    for case in cases(&document, &id, "browser") {
        let what = format!("{} {}", case.method, case.path);
        let rebound = case.call(&server, &owner).header("host", "rebound.example").send().await;
        assert_eq!(rebound.status, 421, "{what}");
        for origin in ["http://evil.example", "null"] {
            let answer = case.call(&server, &owner).header("origin", origin).send().await;
            assert_eq!(answer.status, 403, "{what} {origin}");
            assert!(
                answer.headers.keys().all(|name| !name.as_str().starts_with("access-control-")),
                "{what}"
            );
        }
        let mut nobody = case.call(&server, &owner);
        nobody.headers.retain(|(name, _)| name != "authorization");
        let nobody =
            nobody.header("cookie", &format!("token={}; session={}", owner.token, owner.token)).send().await;
        assert!([401, 403].contains(&nobody.status.as_u16()), "{what}: {nobody:?}");
        assert!(!nobody.headers.contains_key("set-cookie"), "{what}");
    }
}

/// API-04: without the comparison of owners the test above sees it.
#[cfg(debug_assertions)]
#[test]
fn without_the_owner_check_foreign_sessions_are_found() {
    let found = std::thread::spawn(|| {
        cloister_core::testing::leave_out_owner_check();
        on_every_route_a_foreign_session_is_one_that_does_not_exist();
    });
    assert!(found.join().is_err(), "nothing is noticed without the check");
}
