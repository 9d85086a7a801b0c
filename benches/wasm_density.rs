//! What an idle session of the wasm tier costs, and how the tier uses two cores.

use cloister_benches::Failure;
use cloister_benches::client::{Client, WASM};
use cloister_benches::memory::{self, Memory};
use cloister_benches::report::{mebibytes, time, times};
use cloister_benches::run::{Run, wanted};
use cloister_benches::server::Server;
use cloister_benches::work::{PRINT, SUM};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

/// Sessions that idle side by side.
const SESSIONS: usize = 1000;
/// Aim for the private memory of one, in KiB.
const AIM: u64 = 819;
/// Until idle sessions have given back what they do not need.
const REST: Duration = Duration::from_secs(6);

fn main() -> ExitCode {
    Run::bench("wasm_density", |run| {
        let count = wanted(SESSIONS);
        let server = Server::start(0)?;
        let mut client = server.client()?;
        // Both engines are up before anything is counted.
        for _ in 0..3 {
            client.first_result(WASM, PRINT)?;
            thread::sleep(Duration::from_secs(2));
        }
        let before = engines(&server)?;
        let sessions = (0..count).map(|_| client.start(WASM)).collect::<Result<Vec<_>, _>>()?;
        thread::sleep(REST);
        let fresh = per(engines(&server)?, before, count);
        for session in &sessions {
            client.run(session, PRINT)?;
        }
        thread::sleep(REST);
        let used = per(engines(&server)?, before, count);
        for session in sessions {
            client.stop(&session)?;
        }
        let line = |what: &str, m: Memory| {
            format!(
                "| {what} | {} | {} | {} |\n",
                mebibytes(m.private),
                mebibytes(m.pss),
                times(m.private as f64 / AIM as f64)
            )
        };
        let mut text =
            format!("| {count} idle sessions, each | private | PSS | of the aim |\n|---|---:|---:|---:|\n");
        text += &line("started, nothing run yet", fresh);
        text += &line("after a print", used);
        text += &scaling(&server)?;
        let private = used.private.max(fresh.private);
        let ratio = private as f64 / AIM as f64;
        run.report.aim("wasm: private memory of an idle session", mebibytes(AIM), mebibytes(private), ratio);
        Ok(text)
    })
}

/// Memory of all engines of a server.
fn engines(server: &Server) -> Result<Memory, Failure> {
    let mut sum = Memory::default();
    for process in memory::processes() {
        let name = std::fs::read_to_string(format!("/proc/{}/comm", process.pid)).unwrap_or_default();
        if name.trim() == "engine" && server.is_ancestor_of(process.pid) {
            sum = sum.plus(Memory::of(process.pid)?);
        }
    }
    if sum == Memory::default() {
        return Err(Failure::wrong("the host", b"no process of that name", "an engine"));
    }
    Ok(sum)
}

fn per(now: Memory, before: Memory, count: usize) -> Memory {
    let more = Memory {
        private: now.private.saturating_sub(before.private),
        pss: now.pss.saturating_sub(before.pss),
    };
    more.per(count)
}

/// Calls that keep the processor busy, in one session and in two at once.
fn scaling(server: &Server) -> Result<String, Failure> {
    let code = "sum(i * i for i in range(2_000_000))";
    let open = || -> Result<(Client, String), Failure> {
        let mut client = server.client()?;
        let session = client.start(WASM)?;
        client.run(&session, SUM)?;
        Ok((client, session))
    };
    let mut clients = [open()?, open()?];
    let mut alone = Duration::MAX;
    let mut both = Duration::MAX;
    for _ in 0..3 {
        let begun = Instant::now();
        let [(client, session), _] = &mut clients;
        client.output(session, code)?;
        alone = alone.min(begun.elapsed());
        let begun = Instant::now();
        thread::scope(|scope| {
            let running: Vec<_> = clients
                .iter_mut()
                .map(|(client, session)| scope.spawn(|| client.output(session, code)))
                .collect();
            running.into_iter().try_for_each(|one| {
                one.join().map_err(|_| Failure::Unavailable("a client's thread ended".into()))?.map(drop)
            })
        })?;
        both = both.min(begun.elapsed());
    }
    for (mut client, session) in clients {
        client.stop(&session)?;
    }
    let gain = 2.0 * alone.as_secs_f64() / both.as_secs_f64();
    Ok(format!(
        "\nA call that keeps a core busy takes {} alone; two at once, in two sessions, are done after {}: {} the work in the same time.\n",
        time(alone),
        time(both),
        times(gain)
    ))
}
