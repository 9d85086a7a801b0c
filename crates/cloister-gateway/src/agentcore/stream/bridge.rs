//! One CDP client: text from its WebSocket to the browser and back, until one of the two ends.
//!
//! ```text
//! client ══ WebSocket ══▶ read ──bounded queue──▶ browser      a full queue makes the client wait
//! client ◀══ WebSocket ══ write ◀─bounded queue── browser      a client that takes nothing is given up by the socket
//!                           └── a ping every 25 s, so that nothing in between takes the connection for dead
//! ```
//!
//! Both directions run at once: a client that only sends must still get its answers, or both sides wait for ever. Pongs
//! are not waited for: a client that stands at a breakpoint is slow and not gone.

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use cloister_core::browser::cdp::FROM_CLIENT_MAX;
use cloister_core::browser::{CdpClient, ToClient};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

/// Between two pings.
const PING: Duration = Duration::from_secs(25);
/// How long a client may take to read why it is closed, and to close its side.
const FAREWELL: Duration = Duration::from_secs(2);
/// Longest reason of a close frame (RFC 6455, section 5.5: 125 bytes with the code).
const REASON: usize = 123;

/// Why a connection is over.
enum End {
    /// The client has gone.
    Left,
    /// The browser takes no more.
    Ended,
    /// It is to be told why.
    Close(u16, String),
}

/// Serves one client.
pub(super) async fn run(socket: WebSocket, client: CdpClient, drained: impl Future<Output = ()> + Send) {
    let (mut sink, mut stream) = socket.split();
    let CdpClient { to_browser, mut from_browser } = client;
    let end = tokio::select! {
        end = read(&mut stream, &to_browser) => end,
        end = write(&mut sink, &mut from_browser) => end,
        () = drained => End::Close(close_code::AWAY, "the server is shutting down".into()),
    };
    let end = match end {
        // It may have said why before it stopped listening.
        End::Ended => last_words(&mut sink, &mut from_browser).await,
        other => other,
    };
    // Disconnects: what the client has changed in the browser is undone now and not when it has read its farewell.
    drop((to_browser, from_browser));
    let frame = match end {
        End::Left => return,
        End::Ended => frame(close_code::AWAY, "the browser session has ended"),
        End::Close(code, reason) => frame(code, &reason),
    };
    let farewell = async {
        sink.send(Message::Close(Some(frame))).await?;
        while let Some(Ok(message)) = stream.next().await {
            if matches!(message, Message::Close(_)) {
                break;
            }
        }
        Ok::<_, axum::Error>(())
    };
    // A client that does not answer is closed all the same.
    let _ = timeout(FAREWELL, farewell).await;
}

async fn read(stream: &mut SplitStream<WebSocket>, to_browser: &mpsc::Sender<String>) -> End {
    loop {
        // The place before the message: one that had to wait for its place would be held here, and it may be large.
        let Ok(place) = to_browser.reserve().await else { return End::Ended };
        match stream.next().await {
            Some(Ok(Message::Text(text))) => place.send(text.as_str().to_owned()),
            Some(Ok(Message::Binary(_))) => {
                return End::Close(close_code::UNSUPPORTED, "CDP messages are text".into());
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Close(_))) | None => return End::Left,
            Some(Err(error)) => return broken(&error),
        }
    }
}

/// What a client sent is no message: too large, no UTF-8, or the connection broke off.
fn broken(error: &axum::Error) -> End {
    let text = error.to_string();
    tracing::debug!(error = text, "a CDP client's connection broke");
    if text.contains("too long") || text.contains("too big") {
        return End::Close(close_code::SIZE, format!("a message may have {} MiB", FROM_CLIENT_MAX >> 20));
    }
    if text.to_lowercase().contains("utf-8") {
        return End::Close(close_code::INVALID, "CDP messages are UTF-8".into());
    }
    End::Left
}

async fn write(sink: &mut SplitSink<WebSocket, Message>, from_browser: &mut mpsc::Receiver<ToClient>) -> End {
    let mut ping = interval_at(Instant::now() + PING, PING);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let message = tokio::select! {
            message = from_browser.recv() => match message {
                Some(ToClient::Text(text)) => Message::Text(text.into()),
                Some(ToClient::Close { code, reason }) => return End::Close(code, reason),
                None => return End::Ended,
            },
            _ = ping.tick() => Message::Ping(Default::default()),
        };
        if sink.send(message).await.is_err() {
            return End::Left;
        }
    }
}

/// What is still in the queue of a browser that has stopped listening.
async fn last_words(
    sink: &mut SplitSink<WebSocket, Message>,
    from_browser: &mut mpsc::Receiver<ToClient>,
) -> End {
    from_browser.close();
    let said = async {
        while let Some(message) = from_browser.recv().await {
            match message {
                ToClient::Text(text) => {
                    if sink.send(Message::Text(text.into())).await.is_err() {
                        return End::Left;
                    }
                }
                ToClient::Close { code, reason } => return End::Close(code, reason),
            }
        }
        End::Ended
    };
    timeout(FAREWELL, said).await.unwrap_or(End::Ended)
}

fn frame(code: u16, reason: &str) -> CloseFrame {
    let mut end = reason.len().min(REASON);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    CloseFrame { code, reason: reason[..end].into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let cut = frame(1000, &"é".repeat(100));
        assert_eq!(cut.reason.as_str(), "é".repeat(61));
        assert_eq!(frame(4001, "short").reason.as_str(), "short");
    }
}
