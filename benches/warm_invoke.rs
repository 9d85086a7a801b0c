//! One call in a session that is already there: both doors, the shell, and a notebook kernel's cell.

use cloister_benches::alternatives::{Jupyter, tried};
use cloister_benches::client::DEFAULT;
use cloister_benches::run::{Case, Run};
use cloister_benches::server::Server;
use cloister_benches::work::{PRINT, SUM};
use serde_json::json;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const NATIVE: &str = "1+1: cloister, native door";
const AWS: &str = "1+1: cloister, AgentCore door";
/// The aim for a round trip over HTTP.
const AIM: Duration = Duration::from_micros(500);

fn main() -> ExitCode {
    Run::bench("warm_invoke", |run| {
        let case = |name: &'static str, samples| Case { name, against: NATIVE, samples };
        {
            let server = Server::start(1)?;
            let mut client = server.client()?;
            let session = client.start(DEFAULT)?;
            server.settle(1)?;
            let body =
                json!({ "name": "executeCode", "arguments": { "code": SUM.code, "language": "python" } });
            let body = body.to_string();

            run.case(case(NATIVE, 4000), || timed(|| client.run(&session, SUM)))?;
            run.case(case(AWS, 4000), || timed(|| client.tool(&session, body.as_bytes()).map(drop)))?;
            run.case(case("print: cloister, native door", 4000), || timed(|| client.run(&session, PRINT)))?;
            run.case(case("shell `true`: cloister, native door", 1000), || {
                timed(|| client.command(&session, "true"))
            })?;
            client.stop(&session)?;
        }
        let jupyter = tried(Jupyter::new().and_then(|mut jupyter| {
            let kernel = jupyter.open()?;
            Ok((jupyter, kernel))
        }))?;
        run.try_case(case("1+1: ipykernel over jupyter_client", 1000), jupyter, |(jupyter, kernel)| {
            jupyter.cell(*kernel, SUM.code, SUM.expected)
        })?;

        for (row, door) in [(NATIVE, "native"), (AWS, "AgentCore")] {
            if let Some(p50) = run.report.samples(row).map(|s| s.p50()) {
                run.report.aim_time(&format!("warm call round trip over HTTP, {door} door, p50"), AIM, p50);
            }
        }
        Ok(String::new())
    })
}

fn timed<E>(work: impl FnOnce() -> Result<(), E>) -> Result<Duration, E> {
    let begun = Instant::now();
    work()?;
    Ok(begun.elapsed())
}
