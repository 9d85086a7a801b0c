//! A browser in its sandbox: it starts, answers, draws, and ends with nothing left.

use cloister_tests::browser::{shipped, with_browser};
use serde_json::json;

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
