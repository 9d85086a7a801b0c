//! Recordings over both doors: who sees them, while the session lives and after, and when they go.

use crate::server::{BROWSER, Server, Setup};
use cloister_core::SessionId;
use cloister_core::recording::{RecordingSink, Recordings as _};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const JPEG: &[u8] = b"\xff\xd8\xff picture \xff\xd9";

/// A server whose browsers are recorded, and a session.
async fn recorded() -> (Server, SessionId, Arc<dyn RecordingSink>) {
    let server = Setup::default().browser_policy(|policy| policy.browser.recording = true).start().await;
    let (id, sink) = session(&server).await;
    (server, id, sink)
}

/// A session, and where the double of the browser would write.
async fn session(server: &Server) -> (SessionId, Arc<dyn RecordingSink>) {
    let answer = server.request("POST", "/v1/sessions").json(json!({ "browser": {} })).send().await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let id = SessionId::parse(answer.json()["id"].as_str().unwrap()).unwrap();
    let recording = server.browsers.last_spec().unwrap().recording.unwrap();
    assert_eq!(recording.bytes, 256 << 20);
    (id, recording.sink)
}

async fn got(server: &Server, id: &SessionId) -> Value {
    let path = format!("/browsers/{BROWSER}/sessions/get?sessionId={id}");
    server.get(&path).send().await.json()
}

#[tokio::test]
async fn a_recording_is_read_while_the_session_lives_and_after() {
    let (server, id, sink) = recorded().await;
    sink.frame(1000, 1, JPEG).unwrap();
    sink.line("{\"at\":1000,\"kind\":\"page\"}").unwrap();
    sink.line("{\"at\":1001,\"kind\":\"end\"}").unwrap();
    let root = format!("/v1/sessions/{id}/recording");
    for ended in [false, true] {
        if ended {
            assert_eq!(server.request("DELETE", &format!("/v1/sessions/{id}")).send().await.status, 200);
        }
        let list = server.get(&root).send().await.json();
        assert_eq!(list["frames"], json!([{ "at": 1000, "page": 1, "size": JPEG.len() }]));
        assert_eq!((list["full"].clone(), list["endedAt"].is_string()), (json!(false), ended));
        let picture = server.get(&format!("{root}/frames/0")).send().await;
        assert_eq!((picture.header("content-type"), &picture.body[..]), ("image/jpeg", JPEG));
        let events = server.get(&format!("{root}/events")).send().await.text().to_owned();
        assert_eq!(events.lines().count(), 2);
        let offset = events.find('\n').unwrap() + 1;
        let rest = server.get(&format!("{root}/events?offset={offset}")).send().await;
        assert_eq!(rest.text(), &events[offset..]);
        let artifact = got(&server, &id).await["sessionReplayArtifact"].as_str().unwrap().to_owned();
        assert!(artifact.ends_with(&root), "{artifact}");
    }
    for missing in ["frames/1", "frames/-1", "frames/x", "frames/99999999999999999999"] {
        assert_eq!(server.get(&format!("{root}/{missing}")).send().await.status, 404, "{missing}");
    }
    assert_eq!(server.get(&format!("{root}/events?offset=x")).send().await.status, 400);
}

#[tokio::test]
async fn a_session_that_is_not_recorded_has_no_recording() {
    let server = Setup::default().start().await;
    let answer = server.request("POST", "/v1/sessions").json(json!({ "browser": {} })).send().await;
    let id = SessionId::parse(answer.json()["id"].as_str().unwrap()).unwrap();
    assert!(server.browsers.last_spec().unwrap().recording.is_none());
    for rest in ["", "/events", "/frames/0"] {
        assert_eq!(server.get(&format!("/v1/sessions/{id}/recording{rest}")).send().await.status, 404);
    }
    assert_eq!(got(&server, &id).await.get("sessionReplayArtifact"), None);
}

#[tokio::test]
async fn the_live_view_of_an_ended_session_plays_its_recording() {
    let (server, id, sink) = recorded().await;
    sink.frame(1000, 1, JPEG).unwrap();
    let (other, _) = session(&server).await;
    let place = format!("/browser-streams/{BROWSER}/sessions/{id}/live-view");
    let live = server.get(&place).send().await;
    assert!(live.text().contains("data-stream=") && live.text().contains("/live-view/recording\""));
    let asked = server.get(&format!("{place}?show=recording")).send().await;
    assert!(asked.text().contains("/live-view/player.js"));
    server.request("DELETE", &format!("/v1/sessions/{id}")).send().await;
    let link =
        server.request("POST", &format!("/v1/sessions/{id}/live-view")).json(json!({ "role": "view" }));
    let link = link.send().await.json()["url"].as_str().unwrap().to_owned();
    let page = server.get(&link[link.find("/browser-streams").unwrap()..]).send().await;
    assert!(page.text().contains("/live-view/player.js"), "{page:?}");
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
    let access =
        page.text().split_once("data-access=\"").unwrap().1.split_once('"').unwrap().0.replace("&amp;", "&");
    let list = server.get(&format!("{place}/recording?{access}")).send().await.json();
    assert_eq!((list["frames"].as_array().unwrap().len(), list["access"].is_string()), (1, true));
    let picture = server.get(&format!("{place}/recording/frames/0?{access}")).send().await;
    assert_eq!(picture.body, JPEG);
    let elsewhere = place.replace(id.as_str(), other.as_str());
    assert_eq!(server.get(&format!("{elsewhere}/recording?{access}")).send().await.status, 403);
}

#[tokio::test]
async fn a_recording_goes_with_the_record_of_its_session() {
    let setup = Setup::default().browser_policy(|policy| policy.browser.recording = true);
    let server = setup.manager(|config| config.keep_records = Duration::ZERO).start().await;
    let (id, _) = session(&server).await;
    let (living, _) = session(&server).await;
    server.request("DELETE", &format!("/v1/sessions/{id}")).send().await;
    server.manager.prune().await.unwrap();
    assert_eq!(server.recordings.sessions().unwrap(), [living]);
}

#[tokio::test]
async fn a_browser_that_does_not_start_leaves_no_recording() {
    let server = Setup::default().browser_policy(|policy| policy.browser.recording = true).start().await;
    server.browsers.fail_next_start(cloister_core::backend::StartError::Step {
        step: "start".into(),
        source: std::io::Error::other("no"),
    });
    let answer = server.request("POST", "/v1/sessions").json(json!({ "browser": {} })).send().await;
    assert_eq!(answer.status, 500, "{answer:?}");
    assert_eq!(server.recordings.sessions().unwrap(), []);
}
