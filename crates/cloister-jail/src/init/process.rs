//! Starting and ending guest programs.

use super::score::Score;
use crate::plan::Plan;
use crate::setup::descriptors::keep_only;
use crate::spawn::Step;
use crate::sys;
use nix::errno::Errno;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::collections::HashSet;
use std::ffi::CString;
use std::os::fd::RawFd;
use std::time::Duration;

/// Descriptors for a new program: what it gets, under which number.
pub(super) type Wiring<'a> = &'a [(RawFd, RawFd)];

/// Starts `argv` in a session of its own with the plan's environment and limits. `extra` variables come on top.
pub(super) fn start(
    plan: &Plan,
    score: &Score,
    argv: &[String],
    extra: &[(&str, String)],
    wiring: Wiring<'_>,
) -> Result<Pid, Step> {
    start_in(plan, || score.fork(), argv, extra, wiring)
}

/// The same in the process that `fork` makes.
pub(super) fn start_in(
    plan: &Plan,
    fork: impl FnOnce() -> Result<Option<i32>, Step>,
    argv: &[String],
    extra: &[(&str, String)],
    wiring: Wiring<'_>,
) -> Result<Pid, Step> {
    // Everything that can fail or allocates is done before the fork.
    let text = |s: &str| {
        let nul = "a NUL character in an argument or a variable";
        CString::new(s).map_err(|_| Step { step: nul.into(), errno: Errno::EINVAL })
    };
    let args: Vec<CString> = argv.iter().map(|a| text(a)).collect::<Result<_, _>>()?;
    let program = args.first().ok_or(Step { step: "no program".into(), errno: Errno::EINVAL })?;
    let mut env: Vec<CString> =
        plan.world.env.iter().map(|(k, v)| text(&format!("{k}={v}"))).collect::<Result<_, _>>()?;
    for (name, value) in extra {
        env.push(text(&format!("{name}={value}"))?);
    }
    match fork()? {
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
    sys::reset_signals().map_err(Step::at("reset signals"))?;
    settle(plan)
}

/// Limits and identity marks that exec does not change.
pub(super) fn settle(plan: &Plan) -> Result<(), Step> {
    let limits = &plan.limits;
    for (resource, value) in [
        (Resource::RLIMIT_NPROC, limits.pids),
        (Resource::RLIMIT_NOFILE, limits.open_files),
        (Resource::RLIMIT_FSIZE, limits.file_bytes),
        (Resource::RLIMIT_MEMLOCK, 8 << 20),
        (Resource::RLIMIT_MSGQUEUE, 1 << 20),
        (Resource::RLIMIT_SIGPENDING, 1024),
        // A service manager may have allowed the server more than others have.
        (Resource::RLIMIT_NICE, 0),
        (Resource::RLIMIT_RTPRIO, 0),
    ] {
        // An ordinary user cannot raise a limit that is already lower; lower is what is wanted.
        let (_, hard) = nix::sys::resource::getrlimit(resource).map_err(Step::at("read a limit"))?;
        let value = value.min(hard);
        setrlimit(resource, value, value).map_err(Step::at(format!("set {resource:?}")))?;
    }
    let workspace = plan.world.workspace.as_str();
    nix::unistd::chdir(workspace).map_err(Step::at(format!("enter {workspace}")))
}

/// Kills everything that init may signal, and waits for it. For the end of an init that has no pid namespace to take along.
pub(super) fn kill_everything() {
    for _ in 0..1000 {
        let gone = sys::kill_all(nix::libc::SIGKILL) == Err(Errno::ESRCH);
        while matches!(waitpid(None, Some(WaitPidFlag::WNOHANG)), Ok(status) if status != WaitStatus::StillAlive)
        {
        }
        if gone {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// How often the processes to be killed are looked for: new ones appear meanwhile.
const PASSES: usize = 50;

/// A program and all that it has started, of these processes: its session, what has been left to init by dead parents, and the children
/// of all of them. Those may lead sessions of their own (setsid), and until a parent that has been killed is scheduled once more it is
/// their parent still, and not init. Nothing of a `spared` session is among them.
fn family(all: &[Process], leader: Pid, spared: &[Pid]) -> HashSet<i32> {
    let is_spared = |p: &Process| spared.iter().any(|spared| spared.as_raw() == p.session);
    let mut family = HashSet::from([leader.as_raw()]);
    let seeds = all.iter().filter(|p| p.session == leader.as_raw() || p.parent == 1 && !is_spared(p));
    family.extend(seeds.map(|p| p.pid));
    loop {
        let known = family.len();
        for process in all {
            if family.contains(&process.parent) && !is_spared(process) {
                family.insert(process.pid);
            }
        }
        if family.len() == known {
            family.remove(&1);
            return family;
        }
    }
}

/// Kills a program, its session, and whatever has been left to init by dead parents, except for `spared` sessions.
///
/// Several passes, since a fork bomb makes processes while it is being killed. What hides from /proc by becoming undumpable
/// is bounded by the limit on processes and ends with the sandbox.
pub(super) fn kill_session(leader: Pid, spared: &[Pid]) {
    for _ in 0..PASSES {
        // SIGSTOP first would be tidier, but a stopped bomb still counts against the limit on processes.
        let _: Result<(), Errno> = killpg(leader, Signal::SIGKILL);
        let _: Result<(), Errno> = kill(leader, Signal::SIGKILL);
        let mut found = false;
        let all = processes();
        let family = family(&all, leader, spared);
        for process in all.iter().filter(|p| p.state != 'Z' && family.contains(&p.pid)) {
            found = true;
            let _: Result<(), Errno> = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
        }
        if !found {
            break;
        }
    }
}

/// Kills what a worker has started since `since` (see [`sys::boot_time`]) and has not ended, but not the worker itself.
///
/// For the end of an interrupted call: a child that was forked at that very moment has lost the signal, and in a fork bomb one is enough.
pub(super) fn kill_started_since(leader: Pid, since: Duration, spared: &[Pid]) {
    for _ in 0..PASSES {
        let mut found = false;
        // Of the call's own processes only: what a server of an earlier call starts meanwhile is that server's.
        let recent: Vec<_> = processes().into_iter().filter(|p| p.started >= ticks(since)).collect();
        let family = family(&recent, leader, spared);
        let started = |p: &&Process| p.state != 'Z' && p.pid != leader.as_raw() && family.contains(&p.pid);
        for process in recent.iter().filter(started) {
            found = true;
            let _: Result<(), Errno> = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
        }
        if !found {
            break;
        }
    }
}

/// proc(5) gives times in clock ticks, of which user space has always had 100 in a second.
fn ticks(time: Duration) -> u128 {
    time.as_millis() / 10
}

/// Sends SIGINT to the children of a worker, but not to the worker, which a signal would end and whose state is to live on.
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
    /// Clock ticks since the host's start.
    started: u128,
}

fn processes() -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            // The name is in parentheses and may hold anything, text or not, so fields are counted from the last one.
            let stat = std::fs::read(entry.path().join("stat")).ok()?;
            let stat = String::from_utf8_lossy(&stat);
            let mut fields = stat.get(stat.rfind(')')? + 2..)?.split(' ');
            let state = fields.next()?.chars().next()?;
            let parent = fields.next()?.parse().ok()?;
            let session = fields.nth(1)?.parse().ok()?;
            let started = fields.nth(15)?.parse().ok()?;
            Some(Process { pid, parent, session, state, started })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process((pid, parent, session): (i32, i32, i32)) -> Process {
        Process { pid, parent, session, state: 'S', started: 0 }
    }

    #[test]
    fn a_program_with_all_that_it_has_started_leaves_nobody_out_and_spares_the_others() {
        let init = (1, 0, 0);
        let (leader, child) = ((10, 1, 10), (11, 10, 10));
        // Led out of the session by setsid, with children, the younger one listed first.
        let (grandchild, daemon) = ((12, 13, 13), (13, 10, 13));
        let orphan = (14, 1, 14);
        let (other, others_child, others_daemon) = ((20, 1, 20), (21, 20, 20), (22, 20, 22));
        let all = [init, leader, child, grandchild, daemon, orphan, other, others_child, others_daemon]
            .map(process);
        let mut family: Vec<_> = family(&all, Pid::from_raw(10), &[Pid::from_raw(20)]).into_iter().collect();
        family.sort_unstable();
        assert_eq!(family, [10, 11, 12, 13, 14]);
    }
}
