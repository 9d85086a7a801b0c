//! A running sandbox, as the server holds it: a pidfd, a control channel, a cgroup, a directory. Destroying it leaves none of them.

use crate::control::Control;
use crate::orders::Launcher;
use cloister_core::SandboxId;
use cloister_core::backend::StopReport;
use cloister_core::egress::EgressHandle;
use cloister_jail::cgroup::Group;
use cloister_jail::plan::Order;
use cloister_jail::setup::container;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How long the kernel may take to end a pid namespace and empty its cgroup.
const DEATH: Duration = Duration::from_secs(5);

/// A running sandbox.
pub(crate) struct Sandbox {
    pub(crate) id: SandboxId,
    pub(crate) control: Control,
    pub(crate) walls: Vec<(String, String)>,
    /// Set, with the reason, when the channel has ended.
    pub(crate) gone: watch::Receiver<Option<String>>,
    pub(crate) group: Option<Group>,
    pub(crate) remains: Mutex<Option<Remains>>,
}

/// What must be taken down.
pub(crate) struct Remains {
    pub(crate) pidfd: OwnedFd,
    pub(crate) group: Option<Group>,
    pub(crate) directory: PathBuf,
    pub(crate) egress: Option<Box<dyn EgressHandle>>,
    pub(crate) lodging: Option<Lodging>,
}

/// Where a sandbox without namespaces lives: as a user of its own, in a directory of the image.
pub(crate) struct Lodging {
    pub(crate) root: PathBuf,
    pub(crate) sandbox: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) launcher: Arc<Launcher>,
}

impl Lodging {
    /// Kills what runs as its user and removes its storage. Blocking.
    pub(crate) fn clear(self) -> std::io::Result<()> {
        let sweeper = self.launcher.orders.give(&Order::Sweep { uid: self.uid, gid: self.gid }, &[])?;
        if !ended(&sweeper) {
            return Err(std::io::Error::other("the sweeper of its processes does not end"));
        }
        container::discard(&self.root, &self.sandbox)
    }
}

/// Waits for a process; false if it does not end in time.
fn ended(pidfd: &OwnedFd) -> bool {
    let mut polls = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
    let millis = u16::try_from(DEATH.as_millis()).unwrap_or(u16::MAX);
    matches!(poll(&mut polls, PollTimeout::from(millis)), Ok(n) if n > 0)
}

impl Sandbox {
    /// Kills everything in it and removes what it had. The second call does nothing.
    pub(crate) async fn destroy(&self) -> StopReport {
        let remains = self.remains.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(remains) = remains else { return StopReport::default() };
        let destroyed = tokio::task::spawn_blocking(move || remains.destroy()).await;
        destroyed.unwrap_or_else(|e| StopReport { killed: false, left_behind: vec![e.to_string()] })
    }
}

impl Drop for Sandbox {
    /// For a sandbox that is given up half-way (its maker was cancelled): blocks for the milliseconds that it takes.
    fn drop(&mut self) {
        let remains = self.remains.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        for left in remains.map(|r| r.destroy().left_behind).unwrap_or_default() {
            tracing::warn!(left, "left behind by a sandbox that was given up");
        }
    }
}

impl Remains {
    fn destroy(self) -> StopReport {
        let mut report = StopReport { killed: true, left_behind: Vec::new() };
        // First the way out, so that nothing is sent by a dying guest.
        drop(self.egress);
        if let Err(errno) = cloister_jail::kill(&self.pidfd) {
            report.left_behind.push(format!("the sandbox's init cannot be killed: {errno}"));
        }
        // A pidfd of a namespace's init is readable when the kernel has reaped every process in it.
        if !ended(&self.pidfd) {
            report.left_behind.push("processes that do not die (stuck in the kernel)".into());
        }
        if let Some(Err(error)) = self.lodging.map(Lodging::clear) {
            report.left_behind.push(format!("the sandbox's storage: {error}"));
        }
        report.left_behind.extend(self.group.iter().flat_map(remove_group));
        match std::fs::remove_dir_all(&self.directory) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                report.left_behind.push(format!("{}: {error}", self.directory.display()));
            }
            _ => {}
        }
        report
    }
}

/// Removes a group, waiting until the kernel has let go of its last task.
pub(crate) fn remove_group(group: &Group) -> Vec<String> {
    let since = Instant::now();
    loop {
        let failed = group.remove();
        if failed.is_empty() || since.elapsed() > DEATH {
            return failed.into_iter().map(|path| path.display().to_string()).collect();
        }
        group.kill();
        std::thread::sleep(Duration::from_millis(1));
    }
}
