//! The proxy end to end, on loopback sockets, with a policy that allows 127.0.0.0/8.

use super::*;
use async_trait::async_trait;
use cloister_core::policy::NetworkMode;
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

fn network(port: u16) -> Network {
    Network {
        mode: NetworkMode::Allowlist,
        allowed_domains: vec!["example.com".into(), "*.example.com".into(), "gone.example".into()],
        denied_domains: vec![],
        allowed_cidrs: vec!["127.0.0.0/8".into()],
        ports: vec![port],
        connections: 8,
        bytes: 1 << 20,
    }
}

/// A served listener and its address.
fn start(network: Network) -> (SocketAddr, Box<dyn EgressHandle>) {
    start_with(network, &[], Proxies::default())
}

/// The same, with loopback targets and upstream proxies.
fn start_with(network: Network, targets: &[String], proxies: Proxies) -> (SocketAddr, Box<dyn EgressHandle>) {
    let proxy = EgressProxy {
        runtime: OnceLock::from(Handle::current()),
        resolver: Arc::new(Local),
        loopback: Arc::new(Loopback::resolve(targets).unwrap()),
    };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (address, proxy.serve(SandboxId::random().unwrap(), network, proxies, listener).unwrap())
}

/// A far side that records what arrives until it has seen `until`, then answers and closes.
async fn far_side(until: &'static str, answer: &'static str) -> (u16, tokio::task::JoinHandle<String>) {
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

async fn ask(proxy: SocketAddr, request: &str) -> String {
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
    let proxy =
        EgressProxy { runtime: OnceLock::from(Handle::current()), ..EgressProxy::new(Loopback::default()) };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let broken = Network { allowed_domains: vec!["*".into()], ..network(80) };
    assert!(proxy.serve(SandboxId::random().unwrap(), broken, Proxies::default(), listener).is_err());
    assert!(TcpStream::connect(address).await.is_err());
}
