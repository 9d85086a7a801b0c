//! The system calls that have no safe wrapper. The only `unsafe` of the crate besides the zygote's entry point.
//!
//! Each function does one call and turns its result into an [`Errno`]; none keeps a pointer beyond the call.
#![expect(
    unsafe_code,
    reason = "raw system calls: clone3, mount_setattr, open_tree, capset, close_range, seccomp, prctl have no safe wrapper"
)]

use nix::errno::Errno;
use std::ffi::{CString, c_void};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Namespaces of a sandbox; the cgroup namespace is added after the cgroups have been joined.
pub(crate) const SANDBOX_NAMESPACES: u64 = (libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS) as u64;

/// Namespaces of a zygote. Not a pid namespace: its death would kill the sandboxes that it forked.
pub(crate) const ZYGOTE_NAMESPACES: u64 =
    (libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWNET | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS)
        as u64;

/// Which side of [`clone`] this is.
#[derive(Debug)]
pub(crate) enum Clone {
    /// The new process.
    Child,
    /// The caller, with the child's pid and a pidfd of it.
    Parent(i32, OwnedFd),
}

fn check(ret: libc::c_long) -> Result<libc::c_long, Errno> {
    if ret < 0 { Err(Errno::last()) } else { Ok(ret) }
}

/// Forks into new namespaces by clone3(2).
///
/// The caller must be single-threaded: the child continues with a copy of this thread only. glibc caches the thread id in a place that
/// the kernel knows by `PR_GET_TID_ADDRESS`; it is set to the child's id, or else `raise` and recursive mutexes would use the parent's.
pub(crate) fn clone(namespaces: u64) -> Result<Clone, Errno> {
    let mut pidfd: RawFd = -1;
    let mut tid: *mut libc::c_int = std::ptr::null_mut();
    // SAFETY: PR_GET_TID_ADDRESS stores one pointer; on failure (kernel without checkpoint/restore) it stays null.
    unsafe { libc::prctl(libc::PR_GET_TID_ADDRESS, &raw mut tid, 0, 0, 0) };
    let mut args: libc::clone_args = {
        // SAFETY: clone_args is plain integers, for which all-zero is the documented "unused".
        unsafe { std::mem::zeroed() }
    };
    args.flags = namespaces | libc::CLONE_PIDFD as u64;
    args.pidfd = (&raw mut pidfd) as u64;
    args.exit_signal = libc::SIGCHLD as u64;
    if !tid.is_null() {
        args.flags |= (libc::CLONE_CHILD_SETTID | libc::CLONE_CHILD_CLEARTID) as u64;
        args.child_tid = tid as u64;
    }
    // SAFETY: fork semantics (no CLONE_VM, no stack): the child gets a copy of everything; args outlives the call.
    let pid =
        check(unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<libc::clone_args>()) })?;
    if pid == 0 {
        return Ok(Clone::Child);
    }
    // SAFETY: the kernel has just created this descriptor for us.
    Ok(Clone::Parent(pid as i32, unsafe { OwnedFd::from_raw_fd(pidfd) }))
}

/// fork(2) of a single-threaded process. `Ok(None)` in the child.
pub(crate) fn fork() -> Result<Option<i32>, Errno> {
    // SAFETY: the process is single-threaded, so no lock can be held by a thread that the child lacks.
    let pid = check(libc::c_long::from(unsafe { libc::fork() }))?;
    Ok((pid != 0).then_some(pid as i32))
}

/// Sets mount attributes of a mount point and everything below it, adding flags only.
///
/// `mount -o remount,bind,ro` fails in a user namespace, because it would clear flags that are locked there.
pub(crate) fn mount_setattr(path: &str, set: u64, recursive: bool) -> Result<(), Errno> {
    #[repr(C)]
    struct MountAttr {
        set: u64,
        clear: u64,
        propagation: u64,
        userns_fd: u64,
    }
    let path = CString::new(path).map_err(|_| Errno::EINVAL)?;
    let attr = MountAttr { set, clear: 0, propagation: 0, userns_fd: 0 };
    let flags = if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: path and attr outlive the call; the size is attr's.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            flags,
            &raw const attr,
            size_of::<MountAttr>(),
        )
    })?;
    Ok(())
}

/// A mount of the folder `path` that is attached nowhere yet, as `mount --bind` would make it.
pub(crate) fn clone_mount(path: &str) -> Result<OwnedFd, Errno> {
    let path = CString::new(path).map_err(|_| Errno::EINVAL)?;
    let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC;
    // SAFETY: path outlives the call.
    let fd = check(unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) })?;
    // SAFETY: the kernel has just created this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Attaches such a mount at the folder `path`.
pub(crate) fn attach_mount(mount: &OwnedFd, path: &str) -> Result<(), Errno> {
    let path = CString::new(path).map_err(|_| Errno::EINVAL)?;
    // SAFETY: both paths outlive the call; the empty one means the descriptor itself.
    check(unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_FDCWD,
            path.as_ptr(),
            libc::MOVE_MOUNT_F_EMPTY_PATH,
        )
    })?;
    Ok(())
}

/// Closes every descriptor from `first` to `last`, both included.
pub(crate) fn close_range(first: RawFd, last: u32) -> Result<(), Errno> {
    // SAFETY: the callers own every descriptor of the process at this point and use none of the closed ones again.
    check(unsafe { libc::syscall(libc::SYS_close_range, first as u32, last, 0u32) })?;
    Ok(())
}

/// prctl(2) with integer arguments.
pub(crate) fn prctl(option: i32, arg: libc::c_ulong) -> Result<i32, Errno> {
    // SAFETY: only options that take integers are passed by this crate.
    check(libc::c_long::from(unsafe { libc::prctl(option, arg, 0, 0, 0) })).map(|v| v as i32)
}

/// Gives up a niceness below zero, and with it the precedence over everybody else's programs. Never refused: less needs no right.
pub(crate) fn be_no_less_nice() -> Result<(), Errno> {
    // SAFETY: no memory is involved. -1 is a niceness as well as an error, which it cannot be for the process itself.
    let now = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
    if now < 0 {
        // SAFETY: as above.
        check(libc::c_long::from(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 0) }))?;
    }
    Ok(())
}

/// Empties the bounding set: not even a program with file capabilities could get any back.
pub(crate) fn drop_bounding() -> Result<(), Errno> {
    for cap in 0..64 {
        match prctl(libc::PR_CAPBSET_READ, cap) {
            Ok(0) => {}
            Ok(_) => {
                prctl(libc::PR_CAPBSET_DROP, cap)?;
            }
            Err(Errno::EINVAL) => break, // past the kernel's last capability
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Empties the bounding, permitted, effective, inheritable and ambient sets.
pub(crate) fn drop_capabilities() -> Result<(), Errno> {
    drop_bounding()?;
    prctl_ambient_clear()?;
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    const VERSION_3: u32 = 0x2008_0522;
    let header = Header { version: VERSION_3, pid: 0 };
    let data = [0u32; 6];
    // SAFETY: version 3 reads two triples of u32.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) })?;
    Ok(())
}

fn prctl_ambient_clear() -> Result<(), Errno> {
    // SAFETY: integers only.
    check(libc::c_long::from(unsafe {
        libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    }))?;
    Ok(())
}

/// Installs one seccomp filter on this thread. Needs no_new_privs.
///
/// Each `u64` packs one `sock_filter`: code in the top 16 bits, then jt, jf, and k in the low 32.
pub(crate) fn seccomp(program: &[u64]) -> Result<(), Errno> {
    filter(program, 0)
}

/// The same on every thread of this process.
pub(crate) fn seccomp_all_threads(program: &[u64]) -> Result<(), Errno> {
    filter(program, libc::SECCOMP_FILTER_FLAG_TSYNC)
}

fn filter(program: &[u64], flags: libc::c_ulong) -> Result<(), Errno> {
    let filters: Vec<libc::sock_filter> = program
        .iter()
        .map(|word| libc::sock_filter {
            code: (word >> 48) as u16,
            jt: (word >> 40) as u8,
            jf: (word >> 32) as u8,
            k: *word as u32,
        })
        .collect();
    let fprog = libc::sock_fprog {
        len: u16::try_from(filters.len()).map_err(|_| Errno::E2BIG)?,
        filter: filters.as_ptr().cast_mut(),
    };
    // SAFETY: the kernel copies the program during the call.
    check(unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags as u32,
            (&raw const fprog).cast::<c_void>(),
        )
    })?;
    Ok(())
}

/// Brings the loopback interface of this network namespace up.
pub(crate) fn loopback_up(socket: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: ifreq is plain data; name and flags are set below.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (slot, byte) in request.ifr_name.iter_mut().zip(b"lo") {
        *slot = *byte as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads one ifreq.
    check(libc::c_long::from(unsafe {
        libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request)
    }))?;
    Ok(())
}

/// Sets no_new_privs: no program that is executed from now on gains anything.
pub(crate) fn prctl_no_new_privs() -> Result<(), Errno> {
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1).map(drop)
}

/// A descriptor number that is open for as long as the result is used: the length of one call, in a program with one thread.
pub(crate) fn borrow(fd: RawFd) -> BorrowedFd<'static> {
    // SAFETY: by the contract above; a number that is closed all the same yields EBADF, and -1, which no caller has, is invalid.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

/// dup2(2): `to` is open afterwards and survives an exec.
pub(crate) fn dup_to(from: RawFd, to: RawFd) -> Result<(), Errno> {
    // SAFETY: `to` is a number that the caller assigns; whatever was there is meant to be closed.
    check(libc::c_long::from(unsafe { libc::dup2(from, to) }))?;
    Ok(())
}

/// Kills the process behind a pidfd; never another one that has its number by now.
pub(crate) fn pidfd_kill(pidfd: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: no siginfo is passed, so the kernel reads no memory.
    check(unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            libc::SIGKILL,
            std::ptr::null::<libc::siginfo_t>(),
            0u32,
        )
    })?;
    Ok(())
}

/// A pidfd of a process that is no child (or of one that is).
pub(crate) fn pidfd_open(pid: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: integers only.
    let fd = check(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0u32) })?;
    // SAFETY: the kernel has just created this descriptor for us, close-on-exec.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Takes over a descriptor number that this process was started with.
pub(crate) fn adopt(fd: RawFd) -> Option<OwnedFd> {
    // SAFETY: F_GETFD has no memory effects; a closed number yields an error.
    let open = unsafe { libc::fcntl(fd, libc::F_GETFD) } >= 0;
    // SAFETY: the number is open and, by the contract of the programs' entry points, used by nobody else.
    open.then(|| unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Signals every other process of this pid namespace; for pid 1 only.
pub(crate) fn kill_all(signal: i32) -> Result<(), Errno> {
    // SAFETY: integers only.
    check(libc::c_long::from(unsafe { libc::kill(-1, signal) }))?;
    Ok(())
}

/// Puts every signal back to its default and blocks none.
///
/// A zygote's interpreter has handlers, and what is ignored or blocked stays so over an exec: none of it may reach a guest program,
/// whose children would never be seen to end (the launcher blocks SIGCHLD).
pub(crate) fn reset_signals() -> Result<(), Errno> {
    for signal in 1..=64 {
        // SAFETY: SIG_DFL runs no code. SIGKILL, SIGSTOP and glibc's own two are refused, which is fine.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    set_signal_mask(nix::sys::signal::SigSet::empty())
}

/// The signals of an init: SIGCHLD is read from a descriptor, and a reader that has gone is an error of the write. (Pid 1 of a
/// namespace would survive SIGPIPE; one without a namespace would not.)
pub(crate) fn init_signals() -> Result<(), Errno> {
    reset_signals()?;
    // SAFETY: SIG_IGN runs no code.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    let mut mask = nix::sys::signal::SigSet::empty();
    mask.add(nix::sys::signal::Signal::SIGCHLD);
    set_signal_mask(mask)
}

fn set_signal_mask(mask: nix::sys::signal::SigSet) -> Result<(), Errno> {
    nix::sys::signal::sigprocmask(nix::sys::signal::SigmaskHow::SIG_SETMASK, Some(&mask), None)
}

/// Lets the kernel reap this process's children.
pub(crate) fn ignore_children() -> Result<(), Errno> {
    // SAFETY: SIG_IGN runs no code.
    let previous = unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    if previous == libc::SIG_ERR { Err(Errno::last()) } else { Ok(()) }
}

/// Undoes [`ignore_children`] in an interpreter, whose `subprocess` wants statuses, and blocks no signal: what is blocked here would
/// go on to every program that the guest starts.
pub(crate) fn default_children() -> Result<(), Errno> {
    // SAFETY: SIG_DFL runs no code.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
    set_signal_mask(nix::sys::signal::SigSet::empty())
}

/// The kernel's Landlock version, 0 if it has none.
pub(crate) fn landlock_abi() -> i64 {
    const VERSION: u32 = 1;
    // SAFETY: with the version flag the kernel reads no memory.
    unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<c_void>(), 0usize, VERSION) }
        .max(0)
}

/// Time since the host's start, the clock of start times in /proc.
pub(crate) fn boot_time() -> std::time::Duration {
    // SAFETY: timespec is plain integers, and the call fills it; this clock exists on every kernel that has namespaces.
    let now = unsafe {
        let mut now: libc::timespec = std::mem::zeroed();
        libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut now);
        now
    };
    std::time::Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// Gathers one aligned range of this process's own memory in a huge page (MADV_COLLAPSE).
pub(crate) fn collapse(start: usize, length: usize) -> Result<(), Errno> {
    // SAFETY: the advice moves pages and changes no content; a range that is not mapped is an error.
    check(libc::c_long::from(unsafe { libc::madvise(start as *mut c_void, length, libc::MADV_COLLAPSE) }))?;
    Ok(())
}

/// Ends the process without running destructors or exit handlers (those belong to the interpreter that was forked).
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: _exit never returns and touches nothing.
    unsafe { libc::_exit(code) }
}
