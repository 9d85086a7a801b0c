//! `cloister policy reload`: has the server of a data folder read its policies again, and says what came of it.

use super::super::{Failure, data_dir};
use crate::data_dir::{DataDir, DataDirError};
use crate::output::Output;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How long a server may take. Reading takes milliseconds; a busy machine takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Arguments of `cloister policy reload`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Folder of the server [default: ~/.local/share/cloister]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// 0 if the policies are in force, 1 if the server did not take them.
pub(super) fn run(args: Args, out: Output) -> Result<ExitCode, Failure> {
    let data = DataDir::open(&data_dir(args.data_dir)?)?;
    match data.hold() {
        // Whoever holds the folder is the server that wrote the state.
        Err(DataDirError::InUse(_)) => {}
        Err(error) => return Err(error.into()),
        Ok(_) => {
            return Err(Failure::new(
                "no server runs on this data folder; policies are read when one starts",
            ));
        }
    }
    let before = data
        .policies()
        .ok_or_else(|| Failure::new("the server of this data folder does not reload; start it again"))?;
    kill(Pid::from_raw(before.pid), Signal::SIGHUP).map_err(|error| {
        Failure::new(format!("the server (process {}) cannot be told: {error}", before.pid))
    })?;
    let began = Instant::now();
    let after = loop {
        std::thread::sleep(Duration::from_millis(20));
        match data.policies().filter(|state| state.tries > before.tries) {
            Some(state) => break state,
            None if began.elapsed() > PATIENCE => {
                return Err(Failure::new("the server has not answered; its log says what it is doing"));
            }
            None => {}
        }
    };
    if out.is_json() {
        let (changes, problems) =
            if after.ok { (after.lines, Vec::new()) } else { (Vec::new(), after.lines) };
        out.json(&json!({ "ok": after.ok, "changes": changes, "problems": problems }))?;
    } else if after.ok {
        after.lines.iter().try_for_each(|line| out.line(line))?;
        let text = if after.lines.is_empty() { "nothing is different" } else { "in force for new sessions" };
        out.line(text)?;
    } else {
        after.lines.iter().try_for_each(|line| out.line(line))?;
        out.line("not taken: what was in force still is")?;
    }
    Ok(if after.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
