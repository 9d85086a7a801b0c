//! What stands before every route: names, origins, tokens, health.

use crate::aws::error;
use crate::server::{KEY, Server, Setup};
use serde_json::json;

const ROUTES: [(&str, &str); 6] = [
    ("GET", "/healthz"),
    ("GET", "/"),
    ("GET", "/openapi.json"),
    ("POST", "/v1/sessions"),
    ("PUT", "/code-interpreters/aws.codeinterpreter.v1/sessions/start"),
    ("POST", "/code-interpreters/aws.codeinterpreter.v1/tools/invoke"),
];

#[tokio::test]
async fn a_name_that_is_not_ours_reaches_no_route() {
    let server = Server::new().await;
    for (method, path) in ROUTES {
        let answer = server.request(method, path).header("host", "rebound.example").send().await;
        assert_eq!(answer.status, 421, "{method} {path}");
    }
    assert_eq!(server.backend.counts().starts, 0);
}

#[tokio::test]
async fn a_page_of_another_origin_reaches_no_route_and_no_answer_allows_one() {
    let server = Server::new().await;
    for (method, path) in ROUTES.into_iter().chain([("OPTIONS", "/v1/sessions")]) {
        for origin in ["http://evil.example", "null"] {
            let answer = server.request(method, path).header("origin", origin).send().await;
            assert_eq!(answer.status, 403, "{method} {path} {origin}");
            assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("access-control-")));
        }
    }
    let allowed =
        Setup::default().gateway(|c| c.allowed_origins = vec!["https://ours.example".into()]).start().await;
    let answer = allowed.get("/version").header("origin", "https://ours.example").send().await;
    assert_eq!(answer.status, 200);
    assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("access-control-")));
}

#[tokio::test]
async fn with_a_token_only_health_checks_go_without() {
    let server = Setup::default().token("s3cret").start().await;
    for path in ["/healthz", "/livez", "/readyz"] {
        assert_eq!(server.get(path).send().await.status, 200);
    }
    for path in ["/", "/version", "/openapi.json", "/docs", "/v1/sessions", "/v1/nowhere"] {
        let answer = server.get(path).send().await;
        assert_eq!(answer.status, 401, "{path}");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
        assert_eq!(server.get(&format!("{path}?token=s3cret")).send().await.status, 401);
    }
    error("AccessDeniedException", &server.start_session(json!({})).send().await);
    for value in ["Bearer s3cret", "bearer s3cret"] {
        assert_eq!(server.start_session(json!({})).header("authorization", value).send().await.status, 200);
        assert_eq!(server.get("/v1/sessions").header("authorization", value).send().await.status, 200);
    }
    // The token is no access key: nothing but a signature makes one good.
    let aws = format!(
        "AWS4-HMAC-SHA256 Credential=s3cret/20260101/us-west-2/bedrock-agentcore/aws4_request, \
         SignedHeaders=host;x-amz-date, Signature={}",
        "0".repeat(64)
    );
    for value in [
        "",
        "s3cret",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Bearer s3cre",
        "Bearer S3CRET",
        "Basic s3cret",
        &aws,
    ] {
        let call = server
            .get("/v1/sessions")
            .header("authorization", value)
            .header("x-amz-date", "20260101T000000Z");
        assert_eq!(call.send().await.status, 401, "{value}");
    }
    assert_eq!(server.get("/v1/sessions").header("cookie", "token=s3cret").send().await.status, 401);
    let twice = server
        .get("/v1/sessions")
        .header("authorization", "Bearer s3cret")
        .header("authorization", "Bearer s3cret");
    assert_eq!(twice.send().await.status, 401);
}

#[tokio::test]
async fn the_server_says_what_it_is() {
    let server = Server::new().await;
    assert_eq!(server.get("/healthz").send().await.json(), json!({ "status": "ok" }));
    assert_eq!(server.get("/readyz").send().await.json(), json!({ "status": "ready" }));
    assert_eq!(server.get("/version").send().await.json()["name"], "cloister");
    assert_eq!(server.get("/openapi.json").send().await.json()["openapi"], "3.1.0");
    for path in ["/", "/docs"] {
        let page = server.get(path).send().await;
        assert!(page.header("content-type").starts_with("text/html"));
        assert!(page.header("content-security-policy").contains("default-src 'none'"));
        assert!(page.text().contains("</html>"));
    }
    let head = server.request("HEAD", "/docs").send().await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
}

#[tokio::test]
async fn every_answer_carries_an_id_and_no_answer_may_be_sniffed_or_cached() {
    let server = Server::new().await;
    for path in ["/version", "/v1/sessions", "/nowhere", "/v1/sessions/x"] {
        let answer = server.get(path).send().await;
        assert_eq!(answer.header("x-amzn-requestid").len(), 36, "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin");
    }
}

#[tokio::test]
async fn heads_that_are_too_large_end_at_the_server() {
    let server = Server::new().await;
    let answer = server.get("/version").header("x-large", &"x".repeat(100_000)).send().await;
    assert_eq!(answer.status, 431);
    let mut call = server.get("/version");
    for n in 0..500 {
        call = call.header(&format!("x-{n}"), "1");
    }
    assert_eq!(call.send().await.status, 431);
    let answer = server.get(&format!("/{}", "x".repeat(60_000))).send().await;
    assert!([404, 414, 431].contains(&answer.status.as_u16()), "{}", answer.status);
}

#[tokio::test]
async fn other_methods_and_override_headers_change_nothing() {
    let server = Server::new().await;
    let path = format!("/code-interpreters/{KEY}/sessions/start");
    for method in ["OPTIONS", "TRACE", "POST", "GET", "DELETE"] {
        let answer = server.request(method, &path).header("x-http-method-override", "PUT").send().await;
        assert_eq!(answer.status, 404, "{method}");
    }
    assert_eq!(server.backend.counts().starts, 0);
}
