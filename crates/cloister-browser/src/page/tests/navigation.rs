//! Going somewhere.

use crate::trial::{Site, click, css, json, navigate, reply, start};
use cloister_core::browser::page::{LoadState, Step, WaitFor};
use serde_json::json;

#[tokio::test]
async fn a_navigation_tells_url_status_and_title_and_history_goes_back_and_forward() {
    let Some(trial) = start().await else { return };
    let site = Site::start().await;
    let one = site.page("/one", "<title>One</title><a href=/two id=next>next</a>");
    let two = site.page("/two", "<title>Two</title>");
    let met = json(trial.gives(navigate(&one)).await);
    assert_eq!(met, json!({"url": one, "status": 200, "mimeType": "text/html", "title": "One"}));
    let met = json(trial.gives(click(css("#next"))).await);
    assert_eq!(met, json!({"url": two, "status": 200}));
    assert_eq!(json(trial.gives(Step::Back).await)["title"], "One");
    assert_eq!(json(trial.gives(Step::Forward).await)["url"], json!(two));
    assert_eq!(json(trial.gives(Step::Reload).await)["title"], "Two");
    assert_eq!(trial.fails(Step::Forward, 5).await.code, "invalid");
    let met = json(trial.gives(navigate(&format!("{}/absent", site.address))).await);
    assert_eq!(met["status"], 404);
}

#[tokio::test]
async fn redirects_by_server_and_script_end_where_they_end() {
    let Some(trial) = start().await else { return };
    let site = Site::start().await;
    let end = site.page("/end", "<title>End</title>");
    let moved = site.answer("/moved", reply("302 Found", "text/html", "Location: /end\r\n", ""));
    assert_eq!(json(trial.gives(navigate(&moved)).await)["url"], json!(end));
    let script = site.page("/script", "<script>location.replace('/end')</script>");
    trial.gives(navigate(&script)).await;
    trial.gives(Step::Wait { until: WaitFor::Url("/end".into()) }).await;
    trial.gives(Step::Wait { until: WaitFor::Load(LoadState::NetworkIdle) }).await;
}

#[tokio::test]
async fn what_cannot_be_opened_fails_by_name_and_the_next_page_opens() {
    let Some(trial) = start().await else { return };
    let error = trial.fails(navigate("http://127.0.0.1:9/"), 10).await;
    assert_eq!(error.code, "navigation_failed");
    assert!(error.message.contains("net::ERR_"), "{error:?}");
    for url in ["file:///etc/passwd", "chrome://version", "view-source:about:blank", "javascript:1"] {
        assert_eq!(trial.fails(navigate(url), 5).await.code, "denied", "{url}");
    }
    let error = trial.fails(navigate("example.com"), 5).await;
    assert!(error.code == "invalid" && error.message.contains("https://example.com"), "{error:?}");
    trial.page("<p>fine").await;
}

#[tokio::test]
async fn downloads_land_in_the_files_of_the_session_under_their_names() {
    let Some(trial) = start().await else { return };
    let site = Site::start().await;
    let file = reply(
        "200 OK",
        "application/octet-stream",
        "Content-Disposition: attachment; filename=\"../re port.csv\"\r\n",
        "a,b\n",
    );
    let url = site.answer("/file", file);
    let met = json(trial.gives(navigate(&url)).await);
    assert_eq!(met["download"]["state"], "completed", "{met}");
    let path = met["download"]["path"].as_str().unwrap().to_owned();
    assert!(path.starts_with("downloads/") && !path.contains(".."), "{path}");
    assert_eq!(std::fs::read_to_string(trial.file(&path)).unwrap(), "a,b\n");
    trial.gives(navigate(&site.page("/page", "<a href=/file id=get>get</a>"))).await;
    let met = json(trial.gives(click(css("#get"))).await);
    assert_eq!(met["download"]["url"], json!(url), "{met}");
    let all = json(trial.gives(Step::Downloads).await);
    assert_eq!(all["downloads"].as_array().unwrap().len(), 2, "{all}");
}
