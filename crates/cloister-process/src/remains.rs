//! What a sandbox has on the host, and how it is taken down: in the order in which nothing can come back, once, and by whoever holds it.
//!
//! ```text
//!   way out ─▶ kill init (its pid namespace goes with it) ─▶ processes of its user ─▶ cgroup ─▶ directory
//! ```

use crate::launcher::Launcher;
use crate::orders::OrderError;
use cloister_core::backend::StopReport;
use cloister_core::egress::EgressHandle;
use cloister_jail::cgroup::Group;
use cloister_jail::plan::Order;
use cloister_jail::setup::container;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the kernel may take to end a pid namespace, and again to empty its cgroup. Milliseconds as a rule; seconds on a host that has
/// many times more to do than it can.
const DEATH: Duration = Duration::from_secs(20);

/// What must be taken down; filled step by step while a sandbox is being made. Dropping it takes it down as well.
#[derive(Default)]
pub(crate) struct Remains {
    pub(crate) egress: Option<Box<dyn EgressHandle>>,
    pub(crate) pidfd: Option<OwnedFd>,
    pub(crate) lodging: Option<Lodging>,
    pub(crate) group: Option<Group>,
    pub(crate) directory: Option<PathBuf>,
}

impl Remains {
    /// Kills everything and removes what it had. Blocking, milliseconds unless something is stuck in the kernel.
    pub(crate) fn take_down(mut self) -> StopReport {
        StopReport { killed: true, left_behind: self.clear() }
    }

    /// Leaves nothing to do for a second call. Returns what could not be removed.
    fn clear(&mut self) -> Vec<String> {
        let mut left = Vec::new();
        // First the way out, so that nothing is sent by a dying guest.
        drop(self.egress.take());
        if let Some(pidfd) = self.pidfd.take() {
            if let Err(errno) = cloister_jail::kill(&pidfd) {
                left.push(format!("the sandbox's init cannot be killed: {errno}"));
            }
            // A pidfd of a namespace's init is readable when the kernel has reaped every process in it.
            if !ended(&pidfd) {
                left.push("processes that do not die (stuck in the kernel)".into());
            }
        }
        if let Some(Err(error)) = self.lodging.take().map(Lodging::clear) {
            left.push(format!("the sandbox's storage: {error}"));
        }
        if let Some(group) = self.group.take() {
            left.extend(remove_group(&group));
        }
        // What is left has its record there, by which the next server tries again.
        let done = left.is_empty();
        if let Some(directory) = self.directory.take().filter(|_| done)
            && let Err(error) = std::fs::remove_dir_all(&directory)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            left.push(format!("{}: {error}", directory.display()));
        }
        left
    }
}

impl Drop for Remains {
    fn drop(&mut self) {
        for left in self.clear() {
            tracing::warn!(left, "left behind by a sandbox that was given up");
        }
    }
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
        let order = Order::Sweep { uid: self.uid, gid: self.gid };
        let sweeper = match self.launcher.give(&order, &[]) {
            // A sweep can be done twice, and the second order goes to a new launcher.
            Err(OrderError::Broken(_)) => self.launcher.give(&order, &[])?,
            other => other?,
        };
        if !ended(&sweeper) {
            return Err(std::io::Error::other("the sweeper of its processes does not end"));
        }
        container::discard(&self.root, &self.sandbox)
    }
}

/// Waits for a process; false if it does not end in time.
fn ended(pidfd: &OwnedFd) -> bool {
    let since = Instant::now();
    loop {
        let millis = DEATH.saturating_sub(since.elapsed()).as_millis();
        let timeout = PollTimeout::from(u16::try_from(millis).unwrap_or(u16::MAX));
        match poll(&mut [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)], timeout) {
            Err(nix::errno::Errno::EINTR) => {}
            Ok(n) => return n > 0,
            Err(_) => return false,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn remains(directory: &std::path::Path) -> Remains {
        let mut remains = Remains::default();
        remains.directory = Some(directory.to_owned());
        remains
    }

    #[test]
    fn what_has_been_taken_down_is_not_taken_down_again() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("sandbox");
        std::fs::create_dir(&directory).unwrap();
        assert!(remains(&directory).take_down().left_behind.is_empty());
        assert!(!directory.exists());
        let mut again = remains(&directory);
        std::fs::create_dir(&directory).unwrap();
        assert!(again.clear().is_empty());
        std::fs::create_dir(&directory).unwrap();
        drop(again);
        assert!(directory.exists());
    }

    #[test]
    fn a_sandbox_that_is_given_up_half_way_is_taken_down() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("sandbox");
        std::fs::create_dir(&directory).unwrap();
        drop(remains(&directory));
        assert!(!directory.exists());
    }
}
