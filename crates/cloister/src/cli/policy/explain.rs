//! `cloister policy explain`: whether a policy allows something, which line says so, and what would have to be different; or the same
//! of a refusal, by its id.

use super::super::Failure;
use crate::config::Config;
use crate::output::{Cell, Output};
use crate::policies::explain::{Change, Explained, explain};
use crate::policies::request::{Request, runtime};
use cloister_core::command::Runtime;
use cloister_core::policy::{read_size, read_span};
use serde_json::json;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Arguments of `cloister policy explain`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Id of a refusal, as it stands in the text of what was refused: den_…
    #[arg(value_name = "DENIAL", conflicts_with_all = ["policy", "connect", "url", "run", "shell", "write", "syscall", "cdp", "memory", "timeout", "package", "secret"])]
    denial: Option<String>,
    #[command(flatten)]
    noted: super::past::Noting,
    /// Folder that is laid over the built-in policies
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    /// The policy that is asked
    #[arg(long, value_name = "NAME", default_value = "default")]
    policy: String,
    /// Connect to a host
    #[arg(long, value_name = "HOST:PORT")]
    connect: Vec<String>,
    /// Where the name of --connect leads, so that the address is judged too
    #[arg(long, value_name = "ADDRESS", requires = "connect")]
    address: Option<IpAddr>,
    /// Open a page, or fetch a URL
    #[arg(long, value_name = "URL")]
    url: Vec<String>,
    /// Run code: python, nodejs, deno
    #[arg(long, value_name = "RUNTIME", value_parser = runtime)]
    run: Vec<Runtime>,
    /// Run a shell command
    #[arg(long)]
    shell: bool,
    /// Write to a path
    #[arg(long, value_name = "PATH")]
    write: Vec<String>,
    /// Make a system call
    #[arg(long, value_name = "NAME")]
    syscall: Vec<String>,
    /// Ask a browser a CDP method
    #[arg(long, value_name = "METHOD")]
    cdp: Vec<String>,
    /// Have so much memory
    #[arg(long, value_name = "SIZE", value_parser = read_size)]
    memory: Option<u64>,
    /// Live so long
    #[arg(long, value_name = "TIME", value_parser = read_span)]
    timeout: Option<Duration>,
    /// Install a project, or a file of one
    #[arg(long, value_name = "NAME")]
    package: Vec<String>,
    /// Have a secret put into requests to the host of --to
    #[arg(long, value_name = "NAME", requires = "to", requires = "config")]
    secret: Option<String>,
    /// Where a secret would go
    #[arg(long, value_name = "HOST", requires = "secret")]
    to: Option<String>,
    /// Configuration of the server, for where its secrets are bound to
    #[arg(long, value_name = "FILE", requires = "secret")]
    config: Option<PathBuf>,
}

impl Args {
    fn requests(self) -> Result<Vec<Request>, Failure> {
        let address = self.address;
        let secret = match (self.secret, self.to, self.config.as_deref().map(Config::load).transpose()?) {
            (Some(name), Some(to), Some(mut config)) => {
                Some(Request::Secret { config: config.secrets.remove(&name), name, to })
            }
            _ => None,
        };
        let connect = self.connect.into_iter().map(|to| Request::Connect { to, address });
        let requests = connect
            .chain(self.url.into_iter().map(Request::Url))
            .chain(self.run.into_iter().map(Request::Run))
            .chain(self.shell.then_some(Request::Shell))
            .chain(self.write.into_iter().map(Request::Write))
            .chain(self.syscall.into_iter().map(Request::Syscall))
            .chain(self.cdp.into_iter().map(Request::Cdp))
            .chain(self.memory.map(Request::Memory))
            .chain(self.timeout.map(Request::Timeout))
            .chain(self.package.into_iter().map(Request::Package))
            .chain(secret);
        Ok(requests.collect())
    }
}

/// 0 if everything that was asked is allowed, 1 if something is not.
pub(super) fn run(args: Args, out: Output) -> Result<ExitCode, Failure> {
    if let Some(id) = &args.denial {
        return super::past::run(id, args.noted, args.policies.as_deref(), out);
    }
    let policies = super::find(args.policies.as_deref())?;
    let name = args.policy.clone();
    let requests = args.requests()?;
    if requests.is_empty() {
        return Err(Failure::usage(
            "what is to be explained? Give the id of a refusal, or --connect, --url, --run, --shell, --write, --syscall, --cdp, --memory, --timeout, --package or --secret",
        ));
    }
    let explained: Vec<Explained> =
        requests.iter().map(|request| explain(&policies, &name, request)).collect::<Result<_, _>>()?;
    let fine = explained.iter().all(|one| one.allowed);
    if out.is_json() {
        let answers: Vec<_> = explained.iter().map(Explained::json).collect();
        out.json(&json!({ "allowed": fine, "answers": answers }))?;
    } else {
        for (index, one) in explained.iter().enumerate() {
            if index > 0 {
                out.line("")?;
            }
            out.table(["", ""], &rows(one))?;
        }
    }
    Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(super) fn rows(one: &Explained) -> Vec<[Cell; 2]> {
    let answer = if one.allowed { Cell::good("allowed") } else { Cell::bad("denied") };
    let value = if one.value.is_empty() { String::new() } else { format!(" = {}", one.value) };
    let mut rows: Vec<[Cell; 2]> = vec![
        [one.asked.clone().into(), answer],
        ["  policy".into(), if one.policy.is_empty() { "none".into() } else { one.policy.clone().into() }],
        ["  why".into(), one.why.clone().into()],
        ["  rule".into(), format!("{}{value}", one.rule).into()],
        ["  decided at".into(), one.place().into()],
        ["  enforced by".into(), one.layer.into()],
    ];
    match &one.change {
        Change::Nothing => {}
        Change::Toml(text) | Change::Cedar(text) => {
            let mut head = "  to allow it";
            for line in text.lines() {
                rows.push([head.into(), line.to_owned().into()]);
                head = "";
            }
        }
        Change::Other(text) => rows.push(["  to allow it".into(), text.clone().into()]),
        Change::Never(text) => {
            rows.push(["  to allow it".into(), Cell::bad(format!("cannot be allowed: {text}"))]);
        }
    }
    rows
}
