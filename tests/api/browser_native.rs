//! Browser sessions over the native door: start, detail, page actions, files, the stream's status.

use crate::server::{Answer, Server};
use serde_json::{Value, json};

impl Server {
    pub async fn native_browser(&self, browser: Value) -> String {
        let answer = self.request("POST", "/v1/sessions").json(json!({ "browser": browser })).send().await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    pub async fn perform(&self, id: &str, body: Value) -> Answer {
        self.request("POST", &format!("/v1/sessions/{id}/actions")).json(body).send().await
    }
}

fn names(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 400, "{answer:?}");
    let body = answer.json();
    let fields = body["error"]["fields"].as_array().unwrap().clone();
    fields.iter().map(|field| field["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_browser_is_started_looked_at_listed_and_stopped() {
    let server = Server::new().await;
    let id = server.native_browser(json!({ "viewport": { "width": 800, "height": 600 } })).await;
    let detail = server.get(&format!("/v1/sessions/{id}")).send().await.json();
    assert_eq!((&detail["kind"], &detail["timeout"]), (&json!("browser"), &json!(3600)));
    let browser = &detail["browser"];
    assert_eq!((&browser["viewport"]["width"], &browser["stream"]), (&json!(800), &json!("enabled")));
    assert_eq!(browser["engine"]["product"], "TestDouble/1.0");
    assert!(browser["automation"].as_str().unwrap().starts_with("ws://"), "{browser}");
    assert!(detail["walls"]["isolation"].is_string());
    let listed = server.get("/v1/sessions").send().await.json();
    assert_eq!(
        (&listed["sessions"][0]["id"], &listed["sessions"][0]["kind"]),
        (&json!(id), &json!("browser"))
    );
    let stopped = server.request("DELETE", &format!("/v1/sessions/{id}")).send().await.json();
    assert_eq!((&stopped["status"], &stopped["ended"]), (&json!("terminated"), &json!("stopped")));
    let detail = server.get(&format!("/v1/sessions/{id}")).send().await.json();
    assert_eq!(detail.get("browser"), None);
}

#[tokio::test]
async fn who_names_a_browser_gets_one_and_who_asks_an_interpreter_for_one_does_not() {
    let server = Server::new().await;
    let named =
        server.request("POST", "/v1/sessions").json(json!({ "interpreter": "mine-abcdefghij" })).send().await;
    assert_eq!((named.status.as_u16(), &named.json()["kind"]), (201, &json!("browser")));
    let body = json!({ "interpreter": "aws.codeinterpreter.v1", "browser": {} });
    assert_eq!(server.request("POST", "/v1/sessions").json(body).send().await.status, 404);
    let wrong = json!({ "browser": { "viewport": { "width": 1, "height": 600, "depth": 24 }, "proxies": [{ "server": "a b" }],
        "bypass": ["http://x"], "sandbox": false } });
    let mut names = names(&server.request("POST", "/v1/sessions").json(wrong).send().await);
    names.sort();
    let wanted = [
        "browser.bypass",
        "browser.proxies[0].port",
        "browser.proxies[0].server",
        "browser.sandbox",
        "browser.viewport.depth",
        "browser.viewport.width",
    ];
    assert_eq!(names, wanted);
}

#[tokio::test]
async fn page_actions_run_in_order_and_stop_at_the_first_that_fails() {
    let server = Server::new().await;
    let id = server.native_browser(json!({})).await;
    let answer = server
        .perform(
            &id,
            json!({ "actions": [
                { "navigate": { "url": "https://example.com/" } },
                { "type": { "selector": "#q", "text": "Grüße 日本" }, "extract": {} },
                { "screenshot": {} },
                { "screenshot": { "path": "shots/a.png" } },
                { "click": { "selector": "#missing" } },
                { "back": {} },
            ]}),
        )
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let body = answer.json();
    let results = body["results"].as_array().unwrap();
    let done: Vec<_> = results.iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(done, ["navigate", "type", "extract", "screenshot", "screenshot", "click"]);
    assert_eq!(results[0]["value"]["status"], 200);
    assert_eq!(results[2]["text"], "https://example.com/ Grüße 日本");
    assert_eq!(results[3]["mimeType"], "image/png");
    assert!(results[3]["data"].as_str().unwrap().starts_with("iVBOR"));
    assert_eq!((results[4].get("data"), &results[4]["file"]["path"]), (None, &json!("shots/a.png")));
    assert_eq!(results[4]["file"]["url"], format!("/v1/sessions/{id}/files/shots/a.png"));
    let failed =
        json!({ "index": 5, "action": "click", "code": "not_found", "message": "there is no such element" });
    assert_eq!(body["failed"], failed);
    assert_eq!(server.browsers.counts().steps, done, "nothing after the failure");
}

#[tokio::test]
async fn a_request_with_a_mistake_does_nothing() {
    let server = Server::new().await;
    let id = server.native_browser(json!({})).await;
    let body = json!({ "actions": [{ "navigate": { "url": "https://example.com/" } }, { "clik": {} }], "timeout": 0 });
    assert_eq!(names(&server.perform(&id, body).await), ["actions[1].clik", "timeout"]);
    assert!(server.browsers.counts().steps.is_empty());
}

#[tokio::test]
async fn the_time_of_a_list_is_bounded_by_the_request() {
    let server = Server::new().await;
    let id = server.native_browser(json!({})).await;
    let body = json!({ "actions": [{ "click": { "selector": "#hang" } }, { "back": {} }], "timeout": 0.05 });
    let answer = server.perform(&id, body).await.json();
    assert_eq!((&answer["failed"]["code"], &answer["failed"]["index"]), (&json!("timeout"), &json!(0)));
}

#[tokio::test]
async fn the_path_of_the_streams_update_takes_page_actions_too() {
    let server = Server::new().await;
    let id = server.browser_session().await;
    let path = format!("/browsers/aws.browser.v1/sessions/streams/update?sessionId={id}");
    let body = json!({ "action": { "navigate": { "url": "https://example.com/" }, "click": { "selector": "#a" },
        "type": { "selector": "#a", "text": "x" } } });
    let answer = server.request("PUT", &path).json(body).send().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(server.browsers.counts().steps, ["navigate", "click", "type"]);
    assert_eq!((&answer.json()["sessionId"], &answer.json()["failed"]), (&json!(id), &Value::Null));
    let wrong = server.request("PUT", &path).json(json!({ "action": { "dance": {} } })).send().await;
    assert_eq!(crate::aws::fields(&wrong), ["action.dance"]);
}

#[tokio::test]
async fn sessions_of_one_kind_do_not_take_calls_of_the_other() {
    let server = Server::new().await;
    let (code, browser) = (server.session().await, server.native_browser(json!({})).await);
    let answer = server.perform(&code, json!({ "actions": [{ "back": {} }] })).await;
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("runs code and has no browser"), "{answer:?}");
    let run =
        server.request("POST", &format!("/v1/sessions/{browser}/invoke")).json(json!({ "code": "print 1" }));
    let answer = run.send().await;
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("is a browser and runs no code"), "{answer:?}");
    let unknown = server.perform("7ZQK4T2XJ5W8M3N6P9R1V0B4CD", json!({ "actions": [{ "back": {} }] })).await;
    assert_eq!(unknown.status, 404);
}

#[tokio::test]
async fn a_browser_sessions_files_are_reached_like_any_others() {
    let server = Server::new().await;
    let id = server.native_browser(json!({})).await;
    let file = format!("/v1/sessions/{id}/files/up/a.txt");
    assert_eq!(server.request("PUT", &file).body("hello").send().await.status, 200);
    assert_eq!(server.get(&file).send().await.text(), "hello");
    let listed = server.get(&format!("/v1/sessions/{id}/files?path=up")).send().await.json();
    assert_eq!(listed["entries"][0]["name"], "a.txt");
    assert_eq!(server.request("DELETE", &file).send().await.status, 204);
    assert_eq!(server.get(&file).send().await.status, 404);
}

#[tokio::test]
async fn the_stream_is_closed_and_opened_over_this_door_as_well() {
    let server = Server::new().await;
    let id = server.native_browser(json!({})).await;
    let path = format!("/v1/sessions/{id}/stream");
    for status in ["disabled", "enabled"] {
        let answer = server.request("PUT", &path).json(json!({ "status": status })).send().await;
        assert_eq!(answer.json(), json!({ "status": status }));
    }
    assert_eq!(names(&server.request("PUT", &path).json(json!({})).send().await), ["status"]);
}
