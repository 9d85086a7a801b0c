//! Access policies over both doors: every route for every role, what a policy of one's own can forbid, and denials that are only
//! logged.

use crate::keys::{Key, TestKeys};
use crate::server::{BROWSER, Call, KEY, Server, Setup};
use cloister_access::{Cedar, PolicyFile};
use cloister_gateway::{Access, AccessMode, Action, ByRole, Role, routes};
use serde_json::{Value, json};
use std::sync::Arc;

const SCHEMA: &str = include_str!("../../policies/access/schema.cedarschema");
const ROLES: &str = include_str!("../../policies/access/roles.cedar");

/// A session that nobody has.
const NOBODYS: &str = "7ZZZZZZZZZZZZZZZZZZZZZZZZZ";

/// The shipped policies, and one of one's own.
fn access(mode: AccessMode, own: &str) -> Access {
    let file = |name: &str, text: &str| PolicyFile { name: name.into(), text: text.into() };
    let files = [file("access/roles.cedar", ROLES), file("access/site.cedar", own)];
    Access { authorizer: Arc::new(Cedar::new(&file("schema", SCHEMA), &files).unwrap()), mode }
}

struct Site {
    server: Server,
    keys: Arc<TestKeys>,
}

impl Site {
    async fn new(mode: AccessMode, own: &str) -> Self {
        let (keys, access) = (TestKeys::new(), access(mode, own));
        let setup = Setup::default().keys(&keys).gateway_too(move |config| config.access = access);
        Self { server: setup.start().await, keys }
    }

    fn key(&self, roles: &[Role]) -> Key {
        self.keys.issue("acme", "ann", roles)
    }

    fn call(&self, key: &Key, method: &str, path: &str) -> Call {
        self.server.request(method, path).header("authorization", &key.bearer())
    }

    async fn post(&self, key: &Key, path: &str, body: Value) -> (u16, String) {
        let answer = self.call(key, "POST", path).json(body).send().await;
        (answer.status.as_u16(), answer.text().to_owned())
    }

    async fn session(&self, key: &Key, body: Value) -> String {
        let (status, text) = self.post(key, "/v1/sessions", body).await;
        assert_eq!(status, 201, "{text}");
        serde_json::from_str::<Value>(&text).unwrap()["id"].as_str().unwrap().to_owned()
    }

    /// `executeCode` over the AWS door.
    async fn aws(&self, key: &Key, id: &str, language: &str) -> (u16, String, String) {
        let call = json!({ "name": "executeCode", "arguments": { "code": "1", "language": language } });
        let request = self.call(key, "POST", &format!("/code-interpreters/{KEY}/tools/invoke"));
        let answer = request.header("x-amzn-code-interpreter-session-id", id).json(call).send().await;
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        (answer.status.as_u16(), answer.header("x-amzn-errortype").to_owned(), body)
    }
}

fn filled(path: &str) -> String {
    let values = [
        ("{codeInterpreterIdentifier}", KEY),
        ("{browserIdentifier}", BROWSER),
        ("{browserId}", BROWSER),
        ("{sessionId}", NOBODYS),
        ("{id}", NOBODYS),
        ("{task}", "t1"),
        ("{n}", "0"),
        ("{path}", "x.txt"),
        ("{file}", "main.js"),
        ("{target}", "T1"),
        ("{denial}", "den_00000000000000000000000000000000"),
    ];
    let filled = values.iter().fold(path.to_owned(), |path, (name, value)| path.replace(name, value));
    assert!(!filled.contains('{'), "{path}: a parameter that this test does not know");
    filled
}

#[tokio::test]
async fn on_every_route_every_role_may_do_what_the_shipped_policies_give_it_and_nothing_else() {
    let site = Site::new(AccessMode::Enforce, "").await;
    let mut asked = 0;
    for roles in [&[][..], &[Role::Viewer], &[Role::User], &[Role::Admin], &[Role::Viewer, Role::User]] {
        let key = site.key(roles);
        for (method, path, action) in routes() {
            let call = site.call(&key, method, &filled(path));
            // A link for control is asked about as such; what is asked of everybody is a link for watching.
            let body = if path.ends_with("/live-view") { json!({ "role": "view" }) } else { json!({}) };
            let call = if method == "GET" { call } else { call.json(body) };
            let answer = call.send().await;
            let may = action == Action::Public || roles.iter().any(|role| *role >= ByRole::least(action));
            assert_eq!(answer.status != 403, may, "{roles:?} {method} {path}: {answer:?}");
            asked += 1;
        }
    }
    assert!(asked > 5 * 45, "{asked}");
}

#[tokio::test]
async fn what_a_policy_forbids_is_forbidden_to_everybody_over_both_doors_and_the_denial_names_it() {
    let own = r#"
        @id("python-only") @advice("write it in Python")
        forbid (principal, action == Action::"InvokeCode", resource) unless { context has language && context.language == "python" };
        @id("short") forbid (principal, action == Action::"StartSession", resource == Interpreter::"aws.codeinterpreter.v1")
            when { context.requestedLimits has timeout && context.requestedLimits.timeout > 600 };
        @id("no-shell") forbid (principal, action == Action::"InvokeCommand", resource);
        @id("hosts") forbid (principal, action == Action::"OpenUrl", resource) unless { context has host && context.host == "a.example" };
        @id("not-from-here") forbid (principal, action == Action::"ForkSession", resource)
            when { context has sourceIp && context.sourceIp.isLoopback() };
    "#;
    let site = Site::new(AccessMode::Enforce, own).await;
    let admin = site.key(&[Role::Admin]);
    let id = site.session(&admin, json!({})).await;
    let (invoke, tasks) = (format!("/v1/sessions/{id}/invoke"), format!("/v1/sessions/{id}/tasks"));

    assert_eq!(site.post(&admin, &invoke, json!({ "code": "1" })).await.0, 200);
    let (status, text) = site.post(&admin, &invoke, json!({ "code": "1", "language": "javascript" })).await;
    assert_eq!(status, 403);
    for part in ["access_denied", "`python-only` (access/site.cedar:2)", "Write it in Python", "den_"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(site.aws(&admin, &id, "python").await.0, 200);
    let (status, name, text) = site.aws(&admin, &id, "typescript").await;
    assert_eq!((status, name.as_str()), (403, "AccessDeniedException"));
    assert!(text.contains("python-only"), "{text}");

    for (path, body) in [(&invoke, json!({ "command": "true" })), (&tasks, json!({ "command": "true" }))] {
        let (status, text) = site.post(&admin, path, body).await;
        assert!(status == 403 && text.contains("`no-shell`"), "{text}");
    }
    let (status, text) = site.post(&admin, &format!("/v1/sessions/{id}/fork"), json!({})).await;
    assert!(status == 403 && text.contains("`not-from-here`"), "{text}");

    let started = site.server.backend.counts().starts;
    let (status, text) = site.post(&admin, "/v1/sessions", json!({ "timeout": 601 })).await;
    assert!(status == 403 && text.contains("`short`"), "{text}");
    for arn in [KEY.to_owned(), format!("arn:aws:bedrock-agentcore:us-west-2:aws:code-interpreter/{KEY}")] {
        let path =
            format!("/code-interpreters/{}/sessions/start", arn.replace(':', "%3A").replace('/', "%2F"));
        let long = site.call(&admin, "PUT", &path).json(json!({ "sessionTimeoutSeconds": 601 }));
        assert_eq!(long.send().await.status, 403, "{arn}");
    }
    assert_eq!(site.server.backend.counts().starts, started, "nothing was started");

    let browser = site.session(&admin, json!({ "browser": {} })).await;
    let acts = site.server.browsers.counts();
    for url in ["http://b.example/", "http://A.EXAMPLE/", "http://a.example\\@b.example/", "about:blank"] {
        let steps = json!({ "actions": [{ "reload": {} }, { "navigate": { "url": url } }] });
        let (status, text) =
            site.post(&admin, &format!("/v1/sessions/{browser}/actions"), steps.clone()).await;
        assert!(status == 403 && text.contains("`hosts`") || status == 400, "{url}: {text}");
        let path = format!("/browsers/{BROWSER}/sessions/streams/update?sessionId={browser}");
        let ours = json!({ "action": { "navigate": { "url": url } } });
        assert!(
            [400, 403].contains(&site.call(&admin, "PUT", &path).json(ours).send().await.status.as_u16())
        );
    }
    assert_eq!(site.server.browsers.counts(), acts, "no page was asked for");
    let steps = json!({ "actions": [{ "navigate": { "url": "http://a.example/" } }] });
    assert_eq!(site.post(&admin, &format!("/v1/sessions/{browser}/actions"), steps).await.0, 200);
}

#[tokio::test]
async fn denials_that_are_only_logged_stop_nobody_but_callers_without_a_role() {
    let own = r#"@id("nothing") forbid (principal, action, resource);"#;
    let site = Site::new(AccessMode::LogOnly, own).await;
    let (viewer, nobody) = (site.key(&[Role::Viewer]), site.key(&[]));
    let id = site.session(&viewer, json!({})).await;
    assert_eq!(site.aws(&viewer, &id, "python").await.0, 200);
    for (method, path, action) in routes().into_iter().filter(|(.., action)| *action != Action::Public) {
        let call = site.call(&nobody, method, &filled(path));
        let call = if method == "GET" { call } else { call.json(json!({})) };
        assert_eq!(call.send().await.status, 403, "{method} {path}: {action:?}");
    }
}

#[tokio::test]
async fn a_link_gives_what_its_maker_may_at_the_moment_and_no_more() {
    let own = r#"@id("hands-off") forbid (principal, action == Action::"ControlBrowser", resource);"#;
    let site = Site::new(AccessMode::Enforce, own).await;
    let user = site.key(&[Role::User]);
    let id = site.session(&user, json!({ "browser": {} })).await;
    let link = format!("/v1/sessions/{id}/live-view");
    let (status, text) = site.post(&user, &link, json!({ "role": "control" })).await;
    assert!(status == 403 && text.contains("`hands-off`"), "{text}");
    let (status, text) = site.post(&user, &link, json!({ "role": "view" })).await;
    assert_eq!(status, 201, "{text}");
    let page = format!("/browser-streams/{BROWSER}/sessions/{id}/live-view");
    let shown = site.call(&user, "GET", &page).send().await;
    assert!(shown.text().contains("data-role=\"view\""), "{shown:?}");
}

#[tokio::test]
async fn a_session_has_one_name_in_policies_however_a_path_spells_it() {
    let site = Site::new(AccessMode::Enforce, "").await;
    let user = site.key(&[Role::User]);
    let id = site.session(&user, json!({})).await;
    let own = format!("@id(\"not-this\") forbid (principal, action, resource == Session::\"{id}\");");
    let access = access(AccessMode::Enforce, &own);
    let setup = Setup::default().keys(&site.keys).gateway_too(move |config| config.access = access);
    let server = setup.start().await;
    let (first, rest) = id.split_at(1);
    let spelt = format!("%{:02X}{rest}", first.as_bytes()[0]);
    for id in [&id, &spelt] {
        for path in [format!("/v1/sessions/{id}"), format!("/v1/sessions/{id}/files/x")] {
            let answer = server.get(&path).header("authorization", &user.bearer()).send().await;
            assert!(answer.status == 403 && answer.text().contains("not-this"), "{path}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn a_page_is_for_control_where_a_policy_allows_it_by_address() {
    let own = r#"@id("here") forbid (principal, action == Action::"ControlBrowser", resource)
        unless { context has sourceIp && context.sourceIp.isInRange(ip("127.0.0.0/8")) };"#;
    let site = Site::new(AccessMode::Enforce, own).await;
    let user = site.key(&[Role::User]);
    let id = site.session(&user, json!({ "browser": {} })).await;
    let page = format!("/browser-streams/{BROWSER}/sessions/{id}/live-view");
    let shown = site.call(&user, "GET", &page).send().await;
    assert!(shown.text().contains("data-role=\"control\""), "{shown:?}");
}
