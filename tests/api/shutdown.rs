//! The end of a server: what was begun ends, and nothing new begins.

use crate::aws::decode;
use crate::server::{Server, Setup};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn a_running_call_is_answered_while_the_server_drains() {
    let mut server = Server::new().await;
    let id = server.aws_session().await;
    let running =
        tokio::spawn(server.invoke(&id, "executeCode", json!({ "code": "sleep 0.5\nprint done" })).send());
    while server.backend.counts().runs == 0 {
        tokio::task::yield_now().await;
    }
    let serving = server.shut_down();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let ready = server.get("/readyz").send().await;
    assert_eq!((ready.status.as_u16(), &ready.json()["status"]), (503, &json!("draining")));
    assert_eq!(server.get("/healthz").send().await.status, 200);
    let refused = server.start_session(json!({})).send().await;
    assert_eq!(refused.status, 503);
    assert_eq!(refused.header("x-amzn-errortype"), "ServiceUnavailableException");
    assert_eq!(refused.header("retry-after"), "1");
    let answer = running.await.unwrap();
    assert_eq!(decode(&answer.body)[0].json()["structuredContent"]["stdout"], "done");
    serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_idle_server_stops_at_once_and_a_busy_one_at_the_end_of_its_time() {
    let mut idle = Server::new().await;
    let began = std::time::Instant::now();
    idle.shut_down().await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(1));

    let mut busy = Setup::default().gateway(|config| config.drain = Duration::from_millis(200)).start().await;
    let id = busy.aws_session().await;
    let running = tokio::spawn(busy.invoke(&id, "executeCode", json!({ "code": "sleep 30" })).send());
    while busy.backend.counts().runs == 0 {
        tokio::task::yield_now().await;
    }
    let began = std::time::Instant::now();
    busy.shut_down().await.unwrap().unwrap();
    assert!((150..2_000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    let answer = running.await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.header("x-amzn-errortype")), (409, "ConflictException"));
    assert!(answer.text().contains("server shut down"), "{}", answer.text());
}
