//! The backend's promises: the pool, the end of a browser, and a protocol that does not grow unseen.

use crate::cdp_rig::{Client, PLENTY, VIEWPORT, backend, spec, with_session};
use cloister_browser::Table;
use cloister_core::browser::{BrowserBackend, Role};
use serde_json::json;
use std::collections::BTreeSet;
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
    assert_eq!(client.message().await.unwrap_err().0, 1001);
    assert!(!tokio::time::timeout(PLENTY, browser.exited()).await.unwrap().is_empty());
    backend.shutdown().await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_browser_has_no_domain_that_the_policy_does_not_classify() {
    with_session(async |browser| {
        let mut client = Client::connect(browser, Role::Driver).await;
        let page = client.first_page().await;
        let session = client.attach(&page).await;
        let answer = client.call(Some(&session), "Schema.getDomains", json!({})).await;
        let domains = answer["result"]["domains"].as_array().unwrap();
        let table = Table::built_in().unwrap();
        let known: BTreeSet<&str> =
            table.methods().filter_map(|m| m.split_once('.')).map(|(d, _)| d).collect();
        let grown: Vec<_> = domains.iter().filter(|d| !known.contains(d["name"].as_str().unwrap())).collect();
        assert!(domains.len() > 5, "{answer}");
        assert!(grown.is_empty(), "classify in policies/cdp/methods.json: {grown:?}");
        let listed: serde_json::Value =
            serde_json::from_str(include_str!("../../policies/cdp/protocol.json")).unwrap();
        let major = |product: &str| product.split(['/', '.']).nth(1).map(str::to_owned);
        let (runs, listed) = (browser.engine().product, listed["browser"].as_str().unwrap().to_owned());
        assert_eq!(
            major(&runs),
            major(&listed),
            "take the protocol's list again: policies/cdp/protocol.json"
        );
    })
    .await;
}
