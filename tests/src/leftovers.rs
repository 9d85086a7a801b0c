//! After every test nothing is left behind: no process, cgroup, mount or directory.
//!
//! Other tests and other servers run sandboxes on the same host at the same time, so nothing is counted: what is looked for is
//! what one sandbox had while it lived ([`Traces`]), or what names one backend's directory ([`of_backend`]).

use cloister_core::backend::Interpreter;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// First kernel id of sandboxes that root makes; each has one of its own.
const FIRST_SANDBOX_ID: u32 = cloister_jail::plan::FIRST_SANDBOX_ID;

/// How long a killed process may take to leave `/proc`. Its death has been waited for; the entry of a zombie goes with its reaper.
const SETTLE: Duration = Duration::from_secs(5);

/// A process, told apart from a later one with the same number by its start time.
#[derive(Clone, Debug)]
struct Process {
    pid: i32,
    started: String,
    name: String,
    uid: u32,
    parent: i32,
    /// Whether it is the first one of a pid namespace below this one.
    init: bool,
}

impl Process {
    /// What does not change while it lives: an orphan gets another parent, and a program another name.
    fn identity(&self) -> (i32, &str) {
        (self.pid, &self.started)
    }
}

impl PartialEq for Process {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for Process {}

impl PartialOrd for Process {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Process {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.identity().cmp(&other.identity())
    }
}

/// What one sandbox has on the host: taken while it lives, looked for when it has ended.
#[derive(Debug)]
pub struct Traces {
    sandbox: String,
    /// Its kernel user id, where it has one that nobody else has.
    uid: Option<u32>,
    processes: BTreeSet<Process>,
}

impl Traces {
    /// Looks at a running sandbox.
    pub fn of(interpreter: &dyn Interpreter) -> Self {
        Self::look(interpreter.sandbox().as_str(), &interpreter.walls())
    }

    /// Looks at a running engine: the sandbox around sessions that have these walls.
    pub fn of_engine(sandbox: &str, walls: &[(String, String)]) -> Self {
        Self::look(sandbox, walls)
    }

    /// Of a session that is no sandbox of its own: what it has is in its engine, and outside there must never be anything.
    pub fn of_none(interpreter: &dyn Interpreter) -> Self {
        Self { sandbox: interpreter.sandbox().as_str().to_owned(), uid: None, processes: BTreeSet::new() }
    }

    fn look(sandbox: &str, walls: &[(String, String)]) -> Self {
        let namespace =
            walls.iter().find(|(name, _)| name == "namespace_pid").map(|(_, value)| value.as_str());
        let inside = |process: &Process| {
            let link = fs::read_link(format!("/proc/{}/ns/pid", process.pid));
            link.ok().as_ref().and_then(|l| l.to_str()) == namespace
        };
        let all = self::processes();
        let mut processes: BTreeSet<Process> =
            all.iter().filter(|p| namespace.is_some() && inside(p)).cloned().collect();
        // Init is not dumpable, so that an ordinary user may not see its namespaces; its children tell who it is.
        let inits = all.into_iter().filter(|p| p.init && processes.iter().any(|child| child.parent == p.pid));
        processes.extend(inits.collect::<Vec<_>>());
        let uid = processes.iter().map(|p| p.uid).find(|&uid| uid >= FIRST_SANDBOX_ID);
        Self { sandbox: sandbox.to_owned(), uid, processes }
    }

    /// The same with the processes of pid namespaces inside its own, as browsers make them.
    pub fn of_tree(interpreter: &dyn Interpreter) -> Self {
        let mut traces = Self::of(interpreter);
        let all = processes();
        loop {
            let known: BTreeSet<i32> = traces.processes.iter().map(|p| p.pid).collect();
            let more = all.iter().filter(|p| known.contains(&parent(p.pid)) && !known.contains(&p.pid));
            let before = known.len();
            traces.processes.extend(more.cloned());
            if traces.processes.len() == before {
                return traces;
            }
        }
    }

    /// Its processes, as the kernel numbers them outside.
    pub fn pids(&self) -> Vec<i32> {
        self.processes.iter().map(|p| p.pid).collect()
    }

    /// The kernel's user id of the sandbox, where it has one that nobody else has.
    pub fn uid(&self) -> Option<u32> {
        self.uid
    }

    /// Whether a process of it is there.
    pub fn alive(&self) -> bool {
        processes().iter().any(|p| self.processes.contains(p) || self.uid == Some(p.uid))
    }

    /// What is still there; empty when all is well.
    pub fn left(&self) -> Vec<String> {
        let mut left = settled(|| {
            let there = processes();
            let of_it = there.iter().filter(|p| self.processes.contains(p) || self.uid == Some(p.uid));
            of_it.map(|p| format!("process {} ({})", p.pid, p.name)).collect()
        });
        left.extend(cgroups(&self.sandbox).iter().map(|path| format!("cgroup {}", path.display())));
        left.extend(mounts(&self.sandbox).into_iter().map(|line| format!("mount {line}")));
        left
    }
}

/// What names the directory of a backend that has shut down: mounts below it, processes with an open file in it, sandboxes in it.
pub fn of_backend(directory: &Path) -> Vec<String> {
    let mut left: Vec<String> = directories(&directory.join("sandboxes"))
        .into_iter()
        .map(|name| format!("directory {name}"))
        .collect();
    left.extend(mounts(&directory.to_string_lossy()).into_iter().map(|line| format!("mount {line}")));
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    left.extend(settled(|| {
        let holding = processes().into_iter().filter(|p| p.pid != own && holds(p.pid, directory));
        holding.map(|p| format!("process {} ({})", p.pid, p.name)).collect()
    }));
    left
}

/// Names of directories in `dir`.
pub fn directories(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let directories = entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir()));
    directories.map(|e| e.file_name().to_string_lossy().into_owned()).collect()
}

/// Cgroups with this name, in every hierarchy that sandboxes use.
pub fn cgroups(name: &str) -> Vec<PathBuf> {
    // The search makes a group of its own to find out where groups are made, and takes it away again.
    let Ok(host) = cloister_jail::cgroup::Host::discover(&format!("leftovers-of-{name}")) else {
        return Vec::new();
    };
    let bases = match &host {
        cloister_jail::cgroup::Host::V1 { memory, pids, cpu, cpuacct } => vec![memory, pids, cpu, cpuacct],
        cloister_jail::cgroup::Host::V2 { base } => vec![base],
    };
    let instances = bases.into_iter().filter_map(|base| base.parent());
    let groups = instances
        .flat_map(|all| directories(all).into_iter().map(move |instance| all.join(instance).join(name)));
    let found = groups.filter(|group| group.exists()).collect();
    host.remove();
    found
}

/// Lines of this process's mount table that hold `text`.
fn mounts(text: &str) -> Vec<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    table.lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
}

/// Asks again until the answer is empty or time is up.
fn settled(look: impl Fn() -> Vec<String>) -> Vec<String> {
    let since = Instant::now();
    loop {
        let left = look();
        if left.is_empty() || since.elapsed() > SETTLE {
            return left;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether a process has a file below `directory` open.
fn holds(pid: i32, directory: &Path) -> bool {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    open.filter_map(|entry| fs::read_link(entry.path()).ok()).any(|target| target.starts_with(directory))
}

/// Every process of this pid namespace.
fn processes() -> BTreeSet<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| process(entry.file_name().to_str()?.parse().ok()?)).collect()
}

/// The parent of a process; 0 if it has gone.
fn parent(pid: i32) -> i32 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    line.and_then(|n| n.trim().parse().ok()).unwrap_or(0)
}

fn process(pid: i32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // proc(5): the name stands in parentheses and may hold anything; the start time is field 22, the 20th behind the name.
    let started = stat.get(stat.rfind(')')? + 2..)?.split(' ').nth(19)?.to_owned();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| status.lines().find_map(|l| l.strip_prefix(name)).unwrap_or("").trim();
    let uid = field("Uid:").split_whitespace().next()?.parse().ok()?;
    let parent = field("PPid:").parse().ok()?;
    // proc_pid_status(5): its numbers in this namespace and in those below.
    let numbers: Vec<&str> = field("NSpid:").split_whitespace().collect();
    let init = numbers.len() > 1 && numbers.last() == Some(&"1");
    Some(Process { pid, started, name: field("Name:").to_owned(), uid, parent, init })
}
