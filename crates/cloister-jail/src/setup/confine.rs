//! The last walls: privileges that can never come back, Landlock, and the system call filter.

use super::container;
use crate::plan::{Jail, Plan};
use crate::spawn::Step;
use crate::sys;
use landlock::{
    ABI, Access, AccessFs, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus,
    Scope,
};
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Confines this process and all its descendants.
pub fn confine(plan: &Plan) -> Result<(), Step> {
    // Not dumpable: /proc/1 belongs to nobody inside, init cannot be traced, and no core is ever written.
    sys::prctl(libc::PR_SET_DUMPABLE, 0).map_err(Step::at("become undumpable"))?;
    forbid_cores()?;
    sys::prctl_no_new_privs().map_err(Step::at("set no_new_privs"))?;
    sys::drop_capabilities().map_err(Step::at("drop capabilities"))?;
    if plan.confined_by_landlock() {
        landlock(plan)?;
    }
    if plan.jail == Jail::Container {
        // No private network stack: sockets are refused altogether. Pathname sockets, too, which Landlock lets be connected
        // before ABI 9 (docker.sock). socketpair(2) stays.
        sys::seccomp(&crate::seccomp::refuse(libc::SYS_socket, libc::EPERM))
            .map_err(Step::at("refuse sockets"))?;
    }
    if !plan.world.storage_exec {
        // Where the storage may not hold programs, memory may not either: it would be the way round it.
        sys::seccomp(&crate::seccomp::refuse(libc::SYS_memfd_create, libc::EPERM))
            .map_err(Step::at("refuse memory files"))?;
    }
    for (n, program) in plan.filters.iter().enumerate() {
        sys::seccomp(program).map_err(Step::at(format!("install system call filter {n}")))?;
    }
    Ok(())
}

/// Sets RLIMIT_CORE to 1 byte, which no core file fits into. It must not be 0: a host whose `core_pattern` is a pipe starts its handler
/// as root, with the guest's memory as input, at every limit but 1 (fs/coredump.c; PRC-08).
pub fn forbid_cores() -> Result<(), Step> {
    let core = Resource::RLIMIT_CORE;
    let (_, hard) = getrlimit(core).map_err(Step::at("read a limit"))?;
    // An ordinary user whose limit is 0 cannot raise it.
    setrlimit(core, hard.min(1), hard.min(1)).map_err(Step::at("forbid cores"))
}

/// A second opinion on the file system, and the wall against signals and abstract sockets that leave the sandbox.
///
/// Rights that the running kernel does not know are left out (best effort within Landlock); a kernel without Landlock is an error,
/// because the policy asked for the wall.
fn landlock(plan: &Plan) -> Result<(), Step> {
    let failed = |e: &dyn std::fmt::Display| Step { step: format!("Landlock: {e}"), errno: Errno::EPERM };
    let abi = ABI::V6;
    let all = AccessFs::from_all(abi);
    let look = AccessFs::from_read(abi);
    // Truncate is part of `> /dev/null`.
    let touch = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::ReadDir | AccessFs::Truncate;
    let world = &plan.world;
    let notices = container::notices(&plan.sandbox);
    let shared = match plan.jail {
        Jail::Namespaces => vec![("/", look), ("/dev/shm", all), ("/proc", touch)],
        // Not all of "/": the storage of other sessions lies below it.
        Jail::Container => ["/usr", "/etc", "/opt", &notices].map(|place| (place, look)).to_vec(),
    };
    let own = [
        (world.workspace.as_str(), all),
        (world.home.as_str(), all),
        (world.tmp.as_str(), all),
        ("/dev", touch),
    ];
    let rules = shared.into_iter().chain(own);
    let mut ruleset = Ruleset::default()
        .handle_access(all)
        .and_then(|r| r.scope(Scope::AbstractUnixSocket | Scope::Signal))
        .and_then(Ruleset::create)
        .map_err(|e| failed(&e))?;
    for (path, rights) in rules {
        let place = PathFd::new(path).map_err(|e| failed(&e))?;
        ruleset = ruleset.add_rule(PathBeneath::new(place, rights)).map_err(|e| failed(&e))?;
    }
    let status = ruleset.restrict_self().map_err(|e| failed(&e))?;
    if status.ruleset == RulesetStatus::NotEnforced {
        return Err(failed(&"this kernel does not have it"));
    }
    Ok(())
}
