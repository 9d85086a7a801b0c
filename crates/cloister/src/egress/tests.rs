//! The proxy end to end, on loopback sockets, with a policy that allows 127.0.0.0/8.

use super::*;
use async_trait::async_trait;
use cloister_core::policy::NetworkMode;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Everything below `example.com` is on this machine.
struct Local;

#[async_trait]
impl Resolve for Local {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let known = name.ends_with("example.com");
        known.then(|| vec![IpAddr::from([127, 0, 0, 1])]).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

pub(super) fn network(port: u16) -> Network {
    Network {
        mode: NetworkMode::Allowlist,
        allowed_domains: vec!["example.com".into(), "*.example.com".into(), "gone.example".into()],
        denied_domains: vec![],
        allowed_cidrs: vec!["127.0.0.0/8".into()],
        denied_cidrs: vec![],
        ports: vec![port],
        connections: 8,
        bytes: 1 << 20,
        ..Policy::built_in("test").network
    }
}

pub(super) fn no_secrets() -> Secrets {
    Secrets::open(&BTreeMap::new(), None, &[]).unwrap()
}

pub(super) fn policy(network: Network) -> Policy {
    Policy { network, ..Policy::built_in("test") }
}

/// A served listener and its address.
fn start(network: Network) -> (SocketAddr, Box<dyn EgressHandle>) {
    start_with(network, &[], Proxies::default())
}

/// The same, with loopback targets and upstream proxies.
pub(super) fn start_with(
    network: Network,
    targets: &[String],
    proxies: Proxies,
) -> (SocketAddr, Box<dyn EgressHandle>) {
    let loopback = Loopback::resolve(targets).unwrap();
    let proxy = EgressProxy::new(loopback, no_secrets(), Mirrors::default(), Arc::default());
    serve_by(proxy, &policy(network), proxies)
}

/// The same, by a proxy that the test has made.
pub(super) fn start_by(proxy: EgressProxy, policy: Policy) -> (SocketAddr, Box<dyn EgressHandle>) {
    serve_by(proxy, &policy, Proxies::default())
}

fn serve_by(proxy: EgressProxy, policy: &Policy, proxies: Proxies) -> (SocketAddr, Box<dyn EgressHandle>) {
    let proxy =
        EgressProxy { runtime: OnceLock::from(Handle::current()), resolver: Arc::new(Local), ..proxy };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (address, proxy.serve(SandboxId::random().unwrap(), policy, proxies, listener).unwrap())
}

/// A far side that records what arrives until it has seen `until`, then answers and closes.
pub(super) async fn far_side(
    until: &'static str,
    answer: &'static str,
) -> (u16, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut seen = Vec::new();
        while !String::from_utf8_lossy(&seen).contains(until) {
            let mut buffer = [0u8; 1024];
            let n = stream.read(&mut buffer).await.unwrap();
            assert_ne!(n, 0, "the proxy closed early");
            seen.extend_from_slice(&buffer[..n]);
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(seen).unwrap()
    });
    (port, task)
}

pub(super) async fn ask(proxy: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_tunnel_carries_bytes_both_ways_and_counts_them() {
    let (port, far) = far_side("ping", "pong").await;
    let (proxy, handle) = start(network(port));
    let answer = ask(proxy, &format!("CONNECT example.com:{port} HTTP/1.1\r\n\r\nping")).await;
    assert_eq!(answer, "HTTP/1.1 200 Connection established\r\n\r\npong");
    assert_eq!(far.await.unwrap(), "ping");
    assert_eq!(handle.counters(), EgressCounters { bytes_out: 4, bytes_in: 4, allowed: 1, refused: 0 });
}

#[tokio::test]
async fn a_literal_address_in_an_allowed_range_is_dialled() {
    let (port, far) = far_side("x", "y").await;
    let (proxy, _handle) = start(network(port));
    let answer = ask(proxy, &format!("CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\nx")).await;
    assert!(answer.ends_with("y"), "{answer}");
    far.await.unwrap();
}

#[tokio::test]
async fn a_request_is_forwarded_once_and_a_pipelined_second_one_is_not() {
    let (port, far) =
        far_side("hello", "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok").await;
    let (proxy, _handle) = start(network(port));
    let request = format!(
        "POST http://a.example.com:{port}/p HTTP/1.1\r\nHost: a.example.com:{port}\r\nContent-Length: 5\r\n\r\nhello\
         GET http://evil.test/ HTTP/1.1\r\n\r\n"
    );
    assert_eq!(
        ask(proxy, &request).await,
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
    );
    let seen = far.await.unwrap();
    assert!(seen.starts_with(&format!("POST /p HTTP/1.1\r\nHost: a.example.com:{port}\r\n")), "{seen}");
    assert!(seen.ends_with("Connection: close\r\n\r\nhello"), "{seen}");
}

#[tokio::test]
async fn a_client_that_waits_for_100_continue_gets_it_from_the_proxy() {
    let (port, far) = far_side("0\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n").await;
    let (proxy, _handle) = start(network(port));
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    let head = format!(
        "PUT http://example.com:{port}/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut interim = [0u8; 25];
    stream.read_exact(&mut interim).await.unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"3\r\nabc\r\n0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    assert!(far.await.unwrap().ends_with("\r\n\r\n3\r\nabc\r\n0\r\n\r\n"));
}

#[tokio::test]
async fn refusals_are_403_with_the_rule_and_the_far_side_hears_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (proxy, handle) = start(Network { allowed_cidrs: vec![], ..network(port) });
    for (request, rule) in [
        (format!("CONNECT evil.test:{port} HTTP/1.1"), "network.allowed_domains"),
        (format!("GET http://evil.test:{port}/ HTTP/1.1"), "network.allowed_domains"),
        (format!("CONNECT example.com:{port} HTTP/1.1"), "network.allowed_cidrs"),
        (format!("CONNECT 127.0.0.1:{port} HTTP/1.1"), "network.allowed_cidrs"),
        (format!("CONNECT [::1]:{port} HTTP/1.1"), "network.allowed_cidrs"),
        (format!("CONNECT localhost:{port} HTTP/1.1"), "network.allowed_cidrs"),
        (format!("CONNECT 169.254.169.254:{port} HTTP/1.1"), "metadata-addresses"),
        ("CONNECT example.com:22 HTTP/1.1".to_owned(), "network.ports"),
        ("GET /v1/sessions HTTP/1.1".to_owned(), "proxy-only"),
        ("PUT /code-interpreters/aws.codeinterpreter.v1/sessions/start HTTP/1.1".to_owned(), "proxy-only"),
    ] {
        let answer = ask(proxy, &format!("{request}\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 403 "), "{request}: {answer}");
        assert!(answer.contains(&format!("Rule: {rule}\n")), "{request}: {answer}");
    }
    assert_eq!(handle.counters().refused, 10);
    let silent = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(silent.is_err(), "somebody connected");
}

#[tokio::test]
async fn ambiguous_requests_are_400_and_names_without_address_502() {
    let (proxy, _handle) = start(network(80));
    let smuggled =
        "POST http://example.com/ HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert!(ask(proxy, smuggled).await.starts_with("HTTP/1.1 400 "));
    assert!(ask(proxy, "GET http://example.com/ HTTP/1.1\n\n").await.starts_with("HTTP/1.1 400 "));
    assert!(ask(proxy, &"A".repeat(head::MAX_HEAD)).await.starts_with("HTTP/1.1 400 "));
    assert!(ask(proxy, "CONNECT gone.example:80 HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 502 "));
}

#[tokio::test]
async fn connections_beyond_the_cap_are_refused() {
    let (proxy, _handle) = start(Network { connections: 1, ..network(80) });
    let holder = TcpStream::connect(proxy).await.unwrap();
    // The holder has been accepted once a second one is refused.
    let answer = ask(proxy, "").await;
    assert!(answer.contains("Rule: network.connections\n"), "{answer}");
    drop(holder);
}

#[tokio::test]
async fn the_byte_budget_cuts_a_tunnel_and_refuses_the_next_one() {
    let (port, _far) = far_side("\u{0}", "").await;
    let (proxy, handle) = start(Network { bytes: 10, ..network(port) });
    let request = format!("CONNECT example.com:{port} HTTP/1.1\r\n\r\n");
    assert!(ask(proxy, &format!("{request}eleven bytes")).await.ends_with("established\r\n\r\n"));
    assert!(ask(proxy, &request).await.contains("Rule: network.bytes\n"));
    assert_eq!(handle.counters().refused, 1);
}

#[tokio::test]
async fn dropping_the_handle_closes_the_listener_and_its_connections() {
    let (port, far) = far_side("never", "").await;
    let (proxy, handle) = start(network(port));
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    stream.write_all(format!("CONNECT example.com:{port} HTTP/1.1\r\n\r\n").as_bytes()).await.unwrap();
    let mut established = [0u8; 39];
    stream.read_exact(&mut established).await.unwrap();
    drop(handle);
    assert_eq!(stream.read(&mut [0u8; 8]).await.unwrap_or(0), 0);
    for _ in 0..100 {
        if TcpStream::connect(proxy).await.is_err() {
            far.abort();
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the listener is still there");
}

#[tokio::test]
async fn a_policy_that_cannot_be_read_serves_nothing() {
    let proxy = EgressProxy {
        runtime: OnceLock::from(Handle::current()),
        ..EgressProxy::new(Loopback::default(), no_secrets(), Mirrors::default(), Arc::default())
    };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let broken = Network { allowed_domains: vec!["*".into()], ..network(80) };
    assert!(
        proxy.serve(SandboxId::random().unwrap(), &policy(broken), Proxies::default(), listener).is_err()
    );
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_named_loopback_target_is_reached_on_a_port_that_no_policy_lists_and_its_neighbours_are_not() {
    let (port, far) = far_side("x", "y").await;
    let (other, _untouched) = far_side("never", "").await;
    let closed = Network { allowed_cidrs: vec![], ..network(443) };
    let (proxy, handle) = start_with(closed, &[format!("localhost:{port}")], Proxies::default());
    for (target, rule) in [
        (format!("localhost:{other}"), "network.ports"),
        (format!("127.0.0.2:{port}"), "network.ports"),
        (format!("0.0.0.0:{port}"), "network.ports"),
        ("localhost:443".to_owned(), "network.allowed_cidrs"),
        ("example.com:443".to_owned(), "network.allowed_cidrs"),
        ("169.254.169.254:443".to_owned(), "metadata-addresses"),
    ] {
        let answer = ask(proxy, &format!("CONNECT {target} HTTP/1.1\r\n\r\n")).await;
        assert!(answer.contains(&format!("Rule: {rule}\n")), "{target}: {answer}");
    }
    let answer = ask(proxy, &format!("CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\nx")).await;
    assert!(answer.ends_with("established\r\n\r\ny"), "{answer}");
    far.await.unwrap();
    assert_eq!((handle.counters().allowed, handle.counters().refused), (1, 6));
}

#[tokio::test]
async fn a_named_loopback_target_stays_closed_without_a_network_and_when_it_is_denied() {
    let (port, _untouched) = far_side("never", "").await;
    let targets = [format!("localhost:{port}")];
    let none = Network { mode: NetworkMode::None, ..network(port) };
    let denied = Network { denied_domains: vec!["localhost".into()], ..network(port) };
    for (policy, rule) in [(none, "network.mode"), (denied, "network.denied_domains")] {
        let (proxy, _handle) = start_with(policy, &targets, Proxies::default());
        let answer = ask(proxy, &format!("GET http://localhost:{port}/ HTTP/1.1\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
        assert!(answer.contains(&format!("Rule: {rule}\n")), "{answer}");
    }
}

#[tokio::test]
async fn a_refused_loopback_program_is_opened_by_the_flag_that_the_refusal_names() {
    let (proxy, _handle) = start(Network { allowed_cidrs: vec![], ..network(80) });
    let answer = ask(proxy, "GET http://localhost/ HTTP/1.1\r\n\r\n").await;
    assert!(answer.contains("--allow-loopback localhost:80"), "{answer}");
}

/// Hosts and ports of security.md, NET-01 to NET-04 and NET-15, in every form that a client can write.
#[tokio::test]
async fn no_form_of_an_address_leads_to_metadata_loopback_or_a_private_network() {
    let open = Network {
        mode: NetworkMode::Open,
        allowed_cidrs: vec![],
        allowed_domains: vec!["metadata.google.internal".into()],
        ..network(80)
    };
    let (proxy, handle) = start(open);
    let metadata = [
        "169.254.169.254",
        "169.254.170.2",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "[fd00:ec2::254]",
        "[fd20:ce::254]",
        "[::ffff:169.254.169.254]",
        "[::ffff:a9fe:a9fe]",
        "[::169.254.169.254]",
        "[::ffff:0:169.254.169.254]",
        "[64:ff9b::169.254.169.254]",
        "[64:ff9b:1::a9fe:a9fe]",
        "[2002:a9fe:a9fe::]",
        "[2001:0:a9fe:a9fe::1]",
    ];
    let special = [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "[::]",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "localhost",
        "a.b.localhost",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "100.64.0.1",
        "[fc00::1]",
        "[fe80::1]",
        "[::ffff:10.0.0.1]",
        "[64:ff9b::a00:1]",
        "[2002:c0a8:1::]",
        "224.0.0.251",
        "255.255.255.255",
        "198.18.0.1",
        "240.0.0.1",
        "203.0.113.10",
        "[2001:db8::10]",
        "[ff02::fb]",
    ];
    let unreadable = [
        "2852039166",
        "0xA9FEA9FE",
        "0xa9.0xfe.0xa9.0xfe",
        "0251.0376.0251.0376",
        "169.254.43518",
        "127.1",
        "[fe80::1%25lo]",
        "localhost.",
        "169.254.169.254.",
        "user@example.com",
        "example.com%00.test",
        "exa_mple.com",
    ];
    let names = ["metadata.google.internal", "METADATA.google.internal", "metadata.goog", "instance-data"];
    let cases = metadata.iter().chain(&names).map(|host| (host, "HTTP/1.1 403 ", "metadata-addresses"));
    let cases = cases.chain(special.iter().map(|host| (host, "HTTP/1.1 403 ", "network.allowed_cidrs")));
    let cases = cases.chain(unreadable.iter().map(|host| (host, "HTTP/1.1 400 ", "proxy-only")));
    let mut asked = 0;
    for (host, status, rule) in cases {
        for request in [format!("CONNECT {host}:80 HTTP/1.1"), format!("GET http://{host}/ HTTP/1.1")] {
            let answer = ask(proxy, &format!("{request}\r\n\r\n")).await;
            assert!(answer.starts_with(status), "{request}: {answer}");
            assert!(answer.contains(&format!("Rule: {rule}\n")), "{request}: {answer}");
            asked += 1;
        }
    }
    let counters = handle.counters();
    assert_eq!((counters.allowed, counters.refused), (0, asked));
}

/// Where a subscriber writes.
#[derive(Clone, Default)]
struct Lines(Arc<std::sync::Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn every_decision_is_logged_with_sandbox_host_port_rule_and_class() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().json().flatten_event(true).with_writer(move || writer.clone());
    let _guard = tracing::subscriber::set_default(subscriber.finish());
    let (port, far) = far_side("x", "y").await;
    let (proxy, handle) = start(network(port));
    ask(proxy, &format!("CONNECT a.example.com:{port} HTTP/1.1\r\n\r\nx")).await;
    ask(proxy, &format!("GET http://10.0.0.1:{port}/ HTTP/1.1\r\n\r\n")).await;
    ask(proxy, "CONNECT a.example.com:22 HTTP/1.1\r\n\r\n").await;
    ask(proxy, "CONNECT 0xa9fea9fe:80 HTTP/1.1\r\n\r\n").await;
    far.await.unwrap();
    drop(handle);
    let written = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let events: Vec<serde_json::Value> =
        written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(
        events.iter().all(|event| event["target"] == "egress" && event["sandbox"].is_string()),
        "{written}"
    );
    let seen: Vec<_> = events
        .iter()
        .map(|event| ["message", "host", "port", "rule", "class"].map(|name| event[name].clone()))
        .collect();
    let expected = serde_json::json!([
        ["allowed", "a.example.com", port, "network.allowed_domains", "loopback"],
        ["ended", "a.example.com", port, null, null],
        ["refused", "10.0.0.1", port, "network.allowed_cidrs", "private"],
        ["refused", "a.example.com", 22, "network.ports", null],
        ["refused", null, null, "proxy-only", null],
        ["closed", null, null, null, null],
        ["total", "a.example.com", null, null, null],
        ["total", "10.0.0.1", null, null, null],
    ]);
    assert_eq!(serde_json::json!(seen), expected);
    assert_eq!((&events[1]["bytes_out"], &events[1]["bytes_in"]), (&1.into(), &1.into()), "{written}");
}
