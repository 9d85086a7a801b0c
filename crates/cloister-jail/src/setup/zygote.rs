//! Becomes a zygote: namespaces and a read-only root as a sandbox has them, then the image's interpreter, which imports and waits.
//!
//! It keeps the capabilities of its own user namespace, since it must clone and mount for its children. It has no network, no
//! descriptor of the server but its order socket, and never sees a byte of a guest.

use super::descriptors::{errno_of, keep_only};
use super::root;
use crate::plan::ZygotePlan;
use crate::spawn::{Gate, Step};
use crate::sys;
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};

/// The order socket, in the zygote.
pub const ORDERS_FD: i32 = 3;
/// The shared object, in the zygote.
pub const LIBRARY_FD: i32 = 4;

/// Never returns: the process becomes the zygote or exits.
pub fn become_zygote(plan: &ZygotePlan, fds: Vec<OwnedFd>, gate: Gate) -> ! {
    let log = fds.get(2).map_or(2, AsRawFd::as_raw_fd);
    if let Err(step) = build(plan, fds, gate) {
        // The log is the only place left to say it.
        let text = format!("cloister: zygote: {step}\n");
        let _: Result<usize, Errno> = nix::unistd::write(sys::borrow(log), text.as_bytes());
    }
    sys::exit_now(71)
}

fn build(plan: &ZygotePlan, fds: Vec<OwnedFd>, gate: Gate) -> Result<(), Step> {
    let [orders, library, log]: [OwnedFd; 3] = fds
        .try_into()
        .map_err(|_| Step { step: "a zygote needs three descriptors".into(), errno: Errno::EBADF })?;
    gate.wait()?;
    let base = root::bind(&plan.root)?;
    if plan.privileged {
        nix::unistd::setgroups(&[]).map_err(Step::at("drop supplementary groups"))?;
    }
    let (uid, gid) = (nix::unistd::Uid::from_raw(0), nix::unistd::Gid::from_raw(0));
    nix::unistd::setresgid(gid, gid, gid).map_err(Step::at("become the zygote's group"))?;
    nix::unistd::setresuid(uid, uid, uid).map_err(Step::at("become the zygote's user"))?;
    nix::unistd::setsid().map_err(Step::at("leave the terminal"))?;
    root::devices(base)?;
    // The old procfs stays visible in the zygote: the kernel lets its children mount a new one only where one can be seen.
    mount(
        Some("/proc"),
        format!("{base}/proc").as_str(),
        None::<&str>,
        MsFlags::MS_BIND | MsFlags::MS_REC,
        None::<&str>,
    )
    .map_err(Step::at("bind /proc"))?;
    for place in ["/tmp", "/home/agent"] {
        mount(
            Some("scratch"),
            format!("{base}{place}").as_str(),
            Some("tmpfs"),
            MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
            Some("size=64m,mode=0700"),
        )
        .map_err(Step::at(format!("mount {place}")))?;
    }
    root::pivot()?;
    sys::prctl_no_new_privs().map_err(Step::at("set no_new_privs"))?;
    arrange(orders, library, log)?;
    sys::reset_signals().map_err(Step::at("reset signals"))?;
    exec(plan)
}

/// Puts the descriptors where the zygote's program expects them; the log becomes 1 and 2.
fn arrange(orders: OwnedFd, library: OwnedFd, log: OwnedFd) -> Result<(), Step> {
    // First out of the way, then into place: the numbers may overlap.
    let high = |fd: &OwnedFd| {
        nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_DUPFD(64)).map_err(Step::at("move a descriptor"))
    };
    let moved = (high(&orders)?, high(&library)?, high(&log)?);
    // Their numbers are given to others below: dropping them would close those.
    std::mem::forget((orders, library, log));
    for (from, to) in [(moved.0, ORDERS_FD), (moved.1, LIBRARY_FD), (moved.2, 1), (moved.2, 2)] {
        sys::dup_to(from, to).map_err(Step::at("place a descriptor"))?;
    }
    keep_only(&[1, 2, ORDERS_FD, LIBRARY_FD])
}

fn exec(plan: &ZygotePlan) -> Result<(), Step> {
    let strings = |list: &[String]| -> Result<Vec<CString>, Step> {
        list.iter()
            .map(|s| {
                CString::new(s.as_str())
                    .map_err(|_| Step { step: format!("NUL in {s:?}"), errno: Errno::EINVAL })
            })
            .collect()
    };
    let argv = strings(&plan.argv)?;
    let env: Vec<String> = plan.env.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let env = strings(&env)?;
    let program =
        argv.first().ok_or_else(|| Step { step: "a zygote needs a program".into(), errno: Errno::EINVAL })?;
    std::env::set_current_dir("/").map_err(|e| Step::at("enter /")(errno_of(&e)))?;
    match nix::unistd::execve(program, &argv, &env) {
        Ok(never) => match never {},
        Err(errno) => Err(Step { step: format!("execute {}", program.to_string_lossy()), errno }),
    }
}
