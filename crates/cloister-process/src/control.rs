//! The server's end of a control channel: requests out, replies sorted by the call that they belong to.

use crate::translate;
use bytes::Bytes;
use cloister_core::lock::lock;
use cloister_jail::fdpass;
use cloister_jail::guest::frame::{self, CONTROL, HEADER, Lengths, Reader};
use cloister_jail::guest::message::{Handed, PROTOCOL, Reply, Request};
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

/// Replies that may wait for one call's consumer before the channel is no longer read, and the guest waits in turn.
const BACKLOG: usize = 64;
/// Bytes of a blob that is copied to go out in one piece with its head.
const SMALL: usize = 32 << 10;
/// How long init may take to greet.
const GREETING: Duration = Duration::from_secs(10);

/// A reply with its blob.
pub(crate) type Message = (Reply, Bytes);

/// What init said of its walls, and what it has handed over.
pub(crate) struct Hello {
    pub(crate) walls: BTreeMap<String, String>,
    /// The listener of the egress proxy.
    pub(crate) proxy: Option<TcpListener>,
    /// The server's ends of the browser's pipes: to it, from it.
    pub(crate) browser: Option<(OwnedFd, OwnedFd)>,
    /// The server's end of the socket for orders to the engine.
    pub(crate) engine: Option<OwnedFd>,
}

impl Hello {
    /// Sorts the descriptors by what init said that they are.
    fn new(walls: BTreeMap<String, String>, handed: &[Handed], fds: Vec<OwnedFd>) -> io::Result<Self> {
        if handed.len() != fds.len() {
            let what = format!("the sandbox named {} descriptors and sent {}", handed.len(), fds.len());
            return Err(io::Error::other(what));
        }
        let (mut proxy, mut to, mut from, mut engine) = (None, None, None, None);
        for (what, fd) in handed.iter().zip(fds) {
            match what {
                Handed::Proxy => proxy = Some(TcpListener::from(fd)),
                Handed::ToBrowser => to = Some(fd),
                Handed::FromBrowser => from = Some(fd),
                Handed::Engine => engine = Some(fd),
            }
        }
        Ok(Self { walls, proxy, browser: to.zip(from), engine })
    }
}

/// How a channel has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// The reason, for clients.
    pub(crate) why: String,
    /// The sandbox's program was killed: by the out-of-memory killer, if that has taken one.
    pub(crate) killed: bool,
}

/// The channel.
pub(crate) struct Control {
    /// `None` for ever after a request that was given up half-way: what came next would be read as the rest of it.
    writer: tokio::sync::Mutex<Option<OwnedWriteHalf>>,
    routes: Routes,
    nonce: String,
}

/// Who waits for the replies to which call; `None` once there will be no more.
type Routes = Arc<Mutex<Option<HashMap<String, mpsc::Sender<Message>>>>>;

/// Key of the replies that belong to no call.
const WARMED: &str = "";

impl Control {
    /// Attaches to the init behind `stream`. Blocking; must be followed by [`Self::start`] inside the runtime.
    pub(crate) fn attach(mut stream: StdStream, nonce: &str) -> io::Result<(StdStream, Hello)> {
        stream.set_read_timeout(Some(GREETING))?;
        let attach = Request::Attach { nonce: nonce.to_owned(), ttl_ms: 0 };
        stream.write_all(&frame::encode(&attach, b"").map_err(io::Error::other)?)?;
        let mut reader = Reader::new(CONTROL);
        let mut handed_over = Vec::new();
        loop {
            let mut buffer = [0u8; 4096];
            let (read, fds) = fdpass::receive_bytes(&stream, &mut buffer)?;
            if read == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the sandbox closed its channel before greeting",
                ));
            }
            handed_over.extend(fds);
            reader.push(buffer.get(..read).unwrap_or_default());
            match reader.take::<Reply>().map_err(io::Error::other)? {
                None => {}
                Some((Reply::Hello { protocol: PROTOCOL, walls, handed }, _)) => {
                    return Ok((stream, Hello::new(walls, &handed, handed_over)?));
                }
                Some((Reply::Hello { protocol, .. }, _)) => {
                    return Err(io::Error::other(format!(
                        "the sandbox speaks protocol {protocol}, not {PROTOCOL}"
                    )));
                }
                Some(_) => return Err(io::Error::other("the sandbox did not greet")),
            }
        }
    }

    /// Starts reading. `gone` is told, once, when the channel ends.
    pub(crate) fn start(
        stream: StdStream,
        nonce: &str,
        gone: impl FnOnce(End) + Send + 'static,
    ) -> io::Result<Self> {
        stream.set_read_timeout(None)?;
        stream.set_nonblocking(true)?;
        let (reader, writer) = UnixStream::from_std(stream)?.into_split();
        let routes: Routes = Arc::new(Mutex::new(Some(HashMap::new())));
        let table = Arc::clone(&routes);
        tokio::spawn(async move {
            let (error, farewell) = read_all(BufReader::new(reader), &table).await;
            // Also with something unread on either side: it did not read or write everything before it died.
            let end = farewell.unwrap_or_else(|| {
                let why = match error.kind() {
                    io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
                        "the worker ended".to_owned()
                    }
                    _ => format!("the channel to the worker broke: {error}"),
                };
                End { why, killed: false }
            });
            // First the reason, then the end of every call, which asks for it.
            gone(end);
            *lock(&table) = None;
        });
        Ok(Self { writer: tokio::sync::Mutex::new(Some(writer)), routes, nonce: nonce.to_owned() })
    }

    /// Sends a request and returns the replies to its id. Dropping the receiver ends the interest, not the call.
    pub(crate) async fn call(
        &self,
        id: &str,
        request: &Request,
        blob: &[u8],
    ) -> io::Result<mpsc::Receiver<Message>> {
        let (sender, receiver) = mpsc::channel(BACKLOG);
        let Some(_) = lock(&self.routes).as_mut().map(|routes| routes.insert(id.to_owned(), sender)) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        match self.send(request, blob).await {
            Ok(()) => Ok(receiver),
            Err(error) => {
                self.forget(id);
                Err(error)
            }
        }
    }

    /// Ends the routing of a call's replies.
    pub(crate) fn forget(&self, id: &str) {
        if let Some(routes) = lock(&self.routes).as_mut() {
            routes.remove(id);
        }
    }

    /// Has the driver fault in what a first call needs; returns when it is done.
    pub(crate) async fn warm(&self) -> io::Result<()> {
        let mut receiver = self.call(WARMED, &Request::Warm, b"").await?;
        let warmed =
            receiver.recv().await.map(drop).ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof));
        self.forget(WARMED);
        warmed
    }

    /// Sets what is left of the sandbox's life.
    pub(crate) async fn set_ttl(&self, ttl: Duration) -> io::Result<()> {
        let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1);
        self.send(&Request::Attach { nonce: self.nonce.clone(), ttl_ms }, b"").await
    }

    /// Sends a request that has no reply of its own. `InvalidInput`: it is too large for the channel, which is fine.
    /// Dropped before it is out, it ends the channel.
    pub(crate) async fn send(&self, request: &Request, blob: &[u8]) -> io::Result<()> {
        let head = frame::head(request, blob.len(), CONTROL)
            .map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
        let mut place = self.writer.lock().await;
        // Only a whole frame puts it back.
        let mut writer = place.take().ok_or(io::ErrorKind::NotConnected)?;
        if blob.len() <= SMALL {
            // In one piece: two would wake the other side twice.
            writer.write_all(&[&head, blob].concat()).await?;
        } else {
            writer.write_all(&head).await?;
            writer.write_all(blob).await?;
        }
        *place = Some(writer);
        Ok(())
    }
}

/// Reads until the channel ends, and returns how, with the reason if init gave one.
async fn read_all(mut reader: BufReader<OwnedReadHalf>, routes: &Routes) -> (io::Error, Option<End>) {
    let mut farewell = None;
    loop {
        match read_one(&mut reader, routes).await {
            Ok(said) => farewell = said.or(farewell),
            Err(error) => return (error, farewell),
        }
    }
}

/// Reads one reply. Returns the reason of the end to come, if that is what it is.
async fn read_one(reader: &mut BufReader<OwnedReadHalf>, routes: &Routes) -> io::Result<Option<End>> {
    let mut header = [0u8; HEADER];
    reader.read_exact(&mut header).await?;
    let lengths = Lengths::parse(header, CONTROL).map_err(io::Error::other)?;
    let mut json = vec![0; lengths.json];
    reader.read_exact(&mut json).await?;
    let mut blob = vec![0; lengths.blob];
    reader.read_exact(&mut blob).await?;
    let reply: Reply = serde_json::from_slice(&json).map_err(io::Error::other)?;
    let key = match &reply {
        Reply::Hello { .. } => return Ok(None),
        Reply::ResidentEnded { name, status, said } => {
            return Ok(Some(translate::resident_end(name, *status, said)));
        }
        Reply::Warmed => WARMED,
        Reply::Stdout { id }
        | Reply::Stderr { id }
        | Reply::Display { id, .. }
        | Reply::Value { id, .. }
        | Reply::File { id, .. }
        | Reply::Executed { id, .. }
        | Reply::Done { id, .. } => id,
    };
    let route = lock(routes).as_ref().and_then(|routes| routes.get(key).cloned());
    // A call that nobody waits for any more is read past: its guest must not block on it.
    if let Some(route) = route {
        let _: Result<(), _> = route.send((reply, blob.into())).await;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    /// A channel, the end that init would have, and the reason for its end.
    fn channel() -> (Control, UnixStream, oneshot::Receiver<String>) {
        let (ours, theirs) = StdStream::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        let (sender, reason) = oneshot::channel();
        let control = Control::start(ours, "nonce", move |end: End| drop(sender.send(end.why))).unwrap();
        (control, UnixStream::from_std(theirs).unwrap(), reason)
    }

    fn stdout(id: &str, bytes: &[u8]) -> Vec<u8> {
        frame::encode(&Reply::Stdout { id: id.into() }, bytes).unwrap()
    }

    #[tokio::test]
    async fn replies_find_the_call_that_they_belong_to_and_others_are_read_past() {
        let (control, mut init, _reason) = channel();
        let mut first = control.call("a", &Request::Interrupt, b"").await.unwrap();
        let mut second = control.call("b", &Request::Interrupt, b"").await.unwrap();
        for (id, bytes) in [("b", &b"2"[..]), ("nobody", b"?"), ("a", b"1")] {
            init.write_all(&stdout(id, bytes)).await.unwrap();
        }
        assert_eq!(first.recv().await.unwrap().1, "1");
        assert_eq!(second.recv().await.unwrap().1, "2");
    }

    #[tokio::test]
    async fn when_the_channel_ends_every_call_ends_and_the_reason_is_there_already() {
        let (control, init, mut reason) = channel();
        let mut call = control.call("a", &Request::Interrupt, b"").await.unwrap();
        drop(init);
        assert!(call.recv().await.is_none());
        assert_eq!(reason.try_recv().unwrap(), "the worker ended");
        assert!(control.call("b", &Request::Interrupt, b"").await.is_err(), "nobody would answer");
    }

    #[tokio::test]
    async fn what_init_says_of_its_browser_is_the_reason_of_the_end() {
        let (_control, mut init, reason) = channel();
        let said = "ERROR: no usable sandbox\n\x1b[31m".to_owned();
        let farewell = Reply::ResidentEnded { name: "browser".into(), status: 133, said };
        init.write_all(&frame::encode(&farewell, b"").unwrap()).await.unwrap();
        drop(init);
        let why = reason.await.unwrap();
        assert_eq!(
            why,
            "the browser was killed by signal 5; the last that it said: ERROR: no usable sandbox [31m"
        );
    }

    #[test]
    fn descriptors_are_what_init_says_that_they_are_and_must_be_as_many() {
        let fds = || -> Vec<OwnedFd> {
            let (read, write) = std::io::pipe().unwrap();
            vec![read.into(), write.into()]
        };
        let both = [Handed::FromBrowser, Handed::ToBrowser];
        let hello = Hello::new(BTreeMap::new(), &both, fds()).unwrap();
        let (to, from) = hello.browser.unwrap();
        std::fs::File::from(to).write_all(b"x").unwrap();
        let mut byte = [0];
        std::io::Read::read_exact(&mut std::fs::File::from(from), &mut byte).unwrap();
        assert_eq!(&byte, b"x");
        assert!(Hello::new(BTreeMap::new(), &both[..1], fds()).is_err());
        assert!(Hello::new(BTreeMap::new(), &[], Vec::new()).unwrap().browser.is_none());
    }

    #[tokio::test]
    async fn a_request_that_is_given_up_half_way_is_never_followed_by_another() {
        let (control, mut init, _reason) = channel();
        let blob = vec![b'x'; 16 << 20];
        let given_up = control.send(&Request::Interrupt, &blob);
        assert!(tokio::time::timeout(Duration::from_millis(50), given_up).await.is_err(), "nobody reads");
        assert!(control.send(&Request::Interrupt, b"").await.is_err());
        let mut heard = Vec::new();
        init.read_to_end(&mut heard).await.unwrap();
        assert!(heard.len() < blob.len(), "init sees the end of the stream and no second frame");
    }
}
