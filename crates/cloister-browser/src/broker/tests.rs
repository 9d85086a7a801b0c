//! The broker against a scripted browser: the other ends of the pipe are held by the test.

use super::*;
use crate::filter::Table;
use cloister_core::browser::{Budget, ToClient};
use cloister_core::policy::Policy;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;

/// What a browser sees and says.
struct Script {
    reads: pipe::Receiver,
    writes: pipe::Sender,
    buffer: Vec<u8>,
    attached: u32,
}

impl Script {
    async fn read(&mut self) -> Value {
        loop {
            if let Some(at) = self.buffer.iter().position(|b| *b == 0) {
                let message: Vec<u8> = self.buffer.drain(..=at).collect();
                return serde_json::from_slice(&message[..at]).unwrap();
            }
            assert_ne!(self.reads.read_buf(&mut self.buffer).await.unwrap(), 0, "the pipe was closed");
        }
    }

    async fn say(&mut self, message: Value) {
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.writes.write_all(&bytes).await.unwrap();
    }

    /// Answers the broker's attaching call as Chromium does: an event, then the answer. Gives the session.
    async fn attach(&mut self) -> String {
        let call = self.read().await;
        assert!(call["method"].as_str().unwrap().starts_with("Target.attachTo"), "{call}");
        self.attached += 1;
        let session = format!("{:032X}", self.attached);
        self.attached_event(None, &session, "browser").await;
        self.say(json!({"id": call["id"], "result": {"sessionId": session}})).await;
        session
    }

    async fn attached_event(&mut self, parent: Option<&str>, session: &str, target: &str) {
        let params = json!({"sessionId": session, "targetInfo": {"targetId": target}});
        let mut event = json!({"method": "Target.attachedToTarget", "params": params});
        if let Some(parent) = parent {
            event["sessionId"] = parent.into();
        }
        self.say(event).await;
    }

    /// Answers the detaching call of a client that has gone.
    async fn detach(&mut self, session: &str) {
        let call = self.read().await;
        assert_eq!(call["method"], "Target.detachFromTarget");
        assert_eq!(call["params"]["sessionId"], session);
        self.say(json!({"id": call["id"], "result": {}})).await;
    }
}

fn rig(max: usize) -> (Arc<Broker>, Script) {
    rig_within(max, Budget::new(usize::MAX))
}

fn rig_within(max: usize, budget: Budget) -> (Arc<Broker>, Script) {
    let (to, reads) = pipe::pipe().unwrap();
    let (writes, from) = pipe::pipe().unwrap();
    let connection =
        Connection::open(to.into_blocking_fd().unwrap(), from.into_blocking_fd().unwrap(), budget).unwrap();
    let filter =
        Filter::new(Arc::new(Table::built_in().unwrap()), "/workspace", &Policy::built_in("x").browser);
    let (downloads, _) = Downloads::new();
    let broker = Broker::new(connection, filter, downloads, max, Arc::new(|| {}), None, Arc::default());
    (broker, Script { reads, writes, buffer: Vec::new(), attached: 0 })
}

async fn connect(broker: &Arc<Broker>, script: &mut Script, role: Role) -> (CdpClient, String) {
    let (client, session) = tokio::join!(broker.connect(role, None), script.attach());
    (client.unwrap(), session)
}

async fn text(client: &mut CdpClient) -> Value {
    match client.from_browser.recv().await.unwrap() {
        ToClient::Text(text) => serde_json::from_str(&text).unwrap(),
        close @ ToClient::Close { .. } => panic!("{close:?}"),
    }
}

async fn closed(client: &mut CdpClient) -> (u16, String) {
    loop {
        if let ToClient::Close { code, reason } = client.from_browser.recv().await.unwrap() {
            return (code, reason);
        }
    }
}

async fn send(client: &CdpClient, message: Value) {
    client.to_browser.send(message.to_string().into()).await.unwrap();
}

#[tokio::test]
async fn clients_with_the_same_ids_do_not_meet() {
    let (broker, mut script) = rig(4);
    let (mut a, session_a) = connect(&broker, &mut script, Role::Driver).await;
    let (mut b, session_b) = connect(&broker, &mut script, Role::Driver).await;
    assert_ne!(session_a, session_b);
    send(&a, json!({"id": 1, "method": "Browser.getVersion"})).await;
    let call = script.read().await;
    assert_eq!(call, json!({"id": 1, "method": "Browser.getVersion", "params": {}, "sessionId": session_a}));
    send(&b, json!({"id": 1, "method": "Target.getTargets", "params": {"x": [1, "é"]}})).await;
    assert_eq!(script.read().await["params"], json!({"x": [1, "é"]}));
    script.say(json!({"id": 1, "result": {"of": "b"}, "sessionId": session_b})).await;
    script.say(json!({"id": 1, "result": {"of": "a"}, "sessionId": session_a})).await;
    assert_eq!(text(&mut a).await, json!({"id": 1, "result": {"of": "a"}}));
    assert_eq!(text(&mut b).await, json!({"id": 1, "result": {"of": "b"}}));
}

#[tokio::test]
async fn a_client_cannot_use_another_s_session() {
    let (broker, mut script) = rig(4);
    let (mut a, session_a) = connect(&broker, &mut script, Role::Driver).await;
    let (mut b, _) = connect(&broker, &mut script, Role::Driver).await;
    let child = "C".repeat(32);
    script.attached_event(Some(&session_a), &child, "page").await;
    assert_eq!(text(&mut a).await["method"], "Target.attachedToTarget");
    for session in [&child, &session_a, &"0".repeat(32)] {
        send(&b, json!({"id": 5, "method": "Page.reload", "sessionId": session})).await;
        let answer = text(&mut b).await;
        assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(NO_SESSION), &json!(5)), "{answer}");
    }
    send(&a, json!({"id": 6, "method": "Page.reload", "sessionId": child})).await;
    assert_eq!(script.read().await["sessionId"], child, "its own client may use it");
    let grandchild = "D".repeat(32);
    script.attached_event(Some(&child), &grandchild, "worker").await;
    assert_eq!(text(&mut a).await["sessionId"], child, "a child's session id stays in the message");
    send(&a, json!({"id": 7, "method": "Runtime.enable", "sessionId": grandchild})).await;
    assert_eq!(script.read().await["sessionId"], grandchild);
}

const NO_SESSION: i64 = -32001;

#[tokio::test]
async fn what_the_filter_refuses_never_reaches_the_browser() {
    let (broker, mut script) = rig(4);
    let (mut a, _) = connect(&broker, &mut script, Role::Driver).await;
    send(&a, json!({"id": 1, "method": "Page.navigate", "params": {"url": "file:///etc/passwd"}})).await;
    send(&a, json!({"id": 2, "method": "Browser.crash"})).await;
    a.to_browser.send("not json".to_owned().into()).await.unwrap();
    a.to_browser
        .send(r#"{"id":3,"method":"Page.reload","method":"Browser.crash"}"#.to_owned().into())
        .await
        .unwrap();
    send(&a, json!({"id": i32::MAX, "method": "Page.reload"})).await;
    for id in [json!(1), json!(2), Value::Null, Value::Null, json!(i32::MAX)] {
        let answer = text(&mut a).await;
        assert_eq!(answer["id"], id, "{answer}");
        assert!(answer["error"]["message"].is_string(), "{answer}");
    }
    send(&a, json!({"id": 4, "method": "Browser.getVersion"})).await;
    assert_eq!(script.read().await["id"], 4, "nothing came before this");
}

#[tokio::test]
async fn closing_the_browser_disconnects_the_client_and_nobody_else() {
    let (broker, mut script) = rig(4);
    let (mut a, session_a) = connect(&broker, &mut script, Role::Driver).await;
    let (b, session_b) = connect(&broker, &mut script, Role::Driver).await;
    send(&a, json!({"id": 9, "method": "Browser.close"})).await;
    assert_eq!(text(&mut a).await, json!({"id": 9, "result": {}}));
    assert_eq!(closed(&mut a).await.0, close::NORMAL);
    script.detach(&session_a).await;
    assert_eq!(broker.clients(), 1);
    send(&b, json!({"id": 1, "method": "Browser.getVersion"})).await;
    assert_eq!(script.read().await["sessionId"], session_b);
}

#[tokio::test]
async fn a_client_that_is_dropped_is_detached() {
    let (broker, mut script) = rig(4);
    let (a, session) = connect(&broker, &mut script, Role::Driver).await;
    drop(a);
    script.detach(&session).await;
    // Its late messages go nowhere, and the next client is served.
    script.say(json!({"id": 1, "result": {}, "sessionId": session})).await;
    let (mut b, session_b) = connect(&broker, &mut script, Role::Driver).await;
    script.say(json!({"method": "Target.targetCreated", "params": {}, "sessionId": session_b})).await;
    assert_eq!(text(&mut b).await["method"], "Target.targetCreated");
}

#[tokio::test]
async fn a_disabled_stream_closes_and_refuses_drivers_and_nobody_else() {
    let (broker, mut script) = rig(4);
    let (mut driver, session) = connect(&broker, &mut script, Role::Driver).await;
    let (human, human_session) = connect(&broker, &mut script, Role::Human).await;
    broker.set_status(StreamStatus::Disabled);
    let (code, reason) = closed(&mut driver).await;
    assert_eq!(code, close::DISABLED);
    assert!(reason.contains("taken control"), "{reason}");
    script.detach(&session).await;
    assert!(matches!(broker.connect(Role::Driver, None).await, Err(BrowserError::StreamDisabled)));
    send(&human, json!({"id": 1, "method": "Input.insertText", "params": {"text": "x"}})).await;
    assert_eq!(script.read().await["sessionId"], human_session);
    broker.set_status(StreamStatus::Enabled);
    connect(&broker, &mut script, Role::Driver).await;
}

#[tokio::test]
async fn there_is_a_limit_of_clients() {
    let (broker, mut script) = rig(1);
    let (_a, _) = connect(&broker, &mut script, Role::Driver).await;
    assert!(matches!(broker.connect(Role::Driver, None).await, Err(BrowserError::TooManyClients(1))));
}

#[tokio::test]
async fn a_browser_that_ends_tells_its_clients_why_they_are_closed() {
    let (broker, mut script) = rig(4);
    let (mut a, _) = connect(&broker, &mut script, Role::Driver).await;
    drop(script);
    broker.connection.ended().await;
    send(&a, json!({"id": 1, "method": "Browser.getVersion"})).await;
    tokio::task::yield_now().await;
    assert!(a.from_browser.try_recv().is_err(), "why it has ended is not known yet");
    broker.end("session ended: out of memory");
    assert_eq!(closed(&mut a).await, (close::GONE, "session ended: out of memory".to_owned()));
    assert!(matches!(broker.connect(Role::Driver, None).await, Err(BrowserError::Gone(_))));
}

#[tokio::test]
async fn a_client_that_does_not_read_is_closed_while_others_are_served() {
    let (broker, mut script) = rig(4);
    let (mut slow, slow_session) = connect(&broker, &mut script, Role::Driver).await;
    let (mut other, other_session) = connect(&broker, &mut script, Role::Driver).await;
    let big = "x".repeat(8 << 20);
    for _ in 0..20 {
        script.say(json!({"method": "A.b", "params": {"x": big}, "sessionId": slow_session})).await;
    }
    script.say(json!({"method": "C.d", "params": {}, "sessionId": other_session})).await;
    assert_eq!(text(&mut other).await["method"], "C.d");
    script.detach(&slow_session).await;
    let (code, reason) = closed(&mut slow).await;
    assert_eq!(code, close::TOO_SLOW, "{reason}");
}

#[tokio::test]
async fn frames_that_a_slow_client_loses_are_acknowledged_for_it() {
    let (broker, mut script) = rig(4);
    let (_slow, session) = connect(&broker, &mut script, Role::Observer).await;
    let picture = "x".repeat(1 << 20);
    let mut acknowledged = 0;
    for number in 0..64 {
        let params = json!({"data": picture, "metadata": {}, "sessionId": number});
        script.say(json!({"method": "Page.screencastFrame", "params": params, "sessionId": session})).await;
    }
    while acknowledged < 20 {
        let ack = script.read().await;
        assert_eq!(ack["method"], "Page.screencastFrameAck");
        assert!(ack["params"]["sessionId"].is_number(), "{ack}");
        acknowledged += 1;
    }
    assert_eq!(broker.clients(), 1, "frames alone never make a client too slow");
}

#[tokio::test]
async fn a_call_of_ours_fails_at_once_when_its_page_crashes_or_its_session_ends() {
    let (broker, mut script) = rig(4);
    let connection = broker.connection.clone();
    let (attached, session) = tokio::join!(connection.attach("T1", LIMIT), async {
        let call = script.read().await;
        script.attached_event(None, &"A".repeat(32), "T1").await;
        script.say(json!({"id": call["id"], "result": {"sessionId": "A".repeat(32)}})).await;
        "A".repeat(32)
    });
    assert_eq!(attached.unwrap(), session);
    let hour = Duration::from_secs(3600);
    let evaluate = |session: String| {
        let connection = connection.clone();
        tokio::spawn(
            async move { connection.call(Some(&session), "Runtime.evaluate", json!({}), hour).await },
        )
    };
    let hangs = evaluate(session.clone());
    script.read().await;
    script.say(json!({"method": "Target.targetCrashed", "params": {"targetId": "T1"}})).await;
    assert_eq!(hangs.await.unwrap(), Err(crate::CallError::Crashed));
    let hangs = evaluate(session.clone());
    script.read().await;
    script.say(json!({"method": "Inspector.targetCrashed", "params": {}, "sessionId": session})).await;
    assert_eq!(hangs.await.unwrap(), Err(crate::CallError::Crashed));
    let hangs = evaluate(session.clone());
    script.read().await;
    script.say(json!({"method": "Target.detachedFromTarget", "params": {"sessionId": session}})).await;
    assert!(matches!(hangs.await.unwrap(), Err(crate::CallError::Gone(_))));
    assert!(matches!(evaluate(session).await.unwrap(), Err(crate::CallError::Gone(_))));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_not_answered_ends_at_its_deadline() {
    let (broker, _script) = rig(4);
    let limit = Duration::from_secs(7);
    let answer = broker.connection.call(None, "Browser.getVersion", json!({}), limit).await;
    assert_eq!(answer, Err(crate::CallError::Deadline { method: "Browser.getVersion".to_owned(), limit }));
}

#[tokio::test]
async fn a_session_whose_budget_is_used_up_says_so_and_goes_on() {
    let budget = Budget::new(1 << 20);
    let (broker, mut script) = rig_within(4, budget.clone());
    let (mut a, session) = connect(&broker, &mut script, Role::Driver).await;
    let large = "x".repeat(2 << 20);
    script.say(json!({"id": 1, "result": {"data": large}, "sessionId": session})).await;
    let answer = text(&mut a).await;
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(1), &json!(-32000)));
    assert!(answer["error"]["message"].as_str().unwrap().contains("1048576 bytes"), "{answer}");
    // What the client sends is copied for the browser while it is still there itself.
    let sent = json!({"id": 2, "method": "Runtime.evaluate", "params": {"expression": "y".repeat(600_000)}})
        .to_string();
    let held = a.budget.hold(sent.len()).unwrap();
    a.to_browser.send(cloister_core::browser::Text { text: sent, held }).await.unwrap();
    assert_eq!(text(&mut a).await["error"]["code"], json!(-32000));
    // The values of a short text can take very much more than the text.
    let many = vec![0; 40_000];
    send(&a, json!({"id": 3, "method": "Page.navigate", "params": {"url": "http://a", "x": many}})).await;
    assert_eq!(script.read().await["method"], "Page.navigate", "a text that nobody counts");
    let text_of_many =
        json!({"id": 4, "method": "Page.navigate", "params": {"url": "http://a", "x": many}}).to_string();
    let held = a.budget.hold(text_of_many.len()).unwrap();
    a.to_browser.send(cloister_core::browser::Text { text: text_of_many, held }).await.unwrap();
    assert_eq!(text(&mut a).await["id"], json!(4));
    // An event cannot be refused, so its client is closed.
    script
        .say(json!({"method": "Network.dataReceived", "params": {"data": large}, "sessionId": session}))
        .await;
    let (code, reason) = closed(&mut a).await;
    assert!(code == 1013 && reason.contains("is used up"), "{code} {reason}");
    drop(a);
    script.detach(&session).await;
    let (mut b, session) = connect(&broker, &mut script, Role::Driver).await;
    script.say(json!({"id": 1, "result": {}, "sessionId": session})).await;
    assert_eq!(text(&mut b).await, json!({"id": 1, "result": {}}));
    assert_eq!(budget.used(), 0);
}

async fn dialog(script: &mut Script, client: &mut CdpClient, session: &str, kind: &str) {
    let params = json!({"url": "http://a", "message": "Sure?", "type": kind, "hasBrowserHandler": false});
    script
        .say(json!({"method": "Page.javascriptDialogOpening", "params": params, "sessionId": session}))
        .await;
    assert_eq!(text(client).await["method"], "Page.javascriptDialogOpening");
}

#[tokio::test]
async fn a_dialog_that_a_person_leaves_open_is_answered_by_the_rule_of_the_session() {
    let (broker, mut script) = rig(4);
    let (mut person, root) = connect(&broker, &mut script, Role::Human).await;
    let (mut driver, driver_root) = connect(&broker, &mut script, Role::Driver).await;
    let (page, others) = ("C".repeat(32), "D".repeat(32));
    script.attached_event(Some(&root), &page, "page").await;
    script.attached_event(Some(&driver_root), &others, "page").await;
    text(&mut person).await;
    text(&mut driver).await;
    // A driver's dialogs are the driver's.
    dialog(&mut script, &mut driver, &others, "alert").await;
    for (kind, accept) in [("alert", false), ("beforeunload", true)] {
        // One that is answered in time, and one that is not, in place of the last.
        dialog(&mut script, &mut person, &page, "confirm").await;
        let closed = json!({"method": "Page.javascriptDialogClosed", "params": {}, "sessionId": page});
        script.say(closed).await;
        text(&mut person).await;
        dialog(&mut script, &mut person, &page, kind).await;
        tokio::time::pause();
        let answer = script.read().await;
        tokio::time::resume();
        assert_eq!(answer["method"], "Page.handleJavaScriptDialog");
        assert_eq!((&answer["params"]["accept"], &answer["sessionId"]), (&json!(accept), &json!(page)));
    }
    // Control that is given back is the end of waiting.
    broker.set_status(StreamStatus::Disabled);
    closed(&mut driver).await;
    dialog(&mut script, &mut person, &page, "prompt").await;
    broker.set_status(StreamStatus::Enabled);
    loop {
        let message = script.read().await;
        if message["method"] == "Page.handleJavaScriptDialog" {
            assert_eq!((&message["params"]["accept"], &message["sessionId"]), (&json!(false), &json!(page)));
            break;
        }
    }
}
