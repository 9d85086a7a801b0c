//! A crowd: 100 clients start a session at the same moment, and all wait for their first result.
//!
//! The clients share the machine with the server: connecting, 200 requests and 100 threads are part of the time.

use cloister_benches::Failure;
use cloister_benches::alternatives::{Jupyter, spawned, tried};
use cloister_benches::client::DEFAULT;
use cloister_benches::crowd::crowd;
use cloister_benches::run::{Case, Run};
use cloister_benches::server::Server;
use cloister_benches::work::PRINT;
use std::process::ExitCode;
use std::time::Duration;

/// Sessions at once.
const CROWD: usize = 100;

fn main() -> ExitCode {
    Run::bench("burst", |run| {
        let name = |pool: usize| format!("cloister, pool of {pool}");
        let against = &name(16);
        for pool in [16, 0] {
            let server = Server::start(pool)?;
            run.case(Case { name: &name(pool), against, samples: 10 }, || burst(&server))?;
        }
        for (who, command) in spawned()? {
            // runsc takes seconds for each crowd.
            let samples = if who.starts_with("runsc") { 3 } else { 10 };
            run.try_case(Case { name: who, against, samples }, command, |c| c.first_results(PRINT, CROWD))?;
        }
        // A crowd of kernels takes half a minute, and several GiB.
        run.try_case(Case { name: Jupyter::NAME, against, samples: 2 }, tried(Jupyter::new())?, |jupyter| {
            jupyter.first_results(PRINT, CROWD)
        })?;

        for pool in [16, 0] {
            if let Some(p50) = run.report.samples(&name(pool)).map(|s| s.p50()) {
                let what = format!("{CROWD} starts at once, until all have answered, pool of {pool}, p50");
                run.report.aim_time(&what, Duration::from_millis(600), p50);
            }
        }
        Ok(String::new())
    })
}

/// Until the last of the crowd has its result. The pool is filled again outside the clock.
fn burst(server: &Server) -> Result<Duration, Failure> {
    server.settle(0)?;
    crowd(CROWD, |gate| {
        gate.wait();
        let mut client = server.client()?;
        let session = client.start(DEFAULT)?;
        client.run(&session, PRINT)?;
        Ok((client, session))
    })
}
