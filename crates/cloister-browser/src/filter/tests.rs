//! What the filter lets through, changes and refuses.

use super::*;
use cloister_core::policy::Policy;
use serde_json::{Value, json};

fn check_as(role: Role, method: &str, params: &Value) -> Verdict {
    let filter =
        Filter::new(Arc::new(Table::built_in().unwrap()), "/workspace", &Policy::built_in("x").browser);
    let params = serde_json::value::to_raw_value(params).unwrap();
    filter.check(role, method, Some(&params), |stream| stream == "7")
}

fn check(method: &str, params: Value) -> Verdict {
    check_as(Role::Driver, method, &params)
}

fn changed(method: &str, params: Value) -> Value {
    match check(method, params) {
        Verdict::Changed(text) => serde_json::from_str(&text).unwrap(),
        other => panic!("{method}: {other:?}"),
    }
}

fn refused(method: &str, params: Value) -> String {
    match check(method, params) {
        Verdict::Refused(sentence) => sentence,
        other => panic!("{method}: {other:?}"),
    }
}

#[test]
fn an_unknown_method_is_denied() {
    for method in ["Page.teleport", "Nothing.enable", "", "page.navigate", "Page.Navigate", "Page.navigate "]
    {
        assert!(refused(method, json!({})).contains("not known"), "{method}");
    }
}

#[test]
fn a_denied_method_says_why() {
    for method in [
        "Browser.crash",
        "Browser.crashGpuProcess",
        "Browser.executeBrowserCommand",
        "Browser.getBrowserCommandLine",
        "Extensions.loadUnpacked",
        "Network.loadNetworkResource",
        "PWA.install",
        "Security.handleCertificateError",
        "SystemInfo.getInfo",
        "Target.exposeDevToolsProtocol",
        "Target.sendMessageToTarget",
        "Target.setRemoteLocations",
        "Tethering.bind",
        "FileSystem.getDirectory",
    ] {
        assert!(refused(method, json!({})).contains("denied by the CDP policy"), "{method}");
    }
}

#[test]
fn scripts_and_input_pass_as_they_are() {
    for method in
        ["Runtime.evaluate", "Input.dispatchMouseEvent", "Page.captureScreenshot", "DOM.getDocument"]
    {
        assert_eq!(check(method, json!({"x": 1})), Verdict::Pass, "{method}");
    }
}

#[test]
fn a_file_url_is_refused_wherever_a_url_can_be_named() {
    let params = json!({"url": "file:///etc/passwd", "requestId": "1"});
    for method in ["Page.navigate", "Target.createTarget", "Fetch.continueRequest"] {
        assert!(refused(method, params.clone()).contains("file:"), "{method}");
    }
    refused("Page.navigate", json!({}));
    refused("Page.navigate", json!({"url": 7}));
    refused("Page.navigate", json!([]));
    assert_eq!(changed("Target.createTarget", json!({"url": ""})), json!({"url": ""}));
}

#[test]
fn what_is_passed_on_is_what_was_checked() {
    let filter =
        Filter::new(Arc::new(Table::built_in().unwrap()), "/workspace", &Policy::built_in("x").browser);
    let twice = r#"{"url":"file:///etc/passwd","url":"https://example.com/"}"#.to_owned();
    let params = RawValue::from_string(twice).unwrap();
    let verdict = filter.check(Role::Driver, "Page.navigate", Some(&params), |_| false);
    assert_eq!(verdict, Verdict::Changed(r#"{"url":"https://example.com/"}"#.to_owned()));
}

#[test]
fn downloads_go_to_the_session_s_folder_whatever_the_client_says() {
    for behavior in ["allow", "allowAndName", "default"] {
        for method in ["Browser.setDownloadBehavior", "Page.setDownloadBehavior"] {
            let params = changed(
                method,
                json!({"behavior": behavior, "downloadPath": "/etc", "browserContextId": "C"}),
            );
            let path = "/workspace/downloads";
            assert_eq!(params["downloadPath"], path);
            assert_eq!(params["behavior"], "allowAndName");
            assert_eq!(params["browserContextId"], "C");
        }
    }
    let deny = changed("Browser.setDownloadBehavior", json!({"behavior": "deny"}));
    assert_eq!(deny, json!({"behavior": "deny"}));
}

#[test]
fn only_files_of_the_session_can_be_uploaded_and_none_can_be_dropped() {
    let params = changed("DOM.setFileInputFiles", json!({"files": ["a.txt"], "nodeId": 1}));
    assert_eq!(params, json!({"files": ["/workspace/a.txt"], "nodeId": 1}));
    refused("DOM.setFileInputFiles", json!({"files": ["a.txt", "/etc/passwd"]}));
    refused("DOM.setFileInputFiles", json!({"files": "/etc/passwd"}));
    assert!(
        refused("DOM.setFileInputFiles", json!({"files": ["file:///workspace/a.txt"]})).contains("is a URL")
    );
    for files in [json!(["/etc/passwd"]), json!(["a.txt"]), json!("a.txt")] {
        refused("Input.dispatchDragEvent", json!({"data": {"items": [], "files": files}}));
    }
    changed("Input.dispatchDragEvent", json!({"data": {"items": [], "files": []}}));
    changed("Input.dispatchDragEvent", json!({"data": {"items": []}}));
}

#[test]
fn a_dropped_url_is_a_navigation() {
    let drop = |kind: &str, text: &str| json!({"data": {"items": [{"mimeType": kind, "data": text}]}});
    for (kind, text) in [
        ("text/uri-list", "file:///etc/passwd"),
        ("TEXT/URI-LIST", "file:///etc/passwd"),
        ("text/uri-list", "http://example.com/\r\nfile:///etc/passwd"),
        ("text/uri-list", "#\nfile:///etc/passwd"),
        ("text/x-moz-url", "chrome://version"),
    ] {
        refused("Input.dispatchDragEvent", drop(kind, text));
    }
    changed("Input.dispatchDragEvent", drop("text/uri-list", "https://example.com/"));
    changed("Input.dispatchDragEvent", drop("text/uri-list", ""));
    changed("Input.dispatchDragEvent", drop("text/plain", "file:///etc/passwd"));
}

#[test]
fn a_context_has_no_proxy_of_its_own_and_certificates_count() {
    changed("Target.createBrowserContext", json!({"disposeOnDetach": true}));
    refused("Target.createBrowserContext", json!({"proxyServer": "http://example.com:1"}));
    refused("Target.createBrowserContext", json!({"originsWithUniversalNetworkAccess": ["http://a"]}));
    refused("Security.setIgnoreCertificateErrors", json!({"ignore": true}));
    refused("Security.setOverrideCertificateErrors", json!({"override": true}));
    changed("Security.setIgnoreCertificateErrors", json!({"ignore": false}));
}

#[test]
fn sessions_are_flat_so_that_no_message_travels_inside_of_another() {
    for method in ["Target.attachToTarget", "Target.setAutoAttach"] {
        assert_eq!(changed(method, json!({"flatten": false}))["flatten"], true);
        assert_eq!(changed(method, json!({}))["flatten"], true);
    }
}

#[test]
fn pages_are_given_no_devices() {
    changed("Browser.grantPermissions", json!({"permissions": ["geolocation", "clipboardReadWrite"]}));
    refused("Browser.grantPermissions", json!({"permissions": ["geolocation", "videoCapture"]}));
    refused("Browser.setPermission", json!({"permission": {"name": "camera"}, "setting": "granted"}));
    changed("Browser.setPermission", json!({"permission": {"name": "camera"}, "setting": "denied"}));
    // The browser does not read `setting` here.
    refused("Browser.grantPermissions", json!({"permissions": ["videoCapture"], "setting": "denied"}));
}

#[test]
fn a_stream_is_read_by_the_client_that_it_was_given_to() {
    changed("IO.read", json!({"handle": "7"}));
    refused("IO.read", json!({"handle": "8"}));
    refused("IO.close", json!({"handle": "8"}));
    refused("IO.read", json!({}));
}

#[test]
fn a_trace_goes_to_a_stream() {
    let params =
        changed("Tracing.start", json!({"transferMode": "ReportEvents", "tracingBackend": "system"}));
    assert_eq!(params, json!({"transferMode": "ReturnAsStream"}));
}

#[test]
fn an_observer_sees_and_does_nothing() {
    for method in
        ["Runtime.evaluate", "Page.navigate", "Input.insertText", "Browser.close", "Network.getCookies"]
    {
        assert!(matches!(check_as(Role::Observer, method, &json!({})), Verdict::Refused(_)), "{method}");
    }
    // With it on, a dialog waits for an answer, which an observer may not give. The other one resizes the page.
    for method in ["Page.enable", "Page.captureScreenshot"] {
        assert!(matches!(check_as(Role::Observer, method, &json!({})), Verdict::Refused(_)), "{method}");
    }
    assert_eq!(check_as(Role::Observer, "Page.startScreencast", &json!({})), Verdict::Pass);
}

#[test]
fn closing_the_browser_means_to_go() {
    assert_eq!(check("Browser.close", json!({})), Verdict::Disconnect);
}

fn check_under(rules: &BrowserRules, method: &str, params: Value) -> Verdict {
    let filter = Filter::new(Arc::new(Table::built_in().unwrap()), "/workspace", rules);
    let params = serde_json::value::to_raw_value(&params).unwrap();
    filter.check(Role::Driver, method, Some(&params), |_| true)
}

#[test]
fn a_session_that_only_looks_takes_no_input_no_script_no_file_and_no_page_of_its_clients() {
    let rules = BrowserRules { read_only: true, ..Policy::built_in("x").browser };
    for (method, params) in [
        ("Input.dispatchMouseEvent", json!({})),
        ("Input.insertText", json!({ "text": "x" })),
        ("Runtime.evaluate", json!({ "expression": "1" })),
        ("Page.reload", json!({ "scriptToEvaluateOnLoad": "1" })),
        ("Page.addScriptToEvaluateOnNewDocument", json!({ "source": "1" })),
        ("DOM.setFileInputFiles", json!({ "files": ["a"] })),
        ("DOM.setOuterHTML", json!({})),
        ("Network.setCookie", json!({})),
        ("Page.navigate", json!({ "url": "data:text/html,<script>1</script>" })),
        ("Target.createTarget", json!({ "url": "data:text/html,x" })),
    ] {
        assert!(matches!(check_under(&rules, method, params), Verdict::Refused(_)), "{method}");
    }
    for (method, params) in [
        ("Page.navigate", json!({ "url": "https://example.com/" })),
        ("Page.captureScreenshot", json!({})),
        ("DOM.getDocument", json!({})),
        ("Target.setAutoAttach", json!({ "autoAttach": true })),
        ("Page.startScreencast", json!({})),
    ] {
        assert!(!matches!(check_under(&rules, method, params), Verdict::Refused(_)), "{method}");
    }
}

#[test]
fn a_session_without_downloads_denies_them_whatever_a_client_says() {
    let rules = BrowserRules { downloads: false, ..Policy::built_in("x").browser };
    for method in ["Browser.setDownloadBehavior", "Page.setDownloadBehavior"] {
        match check_under(&rules, method, json!({ "behavior": "allow", "downloadPath": "/x" })) {
            Verdict::Changed(text) => {
                assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["behavior"], "deny");
            }
            other => panic!("{other:?}"),
        }
    }
}
