//! BRW, the protocol as a whole: every command there is, profiles that are brought along, and the two places that judge where a page goes.

use crate::attacks_canary::{PUBLIC, until};
use crate::attacks_world::{Engine, Making, in_both_worlds, in_world, in_world_of};
use serde_json::{Value, json};

/// Values that are a place of the machine, a way out, or nothing of the kind that is due.
fn hostile() -> [Value; 4] {
    let text = |text: &str| {
        json!({
            "url": text, "path": text, "file": text, "files": [text], "downloadPath": text, "origin": text, "targetId": text, "frameId": text,
            "sessionId": text, "handle": text, "stream": text, "name": text, "value": text, "expression": text, "browserContextId": text,
            "proxyServer": text, "host": text, "manifestId": text, "installUrlOrBundleUrl": text, "id": text, "requestId": text,
            "behavior": "allow", "format": "png", "enabled": true, "eventsEnabled": true
        })
    };
    [
        json!({}),
        text("file:///etc/passwd"),
        text("http://169.254.169.254/latest/"),
        json!({"url": 7, "path": [], "files": "x", "params": {}}),
    ]
}

/// BRW-07, BRW-11: every command of the protocol, classified or not, with nothing and with what a hostile client would give.
#[test]
fn every_command_of_the_protocol_does_what_its_class_says_and_reaches_nothing() {
    let methods: Value = serde_json::from_str(include_str!("../../policies/cdp/methods.json")).unwrap();
    let rules = methods["rules"].as_array().unwrap().clone();
    in_world(&[], async move |world| {
        let mut tried = 0;
        for rule in &rules {
            let (domain, action) = (rule["domain"].as_str().unwrap(), rule["action"].as_str().unwrap());
            // A browser of its own for each, since commands leave it in odd states.
            let session = world.session();
            let mut tab = world.client(&session).await;
            tab.navigate(&format!("http://{PUBLIC}/start")).await;
            for method in rule["methods"].as_array().unwrap() {
                let name = format!("{domain}.{}", method.as_str().unwrap());
                // These end the client, its page, or its turn, as they are to.
                let ends = [
                    "Browser.close",
                    "Page.close",
                    "Page.crash",
                    "Target.closeTarget",
                    "Debugger.pause",
                    "Target.detachFromTarget",
                    "Target.attachToBrowserTarget",
                    "Emulation.setScriptExecutionDisabled",
                    "Page.setWebLifecycleState",
                    "Debugger.stepInto",
                    "Emulation.setVirtualTimePolicy",
                    "HeadlessExperimental.beginFrame",
                    "Browser.getWindowForTarget",
                ];
                if ends.contains(&name.as_str()) || (action == "allow" && domain == "HeapProfiler") {
                    continue;
                }
                for params in hostile() {
                    tab.send_only(&name, params).await;
                    tried += 1;
                }
                let answers = tab.settle().await;
                for answer in &answers {
                    let text = answer.to_string();
                    assert!(
                        !text.contains("root:x:") && !text.contains("the canary of 169"),
                        "{name}: {text:.300}"
                    );
                }
                if action == "deny" {
                    let denied = |answer: &&Value| {
                        answer["error"]["message"].as_str().is_some_and(|said| said.contains("CDP policy"))
                    };
                    let done: Vec<&Value> = answers.iter().filter(|answer| !denied(answer)).collect();
                    assert!(done.is_empty(), "{name}: {done:?}");
                }
            }
            let files = world
                .server
                .request("GET", &format!("/v1/sessions/{session}/files?path=."), &[], None)
                .json();
            assert!(
                files["entries"].is_array() && !files.to_string().contains("passwd"),
                "{domain}: {files}"
            );
            assert_eq!(world.server.detail(&session)["status"], "ready", "{domain}");
            assert_eq!(world.server.stop(&session).status / 100, 2);
        }
        assert!(tried > 2000, "{tried}");
        // Names that are in no list are refused as a whole.
        let session = world.session();
        let mut tab = world.client(&session).await;
        for name in
            ["Page.nextYear", "Next.year", "page.navigate", "Page.navigate\0", "Page", ".", "Page.navigate.x"]
        {
            let answer = tab.call(name, json!({"url": format!("http://{PUBLIC}/unlisted")})).await;
            assert!(answer["error"].is_object(), "{name}: {answer}");
        }
        tab.navigate(&format!("http://{PUBLIC}/end")).await;
        assert!(tab.text().await.contains("the canary of"));
        let mut known = [world.known(), vec![format!("tcp {PUBLIC}:80")]].concat();
        if world.engine == Engine::Full {
            known.push(format!("tcp {PUBLIC}:443"));
        }
        assert_eq!(world.canary.strangers(&known).into_iter().collect::<Vec<_>>(), Vec::<String>::new());
        assert!(!world.canary.asked().iter().any(|asked| asked.contains("/unlisted")));
    });
}

/// BRW-08, BRW-09: programs, arguments, preferences and profiles that a start or a file would bring along.
#[test]
fn no_start_and_no_file_brings_arguments_preferences_or_a_profile() {
    in_both_worlds(&[], async |world| {
        let policy = world.engine.policy();
        for (member, value) in [
            ("args", json!(["--proxy-server=direct://"])),
            ("launchArguments", json!(["--load-extension=/workspace"])),
            ("env", json!({"LD_PRELOAD": "/workspace/x.so"})),
            ("profile", json!({"path": "/workspace/profile"})),
            ("profileConfiguration", json!({"profileIdentifier": "p"})),
            ("preferences", json!({"proxy": {"mode": "direct"}})),
            ("extensions", json!(["/workspace/extension"])),
            ("enterprisePolicies", json!([])),
            ("executablePath", json!("/workspace/chrome")),
            ("userDataDir", json!("/workspace")),
        ] {
            for body in [
                json!({"interpreter": policy, member: value}),
                json!({"interpreter": policy, "browser": {member: value}}),
            ] {
                let answer = world.server.request("POST", "/v1/sessions", &[], Some(body));
                assert_eq!(answer.status, 400, "{member}: {answer:?}");
                assert!(answer.text().contains(member), "{member}: {}", answer.text());
            }
            let body = json!({member: value});
            let path = format!("/browsers/{policy}/sessions/start");
            let answer = world.server.request("PUT", &path, &[], Some(body));
            assert!(
                (400..500).contains(&answer.status)
                    || world.server.processes().iter().all(|process| process.name != "sh"),
                "{member}: {answer:?}"
            );
        }
        // A profile laid where a browser would look for one, by the file tools.
        let session = world.session();
        for (path, text) in [
            ("Default/Preferences", r#"{"protocol_handler": {"excluded_schemes": {"mailto": false}}}"#),
            (
                ".config/chromium/NativeMessagingHosts/x.json",
                r#"{"name": "x", "path": "/bin/sh", "type": "stdio", "allowed_origins": []}"#,
            ),
            (
                ".local/share/applications/mimeapps.list",
                "[Default Applications]\nx-scheme-handler/mailto=sh.desktop",
            ),
            ("extension/manifest.json", r#"{"manifest_version": 3, "name": "x", "version": "1"}"#),
        ] {
            let path = format!("/v1/sessions/{session}/files/{path}");
            let answer = world.server.request("PUT", &path, &[], Some(json!(text)));
            assert_eq!(answer.status / 100, 2, "{answer:?}");
        }
        for outside in [
            "../home/agent/browser/Default/Preferences",
            "/home/agent/browser/Default/Cookies",
            "..%2Fhome%2Fagent%2Fbrowser%2FLocal%20State",
            "%2Fhome%2Fagent%2Fbrowser%2FDefault%2FPreferences",
        ] {
            for method in ["GET", "PUT", "DELETE"] {
                let path = format!("/v1/sessions/{session}/files/{outside}");
                let body = (method == "PUT").then(|| json!("{}"));
                let answer = world.server.request(method, &path, &[], body);
                assert!((400..500).contains(&answer.status), "{method} {outside}: {answer:?}");
            }
        }
        let mut tab = world.client(&session).await;
        tab.navigate(&format!("http://{PUBLIC}/start")).await;
        tab.evaluate("void open('mailto:a@example.test')").await;
        let programs: Vec<String> =
            world.server.processes().into_iter().map(|process| process.name).collect();
        assert!(
            !programs.iter().any(|name| ["sh", "xdg-open", "gio"].contains(&name.as_str())),
            "{programs:?}"
        );
        assert!(
            tab.targets()
                .await
                .iter()
                .all(|target| !target["url"].as_str().unwrap_or_default().starts_with("chrome-extension:"))
        );
        // What is taken is cookies, one by one and typed.
        let body = json!({"actions": [{"setCookies": {"cookies": [{"name": "own", "value": "1", "url": format!("http://{PUBLIC}/")}]}}]});
        let answer =
            world.server.request("POST", &format!("/v1/sessions/{session}/actions"), &[], Some(body));
        assert_eq!(answer.status, 200, "{answer:?}");
    });
}

/// A policy that allows one name and those below another.
const LISTED: (&str, &str) = (
    "listed",
    "[network]\nmode = 'allowlist'\nallowed_domains = ['good.test', '*.wild.test']\ndenied_domains = ['bad.wild.test']",
);

/// URLs, and whether they lead to what the policy lists.
const PLACES: [(&str, bool); 30] = [
    ("http://good.test/", true),
    ("http://GOOD.Test/", true),
    ("http://good.test:80/", true),
    ("http://a.wild.test/", true),
    ("http://a.b.wild.test/", true),
    ("http://evil.test@good.test/", true),
    ("http://good.test/#@evil.test/", true),
    ("http://good.test/?http://evil.test/", true),
    ("http:\\\\good.test\\", true),
    ("http://good%2etest/", true),
    ("http://\u{ff47}ood.test/", true),
    ("http://good.test./", false),
    ("http://wild.test/", false),
    ("http://bad.wild.test/", false),
    ("http://xwild.test/", false),
    ("http://good.test.evil.test/", false),
    ("http://evilgood.test/", false),
    ("http://good.test@evil.test/", false),
    ("http://good.test:80@evil.test/", false),
    ("http://good.test%40evil.test/", false),
    ("http://evil.test\\@good.test/", false),
    ("http://evil.test/@good.test/", false),
    ("http://evil.test#@good.test/", false),
    ("http://evil.test?@good.test/", false),
    ("http://good.test:8080/", false),
    ("http://g\u{043e}od.test/", false),
    ("http://xn--god-sqa.test/", false),
    ("http://good\u{3002}test.evil.test/", false),
    ("http://93.184.215.14/", false),
    ("http://[2606:4700::1]/", false),
];

/// BRW-22: an allow-list, by what a page fetches, what a client opens, what redirects to, and what has no origin of its own.
#[test]
fn an_allow_list_holds_for_every_spelling_and_for_every_way_there() {
    for engine in [Engine::Shell, Engine::Full] {
        in_world_of(Making { engine, policies: &[LISTED], ..Making::USUAL }, async |world| {
            let session = world.session_under("listed");
            let mut tab = world.client(&session).await;
            tab.navigate("http://good.test/start").await;
            let heard = |way: &str| world.canary.asked().iter().any(|asked| asked.contains(way));
            for (n, (place, allowed)) in PLACES.iter().enumerate() {
                let way = |kind: &str| format!("{kind}{n}x");
                // The path stands where this URL has one.
                let cut = place.find(['#', '?']).unwrap_or(place.len());
                let at = |kind: &str| format!("{}{}{}", &place[..cut], way(kind), &place[cut..]);
                tab.evaluate(&format!(
                    "fetch({}, {{mode: 'no-cors', cache: 'no-store'}}).catch(() => 0)",
                    json!(at("fetch"))
                ))
                .await;
                let frame = format!("<script>fetch({}, {{mode: 'no-cors'}})</script>", json!(at("opaque")));
                let script = format!(
                    "new Promise(done => {{ const f = document.createElement('iframe'); f.sandbox = 'allow-scripts'; f.onload = done; f.srcdoc = {}; document.body.append(f); }})",
                    json!(frame)
                );
                tab.evaluate(&script).await;
                let redirect = format!("http://good.test/r/302?to={}", at("moved"));
                tab.evaluate(&format!(
                    "fetch({}, {{mode: 'no-cors', cache: 'no-store'}}).catch(() => 0)",
                    json!(redirect)
                ))
                .await;
                tab.navigate(&at("opened")).await;
                tab.navigate("http://good.test/start").await;
                for kind in ["fetch", "opened"] {
                    // A page may not fetch with somebody's name in the URL.
                    if *allowed && (kind == "opened" || !place.contains("@good")) {
                        until(&format!("{kind} of {place}"), || heard(&way(kind)));
                    } else if !allowed {
                        assert!(!heard(&way(kind)), "{kind} of {place} arrived: {:?}", world.canary.asked());
                    }
                }
                if !allowed {
                    for kind in ["opaque", "moved"] {
                        let arrived = world
                            .canary
                            .asked()
                            .iter()
                            .any(|asked| asked.contains(&way(kind)) && !asked.contains("?to="));
                        assert!(!arrived, "{kind} of {place}");
                    }
                }
            }
            let names = world.canary.names();
            assert!(
                names.iter().all(|name| name.starts_with("good.test ") || name.contains(".wild.test ")),
                "{names:?}"
            );
        });
    }
}
