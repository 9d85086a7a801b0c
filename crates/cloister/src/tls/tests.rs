//! The TLS door with a client that trusts the authority and nobody else.

use super::*;
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

fn authority(folder: &Path) -> Authority {
    Authority::open(Authority::new_key().unwrap(), folder).unwrap()
}

/// The certificate in the file that clients are given.
fn certificate(authority: &Authority) -> CertificateDer<'static> {
    use base64::Engine as _;
    let text = std::fs::read_to_string(authority.path()).unwrap();
    let body: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
    base64::engine::general_purpose::STANDARD.decode(body).unwrap().into()
}

fn connector(trusted: CertificateDer<'static>) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(trusted).unwrap();
    let provider = Arc::new(crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

/// A TLS door before a plain one that answers with what it hears, one connection after the other.
async fn door(authority: &Authority, connections: usize) -> (SocketAddr, JoinSet<()>) {
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, behind) = (listener.local_addr().unwrap(), plain.local_addr().unwrap());
    let config = authority.server(names(address, &["box.internal".to_owned()])).unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        loop {
            let (mut stream, _) = plain.accept().await.unwrap();
            tokio::spawn(async move {
                let (mut reads, mut writes) = stream.split();
                let _ = tokio::io::copy(&mut reads, &mut writes).await;
            });
        }
    });
    tasks.spawn(serve(listener, config, behind, connections, Relayed::default()));
    (address, tasks)
}

async fn connect(
    connector: &TlsConnector,
    address: SocketAddr,
    name: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    connector.connect(ServerName::try_from(name.to_owned()).unwrap(), stream).await
}

async fn echoed(mut client: TlsStream<TcpStream>, text: &[u8]) -> Vec<u8> {
    client.write_all(text).await.unwrap();
    client.shutdown().await.unwrap();
    let mut heard = Vec::new();
    client.read_to_end(&mut heard).await.unwrap();
    heard
}

#[test]
fn the_certificate_names_this_machine_the_name_for_the_sdk_and_what_is_allowed_as_host() {
    let allowed = ["box.internal".to_owned(), "localhost".to_owned()];
    let everywhere = names("0.0.0.0:443".parse().unwrap(), &allowed);
    assert_eq!(everywhere, ["127.0.0.1", "::1", "box.internal", NAME, "localhost"]);
    let one = names("10.0.0.5:443".parse().unwrap(), &[]);
    assert!(one.contains(&"10.0.0.5".to_owned()) && !one.contains(&"0.0.0.0".to_owned()));
}

#[tokio::test]
async fn bytes_go_through_both_ways_under_every_name_and_under_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let authority = authority(folder.path());
    let (address, _tasks) = door(&authority, 8).await;
    let connector = connector(certificate(&authority));
    let text = b"bytes".repeat(100_000);
    for name in ["localhost", "127.0.0.1", NAME, "box.internal"] {
        assert_eq!(echoed(connect(&connector, address, name).await.unwrap(), &text).await, text, "{name}");
    }
    assert!(connect(&connector, address, "elsewhere.amazonaws.com").await.is_err());
}

#[tokio::test]
async fn the_plain_door_sees_the_address_of_the_client_and_not_that_of_the_door() {
    let folder = tempfile::tempdir().unwrap();
    let authority = authority(folder.path());
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, behind) = (listener.local_addr().unwrap(), plain.local_addr().unwrap());
    let config = authority.server(names(address, &[])).unwrap();
    let relayed = Relayed::default();
    let mut tasks = JoinSet::new();
    tasks.spawn(serve(listener, config, behind, 8, relayed.clone()));
    // The whole of 127.0.0.0/8 is this machine.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let stream = socket.connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut client = connector(certificate(&authority)).connect(name, stream).await.unwrap();
    client.write_all(b"x").await.unwrap();
    let (mut door, peer) = plain.accept().await.unwrap();
    // What has come was relayed, so the connection is known.
    assert_eq!(door.read_u8().await.unwrap(), b'x');
    assert_eq!(peer.ip().to_string(), "127.0.0.1");
    assert_eq!(relayed.origin(peer).to_string(), "127.0.0.2");
}

#[tokio::test]
async fn who_trusts_another_authority_does_not_connect() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (address, _tasks) = door(&authority(folder.path()), 8).await;
    let connector = connector(certificate(&authority(other.path())));
    assert!(connect(&connector, address, "localhost").await.is_err());
}

#[tokio::test]
async fn a_client_that_speaks_no_tls_is_closed_and_gives_its_place_back() {
    let folder = tempfile::tempdir().unwrap();
    let authority = authority(folder.path());
    let (address, _tasks) = door(&authority, 1).await;
    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut heard = Vec::new();
    // It may be told in TLS's own words, which hold no answer of the plain door's.
    let _ = plain.read_to_end(&mut heard).await;
    assert!(!heard.starts_with(b"GET"), "{heard:?}");
    let connector = connector(certificate(&authority));
    assert_eq!(echoed(connect(&connector, address, "localhost").await.unwrap(), b"x").await, b"x");
}

#[test]
fn an_authority_is_made_once_and_a_file_that_is_none_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let key = Authority::new_key().unwrap();
    let first = certificate(&Authority::open(key.clone(), folder.path()).unwrap());
    assert_eq!(certificate(&Authority::open(key.clone(), folder.path()).unwrap()), first);
    let names: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["ca.pem"], "no temporary file is left");
    std::fs::write(folder.path().join("ca.pem"), "no certificate").unwrap();
    let error = Authority::open(key, folder.path()).err().unwrap().to_string();
    assert!(error.contains("ca.pem") && error.contains("remove the folder"), "{error}");
}
