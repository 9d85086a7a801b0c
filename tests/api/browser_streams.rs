//! CDP over WebSockets: who is let in, what goes through, and how a connection ends.

use crate::server::{Answer, BROWSER, Call, Server, Setup};
use cloister_core::audit::{Action, Decision, Key, Outcome};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message, client::IntoClientRequest as _};

/// A CDP client.
struct Client {
    socket: WebSocketStream<TcpStream>,
}

impl Client {
    async fn connect(server: &Server, id: &str) -> Self {
        Self::to(server, &automation(id)).await
    }

    async fn to(server: &Server, path: &str) -> Self {
        let request = format!("ws://{}{path}", server.address).into_client_request().unwrap();
        let stream = TcpStream::connect(server.address).await.unwrap();
        let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
        let (socket, _) =
            tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await.unwrap();
        Self { socket }
    }

    async fn say(&mut self, message: Value) {
        self.socket.send(Message::text(message.to_string())).await.unwrap();
    }

    /// The next text; pings are answered on the way.
    async fn hear(&mut self) -> Value {
        loop {
            match self.socket.next().await.unwrap().unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    async fn ask(&mut self, message: Value) -> Value {
        self.say(message).await;
        self.hear().await
    }

    /// Code and reason of the close that comes now.
    async fn closed(&mut self) -> (u16, String) {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Close(Some(CloseFrame { code, reason })))) => {
                    return (code.into(), reason.to_string());
                }
                Some(Ok(_)) => {}
                other => panic!("no close frame: {other:?}"),
            }
        }
    }
}

fn automation(id: &str) -> String {
    format!("/browser-streams/{BROWSER}/sessions/{id}/automation")
}

/// An upgrade as a plain request, for those that are refused.
fn upgrade(server: &Server, path: &str) -> Call {
    server
        .get(path)
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
}

fn refused(answer: &Answer, status: u16, name: &str) {
    assert_eq!((answer.status.as_u16(), answer.header("x-amzn-errortype")), (status, name), "{answer:?}");
}

async fn until(what: impl Fn() -> bool) {
    while !what() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn messages_go_through_in_both_directions_and_in_order() {
    let server = Server::new().await;
    let id = server.browser_session().await;
    let mut client = Client::connect(&server, &id).await;
    let version = client.ask(json!({ "id": 1, "method": "Browser.getVersion" })).await;
    assert_eq!((&version["id"], &version["result"]["product"]), (&json!(1), &json!("TestDouble/1.0")));
    for number in 0..200 {
        client.say(json!({ "id": number })).await;
    }
    for number in 0..200 {
        assert_eq!(client.hear().await["echo"]["id"], number);
    }
}

#[tokio::test]
async fn a_message_of_many_megabytes_goes_through_and_comes_back() {
    let server = Server::new().await;
    let id = server.browser_session().await;
    let mut client = Client::connect(&server, &id).await;
    let large = json!({ "id": 1, "text": "ü".repeat(16 << 20) });
    let length = large.to_string().len();
    let answer = client.ask(large).await;
    assert_eq!(answer["length"], length);
    assert_eq!(answer["echo"]["text"].as_str().unwrap().len(), 32 << 20);
}

#[tokio::test]
async fn a_message_above_the_limit_closes_the_connection_with_the_reason() {
    let server = Server::new().await;
    let id = server.browser_session().await;
    let mut client = Client::connect(&server, &id).await;
    // The head alone says how large it will be; the rest is never taken.
    let sent = client.socket.send(Message::text("x".repeat((64 << 20) + 1))).await;
    match sent {
        Ok(()) => assert_eq!(client.closed().await.0, 1009),
        // Closed while it was still sending.
        Err(error) => assert!(matches!(error, Error::Io(_) | Error::ConnectionClosed), "{error:?}"),
    }
    let mut other = Client::connect(&server, &id).await;
    other.ask(json!({ "id": 2 })).await;
}

#[tokio::test]
async fn several_clients_are_served_at_once_and_one_that_leaves_takes_nobody_along() {
    let server = Server::new().await;
    let id = server.browser_session().await;
    let (mut a, mut b) = (Client::connect(&server, &id).await, Client::connect(&server, &id).await);
    a.ask(json!({ "id": 1 })).await;
    b.ask(json!({ "id": 1 })).await;
    assert_eq!(server.browsers.counts().clients, 2);
    a.socket.close(None).await.unwrap();
    until(|| server.browsers.counts().clients == 1).await;
    b.ask(json!({ "id": 2 })).await;
    drop(b);
    until(|| server.browsers.counts().clients == 0).await;
    let mut again = Client::connect(&server, &id).await;
    again.ask(json!({ "id": 3 })).await;
}

#[tokio::test]
async fn a_client_that_only_reads_gets_everything_and_one_that_reads_late_too() {
    let server = Server::new().await;
    let id = server.browser_session().await;
    let mut client = Client::connect(&server, &id).await;
    client.say(json!({ "method": "Test.flood", "params": { "messages": 20_000 } })).await;
    for number in 0..20_000 {
        assert_eq!(client.hear().await["params"]["number"], number);
    }
}

#[tokio::test]
async fn one_page_is_a_root_of_its_own_and_an_unknown_one_is_not_found() {
    let server = Server::new().await;
    let id = server.browser_session().await;
    let page = |target: &str| format!("{}/devtools/page/{target}", automation(&id));
    let mut client = Client::to(&server, &page("page-1")).await;
    assert_eq!(client.ask(json!({ "id": 1 })).await["root"], "page-1");
    refused(&upgrade(&server, &page("page-2")).send().await, 404, "ResourceNotFoundException");
}

#[tokio::test]
async fn clients_that_are_given_an_http_url_find_the_websocket() {
    let server = Server::new().await;
    let id = server.browser_session().await;
    let ws = format!("ws://{}{}", server.address, automation(&id));
    for path in ["/json/version", "/json/version/"] {
        let version = server.get(&format!("{}{path}", automation(&id))).send().await.json();
        assert_eq!(
            (&version["webSocketDebuggerUrl"], &version["Protocol-Version"]),
            (&json!(ws), &json!("1.3"))
        );
    }
    let list = server.get(&format!("{}/json/list", automation(&id))).send().await.json();
    assert_eq!(list[0]["webSocketDebuggerUrl"], format!("{ws}/devtools/page/page-1"));
    let protocol = server.get(&format!("{}/json/protocol", automation(&id))).send().await;
    refused(&protocol, 501, "UnknownOperationException");
}

#[tokio::test]
async fn an_arn_names_the_browser_of_a_stream_as_well() {
    let server = Server::new().await;
    let id = server.browser_session().await;
    let arn = "arn%3Aaws%3Abedrock-agentcore%3Aus-west-2%3Aaws%3Abrowser%2Faws.browser.v1";
    let mut client = Client::to(&server, &automation(&id).replace(BROWSER, arn)).await;
    client.ask(json!({ "id": 1 })).await;
}

#[tokio::test]
async fn whoever_is_not_let_in_hears_why_before_anything_is_a_websocket() {
    let server = Server::new().await;
    let (id, code) = (server.browser_session().await, server.aws_session().await);
    for other in ["7ZQK4T2XJ5W8M3N6P9R1V0B4CD", "not-an-id", &code] {
        let answer = upgrade(&server, &automation(other)).send().await;
        refused(&answer, 404, "ResourceNotFoundException");
        assert!(answer.text().contains("Required resources not found for session"), "{answer:?}");
    }
    let of_another = automation(&id).replace(BROWSER, "mine-abcdefghij");
    refused(&upgrade(&server, &of_another).send().await, 404, "ResourceNotFoundException");
    refused(&server.get(&automation(&id)).send().await, 426, "ValidationException");
    refused(
        &server.request("POST", &automation(&id)).json(json!({})).send().await,
        405,
        "ValidationException",
    );
    server.stop_browser(&id).await;
    let ended = upgrade(&server, &automation(&id)).send().await;
    refused(&ended, 404, "ResourceNotFoundException");
    assert!(ended.text().contains("has ended"), "{ended:?}");
}

#[tokio::test]
async fn a_web_page_of_another_origin_gets_no_websocket() {
    let server = Server::new().await;
    let id = server.browser_session().await;
    for (name, value) in
        [("origin", "http://evil.example"), ("origin", "null"), ("sec-fetch-site", "cross-site")]
    {
        let answer = upgrade(&server, &automation(&id)).header(name, value).send().await;
        refused(&answer, 403, "AccessDeniedException");
    }
    let rebound = upgrade(&server, &automation(&id)).header("host", "evil.example").send().await;
    refused(&rebound, 421, "AccessDeniedException");
    assert_eq!(server.browsers.counts().clients, 0);
}

#[tokio::test]
async fn a_server_that_requires_a_token_requires_it_of_websockets_too() {
    let server = Setup::default().token("secret").start().await;
    let start = server.start_browser(json!({})).header("authorization", "Bearer secret").send().await;
    let id = start.json()["sessionId"].as_str().unwrap().to_owned();
    refused(&upgrade(&server, &automation(&id)).send().await, 403, "AccessDeniedException");
    let good = upgrade(&server, &automation(&id)).header("authorization", "Bearer secret").open().await;
    assert_eq!(good.status(), 101);
}

#[tokio::test]
async fn disabling_the_stream_closes_clients_and_refuses_new_ones_until_it_is_enabled() {
    let server = Server::new().await;
    let id = server.browser_session().await;
    let mut client = Client::connect(&server, &id).await;
    client.ask(json!({ "id": 1 })).await;
    server.set_stream(&id, "DISABLED").await;
    let (code, reason) = client.closed().await;
    assert!(code == 1008 && reason.contains("disabled"), "{code} {reason}");
    refused(&upgrade(&server, &automation(&id)).send().await, 409, "ConflictException");
    server.set_stream(&id, "ENABLED").await;
    let mut client = Client::connect(&server, &id).await;
    client.ask(json!({ "id": 2 })).await;
}

#[tokio::test]
async fn each_connection_is_on_record_with_who_had_it_and_why_it_ended_and_each_refusal_with_its_reason() {
    let server = Server::new().await;
    let id = server.browser_session().await;
    let of = |action| server.audit.of(action);
    let mut client = Client::connect(&server, &id).await;
    client.ask(json!({ "id": 1 })).await;
    let connected = of(Action::Connect).remove(0);
    assert_eq!(connected.session.as_ref().unwrap().as_str(), id);
    assert_eq!((connected.decision, connected.outcome), (Decision::Allowed, Outcome::Success));
    assert_eq!(connected.actor.unwrap().principal.name, "local");
    assert_eq!(connected.detail[&Key::Client], "driver");
    assert!(connected.policy.is_some() && of(Action::Disconnect).is_empty());
    drop(client);
    until(|| of(Action::Disconnect).len() == 1).await;

    let mut client = Client::connect(&server, &id).await;
    client.ask(json!({ "id": 1 })).await;
    server.set_stream(&id, "DISABLED").await;
    client.closed().await;
    refused(&upgrade(&server, &automation(&id)).send().await, 409, "ConflictException");
    server.set_stream(&id, "ENABLED").await;
    let unknown = format!("{}/devtools/page/NOBODY", automation(&id));
    refused(&upgrade(&server, &unknown).send().await, 404, "ResourceNotFoundException");
    let client = Client::connect(&server, &id).await;
    server.stop_browser(&id).await;
    until(|| of(Action::Disconnect).len() == 3).await;
    drop(client);

    let refusals: Vec<_> =
        of(Action::Connect).into_iter().filter(|event| event.decision == Decision::Denied).collect();
    let why = |n: usize| refusals[n].detail[&Key::Why].as_str().unwrap().to_owned();
    assert_eq!(refusals.len(), 2, "{refusals:#?}");
    assert!(why(0).contains("disabled") && refusals[0].outcome == Outcome::Failure);
    assert_eq!(refusals[1].detail[&Key::Target], "NOBODY");
    let ends: Vec<_> =
        of(Action::Disconnect).iter().map(|event| event.detail[&Key::Reason].clone()).collect();
    assert_eq!(ends, ["left", "closed", "closed"]);
    let said = of(Action::Disconnect).remove(2).detail[&Key::Why].clone();
    assert_eq!(said, "session ended: the session was stopped");
}

#[tokio::test]
async fn the_browsers_own_close_keeps_its_code_and_reason() {
    let server = Server::new().await;
    let id = server.browser_session().await;
    let mut client = Client::connect(&server, &id).await;
    client.say(json!({ "method": "Test.close" })).await;
    assert_eq!(client.closed().await, (4001, "closed by the double".into()));
}

#[tokio::test]
async fn the_end_of_the_session_closes_its_clients() {
    let server = Server::new().await;
    let id = server.browser_session().await;
    let mut client = Client::connect(&server, &id).await;
    client.ask(json!({ "id": 1 })).await;
    server.stop_browser(&id).await;
    let (code, reason) = client.closed().await;
    assert!(code == 1001 && reason == "session ended: the session was stopped", "{code} {reason}");
}

#[tokio::test]
async fn binary_messages_are_no_cdp() {
    let server = Server::new().await;
    let id = server.browser_session().await;
    let mut client = Client::connect(&server, &id).await;
    client.socket.send(Message::Binary(Bytes::from_static(b"{}"))).await.unwrap();
    assert_eq!(client.closed().await.0, 1003);
}

#[tokio::test]
async fn so_many_clients_and_no_more() {
    let server = Server::new().await;
    let id = server.browser_session().await;
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(Client::connect(&server, &id).await);
    }
    refused(&upgrade(&server, &automation(&id)).send().await, 429, "ThrottlingException");
    clients.pop();
    until(|| server.browsers.counts().clients < 8).await;
    Client::connect(&server, &id).await.ask(json!({ "id": 1 })).await;
}

#[tokio::test]
async fn a_server_that_stops_tells_its_clients_at_once() {
    let mut server = Server::new().await;
    let id = server.browser_session().await;
    let mut client = Client::connect(&server, &id).await;
    client.ask(json!({ "id": 1 })).await;
    let stopping = server.shut_down();
    let (code, reason) = client.closed().await;
    assert!(code == 1001 && reason.contains("shutting down"), "{code} {reason}");
    drop(client);
    stopping.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_websocket_counts_as_a_connection_until_it_ends() {
    let server = Setup::default().gateway(|config| config.connections = 2).start().await;
    let id = server.browser_session().await;
    let (a, b) = (Client::connect(&server, &id).await, Client::connect(&server, &id).await);
    let waiting = tokio::spawn(server.get("/healthz").send());
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    assert!(!waiting.is_finished(), "both places are taken");
    drop((a, b));
    assert_eq!(waiting.await.unwrap().status, 200);
}
