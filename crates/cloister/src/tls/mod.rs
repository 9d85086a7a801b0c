//! The TLS door: takes TLS off connections and hands their bytes to the plain door of the same server.
//!
//! ```text
//!   client ──TLS──▶ accept ─▶ handshake ─▶ bytes both ways ──TCP──▶ the plain listener on loopback
//! ```
//!
//! It exists for clients that refuse anything but TLS to a name of AWS's; [`NAME`] is such a name, which leads here by a line in
//! the hosts file. Every check of a request (Host, token) is the plain door's.

mod authority;
mod client;
#[cfg(test)]
mod tests;

pub(crate) use authority::{Authority, TlsError, certify, pem};
pub(crate) use client::client_config;

use cloister_gateway::Relayed;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

/// The name under which the AgentCore SDK takes this server for one of AWS's.
pub(crate) const NAME: &str = "cloister.amazonaws.com";

/// Longest handshake. Stops connections that say nothing from holding places.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Rest after the host refused a connection (out of descriptors).
const BACKOFF: Duration = Duration::from_millis(50);

/// The names of the server's certificate: this machine's loopback, [`NAME`], and what the operator allows as Host.
pub(crate) fn names(listen: SocketAddr, allowed_hosts: &[String]) -> Vec<String> {
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1", NAME].map(str::to_owned).into();
    if !listen.ip().is_unspecified() {
        names.push(listen.ip().to_string());
    }
    names.extend(allowed_hosts.iter().cloned());
    names.sort();
    names.dedup();
    names
}

/// Serves until it is dropped; its connections end with it.
pub(crate) async fn serve(
    listener: TcpListener,
    config: Arc<ServerConfig>,
    plain: SocketAddr,
    connections: usize,
    relayed: Relayed,
) {
    let acceptor = TlsAcceptor::from(config);
    let places = Arc::new(Semaphore::new(connections));
    let mut relays = JoinSet::new();
    loop {
        // Before it is taken from the backlog, so that a flood waits outside.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = relays.join_next() => continue,
        };
        match accepted {
            Ok((stream, client)) => {
                let (acceptor, relayed) = (acceptor.clone(), relayed.clone());
                relays.spawn(async move {
                    relay(stream, client, &acceptor, plain, &relayed).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a TLS connection could not be accepted");
                sleep(BACKOFF).await;
            }
        }
    }
}

async fn relay(
    stream: TcpStream,
    from: SocketAddr,
    acceptor: &TlsAcceptor,
    plain: SocketAddr,
    relayed: &Relayed,
) {
    let _ = stream.set_nodelay(true);
    let mut client = match timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(client)) => client,
        Ok(Err(error)) => return tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => return tracing::debug!("a TLS handshake did not end in time"),
    };
    match TcpStream::connect(plain).await {
        Ok(mut server) => {
            let _ = server.set_nodelay(true);
            // The plain door should see the client's address, and not ours.
            let _known = server.local_addr().ok().map(|ours| relayed.enter(ours, from.ip()));
            // However it ends, it has ended for both sides.
            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        }
        Err(error) => tracing::warn!(%error, "the plain door does not answer the TLS door"),
    }
}
