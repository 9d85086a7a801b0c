//! `cloister policy learn`: the smallest policy under which a recorded run could have done what it did.

use super::super::Failure;
use crate::output::Output;
use crate::policies::learn::Seen;
use serde_json::json;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Longest line that is looked at; a record is far shorter.
const LINE: u64 = 1 << 20;

/// Arguments of `cloister policy learn`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Folder that is laid over the built-in policies
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    /// The session (audit log) or sandbox (server's log) that counts; all of the file if absent
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// Log of the server (`serve --log-format json`) or audit log; `-` is standard input
    file: PathBuf,
}

pub(super) fn run(args: &Args, out: Output) -> Result<(), Failure> {
    let file: Box<dyn Read> = if args.file == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        let failed = |error| Failure::new(format!("{}: {error}", args.file.display()));
        Box::new(File::open(&args.file).map_err(failed)?)
    };
    let mut seen = Seen::default();
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.by_ref().take(LINE).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        if let Ok(text) = std::str::from_utf8(&line) {
            seen.take(text, args.session.as_deref());
        }
    }
    if seen.lines == 0 {
        return Err(Failure::new(format!(
            "{}: no line tells of a connection or a call{}; give a log of `cloister serve --log-format json`, or an audit log",
            args.file.display(),
            args.session.as_ref().map(|id| format!(" of {id}")).unwrap_or_default()
        )));
    }
    let policies = super::find(args.policies.as_deref())?;
    let source = args.file.display().to_string().replace(|c: char| c.is_control(), " ");
    let text = seen.proposal(&policies, &source)?;
    if out.is_json() {
        let refused: Vec<_> = seen
            .refused
            .iter()
            .map(|((host, port), rule)| json!({ "host": host, "port": port, "rule": rule }))
            .collect();
        return Ok(out.json(&json!({ "policy": text, "lines": seen.lines, "refused": refused }))?);
    }
    Ok(out.line(text.trim_end())?)
}
