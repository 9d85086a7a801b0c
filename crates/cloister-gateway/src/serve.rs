//! The server: connections with limits and timeouts, and an end that lets requests finish.
//!
//! ```text
//! accept ─▶ TCP_NODELAY ─▶ HTTP/1 (head of 64 KiB, 100 headers, 30 s) ─▶ router
//! shutdown ─▶ readyz 503, new requests refused ─▶ requests finish, at most `drain` ─▶ return
//! ```

use crate::state::Gateway;
use axum::body::Body;
use axum::extract::Request;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
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
                    let connection = connection(stream, router.clone(), stopped.clone());
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
                let connection = connection(stream, router.clone(), stopped.clone());
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
        tracing::warn!(open = connections.len(), "connections were cut at the end of the drain time");
    }
    // Dropping the sets ends what is left of their connections. Calls of sessions go on: they belong to the
    // manager.
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

async fn connection(stream: TcpStream, router: axum::Router, mut stopped: watch::Receiver<bool>) {
    // Without it every answer waits up to 40 ms for the client's acknowledgement of its first part.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY was refused");
    }
    let service = router.map_request(|request: Request<hyper::body::Incoming>| request.map(Body::new));
    // A connection that comes while the server drains is for one question about its health.
    let late = *stopped.borrow();
    let serving = http1::Builder::new()
        .keep_alive(!late)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        // More than 100 headers are refused by default, at no cost.
        .max_header_size(HEAD_BYTES)
        // A client that has gone away frees its request; its call goes on in the session.
        .half_close(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .with_upgrades();
    let mut serving = std::pin::pin!(serving);
    let result = tokio::select! {
        result = serving.as_mut() => result,
        // The sender lives as long as the server, so an error means the same as the word.
        _ = async { stopped.wait_for(|stop| *stop).await.is_ok() }, if !late => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection ended early");
    }
}
