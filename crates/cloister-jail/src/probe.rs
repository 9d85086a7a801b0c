//! Can this host build the walls? Each is probed by really building it, in a child that exits; sysctls and version numbers lie.

use crate::setup::descriptors::errno_of;
use crate::spawn::{self, Side, Step};
use crate::{cgroup, sys};
use landlock::{ABI, Access, AccessFs, Ruleset, RulesetAttr, RulesetStatus};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};

/// What was found out about one wall.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The name that policies use: `namespaces`, `root`, `seccomp`, `landlock`, `cgroup`; or `container` for what stands in for the first two
    /// where a policy allows it.
    pub wall: String,
    /// It can be built.
    pub ok: bool,
    /// What was seen.
    pub detail: String,
    /// What to do if not; empty if nothing is to be done.
    pub advice: String,
}

/// Probes every wall. The caller must be single-threaded.
pub fn all() -> Vec<Finding> {
    vec![namespaces(), root(), seccomp(), landlock(), cgroups(), container()]
}

fn finding(wall: &str, result: Result<String, Step>, advice: &str) -> Finding {
    match result {
        Ok(detail) => Finding { wall: wall.into(), ok: true, detail, advice: String::new() },
        Err(step) => {
            Finding { wall: wall.into(), ok: false, detail: step.to_string(), advice: advice.into() }
        }
    }
}

fn namespaces() -> Finding {
    let tried = in_sandbox_namespaces(|| {
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
            .map_err(Step::at("make mounts private"))?;
        mount(Some("t"), "/tmp", Some("tmpfs"), MsFlags::empty(), None::<&str>)
            .map_err(Step::at("mount a tmpfs"))?;
        std::fs::create_dir("/tmp/proc").map_err(|e| Step::at("create a mount point")(errno_of(&e)))?;
        mount(Some("proc"), "/tmp/proc", Some("proc"), MsFlags::empty(), None::<&str>)
            .map_err(Step::at("mount a procfs"))
    });
    finding(
        "namespaces",
        tried.map(|()| "user, pid, mount, net, ipc, uts with a tmpfs and a procfs".into()),
        "allow unprivileged user namespaces (on Ubuntu an AppArmor profile with `userns,`); in a container allow clone, mount and \
         pivot_root in its seccomp profile and unmask /proc (systempaths=unconfined)",
    )
}

fn root() -> Finding {
    let tried = in_sandbox_namespaces(|| {
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
            .map_err(Step::at("make mounts private"))?;
        mount(Some("/usr"), "/tmp", None::<&str>, MsFlags::MS_BIND, None::<&str>)
            .map_err(Step::at("bind a directory"))?;
        sys::mount_setattr(
            "/tmp",
            libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV,
            false,
        )
        .map_err(Step::at("make it read-only"))?;
        std::env::set_current_dir("/tmp").map_err(|e| Step::at("enter it")(errno_of(&e)))?;
        nix::unistd::pivot_root(".", ".").map_err(Step::at("pivot into it"))?;
        nix::mount::umount2(".", nix::mount::MntFlags::MNT_DETACH).map_err(Step::at("detach the old root"))
    });
    let advice =
        "a kernel of 5.12 or newer is needed (mount_setattr); in a container allow mount and pivot_root";
    finding("root", tried.map(|()| "read-only bind and pivot_root".into()), advice)
}

fn seccomp() -> Finding {
    let tried = in_child(|| {
        sys::prctl_no_new_privs().map_err(Step::at("set no_new_privs"))?;
        // Load the call number; getppid (110 on x86_64, 173 on aarch64) answers EPERM, the rest is allowed.
        let getppid = libc::SYS_getppid as u64 & 0xffff_ffff;
        let program = [
            0x0020_0000_0000_0000,
            0x0015_0001_0000_0000 | getppid,
            0x0006_0000_0005_0001,
            0x0006_0000_7fff_0000,
        ];
        sys::seccomp(&program).map_err(Step::at("install a filter"))?;
        if nix::unistd::getppid().as_raw() == -1 {
            return Ok(());
        }
        Err(Step { step: "the filter does not hold".into(), errno: Errno::EPERM })
    });
    finding(
        "seccomp",
        tried.map(|()| "filters can be installed and hold".into()),
        "use a kernel with CONFIG_SECCOMP_FILTER",
    )
}

fn landlock() -> Finding {
    let tried = in_child(|| {
        let failed = |e: &dyn std::fmt::Display| Step { step: format!("Landlock: {e}"), errno: Errno::EPERM };
        let status = Ruleset::default()
            .handle_access(AccessFs::from_all(ABI::V6))
            .and_then(Ruleset::create)
            .and_then(landlock::RulesetCreated::restrict_self)
            .map_err(|e| failed(&e))?;
        let closed = std::fs::read_dir("/").is_err();
        if status.ruleset == RulesetStatus::NotEnforced || !closed {
            return Err(failed(&"not enforced"));
        }
        Ok(())
    });
    let advice = "use a kernel of 5.13 or newer with landlock in its list of LSMs (lsm=landlock,… on the command line)";
    finding("landlock", tried.map(|()| format!("ABI {}", sys::landlock_abi())), advice)
}

fn cgroups() -> Finding {
    let advice = "run as root, or with a delegated cgroup v2 subtree (systemd-run --user --scope -p Delegate=yes); without it \
                  rlimits and the size of the storage hold";
    let instance = format!("probe-{}", std::process::id());
    let tried = cgroup::Host::discover(&instance).and_then(|host| {
        let limits = cgroup::Limits { memory: 64 << 20, pids: 16, cpu: 0.5 };
        let made = host.create("trial", limits).map_err(|e| e.to_string());
        let left = made.as_ref().map(cgroup::Group::remove).unwrap_or_default();
        host.remove();
        made.map(|_| (host.layout(), left))
    });
    match tried {
        Ok((layout, left)) if left.is_empty() => {
            finding("cgroup", Ok(format!("{layout}: memory, pids, cpu")), advice)
        }
        Ok((_, left)) => finding(
            "cgroup",
            Err(Step { step: format!("cannot remove {left:?}"), errno: Errno::EBUSY }),
            advice,
        ),
        Err(why) => finding("cgroup", Err(Step { step: why, errno: Errno::EACCES }), advice),
    }
}

fn container() -> Finding {
    let tried = in_child(|| {
        nix::unistd::chroot("/usr").map_err(Step::at("chroot"))?;
        let id = crate::plan::FIRST_SANDBOX_ID;
        let (uid, gid) = (nix::unistd::Uid::from_raw(id), nix::unistd::Gid::from_raw(id));
        nix::unistd::setgroups(&[]).map_err(Step::at("drop supplementary groups"))?;
        nix::unistd::setresgid(gid, gid, gid).map_err(Step::at("become another group"))?;
        nix::unistd::setresuid(uid, uid, uid).map_err(Step::at("become another user"))
    });
    let advice = "only for policies that do not require namespaces: run as root of the container with CHROOT, SETUID, SETGID and MKNOD";
    finding("container", tried.map(|()| "chroot and users of their own".into()), advice)
}

fn in_sandbox_namespaces(work: impl FnOnce() -> Result<(), Step>) -> Result<(), Step> {
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    let (uids, gids) = ([(0, uid.as_raw(), 1)], [(0, gid.as_raw(), 1)]);
    let (read, write) = std::io::pipe().map_err(|e| Step::at("pipe")(errno_of(&e)))?;
    match spawn::into_namespaces(sys::SANDBOX_NAMESPACES, &uids, &gids, uid.is_root())? {
        Side::Child(gate) => report(write, gate.wait().and_then(|()| work())),
        Side::Parent { pid, .. } => {
            drop(write);
            collect(pid, read)
        }
    }
}

fn in_child(work: impl FnOnce() -> Result<(), Step>) -> Result<(), Step> {
    let (read, write) = std::io::pipe().map_err(|e| Step::at("pipe")(errno_of(&e)))?;
    match sys::fork().map_err(Step::at("fork"))? {
        None => report(write, work()),
        Some(pid) => {
            drop(write);
            collect(pid, read)
        }
    }
}

fn report(mut pipe: impl Write, result: Result<(), Step>) -> ! {
    if let Err(step) = result {
        let text = serde_json::to_vec(&(step.step, step.errno as i32)).unwrap_or_default();
        drop(pipe.write_all(&text));
        sys::exit_now(1);
    }
    sys::exit_now(0)
}

fn collect(pid: i32, mut pipe: impl Read) -> Result<(), Step> {
    let mut text = Vec::new();
    drop(pipe.read_to_end(&mut text));
    match waitpid(Pid::from_raw(pid), None) {
        Ok(WaitStatus::Exited(_, 0)) => Ok(()),
        _ => match serde_json::from_slice::<(String, i32)>(&text) {
            Ok((step, errno)) => Err(Step { step, errno: Errno::from_raw(errno) }),
            Err(_) => Err(Step { step: "the probing process died".into(), errno: Errno::ECHILD }),
        },
    }
}
