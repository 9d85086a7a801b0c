//! Orders to a launcher or a zygote: one at a time over a SEQPACKET socket, answered with a pidfd.

use cloister_core::lock::lock;
use cloister_jail::Errno;
use cloister_jail::fdpass;
use cloister_jail::plan::{Answer, Order};
use nix::sys::socket::{AddressFamily, Shutdown, SockFlag, SockType, shutdown, socketpair};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The other end of an order socket.
#[derive(Debug)]
pub(crate) struct Orders {
    socket: Mutex<OwnedFd>,
    broken: AtomicBool,
}

/// Why an order was not carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OrderError {
    /// Whoever takes orders has said no, and takes the next one.
    #[error("{0}")]
    Refused(io::Error),
    /// Whoever takes orders has ended, hangs, or talks nonsense. What became of this order is not known, and no other is taken.
    #[error("the process that makes sandboxes does not answer: {0}")]
    Broken(io::Error),
}

impl From<OrderError> for io::Error {
    fn from(error: OrderError) -> Self {
        match error {
            OrderError::Refused(source) => source,
            OrderError::Broken(source) => Self::new(source.kind(), OrderError::Broken(source).to_string()),
        }
    }
}

/// How long an answer may take. A clone takes milliseconds; a machine under heavy load, a second.
const PATIENCE: Duration = Duration::from_secs(20);

impl Orders {
    pub(crate) fn new(socket: OwnedFd) -> io::Result<Self> {
        use nix::sys::socket::{setsockopt, sockopt};
        let seconds = i64::try_from(PATIENCE.as_secs()).unwrap_or(20);
        let patience = nix::sys::time::TimeVal::new(seconds, 0);
        setsockopt(&socket, sockopt::ReceiveTimeout, &patience)?;
        setsockopt(&socket, sockopt::SendTimeout, &patience)?;
        // A plan with its filters is larger than the default buffer on some kernels.
        setsockopt(&socket, sockopt::SndBuf, &(2 * fdpass::MAX_MESSAGE))?;
        Ok(Self { socket: Mutex::new(socket), broken: AtomicBool::new(false) })
    }

    /// Whether it has stopped taking orders.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// Gives an order and waits for the pidfd. Blocking; to be called off the async threads.
    pub(crate) fn give(&self, order: &Order, fds: &[RawFd]) -> Result<OwnedFd, OrderError> {
        let socket = lock(&self.socket);
        let refused = |text: &str| OrderError::Refused(io::Error::other(text.to_owned()));
        // A late answer to this order would be taken for the answer to the next one, and with it another session's sandbox.
        let broken = |error: io::Error| {
            self.close(&socket);
            OrderError::Broken(error)
        };
        if self.is_broken() {
            return Err(OrderError::Broken(io::ErrorKind::BrokenPipe.into()));
        }
        match fdpass::send(&*socket, order, fds) {
            Ok(()) => {}
            Err(errno @ (Errno::EPIPE | Errno::ECONNRESET | Errno::ENOTCONN | Errno::EAGAIN)) => {
                return Err(broken(errno.into()));
            }
            // Nothing was sent.
            Err(errno) => return Err(OrderError::Refused(errno.into())),
        }
        match fdpass::receive::<Answer>(&*socket) {
            Ok(Some((Answer::Spawned { .. }, fds))) => {
                fds.into_iter().next().ok_or_else(|| refused("no pidfd came with the answer"))
            }
            Ok(Some((Answer::Refused { step, errno }, _))) => {
                let source = io::Error::from_raw_os_error(errno);
                Err(OrderError::Refused(io::Error::new(source.kind(), format!("{step}: {source}"))))
            }
            Ok(Some((Answer::Ready, _))) => Err(broken(io::Error::other("an answer out of turn"))),
            Ok(None) => Err(broken(io::ErrorKind::BrokenPipe.into())),
            // The answer came, and there was no number left for its pidfd.
            Err(Errno::EMSGSIZE | Errno::ENOBUFS) => Err(OrderError::Refused(Errno::EMFILE.into())),
            Err(errno) => Err(broken(errno.into())),
        }
    }

    /// Waits for a zygote's word that its imports are done. Blocking.
    pub(crate) fn wait_ready(&self) -> io::Result<()> {
        let socket = lock(&self.socket);
        match fdpass::receive::<Answer>(&*socket)? {
            Some((Answer::Ready, _)) => Ok(()),
            Some(_) => Err(io::Error::other("an answer out of turn")),
            None => Err(io::Error::new(
                io::ErrorKind::BrokenPipe,
                "the zygote has ended during its imports; see its log",
            )),
        }
    }

    /// Lets the other end know that there are no more orders.
    pub(crate) fn end(&self) {
        self.close(&lock(&self.socket));
    }

    fn close(&self, socket: &OwnedFd) {
        self.broken.store(true, Ordering::Relaxed);
        // Closed at the other end is as good.
        let _: nix::Result<()> = shutdown(socket.as_raw_fd(), Shutdown::Both);
    }
}

/// Two connected order sockets.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let pair = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
    Ok(pair)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sweep() -> Order {
        Order::Sweep { uid: 1, gid: 1 }
    }

    #[test]
    fn after_an_answer_that_did_not_come_no_later_answer_is_taken_for_it() {
        let (ours, theirs) = pair().unwrap();
        let orders = Orders::new(ours).unwrap();
        drop(theirs);
        assert!(matches!(orders.give(&sweep(), &[]), Err(OrderError::Broken(_))));
        assert!(orders.is_broken());
        assert!(matches!(orders.give(&sweep(), &[]), Err(OrderError::Broken(_))));
    }

    #[test]
    fn a_refusal_leaves_the_channel_open() {
        let (ours, theirs) = pair().unwrap();
        let orders = Orders::new(ours).unwrap();
        fdpass::send(&theirs, &Answer::Refused { step: "clone".into(), errno: 11 }, &[]).unwrap();
        let error = orders.give(&sweep(), &[]).unwrap_err();
        assert!(matches!(&error, OrderError::Refused(e) if e.to_string().starts_with("clone: ")), "{error}");
        let file = std::fs::File::open("/dev/null").unwrap();
        fdpass::send(&theirs, &Answer::Spawned { pid: 7 }, &[file.as_raw_fd()]).unwrap();
        orders.give(&sweep(), &[]).unwrap();
    }

    #[test]
    fn an_answer_out_of_turn_breaks_the_channel() {
        let (ours, theirs) = pair().unwrap();
        let orders = Orders::new(ours).unwrap();
        fdpass::send(&theirs, &Answer::Ready, &[]).unwrap();
        assert!(matches!(orders.give(&sweep(), &[]), Err(OrderError::Broken(_))));
    }
}
