//! The browser operations of the AWS service, but for the actions: starts, records, limits, streams' status.

use crate::aws::{conforms, error, fields};
use crate::server::{Answer, BROWSER, Call, KEY, Server};
use cloister_core::backend::StartError;
use cloister_core::browser::{Proxies, UpstreamProxy, Viewport};
use serde_json::{Value, json};

impl Server {
    pub fn start_browser(&self, body: Value) -> Call {
        self.request("PUT", &format!("/browsers/{BROWSER}/sessions/start")).json(body)
    }

    /// A browser session over the AWS door.
    pub async fn browser_session(&self) -> String {
        let answer = self.start_browser(json!({})).send().await;
        conforms("StartBrowserSession", &answer)["sessionId"].as_str().unwrap().to_owned()
    }

    pub fn get_browser(&self, id: &str) -> Call {
        self.get(&format!("/browsers/{BROWSER}/sessions/get?sessionId={id}"))
    }

    pub fn list_browsers(&self, body: Value) -> Call {
        self.request("POST", &format!("/browsers/{BROWSER}/sessions/list")).json(body)
    }

    pub async fn stop_browser(&self, id: &str) -> Answer {
        let path = format!("/browsers/{BROWSER}/sessions/stop?sessionId={id}");
        self.request("PUT", &path).json(json!({})).send().await
    }

    pub async fn set_stream(&self, id: &str, status: &str) -> Answer {
        let path = format!("/browsers/{BROWSER}/sessions/streams/update?sessionId={id}");
        let body = json!({ "streamUpdate": { "automationStreamUpdate": { "streamStatus": status } } });
        self.request("PUT", &path).json(body).send().await
    }
}

#[tokio::test]
async fn a_browser_session_lives_from_start_to_stop_in_the_models_shapes() {
    let server = Server::new().await;
    let body = json!({ "name": "form", "viewPort": { "width": 1280, "height": 720 } });
    let started = conforms("StartBrowserSession", &server.start_browser(body).send().await);
    let id = started["sessionId"].as_str().unwrap();
    let place = format!("{}/browser-streams/{BROWSER}/sessions/{id}", server.address);
    let automation = &started["streams"]["automationStream"];
    assert_eq!(automation["streamEndpoint"], format!("ws://{place}/automation"));
    assert_eq!(automation["streamStatus"], "ENABLED");
    assert_eq!(started["streams"]["liveViewStream"]["streamEndpoint"], format!("http://{place}/live-view"));

    let got = conforms("GetBrowserSession", &server.get_browser(id).send().await);
    assert_eq!((&got["name"], &got["status"]), (&json!("form"), &json!("READY")));
    assert_eq!((&got["sessionTimeoutSeconds"], &got["viewPort"]["width"]), (&json!(3600), &json!(1280)));
    assert_eq!(got["streams"], started["streams"]);
    assert_eq!(
        server.browsers.last_spec().unwrap().viewport,
        Viewport { width: 1280, height: 720 },
        "the backend is told"
    );

    let listed = conforms("ListBrowserSessions", &server.list_browsers(json!({})).send().await);
    assert_eq!(listed["items"][0]["sessionId"], id);
    for _ in 0..2 {
        conforms("StopBrowserSession", &server.stop_browser(id).await);
    }
    let got = conforms("GetBrowserSession", &server.get_browser(id).send().await);
    assert_eq!((&got["status"], got.get("streams")), (&json!("TERMINATED"), None));
    let listed = server.list_browsers(json!({ "status": "TERMINATED" })).send().await;
    assert_eq!(conforms("ListBrowserSessions", &listed)["items"][0]["status"], "TERMINATED");
    assert_eq!(server.browsers.counts().live, 0);
}

#[tokio::test]
async fn every_limit_of_a_start_is_enforced_and_every_bad_member_is_named() {
    let server = Server::new().await;
    for (body, wanted) in [
        (json!({ "viewPort": { "width": 319, "height": 2161 } }), vec!["viewPort.width", "viewPort.height"]),
        (json!({ "viewPort": { "width": 3841 } }), vec!["viewPort.width", "viewPort.height"]),
        (json!({ "sessionTimeoutSeconds": 28_801 }), vec!["sessionTimeoutSeconds"]),
        (json!({ "name": "" }), vec!["name"]),
        (json!({ "viewport": {} }), vec!["viewport"]),
        (json!({ "proxyConfiguration": { "proxies": [] } }), vec!["proxyConfiguration.proxies"]),
        (
            json!({ "proxyConfiguration": { "proxies": [{ "externalProxy": { "server": "a b", "port": 0 } }] } }),
            vec![
                "proxyConfiguration.proxies[0].externalProxy.server",
                "proxyConfiguration.proxies[0].externalProxy.port",
            ],
        ),
    ] {
        assert_eq!(fields(&server.start_browser(body.clone()).send().await), wanted, "{body}");
    }
    assert_eq!(server.browsers.counts().starts, 0, "bad requests reach no backend");
}

#[tokio::test]
async fn members_that_need_aws_resources_are_refused_by_name() {
    let server = Server::new().await;
    let s3 = json!({ "location": { "s3": { "bucket": "bucket", "prefix": "x" } } });
    let secret = "arn:aws:secretsmanager:us-west-2:123456789012:secret:x-AbCdEf";
    let certificate = json!({ "location": { "secretsManager": { "secretArn": secret } } });
    let proxy = json!({ "externalProxy": { "server": "proxy.example.com", "port": 3128,
        "credentials": { "basicAuth": { "secretArn": secret } } } });
    for (body, wanted) in [
        (json!({ "extensions": [s3] }), "extensions"),
        (json!({ "enterprisePolicies": [s3] }), "enterprisePolicies"),
        (json!({ "certificates": [certificate] }), "certificates"),
        (
            json!({ "profileConfiguration": { "profileIdentifier": "mine-abcdefghij" } }),
            "profileConfiguration",
        ),
        (
            json!({ "proxyConfiguration": { "proxies": [proxy] } }),
            "proxyConfiguration.proxies[0].externalProxy.credentials",
        ),
    ] {
        let answer = server.start_browser(body).send().await;
        assert_eq!(fields(&answer), [wanted]);
        assert!(answer.text().contains("does not support this member"), "{answer:?}");
    }
    assert_eq!(server.browsers.counts().starts, 0);
}

#[tokio::test]
async fn proxies_reach_the_backend_and_come_back() {
    let server = Server::new().await;
    let configuration = json!({
        "proxies": [{ "externalProxy": { "server": "proxy.example.com", "port": 3128, "domainPatterns": [".example.com"] } }],
        "bypass": { "domainPatterns": ["local.example.com"] },
    });
    let started = server.start_browser(json!({ "proxyConfiguration": configuration })).send().await;
    let id = conforms("StartBrowserSession", &started)["sessionId"].as_str().unwrap().to_owned();
    let wanted = Proxies {
        upstream: vec![UpstreamProxy {
            server: "proxy.example.com".into(),
            port: 3128,
            domains: vec![".example.com".into()],
        }],
        bypass: vec!["local.example.com".into()],
    };
    assert_eq!(server.browsers.last_spec().unwrap().proxies, wanted);
    let got = conforms("GetBrowserSession", &server.get_browser(&id).send().await);
    assert_eq!(got["proxyConfiguration"], configuration);
}

#[tokio::test]
async fn an_identifier_of_one_kind_is_unknown_to_the_operations_of_the_other() {
    let server = Server::new().await;
    let (code, browser) = (server.aws_session().await, server.browser_session().await);
    for (method, path) in [
        ("PUT", format!("/browsers/{KEY}/sessions/start")),
        ("GET", format!("/browsers/{KEY}/sessions/get?sessionId={code}")),
        ("GET", format!("/browsers/{BROWSER}/sessions/get?sessionId={code}")),
        ("POST", format!("/browsers/{KEY}/sessions/list")),
        ("PUT", format!("/browsers/{KEY}/sessions/stop?sessionId={code}")),
        ("PUT", format!("/code-interpreters/{BROWSER}/sessions/start")),
        ("GET", format!("/code-interpreters/{BROWSER}/sessions/get?sessionId={browser}")),
        ("GET", format!("/code-interpreters/{KEY}/sessions/get?sessionId={browser}")),
        ("POST", format!("/code-interpreters/{BROWSER}/sessions/list")),
        ("PUT", format!("/code-interpreters/{BROWSER}/sessions/stop?sessionId={browser}")),
        ("PUT", "/browsers/nobodys-abcdefghij/sessions/start".into()),
    ] {
        let call = server.request(method, &path);
        let call = if method == "GET" { call } else { call.json(json!({})) };
        error("ResourceNotFoundException", &call.send().await);
    }
    let tool = server.invoke(&browser, "executeCode", json!({ "language": "python", "code": "print 1" }));
    error("ResourceNotFoundException", &tool.send().await);
}

#[tokio::test]
async fn arns_and_ids_mean_the_same_browser() {
    let server = Server::new().await;
    let arn = "arn%3Aaws%3Abedrock-agentcore%3Aus-west-2%3Aaws%3Abrowser%2Faws.browser.v1";
    let path = format!("/browsers/{arn}/sessions/start");
    let started = conforms("StartBrowserSession", &server.request("PUT", &path).json(json!({})).send().await);
    assert_eq!(
        started["browserIdentifier"],
        "arn:aws:bedrock-agentcore:us-west-2:aws:browser/aws.browser.v1"
    );
    let id = started["sessionId"].as_str().unwrap();
    conforms("GetBrowserSession", &server.get_browser(id).send().await);
    let wrong = "/browsers/arn%3Aaws%3As3%3A%3A%3Ax/sessions/start";
    assert_eq!(fields(&server.request("PUT", wrong).json(json!({})).send().await), ["browserIdentifier"]);
}

#[tokio::test]
async fn a_client_token_starts_one_browser_and_no_other() {
    let server = Server::new().await;
    let token = "a".repeat(36);
    let start = |width| {
        server.start_browser(json!({ "clientToken": token, "viewPort": { "width": width, "height": 720 } }))
    };
    let first = conforms("StartBrowserSession", &start(1280).send().await);
    let again = conforms("StartBrowserSession", &start(1280).send().await);
    assert_eq!(first["sessionId"], again["sessionId"]);
    let other = error("ValidationException", &start(1000).send().await);
    assert_eq!(other["reason"], "IdempotentParameterMismatchException");
    assert_eq!(server.browsers.counts().starts, 1);
}

#[tokio::test]
async fn control_is_taken_and_given_back() {
    let server = Server::new().await;
    let id = server.browser_session().await;
    for status in ["DISABLED", "DISABLED", "ENABLED"] {
        let updated = conforms("UpdateBrowserStream", &server.set_stream(&id, status).await);
        assert_eq!(updated["streams"]["automationStream"]["streamStatus"], status);
        let got = conforms("GetBrowserSession", &server.get_browser(&id).send().await);
        assert_eq!(got["streams"]["automationStream"]["streamStatus"], status);
    }
    let wrong = fields(&server.set_stream(&id, "OFF").await);
    assert_eq!(wrong, ["streamUpdate.automationStreamUpdate.streamStatus"]);
    server.stop_browser(&id).await;
    error("ResourceNotFoundException", &server.set_stream(&id, "ENABLED").await);
}

#[tokio::test]
async fn a_server_without_the_image_says_how_to_make_it_and_still_runs_code() {
    let server = Server::new().await;
    let missing = StartError::Image { image: "browser".into(), what: "there is no such image".into() };
    server.browsers.fail_next_start(missing);
    let body = error("InternalServerException", &server.start_browser(json!({})).send().await);
    assert!(body["message"].as_str().unwrap().contains("make images"), "{body}");
    let listed = conforms("ListBrowserSessions", &server.list_browsers(json!({})).send().await);
    assert_eq!(listed["items"], json!([]), "a session that never was leaves no record");
    server.aws_session().await;
}

#[tokio::test]
async fn what_is_not_built_is_a_typed_error() {
    let server = Server::new().await;
    for (method, path) in [
        ("PUT", "/browser-profiles/mine-abcdefghij/save"),
        ("PUT", "/browsers"),
        ("GET", "/browsers/aws.browser.v1"),
    ] {
        let call = server.request(method, path);
        let call = if method == "GET" { call } else { call.json(json!({})) };
        let answer = call.send().await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("x-amzn-errortype")),
            (501, "UnknownOperationException")
        );
    }
}
