//! A connection to a host that a secret is bound to: TLS ends here on both sides, and one request passes, with its values in it.
//!
//! ```text
//!   guest ──CONNECT, TLS by mint.rs──▶ head (strict) ─▶ substitute ─▶ audit ─▶ TLS, certificate verified ──▶ host
//!   guest ◀──────────────────── head and body, scrubbed, framed anew ◀────────────────────────────────────┘
//! ```

use super::scrub::{Patterns, Scrubber};
use super::substitute::{Filled, Misplaced, fill};
use super::{Lent, Secret};
use crate::egress::answer::Answer;
use crate::egress::connection::Shared;
use crate::egress::head::{self, MAX_HEAD, Request, rewrite_answer};
use crate::egress::host::{Destination, Host};
use crate::egress::meter::Direction;
use crate::egress::relay::{IDLE, Relay, read_head};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, split,
};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// For a handshake, and for a guest's head after it.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest line of a chunk's size, extensions included, and of a trailer.
const LINE: usize = 1024;

/// Serves a tunnel to `to`, for which `far` has been dialled, to its end.
pub(crate) async fn serve(
    shared: &Arc<Shared>,
    lent: &Lent,
    relay: &Relay<'_>,
    client: &mut BufReader<TcpStream>,
    far: BufReader<TcpStream>,
    to: &Destination,
) -> io::Result<()> {
    client.get_mut().write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    let acceptor = TlsAcceptor::from(lent.ways.mint.server(&to.host).map_err(io::Error::other)?);
    let tls = timeout(PATIENCE, acceptor.accept(client)).await.map_err(|_| io::ErrorKind::TimedOut)??;
    let asked = tls.get_ref().1.server_name().map(str::to_owned);
    let (from, mut back) = split(tls);
    let mut from = BufReader::new(from);
    let mut outcome = exchange(shared, lent, relay, (&mut from, &mut back), far, to, asked.as_deref()).await;
    if let Err(End::Answer(answer)) = &mut outcome {
        shared.note(answer);
        back.write_all(&answer.bytes()).await?;
    }
    // A program that gets no end of the TLS stream takes the answer for cut off; after a real cut, that is right.
    if !matches!(outcome, Err(End::Io(_))) {
        back.shutdown().await?;
    }
    match outcome {
        Ok(()) | Err(End::Answer(_)) => Ok(()),
        Err(End::Io(error)) => Err(error),
    }
}

/// How an exchange ends early.
enum End {
    /// With an answer of the proxy's own, of which nothing has been sent.
    Answer(Box<Answer>),
    /// With nothing more to say.
    Io(io::Error),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<io::ErrorKind> for End {
    fn from(kind: io::ErrorKind) -> Self {
        Self::Io(kind.into())
    }
}

impl From<Answer> for End {
    fn from(answer: Answer) -> Self {
        Self::Answer(Box::new(answer))
    }
}

async fn exchange<R, W>(
    shared: &Arc<Shared>,
    lent: &Lent,
    relay: &Relay<'_>,
    (from_client, to_client): (&mut R, &mut W),
    far: BufReader<TcpStream>,
    to: &Destination,
    asked: Option<&str>,
) -> Result<(), End>
where
    R: AsyncBufRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let named =
        matches!(&to.host, Host::Name(name) if asked.is_some_and(|asked| !asked.eq_ignore_ascii_case(name)));
    if named {
        return Err(
            Answer::bad_read("the name in the TLS greeting is not the one that the tunnel is for").into()
        );
    }
    let head =
        timeout(PATIENCE, read_head(from_client, MAX_HEAD)).await.map_err(|_| io::ErrorKind::TimedOut)?;
    let head = head.map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    let parsed = head::parse_inner(&head, to).map_err(|error| Answer::bad_head(&error))?;
    let Request::Forward { head, body, expects_continue, .. } = parsed else {
        return Err(Answer::bad_read("a tunnel inside of a tunnel").into());
    };
    let bound = lent.bound_to(&to.host);
    let Filled { head, used } = fill(&head, &bound).map_err(|why| refusal(to, &why, &bound))?;

    let name = match &to.host {
        Host::Name(name) => ServerName::try_from(name.clone()).map_err(io::Error::other)?,
        Host::Address(address) => ServerName::from(*address),
    };
    let connecting = TlsConnector::from(Arc::clone(&lent.ways.client)).connect(name, far);
    let far = timeout(PATIENCE, connecting).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut));
    let far = far.and_then(|connected| connected).map_err(|error| {
        shared.journal.failed(to, &error.to_string());
        Answer::not_trusted(to, &error)
    })?;
    record(shared, to, &used).await?;

    let bodiless = head.starts_with(b"HEAD ");
    let (from_far, mut to_far) = split(far);
    let mut from_far = BufReader::new(from_far);
    relay.write(&mut to_far, &head, Direction::Out).await?;
    if expects_continue {
        relay.write(to_client, b"HTTP/1.1 100 Continue\r\n\r\n", Direction::In).await?;
    }
    // Known from here on: the values that have just been sent are among them.
    let patterns = Patterns::of(&lent.known(&to.host));
    let mut scrubber = Scrubber::new(&patterns);
    {
        let sending = relay.body(from_client, &mut to_far, body);
        let answering = answer(relay, &mut from_far, to_client, &patterns, &mut scrubber, bodiless);
        tokio::pin!(sending, answering);
        tokio::select! {
            sent = &mut sending => {
                sent?;
                answering.await?;
            }
            // The host may answer before it has read the whole body.
            answered = &mut answering => answered?,
        }
    }
    if scrubber.found() {
        shared.journal.scrubbed(to);
    }
    Ok(())
}

/// The log knows of a use before it happens; what cannot be recorded does not happen.
async fn record(shared: &Arc<Shared>, to: &Destination, used: &[(String, String)]) -> Result<(), End> {
    for (name, place) in used {
        shared.journal.lent(to, name, place);
        let (log, host, secret, place) = (Arc::clone(shared), to.clone(), name.clone(), place.clone());
        // It waits for the disk.
        let recording = move || log.journal.record_use(&host, &secret, &place);
        let recorded = tokio::task::spawn_blocking(recording).await;
        if !matches!(recorded, Ok(Ok(()))) {
            tracing::error!(target: "egress", secret = name, "a use of a secret cannot be recorded and is refused");
            return Err(Answer::unavailable(to, "the use of a secret cannot be recorded").into());
        }
    }
    Ok(())
}

fn refusal(to: &Destination, why: &Misplaced, bound: &[&Secret]) -> Answer {
    match why {
        Misplaced::InAddress => {
            Answer::misplaced(to, "a placeholder of a secret stands in the address", "send it in a header")
        }
        Misplaced::NotForHere => {
            let names: Vec<_> = bound.iter().map(|secret| secret.name.as_str()).collect();
            let how = format!("send this host {} only, in a header", names.join(", "));
            Answer::misplaced(
                to,
                "a placeholder stands in the request whose secret is not for this host or header",
                &how,
            )
        }
        Misplaced::Unreadable(name) => {
            Answer::unavailable(to, &format!("the value of {name} cannot be read by the server"))
        }
    }
}

/// How the body of an answer ends.
enum Framing {
    Nothing,
    Length(u64),
    Chunked,
    Close,
}

async fn answer<R, W>(
    relay: &Relay<'_>,
    far: &mut R,
    client: &mut W,
    patterns: &Patterns,
    scrubber: &mut Scrubber<'_>,
    bodiless: bool,
) -> Result<(), End>
where
    R: AsyncBufRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let framing = loop {
        let head = timeout(IDLE, read_head(far, 4 * MAX_HEAD)).await.map_err(|_| io::ErrorKind::TimedOut)?;
        let head = head.map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        let (code, mut out) = rewrite_answer(&head).map_err(|error| io::Error::other(error.to_string()))?;
        if code == 101 {
            return Err(Answer::bad_far("it answers with another protocol than HTTP").into());
        }
        let framing = framing(&head, code, bodiless)?;
        patterns.mask(&mut out);
        relay.write(client, &out, Direction::In).await?;
        if code >= 200 {
            break framing;
        }
    };
    match framing {
        Framing::Nothing => {}
        Framing::Length(length) => pass(relay, far, client, scrubber, Some(length), Write::Plain).await?,
        Framing::Close => pass(relay, far, client, scrubber, None, Write::Plain).await?,
        Framing::Chunked => loop {
            let size = chunk_size(far).await?;
            if size == 0 {
                while !line(far).await?.is_empty() {}
                let rest = scrubber.end();
                put(relay, client, &rest, Write::Chunk).await?;
                relay.write(client, b"0\r\n\r\n", Direction::In).await?;
                break;
            }
            pass_some(relay, far, client, scrubber, Some(size), Write::Chunk).await?;
            if !line(far).await?.is_empty() {
                return Err(io::ErrorKind::InvalidData.into());
            }
        },
    }
    Ok(())
}

/// How pieces are written.
#[derive(Clone, Copy)]
enum Write {
    Plain,
    Chunk,
}

/// A whole body.
async fn pass<R, W>(
    relay: &Relay<'_>,
    far: &mut R,
    client: &mut W,
    scrubber: &mut Scrubber<'_>,
    length: Option<u64>,
    how: Write,
) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    pass_some(relay, far, client, scrubber, length, how).await?;
    let rest = scrubber.end();
    put(relay, client, &rest, how).await
}

/// `length` bytes, or all; what may be the beginning of a value stays in the scrubber.
async fn pass_some<R, W>(
    relay: &Relay<'_>,
    far: &mut R,
    client: &mut W,
    scrubber: &mut Scrubber<'_>,
    length: Option<u64>,
    how: Write,
) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut buffer = vec![0u8; 16 * 1024];
    let mut left = length.unwrap_or(u64::MAX);
    while left > 0 {
        let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let n = relay.read(far, &mut buffer[..most]).await?;
        if n == 0 {
            return if length.is_some() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) };
        }
        let out = scrubber.push(&buffer[..n]);
        put(relay, client, &out, how).await?;
        left -= n as u64;
    }
    Ok(())
}

async fn put<W: AsyncWrite + Unpin>(
    relay: &Relay<'_>,
    client: &mut W,
    bytes: &[u8],
    how: Write,
) -> io::Result<()> {
    match how {
        _ if bytes.is_empty() => Ok(()),
        Write::Plain => relay.write(client, bytes, Direction::In).await,
        Write::Chunk => {
            let size = format!("{:x}\r\n", bytes.len());
            relay.write(client, &[size.as_bytes(), bytes, b"\r\n"].concat(), Direction::In).await
        }
    }
}

/// What the head of an answer says of its body. Whatever cannot be read here is not passed on: it could hold a value.
fn framing(head: &[u8], code: u16, bodiless: bool) -> Result<Framing, Answer> {
    let text = String::from_utf8_lossy(head);
    let all = |name: &str| -> Vec<String> {
        let lines = text.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
        let named = lines.filter(|(n, _)| n.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.trim().to_ascii_lowercase()).collect()
    };
    if all("content-encoding").iter().any(|coding| !coding.is_empty() && coding != "identity") {
        return Err(Answer::bad_far(
            "it compresses its answer although it was asked not to, so that no secret can be kept out of it",
        ));
    }
    if bodiless || code == 204 || code == 304 || code < 200 {
        return Ok(Framing::Nothing);
    }
    match (all("transfer-encoding").as_slice(), all("content-length").as_slice()) {
        ([], []) => Ok(Framing::Close),
        ([coding], []) if coding == "chunked" => Ok(Framing::Chunked),
        ([], [length]) => match length.parse() {
            Ok(length) => Ok(Framing::Length(length)),
            Err(_) => Err(Answer::bad_far("the length of its answer is not a number")),
        },
        _ => Err(Answer::bad_far("it is not clear where its answer ends")),
    }
}

async fn chunk_size<R: AsyncBufRead + Unpin>(far: &mut R) -> io::Result<u64> {
    let line = line(far).await?;
    let digits = line.split(';').next().unwrap_or_default().trim();
    let plain = (1..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let size = u64::from_str_radix(digits, 16).ok().filter(|_| plain);
    size.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// A line without its end.
async fn line<R: AsyncBufRead + Unpin>(far: &mut R) -> io::Result<String> {
    let mut line = Vec::new();
    let mut limited = far.take(LINE as u64);
    timeout(IDLE, limited.read_until(b'\n', &mut line)).await.map_err(|_| io::ErrorKind::TimedOut)??;
    match line.strip_suffix(b"\r\n") {
        Some(text) => Ok(String::from_utf8_lossy(text).into_owned()),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}
