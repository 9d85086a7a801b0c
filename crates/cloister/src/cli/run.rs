//! `cloister run FILE|-`: a program in a fresh session, or in one that is there, with its streams and its exit code as if it ran here.
//! (`cloister run -- COMMAND`, a program on this machine, is `host_command.rs`.)
//!
//! ```text
//!   start (unless --session) ─▶ send --file … ─▶ invoke (live) ─▶ fetch --get … ─▶ stop (unless --keep, --session)
//! ```

use super::session::{Values, Wanted, invoke, start, stop};
use super::{Connection, Failure, block_on, cp, host_command};
use crate::client::Client;
use crate::output::{Output, size};
use serde_json::{Value, json};
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Seconds that a session lives longer than its call, for files to be sent and fetched.
const MARGIN: u64 = 120;
/// Longest life of a session, in seconds.
const LONGEST: u64 = 28_800;

/// Arguments of `cloister run`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    connection: Connection,
    /// Language of the program [default: by the file's extension; python for standard input]
    #[arg(long, value_enum)]
    language: Option<Language>,
    /// What runs JavaScript and TypeScript: nodejs or deno [default: the policy's]
    #[arg(long, value_parser = ["python", "nodejs", "deno"])]
    runtime: Option<String>,
    /// Send a file first; may be given several times
    #[arg(long = "file", value_name = "LOCAL[:REMOTE]")]
    files: Vec<String>,
    /// Fetch a file afterwards; may be given several times
    #[arg(long = "get", value_name = "REMOTE[:LOCAL]")]
    gets: Vec<String>,
    /// Run in this session, with its variables and files, instead of a fresh one; it goes on
    #[arg(long, value_name = "ID", conflicts_with_all = ["interpreter", "policy", "tier", "keep"])]
    session: Option<String>,
    /// Interpreter of the session [default: aws.codeinterpreter.v1]
    #[arg(long, value_name = "ID")]
    interpreter: Option<String>,
    /// Policy of the session
    #[arg(long, value_name = "NAME", conflicts_with = "interpreter")]
    policy: Option<String>,
    /// Tier of the session, instead of an interpreter: process, or wasm for Python that starts in milliseconds
    #[arg(long, value_name = "TIER", conflicts_with_all = ["interpreter", "policy"])]
    tier: Option<String>,
    /// Seconds that the program may take
    #[arg(long, value_name = "SECONDS", value_parser = parse_timeout)]
    timeout: Option<f64>,
    /// Leave the session running and print its id on standard error
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    server: host_command::Server,
    /// The program; "-" is standard input, whose last expression is shown as a notebook would
    #[arg(required_unless_present = "command")]
    file: Option<String>,
    /// Instead of a file: a command of this machine, started with its AWS clients pointed at the server
    #[arg(
        last = true,
        value_name = "COMMAND",
        conflicts_with_all = ["file", "language", "runtime", "files", "gets", "session", "interpreter", "policy", "tier", "timeout", "keep"]
    )]
    command: Vec<String>,
}

/// A language, or the session's shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Language {
    Python,
    #[value(alias = "js")]
    Javascript,
    #[value(alias = "ts")]
    Typescript,
    #[value(alias = "sh")]
    Shell,
}

impl Language {
    fn of(file: &Path) -> Option<Self> {
        match file.extension()?.to_str()? {
            "py" => Some(Self::Python),
            "js" | "mjs" | "cjs" => Some(Self::Javascript),
            "ts" | "mts" | "cts" => Some(Self::Typescript),
            "sh" | "bash" => Some(Self::Shell),
            _ => None,
        }
    }
}

/// A number of seconds above zero and up to the longest life of a session.
pub(super) fn parse_timeout(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|s: &f64| *s > 0.0 && *s <= LONGEST as f64);
    seconds.ok_or_else(|| format!("a number of seconds above 0 and up to {LONGEST}"))
}

pub(crate) fn run(args: Args, out: Output) -> Result<ExitCode, Failure> {
    match &args.file {
        Some(file) => {
            let file = file.clone();
            block_on(run_file(&file, args, out))
        }
        None => host_command::run(args.server, args.connection.endpoint.as_deref(), &args.command),
    }
}

async fn run_file(file: &str, args: Args, out: Output) -> Result<ExitCode, Failure> {
    let body = body(file, &args)?;
    let sends = args.files.iter().map(|text| parse_send(text)).collect::<Result<Vec<_>, _>>()?;
    let gets = args.gets.iter().map(|text| parse_get(text)).collect::<Result<Vec<_>, _>>()?;

    let client = args.connection.client()?;
    let wanted = match (&args.tier, args.interpreter.as_ref().or(args.policy.as_ref())) {
        (Some(tier), _) => Wanted::Tier(tier),
        (None, Some(interpreter)) => Wanted::Interpreter(interpreter),
        (None, None) => Wanted::Default,
    };
    let life = args.timeout.map(|seconds| (seconds.ceil() as u64 + MARGIN).clamp(900, LONGEST));
    let id = match &args.session {
        Some(id) => id.clone(),
        None => start(&client, wanted, "cloister run", life).await?.id,
    };
    let values = if file == "-" { Values::Show } else { Values::Hide };
    let work = work(&client, &id, &body, values, &sends, &gets, out);
    let outcome = tokio::select! {
        outcome = work => outcome,
        // Stopping the session stops the program; one that was there before has more than this program.
        _ = tokio::signal::ctrl_c() => {
            let goes_on = if args.session.is_some() { "; the program goes on in its session" } else { "" };
            Err(Failure { code: 130, message: format!("interrupted{goes_on}") })
        }
    };
    if args.keep {
        eprintln!("cloister: session {id}");
    } else if args.session.is_none() {
        stop(&client, &id).await?;
    }
    outcome
}

async fn work(
    client: &Client,
    id: &str,
    body: &Value,
    values: Values,
    sends: &[(PathBuf, String)],
    gets: &[(String, PathBuf)],
    out: Output,
) -> Result<ExitCode, Failure> {
    for (local, remote) in sends {
        cp::send(client, id, remote, local).await?;
    }
    let finished = invoke(client, id, body, values, out).await?;
    let created: Vec<_> = finished.done.files.iter().map(|file| (file.name.clone(), file.size)).collect();
    let code = finished.report(id, out)?;
    for (remote, local) in gets {
        let (local, bytes) = match cp::fetch(client, id, remote, local).await {
            Ok(fetched) => fetched,
            // A program that failed seldom leaves its files; its own code says more than ours.
            Err(failure) if code != 0 => {
                super::report(out, &failure);
                continue;
            }
            Err(failure) => return Err(failure),
        };
        if io::stderr().is_terminal() && !out.is_json() {
            eprintln!("cloister: {} ({})", local.display(), size(bytes));
        }
    }
    if gets.is_empty() && io::stderr().is_terminal() && !out.is_json() {
        for (name, bytes) in created {
            let name: String = name.chars().filter(|c| !c.is_control()).collect();
            eprintln!("cloister: the program wrote {name} ({}); fetch it with --get", size(bytes));
        }
    }
    Ok(ExitCode::from(code))
}

/// The call that runs the program.
fn body(file: &str, args: &Args) -> Result<Value, Failure> {
    let (source, by_name) = if file == "-" {
        let mut source = String::new();
        io::stdin()
            .lock()
            .read_to_string(&mut source)
            .map_err(|error| Failure::new(format!("standard input: {error}")))?;
        (source, Some(Language::Python))
    } else {
        let source = std::fs::read_to_string(file);
        (source.map_err(|error| Failure::new(format!("{file}: {error}")))?, Language::of(Path::new(file)))
    };
    let language = args.language.or(by_name).ok_or_else(|| {
        Failure::usage(format!("{file}: the extension says no language; name it with --language"))
    })?;
    let mut body = match language {
        Language::Python => json!({ "code": source, "language": "python" }),
        Language::Javascript => json!({ "code": source, "language": "javascript" }),
        Language::Typescript => json!({ "code": source, "language": "typescript" }),
        Language::Shell => json!({ "command": source }),
    };
    match (&args.runtime, language) {
        (Some(_), Language::Shell) => {
            return Err(Failure::usage("--runtime does not go with a shell script"));
        }
        (Some(runtime), _) => body["runtime"] = runtime.as_str().into(),
        (None, _) => {}
    }
    if let Some(timeout) = args.timeout {
        body["timeout"] = timeout.into();
    }
    Ok(body)
}

/// `LOCAL[:REMOTE]`; a file that exists under the whole name is meant as it stands.
fn parse_send(text: &str) -> Result<(PathBuf, String), Failure> {
    let (local, remote) = match text.rsplit_once(':') {
        Some((local, remote)) if !Path::new(text).exists() && !local.is_empty() && !remote.is_empty() => {
            (local, Some(remote.to_owned()))
        }
        _ => (text, None),
    };
    let local = PathBuf::from(local);
    let name = || local.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    match remote.or_else(name) {
        Some(remote) => Ok((local, remote)),
        None => Err(Failure::usage(format!("--file {text}: not the name of a file"))),
    }
}

/// `REMOTE[:LOCAL]`; without LOCAL, the file's name in the working directory.
fn parse_get(text: &str) -> Result<(String, PathBuf), Failure> {
    let (remote, local) = match text.split_once(':') {
        Some((remote, local)) if !local.is_empty() => (remote, Some(PathBuf::from(local))),
        _ => (text, None),
    };
    let name = remote.rsplit('/').next().filter(|name| !matches!(*name, "" | "." | ".."));
    match (local, name) {
        (Some(local), Some(_)) => Ok((remote.to_owned(), local)),
        (None, Some(name)) => Ok((remote.to_owned(), PathBuf::from(name))),
        (_, None) => Err(Failure::usage(format!("--get {text}: not the name of a file"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_says_the_language() {
        for (file, expected) in [
            ("a.py", Some(Language::Python)),
            ("a.mjs", Some(Language::Javascript)),
            ("a/b.ts", Some(Language::Typescript)),
            ("a.sh", Some(Language::Shell)),
            ("a.rb", None),
            ("Makefile", None),
        ] {
            assert_eq!(Language::of(Path::new(file)), expected, "{file}");
        }
    }

    #[test]
    fn files_to_send_keep_their_name_unless_another_is_given() {
        let pair =
            |text: &str| parse_send(text).ok().map(|(local, remote)| (local.display().to_string(), remote));
        assert_eq!(pair("/nowhere/a.csv"), Some(("/nowhere/a.csv".into(), "a.csv".into())));
        assert_eq!(pair("/nowhere/a.csv:data/b.csv"), Some(("/nowhere/a.csv".into(), "data/b.csv".into())));
        assert_eq!(pair(".."), None);
        let folder = tempfile::tempdir().unwrap();
        let odd = folder.path().join("a:b");
        std::fs::write(&odd, "").unwrap();
        assert_eq!(pair(&odd.display().to_string()), Some((odd.display().to_string(), "a:b".into())));
    }

    #[test]
    fn files_to_fetch_land_in_the_working_directory_and_never_above_it() {
        let pair =
            |text: &str| parse_get(text).ok().map(|(remote, local)| (remote, local.display().to_string()));
        assert_eq!(pair("out/a.png"), Some(("out/a.png".into(), "a.png".into())));
        assert_eq!(pair("out/a.png:/tmp/b.png"), Some(("out/a.png".into(), "/tmp/b.png".into())));
        for bad in ["..", "a/..", "", "out/"] {
            assert_eq!(pair(bad), None, "{bad}");
        }
    }

    #[test]
    fn timeouts_are_seconds_in_range() {
        assert_eq!(parse_timeout("0.5"), Ok(0.5));
        for bad in ["0", "-1", "nan", "inf", "28801", "1s", ""] {
            assert!(parse_timeout(bad).is_err(), "{bad}");
        }
    }
}
