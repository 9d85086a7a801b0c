//! InvokeBrowser: actions by coordinates, their limits, their failures, and that a client's retry acts once.

use crate::aws::{conforms, error, fields};
use crate::server::{Answer, BROWSER, Call, Server};
use cloister_core::browser::{Action, Button};
use cloister_gateway::agentcore::{differences, model};
use serde_json::{Value, json};

impl Server {
    pub fn act(&self, id: &str, action: Value) -> Call {
        self.request("POST", &format!("/browsers/{BROWSER}/sessions/invoke"))
            .header("x-amzn-browser-session-id", id)
            .json(json!({ "action": action }))
    }
}

/// Holds an answer against the model; its session is in a header.
fn result(answer: &Answer, id: &str) -> Value {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("x-amzn-browser-session-id"), id);
    let body = answer.json();
    assert_eq!(differences(&model::BROWSER_ACTION_RESULT, body["result"].to_string().as_bytes()), [""; 0]);
    body["result"].clone()
}

#[tokio::test]
async fn every_action_is_carried_out_under_its_own_name() {
    let server = Server::new().await;
    let id = server.browser_session().await;
    for action in [
        json!({ "mouseClick": { "x": 1, "y": 2, "button": "RIGHT", "clickCount": 2 } }),
        json!({ "mouseMove": { "x": 1, "y": 2 } }),
        json!({ "mouseDrag": { "startX": 1, "startY": 2, "endX": 3, "endY": 4 } }),
        json!({ "mouseScroll": { "x": 1, "y": 2, "deltaY": -500 } }),
        json!({ "keyType": { "text": "日本語 ü" } }),
        json!({ "keyPress": { "key": "enter", "presses": 3 } }),
        json!({ "keyShortcut": { "keys": ["ctrl", "a"] } }),
    ] {
        let name = action.as_object().unwrap().keys().next().unwrap().clone();
        let result = result(&server.act(&id, action).send().await, &id);
        assert_eq!(result, json!({ name: { "status": "SUCCESS" } }));
    }
    let picture = result(&server.act(&id, json!({ "screenshot": { "format": "PNG" } })).send().await, &id);
    assert!(picture["screenshot"]["data"].as_str().unwrap().starts_with("iVBORw0KGgo"), "{picture}");
    let acted = server.browsers.counts().actions;
    assert_eq!(acted[0], Action::MouseClick { at: Some((1, 2)), button: Button::Right, count: 2 });
    assert_eq!(acted[4], Action::KeyType { text: "日本語 ü".into() });
    assert_eq!((acted.len(), &acted[7]), (8, &Action::Screenshot));
}

#[tokio::test]
async fn limits_of_actions_are_enforced_before_anything_is_done() {
    let server = Server::new().await;
    let id = server.browser_session().await;
    let long = "x".repeat(10_001);
    for (action, wanted) in [
        (json!({ "mouseClick": { "x": 1456, "y": -1 } }), vec!["action.mouseClick.x", "action.mouseClick.y"]),
        (json!({ "mouseMove": { "x": 1 } }), vec!["action.mouseMove.y"]),
        (json!({ "mouseClick": { "x": 1, "y": 1, "clickCount": 11 } }), vec!["action.mouseClick.clickCount"]),
        (json!({ "mouseClick": { "x": 1, "y": 1, "button": "left" } }), vec!["action.mouseClick.button"]),
        (json!({ "mouseScroll": { "x": 1, "y": 1, "deltaX": 1001 } }), vec!["action.mouseScroll.deltaX"]),
        (json!({ "keyType": { "text": long } }), vec!["action.keyType.text"]),
        (json!({ "keyPress": { "key": "a", "presses": 101 } }), vec!["action.keyPress.presses"]),
        (
            json!({ "keyShortcut": { "keys": ["a", "b", "c", "d", "e", "f"] } }),
            vec!["action.keyShortcut.keys"],
        ),
        (json!({ "screenshot": { "format": "JPEG" } }), vec!["action.screenshot.format"]),
        (json!({ "screenshot": {}, "mouseMove": { "x": 1, "y": 1 } }), vec!["action"]),
        (json!({}), vec!["action"]),
        (json!({ "dance": {} }), vec!["action.dance"]),
    ] {
        assert_eq!(fields(&server.act(&id, action.clone()).send().await), wanted, "{action}");
    }
    let key = fields(&server.act(&id, json!({ "keyPress": { "key": "nokey" } })).send().await);
    assert_eq!(key, ["action.keyPress.key"], "names of keys are the browser's to know");
    assert!(server.browsers.counts().actions.is_empty());
}

#[tokio::test]
async fn what_the_page_does_not_take_is_a_failed_result() {
    let server = Server::new().await;
    let id = server.browser_session().await;
    for text in ["fail", "slow"] {
        let result = result(&server.act(&id, json!({ "keyType": { "text": text } })).send().await, &id);
        assert_eq!(result["keyType"]["status"], "FAILED", "{text}");
        assert!(!result["keyType"]["error"].as_str().unwrap().is_empty());
    }
    let nonsense = server.act(&id, json!({ "keyType": { "text": "nonsense" } })).send().await;
    error("InternalServerException", &nonsense);
    assert!(!nonsense.text().contains("gibberish"), "what a browser says goes to the log");
}

#[tokio::test]
async fn a_retry_under_the_same_id_acts_once() {
    let server = Server::new().await;
    let id = server.browser_session().await;
    let click = |x| {
        let action = json!({ "mouseClick": { "x": x, "y": 1 } });
        server.act(&id, action).header("amz-sdk-invocation-id", "11111111-2222-3333-4444-555555555555")
    };
    let (first, again) = (click(1).send().await, click(1).send().await);
    assert_eq!(result(&first, &id), result(&again, &id));
    assert_eq!(server.browsers.counts().actions.len(), 1);
    let other = error("ValidationException", &click(2).send().await);
    assert_eq!(other["reason"], "IdempotentParameterMismatchException");
}

#[tokio::test]
async fn a_browser_that_ends_under_an_action_ends_its_session() {
    let server = Server::new().await;
    let id = server.browser_session().await;
    let gone = server.act(&id, json!({ "keyType": { "text": "die" } })).send().await;
    error("ResourceNotFoundException", &gone);
    let got = loop {
        let got = conforms("GetBrowserSession", &server.get_browser(&id).send().await);
        if got["status"] == "TERMINATED" {
            break got;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(got["sessionId"], id.as_str());
    error("ResourceNotFoundException", &server.act(&id, json!({ "screenshot": {} })).send().await);
}

#[tokio::test]
async fn an_action_that_hangs_keeps_no_other_from_running_and_ends_with_its_session() {
    let server = Server::new().await;
    let id = server.browser_session().await;
    let hanging = tokio::spawn(server.act(&id, json!({ "keyType": { "text": "hang" } })).send());
    while server.browsers.counts().actions.is_empty() {
        tokio::task::yield_now().await;
    }
    result(&server.act(&id, json!({ "screenshot": {} })).send().await, &id);
    server.stop_browser(&id).await;
    error("ResourceNotFoundException", &hanging.await.unwrap());
}

#[tokio::test]
async fn sessions_that_are_not_the_browsers_are_not_found() {
    let server = Server::new().await;
    let code = server.aws_session().await;
    for id in [code.as_str(), "7ZQK4T2XJ5W8M3N6P9R1V0B4CD"] {
        error("ResourceNotFoundException", &server.act(id, json!({ "screenshot": {} })).send().await);
    }
    let none = server
        .request("POST", &format!("/browsers/{BROWSER}/sessions/invoke"))
        .json(json!({ "action": { "screenshot": {} } }));
    assert_eq!(fields(&none.send().await), ["sessionId"]);
}
