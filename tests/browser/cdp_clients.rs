//! CDP clients on one jailed browser: they share it, keep apart, come and go.

use crate::cdp_rig::{Client, PLENTY, VIEWPORT, with_session};
use cloister_core::browser::{Browser, BrowserError, Role, StreamStatus};
use cloister_core::command::ToolCall;
use cloister_core::event::{Event, Outcome};
use serde_json::json;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn four_clients_drive_pages_of_their_own_at_once() {
    with_session(async |browser| {
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..4 {
            let browser = browser.clone();
            tasks.spawn(async move {
                let mut client = Client::connect(&browser, Role::Driver).await;
                let (_, session) = client.open("about:blank").await;
                for round in 0..20 {
                    let sum = client.evaluate(&session, &format!("{number} * 1000 + {round}")).await;
                    assert_eq!(sum, number * 1000 + round);
                }
                let shot = client.call(Some(&session), "Page.captureScreenshot", json!({})).await;
                assert!(shot["result"]["data"].as_str().unwrap().starts_with("iVBORw0KGgo"), "a PNG");
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_the_browser_s_machine_cannot_be_opened_or_uploaded() {
    with_session(async |browser| {
        let mut client = Client::connect(browser, Role::Driver).await;
        let (_, session) = client.open("data:text/html,<input type=file id=f>").await;
        for url in
            ["file:///etc/passwd", "view-source:file:///etc/passwd", "chrome://version", "devtools://x"]
        {
            let answer = client.call(Some(&session), "Page.navigate", json!({"url": url})).await;
            assert!(answer["error"]["message"].as_str().unwrap().contains("CDP policy"), "{answer}");
            let answer = client.call(None, "Target.createTarget", json!({"url": url})).await;
            assert!(answer["error"].is_object(), "{answer}");
        }
        let found = client
            .call(Some(&session), "Runtime.evaluate", json!({"expression": "document.querySelector('#f')"}))
            .await;
        let input = found["result"]["result"]["objectId"].clone();
        let params = json!({"files": ["/etc/passwd"], "objectId": input});
        let answer = client.call(Some(&session), "DOM.setFileInputFiles", params).await;
        assert!(
            answer["error"]["message"].as_str().unwrap().contains("not a file of this session"),
            "{answer}"
        );
        assert_eq!(client.evaluate(&session, "document.querySelector('#f').files.length").await, 0);
        assert_eq!(client.evaluate(&session, "location.protocol").await, "data:");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_of_the_default_context_has_the_session_s_viewport_also_after_a_client_changed_it() {
    with_session(async |browser| {
        let size = "[innerWidth, innerHeight, screen.width, screen.height]";
        let ours = json!([VIEWPORT.width, VIEWPORT.height, VIEWPORT.width, VIEWPORT.height]);
        let mut client = Client::connect(browser, Role::Driver).await;
        let first = client.first_page().await;
        let session = client.attach(&first).await;
        assert_eq!(client.evaluate(&session, size).await, ours);
        let (later, session_later) = client.open("about:blank").await;
        wait_for(&mut client, &session_later, size, &ours).await;
        let metrics = json!({"width": 400, "height": 300, "deviceScaleFactor": 1, "mobile": false});
        client.call(Some(&session), "Emulation.setDeviceMetricsOverride", metrics).await;
        assert_eq!(client.evaluate(&session, "[innerWidth, innerHeight]").await, json!([400, 300]));
        drop(client);
        let mut next = Client::connect(browser, Role::Driver).await;
        for target in [first, later] {
            let session = next.attach(&target).await;
            wait_for(&mut next, &session, size, &ours).await;
        }
    })
    .await;
}

/// A new page gets its size a moment after it opens.
async fn wait_for(client: &mut Client, session: &str, expression: &str, wanted: &serde_json::Value) {
    let arrives = async {
        while client.evaluate(session, expression).await != *wanted {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PLENTY, arrives).await.expect("the size arrives");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_s_close_leaves_the_browser_to_the_next_one() {
    with_session(async |browser| {
        let mut client = Client::connect(browser, Role::Driver).await;
        let page = client.first_page().await;
        assert!(client.call(None, "Browser.close", json!({})).await["result"].is_object());
        assert_eq!(client.message().await.unwrap_err().0, 1000);
        let mut next = Client::connect(browser, Role::Driver).await;
        assert_eq!(next.first_page().await, page, "the same page is still there");
        next.call(None, "Target.setDiscoverTargets", json!({"discover": true})).await;
        next.call(None, "Target.closeTarget", json!({"targetId": page})).await;
        next.event("Target.targetDestroyed").await;
        drop(next);
        let mut last = Client::connect(browser, Role::Driver).await;
        assert_ne!(last.first_page().await, page, "a client finds a page even when the last one was closed");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_stream_closes_its_drivers_and_lets_them_in_again_when_enabled() {
    with_session(async |browser| {
        let mut client = Client::connect(browser, Role::Driver).await;
        browser.set_stream(StreamStatus::Disabled);
        assert_eq!(client.message().await.unwrap_err().0, 4003);
        assert!(matches!(browser.connect(Role::Driver, None).await, Err(BrowserError::StreamDisabled)));
        let mut human = Client::connect(browser, Role::Human).await;
        human.first_page().await;
        browser.set_stream(StreamStatus::Enabled);
        Client::connect(browser, Role::Driver).await.first_page().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_can_be_a_client_s_root() {
    with_session(async |browser| {
        let targets = browser.targets().await.unwrap();
        let id = targets[0]["id"].as_str().unwrap().to_owned();
        assert_eq!(targets[0]["type"], "page");
        let mut wire = browser.connect(Role::Driver, Some(id)).await.unwrap();
        let call = json!({"id": 1, "method": "Runtime.evaluate", "params": {"expression": "6 * 7"}});
        wire.to_browser.send(call.to_string().into()).await.unwrap();
        let answer = format!("{:?}", wire.from_browser.recv().await.unwrap());
        assert!(answer.contains("42") && !answer.contains("sessionId"), "{answer}");
        let missing = browser.connect(Role::Driver, Some("nothing".to_owned())).await;
        assert!(matches!(missing, Err(BrowserError::Invalid { .. })), "{missing:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crashed_page_is_revived_by_a_navigation() {
    with_session(async |browser| {
        let mut client = Client::connect(browser, Role::Driver).await;
        let (_, session) = client.open("about:blank").await;
        let crash = json!({"id": 900, "method": "Page.crash", "sessionId": session});
        client.wire.to_browser.send(crash.to_string().into()).await.unwrap();
        client.event("Inspector.targetCrashed").await;
        client
            .call(Some(&session), "Page.navigate", json!({"url": "data:text/html,<title>again</title>"}))
            .await;
        assert_eq!(client.evaluate(&session, "6 * 7").await, 42);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn downloads_get_their_real_names_and_a_second_one_of_a_name_loses_nothing() {
    with_session(async |browser| {
        let mut client = Client::connect(browser, Role::Driver).await;
        let (_, session) = client.open("data:text/html,<p>x").await;
        // A path of the client's own machine, as Playwright sends it.
        let params = json!({"behavior": "allowAndName", "downloadPath": "/tmp/artifacts-1", "eventsEnabled": true});
        assert!(client.call(None, "Browser.setDownloadBehavior", params).await["result"].is_object());
        for text in ["first", "second"] {
            let click = format!(
                "(() => {{ const a = document.createElement('a'); a.href = URL.createObjectURL(new Blob(['{text}']));
                   a.download = 'report 2026.csv'; a.click(); }})()"
            );
            client.evaluate(&session, &click).await;
            while client.event("Browser.downloadProgress").await["state"] != "completed" {}
        }
        let arrives = async {
            loop {
                let (sender, mut events) = tokio::sync::mpsc::channel(64);
                let call = ToolCall::ListFiles { path: "downloads".to_owned() };
                browser.files(call, PLENTY, sender).await.unwrap();
                let mut names = Vec::new();
                while let Some(event) = events.recv().await {
                    if let Event::Done(outcome) = event
                        && let Outcome::Listing { entries, .. } = *outcome
                    {
                        names = entries.into_iter().map(|entry| entry.name).collect();
                    }
                }
                names.sort();
                if names == ["report 2026 (1).csv", "report 2026.csv"] {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PLENTY, arrives).await.expect("both files have their names");
    })
    .await;
}

/// Waits until the names and sizes of the session's downloads, sorted, are as wanted.
async fn arrived(browser: &dyn Browser, wanted: impl Fn(&[String]) -> bool) {
    let since = std::time::Instant::now();
    loop {
        let call = ToolCall::ListFiles { path: "downloads".to_owned() };
        // Before the first of them there is no folder.
        let mut names = match outcome(browser, call).await {
            Outcome::Listing { entries, .. } => {
                entries.iter().map(|entry| format!("{} {}", entry.name, entry.size)).collect()
            }
            _ => Vec::new(),
        };
        names.sort();
        if wanted(&names) {
            return;
        }
        assert!(since.elapsed() < PLENTY, "all files have their names: {names:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_is_larger_than_any_message_and_many_at_once_get_their_names_too() {
    with_session(async |browser| {
        let mut client = Client::connect(browser, Role::Driver).await;
        let (_, session) = client.open("data:text/html,<p>x").await;
        let params = json!({"behavior": "allow", "eventsEnabled": true});
        assert!(client.call(None, "Browser.setDownloadBehavior", params).await["result"].is_object());
        let save = "globalThis.save = (name, parts) => { const a = document.createElement('a'); document.body.append(a);
            a.href = URL.createObjectURL(new Blob(parts)); a.download = name; a.click(); }";
        client.evaluate(&session, save).await;
        // The large one by itself: copied while others are begun, it made Chromium drop some of them on a machine under load.
        client.evaluate(&session, "save('large.bin', Array(70).fill(new Uint8Array(1 << 20)))").await;
        arrived(browser.as_ref(), |names| names == ["large.bin 73400320"]).await;
        client.evaluate(&session, "for (let n = 0; n < 4; n++) save('many.txt', [String(n)])").await;
        arrived(browser.as_ref(), |names| {
            names.len() == 5 && names.iter().filter(|name| name.starts_with("many")).count() == 4
        })
        .await;
        let path = "downloads/large.bin".to_owned();
        let range = ToolCall::ReadRange { path: path.clone(), offset: (70 << 20) - 2, length: 10 };
        assert!(matches!(outcome(browser.as_ref(), range).await, Outcome::Range { data, .. } if data.len() == 2));
        let removed = outcome(browser.as_ref(), ToolCall::RemoveFiles { paths: vec![path.clone()] }).await;
        assert!(matches!(removed, Outcome::Removed { removed, .. } if removed == [path]));
    })
    .await;
}

/// What a file tool came to.
async fn outcome(browser: &dyn Browser, call: ToolCall) -> Outcome {
    let (sender, mut events) = tokio::sync::mpsc::channel(64);
    browser.files(call, PLENTY, sender).await.unwrap();
    loop {
        if let Event::Done(outcome) = events.recv().await.expect("a file tool has an outcome") {
            return *outcome;
        }
    }
}
