//! What a browser session with a page costs: its memory, how many fit into a GiB, and the time until nothing of it is left.

use cloister_benches::Failure;
use cloister_benches::browser::{Browser, DEFAULT};
use cloister_benches::client::Client;
use cloister_benches::memory::{self, Memory};
use cloister_benches::report::{digits, mebibytes};
use cloister_benches::run::{Case, Run};
use cloister_benches::server::Server;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Sessions side by side, in a quick look too: PSS depends on how many share.
const SESSIONS: usize = 20;
/// A GiB, in KiB.
const GIB: u64 = 1 << 20;
/// Sessions that should fit into it.
const AIM: f64 = 12.0;
/// Aim for the stop of a session.
const STOPPED: Duration = Duration::from_millis(100);
const STOP: &str = "stop of one browser session with a page (cloister)";

/// Means of one session.
struct Session {
    processes: usize,
    memory: Memory,
    /// What the kernel charges to its cgroup: the program's own pages are charged to whoever read them first.
    charged: u64,
}

fn main() -> ExitCode {
    Run::bench("browser_density", |run| {
        let session = sessions()?;
        stop(run)?;
        let fit = |kib: u64| GIB as f64 / kib.max(1) as f64;
        let measured = fit(session.memory.pss);
        run.report.aim(
            "browser sessions with a page in a GiB, by PSS (here: at least)",
            digits(AIM),
            digits(measured),
            AIM / measured,
        );
        if let Some(p50) = run.report.samples(STOP).map(|s| s.p50()) {
            run.report.aim_time("stop of a browser session, until nothing is left, p50", STOPPED, p50);
        }
        let Session { processes, memory: Memory { private, pss }, charged } = session;
        let mut table = String::from("| of a session with a page | memory | in a GiB |\n|---|---:|---:|\n");
        for (what, kib) in [("PSS", pss), ("private", private), ("charged to its cgroup", charged)] {
            table.push_str(&format!("| {what} | {} | {} |\n", mebibytes(kib), digits(fit(kib))));
        }
        Ok(format!("{table}\nMeans over {SESSIONS} sessions of {processes} processes each.\n"))
    })
}

/// Starts many, gives each a filled page and a picture of it, and looks at what they take.
fn sessions() -> Result<Session, Failure> {
    let server = Server::for_browsers(false)?;
    let mut client = server.client()?;
    let mut open = Vec::new();
    for _ in 0..SESSIONS {
        let (mut browser, page) = Browser::with_page(&server, &mut client, DEFAULT)?;
        browser.cdp.screenshot(&page)?;
        open.push((browser, page));
    }
    sleep(Duration::from_secs(2));
    let groups = groups(&mut client, open.iter().map(|(browser, _)| browser))?;
    let (mut memory, mut processes) = (Memory::default(), 0);
    for group in groups.keys() {
        for pid in memory::members(group) {
            memory = memory.plus(Memory::of(pid)?);
            processes += 1;
        }
    }
    for (browser, _) in open {
        drop(browser.cdp);
        client.stop(&browser.session)?;
    }
    let charged = groups.values().sum::<u64>() / SESSIONS as u64;
    Ok(Session { processes: processes / SESSIONS, memory: memory.per(SESSIONS), charged })
}

/// The cgroups of the sessions, and what is charged to each. They are found by the processes in the sessions' pid namespaces.
fn groups<'b>(
    client: &mut Client,
    open: impl Iterator<Item = &'b Browser>,
) -> Result<BTreeMap<PathBuf, u64>, Failure> {
    let spaces = open.map(|browser| client.namespace(&browser.session)).collect::<Result<Vec<_>, _>>()?;
    let inits = memory::processes().into_iter().filter(|p| p.is_init && spaces.contains(&p.namespace));
    let groups: BTreeMap<_, _> = inits.filter_map(|init| memory::charged(init.pid)).collect();
    if groups.len() == spaces.len() {
        return Ok(groups);
    }
    // Memory of somebody else's group would be counted.
    Err(Failure::Unavailable(format!(
        "{} sessions have {} memory cgroups of their own",
        spaces.len(),
        groups.len()
    )))
}

/// The request to stop, until the answer, which comes when nothing is left.
fn stop(run: &mut Run) -> Result<(), Failure> {
    let server = Server::for_browsers(false)?;
    let mut client = server.client()?;
    run.case(Case { name: STOP, against: STOP, samples: 100 }, || {
        let (browser, _) = Browser::with_page(&server, &mut client, DEFAULT)?;
        let groups = groups(&mut client, [&browser].into_iter())?;
        drop(browser.cdp);
        let begun = Instant::now();
        client.stop(&browser.session)?;
        let took = begun.elapsed();
        if server.sandboxes() > 0 || groups.keys().any(|group| group.exists()) {
            return Err(Failure::wrong(STOP, format!("{groups:?}").as_bytes(), "nothing left"));
        }
        Ok(took)
    })
}
