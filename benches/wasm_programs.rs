//! Programs that keep the processor busy: on the wasm tier, on the same CPython for this machine, in pyeryx and on the process tier.

use cloister_benches::Failure;
use cloister_benches::alternatives::{Eryx, Native, tried};
use cloister_benches::client::{DEFAULT, WASM};
use cloister_benches::report::times;
use cloister_benches::run::{Case, Run};
use cloister_benches::server::Server;
use cloister_benches::work::{PROGRAMS, Program};
use std::process::ExitCode;
use std::time::Duration;

/// Times the native interpreter, at most.
const AIM: f64 = 2.5;

fn main() -> ExitCode {
    Run::bench("wasm_programs", |run| {
        let server = Server::start(1)?;
        let mut client = server.client()?;
        let session = client.start(WASM)?;
        let process = client.start(DEFAULT)?;
        let mut native = tried(Native::new())?;
        let mut eryx = tried(Eryx::new().and_then(|mut eryx| {
            let session = eryx.open()?;
            Ok((eryx, session))
        }))?;
        let mut ratios = Vec::new();
        for program in PROGRAMS {
            let code = program.timed();
            let (base, ours) = (
                format!("{}: native CPython 3.13", program.name),
                format!("{}: cloister wasm", program.name),
            );
            let case = |name| Case { name, against: &base, samples: 50 };
            let mut result = String::new();
            run.try_case(case(&base), native.as_mut().map_err(|why| why.clone()), |native| {
                checked(&mut result, native.output(&code)?)
            })?;
            run.case(case(&ours), || checked(&mut result, client.output(&session, &code)?))?;
            let other = format!("{}: pyeryx", program.name);
            run.try_case(case(&other), eryx.as_mut().map_err(|why| why.clone()), |(eryx, session)| {
                checked(&mut result, eryx.run(*session, &code, "took")?.1)
            })?;
            let other = format!("{}: cloister process (CPython 3.11)", program.name);
            run.case(case(&other), || checked(&mut result, client.output(&process, &code)?))?;
            let of = |name: &str| run.report.samples(name).map(|s| s.p50().as_secs_f64());
            if let (Some(base), Some(ours)) = (of(&base), of(&ours)) {
                ratios.push(ours / base);
            }
        }
        if ratios.is_empty() {
            return Ok(String::new());
        }
        let mean = (ratios.iter().map(|r| r.ln()).sum::<f64>() / ratios.len() as f64).exp();
        let what = "wasm: programs that keep the processor busy, geometric mean, native = 1";
        run.report.aim(what, times(AIM), times(mean), mean / AIM);
        Ok(String::new())
    })
}

/// The time that a program says it took, if its result is that of everybody else.
fn checked(result: &mut String, said: String) -> Result<Duration, Failure> {
    let (took, now) =
        Program::took(&said).ok_or_else(|| Failure::wrong("a program", said.as_bytes(), "took"))?;
    if result.is_empty() {
        now.clone_into(result);
    }
    if result != now {
        return Err(Failure::wrong("a program", now.as_bytes(), "the result that the others have"));
    }
    Ok(took)
}
