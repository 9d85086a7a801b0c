//! The server's end of a control channel: requests out, replies sorted by the call that they belong to.

use bytes::Bytes;
use cloister_jail::fdpass;
use cloister_jail::guest::frame::{self, CONTROL, HEADER, Lengths, Reader};
use cloister_jail::guest::message::{PROTOCOL, Reply, Request};
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream as StdStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

/// Replies that may wait for one call's consumer before the channel is no longer read, and the guest waits in turn.
const BACKLOG: usize = 64;
/// How long init may take to greet.
const GREETING: Duration = Duration::from_secs(10);

/// A reply with its blob.
pub(crate) type Message = (Reply, Bytes);

/// What init said of its walls, and the listener of the egress proxy.
pub(crate) struct Hello {
    pub(crate) walls: BTreeMap<String, String>,
    pub(crate) proxy: Option<TcpListener>,
}

/// The channel.
pub(crate) struct Control {
    writer: tokio::sync::Mutex<OwnedWriteHalf>,
    routes: Routes,
    nonce: String,
}

type Routes = Arc<Mutex<HashMap<String, mpsc::Sender<Message>>>>;

/// Key of the replies that belong to no call.
const WARMED: &str = "";

impl Control {
    /// Attaches to the init behind `stream`. Blocking; must be followed by [`Self::start`] inside the runtime.
    pub(crate) fn attach(mut stream: StdStream, nonce: &str) -> io::Result<(StdStream, Hello)> {
        stream.set_read_timeout(Some(GREETING))?;
        let attach = Request::Attach { nonce: nonce.to_owned(), ttl_ms: 0 };
        stream.write_all(&frame::encode(&attach, b"").map_err(io::Error::other)?)?;
        let mut reader = Reader::new(CONTROL);
        let mut proxy = None;
        loop {
            let mut buffer = [0u8; 4096];
            let (read, fds) = fdpass::receive_bytes(&stream, &mut buffer)?;
            if read == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the sandbox closed its channel before greeting",
                ));
            }
            proxy = proxy.or(fds.into_iter().next().map(TcpListener::from));
            reader.push(buffer.get(..read).unwrap_or_default());
            match reader.take::<Reply>().map_err(io::Error::other)? {
                None => {}
                Some((Reply::Hello { protocol: PROTOCOL, walls, .. }, _)) => {
                    return Ok((stream, Hello { walls, proxy }));
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
        gone: impl FnOnce(String) + Send + 'static,
    ) -> io::Result<Self> {
        stream.set_read_timeout(None)?;
        stream.set_nonblocking(true)?;
        let (reader, writer) = UnixStream::from_std(stream)?.into_split();
        let routes = Routes::default();
        let table = Arc::clone(&routes);
        tokio::spawn(async move {
            let why = match read_all(reader, &table).await {
                Ok(()) => "the worker ended".to_owned(),
                Err(error) => error.to_string(),
            };
            lock(&table).clear();
            gone(why);
        });
        Ok(Self { writer: tokio::sync::Mutex::new(writer), routes, nonce: nonce.to_owned() })
    }

    /// Sends a request and returns the replies to its id. Dropping the receiver ends the interest, not the call.
    pub(crate) async fn call(
        &self,
        id: &str,
        request: &Request,
        blob: &[u8],
    ) -> io::Result<mpsc::Receiver<Message>> {
        let (sender, receiver) = mpsc::channel(BACKLOG);
        lock(&self.routes).insert(id.to_owned(), sender);
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
        lock(&self.routes).remove(id);
    }

    /// Has the driver fault in what a first call needs; returns when it is done.
    pub(crate) async fn warm(&self) -> io::Result<()> {
        let mut receiver = self.call(WARMED, &Request::Warm, b"").await?;
        receiver.recv().await.map(drop).ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))
    }

    /// Sets what is left of the sandbox's life.
    pub(crate) async fn set_ttl(&self, ttl: Duration) -> io::Result<()> {
        let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1);
        self.send(&Request::Attach { nonce: self.nonce.clone(), ttl_ms }, b"").await
    }

    /// Sends a request that has no reply of its own.
    pub(crate) async fn send(&self, request: &Request, blob: &[u8]) -> io::Result<()> {
        let bytes = frame::encode(request, blob).map_err(io::Error::other)?;
        self.writer.lock().await.write_all(&bytes).await
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn read_all(mut reader: OwnedReadHalf, routes: &Routes) -> io::Result<()> {
    loop {
        let mut header = [0u8; HEADER];
        match reader.read_exact(&mut header).await {
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(e) => return Err(e),
        }
        let lengths = Lengths::parse(header, CONTROL).map_err(io::Error::other)?;
        let mut json = vec![0; lengths.json];
        reader.read_exact(&mut json).await?;
        let mut blob = vec![0; lengths.blob];
        reader.read_exact(&mut blob).await?;
        let reply: Reply = serde_json::from_slice(&json).map_err(io::Error::other)?;
        let key = match &reply {
            Reply::Hello { .. } => continue,
            Reply::Warmed => WARMED,
            Reply::Stdout { id }
            | Reply::Stderr { id }
            | Reply::Display { id, .. }
            | Reply::Value { id, .. }
            | Reply::File { id, .. }
            | Reply::Executed { id, .. }
            | Reply::Done { id, .. } => id,
        };
        let route = lock(routes).get(key).cloned();
        // A call that nobody waits for any more is read past: its guest must not block on it.
        if let Some(route) = route {
            let _: Result<(), _> = route.send((reply, blob.into())).await;
        }
    }
}
