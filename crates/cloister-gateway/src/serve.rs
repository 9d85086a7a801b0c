//! The server: connections with limits and timeouts, and an end that lets requests finish.
//!
//! ```text
//! accept ─▶ TCP_NODELAY ─▶ HTTP/1 (head of 64 KiB, 100 headers, 30 s) ─▶ router ─┬─▶ linger ─▶ close
//!                                                                               └─▶ WebSocket ─▶ linger ─▶ close
//! shutdown ─▶ readyz 503, new requests refused, WebSockets closed ─▶ requests finish, at most `drain` ─▶ sessions end ─▶ return
//! ```

use crate::peer::Peer;
use crate::socket::{self, Socket};
use crate::state::Gateway;
use axum::body::Body;
use axum::extract::Request;
use hyper::server::conn::http1;
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tower::ServiceExt as _;

/// Longest time for a request's head, and longest rest of an idle connection. Stops slow heads from holding
/// connections.
const HEAD: Duration = Duration::from_secs(30);
/// Bytes of a request's head. Stops heads that fill the memory; the longest legal one is an ARN and a
/// signature.
const HEAD_BYTES: usize = 64 * 1024;
/// Rest after the host refused a connection (out of descriptors): trying again at once would only burn the
/// processor.
const BACKOFF: Duration = Duration::from_millis(50);
/// How long clients of calls that were ended with their sessions may take to read why.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Serves until `shutdown` resolves and what was begun has ended, or [`crate::GatewayConfig::drain`] is over.
///
/// # Errors
///
/// None for now: failures of single connections end those connections.
pub async fn serve(
    listener: TcpListener,
    gateway: Gateway,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let router = crate::gateway_router(gateway.clone());
    let stall = gateway.config().stall;
    let places = Arc::new(Semaphore::new(gateway.config().connections));
    let (stop, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            (accepted, place) = accept(&listener, &places) => match accepted {
                Ok(stream) => {
                    let connection = connection(stream, router.clone(), stall, stopped.clone());
                    connections.spawn(async move {
                        connection.await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(BACKOFF).await;
                }
            },
        }
    }
    gateway.drain();
    let _ = stop.send(true);
    let end = sleep(gateway.config().drain);
    let mut end = std::pin::pin!(end);
    // New connections are still answered, so that a supervisor sees 503 from /readyz instead of a refused
    // connection.
    let mut late = JoinSet::new();
    while !connections.is_empty() {
        tokio::select! {
            biased;
            () = &mut end => break,
            _ = connections.join_next() => {}
            (accepted, place) = accept(&listener, &places) => if let Ok(stream) = accepted {
                let connection = connection(stream, router.clone(), stall, stopped.clone());
                late.spawn(async move {
                    connection.await;
                    drop(place);
                });
            } else {
                sleep(BACKOFF).await;
            },
        }
    }
    if !connections.is_empty() {
        // What runs for longer than that is ended while its client can still be told: a connection that only
        // breaks off would be taken for a crash, and the call sent again.
        tracing::warn!(open = connections.len(), "sessions are ended at the end of the drain time");
        let said = async { while connections.join_next().await.is_some() {} };
        let _ = timeout(LAST_WORDS, async { tokio::join!(gateway.manager().end_sessions(), said) }).await;
    }
    // Dropping the sets ends what is left of their connections.
    let _ = timeout(BACKOFF, async { while late.join_next().await.is_some() {} }).await;
    Ok(())
}

/// A connection with its place among those that are allowed at once; waits for a place before it takes one
/// from the backlog.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (io::Result<TcpStream>, Option<tokio::sync::OwnedSemaphorePermit>) {
    let place = places.clone().acquire_owned().await.ok();
    (listener.accept().await.map(|(stream, _)| stream), place)
}

async fn connection(
    stream: TcpStream,
    router: axum::Router,
    stall: Duration,
    mut stopped: watch::Receiver<bool>,
) {
    // Without it every answer waits up to 40 ms for the client's acknowledgement of its first part.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY was refused");
    }
    let peer = stream.peer_addr().ok().map(Peer);
    let service = service_fn(move |mut request: Request<hyper::body::Incoming>| {
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        // Boxed, because the socket can be had back from futures that may move only.
        Box::pin(router.clone().oneshot(request.map(Body::new)))
    });
    // A connection that comes while the server drains is for one question about its health.
    let late = *stopped.borrow();
    let (socket, back) = Socket::new(stream, stall);
    let serving = http1::Builder::new()
        .keep_alive(!late)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        // More than 100 headers are refused by default, at no cost.
        .max_header_size(HEAD_BYTES)
        // A client that has gone away frees its request; its call goes on in the session.
        .half_close(false)
        .serve_connection(TokioIo::new(socket), service)
        .with_upgrades();
    if let Err(error) = until_stopped(serving, &mut stopped, late).await {
        tracing::debug!(%error, "a connection ended early");
    }
    // At once, or when the WebSocket that it has become has ended.
    if let Ok(stream) = back.await {
        socket::linger(stream).await;
    }
}

/// Drives a connection to its end, or until it has become a WebSocket; after the word to stop, to the end of its request.
async fn until_stopped<S>(
    serving: http1::UpgradeableConnection<TokioIo<Socket>, S>,
    stopped: &mut watch::Receiver<bool>,
    late: bool,
) -> hyper::Result<()>
where
    S: HttpService<hyper::body::Incoming, ResBody = Body>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut serving = std::pin::pin!(serving);
    tokio::select! {
        result = &mut serving => result,
        // The sender lives as long as the server, so an error means the same as the word.
        _ = async { stopped.wait_for(|stop| *stop).await.is_ok() }, if !late => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    }
}
