//! Tabs.

use crate::trial::{Site, click, css, json, navigate, start};
use cloister_core::browser::page::Step;
use serde_json::json;

#[tokio::test]
async fn a_tab_that_a_page_opens_comes_to_the_front_and_its_opener_when_it_is_closed() {
    let Some(trial) = start().await else { return };
    let site = Site::start().await;
    let two = site.page("/two", "<title>Two</title>");
    trial.gives(navigate(&site.page("/one", "<a id=a href=/two target=_blank>open</a>"))).await;
    let opened = json(trial.gives(click(css("#a"))).await);
    assert_eq!(opened["openedTab"], json!({"tab": "t2", "url": two}));
    assert_eq!(trial.value("[location.pathname, innerWidth, innerHeight]").await, json!(["/two", 1000, 700]));
    let tabs = json(trial.gives(Step::Tabs).await);
    assert_eq!(
        (&tabs[0]["tab"], &tabs[1]["current"], &tabs[1]["title"], &tabs[1]["openedBy"]),
        (&json!("t1"), &json!(true), &json!("Two"), &json!("t1")),
        "{tabs}"
    );
    trial.gives(Step::SwitchTab { tab: "t1".into() }).await;
    assert_eq!(trial.value("location.pathname").await, json!("/one"));
    trial.gives(Step::SwitchTab { tab: "t2".into() }).await;
    trial.gives(Step::CloseTab { tab: None }).await;
    assert_eq!(trial.value("location.pathname").await, json!("/one"));
    assert_eq!(trial.fails(Step::SwitchTab { tab: "t2".into() }, 5).await.code, "not_found");
}

#[tokio::test]
async fn tabs_are_opened_and_the_last_one_is_replaced_when_it_is_closed() {
    let Some(trial) = start().await else { return };
    let site = Site::start().await;
    let url = site.page("/x", "<title>X</title>");
    let met = json(trial.gives(Step::OpenTab { url: Some(url) }).await);
    assert_eq!(
        (&met["tab"], &met["title"], &met["status"]),
        (&json!("t2"), &json!("X"), &json!(200)),
        "{met}"
    );
    trial.gives(Step::CloseTab { tab: Some("t1".into()) }).await;
    let left = json(trial.gives(Step::CloseTab { tab: None }).await);
    assert_eq!(left, json!({"tab": "t3", "url": "about:blank"}));
    assert_eq!(trial.fails(Step::OpenTab { url: Some("file:///etc/passwd".into()) }, 5).await.code, "denied");
}

#[tokio::test]
async fn a_page_that_opens_windows_without_end_gets_fifty_tabs() {
    let Some(trial) = start().await else { return };
    trial
        .page(
            "<button id=b onclick=\"for (let n = 0; n < 20; n++) window.open('about:blank')\">open</button>",
        )
        .await;
    // Chromium itself allows one window per click of a person.
    let again = [click(css("#b")), Step::SwitchTab { tab: "t1".into() }];
    let steps: Vec<Step> = again.iter().cycle().take(6).cloned().collect();
    let performed = trial.perform(steps, 60).await;
    assert!(performed.len() == 6 && performed.iter().all(|step| step.result.is_ok()), "{performed:?}");
    let tabs = json(trial.gives(Step::Tabs).await);
    assert!((2..=50).contains(&tabs.as_array().unwrap().len()), "{tabs}");
}
