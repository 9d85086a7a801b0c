//! The parent's side of making a sandbox: clone into namespaces, write the id maps, let the child go on.
//!
//! ```text
//!   launcher or zygote                     child (pid 1 of the new pid namespace)
//!     clone3 ────────────────────────────▶  close what is not its own, join the cgroups
//!     uid_map, gid_map, one byte ─────────▶  wait for the byte, then setup::sandbox, then init
//! ```

use crate::sys::{self, Clone};
use nix::errno::Errno;
use nix::unistd::{pipe2, read, write};
use std::os::fd::OwnedFd;

/// A step that failed, by name.
#[derive(Debug, thiserror::Error)]
#[error("{step}: {errno}")]
pub struct Step {
    /// What was being done, with the path where there is one.
    pub step: String,
    /// The kernel's answer.
    pub errno: Errno,
}

impl Step {
    /// For `map_err`.
    pub fn at(step: impl Into<String>) -> impl FnOnce(Errno) -> Self {
        let step = step.into();
        move |errno| Self { step, errno }
    }
}

/// An id map: inside, outside, count.
pub type IdMap = [(u32, u32, u32)];

/// The child's end of the hand-shake: it returns when its id maps are written, or fails if the parent gave up.
#[derive(Debug)]
pub struct Gate(OwnedFd);

impl std::os::fd::AsRawFd for Gate {
    fn as_raw_fd(&self) -> i32 {
        self.0.as_raw_fd()
    }
}

impl Gate {
    /// Waits for the parent.
    pub fn wait(self) -> Result<(), Step> {
        let mut byte = [0u8; 1];
        loop {
            match read(&self.0, &mut byte) {
                Err(Errno::EINTR) => {}
                Ok(1) => return Ok(()),
                Ok(_) => return Err(Step { step: "wait for the id maps".into(), errno: Errno::EPIPE }),
                Err(errno) => return Err(Step { step: "wait for the id maps".into(), errno }),
            }
        }
    }
}

/// Which side of [`into_namespaces`] this is.
#[derive(Debug)]
pub enum Side {
    /// The new process; it must pass the gate before it relies on its ids.
    Child(Gate),
    /// The caller.
    Parent {
        /// The child's pid.
        pid: i32,
        /// And its pidfd.
        pidfd: OwnedFd,
    },
}

/// Forks into `namespaces` with the given id maps. `privileged` says that this process may write any map; otherwise
/// `setgroups` is denied first, as user_namespaces(7) demands.
pub fn into_namespaces(namespaces: u64, uids: &IdMap, gids: &IdMap, privileged: bool) -> Result<Side, Step> {
    let (wait, go) = pipe2(nix::fcntl::OFlag::O_CLOEXEC).map_err(Step::at("pipe"))?;
    match sys::clone(namespaces).map_err(Step::at("clone3 into new namespaces"))? {
        Clone::Child => {
            drop(go);
            Ok(Side::Child(Gate(wait)))
        }
        Clone::Parent(pid, pidfd) => {
            drop(wait);
            // Dropping `go` without a byte tells the child to exit.
            write_maps(pid, uids, gids, privileged)?;
            write(&go, b"1").map_err(Step::at("release the child"))?;
            Ok(Side::Parent { pid, pidfd })
        }
    }
}

fn write_maps(pid: i32, uids: &IdMap, gids: &IdMap, privileged: bool) -> Result<(), Step> {
    if !privileged {
        put(&format!("/proc/{pid}/setgroups"), "deny")?;
    }
    put(&format!("/proc/{pid}/uid_map"), &lines(uids))?;
    put(&format!("/proc/{pid}/gid_map"), &lines(gids))
}

fn lines(map: &IdMap) -> String {
    map.iter().map(|(inside, outside, count)| format!("{inside} {outside} {count}\n")).collect()
}

/// Writes a small kernel file in one call, as procfs demands.
pub(crate) fn put(path: &str, text: &str) -> Result<(), Step> {
    let errno = |e: std::io::Error| Errno::from_raw(e.raw_os_error().unwrap_or(libc::EIO));
    std::fs::write(path, text).map_err(|e| Step { step: format!("write {path}"), errno: errno(e) })
}
