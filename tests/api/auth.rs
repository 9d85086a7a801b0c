//! Who is let in: signatures over a real socket, roles, keys that end, and what links and tickets take over from their maker.

use crate::aws::error;
use crate::keys::{Key, Signing, TestKeys};
use crate::server::{BROWSER, Call, KEY, Server, Setup};
use cloister_gateway::Role;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest as _};

async fn guarded() -> (Server, Arc<TestKeys>, Key) {
    let keys = TestKeys::new();
    let key = keys.issue("acme", "ann", &[Role::User]);
    (Setup::default().keys(&keys).start().await, keys, key)
}

fn start(server: &Server) -> Call {
    server.request("PUT", &format!("/code-interpreters/{KEY}/sessions/start")).json(json!({ "name": "x" }))
}

#[tokio::test]
async fn a_signed_request_is_answered_and_one_that_was_changed_afterwards_is_not() {
    let (server, _, key) = guarded().await;
    let signing = Signing::by(&key);
    assert_eq!(signing.sign(start(&server)).send().await.status, 200);
    let changed = signing.sign(start(&server)).json(json!({ "name": "y" }));
    error("AccessDeniedException", &changed.send().await);
    let mut other = signing.sign(start(&server));
    other.path = other.path.replace("start", "stop?sessionId=x");
    error("AccessDeniedException", &other.send().await);
    let wrong = Key { secret: "guessed".into(), ..key.clone() };
    error("AccessDeniedException", &Signing::by(&wrong).sign(start(&server)).send().await);
    assert_eq!(server.backend.counts().starts, 1);
}

#[tokio::test]
async fn what_refuses_a_bad_key_does_not_say_what_is_bad_about_it() {
    let (server, keys, key) = guarded().await;
    let mut texts = Vec::new();
    let mut unknown = key.clone();
    unknown.grant.id = "CLOINOSUCHKEY000000".into();
    let wrong = Key { secret: "guessed".into(), ..key.clone() };
    let (expired, revoked) =
        (keys.issue("acme", "old", &[Role::User]), keys.issue("acme", "gone", &[Role::User]));
    keys.expire(&expired, SystemTime::now() - Duration::from_secs(1));
    keys.revoke(&revoked);
    for bad in [&unknown, &wrong, &expired, &revoked] {
        let answer = Signing::by(bad).sign(start(&server)).send().await;
        error("AccessDeniedException", &answer);
        texts.push(answer.text().to_owned());
        if bad.secret != "guessed" {
            let bearer = server.get("/v1/sessions").header("authorization", &bad.bearer()).send().await;
            assert_eq!(bearer.status == 200, bad.grant.id == unknown.grant.id, "{bearer:?}");
        }
    }
    texts.dedup();
    assert_eq!(texts.len(), 1, "{texts:?}");
}

#[tokio::test]
async fn a_signature_is_good_for_five_minutes_and_for_this_service_only() {
    let (server, _, key) = guarded().await;
    for ahead in [-240, 240] {
        assert_eq!(Signing { ahead, ..Signing::by(&key) }.sign(start(&server)).send().await.status, 200);
    }
    for (ahead, says) in [(-310, "Signature expired"), (310, "Signature not yet current")] {
        let answer = Signing { ahead, ..Signing::by(&key) }.sign(start(&server)).send().await;
        error("AccessDeniedException", &answer);
        assert!(answer.text().contains(says), "{answer:?}");
    }
    for (scope, status) in [
        ("eu-central-1/bedrock-agentcore/aws4_request", 200),
        ("us-west-2/s3/aws4_request", 403),
        ("us-west-2/bedrock-agentcore-control/aws4_request", 403),
        ("us-west-2/bedrock-agentcore/aws5_request", 403),
    ] {
        let answer = Signing { scope, ..Signing::by(&key) }.sign(start(&server)).send().await;
        assert_eq!(answer.status, status, "{scope}");
    }
}

#[tokio::test]
async fn a_declared_hash_must_be_the_bodys_and_a_client_may_leave_the_body_unsigned() {
    let (server, _, key) = guarded().await;
    let hash = |body: &str| Sha256::digest(body).iter().map(|b| format!("{b:02x}")).collect::<String>();
    let (right, wrong) = (hash("{\"name\":\"x\"}"), hash("{}"));
    for (declared, status) in [
        (right.as_str(), 200),
        (&wrong, 403),
        ("UNSIGNED-PAYLOAD", 200),
        ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", 403),
    ] {
        let signing = Signing { declared: Some(declared), ..Signing::by(&key) };
        assert_eq!(signing.sign(start(&server)).send().await.status, status, "{declared}");
    }
    // A body on a route that reads none is covered all the same.
    let get = Signing::by(&key).sign(server.get("/v1/sessions"));
    assert_eq!(get.body("{}").send().await.status, 401);
    assert_eq!(Signing::by(&key).sign(server.get("/v1/sessions")).send().await.status, 200);
}

#[tokio::test]
async fn a_large_signed_body_arrives_whole() {
    let (server, _, key) = guarded().await;
    let id = session(&server, &key).await;
    let path = format!("/v1/sessions/{id}/files/a%20b/large.bin");
    let answer = Signing::by(&key).sign(server.request("PUT", &path).body(vec![7; 3 << 20])).send().await;
    assert_eq!((answer.status.as_u16(), answer.json()["size"].as_u64()), (200, Some(3 << 20)));
}

async fn session(server: &Server, key: &Key) -> String {
    let answer = server.request("POST", "/v1/sessions").header("authorization", &key.bearer()).send().await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_key_that_is_revoked_ends_with_the_next_request() {
    let (server, keys, key) = guarded().await;
    let get = || server.get("/v1/sessions").header("authorization", &key.bearer());
    assert_eq!(get().send().await.status, 200);
    keys.revoke(&key);
    assert_eq!(get().send().await.status, 401);
    error("AccessDeniedException", &Signing::by(&key).sign(start(&server)).send().await);
}

#[tokio::test]
async fn a_viewer_sees_what_its_principal_has_and_changes_nothing() {
    let (server, keys, key) = guarded().await;
    let viewer = keys.issue("acme", "ann", &[Role::Viewer]);
    let nobody = keys.issue("acme", "ann", &[]);
    let id = session(&server, &key).await;
    for path in ["/v1/sessions".to_owned(), format!("/v1/sessions/{id}"), format!("/v1/sessions/{id}/files")]
    {
        let get = |key: &Key| server.get(&path).header("authorization", &key.bearer());
        assert_eq!(get(&viewer).send().await.status, 200, "{path}");
        assert_eq!(get(&nobody).send().await.status, 403, "{path}");
    }
    for (method, path) in [
        ("POST", "/v1/sessions".to_owned()),
        ("POST", format!("/v1/sessions/{id}/invoke")),
        ("PUT", format!("/v1/sessions/{id}/files/x")),
        ("DELETE", format!("/v1/sessions/{id}/files/x")),
        ("POST", format!("/v1/sessions/{id}/tasks")),
        ("DELETE", format!("/v1/sessions/{id}")),
    ] {
        let answer = server
            .request(method, &path)
            .header("authorization", &viewer.bearer())
            .json(json!({}))
            .send()
            .await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["error"]["kind"]),
            (403, &json!("access_denied")),
            "{path}"
        );
        assert!(answer.text().contains("role user"), "{answer:?}");
    }
    error("AccessDeniedException", &Signing::by(&viewer).sign(start(&server)).send().await);
    assert_eq!(server.backend.counts().starts, 1);
}

async fn browser(server: &Server, key: &Key) -> (String, String) {
    let start = server.request("PUT", &format!("/browsers/{BROWSER}/sessions/start")).json(json!({}));
    let answer = Signing::by(key).sign(start).send().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let endpoint =
        answer.json()["streams"]["automationStream"]["streamEndpoint"].as_str().unwrap().to_owned();
    (answer.json()["sessionId"].as_str().unwrap().to_owned(), endpoint)
}

async fn connect(
    server: &Server,
    url: &str,
    headers: &[(&str, &str)],
) -> Result<WebSocketStream<TcpStream>, u16> {
    let mut request = url.into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(
            tokio_tungstenite::tungstenite::http::HeaderName::from_bytes(name.as_bytes()).unwrap(),
            value.parse().unwrap(),
        );
    }
    let stream = TcpStream::connect(server.address).await.unwrap();
    match tokio_tungstenite::client_async(request, stream).await {
        Ok((socket, _)) => Ok(socket),
        Err(tokio_tungstenite::tungstenite::Error::Http(response)) => Err(response.status().as_u16()),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_stream_opens_by_the_endpoint_in_an_answer_by_a_header_and_by_a_presigned_url() {
    let (server, keys, key) = guarded().await;
    let (id, endpoint) = browser(&server, &key).await;
    let (bare, ticket) = endpoint.split_once('?').unwrap();
    assert!(endpoint.len() <= 512, "{endpoint}");
    assert!(connect(&server, &endpoint, &[]).await.is_ok());
    assert_eq!(connect(&server, bare, &[]).await.err(), Some(403));
    assert!(connect(&server, bare, &[("authorization", &key.bearer())]).await.is_ok());
    let (host, path) =
        (server.address.to_string(), format!("/browser-streams/{BROWSER}/sessions/{id}/automation"));
    let presigned = Signing::by(&key).query(&host, &path, 300);
    assert!(connect(&server, &format!("{bare}?{presigned}"), &[]).await.is_ok());
    for bad in [Signing::by(&key).query(&host, &path, 301), Signing::by(&key).query("localhost", &path, 300)]
    {
        assert_eq!(connect(&server, &format!("{bare}?{bad}"), &[]).await.err(), Some(403));
    }
    let old = Signing { ahead: -200, ..Signing::by(&key) }.query(&host, &path, 100);
    assert_eq!(connect(&server, &format!("{bare}?{old}"), &[]).await.err(), Some(403));
    // Nothing else takes what is in a query.
    for path in [format!("/v1/sessions/{id}"), "/v1/sessions".to_owned()] {
        let query = Signing::by(&key).query(&host, &path, 300);
        assert_eq!(server.get(&format!("{path}?{query}")).send().await.status, 401, "{path}");
        assert_eq!(server.get(&format!("{path}?{ticket}")).send().await.status, 401, "{path}");
    }
    let (other, _) = browser(&server, &key).await;
    assert_eq!(connect(&server, &endpoint.replace(&id, &other), &[]).await.err(), Some(403));
    let viewer = keys.issue("acme", "ann", &[Role::Viewer]);
    assert_eq!(connect(&server, bare, &[("authorization", &viewer.bearer())]).await.err(), Some(403));
    let seen = server
        .get(&format!("/v1/sessions/{id}"))
        .header("authorization", &viewer.bearer())
        .send()
        .await
        .json();
    assert_eq!(seen["browser"]["automation"], *bare, "who may not connect gets no ticket");
}

#[tokio::test]
async fn the_presigned_url_of_the_sdk_opens_the_page_of_a_live_view() {
    let (server, _, key) = guarded().await;
    let (id, _) = browser(&server, &key).await;
    let path = format!("/browser-streams/{BROWSER}/sessions/{id}/live-view");
    let query = Signing::by(&key).query(&server.address.to_string(), &path, 300);
    let page = server.get(&format!("{path}?{query}")).send().await;
    assert_eq!(page.status, 200, "{page:?}");
    let forged = query.replace("X-Amz-Signature=", "X-Amz-Signature=00");
    assert_eq!(server.get(&format!("{path}?{forged}")).send().await.status, 401);
    assert_eq!(server.get(&format!("{path}/stream?{query}")).send().await.status, 401);
}

async fn link(server: &Server, id: &str, key: &Key, role: &str) -> Result<String, u16> {
    let call = server.request("POST", &format!("/v1/sessions/{id}/live-view"));
    let answer = call.header("authorization", &key.bearer()).json(json!({ "role": role })).send().await;
    match answer.status.as_u16() {
        201 => Ok(answer.json()["url"].as_str().unwrap().to_owned()),
        other => Err(other),
    }
}

#[tokio::test]
async fn a_link_ends_with_the_key_that_made_it_and_a_viewer_makes_links_for_watching_only() {
    let (server, keys, key) = guarded().await;
    let (id, endpoint) = browser(&server, &key).await;
    let second = keys.issue("acme", "ann", &[Role::User]);
    let viewer = keys.issue("acme", "ann", &[Role::Viewer]);
    let (made, kept) = (
        link(&server, &id, &key, "control").await.unwrap(),
        link(&server, &id, &second, "view").await.unwrap(),
    );
    assert_eq!(link(&server, &id, &viewer, "control").await, Err(403));
    assert!(link(&server, &id, &viewer, "view").await.is_ok());
    for url in [&made, &kept] {
        assert_eq!(server.get(url).send().await.status, 200);
    }
    keys.revoke(&key);
    assert_eq!(server.get(&made).send().await.status, 403);
    assert_eq!(server.get(&kept).send().await.status, 200);
    assert_eq!(connect(&server, &endpoint, &[]).await.err(), Some(403));
}

#[tokio::test]
async fn a_websocket_is_cut_within_seconds_of_its_keys_end() {
    let (server, keys, key) = guarded().await;
    let (id, endpoint) = browser(&server, &key).await;
    let viewer = keys.issue("acme", "ann", &[Role::Viewer]);
    let mut driver = connect(&server, &endpoint, &[]).await.unwrap();
    let view = format!("ws://{}/browser-streams/{BROWSER}/sessions/{id}/live-view/stream", server.address);
    let mut watcher = connect(&server, &view, &[("authorization", &viewer.bearer())]).await.unwrap();
    keys.revoke(&key);
    keys.expire(&viewer, SystemTime::now());
    for socket in [&mut driver, &mut watcher] {
        let closed = timeout(Duration::from_secs(5), async {
            loop {
                match socket.next().await {
                    Some(Ok(Message::Close(Some(frame)))) => {
                        return (u16::from(frame.code), frame.reason.to_string());
                    }
                    Some(Ok(_)) => {}
                    other => panic!("{other:?}"),
                }
            }
        });
        let (code, reason) = closed.await.unwrap();
        assert!(code == 1008 && reason.contains("key"), "{code} {reason}");
    }
}

#[tokio::test]
async fn a_call_whose_key_ends_while_it_runs_is_cut() {
    let (server, keys, key) = guarded().await;
    let id = session(&server, &key).await;
    let call =
        server.request("POST", &format!("/v1/sessions/{id}/invoke")).header("authorization", &key.bearer());
    let call = call.header("accept", "text/event-stream").json(json!({ "code": "sleep 60" }));
    let mut body = call.open().await.into_body();
    keys.revoke(&key);
    let cut = timeout(Duration::from_secs(5), async {
        use http_body_util::BodyExt as _;
        loop {
            match body.frame().await {
                Some(Ok(_)) => {}
                end => return end.is_some_and(|frame| frame.is_err()),
            }
        }
    });
    assert!(cut.await.unwrap(), "a broken answer, and not one that looks whole");
}

#[tokio::test]
async fn two_credentials_at_once_are_none() {
    let (server, _, key) = guarded().await;
    let (id, _) = browser(&server, &key).await;
    let path = format!("/browser-streams/{BROWSER}/sessions/{id}/live-view");
    let query = Signing::by(&key).query(&server.address.to_string(), &path, 300);
    let both = server.get(&format!("{path}?{query}")).header("authorization", &key.bearer()).send().await;
    assert_eq!(both.status, 401);
    let twice = Signing::by(&key).sign(server.get("/v1/sessions")).header("authorization", &key.bearer());
    assert_eq!(twice.send().await.status, 401);
    let kind: Value = server.get("/v1/sessions").send().await.json()["error"]["kind"].clone();
    assert_eq!(kind, "access_denied");
}
