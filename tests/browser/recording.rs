//! The recorder on a real Chromium: what a recording holds, what it never holds, and that it costs no session.

use crate::cdp_rig::{Client, PLENTY, backend, spec};
use cloister_core::SessionId;
use cloister_core::browser::page::{Selector, Step};
use cloister_core::browser::{Browser, BrowserBackend, Role};
use cloister_core::recording::{Recording, Recordings, Summary};
use cloister_core::testing::MemoryRecordings;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

struct Recorded {
    all: MemoryRecordings,
    id: SessionId,
}

impl Recorded {
    fn summary(&self) -> Summary {
        self.all.summary(&self.id).unwrap().unwrap()
    }

    fn events(&self) -> String {
        String::from_utf8(self.all.events(&self.id, 0, u64::MAX >> 1).unwrap().unwrap()).unwrap()
    }

    fn lines(&self, kind: &str) -> Vec<Value> {
        let lines = self.events();
        let all = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        all.filter(|line| line["kind"] == kind).collect()
    }

    /// Waits until the recording is as `right` says.
    async fn until(&self, what: &str, right: impl Fn(&Self) -> bool) {
        let wait = async {
            while !right(self) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        assert!(tokio::time::timeout(PLENTY, wait).await.is_ok(), "{what}: {}", self.events());
    }
}

/// Runs `test` with a recorded session; afterwards the session has ended and its recording is whole.
async fn recorded(bytes: u64, test: impl AsyncFnOnce(&Arc<dyn Browser>, &Recorded)) -> Option<Recorded> {
    let (rig, backend) = backend(0)?;
    let held = Recorded { all: MemoryRecordings::default(), id: SessionId::random().unwrap() };
    let sink = held.all.create(&held.id).unwrap();
    let mut spec = spec(&rig);
    spec.recording = Some(Recording { sink, bytes });
    let browser = backend.start(spec).await.unwrap();
    test(&browser, &held).await;
    let report = browser.stop(Duration::from_secs(2)).await;
    assert!(report.left_behind.is_empty(), "{:?}", report.left_behind);
    backend.shutdown().await;
    rig.end().await;
    Some(held)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_shows_the_pages_and_who_asked_for_what_and_nothing_that_was_typed() {
    let held = recorded(16 << 20, async |browser, held| {
        held.until("the first page has a picture", |held| !held.summary().frames.is_empty()).await;
        let mut client = Client::connect(browser, Role::Driver).await;
        let page = client.first_page().await;
        let session = client.attach(&page).await;
        let html = "data:text/html,<title>Form</title><body style='background:red'><input autofocus>";
        client.call(Some(&session), "Page.navigate", json!({ "url": html })).await;
        held.until("the page is named", |held| {
            held.lines("page").iter().any(|line| line["url"].as_str().unwrap().contains("Form"))
        })
        .await;
        client.call(Some(&session), "Input.insertText", json!({ "text": "hunter2-secret" })).await;
        client.evaluate(&session, "console.log('said aloud', 42)").await;
        let refused =
            client.call(Some(&session), "Page.navigate", json!({ "url": "file:///etc/passwd" })).await;
        assert!(refused.get("error").is_some(), "{refused}");
        let typed = Step::Type {
            selector: Some(Selector::Css("input".into())),
            text: "second-secret".into(),
            clear: false,
            submit: false,
        };
        browser.perform(vec![typed], PLENTY).await.unwrap();
        held.until("the console is heard", |held| held.events().contains("said aloud 42")).await;
        held.until("several pictures", |held| held.summary().frames.len() >= 2).await;
    });
    let Some(held) = held.await else { return };
    let events = held.events();
    assert!(!events.contains("hunter2") && !events.contains("second-secret"), "{events}");
    let commands = held.lines("command");
    let said = |method: &str, verdict: &str| {
        commands
            .iter()
            .any(|line| line["method"] == method && line["verdict"] == verdict && line["role"] == "driver")
    };
    assert!(said("Input.insertText", "passed") && said("Page.navigate", "refused"), "{events}");
    let actions = held.lines("action");
    assert!(actions.iter().any(|line| line["name"] == "type" && line["outcome"] == "done"), "{events}");
    assert!(held.lines("request").iter().any(|line| line["type"] == "Document"), "{events}");
    assert_eq!((held.lines("start").len(), held.lines("end").len(), held.summary().full), (1, 1, false));
    let last = held.summary().frames.len() as u64 - 1;
    for number in [0, last] {
        let jpeg = held.all.frame(&held.id, number).unwrap().unwrap();
        assert!(jpeg.starts_with(&[0xff, 0xd8, 0xff]) && jpeg.ends_with(&[0xff, 0xd9]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_moves_without_end_fills_its_recording_and_not_its_session() {
    const BYTES: u64 = 200_000;
    let held = recorded(BYTES, async |browser, held| {
        let mut client = Client::connect(browser, Role::Driver).await;
        let page = client.first_page().await;
        let session = client.attach(&page).await;
        // Pictures that do not compress, and a console that never rests.
        let noise = "data:text/html,<canvas id=c width=800 height=600></canvas><script>setInterval(() => { const p = c.getContext('2d'); \
                     const d = p.createImageData(800, 600); for (let i = 0; i < d.data.length; i++) d.data[i] = Math.random() * 255; \
                     p.putImageData(d, 0, 0); console.log('noise '.repeat(200)); }, 50)</script>";
        client.call(Some(&session), "Page.navigate", json!({ "url": noise })).await;
        held.until("it is full", |held| held.summary().full).await;
        held.until("it keeps no more events", |held| held.events().contains("keeps no more events")).await;
        assert_eq!(client.evaluate(&session, "1 + 1").await, json!(2));
    });
    let Some(held) = held.await else { return };
    let Summary { frames, event_bytes, .. } = held.summary();
    let pictures: u64 = frames.iter().map(|frame| u64::from(frame.length)).sum();
    assert!(pictures + event_bytes <= BYTES, "{pictures} + {event_bytes}");
}

#[tokio::test(flavor = "multi_thread")]
async fn dialogs_of_a_recorded_page_are_answered_as_without_a_recording() {
    recorded(16 << 20, async |browser, held| {
        held.until("the first page has a picture", |held| !held.summary().frames.is_empty()).await;
        let mut client = Client::connect(browser, Role::Driver).await;
        let page = client.first_page().await;
        let session = client.attach(&page).await;
        // Nobody has enabled the page domain, so the browser itself closes the dialog.
        assert_eq!(client.evaluate(&session, "confirm('sure?')").await, json!(false));
    })
    .await;
}
