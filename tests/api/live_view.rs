//! The live view: what a link opens and what it does not, who may take control, and what the page is told.

use crate::keys::TestKeys;
use crate::server::{Answer, BROWSER, Server, Setup};
use cloister_gateway::Auth;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error, Message, client::IntoClientRequest as _};

const TOKEN: &str = "correct-horse";

/// A server that wants a token, with a browser session.
async fn guarded() -> (Server, String) {
    let server = Setup::default().token(TOKEN).start().await;
    let id = session(&server).await;
    (server, id)
}

async fn session(server: &Server) -> String {
    let path = format!("/browsers/{BROWSER}/sessions/start");
    let answer = server.request("PUT", &path).header("authorization", &bearer()).json(json!({})).send().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["sessionId"].as_str().unwrap().to_owned()
}

fn bearer() -> String {
    format!("Bearer {TOKEN}")
}

async fn link_to(server: &Server, id: &str, body: Value) -> Answer {
    let path = format!("/v1/sessions/{id}/live-view");
    server.request("POST", &path).header("authorization", &bearer()).json(body).send().await
}

/// Path and query of a link.
async fn link(server: &Server, id: &str, role: &str) -> (String, String) {
    let answer = link_to(server, id, json!({ "role": role })).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let url = answer.json()["url"].as_str().unwrap().to_owned();
    let (path, query) = url.split_once('?').unwrap();
    (path.to_owned(), query.to_owned())
}

/// What an opened page holds for its stream and its control.
fn held(page: &Answer) -> String {
    let rest = page.text().split_once("data-access=\"").unwrap().1;
    rest.split_once('"').unwrap().0.replace("&amp;", "&")
}

async fn connect(
    server: &Server,
    path: &str,
    origin: Option<&str>,
) -> Result<WebSocketStream<TcpStream>, u16> {
    let mut request = format!("ws://{}{path}", server.address).into_client_request().unwrap();
    if let Some(origin) = origin {
        request.headers_mut().insert("origin", origin.parse().unwrap());
    }
    let stream = TcpStream::connect(server.address).await.unwrap();
    match tokio_tungstenite::client_async(request, stream).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(response)) => Err(response.status().as_u16()),
        Err(other) => panic!("{other}"),
    }
}

/// The next message that says how the session stands.
async fn told(socket: &mut WebSocketStream<TcpStream>) -> Value {
    loop {
        let message = socket.next().await.unwrap().unwrap();
        let Message::Text(text) = message else { continue };
        let message: Value = serde_json::from_str(&text).unwrap();
        if message["method"] == "Cloister.liveView" {
            return message["params"].clone();
        }
    }
}

#[tokio::test]
async fn a_link_opens_the_live_view_of_its_session_and_nothing_else() {
    let (server, id) = guarded().await;
    let other = session(&server).await;
    let (path, query) = link(&server, &id, "control").await;
    let page = server.get(&format!("{path}?{query}")).send().await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(page.header("content-security-policy").contains("frame-ancestors 'none'"));
    assert_eq!((page.header("referrer-policy"), page.header("cache-control")), ("no-referrer", "no-store"));
    for (elsewhere, status) in [
        (path.replace(&id, &other), 403),
        ("/v1/sessions".to_owned(), 401),
        (format!("/v1/sessions/{id}"), 401),
        (path.replace("live-view", "automation/json/version"), 403),
        (path.replace("live-view", "live-view/"), 403),
    ] {
        let answer = server.get(&format!("{elsewhere}?{query}")).send().await;
        assert_eq!(answer.status, status, "{elsewhere}: {answer:?}");
    }
}

#[tokio::test]
async fn without_a_link_or_with_a_changed_one_there_is_a_page_that_says_why() {
    let (server, id) = guarded().await;
    let (path, query) = link(&server, &id, "view").await;
    let raised = query.replace("role=view", "role=control");
    for (query, status, word) in [(String::new(), 401, "credential"), (raised, 403, "not valid")] {
        let answer = server.get(&format!("{path}?{query}")).send().await;
        assert_eq!(answer.status, status);
        assert!(answer.header("content-type").starts_with("text/html"), "{answer:?}");
        assert!(answer.text().contains(word), "{answer:?}");
    }
}

#[tokio::test]
async fn a_page_that_stays_is_given_a_new_access_before_the_old_one_ends_and_connects_again_with_it() {
    let setup = Setup::default().gateway(|config| {
        config.auth = Auth::On(TestKeys::with_token(TOKEN));
        config.live_view_access = Duration::from_secs(3);
    });
    let server = setup.start().await;
    let id = session(&server).await;
    let (path, query) = link(&server, &id, "control").await;
    let first = held(&server.get(&format!("{path}?{query}")).send().await);
    let mut stream = connect(&server, &format!("{path}/stream?{first}"), None).await.unwrap();
    // What comes at once is as old as the page; the next one comes because of its age.
    let mut access = told(&mut stream).await["access"].as_str().unwrap().to_owned();
    while server.get(&format!("{path}/control?{first}")).send().await.status != 403 {
        tokio::select! {
            next = told(&mut stream) => access = next["access"].as_str().unwrap().to_owned(),
            () = tokio::time::sleep(Duration::from_millis(100)) => {}
        }
    }
    drop(stream);
    assert_eq!(connect(&server, &format!("{path}/stream?{first}"), None).await.err(), Some(403));
    let mut again = connect(&server, &format!("{path}/stream?{access}"), None).await.unwrap();
    let renewed = told(&mut again).await;
    assert_eq!((&renewed["role"], &renewed["automation"]), (&json!("control"), &json!("ENABLED")));
}

#[tokio::test]
async fn what_a_page_holds_opens_its_stream_and_no_other_page() {
    let (server, id) = guarded().await;
    let (path, query) = link(&server, &id, "view").await;
    let held = held(&server.get(&format!("{path}?{query}")).send().await);
    assert_ne!(held, query);
    assert_eq!(server.get(&format!("{path}?{held}")).send().await.status, 403);
    assert_eq!(server.get(&format!("{path}/control?{held}")).send().await.json()["role"], "view");
    let mut stream = connect(&server, &format!("{path}/stream?{held}"), None).await.unwrap();
    let first = told(&mut stream).await;
    assert_eq!((&first["automation"], &first["role"]), (&json!("ENABLED"), &json!("view")));
    let renewed = first["access"].as_str().unwrap();
    assert_eq!(server.get(&format!("{path}/control?{renewed}")).send().await.status, 200);
    assert_eq!(connect(&server, &format!("{path}/stream"), None).await.err(), Some(401));
}

#[tokio::test]
async fn a_link_for_watching_takes_no_control_and_one_for_control_does() {
    let (server, id) = guarded().await;
    let (path, view) = link(&server, &id, "view").await;
    let (_, control) = link(&server, &id, "control").await;
    let take = |query: &str, take: Value| {
        server.request("POST", &format!("{path}/control?{query}")).json(json!({ "take": take })).send()
    };
    assert_eq!(take(&view, json!(true)).await.status, 403);
    let mut stream = connect(&server, &format!("{path}/stream?{view}"), None).await.unwrap();
    assert_eq!(told(&mut stream).await["automation"], "ENABLED");
    assert_eq!(take(&control, json!(true)).await.json()["automation"], "DISABLED");
    assert_eq!(told(&mut stream).await["automation"], "DISABLED");
    let automation = path.replace("live-view", "automation");
    let driver = format!("ws://{}{automation}", server.address).into_client_request().map(|mut request| {
        request.headers_mut().insert("authorization", bearer().parse().unwrap());
        request
    });
    let socket = TcpStream::connect(server.address).await.unwrap();
    let refused = tokio_tungstenite::client_async(driver.unwrap(), socket).await;
    assert!(matches!(refused, Err(Error::Http(response)) if response.status() == 409));
    assert_eq!(take(&view, json!(false)).await.status, 403);
    assert_eq!(take(&control, json!(false)).await.json()["automation"], "ENABLED");
    assert_eq!(told(&mut stream).await["automation"], "ENABLED");
    for bad in [json!("yes"), json!(null)] {
        let answer = take(&control, bad).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["error"]["fields"][0]["name"]),
            (400, &json!("take"))
        );
    }
}

#[tokio::test]
async fn cdp_goes_both_ways_between_what_the_page_is_told() {
    let (server, id) = guarded().await;
    let (path, query) = link(&server, &id, "control").await;
    let mut stream = connect(&server, &format!("{path}/stream?{query}"), None).await.unwrap();
    told(&mut stream).await;
    stream.send(Message::text(json!({ "id": 1, "method": "Browser.getVersion" }).to_string())).await.unwrap();
    let Message::Text(answer) = stream.next().await.unwrap().unwrap() else { panic!("no text") };
    assert_eq!(serde_json::from_str::<Value>(&answer).unwrap()["result"]["product"], "TestDouble/1.0");
    assert_eq!(server.browsers.counts().clients, 1);
}

#[tokio::test]
async fn only_the_servers_own_page_may_open_the_stream() {
    let (server, id) = guarded().await;
    let (path, query) = link(&server, &id, "control").await;
    let stream = format!("{path}/stream?{query}");
    let own = format!("http://{}", server.address);
    assert!(connect(&server, &stream, Some(&own)).await.is_ok());
    assert_eq!(connect(&server, &stream, Some("http://evil.example")).await.err(), Some(403));
    let control = format!("{path}/control?{query}");
    let forged = server
        .request("POST", &control)
        .header("origin", "http://evil.example")
        .json(json!({ "take": true }));
    assert_eq!(forged.send().await.status, 403);
    assert_eq!(server.get(&control).send().await.json()["automation"], "ENABLED");
}

#[tokio::test]
async fn the_files_of_the_page_need_no_credential() {
    let (server, _) = guarded().await;
    for (name, mime) in [("main.js", "text/javascript"), ("style.css", "text/css")] {
        // As a browser sends it with modules.
        let own = format!("http://{}", server.address);
        let answer = server.get(&format!("/live-view/{name}")).header("origin", &own).send().await;
        assert_eq!(answer.status, 200);
        assert!(answer.header("content-type").starts_with(mime));
    }
    assert_eq!(server.get("/live-view/index.html").send().await.status, 401);
}

#[tokio::test]
async fn links_are_bounded_and_made_for_live_browser_sessions_only() {
    let (server, id) = guarded().await;
    for (body, field) in [
        (json!({ "seconds": 0 }), "seconds"),
        (json!({ "seconds": 3601 }), "seconds"),
        (json!({ "role": "admin" }), "role"),
        (json!({ "expires": 1 }), "expires"),
    ] {
        let answer = link_to(&server, &id, body).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["error"]["fields"][0]["name"]),
            (400, &json!(field))
        );
    }
    let code = server.request("POST", "/v1/sessions").header("authorization", &bearer()).send().await;
    let code = code.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(link_to(&server, &code, json!({})).await.status, 400);
    let (path, query) = link(&server, &id, "view").await;
    server.request("DELETE", &format!("/v1/sessions/{id}")).header("authorization", &bearer()).send().await;
    assert_eq!(link_to(&server, &id, json!({})).await.status, 404);
    let ended = server.get(&format!("{path}?{query}")).send().await;
    assert_eq!(ended.status, 404);
    assert!(ended.text().contains("ended") || ended.text().contains("stopped"), "{ended:?}");
}
