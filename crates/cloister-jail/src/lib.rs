//! The jail: a plan as data, and the small single-threaded program that becomes it.
//!
//! ```text
//!   server ──Order{Plan} + fds──▶ launcher ──clone3──▶ setup (walls, in order) ──▶ init (pid 1, the guest protocol)
//!          ──Order{Plan} + fds──▶ zygote   ──clone3──▶ setup                   ──▶ init ──fork──▶ warm interpreter
//! ```
//!
//! INVARIANT: launcher, zygote and init are single-threaded; `clone3` and `fork` copy the calling thread only.
//! INVARIANT: every wall stands before the first byte of a guest is read.
//! INVARIANT: this is the only crate with `unsafe` system calls, and they are in `sys.rs` and `zygote.rs`.

pub mod cgroup;
mod compact;
pub mod fdpass;
pub mod guest;
pub mod init;
pub mod launcher;
pub mod plan;
pub mod probe;
pub mod seccomp;
pub mod setup;
pub mod spawn;
mod sys;
pub mod syscalls;
pub mod zygote;

pub use nix::errno::Errno;

/// A descriptor of the process that has the number `pid` now; it never means another one.
pub fn pidfd(pid: i32) -> Result<std::os::fd::OwnedFd, Errno> {
    sys::pidfd_open(pid)
}

/// Takes over a descriptor that this program was started with; `None` if there is none of that number.
pub fn inherited(fd: i32) -> Option<std::os::fd::OwnedFd> {
    sys::adopt(fd)
}

/// The number, in this pid namespace, of the process behind a pidfd; `None` when it has ended.
pub fn pid_of(pidfd: impl std::os::fd::AsFd) -> Option<i32> {
    use std::os::fd::AsRawFd;
    let path = format!("/proc/self/fdinfo/{}", pidfd.as_fd().as_raw_fd());
    let text = std::fs::read_to_string(path).ok()?;
    let pid = text.lines().find_map(|line| line.strip_prefix("Pid:"))?.trim().parse().ok()?;
    (pid > 0).then_some(pid)
}

/// Kills the sandbox whose init is behind `pidfd`; the kernel ends its whole pid namespace with it. Gone already is no error.
pub fn kill(pidfd: impl std::os::fd::AsFd) -> Result<(), Errno> {
    match sys::pidfd_kill(pidfd.as_fd()) {
        Err(Errno::ESRCH) => Ok(()),
        other => other,
    }
}
