//! Moves bytes between a guest and a destination: counted, bounded in time, and framed anew where HTTP frames them.

use super::head::{Body, MAX_HEAD};
use super::meter::{Direction, HostMeter, Meter};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// A connection in which neither side says anything for so long is closed. Stops a hoard of idle connections.
pub(crate) const IDLE: Duration = Duration::from_secs(300);
const BUFFER: usize = 16 * 1024;

/// One connection's way of counting and of noticing that it is idle.
pub(crate) struct Relay<'a> {
    meter: &'a Meter,
    host: Arc<HostMeter>,
    idle: Duration,
    out: AtomicU64,
    inward: AtomicU64,
    /// Reads so far, in either direction: a download keeps the silent upload direction alive.
    activity: AtomicU64,
}

/// Why a head could not be read.
#[derive(Debug)]
pub(crate) enum ReadHeadError {
    /// More than the limit without an end.
    TooLong,
    /// Nothing came at all: the client changed its mind.
    Nothing,
    /// The connection failed or ended inside the head.
    Io,
}

/// Reads up to and including the empty line; what follows stays in the reader.
pub(crate) async fn read_head<R: AsyncBufRead + Unpin>(
    reader: &mut R,
    limit: usize,
) -> Result<Vec<u8>, ReadHeadError> {
    let mut head = Vec::new();
    loop {
        let chunk = reader.fill_buf().await.map_err(|_| ReadHeadError::Io)?;
        if chunk.is_empty() {
            return Err(if head.is_empty() { ReadHeadError::Nothing } else { ReadHeadError::Io });
        }
        for (at, &byte) in chunk.iter().enumerate() {
            head.push(byte);
            // Also at a bare `\n\n`: the parser refuses it at once, instead of a wait for the rest.
            if byte == b'\n' && (head.ends_with(b"\r\n\r\n") || head.ends_with(b"\n\n")) {
                reader.consume(at + 1);
                return Ok(head);
            }
            if head.len() == limit {
                return Err(ReadHeadError::TooLong);
            }
        }
        let taken = chunk.len();
        reader.consume(taken);
    }
}

impl<'a> Relay<'a> {
    /// A relay that counts on `meter`, for `host`.
    pub(crate) fn new(meter: &'a Meter, host: Arc<HostMeter>, idle: Duration) -> Self {
        let zero = || AtomicU64::new(0);
        Self { meter, host, idle, out: zero(), inward: zero(), activity: zero() }
    }

    /// Bytes of this connection so far.
    pub(crate) fn passed(&self, direction: Direction) -> u64 {
        self.passing(direction).load(Relaxed)
    }

    fn passing(&self, direction: Direction) -> &AtomicU64 {
        match direction {
            Direction::Out => &self.out,
            Direction::In => &self.inward,
        }
    }

    /// Everything from `reader` to `writer` until the end, which is passed on as a half-close.
    pub(crate) async fn pump<R, W>(
        &self,
        reader: &mut R,
        writer: &mut W,
        direction: Direction,
    ) -> io::Result<()>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let mut buffer = vec![0u8; BUFFER];
        loop {
            let n = self.read(reader, &mut buffer).await?;
            if n == 0 {
                return writer.shutdown().await;
            }
            self.write(writer, &buffer[..n], direction).await?;
        }
    }

    /// A request body from the guest, with its framing written anew.
    pub(crate) async fn body<R, W>(&self, reader: &mut R, writer: &mut W, body: Body) -> io::Result<()>
    where
        R: AsyncBufRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        match body {
            Body::Length(length) => self.exactly(reader, writer, length).await,
            Body::Chunked => loop {
                let size = self.chunk_size(reader).await?;
                self.write(writer, format!("{size:x}\r\n").as_bytes(), Direction::Out).await?;
                self.exactly(reader, writer, size).await?;
                // After the last chunk this also says that there are no trailers.
                self.expect_crlf(reader).await?;
                self.write(writer, b"\r\n", Direction::Out).await?;
                if size == 0 {
                    return Ok(());
                }
            },
        }
    }

    /// The answer of the far side: heads as `rewrite` gives them, then everything until the end.
    pub(crate) async fn answer<R, W>(&self, reader: &mut R, writer: &mut W) -> io::Result<()>
    where
        R: AsyncBufRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            let head = timeout(self.idle, read_head(reader, 4 * MAX_HEAD)).await;
            let head = head.map_err(|_| io::ErrorKind::TimedOut)?.map_err(|_| io::ErrorKind::InvalidData)?;
            let (code, head) = super::head::rewrite_answer(&head).map_err(io::Error::other)?;
            // An upgrade was never asked for, so an answer that claims one is nonsense.
            if code == 101 {
                return Err(io::ErrorKind::InvalidData.into());
            }
            self.write(writer, &head, Direction::In).await?;
            if code >= 200 {
                return self.pump(reader, writer, Direction::In).await;
            }
        }
    }

    async fn exactly<R, W>(&self, reader: &mut R, writer: &mut W, mut left: u64) -> io::Result<()>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let mut buffer = vec![0u8; BUFFER];
        while left > 0 {
            let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let n = self.read(reader, &mut buffer[..most]).await?;
            if n == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.write(writer, &buffer[..n], Direction::Out).await?;
            left -= n as u64;
        }
        Ok(())
    }

    /// A chunk's size line: 1 to 8 hexadecimal digits, no extension.
    async fn chunk_size<R: AsyncBufRead + Unpin>(&self, reader: &mut R) -> io::Result<u64> {
        let mut line = Vec::with_capacity(10);
        while !line.ends_with(b"\r\n") {
            if line.len() == 10 {
                return Err(io::ErrorKind::InvalidData.into());
            }
            line.push(self.byte(reader).await?);
        }
        let digits = &line[..line.len() - 2];
        let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit);
        let text = std::str::from_utf8(digits).ok().filter(|_| plain);
        let size = text.and_then(|text| u64::from_str_radix(text, 16).ok());
        size.ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    async fn expect_crlf<R: AsyncBufRead + Unpin>(&self, reader: &mut R) -> io::Result<()> {
        match (self.byte(reader).await?, self.byte(reader).await?) {
            (b'\r', b'\n') => Ok(()),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    async fn byte<R: AsyncBufRead + Unpin>(&self, reader: &mut R) -> io::Result<u8> {
        timeout(self.idle, reader.read_u8()).await.map_err(|_| io::ErrorKind::TimedOut)?
    }

    /// One read; gives up when neither direction has moved for the idle time.
    pub(crate) async fn read<R: AsyncRead + Unpin>(
        &self,
        reader: &mut R,
        buffer: &mut [u8],
    ) -> io::Result<usize> {
        loop {
            let seen = self.activity.load(Relaxed);
            match timeout(self.idle, reader.read(buffer)).await {
                Ok(result) => {
                    self.activity.fetch_add(1, Relaxed);
                    return result;
                }
                Err(_) if self.activity.load(Relaxed) != seen => {}
                Err(_) => return Err(io::ErrorKind::TimedOut.into()),
            }
        }
    }

    /// Counts, then writes: bytes over the budget never leave.
    pub(crate) async fn write<W: AsyncWrite + Unpin>(
        &self,
        writer: &mut W,
        bytes: &[u8],
        direction: Direction,
    ) -> io::Result<()> {
        self.meter.spend(&self.host, direction, bytes.len())?;
        self.passing(direction).fetch_add(bytes.len() as u64, Relaxed);
        // TLS keeps what it has not been told to send.
        let writing = async {
            writer.write_all(bytes).await?;
            writer.flush().await
        };
        timeout(self.idle, writing).await.map_err(|_| io::ErrorKind::TimedOut)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn chunked(input: &str) -> io::Result<(String, String)> {
        let meter = Meter::of(1 << 20);
        let relay = Relay::new(&meter, Arc::default(), Duration::from_secs(5));
        let (mut reader, mut out) = (input.as_bytes(), Vec::new());
        relay.body(&mut reader, &mut out, Body::Chunked).await?;
        Ok((String::from_utf8(out).unwrap(), String::from_utf8(reader.to_vec()).unwrap()))
    }

    #[tokio::test]
    async fn chunks_are_written_anew_and_nothing_after_the_last_one_is_taken() {
        let (out, rest) =
            chunked("005\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\nGET http://b/ ").await.unwrap();
        assert_eq!(out, "5\r\nhello\r\na\r\n0123456789\r\n0\r\n\r\n");
        assert_eq!(rest, "GET http://b/ ");
    }

    #[tokio::test]
    async fn ambiguous_chunks_end_the_connection() {
        for bad in [
            "5;ext=1\r\nhello\r\n0\r\n\r\n",
            "5\nhello\r\n0\r\n\r\n",
            "+5\r\nhello\r\n0\r\n\r\n",
            "0x5\r\nhello\r\n0\r\n\r\n",
            "5\r\nhelloX\r\n0\r\n\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "0\r\nTrailer: x\r\n\r\n",
            "\r\n",
            "fffffffff\r\n",
            "5\r\nhel",
        ] {
            assert!(chunked(bad).await.is_err(), "{bad:?}");
        }
    }

    #[tokio::test]
    async fn a_body_of_known_length_takes_exactly_its_bytes() {
        let meter = Meter::of(100);
        let relay = Relay::new(&meter, Arc::default(), Duration::from_secs(5));
        let (mut reader, mut out) = (&b"helloGET /"[..], Vec::new());
        relay.body(&mut reader, &mut out, Body::Length(5)).await.unwrap();
        assert_eq!((&out[..], reader), (&b"hello"[..], &b"GET /"[..]));
    }

    #[tokio::test]
    async fn nothing_passes_beyond_the_budget() {
        let meter = Meter::of(4);
        let relay = Relay::new(&meter, Arc::default(), Duration::from_secs(5));
        let (mut reader, mut out) = (&b"hello"[..], Vec::new());
        let error = relay.pump(&mut reader, &mut out, Direction::Out).await.unwrap_err();
        assert_eq!((error.kind(), out.len()), (io::ErrorKind::QuotaExceeded, 0));
    }

    #[tokio::test]
    async fn a_head_ends_at_its_empty_line_and_is_bounded() {
        let mut reader = &b"GET / HTTP/1.1\r\n\r\nrest"[..];
        assert!(read_head(&mut reader, 100).await.unwrap().ends_with(b"\r\n\r\n"));
        assert_eq!(reader, b"rest");
        assert!(matches!(read_head(&mut &[b'a'; 101][..], 100).await, Err(ReadHeadError::TooLong)));
        assert!(matches!(read_head(&mut &b""[..], 100).await, Err(ReadHeadError::Nothing)));
        assert!(matches!(read_head(&mut &b"GET"[..], 100).await, Err(ReadHeadError::Io)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_is_closed_but_a_one_sided_one_is_not() {
        let meter = Meter::of(1 << 20);
        let relay = Relay::new(&meter, Arc::default(), Duration::from_secs(10));
        let (mut silent, _keep) = tokio::io::duplex(64);
        let waiting = async {
            let started = tokio::time::Instant::now();
            let error = relay.pump(&mut silent, &mut tokio::io::sink(), Direction::Out).await.unwrap_err();
            (error.kind(), started.elapsed())
        };
        let (mut far, mut near) = tokio::io::duplex(64);
        let downloading = async {
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_secs(8)).await;
                far.write_all(b"x").await.unwrap();
            }
            drop(far);
        };
        let pumping = async { relay.pump(&mut near, &mut tokio::io::sink(), Direction::In).await };
        let ((kind, lasted), _, pumped) = tokio::join!(waiting, downloading, pumping);
        assert_eq!(kind, io::ErrorKind::TimedOut);
        assert!(lasted > Duration::from_secs(40), "{lasted:?}");
        assert!(pumped.is_ok());
    }
}
