//! One connection of a guest: one head, one decision, one tunnel or one request, then the end.

use super::answer::Answer;
use super::dial::{DialError, Dialer, Purpose};
use super::head::{Body, MAX_HEAD, Request, absolute_form, parse_head};
use super::host::Destination;
use super::journal::Journal;
use super::meter::{Direction, Meter};
use super::packages::Index;
use super::relay::{IDLE, ReadHeadError, Relay, read_head};
use super::secrets::{self, Lent};
use cloister_core::policy::NetworkMode;
use cloister_jail::plan::NOTICES;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A client that has sent no complete head by then is closed. Stops slow senders from holding slots.
const HEAD: Duration = Duration::from_secs(10);

/// What every connection of one sandbox shares.
pub(crate) struct Shared {
    pub(crate) journal: Journal,
    pub(crate) dialer: Dialer,
    pub(crate) mode: NetworkMode,
    /// Whether what is allowed lies in the session for its code to read.
    pub(crate) told: bool,
    pub(crate) meter: Meter,
    /// The secrets that its requests may carry.
    pub(crate) lent: Option<Arc<Lent>>,
    /// The package index that it has.
    pub(crate) index: Option<Index>,
}

impl Shared {
    /// Counts and writes down what an answer refuses, which then says under which id.
    pub(crate) fn note(&self, answer: &mut Answer) {
        if let Some(refused) = answer.as_refused() {
            self.meter.refused(refused.to.as_ref());
            let id = self.journal.refused(refused);
            answer.name(&id);
            if self.told {
                answer.point(&format!("{NOTICES}/allowed.md"));
            }
        }
    }
}

/// Serves one connection to its end.
pub(crate) async fn serve(shared: &Arc<Shared>, stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let mut client = BufReader::new(stream);
    if let Err(answer) = serve_request(shared, &mut client).await {
        refuse(shared, client.into_inner(), answer).await;
    }
}

/// Says no and closes.
pub(crate) async fn refuse(shared: &Shared, mut stream: TcpStream, mut answer: Answer) {
    shared.note(&mut answer);
    let farewell = async {
        stream.write_all(&answer.bytes()).await?;
        stream.shutdown().await?;
        // A close with unread input makes the kernel reset the connection, and the client loses the answer.
        let mut rest = [0u8; 4096];
        for _ in 0..16 {
            if stream.read(&mut rest).await? == 0 {
                break;
            }
        }
        io::Result::Ok(())
    };
    let _ = timeout(Duration::from_secs(2), farewell).await;
}

async fn serve_request(shared: &Arc<Shared>, client: &mut BufReader<TcpStream>) -> Result<(), Answer> {
    let head = match timeout(HEAD, read_head(client, MAX_HEAD)).await {
        Ok(Ok(head)) => head,
        Ok(Err(ReadHeadError::TooLong)) => return Err(Answer::bad_read("the request head is too long")),
        Ok(Err(ReadHeadError::Nothing | ReadHeadError::Io)) => return Ok(()),
        Err(_) => return Err(Answer::bad_read("the request head did not arrive in time")),
    };
    let request = parse_head(&head).map_err(|error| {
        tracing::debug!(target: "egress", sandbox = %shared.journal.sandbox(), %error, "bad request");
        Answer::bad_head(&error)
    })?;
    if shared.meter.is_exhausted() {
        return Err(Answer::limit("network.bytes", "the session's network budget is used up"));
    }
    if let (Request::Forward { to, head, body, .. }, Some(index)) = (&request, &shared.index)
        && index.is(to)
    {
        let relay = Relay::new(&shared.meter, shared.meter.allowed(to), IDLE);
        return index.serve(shared, &relay, client, head, *body).await;
    }
    let (to, purpose) = match &request {
        Request::Tunnel { to } => (to.clone(), Purpose::Tunnel),
        // Without TLS a value would be there for everybody on the way.
        Request::Forward { to, head, .. } if shared.lent.is_some() && secrets::mentions_placeholder(head) => {
            return Err(Answer::misplaced(
                to,
                "a placeholder of a secret stands in a request without TLS",
                "use https",
            ));
        }
        Request::Forward { to, .. } => (to.clone(), Purpose::Forward),
    };
    if shared.meter.is_exhausted_for(&to) {
        let what = format!("the session's budget for {} is used up", to.host);
        return Err(Answer::limit("network.host_bytes", &what));
    }
    let far = shared.dialer.dial(&shared.meter, &to, purpose).await.map_err(|error| {
        if !matches!(error, DialError::Refused(_) | DialError::TooManyNames) {
            shared.journal.failed(&to, &error.to_string());
        }
        Answer::dial(&to, &error, shared.mode)
    })?;
    let host = shared.meter.allowed(&to);
    shared.journal.allowed(&to, &far.leave, far.via.as_ref());
    let relay = Relay::new(&shared.meter, host, IDLE);
    let _account = Account { journal: &shared.journal, to: &to, relay: &relay };
    let outcome = match request {
        Request::Tunnel { .. } => match shared.lent.as_ref().filter(|lent| lent.binds(&to.host)) {
            Some(lent) => secrets::serve(shared, lent, &relay, client, far.stream, &to).await,
            None => tunnel(&relay, client, far.stream).await,
        },
        Request::Forward { head, body, expects_continue, .. } => {
            let head = if far.via.is_some() { absolute_form(&head, &to) } else { head };
            forward(&relay, client, far.stream.into_inner(), &head, body, expects_continue).await
        }
    };
    log_end(shared, &to, &outcome);
    Ok(())
}

/// Writes down what has passed when the connection ends, also when that is because its session does.
struct Account<'a> {
    journal: &'a Journal,
    to: &'a Destination,
    relay: &'a Relay<'a>,
}

impl Drop for Account<'_> {
    fn drop(&mut self) {
        let passed = |direction| self.relay.passed(direction);
        self.journal.ended(self.to, passed(Direction::Out), passed(Direction::In));
    }
}

/// `CONNECT`: bytes both ways until both sides are done.
async fn tunnel(
    relay: &Relay<'_>,
    client: &mut BufReader<TcpStream>,
    far: BufReader<TcpStream>,
) -> io::Result<()> {
    client.get_mut().write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    // What the client sent right behind its head is the start of the tunnel; so is what an upstream proxy sent behind its answer.
    let early = far.buffer().to_vec();
    relay.write(client.get_mut(), &early, Direction::In).await?;
    let mut far = far.into_inner();
    let early = client.buffer().to_vec();
    relay.write(&mut far, &early, Direction::Out).await?;
    let (mut from_client, mut to_client) = client.get_mut().split();
    let (mut from_far, mut to_far) = far.split();
    tokio::try_join!(
        relay.pump(&mut from_client, &mut to_far, Direction::Out),
        relay.pump(&mut from_far, &mut to_client, Direction::In),
    )?;
    Ok(())
}

/// One request and its answer. What the client sends behind the request is never read, so it never goes anywhere.
async fn forward(
    relay: &Relay<'_>,
    client: &mut BufReader<TcpStream>,
    mut far: TcpStream,
    head: &[u8],
    body: Body,
    expects_continue: bool,
) -> io::Result<()> {
    relay.write(&mut far, head, Direction::Out).await?;
    if expects_continue {
        client.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    let early = client.buffer().to_vec();
    let (from_client, mut to_client) = client.get_mut().split();
    let mut from_client = BufReader::new(AsyncReadExt::chain(&early[..], from_client));
    let (from_far, mut to_far) = far.split();
    let mut from_far = BufReader::new(from_far);

    let sending = relay.body(&mut from_client, &mut to_far, body);
    let answering = relay.answer(&mut from_far, &mut to_client);
    tokio::pin!(sending, answering);
    tokio::select! {
        sent = &mut sending => sent?,
        // The far side may answer before it has read the whole body (413, 401).
        answered = &mut answering => return answered,
    }
    answering.await
}

fn log_end(shared: &Shared, to: &Destination, outcome: &io::Result<()>) {
    let end = outcome.as_ref().map_or_else(|error| error.kind().to_string(), |()| "closed".to_owned());
    tracing::debug!(target: "egress", sandbox = %shared.journal.sandbox(), %to, %end, "connection ended");
}
