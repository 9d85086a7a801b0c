//! The server's end of one engine: orders out, answers sorted by the session that they are about.
//!
//! ```text
//!   start ─▶ Maker (a sandbox with an engine in it) ─▶ Begin ─▶ Ready
//!   open, fork ─▶ order + one end of a socketpair ─▶ Opened ─▶ Link: the other end, as a control channel
//! ```

use super::backend::EngineRoom;
use super::terms;
use crate::allowed;
use crate::control::{Control, End};
use crate::image::Image;
use crate::lower::{self, Places};
use crate::maker::Maker;
use crate::sandbox::Sandbox;
use cloister_core::backend::StartError;
use cloister_core::egress::Provisions;
use cloister_core::lock::lock;
use cloister_core::policy::Policy;
use cloister_jail::fdpass;
use cloister_jail::guest::engine::{EngineAnswer, EngineOrder, Refusal, Terms};
use cloister_jail::plan::Jail;
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::Interest;
use tokio::net::UnixDatagram;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

/// How long an interpreter may take to come up: a second on a quiet machine.
const GREETING: Duration = Duration::from_secs(60);
/// How long an order may take. A copy of a large session takes a second.
const PATIENCE: Duration = Duration::from_secs(30);
/// An engine's life is its group's business; this is how long it goes on should everybody forget it.
const LIFE: Duration = Duration::from_secs(7 * 24 * 3600);
/// The number under which the answer to `Begin` is waited for.
const BEGIN: u64 = 0;

/// A running engine.
pub(crate) struct Engine {
    pub(super) sandbox: Sandbox,
    socket: UnixDatagram,
    /// Who waits for the answer about which session; `None` once there will be no more.
    waiting: Mutex<Option<HashMap<u64, oneshot::Sender<EngineAnswer>>>>,
    next: AtomicU64,
    sessions: AtomicU32,
    room: EngineRoom,
    since: Instant,
    /// The session's own walls and the engine's facts, for the native door.
    pub(super) facts: Vec<(String, String)>,
}

/// The server's end of one session.
pub(crate) struct Link {
    pub(super) number: u64,
    pub(super) control: Control,
    /// Set, with the reason, when the channel has ended.
    pub(super) gone: watch::Receiver<Option<String>>,
    pub(super) engine: Arc<Engine>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.engine.left();
    }
}

/// Why an engine did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum OrderError {
    /// It is full.
    #[error("{0}")]
    Full(String),
    /// The session is running a call.
    #[error("{0}")]
    Busy(String),
    /// Anything else.
    #[error(transparent)]
    Failed(#[from] io::Error),
}

impl Engine {
    /// Starts an engine for sessions of `policy`, whose interpreter is in `image`; `ready` of them are kept ready.
    pub(super) async fn start(
        maker: &Arc<Maker>,
        policy: &Policy,
        image: Image,
        room: &EngineRoom,
        ready: usize,
    ) -> Result<Arc<Self>, StartError> {
        let failed = |step: &str| {
            let step = step.to_owned();
            move |source: io::Error| StartError::Step { step, source }
        };
        let around = Arc::new(terms::around(policy, room));
        let places = Places::of(Jail::Namespaces, "", &policy.filesystem.workspace);
        let env = lower::environment(&image, policy, &places, &Provisions::default());
        let notices = allowed::notices(policy, &image, &places, &Provisions::default());
        let name = image.name.clone();
        let sandbox = maker.make_from(around, image).await?;
        sandbox.control.set_ttl(LIFE).await.map_err(failed("set the engine's life"))?;
        let socket = lock(&sandbox.engine).take();
        let Some(socket) = socket else {
            sandbox.destroy().await;
            let what = "it has no engine; choose an image with [wasm], or another tier";
            return Err(StartError::Image { image: name, what: what.into() });
        };
        let mut engine = Self {
            sandbox,
            socket: nonblocking(socket).map_err(failed("listen to the engine"))?,
            waiting: Mutex::new(Some(HashMap::new())),
            next: AtomicU64::new(BEGIN + 1),
            sessions: AtomicU32::new(0),
            room: room.clone(),
            since: Instant::now(),
            facts: Vec::new(),
        };
        let begin = EngineOrder::Begin {
            room: terms::room(room, ready),
            env,
            workspace: places.workspace().to_owned(),
            home: places.home().to_owned(),
            notices,
        };
        let began = timeout(GREETING, engine.begin(&begin)).await;
        let ready = match began.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(ready) => ready,
            Err(error) => {
                let why = engine.sandbox.gone.borrow().clone();
                engine.sandbox.destroy().await;
                let error = why.map_or(error, io::Error::other);
                return Err(failed("bring up the interpreter")(error));
            }
        };
        if let EngineAnswer::Ready { version, image, took_us } = ready {
            engine.facts = vec![
                ("interpreter".into(), format!("CPython {version} for WASI")),
                ("interpreter_image".into(), format!("{image} bytes, taken in {} ms", took_us / 1000)),
            ];
        }
        let engine = Arc::new(engine);
        let listener = Arc::clone(&engine);
        tokio::spawn(async move { listener.listen().await });
        Ok(engine)
    }

    async fn begin(&self, order: &EngineOrder) -> io::Result<EngineAnswer> {
        self.send(order, &[]).await?;
        match self.receive().await? {
            Some(ready @ EngineAnswer::Ready { .. }) => Ok(ready),
            Some(EngineAnswer::Refused { why, .. }) => Err(io::Error::other(why)),
            _ => Err(io::Error::other("the engine ended before its interpreter was up")),
        }
    }

    /// A new session.
    pub(super) async fn open(self: &Arc<Self>, terms: Terms) -> Result<Link, OrderError> {
        self.link(|session| EngineOrder::Open { session, terms }).await
    }

    /// A copy of the session `from`, which must be at rest.
    pub(super) async fn fork(self: &Arc<Self>, from: u64) -> Result<Link, OrderError> {
        self.link(|session| EngineOrder::Fork { session, from }).await
    }

    async fn link(self: &Arc<Self>, order: impl FnOnce(u64) -> EngineOrder) -> Result<Link, OrderError> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (ours, theirs) = UnixStream::pair()?;
        match self.ask(number, &order(number), &[theirs.as_raw_fd()]).await? {
            EngineAnswer::Opened { .. } => {}
            EngineAnswer::Refused { reason, why, .. } => {
                return Err(match reason {
                    Refusal::Full => OrderError::Full(why),
                    Refusal::Busy => OrderError::Busy(why),
                    Refusal::Unknown | Refusal::Failed => OrderError::Failed(io::Error::other(why)),
                });
            }
            _ => return Err(io::Error::other("the engine answered out of turn").into()),
        }
        self.sessions.fetch_add(1, Ordering::Relaxed);
        let (sender, gone) = watch::channel(None);
        let engine = Arc::downgrade(self);
        let told = move |end: End| {
            // The engine's own end has a better reason than that of a socket.
            let engine = engine.upgrade().and_then(|engine| engine.sandbox.gone.borrow().clone());
            sender.send_replace(Some(engine.unwrap_or(end.why)));
        };
        let control = Control::start(ours, "", told)?;
        Ok(Link { number, control, gone, engine: Arc::clone(self) })
    }

    /// Writes the session to `file` and frees its memory.
    pub(super) async fn evict(&self, session: u64, file: &OwnedFd) -> Result<u64, OrderError> {
        match self.ask(session, &EngineOrder::Evict { session }, &[file.as_raw_fd()]).await? {
            EngineAnswer::Evicted { bytes, .. } => Ok(bytes),
            EngineAnswer::Refused { reason: Refusal::Busy, why, .. } => Err(OrderError::Busy(why)),
            EngineAnswer::Refused { why, .. } => Err(io::Error::other(why).into()),
            _ => Err(io::Error::other("the engine answered out of turn").into()),
        }
    }

    /// Waits until a session that has been told to end is gone; false if the engine does not say so.
    pub(super) async fn closed(&self, closed: oneshot::Receiver<EngineAnswer>, patience: Duration) -> bool {
        matches!(timeout(patience, closed).await, Ok(Ok(EngineAnswer::Closed { .. })))
    }

    /// Registers for what the engine says next about a session.
    pub(super) fn expect(&self, session: u64) -> Option<oneshot::Receiver<EngineAnswer>> {
        let (sender, receiver) = oneshot::channel();
        lock(&self.waiting).as_mut()?.insert(session, sender);
        Some(receiver)
    }

    /// A session has been given up: it no longer counts.
    pub(super) fn left(&self) {
        self.sessions.fetch_sub(1, Ordering::Relaxed);
    }

    /// Sessions in it.
    pub(super) fn sessions(&self) -> u32 {
        self.sessions.load(Ordering::Relaxed)
    }

    /// Whether it takes new sessions.
    pub(super) fn serves(&self) -> bool {
        self.is_in_service() && self.has_room()
    }

    /// Whether it may hold one session more.
    pub(super) fn has_room(&self) -> bool {
        self.sessions() < self.room.sessions
    }

    /// Whether an order failed because the engine has ended. The server may hear of that by an order before it hears of the process; from
    /// then on the engine is given no more.
    pub(super) fn has_ended(&self, error: &OrderError) -> bool {
        use io::ErrorKind::{BrokenPipe, ConnectionReset, NotConnected};
        let ended = match error {
            OrderError::Failed(source) => {
                matches!(source.kind(), BrokenPipe | ConnectionReset | NotConnected)
            }
            OrderError::Full(_) | OrderError::Busy(_) => false,
        };
        if ended {
            *lock(&self.waiting) = None;
        }
        ended || !self.sandbox.lives()
    }

    /// Whether it takes orders.
    fn answers(&self) -> bool {
        self.sandbox.lives() && lock(&self.waiting).is_some()
    }

    /// Whether it is neither dead nor so old that it only waits for its last sessions to end.
    pub(super) fn is_in_service(&self) -> bool {
        self.answers() && self.since.elapsed() < terms::SERVICE
    }

    /// Whether nobody needs it any more.
    pub(super) fn is_done(&self) -> bool {
        !self.sandbox.lives() || self.sessions() == 0 && self.since.elapsed() >= terms::SERVICE
    }

    async fn ask(&self, session: u64, order: &EngineOrder, fds: &[RawFd]) -> io::Result<EngineAnswer> {
        let answer = self.expect(session).ok_or(io::ErrorKind::NotConnected)?;
        self.send(order, fds).await?;
        match timeout(PATIENCE, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(io::Error::new(io::ErrorKind::NotConnected, "the engine has ended")),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the engine does not answer")),
        }
    }

    async fn send(&self, order: &EngineOrder, fds: &[RawFd]) -> io::Result<()> {
        loop {
            self.socket.writable().await?;
            let send = || fdpass::send(&self.socket, order, fds).map_err(io::Error::from);
            match self.socket.try_io(Interest::WRITABLE, send) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                sent => return sent,
            }
        }
    }

    async fn receive(&self) -> io::Result<Option<EngineAnswer>> {
        loop {
            self.socket.readable().await?;
            let receive = || fdpass::receive::<EngineAnswer>(&self.socket).map_err(io::Error::from);
            match self.socket.try_io(Interest::READABLE, receive) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                received => return Ok(received?.map(|(answer, _)| answer)),
            }
        }
    }

    async fn listen(&self) {
        while let Ok(Some(answer)) = self.receive().await {
            let session = match &answer {
                EngineAnswer::Opened { session }
                | EngineAnswer::Evicted { session, .. }
                | EngineAnswer::Refused { session, .. }
                | EngineAnswer::Closed { session } => *session,
                EngineAnswer::Ready { .. } => continue,
            };
            let waiting = lock(&self.waiting).as_mut().and_then(|waiting| waiting.remove(&session));
            if let Some(waiting) = waiting {
                let _: Result<(), EngineAnswer> = waiting.send(answer);
            }
        }
        *lock(&self.waiting) = None;
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (sandbox, sessions) = (&self.sandbox.id, self.sessions());
        f.debug_struct("Engine")
            .field("sandbox", sandbox)
            .field("sessions", &sessions)
            .finish_non_exhaustive()
    }
}

/// The runtime has no type for SOCK_SEQPACKET; of a datagram socket it needs nothing but the descriptor, and messages are ours to make.
fn nonblocking(socket: OwnedFd) -> io::Result<UnixDatagram> {
    let socket = std::os::unix::net::UnixDatagram::from(socket);
    socket.set_nonblocking(true)?;
    UnixDatagram::from_std(socket)
}
