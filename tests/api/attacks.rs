//! Attacks at the doors: requests that two readers could take differently, members and headers that claim more than they may, and texts
//! that name something to fetch.

use crate::keys::TestKeys;
use crate::server::{BROWSER, KEY, Server, Setup};
use cloister_gateway::Role;
use serde_json::json;
use std::net::TcpListener;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// What an attacker wants to have carried out behind another request.
const BEHIND: &str = "POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";

/// Sends bytes as they are, then reads to the end of the connection, or as long as something comes.
async fn raw(server: &Server, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
    while let Ok(Ok(read)) = timeout(Duration::from_millis(300), stream.read(&mut piece)).await {
        if read == 0 {
            break;
        }
        answer.extend_from_slice(&piece[..read]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// The status of every answer in what came over one connection.
fn statuses(answers: &str) -> Vec<&str> {
    answers.lines().filter_map(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)).collect()
}

/// API-12: two lengths, a length and chunks, broken chunks, folded and split lines, two hosts: nothing is carried out, and nothing behind it.
#[tokio::test]
async fn a_request_that_two_readers_could_take_differently_is_refused_with_what_is_behind_it() {
    let server = Server::new().await;
    let start = "POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    let chunks = "Transfer-Encoding: chunked\r\n";
    let requests = [
        format!("{start}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}{BEHIND}"),
        format!("{start}Content-Length: +2\r\n\r\n{{}}{BEHIND}"),
        format!("{start}Content-Length: -2\r\n\r\n{{}}{BEHIND}"),
        format!("{start}Content-Length: 0x2\r\n\r\n{{}}{BEHIND}"),
        format!("{start}Content-Length: 2, 3\r\n\r\n{{}}{BEHIND}"),
        format!("{start}Content-Length: 99999999999999999999\r\n\r\n{{}}{BEHIND}"),
        format!("{start}Transfer-Encoding: xchunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n{BEHIND}"),
        format!("{start}Transfer-Encoding: chunked, identity\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n{BEHIND}"),
        format!("{start}{chunks}\r\n-2\r\n{{}}\r\n0\r\n\r\n{BEHIND}"),
        format!("{start}{chunks}\r\n10000000000000002\r\n{{}}\r\n0\r\n\r\n{BEHIND}"),
        format!("{start}{chunks}\r\n2\r\n{{}}XX0\r\n\r\n{BEHIND}"),
        format!("{start}{chunks}\r\n2;\r\r\n{{}}\r\n0\r\n\r\n{BEHIND}"),
        format!("{start}Content-Length : 2\r\n\r\n{{}}{BEHIND}"),
        format!("{start}X-Folded: a\r\n b\r\nContent-Length: 2\r\n\r\n{{}}{BEHIND}"),
        format!("{start}X-Split: a\rContent-Length: 2\r\n\r\n{{}}{BEHIND}"),
        format!("{start}X-Nul: a\0b\r\nContent-Length: 2\r\n\r\n{{}}{BEHIND}"),
        format!("{start}Host: localhost\r\nContent-Length: 2\r\n\r\n{{}}"),
        "POST http://evil.example/v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
            .to_owned(),
        "POST /v1/sessions HTTP/1.1\r\nContent-Length: 0\r\n\r\n".to_owned(),
        format!("POST /v1/sessions HTTP/1.0\r\nHost: localhost\r\n{chunks}\r\n0\r\n\r\n{BEHIND}"),
        format!("POST /v1/sessions\r\n\r\n{BEHIND}"),
        format!("POST /v1/sess ions HTTP/1.1\r\nHost: localhost\r\n\r\n{BEHIND}"),
        format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{BEHIND}"),
    ];
    for request in requests {
        let answers = raw(&server, request.as_bytes()).await;
        let refused = statuses(&answers).iter().all(|status| ["400", "413", "421"].contains(status));
        assert!(refused, "{request:?} is answered with {answers:?}");
        assert_eq!(server.backend.counts().starts, 0, "{request:?} starts a session");
    }
    let honest = format!("{start}{chunks}\r\n2\r\n{{}}\r\n0\r\n\r\n");
    assert_eq!(statuses(&raw(&server, honest.as_bytes()).await), ["201"], "an honest one is answered");
}

/// API-12: of a length and chunks the chunks count, as the standard has it, and the connection ends: what is behind is never a request.
#[tokio::test]
async fn a_length_beside_chunks_moves_no_byte_from_one_request_to_the_next() {
    let server = Server::new().await;
    let head = "POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    let chunks = "Transfer-Encoding: chunked\r\n";
    let body = "2\r\n{}\r\n0\r\n\r\n";
    for framing in [
        format!("Content-Length: 2\r\n{chunks}"),
        format!("{chunks}Content-Length: {}\r\n", body.len() + BEHIND.len()),
        format!("Content-Length: 0\r\n{chunks}"),
    ] {
        let before = server.backend.counts().starts;
        let answers = raw(&server, format!("{head}{framing}\r\n{body}{BEHIND}").as_bytes()).await;
        assert_eq!(statuses(&answers), ["201"], "{framing:?}: {answers:?}");
        assert!(answers.to_lowercase().contains("connection: close"), "{framing:?}: {answers:?}");
        assert_eq!(server.backend.counts().starts, before + 1, "{framing:?}: one request, one session");
    }
}

/// API-16: headers that proxies add say nothing here: not who somebody is, not which name was asked for, not which path.
#[tokio::test]
async fn forwarded_headers_change_neither_the_name_nor_the_caller_nor_the_path() {
    let keys = TestKeys::new();
    let viewer = keys.issue("a", "reader", &[Role::Viewer]);
    let server = Setup::default().keys(&keys).start().await;
    let claims = [
        ("x-forwarded-for", "127.0.0.1"),
        ("x-real-ip", "127.0.0.1"),
        ("forwarded", "for=127.0.0.1;host=localhost;proto=https"),
        ("x-forwarded-host", "localhost"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-user", "admin"),
        ("remote-user", "admin"),
        ("x-original-url", "/healthz"),
        ("x-rewrite-url", "/healthz"),
        ("x-amzn-principal", "admin"),
        ("cookie", "token=admin"),
    ];
    for (name, value) in claims {
        let nobody = server.get("/v1/sessions").header(name, value).send().await;
        assert_eq!(nobody.status, 401, "{name}");
        let rebound = server.get("/healthz").header("host", "rebound.example").header(name, value);
        assert_eq!(rebound.send().await.status, 421, "{name}");
        let reader = server.request("POST", "/v1/sessions").header("authorization", &viewer.bearer());
        assert_eq!(reader.header(name, value).json(json!({})).send().await.status, 403, "{name}");
    }
    assert_eq!(server.backend.counts().starts, 0);
}

/// API-07, API-08: members by which a client would choose what the policy or the server decides.
#[tokio::test]
async fn no_start_and_no_call_names_a_variable_a_user_an_image_or_a_rank() {
    let server = Server::new().await;
    let id = server.aws_session().await;
    let starts = server.backend.counts().starts;
    let chosen = [
        (
            "env",
            json!({ "LD_PRELOAD": "/x.so", "PATH": "/x", "PYTHONSTARTUP": "/x", "HTTP_PROXY": "http://x" }),
        ),
        ("environment", json!({ "HTTPS_PROXY": "http://x" })),
        ("environmentVariables", json!([{ "name": "LD_PRELOAD", "value": "/x.so" }])),
        ("labels", json!({ "cloister/tenant": "other" })),
        ("tags", json!({ "tenant": "other" })),
        ("tenant", json!("other")),
        ("owner", json!("other")),
        ("principal", json!({ "tenant": "other" })),
        ("uid", json!(0)),
        ("user", json!("root")),
        ("policy", json!("root")),
        ("image", json!("/")),
        ("priority", json!(99)),
        ("command", json!(["/bin/sh"])),
        ("args", json!(["--no-sandbox"])),
        ("mounts", json!([{ "source": "/", "target": "/host" }])),
        ("cwd", json!("/proc/self/fd/3")),
        ("memory", json!(1_u64 << 50)),
        ("__proto__", json!({ "admin": true })),
    ];
    for (name, value) in chosen {
        let aws = server.start_session(json!({ name: value.clone() })).send().await;
        let browser = server.request("PUT", &format!("/browsers/{BROWSER}/sessions/start"));
        let native = server.request("POST", "/v1/sessions").json(json!({ name: value.clone() })).send().await;
        let call = json!({ "code": "1", "language": "python", name: value.clone() });
        let mut answers = vec![
            aws,
            browser.json(json!({ name: value.clone() })).send().await,
            native,
            server.invoke(&id, "executeCode", call).send().await,
        ];
        if !["command"].contains(&name) {
            let run = json!({ "code": "1", name: value });
            answers.push(server.request("POST", &format!("/v1/sessions/{id}/invoke")).json(run).send().await);
        }
        for answer in answers {
            assert_eq!(answer.status, 400, "{name}: {answer:?}");
            assert!(answer.text().contains(name), "the answer names {name}: {answer:?}");
        }
    }
    assert_eq!(server.backend.counts().starts, starts, "nothing was started");
}

/// API-03: what is nearly an id is nobody's.
#[tokio::test]
async fn an_id_that_is_shortened_respelt_or_lengthened_is_unknown() {
    let server = Server::new().await;
    let id = server.session().await;
    let last = if id.ends_with('0') { '1' } else { '0' };
    let near = [
        id.to_lowercase(),
        id[..id.len() - 1].to_owned(),
        id[1..].to_owned(),
        format!("{id}0"),
        format!("0{id}"),
        format!("{}{last}", &id[..id.len() - 1]),
        format!("{id}%00"),
        format!("{id}%20"),
        format!("%20{id}"),
        format!("{id};x=1"),
        format!("*{}", &id[1..]),
        format!("{}%25", &id[..4]),
        id[..8].to_owned(),
    ];
    for wrong in near {
        let answer = server.get(&format!("/v1/sessions/{wrong}")).send().await;
        assert_eq!(answer.status, 404, "{wrong}: {answer:?}");
        let run =
            server.request("POST", &format!("/v1/sessions/{wrong}/invoke")).json(json!({ "code": "1" }));
        assert_eq!(run.send().await.status, 404, "{wrong}");
        assert_eq!(server.request("DELETE", &format!("/v1/sessions/{wrong}")).send().await.status, 404);
    }
    assert_eq!(
        server.get(&format!("/v1/sessions/{id}")).send().await.status,
        200,
        "the session is as it was"
    );
}

/// RES-09: a body that says that it is packed is not unpacked, and not read as if it had not said so.
#[tokio::test]
async fn a_packed_body_is_refused_unread() {
    let server = Server::new().await;
    // `{}` by gzip(1).
    let packed =
        [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xab, 0xae, 0x05, 0, 0x43, 0xbf, 0xa6, 0xa3, 2, 0, 0, 0_u8];
    for encoding in ["gzip", "deflate", "br", "zstd", "x-gzip", "gzip, gzip", "identity, gzip"] {
        for body in [&packed[..], b"{}"] {
            for path in ["/v1/sessions".to_owned(), format!("/code-interpreters/{KEY}/sessions/list")] {
                let call = server.request("POST", &path).header("content-encoding", encoding);
                let answer = call.raw_json(body.to_vec()).send().await;
                assert_eq!(answer.status, 415, "{path} {encoding}: {answer:?}");
            }
        }
    }
    assert_eq!(server.backend.counts().starts, 0);
    let plain = server.request("POST", "/v1/sessions").header("content-encoding", "identity");
    assert_eq!(plain.json(json!({})).send().await.status, 201);
}

/// FILE-09: a URL is a name or a text like any other; the server asks nobody for it.
#[tokio::test]
async fn a_url_where_a_file_or_a_text_is_expected_is_fetched_by_nobody() {
    let canary = TcpListener::bind("127.0.0.1:0").unwrap();
    canary.set_nonblocking(true).unwrap();
    let url = format!("http://{}/canary", canary.local_addr().unwrap());
    let server = Server::new().await;
    let id = server.aws_session().await;
    for target in [url.as_str(), "file:///etc/passwd", "s3://bucket/key", "http://169.254.169.254/"] {
        let text = json!([{ "path": "a.txt", "text": target }]);
        server.result(&id, "writeFiles", json!({ "content": text })).await;
        let read = server.result(&id, "readFiles", json!({ "paths": ["a.txt"] })).await;
        assert!(read.to_string().contains(target), "the text is kept as it is: {read}");
        for (tool, arguments) in [
            ("readFiles", json!({ "paths": [target] })),
            ("listFiles", json!({ "directoryPath": target })),
            ("removeFiles", json!({ "paths": [target] })),
            ("writeFiles", json!({ "content": [{ "path": target, "text": "x" }] })),
        ] {
            let answer = server.invoke(&id, tool, arguments).send().await;
            assert!(!answer.status.is_server_error(), "{tool} {target}: {answer:?}");
            assert!(!answer.body.windows(5).any(|part| part == b"root:"), "{tool} {target}");
        }
        let upload = server.request("PUT", &format!("/v1/sessions/{id}/files/b.txt"));
        let upload = upload.header("content-location", target).header("x-amz-copy-source", target);
        assert_eq!(upload.body("kept").send().await.status, 200);
        assert_eq!(server.get(&format!("/v1/sessions/{id}/files/b.txt")).send().await.body, "kept");
        for start in
            [json!({ "name": target }), json!({ "interpreter": target }), json!({ "clientToken": target })]
        {
            server.request("POST", "/v1/sessions").json(start).send().await;
        }
    }
    let asked = canary.accept();
    assert_eq!(asked.map(|_| ()).unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "the canary was asked");
}
