//! Starting and ending guest programs.

use crate::plan::Plan;
use crate::setup::descriptors::keep_only;
use crate::spawn::{Step, put};
use crate::sys;
use nix::errno::Errno;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use std::ffi::CString;
use std::os::fd::RawFd;

/// Descriptors for a new program: what it gets, under which number.
pub(super) type Wiring<'a> = &'a [(RawFd, RawFd)];

/// Starts `argv` in a session of its own with the plan's environment and limits. `extra` variables come on top.
pub(super) fn start(
    plan: &Plan,
    argv: &[String],
    extra: &[(&str, String)],
    wiring: Wiring<'_>,
) -> Result<Pid, Step> {
    // Everything that can fail or allocates is done before the fork.
    let text =
        |s: &str| CString::new(s).map_err(|_| Step { step: format!("NUL in {s:?}"), errno: Errno::EINVAL });
    let args: Vec<CString> = argv.iter().map(|a| text(a)).collect::<Result<_, _>>()?;
    let program = args.first().ok_or(Step { step: "no program".into(), errno: Errno::EINVAL })?;
    let mut env: Vec<CString> =
        plan.world.env.iter().map(|(k, v)| text(&format!("{k}={v}"))).collect::<Result<_, _>>()?;
    for (name, value) in extra {
        env.push(text(&format!("{name}={value}"))?);
    }
    match sys::fork().map_err(Step::at("fork"))? {
        Some(pid) => Ok(Pid::from_raw(pid)),
        None => {
            let ready = wire(wiring).and_then(|()| become_program(plan));
            let failed = match ready {
                Ok(()) => match nix::unistd::execve(program, &args, &env) {
                    Ok(never) => match never {},
                    Err(errno) => Step { step: "execute it".into(), errno },
                },
                Err(step) => step,
            };
            let line = format!("cloister: cannot start {}: {failed}\n", argv[0]);
            let _: Result<usize, Errno> = nix::unistd::write(sys::borrow(2), line.as_bytes());
            sys::exit_now(if failed.errno == Errno::ENOENT { 127 } else { 126 })
        }
    }
}

/// Puts descriptors in place and closes all others.
pub(super) fn wire(wiring: Wiring<'_>) -> Result<(), Step> {
    let mut moved = Vec::with_capacity(wiring.len());
    for &(from, to) in wiring {
        let high = nix::fcntl::fcntl(sys::borrow(from), nix::fcntl::FcntlArg::F_DUPFD(64));
        moved.push((high.map_err(Step::at("move a descriptor"))?, to));
    }
    for &(from, to) in &moved {
        sys::dup_to(from, to).map_err(Step::at("place a descriptor"))?;
    }
    let keep: Vec<RawFd> = wiring.iter().map(|&(_, to)| to).collect();
    keep_only(&keep)
}

/// The rest of what separates a forked init from a guest program.
pub(super) fn become_program(plan: &Plan) -> Result<(), Step> {
    nix::unistd::setsid().map_err(Step::at("start a session"))?;
    sys::reset_signals(false).map_err(Step::at("reset signals"))?;
    settle(plan)
}

/// Limits and identity marks that exec does not change.
pub(super) fn settle(plan: &Plan) -> Result<(), Step> {
    // Dumpable again: otherwise its own /proc/self would be closed to it.
    sys::prctl(libc::PR_SET_DUMPABLE, 1).map_err(Step::at("become dumpable"))?;
    // The out-of-memory killer takes guest programs before init, so that somebody is left to report it.
    // Without a procfs there is no namespace either, and the score is the container's business.
    if std::path::Path::new("/proc/self").exists() {
        put("/proc/self/oom_score_adj", "1000")?;
    }
    let limits = &plan.limits;
    for (resource, value) in [
        (Resource::RLIMIT_NPROC, limits.pids),
        (Resource::RLIMIT_NOFILE, limits.open_files),
        (Resource::RLIMIT_FSIZE, limits.file_bytes),
        (Resource::RLIMIT_CORE, 0),
        (Resource::RLIMIT_MEMLOCK, 8 << 20),
        (Resource::RLIMIT_MSGQUEUE, 1 << 20),
        (Resource::RLIMIT_SIGPENDING, 1024),
    ] {
        // An ordinary user cannot raise a limit that is already lower; lower is what is wanted.
        let (_, hard) = nix::sys::resource::getrlimit(resource).map_err(Step::at("read a limit"))?;
        let value = value.min(hard);
        setrlimit(resource, value, value).map_err(Step::at(format!("set {resource:?}")))?;
    }
    let workspace = plan.world.workspace.as_str();
    nix::unistd::chdir(workspace).map_err(Step::at(format!("enter {workspace}")))
}

/// Kills a program, its session, and whatever has been left to init by dead parents, except for `spared` sessions.
///
/// Several passes, since a fork bomb makes processes while it is being killed. What hides from /proc by becoming undumpable
/// is bounded by the limit on processes and ends with the sandbox.
pub(super) fn kill_session(leader: Pid, spared: &[Pid]) {
    for _ in 0..50 {
        // SIGSTOP first would be tidier, but a stopped bomb still counts against the limit on processes.
        let _: Result<(), Errno> = killpg(leader, Signal::SIGKILL);
        let _: Result<(), Errno> = kill(leader, Signal::SIGKILL);
        let mut found = false;
        for process in processes() {
            let own = process.session == leader.as_raw();
            let orphan = process.parent == 1 && !spared.iter().any(|p| p.as_raw() == process.session);
            if (own || orphan) && process.state != 'Z' && process.pid != 1 {
                found = true;
                let _: Result<(), Errno> = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
            }
        }
        if !found {
            break;
        }
    }
}

/// Sends SIGINT to the children of a shell, but not to the shell, whose state is to live on.
pub(super) fn interrupt_children(leader: Pid) {
    for process in processes() {
        if process.session == leader.as_raw() && process.pid != leader.as_raw() {
            let _: Result<(), Errno> = kill(Pid::from_raw(process.pid), Signal::SIGINT);
        }
    }
}

/// One line of /proc.
struct Process {
    pid: i32,
    parent: i32,
    session: i32,
    state: char,
}

fn processes() -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            // The name is in parentheses and may hold anything, so fields are counted from the last one.
            let mut fields = stat.get(stat.rfind(')')? + 2..)?.split(' ');
            let state = fields.next()?.chars().next()?;
            let parent = fields.next()?.parse().ok()?;
            let session = fields.nth(1)?.parse().ok()?;
            Some(Process { pid, parent, session, state })
        })
        .collect()
}
