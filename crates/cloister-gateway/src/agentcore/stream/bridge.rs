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

use super::record::{Connected, Over};
use super::websocket::{Broken, Came, PING, PONG, Reader, TEXT, Writer, code};
use cloister_core::browser::{CdpClient, Held, Text, ToClient};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

/// Between two pings.
const PAUSE: Duration = Duration::from_secs(25);
/// How long a client may take to read why it is closed, and to close its side.
const FAREWELL: Duration = Duration::from_secs(2);

/// Why a connection is over.
enum End {
    /// The client has gone.
    Left,
    /// The browser takes no more.
    Ended,
    /// It is to be told why.
    Close(u16, String),
}

/// Serves one client, and puts on record why it is over.
pub(super) async fn run<S>(
    socket: S,
    client: CdpClient,
    cut: impl Future<Output = (u16, &'static str)> + Send,
    record: &mut Connected,
) where
    S: AsyncRead + AsyncWrite + Send,
{
    let CdpClient { to_browser, mut from_browser, budget } = client;
    let (reads, writes) = tokio::io::split(socket);
    let (reads, writes) = (Box::pin(reads), Box::pin(writes));
    let (mut reader, mut writer) = (Reader::new(reads, &budget), Writer::new(writes));
    // Only the last ping needs its pong (RFC 6455, section 5.5.3).
    let (pong, mut pongs) = mpsc::channel(1);
    let end = tokio::select! {
        end = read(&mut reader, &to_browser, &pong) => end,
        end = write(&mut writer, &mut from_browser, &mut pongs) => end,
        (code, why) = cut => End::Close(code, why.into()),
    };
    let end = match end {
        // It may have said why before it stopped listening.
        End::Ended => last_words(&mut writer, &mut from_browser).await,
        other => other,
    };
    // Disconnects: what the client has changed in the browser is undone now and not when it has read its farewell.
    drop((to_browser, from_browser));
    let over = match &end {
        End::Left | End::Close(code::NORMAL, _) => Over::Left,
        End::Ended => Over::Ended,
        End::Close(..) => Over::Closed,
    };
    let (code, reason) = match end {
        End::Left => return record.over(over, String::new()),
        End::Ended => (code::AWAY, "the browser session has ended".to_owned()),
        End::Close(code, reason) => (code, reason),
    };
    record.over(over, reason.clone());
    let farewell = async {
        // Whoever sends a large message reads nothing until it is sent, so both at once.
        let told = writer.close(code, &reason);
        let ((), told) = tokio::join!(reader.until_closed(), told);
        told
    };
    // A client that does not answer is closed all the same.
    let _ = timeout(FAREWELL, farewell).await;
}

async fn read<R: AsyncRead + Unpin>(
    reader: &mut Reader<R>,
    to_browser: &mpsc::Sender<Text>,
    pong: &mpsc::Sender<Vec<u8>>,
) -> End {
    loop {
        // The place before the message: one that had to wait for its place would be held here, and it may be large.
        let Ok(place) = to_browser.reserve().await else { return End::Ended };
        loop {
            match reader.next().await {
                Ok(Came::Text(text)) => break place.send(text),
                Ok(Came::Ping(payload)) => drop(pong.try_send(payload)),
                Ok(Came::Close) => return End::Close(code::NORMAL, String::new()),
                Err(Broken::Left) => return End::Left,
                Err(Broken::Close(code, reason)) => return End::Close(code, reason),
            }
        }
    }
}

async fn write<W: AsyncWrite + Unpin>(
    writer: &mut Writer<W>,
    from_browser: &mut mpsc::Receiver<ToClient>,
    pongs: &mut mpsc::Receiver<Vec<u8>>,
) -> End {
    let mut ping = interval_at(Instant::now() + PAUSE, PAUSE);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let (opcode, payload, held) = tokio::select! {
            message = from_browser.recv() => match message {
                Some(ToClient::Text(Text { text, held })) => (TEXT, text.into_bytes(), held),
                Some(ToClient::Close { code, reason }) => return End::Close(code, reason),
                None => return End::Ended,
            },
            Some(payload) = pongs.recv() => (PONG, payload, Held::default()),
            _ = ping.tick() => (PING, Vec::new(), Held::default()),
        };
        if writer.send(opcode, payload, held).await.is_err() {
            return End::Left;
        }
    }
}

/// What is still in the queue of a browser that has stopped listening.
async fn last_words<W: AsyncWrite + Unpin>(
    writer: &mut Writer<W>,
    from_browser: &mut mpsc::Receiver<ToClient>,
) -> End {
    from_browser.close();
    let said = async {
        while let Some(message) = from_browser.recv().await {
            match message {
                ToClient::Text(Text { text, held }) => {
                    if writer.send(TEXT, text.into_bytes(), held).await.is_err() {
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
