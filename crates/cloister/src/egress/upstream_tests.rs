//! Requests through upstream proxies, end to end on loopback sockets.

use super::tests::{ask, far_side, network, no_secrets, policy, start_with};
use super::*;
use cloister_core::browser::UpstreamProxy;
use cloister_core::policy::NetworkMode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn through(server: &str, port: u16, domains: &[&str], bypass: &[&str]) -> Proxies {
    let owned = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
    let proxy = UpstreamProxy { server: server.into(), port, domains: owned(domains) };
    Proxies { upstream: vec![proxy], bypass: owned(bypass) }
}

/// Public addresses only.
fn open() -> Network {
    Network { mode: NetworkMode::Open, allowed_cidrs: vec![], ..network(443) }
}

fn refused_by(answer: &str, rule: &str) -> bool {
    answer.starts_with("HTTP/1.1 403 ") && answer.contains(&format!("Rule: {rule}\n"))
}

#[tokio::test]
async fn a_tunnel_is_opened_by_connect_with_the_name_and_loses_no_byte_of_either_side() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let upstream = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = vec![0; "CONNECT shop.test:443 HTTP/1.1\r\nHost: shop.test:443\r\n\r\n".len()];
        stream.read_exact(&mut head).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 Fine\r\nVia: x\r\n\r\nearly ").await.unwrap();
        let mut ping = [0; 4];
        stream.read_exact(&mut ping).await.unwrap();
        stream.write_all(b"pong").await.unwrap();
        (String::from_utf8(head).unwrap(), ping)
    });
    let proxies = through("127.0.0.1", port, &[], &[]);
    let (egress, handle) = start_with(open(), &[format!("127.0.0.1:{port}")], proxies);
    let answer = ask(egress, "CONNECT shop.test:443 HTTP/1.1\r\n\r\nping").await;
    assert_eq!(answer, "HTTP/1.1 200 Connection established\r\n\r\nearly pong");
    let (head, ping) = upstream.await.unwrap();
    assert_eq!(head, "CONNECT shop.test:443 HTTP/1.1\r\nHost: shop.test:443\r\n\r\n");
    assert_eq!(&ping, b"ping");
    assert_eq!(handle.counters(), EgressCounters { bytes_out: 4, bytes_in: 10, allowed: 1, refused: 0 });
}

#[tokio::test]
async fn a_plain_request_reaches_the_upstream_proxy_in_its_absolute_form() {
    let (port, upstream) = far_side("\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let proxies = through("127.0.0.1", port, &[".shop.test"], &["direct.shop.test"]);
    let policy = Network { ports: vec![80], ..open() };
    let (egress, _handle) = start_with(policy, &[format!("127.0.0.1:{port}")], proxies);
    // Neither the bypass nor another domain goes through it, and directly these names have no address.
    for direct in ["direct.shop.test", "other.test"] {
        let answer = ask(egress, &format!("GET http://{direct}/ HTTP/1.1\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 502 "), "{direct}: {answer}");
    }
    let answer = ask(egress, "GET http://a.shop.test/p?q HTTP/1.1\r\nProxy-Authorization: x\r\n\r\n").await;
    assert!(answer.ends_with("\r\n\r\nok"), "{answer}");
    assert_eq!(
        upstream.await.unwrap(),
        "GET http://a.shop.test/p?q HTTP/1.1\r\nHost: a.shop.test\r\nConnection: close\r\n\r\n"
    );
}

#[tokio::test]
async fn an_upstream_proxy_is_judged_by_the_rules_and_on_loopback_needs_the_operators_word() {
    let (port, untouched) = far_side("never", "").await;
    for (server, policy, rule) in [
        ("127.0.0.1", open(), "network.allowed_cidrs"),
        ("localhost", open(), "network.allowed_cidrs"),
        ("10.0.0.1", open(), "network.allowed_cidrs"),
        ("169.254.169.254", open(), "metadata-addresses"),
        ("::ffff:169.254.169.254", open(), "metadata-addresses"),
        ("proxy.example.com", open(), "network.allowed_cidrs"),
        ("proxy.test", Network { allowed_cidrs: vec![], ..network(443) }, "network.allowed_domains"),
    ] {
        let (egress, _handle) = start_with(policy, &[], through(server, port, &[], &[]));
        let answer = ask(egress, "CONNECT gone.example:443 HTTP/1.1\r\n\r\n").await;
        assert!(refused_by(&answer, rule), "{server}: {answer}");
        assert!(answer.contains("is the session's upstream proxy for"), "{server}: {answer}");
    }
    assert!(!untouched.is_finished());
    untouched.abort();
}

#[tokio::test]
async fn an_upstream_proxy_is_no_way_round_the_rules() {
    let (port, untouched) = far_side("never", "").await;
    let targets = [format!("127.0.0.1:{port}")];
    let (egress, handle) = start_with(open(), &targets, through("127.0.0.1", port, &[], &[]));
    for (target, rule) in [
        ("169.254.169.254:443", "metadata-addresses"),
        ("[::ffff:169.254.169.254]:443", "metadata-addresses"),
        ("metadata.google.internal:443", "metadata-addresses"),
        ("10.0.0.1:443", "network.allowed_cidrs"),
        ("[64:ff9b::a00:1]:443", "network.allowed_cidrs"),
        ("localhost:443", "network.allowed_cidrs"),
        ("intranet:443", "network.allowed_domains"),
        ("shop.test:22", "network.ports"),
        // A name that this machine resolves to loopback: a proxy on this machine would do the same.
        ("a.example.com:443", "network.allowed_cidrs"),
    ] {
        let answer = ask(egress, &format!("CONNECT {target} HTTP/1.1\r\n\r\n")).await;
        assert!(refused_by(&answer, rule), "{target}: {answer}");
    }
    assert_eq!(handle.counters().allowed, 0);
    assert!(!untouched.is_finished());
    untouched.abort();
}

#[tokio::test]
async fn a_loopback_target_is_reached_directly_also_when_a_proxy_takes_every_domain() {
    let (port, far) = far_side("x", "y").await;
    let targets = [format!("localhost:{port}")];
    let (egress, _handle) = start_with(open(), &targets, through("proxy.test", 3128, &[], &[]));
    let answer = ask(egress, &format!("CONNECT localhost:{port} HTTP/1.1\r\n\r\nx")).await;
    assert!(answer.ends_with("y"), "{answer}");
    far.await.unwrap();
}

#[tokio::test]
async fn an_upstream_proxy_that_says_no_or_nonsense_is_a_502_that_says_so() {
    for (says, expected) in [
        ("HTTP/1.1 407 Who are you\r\n\r\n", "status 407"),
        ("SSH-2.0-OpenSSH\r\n\r\n", "did not answer CONNECT as an HTTP proxy does"),
        ("", "did not answer CONNECT as an HTTP proxy does"),
    ] {
        let (port, upstream) = far_side("\r\n\r\n", says).await;
        let proxies = through("127.0.0.1", port, &[], &[]);
        let (egress, handle) = start_with(open(), &[format!("127.0.0.1:{port}")], proxies);
        let answer = ask(egress, "CONNECT shop.test:443 HTTP/1.1\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 502 ") && answer.contains(expected), "{says:?}: {answer}");
        upstream.await.unwrap();
        assert_eq!(handle.counters().allowed, 0);
    }
}

#[tokio::test]
async fn proxies_that_cannot_be_read_serve_nothing() {
    let proxy = EgressProxy {
        runtime: OnceLock::from(Handle::current()),
        ..EgressProxy::new(Loopback::default(), no_secrets(), Mirrors::default(), Arc::default())
    };
    for bad in [through("http://proxy.test", 3128, &[], &[]), through("proxy.test", 3128, &["*.test"], &[])] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(proxy.serve(SandboxId::random().unwrap(), &policy(open()), bad, listener).is_err());
    }
}
