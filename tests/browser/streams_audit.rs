//! What the real server's audit log has of CDP clients of a real browser: read from the file, line by line.

use crate::cdp_rig::PLENTY;
use cloister_tests::needs;
use cloister_tests::server::{Place, Server};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::Message;

type Socket = WebSocketStream<TcpStream>;

/// Lines of the log with this action, once there are as many as wanted.
fn lines(place: &Place, action: &str, wanted: usize) -> Vec<Value> {
    let file = place.path().join("audit/00000001.jsonl");
    let since = Instant::now();
    loop {
        let text = std::fs::read_to_string(&file).unwrap();
        let all = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let found: Vec<Value> = all.filter(|line| line["action"] == action).collect();
        if found.len() >= wanted {
            assert_eq!(found.len(), wanted, "{found:#?}");
            return found;
        }
        assert!(since.elapsed() < PLENTY, "{action}: {found:#?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

async fn connect(server: &Server, path: &str, token: &str) -> Result<Socket, String> {
    let address = server.address();
    let mut request = format!("ws://{address}{path}").into_client_request().unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    let stream = TcpStream::connect(address).await.unwrap();
    let connected = tokio_tungstenite::client_async(request, stream).await;
    connected.map(|(socket, _)| socket).map_err(|error| error.to_string())
}

/// A call to the browser, so that the connection is known to have been one.
async fn asked(socket: &mut Socket) {
    let message = json!({ "id": 1, "method": "Browser.getVersion" });
    socket.send(Message::text(message.to_string())).await.unwrap();
    let answer = tokio::time::timeout(PLENTY, socket.next()).await.unwrap().unwrap().unwrap();
    assert!(answer.to_text().unwrap().contains("product"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_log_has_every_cdp_client_who_it_was_whether_it_was_let_in_and_why_it_went() {
    let Some(place) = Place::with_keys() else { return };
    if !needs::image("headless-shell") {
        return;
    }
    let server = place.serve_with(0, &["--browser-pool", "0"]);
    let data = place.path().to_str().unwrap();
    let key = |name: &str, role: &str| {
        let words = ["token", "create", "--name", name, "--tenant", "acme", "--role", role];
        let made = place.command(&[&words[..], &["--json", "--data-dir", data]].concat());
        let made: Value = serde_json::from_slice(&made.stdout).unwrap();
        (made["id"].as_str().unwrap().to_owned(), made["token"].as_str().unwrap().to_owned())
    };
    let ((id, token), (_, viewer)) = (key("ann", "user"), key("ann", "viewer"));
    let bearer = format!("Bearer {token}");
    let asks = |method: &str, path: &str, body: Value| {
        server.request(method, path, &[("authorization", &bearer)], Some(body)).json()
    };
    let session = asks("POST", "/v1/sessions", json!({ "browser": {} }))["id"].as_str().unwrap().to_owned();
    let detail = asks("GET", &format!("/v1/sessions/{session}"), json!({}));
    let address = detail["browser"]["automation"].as_str().unwrap();
    // Without the query, which is a link and would speak for the caller.
    let path = address.splitn(4, '/').nth(3).unwrap().split('?').next().unwrap();
    let path = format!("/{path}");

    let mut first = connect(&server, &path, &token).await.unwrap();
    asked(&mut first).await;
    first.close(None).await.unwrap();
    let left = &lines(&place, "disconnect", 1)[0];

    let mut second = connect(&server, &path, &token).await.unwrap();
    asked(&mut second).await;
    asks("PUT", &format!("/v1/sessions/{session}/stream"), json!({ "status": "disabled" }));
    let closed = &lines(&place, "disconnect", 2)[1];
    let refused = connect(&server, &path, &token).await.unwrap_err();
    assert!(refused.contains("409"), "{refused}");
    // Whoever only looks is denied before the browser is asked, and that is on record as every denial.
    connect(&server, &path, &viewer).await.unwrap_err();
    asks("PUT", &format!("/v1/sessions/{session}/stream"), json!({ "status": "enabled" }));
    let mut third = connect(&server, &path, &token).await.unwrap();
    asked(&mut third).await;
    asks("DELETE", &format!("/v1/sessions/{session}"), json!({}));
    let ended = &lines(&place, "disconnect", 3)[2];

    let connects = lines(&place, "connect", 4);
    let decisions: Vec<_> = connects.iter().map(|line| line["decision"].as_str().unwrap()).collect();
    assert_eq!(decisions, ["allowed", "allowed", "denied", "allowed"]);
    for line in connects.iter().chain([left, closed, ended]) {
        assert_eq!(line["session"], session, "{line}");
        assert_eq!(line["actor"], json!({ "tenant": "acme", "name": "ann", "key": id, "method": "bearer" }));
        assert_eq!((&line["source"], &line["detail"]["client"]), (&"127.0.0.1".into(), &"driver".into()));
    }
    assert!(connects[2]["untrusted"]["why"].as_str().unwrap().contains("is disabled"), "{}", connects[2]);
    assert_eq!(connects[2]["outcome"], "failure");
    for (line, reason, why) in
        [(left, "left", ""), (closed, "closed", "disabled"), (ended, "closed", "the session was stopped")]
    {
        assert_eq!(line["detail"]["reason"], reason, "{line}");
        assert!(line["untrusted"]["why"].as_str().unwrap_or_default().contains(why), "{line}");
        assert!(line["detail"]["lasted_ms"].is_u64(), "{line}");
    }
    let denied = &lines(&place, "denied", 1)[0];
    assert_eq!(denied["actor"]["name"], "ann");
    drop(server);
    assert!(place.command(&["audit", "verify", "--data-dir", data]).status.success());
}
