//! What a policy says of browser sessions, on a real Chromium: who may only look does nothing else, and what is not to be saved is not.

use crate::cdp_rig::{Client, backend, spec};
use cloister_core::browser::page::{Format, LoadState, Step};
use cloister_core::browser::{Action, ActionResult, Browser, BrowserBackend, Role};
use cloister_core::policy::{BrowserRules, Policy};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// Runs `test` with a session under such rules, then checks that nothing is left.
async fn under(change: impl FnOnce(&mut BrowserRules), test: impl AsyncFnOnce(&Arc<dyn Browser>)) {
    let Some((rig, backend)) = backend(0) else { return };
    let mut spec = spec(&rig);
    let mut policy = Policy::clone(&spec.policy);
    change(&mut policy.browser);
    spec.policy = Arc::new(policy);
    let browser = backend.start(spec).await.unwrap();
    test(&browser).await;
    let report = browser.stop(Duration::from_secs(2)).await;
    assert!(report.left_behind.is_empty(), "{:?}", report.left_behind);
    backend.shutdown().await;
    rig.end().await;
}

/// The code of the last step's failure; `None` if all went well.
async fn failure(browser: &Arc<dyn Browser>, steps: Vec<Step>) -> Option<&'static str> {
    let performed = browser.perform(steps, Duration::from_secs(30)).await.unwrap();
    performed.last().unwrap().result.as_ref().err().map(|error| error.code)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_only_looks_goes_to_pages_and_pictures_them_and_does_nothing_there() {
    let read_only = |rules: &mut BrowserRules| rules.read_only = true;
    under(read_only, async |browser| {
        let goes = |url: &str| Step::Navigate { url: url.to_owned(), wait: LoadState::Load };
        let picture = Step::Screenshot { selector: None, full_page: false, format: Format::Png, path: None };
        assert_eq!(failure(browser, vec![goes("about:blank"), Step::Snapshot, picture]).await, None);
        for step in [
            goes("data:text/html,<script>document.title = 'mine'</script>"),
            Step::OpenTab { url: Some("data:text/html,x".into()) },
            Step::Evaluate { expression: "1".into() },
            Step::Press { key: "Enter".into() },
            Step::ClearCookies,
        ] {
            assert_eq!(failure(browser, vec![step.clone()]).await, Some("denied"), "{step:?}");
        }
        let typed = browser.act(Action::KeyType { text: "x".into() }).await.unwrap();
        assert!(
            matches!(&typed, ActionResult::Failed { error } if error.contains("browser.read_only")),
            "{typed:?}"
        );
        assert!(matches!(
            browser.act(Action::Screenshot).await.unwrap(),
            ActionResult::Success { data: Some(_) }
        ));

        for role in [Role::Driver, Role::Human] {
            let mut client = Client::connect(browser, role).await;
            let page = client.first_page().await;
            let session = client.attach(&page).await;
            for (method, params) in [
                ("Runtime.evaluate", json!({ "expression": "1" })),
                ("Input.insertText", json!({ "text": "x" })),
                ("Page.navigate", json!({ "url": "data:text/html,x" })),
                ("DOM.setFileInputFiles", json!({ "files": ["a"] })),
            ] {
                let answer = client.call(Some(&session), method, params).await;
                assert!(answer.get("error").is_some(), "{method}: {answer}");
            }
            let answer = client.call(Some(&session), "Page.captureScreenshot", json!({})).await;
            assert!(answer["result"]["data"].is_string(), "{answer}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_without_downloads_saves_nothing_whatever_its_client_asks_for() {
    let without = |rules: &mut BrowserRules| rules.downloads = false;
    under(without, async |browser| {
        let mut client = Client::connect(browser, Role::Driver).await;
        let page = client.first_page().await;
        let session = client.attach(&page).await;
        let params = json!({ "behavior": "allow", "downloadPath": "/workspace", "eventsEnabled": true });
        let answer = client.call(None, "Browser.setDownloadBehavior", params).await;
        assert!(answer.get("error").is_none(), "{answer}");
        client
            .evaluate(
                &session,
                r"(() => { const a = document.createElement('a'); a.href = URL.createObjectURL(new Blob(['x']));
                   a.download = 'x.csv'; a.click(); })()",
            )
            .await;
        let state = loop {
            let progress = client.event("Browser.downloadProgress").await;
            if progress["state"] != "inProgress" {
                break progress["state"].clone();
            }
        };
        assert_eq!(state, "canceled");
    })
    .await;
}
