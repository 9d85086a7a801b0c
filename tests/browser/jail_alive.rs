//! A browser in its sandbox: it starts, answers, draws, and ends with nothing left.

use cloister_core::backend::{InvokeError, StartError};
use cloister_core::browser::{BrowserHost, Proxies};
use cloister_core::command::{Language, NewFile, Runtime, ToolCall};
use cloister_core::event::{Event, Outcome};
use cloister_core::policy::Policy;
use cloister_tests::browser::{Driven, launch, rig, shipped, with_browser};
use cloister_tests::leftovers::Traces;
use cloister_tests::rig::Rig;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const PLENTY: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn chromium_answers_over_its_pipe_and_has_a_page() {
    with_browser(shipped("browser"), async |browser| {
        let version = browser.call(None, "Browser.getVersion", json!({})).await;
        let product = version["result"]["product"].as_str().unwrap_or("");
        assert!(product.contains("Chrome/"), "{version}");
        let page = browser.page().await;
        assert_eq!(browser.evaluate(&page, "6 * 7").await, 42);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_chromium_starts_from_its_own_image() {
    let policy = Policy { image: "chromium".into(), ..shipped("browser") };
    with_browser(policy, async |browser| {
        let page = browser.page().await;
        assert_eq!(browser.evaluate(&page, "navigator.pdfViewerEnabled").await, true);
    })
    .await;
}

/// Draws a word in a font and says how wide it is, and whether anything but the box of a missing letter was drawn.
const MEASURE: &str = "((word, font) => {
    const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
    const drawn = text => {
        canvas.clearRect(0, 0, 300, 150);
        canvas.font = '40px ' + font;
        canvas.fillText(text, 10, 60);
        return canvas.getImageData(0, 0, 300, 150).data.join();
    };
    // U+10FFFF is no character: what is drawn for it is what is drawn for every letter that no font has.
    return drawn(word) !== drawn('\u{10ffff}'.repeat([...word].length)) && drawn(word) !== drawn(' ');
})";

#[tokio::test(flavor = "multi_thread")]
async fn letters_of_many_scripts_and_emoji_are_drawn_and_not_boxes() {
    with_browser(shipped("browser"), async |browser| {
        let page = browser.page().await;
        for word in ["Größe", "Ελλάς", "Привет", "漢字", "かな", "한글", "😀"] {
            let drawn = browser.evaluate(&page, &format!("{MEASURE}({word:?}, 'Arial')")).await;
            assert_eq!(drawn, true, "{word}");
        }
        let missing = browser.evaluate(&page, &format!("{MEASURE}('\\u{{10fffe}}', 'Arial')")).await;
        assert_eq!(missing, false, "a letter that no font has is told apart");
    })
    .await;
}

async fn tool(browser: &Driven, call: ToolCall) -> Result<Outcome, InvokeError> {
    let (sender, mut events) = tokio::sync::mpsc::channel(64);
    browser.sandbox.invoke(call, PLENTY, sender).await?;
    let mut last = None;
    while let Some(event) = events.recv().await {
        last = Some(event);
    }
    match last {
        Some(Event::Done(outcome)) => Ok(*outcome),
        other => panic!("a call ended with {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_the_session_are_the_browsers_files_and_code_is_refused_in_a_sentence() {
    with_browser(shipped("browser"), async |browser| {
        let page = "<!doctype html><title>here</title>".as_bytes();
        let content = vec![NewFile { path: "site/page.html".into(), data: page.into() }];
        let written = tool(browser, ToolCall::WriteFiles { content }).await.unwrap();
        assert!(matches!(written, Outcome::Written { .. }), "{written:?}");
        let session = browser.page().await;
        browser.navigate(&session, "file:///workspace/site/page.html").await;
        assert_eq!(browser.evaluate(&session, "document.title").await, "here");
        for call in [
            ToolCall::ExecuteCode {
                code: "1".into(),
                language: Language::Python,
                runtime: Runtime::Python,
                clear_context: false,
            },
            ToolCall::ExecuteCommand { command: "id".into() },
            ToolCall::StartCommandExecution { command: "id".into() },
        ] {
            let refused = tool(browser, call).await.unwrap_err();
            assert!(
                matches!(&refused, InvokeError::NotSupported(why) if why.contains("browser")),
                "{refused:?}"
            );
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_browser_may_do_lies_in_its_session_for_the_file_tools_to_read_and_not_to_change() {
    let mut policy = shipped("browser");
    policy.browser.read_only = true;
    with_browser(policy, async |browser| {
        let place = |name: &str| format!("/run/cloister/{name}");
        let paths = vec![place("allowed.md"), place("allowed.json")];
        let read = async |browser| match tool(browser, ToolCall::ReadFiles { paths: paths.clone() })
            .await
            .unwrap()
        {
            Outcome::Files { files, failed } if failed.is_empty() => files,
            other => panic!("{other:?}"),
        };
        let files = read(browser).await;
        let text = String::from_utf8(files[0].data.to_vec()).unwrap();
        assert!(text.contains("under the policy `browser`") && text.contains("look at them: yes"), "{text}");
        let json: Value = serde_json::from_slice(&files[1].data).unwrap();
        assert_eq!((&json["tier"], &json["browser"]["clients_only_look"]), (&json!("browser"), &json!(true)));
        let content = vec![NewFile { path: place("allowed.md"), data: "x".into() }];
        let written = tool(browser, ToolCall::WriteFiles { content }).await.unwrap();
        assert!(
            matches!(&written, Outcome::Failed { message } if message.contains("read-only")),
            "{written:?}"
        );
        let removed = tool(browser, ToolCall::RemoveFiles { paths: paths.clone() }).await.unwrap();
        assert!(matches!(&removed, Outcome::Removed { removed, .. } if removed.is_empty()), "{removed:?}");
        assert_eq!(read(browser).await, files);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_browser_closes_the_pipe_ends_and_the_sandbox_says_why() {
    let Some(rig) = rig(shipped("browser")) else { return };
    let mut browser = launch(&rig).await;
    browser.send(None, "Browser.close", json!({})).await;
    while browser.message().await.is_some() {}
    let why = tokio::time::timeout(PLENTY, browser.sandbox.exited()).await.unwrap();
    assert_eq!(why, "the browser has ended");
    browser.stop().await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_is_killed_ends_its_sandbox_with_the_signal_as_the_reason() {
    let Some(rig) = rig(shipped("browser")) else { return };
    let mut browser = launch(&rig).await;
    browser.call(None, "Browser.getVersion", json!({})).await;
    let main = browser.processes().into_iter().find(|p| p.is_browser()).expect("a browser process");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(main.pid), nix::sys::signal::Signal::SIGKILL).unwrap();
    while browser.message().await.is_some() {}
    let why = tokio::time::timeout(PLENTY, browser.sandbox.exited()).await.unwrap();
    assert!(why.starts_with("the browser was killed by signal 9"), "{why}");
    browser.stop().await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_ends_by_itself_at_the_end_of_its_life() {
    let Some(rig) = rig(shipped("browser")) else { return };
    let mut browser = launch(&rig).await;
    browser.call(None, "Browser.getVersion", json!({})).await;
    let traces = Traces::of_tree(&*browser.sandbox);
    rig.backend.set_ttl(&*browser.sandbox, Duration::from_millis(300)).await.unwrap();
    tokio::time::timeout(PLENTY, browser.sandbox.exited()).await.expect("it ends");
    while browser.message().await.is_some() {}
    browser.stop().await;
    assert!(!traces.alive());
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hungry_page_costs_the_page_and_not_the_browser() {
    let mut policy = shipped("browser");
    policy.resources.memory = 512 << 20;
    policy.filesystem.disk = 64 << 20;
    policy.filesystem.max_file = 64 << 20;
    let Some(rig) = rig(policy) else { return };
    let mut browser = launch(&rig).await;
    if browser.wall("cgroup") == "none" {
        cloister_tests::needs::skip_unless_root("memory is limited by cgroups, which this user may not make");
        browser.stop().await;
        return rig.end().await;
    }
    let page = browser.page().await;
    browser.call(Some(&page), "Inspector.enable", json!({})).await;
    let hungry = "const all = []; for (;;) all.push(new Uint8Array(16 << 20).fill(1))";
    browser.send(Some(&page), "Runtime.evaluate", json!({"expression": hungry})).await;
    let crashed = async {
        while browser.message().await.expect("the browser lives")["method"] != "Inspector.targetCrashed" {}
    };
    tokio::time::timeout(PLENTY, crashed).await.expect("the page crashes");
    browser.navigate(&page, "data:text/html,<title>again</title>").await;
    assert_eq!(browser.evaluate(&page, "document.title").await, "again");
    browser.stop().await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_launched_is_refused_and_leaves_nothing() {
    let Some(rig) = Rig::new(Policy { tier: "browser".into(), ..cloister_tests::rig::plain() }) else {
        return;
    };
    let refused = rig.backend.launch(Arc::clone(&rig.policy), Proxies::default()).await.err();
    assert!(matches!(&refused, Some(StartError::Image { image, .. }) if image == "analysis"), "{refused:?}");
    rig.end().await;
}

/// Starts and stops browsers one after the other. Each stop checks its own sandbox.
async fn in_a_row(rig: &Rig, how_many: usize) {
    for _ in 0..how_many {
        let mut browser = launch(rig).await;
        let page = browser.page().await;
        assert_eq!(browser.evaluate(&page, "1 + 1").await, 2);
        browser.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_browsers_in_a_row_leave_nothing() {
    let Some(rig) = rig(shipped("browser")) else { return };
    in_a_row(&rig, 20).await;
    rig.end().await;
}

/// The long version of the promise.
#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_browsers_in_a_row_leave_nothing() {
    let Some(rig) = rig(shipped("browser")) else { return };
    in_a_row(&rig, 200).await;
    rig.end().await;
}
