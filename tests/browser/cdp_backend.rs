//! The backend's promises: the pool, the end of a browser, and a policy that is as old as the browser.

use crate::cdp_rig::{Client, PLENTY, VIEWPORT, backend, spec, with_session};
use cloister_core::browser::{BrowserBackend, Role};
use serde_json::json;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_ready_browser_is_handed_out_once_and_replaced() {
    let Some((rig, backend)) = backend(1) else { return };
    backend.fill();
    let filled = async {
        while backend.ready() < 1 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PLENTY, filled).await.expect("the pool fills");
    let first = backend.start(spec(&rig)).await.unwrap();
    let second = backend.start(spec(&rig)).await.unwrap();
    assert_ne!(first.sandbox(), second.sandbox());
    for browser in [&first, &second] {
        assert!(browser.engine().product.contains("Chrome/"), "{:?}", browser.engine());
        let mut client = Client::connect(browser, Role::Driver).await;
        let page = client.first_page().await;
        let session = client.attach(&page).await;
        let size = client.evaluate(&session, "[innerWidth, innerHeight]").await;
        assert_eq!(size, json!([VIEWPORT.width, VIEWPORT.height]));
    }
    for browser in [first, second] {
        assert!(browser.stop(Duration::from_secs(2)).await.left_behind.is_empty());
    }
    backend.shutdown().await;
    assert_eq!(backend.ready(), 0);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_browser_closes_its_clients_and_says_so() {
    let Some((rig, backend)) = backend(0) else { return };
    let browser = backend.start(spec(&rig)).await.unwrap();
    let mut client = Client::connect(&browser, Role::Driver).await;
    browser.stop(Duration::from_secs(2)).await;
    browser.over("session ended: the test is over");
    assert_eq!(client.message().await.unwrap_err(), (1001, "session ended: the test is over".to_owned()));
    assert!(!tokio::time::timeout(PLENTY, browser.exited()).await.unwrap().is_empty());
    backend.shutdown().await;
    rig.end().await;
}

/// A browser tells its methods at a port and not over a pipe (`cdp_protocol.rs`); this sees that the image's is the one that was asked.
#[tokio::test(flavor = "multi_thread")]
async fn the_policy_was_made_for_the_browser_that_runs() {
    with_session(async |browser| {
        let listed: serde_json::Value =
            serde_json::from_str(include_str!("../../policies/cdp/protocol.json")).unwrap();
        let major = |product: &str| product.split(['/', '.']).nth(1).map(str::to_owned);
        let (runs, listed) = (browser.engine().product, listed["browser"].as_str().unwrap().to_owned());
        assert!(major(&runs).is_some_and(|major| major.parse::<u32>().is_ok()), "{runs}");
        assert_eq!(
            major(&runs),
            major(&listed),
            "take the list again from /json/protocol into policies/cdp/protocol.json, and classify what is new"
        );
    })
    .await;
}
