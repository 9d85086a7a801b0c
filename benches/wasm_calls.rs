//! Calls, copies and kept states of a session of the wasm tier that is there.

use cloister_benches::Failure;
use cloister_benches::alternatives::{Eryx, tried};
use cloister_benches::client::{DEFAULT, WASM};
use cloister_benches::run::{Case, Run};
use cloister_benches::server::Server;
use cloister_benches::work::{SUM, Work};
use serde_json::json;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

const WARM: &str = "1+1: cloister wasm, in a loop";
const FORK: &str = "fork → first result, 1 MiB of state, in a loop";
/// A state of a mebibyte that is no zero anywhere.
const MEBIBYTE: Work =
    Work { code: "import os\nx = bytearray(os.urandom(1 << 20))\nprint(len(x))", expected: "1048576" };

fn main() -> ExitCode {
    Run::bench("wasm_calls", |run| {
        {
            let case = |name: &'static str, samples| Case { name, against: WARM, samples };
            let server = Server::start(1)?;
            let mut client = server.client()?;
            let session = client.start(WASM)?;
            let process = client.start(DEFAULT)?;
            for _ in 0..200 {
                client.run(&session, SUM)?;
                client.run(&process, SUM)?;
            }
            sleep(Duration::from_secs(2));
            run.looped(case(WARM, 4000), || timed(|| client.run(&session, SUM)))?;
            run.looped(case("1+1: cloister process, in a loop", 2000), || {
                timed(|| client.run(&process, SUM))
            })?;
            run.case(case("1+1: cloister wasm, after a pause", 300), || timed(|| client.run(&session, SUM)))?;

            client.run(&session, MEBIBYTE)?;
            let fork = |name: &'static str, samples| Case { name, against: FORK, samples };
            let ask = Work { code: "len(x)", expected: "1048576" };
            let mut copied = || {
                let begun = Instant::now();
                let copy = client.fork(&session)?;
                client.run(&copy, ask)?;
                let took = begun.elapsed();
                client.stop(&copy)?;
                Ok(took)
            };
            run.looped(fork(FORK, 1000), &mut copied)?;
            run.case(fork("fork → first result, 1 MiB of state, after a pause", 200), &mut copied)?;
            run.looped(fork("checkpoint and restore, 1 MiB of state, in a loop", 1000), || {
                let copy = client.fork(&session)?;
                let begun = Instant::now();
                let kept = client.post(&copy, "checkpoint", &json!({}))?;
                let name = kept.get("checkpoint").cloned().unwrap_or_default();
                client.post(&copy, "restore", &json!({ "checkpoint": name }))?;
                let took = begun.elapsed();
                client.run(&copy, ask)?;
                client.stop(&copy)?;
                Ok(took)
            })?;
            client.stop(&session)?;
            client.stop(&process)?;
        }
        let eryx = tried(Eryx::new().and_then(|mut eryx| {
            let session = eryx.open()?;
            Ok((eryx, session))
        }))?;
        let case =
            Case { name: "print(1+1): pyeryx, in its own process, in a loop", against: WARM, samples: 2000 };
        run.try_looped(case, eryx, |(eryx, session)| {
            eryx.run(*session, "print(1+1)", "2").map(|(took, _)| took)
        })?;

        if let Some(p50) = run.report.samples(WARM).map(|s| s.p50()) {
            run.report.aim_time(
                "wasm: warm call round trip over HTTP, in a loop, p50",
                Duration::from_micros(300),
                p50,
            );
        }
        if let Some(p50) = run.report.samples(FORK).map(|s| s.p50()) {
            let what = "wasm: fork → first result over HTTP, 1 MiB of state, in a loop, p50";
            run.report.aim_time(what, Duration::from_micros(1500), p50);
        }
        Ok(String::new())
    })
}

fn timed(work: impl FnOnce() -> Result<(), Failure>) -> Result<Duration, Failure> {
    let begun = Instant::now();
    work()?;
    Ok(begun.elapsed())
}
