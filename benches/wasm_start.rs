//! From nothing to the first result on the wasm tier, one session at a time and a hundred at once.

use cloister_benches::Failure;
use cloister_benches::alternatives::{Chroot, Eryx, Spawned, tried};
use cloister_benches::client::{Client, DEFAULT, WASM};
use cloister_benches::crowd::crowd;
use cloister_benches::run::{Case, Run};
use cloister_benches::server::Server;
use cloister_benches::work::PRINT;
use std::process::ExitCode;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

const POOL: &str = "print: cloister wasm, in a loop";
const PAUSED: &str = "print: cloister wasm, after a pause";
const NONE: &str = "print: cloister wasm, pool empty, in a loop";
const CROWD: &str = "100 at once: cloister wasm";
/// Sessions at once.
const MANY: usize = 100;
/// Ready sessions, the server's default.
const READY: usize = 8;

fn main() -> ExitCode {
    Run::bench("wasm_start", |run| {
        let case = |name: &'static str, samples| Case { name, against: POOL, samples };
        {
            let server = Server::start(READY)?;
            let mut client = server.client()?;
            warm(&mut client)?;
            run.looped(case(POOL, 4000), || client.first_result(WASM, PRINT))?;
            run.case(case(PAUSED, 200), || client.first_result(WASM, PRINT))?;
            run.case(Case { name: CROWD, against: CROWD, samples: 50 }, || {
                crowd(MANY, |gate| one(&server, gate))
            })?;
            run.case(case("print: cloister process, pool", 100), || {
                server.settle_sandboxes()?;
                client.first_result(DEFAULT, PRINT)
            })?;
        }
        {
            let server = Server::start(0)?;
            let mut client = server.client()?;
            warm(&mut client)?;
            run.looped(case(NONE, 2000), || client.first_result(WASM, PRINT))?;
        }
        let name = "print: pyeryx, in its own process, in a loop";
        run.try_looped(case(name, 500), tried(Eryx::new())?, |eryx| eryx.first_result(PRINT))?;
        run.try_case(case("print: plain python3 -c", 50), tried(Chroot::new())?, |plain| {
            plain.first_results(PRINT, 1)
        })?;

        if let Some((p50, p99)) = run.report.samples(POOL).map(|s| (s.p50(), s.p99())) {
            let what = "wasm: start → first result over HTTP, in a loop";
            run.report.aim_time(&format!("{what}, p50"), Duration::from_millis(1), p50);
            run.report.aim_time(&format!("{what}, p99"), Duration::from_millis(5), p99);
        }
        if let Some(p50) = run.report.samples(CROWD).map(|s| s.p50()) {
            run.report.aim_time(
                "wasm: 100 starts at once, until all have answered, p50",
                Duration::from_millis(100),
                p50,
            );
        }
        Ok(String::new())
    })
}

/// The tier's engines, one per core, are up after some sessions; not what is measured.
fn warm(client: &mut Client) -> Result<(), Failure> {
    for _ in 0..3 {
        client.first_result(WASM, PRINT)?;
        thread::sleep(Duration::from_secs(2));
    }
    Ok(())
}

/// One of the crowd. Its connection stands before the clock runs.
fn one(server: &Server, gate: &Barrier) -> Result<(Client, String), Failure> {
    let mut client = server.client()?;
    client.is_ready();
    gate.wait();
    let session = client.start(WASM)?;
    client.run(&session, PRINT)?;
    Ok((client, session))
}
