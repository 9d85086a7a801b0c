//! What an idle session costs: memory that nobody else can use, the time to stop it, and what is left after that.

use cloister_benches::Failure;
use cloister_benches::alternatives::{Chroot, Jupyter, Spawned, Tried, tried};
use cloister_benches::client::DEFAULT;
use cloister_benches::memory::{self, Memory, Process};
use cloister_benches::quiet;
use cloister_benches::report::{mebibytes, times};
use cloister_benches::run::{Case, Run, wanted};
use cloister_benches::server::Server;
use cloister_benches::work::{PANDAS, Work};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Sessions that idle side by side.
const SESSIONS: usize = 50;
/// Kernels, and plain interpreters: each is alike.
const OTHERS: usize = 10;
/// Aim for the private memory of an idle session, in KiB.
const AIM: u64 = 10 * 1024;
/// Aim for the stop of a session.
const STOPPED: Duration = Duration::from_millis(100);
const STOP: &str = "stop of one idle session (cloister)";

/// One line of the table of memory.
struct Idle {
    init: Option<Memory>,
    interpreter: Memory,
    /// What the kernel charges to the session's cgroup: kernel objects are in it, pages shared with the zygote are not.
    charged: Option<u64>,
}

impl Idle {
    fn total(&self) -> Memory {
        self.init.map_or(self.interpreter, |init| init.plus(self.interpreter))
    }
}

fn main() -> ExitCode {
    Run::bench("density", |run| {
        let pool = wanted(SESSIONS);
        let (mut rows, mut notes) = (Vec::new(), String::new());
        for (pool, work, name) in [
            (pool, None, "cloister, from the pool (warmed), nothing run yet"),
            (pool, Some(PANDAS), "cloister, from the pool, after a pandas result"),
            (0, None, "cloister, from the zygote, nothing run yet"),
            (0, Some(PANDAS), "cloister, from the zygote, after a pandas result"),
        ] {
            let (idle, left) = ours(pool, work, name)?;
            rows.push((name, Ok(idle)));
            notes.push_str(&format!("- {left}\n"));
        }
        rows.push(("ipykernel, pandas imported", tried(kernels())?));
        rows.push(("plain python3, pandas imported", tried(plain())?));
        stop(run)?;

        if let Some((_, Ok(pooled))) = rows.first() {
            let private = pooled.total().private;
            let what = "private memory of an idle session, init and interpreter";
            run.report.aim(what, mebibytes(AIM), mebibytes(private), private as f64 / AIM as f64);
        }
        if let Some(p99) = run.report.samples(STOP).map(|s| s.p99()) {
            run.report.aim_time("stop of a session, until nothing is left, p99", STOPPED, p99);
        }
        Ok(format!("{}\n{notes}", table(&rows)))
    })
}

/// Memory of many idle sessions, and what is left of them after their stop.
fn ours(pool: usize, work: Option<Work>, name: &str) -> Result<(Idle, String), Failure> {
    let count = wanted(SESSIONS);
    let server = Server::start(pool)?;
    let mut client = server.client()?;
    let before = memory::available()?;
    let mut sessions = Vec::new();
    for _ in 0..count {
        sessions.push(client.start(DEFAULT)?);
    }
    for session in &sessions {
        if let Some(work) = work {
            client.run(session, work)?;
        }
    }
    server.settle(count)?;
    sleep(Duration::from_millis(500));
    let taken = before.saturating_sub(memory::available()?);
    let namespaces =
        sessions.iter().map(|session| client.namespace(session)).collect::<Result<Vec<_>, _>>()?;
    let processes = members(&namespaces);
    if processes.len() != 2 * count {
        let said = format!("{} processes of {count} sessions", processes.len());
        return Err(Failure::wrong("the host", said.as_bytes(), "an init and an interpreter for each"));
    }
    let (mut init, mut interpreter) = (Memory::default(), Memory::default());
    let mut groups = BTreeMap::new();
    for process in &processes {
        let memory = Memory::of(process.pid)?;
        let sum = if process.is_init { &mut init } else { &mut interpreter };
        *sum = sum.plus(memory);
        groups.extend(memory::charged(process.pid));
    }
    for session in &sessions {
        client.stop(session)?;
    }
    // At once, before anything is waited for.
    let alive = members(&namespaces).len();
    let standing = groups.keys().filter(|group| group.exists()).count();
    server.settle(0)?;
    sleep(Duration::from_millis(500));
    let kept = before.saturating_sub(memory::available()?);
    let mut left = format!(
        "{name}: when the last of {count} stops was answered, {alive} of {} processes and {standing} of {} cgroups were left",
        processes.len(),
        groups.len(),
    );
    // Everybody's memory is in this number: it means something only while nobody else is at work.
    if quiet::look() <= quiet::LIMIT {
        let (taken, kept) = (mebibytes(taken), mebibytes(kept));
        left.push_str(&format!("; the host's available memory fell by {taken} and, half a second after, was {kept} lower than before"));
    }
    // Without a group per session the sums below would be those of somebody else's group.
    let charged = (groups.len() == count).then(|| groups.values().sum::<u64>() / count as u64);
    let (init, interpreter) = (Some(init.per(count)), interpreter.per(count));
    Ok((Idle { init, interpreter, charged }, left))
}

/// The processes in these pid namespaces.
fn members(namespaces: &[PathBuf]) -> Vec<Process> {
    let all = memory::processes().into_iter();
    all.filter(|process| namespaces.contains(&process.namespace)).collect()
}

/// The stop of a session: the request, until the answer, which comes when nothing is left.
fn stop(run: &mut Run) -> Result<(), Failure> {
    let server = Server::start(1)?;
    let mut client = server.client()?;
    run.case(Case { name: STOP, against: STOP, samples: 100 }, || {
        let session = client.start(DEFAULT)?;
        client.run(&session, PANDAS)?;
        server.settle(1)?;
        let begun = Instant::now();
        client.stop(&session)?;
        let took = begun.elapsed();
        server.settle(0)?;
        Ok(took)
    })
}

fn kernels() -> Result<Idle, Failure> {
    let mut jupyter = Jupyter::new()?;
    let mut sum = Memory::default();
    let mut kernels = Vec::new();
    for _ in 0..OTHERS {
        let kernel = jupyter.open()?;
        jupyter.cell(kernel, PANDAS.code, PANDAS.expected)?;
        kernels.push(kernel);
    }
    for kernel in kernels {
        sum = sum.plus(Memory::of(kernel.pid)?);
    }
    Ok(Idle { init: None, interpreter: sum.per(OTHERS), charged: None })
}

/// Plain interpreters that have printed their result and wait.
fn plain() -> Result<Idle, Failure> {
    let chroot = Chroot::new()?;
    let code = format!("{}\nimport sys; sys.stdout.flush(); sys.stdin.read()", PANDAS.code);
    let mut running = Vec::new();
    let mut sum = Ok(Memory::default());
    for _ in 0..OTHERS {
        let mut command = chroot.command(&code)?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        running.push(command.spawn().map_err(Failure::io("start python3"))?);
    }
    for child in &mut running {
        let mut said = String::new();
        let mut stdout = child.stdout.take().map(BufReader::new);
        while let Some(stdout) = stdout.as_mut().filter(|_| !said.contains(PANDAS.expected)) {
            if stdout.read_line(&mut said).map_err(Failure::io("read from python3"))? == 0 {
                sum = Err(Failure::wrong("python3", said.as_bytes(), PANDAS.expected));
                break;
            }
        }
    }
    for child in &running {
        sum = sum.and_then(|sum| Ok(sum.plus(Memory::of(child.id())?)));
    }
    for mut child in running {
        // The end of its input ends it.
        drop(child.stdin.take());
        child.wait().map_err(Failure::io("wait for python3"))?;
    }
    Ok(Idle { init: None, interpreter: sum?.per(OTHERS), charged: None })
}

fn table(rows: &[(&str, Tried<Idle>)]) -> String {
    let mut text = String::from(
        "| idle | ratio | private | of it init | of it interpreter | PSS | charged |\n|---|---:|---:|---:|---:|---:|---:|\n",
    );
    let first = rows.first().and_then(|(_, row)| row.as_ref().ok());
    let unit = first.map_or(1, |row| row.total().private.max(1));
    for (name, row) in rows {
        text.push_str(&match row {
            Ok(row) => line(name, row, unit),
            Err(why) => format!("| {name} | {why} | – | – | – | – | – |\n"),
        });
    }
    text
}

fn line(name: &str, row: &Idle, unit: u64) -> String {
    let total = row.total();
    let ratio = times(total.private as f64 / unit as f64);
    let dash = || "–".to_owned();
    let init = row.init.map_or_else(dash, |init| mebibytes(init.private));
    let charged = row.charged.map_or_else(dash, mebibytes);
    let (private, interpreter) = (mebibytes(total.private), mebibytes(row.interpreter.private));
    format!(
        "| {name} | {ratio} | {private} | {init} | {interpreter} | {} | {charged} |\n",
        mebibytes(total.pss)
    )
}
