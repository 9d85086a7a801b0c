//! A client's connection: a client that takes nothing is given up, and one that is still sending gets to read why it is refused.
//!
//! ```text
//! answer ─▶ Socket::poll_write ── the client takes nothing for `stall` ──▶ error, and what the answer held is free
//! drop ───▶ the stream comes home, from HTTP or from a WebSocket, whoever held the socket last
//! end ────▶ linger ───────────── what the client still sends is read past ──▶ close
//! ```

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{Sleep, sleep, timeout};

/// Longest time that a refused request is read past: the largest legal body at 40 Mbit/s.
const LINGER: Duration = Duration::from_secs(30);
/// Longest silence meanwhile.
const SILENCE: Duration = Duration::from_millis(500);

/// A TCP connection whose writes do not wait for ever.
#[derive(Debug)]
pub(crate) struct Socket {
    /// Taken by the drop only.
    stream: Option<TcpStream>,
    home: Option<oneshot::Sender<TcpStream>>,
    stall: Duration,
    /// Runs while a write waits.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Socket {
    /// A connection that is given up when its client takes no byte for `stall`. Stops clients that ask for large answers and
    /// never read them from filling the server's memory.
    ///
    /// The stream comes back over the receiver when the socket is dropped: a connection that has become a WebSocket is
    /// held by the task that serves it, and counts as a connection until that ends.
    pub(crate) fn new(stream: TcpStream, stall: Duration) -> (Self, oneshot::Receiver<TcpStream>) {
        let (home, back) = oneshot::channel();
        (Self { stream: Some(stream), home: Some(home), stall, stalled: None }, back)
    }

    fn stream(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// What a write came to, with an eye on the clock.
    fn written(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stall = self.stall;
        let timer = self.stalled.get_or_insert_with(|| Box::pin(sleep(stall)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing of its answer")))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let (Some(stream), Some(home)) = (self.stream.take(), self.home.take()) {
            // Nobody waits for it: it is closed here.
            let _ = home.send(stream);
        }
    }
}

/// Ends the connection so that its last answer arrives: to close a socket with something unread resets it, and a client
/// that is still sending its body would see that instead of the answer (RFC 9112, section 9.6).
pub(crate) async fn linger(mut stream: TcpStream) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let mut unwanted = vec![0; 64 * 1024];
    let read_past =
        async { while matches!(timeout(SILENCE, stream.read(&mut unwanted)).await, Ok(Ok(1..))) {} };
    // However it ended, the connection is closed now.
    let _ = timeout(LINGER, read_past).await;
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream()?.poll_read(cx, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = self.stream()?.poll_write(cx, bytes);
        self.written(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.stream()?.poll_write_vectored(cx, parts);
        self.written(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(cx)
    }
}
