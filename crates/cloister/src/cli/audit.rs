//! `cloister audit`: the log in the data folder, read where it lies. Needs no server, and a running one does not mind.

use super::{Failure, data_dir};
use crate::audit::{Broken, Filter, Follow, search, verify};
use crate::data_dir::DataDir;
use crate::output::Output;
use cloister_core::audit::Action;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How often a log that is followed is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// What to do.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    /// Check that nothing in the log was changed, added or left out; names the first line that was (exit code 1)
    Verify(Folder),
    /// Print the last records, and go on with --follow
    Tail(Tail),
    /// Print the records that fit everything that is given
    Search(Search),
}

/// Which server.
#[derive(clap::Args, Debug)]
pub(crate) struct Folder {
    /// Data folder of the server [default: ~/.local/share/cloister]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// Arguments of `cloister audit tail`.
#[derive(clap::Args, Debug)]
pub(crate) struct Tail {
    /// So many of the last records
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    lines: usize,
    /// Print records as they come, until interrupted
    #[arg(short, long)]
    follow: bool,
    #[command(flatten)]
    wanted: Wanted,
}

/// Arguments of `cloister audit search`.
#[derive(clap::Args, Debug)]
pub(crate) struct Search {
    #[command(flatten)]
    wanted: Wanted,
}

/// Which records.
#[derive(clap::Args, Debug)]
pub(crate) struct Wanted {
    /// Of one session
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// Of one caller
    #[arg(long, value_name = "[TENANT/]NAME")]
    principal: Option<String>,
    /// Of one kind: session.start, call, denied …
    #[arg(long, value_name = "ACTION", value_parser = action)]
    action: Option<String>,
    /// About one denial
    #[arg(long, value_name = "ID")]
    denial: Option<String>,
    /// Not older than so long, as 90s, 30m, 12h or 7d
    #[arg(long, value_name = "TIME", value_parser = ago)]
    since: Option<Duration>,
    /// Older than so long
    #[arg(long, value_name = "TIME", value_parser = ago)]
    until: Option<Duration>,
    #[command(flatten)]
    folder: Folder,
}

impl Folder {
    fn open(self) -> Result<PathBuf, Failure> {
        Ok(DataDir::open(&data_dir(self.data_dir)?)?.audit())
    }
}

impl Wanted {
    fn filter(self) -> Result<(PathBuf, Filter), Failure> {
        let Self { session, principal, action, denial, since, until, folder } = self;
        let (since, until) = (since.map(before_now), until.map(before_now));
        Ok((folder.open()?, Filter { session, principal, action, denial, since, until }))
    }
}

pub(crate) fn run(command: Command, out: Output) -> Result<ExitCode, Failure> {
    match command {
        Command::Verify(folder) => check(folder, out),
        Command::Tail(Tail { lines, follow, wanted }) => {
            let (folder, filter) = wanted.filter()?;
            // Opened first, so that nothing falls between the last lines and those that come.
            let mut rest = if follow { Some(Follow::from_the_end(&folder)?) } else { None };
            let mut last = VecDeque::with_capacity(lines.min(1000));
            search::<Failure>(&folder, &filter, |record, text| {
                if last.len() == lines {
                    last.pop_front();
                }
                if lines > 0 {
                    last.push_back((record.clone(), text.to_owned()));
                }
                Ok(())
            })?;
            last.iter().try_for_each(|(record, text)| show(record, text, out))?;
            while let Some(rest) = &mut rest {
                std::thread::sleep(LOOK);
                rest.step::<Failure>(&folder, &filter, |record, text| show(record, text, out))?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Search(Search { wanted }) => {
            let (folder, filter) = wanted.filter()?;
            search::<Failure>(&folder, &filter, |record, text| show(record, text, out))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn check(folder: Folder, out: Output) -> Result<ExitCode, Failure> {
    match verify(&folder.open()?) {
        Ok(report) => {
            if out.is_json() {
                out.json(&json!({
                    "whole": true,
                    "files": report.files,
                    "records": report.records,
                    "first": report.first,
                    "last": report.last,
                    "hash": report.hash,
                    "torn": report.torn,
                }))?;
            } else {
                let mut text = format!(
                    "whole: {} records ({} to {}) in {} files, the last one {}",
                    report.records, report.first, report.last, report.files, report.hash
                );
                if report.torn > 0 {
                    text.push_str(&format!(
                        "\n{} lines were cut off by a crash, and are marked as such",
                        report.torn
                    ));
                }
                if report.first > 1 {
                    text.push_str("\nolder files have been taken away");
                }
                out.line(&text)?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(Broken::Line { file, line, what }) => {
            if out.is_json() {
                out.json(&json!({ "whole": false, "file": file.display().to_string(), "line": line, "what": what }))?;
            } else {
                out.line(&format!("broken: {}, line {line}: {what}", file.display()))?;
            }
            Ok(ExitCode::from(1))
        }
        Err(error) => Err(error.into()),
    }
}

/// One record: its line as it is for programs, the most of it for people. All of it is printable ASCII, escapes included.
fn show(record: &Value, text: &str, out: Output) -> Result<(), Failure> {
    if out.is_json() {
        return Ok(out.line(text)?);
    }
    let word = |value: &Value| value.as_str().map(str::to_owned);
    let time = record["time"].as_u64().unwrap_or_default();
    let mut line = cloister_gateway::iso8601(UNIX_EPOCH + Duration::from_millis(time));
    for (name, value) in [
        ("", word(&record["action"])),
        ("", word(&record["outcome"])),
        ("", word(&record["actor"]["name"])),
        ("session=", word(&record["session"])),
        ("rule=", word(&record["rule"])),
        ("denial=", word(&record["denial"])),
    ] {
        line.extend(value.into_iter().flat_map(|value| [" ".to_owned(), name.to_owned(), value]));
    }
    for group in ["detail", "untrusted"] {
        for (name, value) in record[group].as_object().into_iter().flatten() {
            if name != "receipt" {
                // Written as JSON again, so that what was escaped in the log stays so.
                line.push_str(&format!(" {name}={}", escaped(value)));
            }
        }
    }
    Ok(out.line(&line)?)
}

fn escaped(value: &Value) -> String {
    let text = value.to_string();
    text.chars()
        .map(|c| if matches!(c, ' '..='~') { c.to_string() } else { c.escape_unicode().to_string() })
        .collect()
}

fn action(text: &str) -> Result<String, String> {
    match Action::ALL.iter().find(|action| action.name() == text) {
        Some(_) => Ok(text.to_owned()),
        None => Err(format!("an action is one of {}", Action::ALL.map(Action::name).join(", "))),
    }
}

fn ago(text: &str) -> Result<Duration, String> {
    let bad = || "a time is a number with a unit: 90s, 30m, 12h or 7d".to_owned();
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3_600,
        Some('d') => 86_400,
        _ => return Err(bad()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| bad())?;
    number.checked_mul(unit).map(Duration::from_secs).ok_or_else(bad)
}

fn before_now(ago: Duration) -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.saturating_sub(ago).as_millis()).unwrap_or(u64::MAX)
}
