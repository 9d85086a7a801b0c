//! The launcher: the jail program as a child of the server, started again when it has died.
//!
//! ```text
//!   start ─▶ wait for the lock (a former launcher) ─▶ spawn ──give──▶ answers
//!                              ▲                                       │
//!                              └────── dead, hung or nonsense ◀────────┘
//! ```

use crate::orders::{self, OrderError, Orders};
use cloister_core::lock::lock;
use cloister_jail::plan::Order;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long a launcher may take to end when it is told to: it ends its zygotes first.
const FAREWELL: Duration = Duration::from_secs(3);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(5);

/// The launcher. At most one runs on a state directory.
#[derive(Debug)]
pub(crate) struct Launcher {
    program: PathBuf,
    lock: PathBuf,
    /// `None` once it was told to end.
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    orders: Arc<Orders>,
    child: Child,
}

impl Launcher {
    /// Starts `program` on `state_dir`.
    pub(crate) fn start(program: &Path, state_dir: &Path) -> io::Result<Self> {
        let (program, lock) = (program.to_owned(), state_dir.join("launcher.lock"));
        let running = Mutex::new(Some(Running::start(&program, &lock)?));
        Ok(Self { program, lock, running })
    }

    /// Gives an order and waits for the pidfd; a launcher that has died is started again first. Blocking.
    pub(crate) fn give(&self, order: &Order, fds: &[RawFd]) -> Result<OwnedFd, OrderError> {
        self.orders().map_err(OrderError::Refused)?.give(order, fds)
    }

    fn orders(&self) -> io::Result<Arc<Orders>> {
        let mut running = lock(&self.running);
        let Some(current) = running.as_mut() else {
            return Err(io::Error::other("the launcher has been ended"));
        };
        if current.orders.is_broken() || !matches!(current.child.try_wait(), Ok(None)) {
            tracing::warn!(
                "the launcher has ended or hangs; another one is started, and running sandboxes go on"
            );
            current.kill();
            *current = Running::start(&self.program, &self.lock)?;
        }
        Ok(Arc::clone(&current.orders))
    }

    /// Ends it. Sandboxes that are still there live on until their own limits.
    pub(crate) fn end(&self) {
        let ended = lock(&self.running).take();
        if let Some(mut running) = ended {
            running.orders.end();
            running.wait();
        }
    }
}

impl Running {
    /// Its environment is empty, and it is a program of its own and not a fork of the server: every sandbox's init is a fork of it.
    fn start(program: &Path, lock: &Path) -> io::Result<Self> {
        let lock = take(lock)?;
        let (ours, theirs) = orders::pair()?;
        let child = Command::new(program)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(theirs))
            // It says nothing there. The lock is its own for as long as it lives: nobody reconciles while it still makes sandboxes.
            .stdout(Stdio::from(lock))
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", program.display())))?;
        Ok(Self { orders: Arc::new(Orders::new(ours)?), child })
    }

    fn wait(&mut self) {
        if !self.has_ended_within(FAREWELL) {
            tracing::warn!("the launcher does not end and is killed");
            self.kill();
        }
    }

    /// Kills it. Orders wait meanwhile, so that one that is stuck in the kernel is not waited for without end.
    fn kill(&mut self) {
        // Fails where it has been waited for already.
        let _: io::Result<()> = self.child.kill();
        if !self.has_ended_within(FAREWELL) {
            tracing::warn!(pid = self.child.id(), "a launcher does not die (stuck in the kernel)");
        }
    }

    fn has_ended_within(&mut self, patience: Duration) -> bool {
        let since = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if since.elapsed() > patience {
                return false;
            }
            std::thread::sleep(LOOK);
        }
        true
    }
}

/// Waits until a former launcher (of a server that has crashed) is gone: what it makes until then is reconciled afterwards.
fn take(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().create(true).write(true).truncate(false).mode(0o600).open(path)?;
    let since = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if since.elapsed() > FAREWELL => {
                tracing::warn!(lock = %path.display(), "the launcher of a former server does not end");
                return Ok(file);
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOOK),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sweep() -> Order {
        Order::Sweep { uid: 1, gid: 1 }
    }

    /// `cat` never answers an order as a launcher does, and ends when its input does.
    fn cat(folder: &tempfile::TempDir) -> Launcher {
        Launcher::start(Path::new("/bin/cat"), folder.path()).unwrap()
    }

    fn pid(launcher: &Launcher) -> u32 {
        launcher.running.lock().unwrap().as_ref().unwrap().child.id()
    }

    #[test]
    fn a_launcher_that_has_died_is_started_again_for_the_next_order() {
        let folder = tempfile::tempdir().unwrap();
        let launcher = cat(&folder);
        let first = pid(&launcher);
        launcher.running.lock().unwrap().as_mut().unwrap().kill();
        launcher.orders().unwrap();
        assert_ne!(pid(&launcher), first);
        launcher.end();
        assert!(matches!(launcher.give(&sweep(), &[]), Err(OrderError::Refused(_))), "the end is final");
    }

    #[test]
    fn the_next_launcher_waits_for_the_former_one() {
        let folder = tempfile::tempdir().unwrap();
        let former = cat(&folder);
        let (began, pause) = (Instant::now(), Duration::from_millis(200));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(pause);
                former.end();
            });
            let next = cat(&folder);
            assert!(began.elapsed() >= pause);
            next.end();
        });
    }
}
