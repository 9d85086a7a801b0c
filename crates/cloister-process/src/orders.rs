//! Orders to a launcher or a zygote: one at a time over a SEQPACKET socket, answered with a pidfd.

use cloister_jail::fdpass;
use cloister_jail::plan::{Answer, Order};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The other end of an order socket.
#[derive(Debug)]
pub(crate) struct Orders {
    socket: Mutex<OwnedFd>,
}

/// How long an answer may take. A clone takes milliseconds; a machine under heavy load, a second.
const PATIENCE: Duration = Duration::from_secs(20);

impl Orders {
    pub(crate) fn new(socket: OwnedFd) -> io::Result<Self> {
        use nix::sys::socket::{setsockopt, sockopt};
        let seconds = i64::try_from(PATIENCE.as_secs()).unwrap_or(20);
        setsockopt(&socket, sockopt::ReceiveTimeout, &nix::sys::time::TimeVal::new(seconds, 0))?;
        // A plan with its filters is larger than the default buffer on some kernels.
        setsockopt(&socket, sockopt::SndBuf, &(2 * fdpass::MAX_MESSAGE))?;
        Ok(Self { socket: Mutex::new(socket) })
    }

    /// Gives an order and waits for the pidfd. Blocking; to be called off the async threads.
    pub(crate) fn give(&self, order: &Order, fds: &[RawFd]) -> io::Result<OwnedFd> {
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        fdpass::send(&*socket, order, fds)?;
        match fdpass::receive::<Answer>(&*socket)? {
            Some((Answer::Spawned { .. }, fds)) => {
                fds.into_iter().next().ok_or_else(|| io::Error::other("no pidfd came with the answer"))
            }
            Some((Answer::Refused { step, errno }, _)) => {
                let source = io::Error::from_raw_os_error(errno);
                Err(io::Error::new(source.kind(), format!("{step}: {source}")))
            }
            Some((Answer::Ready, _)) => Err(io::Error::other("an answer out of turn")),
            None => {
                Err(io::Error::new(io::ErrorKind::BrokenPipe, "the process that makes sandboxes has ended"))
            }
        }
    }

    /// Waits for a zygote's word that its imports are done. Blocking.
    pub(crate) fn wait_ready(&self) -> io::Result<()> {
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        match fdpass::receive::<Answer>(&*socket)? {
            Some((Answer::Ready, _)) => Ok(()),
            Some(_) => Err(io::Error::other("an answer out of turn")),
            None => Err(io::Error::new(
                io::ErrorKind::BrokenPipe,
                "the zygote has ended during its imports; see its log",
            )),
        }
    }
}

/// Two connected order sockets.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let pair = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
    Ok(pair)
}

/// The launcher: the jail program, as a child of the server.
#[derive(Debug)]
pub(crate) struct Launcher {
    pub(crate) orders: Orders,
    child: Mutex<Child>,
}

impl Launcher {
    /// Starts `program`. Its environment is empty: every sandbox's init is a fork of it.
    pub(crate) fn start(program: &std::path::Path) -> io::Result<Self> {
        let (ours, theirs) = pair()?;
        let child = Command::new(program)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", program.display())))?;
        Ok(Self { orders: Orders::new(ours)?, child: Mutex::new(child) })
    }

    /// Ends it. Sandboxes that are still there live on until their own limits.
    pub(crate) fn end(&self) {
        {
            let socket = self.orders.socket.lock().unwrap_or_else(PoisonError::into_inner);
            let _: nix::Result<()> =
                nix::sys::socket::shutdown(socket.as_raw_fd(), nix::sys::socket::Shutdown::Both);
        }
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = child.wait() {
            tracing::warn!(%error, "cannot wait for the launcher");
        }
    }
}
