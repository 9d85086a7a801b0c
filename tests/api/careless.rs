//! Clients that do not read, or that send more than they may.

use crate::server::{Server, Setup};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

/// More than what the sockets of both sides hold.
const LARGE: usize = 24 << 20;

#[tokio::test]
async fn a_client_that_does_not_read_its_answer_is_given_up() {
    let server = Setup::default().gateway(|config| config.stall = Duration::from_millis(200)).start().await;
    let id = server.session().await;
    let path = format!("/v1/sessions/{id}/files/large.bin");
    assert_eq!(server.request("PUT", &path).body(vec![b'x'; LARGE]).send().await.status, 200);

    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut client = socket.connect(server.address).await.unwrap();
    client.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    let mut answer = Vec::new();
    // Ended or reset, it makes no difference: not all of it comes.
    let _ = timeout(Duration::from_secs(20), client.read_to_end(&mut answer)).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200") && answer.len() < LARGE, "{}", answer.len());
    assert_eq!(server.get(&path).send().await.body.len(), LARGE, "whoever reads gets all of it");
}

#[tokio::test]
async fn a_client_that_sends_a_refused_body_to_its_end_reads_why() {
    let server = Setup::default().token("s3cret").start().await;
    let auth = "Authorization: Bearer s3cret\r\n";
    for (credential, length, status) in [("", LARGE, "401"), (auth, 100_000_001, "413")] {
        let mut client = TcpStream::connect(server.address).await.unwrap();
        let head = format!(
            "PUT /v1/sessions/{}/files/x HTTP/1.1\r\nHost: localhost\r\n{credential}Content-Length: {length}\r\n\r\n",
            if credential.is_empty() { "x".to_owned() } else { authorized_session(&server).await }
        );
        client.write_all(head.as_bytes()).await.unwrap();
        let piece = vec![b'x'; 1 << 20];
        let mut left = length;
        while left > 0 {
            let some = left.min(piece.len());
            client.write_all(&piece[..some]).await.unwrap();
            left -= some;
        }
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
}

async fn authorized_session(server: &Server) -> String {
    let started =
        server.request("POST", "/v1/sessions").header("authorization", "Bearer s3cret").send().await;
    started.json()["id"].as_str().unwrap().to_owned()
}
