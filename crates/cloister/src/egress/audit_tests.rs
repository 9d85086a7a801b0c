//! What the proxy tells the audit log, and that a guest can name what it was refused.

use super::tests::{ask, far_side, network, no_secrets, policy, start_by};
use super::*;
use cloister_core::audit::{Action, Audit, Key, Resource};
use cloister_core::denial::DenialId;
use cloister_core::testing::MemoryAudit;

fn by(log: &Arc<MemoryAudit>) -> EgressProxy {
    let desk = Arc::new(Desk::new(Arc::clone(log) as Arc<dyn Audit>));
    EgressProxy::new(Loopback::default(), no_secrets(), Mirrors::default(), desk)
}

#[tokio::test]
async fn a_refusal_says_the_id_under_which_it_is_recorded() {
    let log = Arc::new(MemoryAudit::default());
    let (proxy, _handle) = start_by(by(&log), policy(network(443)));
    let answer = ask(proxy, "CONNECT elsewhere.test:443 HTTP/1.1\r\n\r\n").await;
    let denied = log.of(Action::Denied);
    assert_eq!(denied.len(), 1, "{denied:?}");
    let id = denied[0].denial.as_ref().map(DenialId::to_string).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    // In the first line too: package managers drop the rest.
    assert!(
        head.lines().next().unwrap().contains(&id) && body.contains(&format!("Denial: {id}\n")),
        "{answer}"
    );
    assert_eq!(denied[0].rule.as_deref(), Some("network.allowed_domains"));
    assert_eq!(denied[0].detail[&Key::Layer], "egress");
    assert!(denied[0].sandbox.is_some());
    // Asked again, it is the same refusal.
    assert!(ask(proxy, "CONNECT elsewhere.test:443 HTTP/1.1\r\n\r\n").await.contains(&id));
}

#[tokio::test]
async fn the_end_of_a_connection_is_recorded_with_its_bytes() {
    let log = Arc::new(MemoryAudit::default());
    let (port, far) = far_side("ping", "pong!").await;
    let (proxy, _handle) = start_by(by(&log), policy(network(port)));
    ask(proxy, &format!("CONNECT a.example.com:{port} HTTP/1.1\r\n\r\nping")).await;
    far.await.unwrap();
    // The far side may be done a moment before the proxy is.
    for _ in 0..200 {
        if !log.of(Action::Egress).is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let events = log.of(Action::Egress);
    let [ended] = &events[..] else { panic!("one event, and not {events:?}") };
    assert_eq!(ended.resource, Some(Resource::Host(format!("a.example.com:{port}"))));
    assert_eq!((&ended.detail[&Key::BytesOut], &ended.detail[&Key::BytesIn]), (&4.into(), &5.into()));
}
