//! The command line: one file per command, and what they share.
//!
//! Exit codes: 0 done; 1 the thing asked about is not in order (`doctor`, `policy check`); 2 the command line is wrong;
//! 125 cloister itself could not do it. `run` and `exec` otherwise exit as their program did.

#[cfg(test)]
mod against_a_server;
mod audit;
mod browse;
mod ca;
mod checkpoint;
mod cp;
mod doctor;
pub(crate) mod env;
mod exec;
mod fork;
mod host_command;
mod image;
mod ls;
mod open;
mod policy;
mod quota;
mod receipt;
mod run;
mod serve;
mod session;
mod stop;
mod token;
mod version;

use crate::client::{Client, ClientError, Endpoint, EndpointError};
use crate::data_dir::{DataDir, DataDirError};
use crate::egress::{PackagesError, SecretsError};
use crate::keys::Credentials;
use crate::output::Output;
use clap::{Parser, Subcommand};
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

/// The exit code when cloister, and not the program that it runs, is at fault.
const OWN_FAULT: u8 = 125;

/// A code interpreter of your own: AWS clients run code in isolated processes on this machine.
#[derive(Debug, Parser)]
#[command(name = "cloister", version, arg_required_else_help = true, max_term_width = 100)]
struct Cli {
    /// Print JSON for programs
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve(serve::Args),
    /// Print shell lines that point AWS clients at the server: eval "$(cloister env)"
    Env(env::Args),
    /// Run a program file in a fresh session; or, after --, a command on this machine with its AWS clients pointed here
    Run(run::Args),
    /// Run a shell command in a session
    Exec(exec::Args),
    /// Open a page in a fresh browser session: screenshot, PDF, Markdown, actions
    Browse(browse::Args),
    /// Print where to watch a browser session
    Open(open::Args),
    /// Print where the certificate of the server's own TLS authority lies
    Ca(ca::Args),
    /// List sessions
    Ls(ls::Args),
    /// Copy a file to or from a session
    Cp(cp::Args),
    /// Copy a session of the wasm tier, with its variables and files, and print the copy's id
    Fork(fork::Args),
    /// Keep the state of a session of the wasm tier, and print its name
    Checkpoint(checkpoint::KeepArgs),
    /// Put a session back into a state that was kept
    Restore(checkpoint::RestoreArgs),
    /// Take back the last call of a session
    Undo(checkpoint::UndoArgs),
    /// Stop sessions
    Stop(stop::Args),
    /// Print what you have used of your quotas, and what you may
    Quota(quota::Args),
    /// Say which walls this host can build, and what to do about the others
    Doctor(doctor::Args),
    /// Check or print policies
    #[command(subcommand)]
    Policy(policy::Command),
    /// Issue, list and revoke keys
    #[command(subcommand)]
    Token(token::Command),
    /// Check, read and follow the audit log of the server on this machine
    #[command(subcommand)]
    Audit(audit::Command),
    /// Check and read receipts of calls
    #[command(subcommand)]
    Receipt(receipt::Command),
    /// List or build sandbox images
    #[command(subcommand)]
    Image(image::Command),
    /// Print versions
    Version(version::Args),
}

/// Where the server is; part of every command that talks to one.
#[derive(clap::Args, Debug)]
pub(crate) struct Connection {
    /// Base URL of the server [env: CLOISTER_ENDPOINT, AWS_ENDPOINT_URL_BEDROCK_AGENTCORE] [default: http://127.0.0.1:8484]
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
}

impl Connection {
    fn client(&self) -> Result<Client, Failure> {
        let variable = |name: &str| std::env::var(name).ok();
        let endpoint = Endpoint::choose(self.endpoint.as_deref(), variable)?;
        let token = variable("CLOISTER_TOKEN").or_else(|| token_of(&endpoint));
        Ok(Client::new(endpoint, token.as_deref())?)
    }
}

/// The token of the server that runs on the default data folder, if that is the one that is asked: nobody else may see it.
fn token_of(endpoint: &Endpoint) -> Option<String> {
    let path = DataDir::default_path().filter(|path| path.is_dir())?;
    let data = DataDir::open(&path).ok()?;
    data.endpoint().filter(|url| *url == endpoint.to_string())?;
    let credentials: Credentials = serde_json::from_slice(&data.credentials().ok()??).ok()?;
    Some(credentials.token)
}

/// Why a command did not do what it was asked to: the text for the person, and the exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// A failure of cloister's own.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { code: OWN_FAULT, message: message.into() }
    }

    /// A command line that cannot be meant.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { code: 2, message: message.into() }
    }
}

macro_rules! failure_from {
    ($($error:ty),* $(,)?) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::new(error.to_string())
            }
        })*
    };
}
failure_from!(
    ClientError,
    EndpointError,
    DataDirError,
    serde_json::Error,
    cloister_core::error::Error,
    crate::audit::Broken,
    crate::audit::OpenError,
    crate::config::ConfigError,
    crate::keys::FirstError,
    crate::keys::IssuerError,
    crate::keys::KeysError,
    crate::locate::Missing,
    crate::policies::PoliciesError,
    crate::tls::TlsError,
);

impl From<PackagesError> for Failure {
    fn from(error: PackagesError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<SecretsError> for Failure {
    fn from(error: SecretsError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        // `cloister ls | head -1`: the reader has what it wants. 141 is what a shell reports for SIGPIPE.
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self { code: 141, message: String::new() };
        }
        Self::new(error.to_string())
    }
}

/// Parses the command line and does what it says.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    let out = Output::new(cli.json);
    match dispatch(cli.command, out) {
        Ok(code) => code,
        Err(failure) => {
            if !failure.message.is_empty() {
                report(out, &failure);
            }
            ExitCode::from(failure.code)
        }
    }
}

fn dispatch(command: Command, out: Output) -> Result<ExitCode, Failure> {
    match command {
        Command::Serve(args) => serve::run(args, out).map(done),
        Command::Env(args) => env::run(&args, out).map(done),
        Command::Run(args) => run::run(args, out),
        Command::Exec(args) => block_on(exec::run(args, out)),
        Command::Browse(args) => block_on(browse::run(args, out)),
        Command::Open(args) => block_on(open::run(args, out)).map(done),
        Command::Ca(args) => ca::run(args, out).map(done),
        Command::Ls(args) => block_on(ls::run(args, out)).map(done),
        Command::Cp(args) => block_on(cp::run(args, out)).map(done),
        Command::Fork(args) => block_on(fork::run(args, out)).map(done),
        Command::Checkpoint(args) => block_on(checkpoint::keep(args, out)).map(done),
        Command::Restore(args) => block_on(checkpoint::restore(args, out)).map(done),
        Command::Undo(args) => block_on(checkpoint::undo(args, out)).map(done),
        Command::Stop(args) => block_on(stop::run(args, out)).map(done),
        Command::Quota(args) => block_on(quota::run(args, out)).map(done),
        Command::Doctor(args) => doctor::run(&args, out),
        Command::Policy(command) => policy::run(command, out),
        Command::Token(command) => token::run(command, out).map(done),
        Command::Audit(command) => audit::run(command, out),
        Command::Receipt(command) => receipt::run(command, out),
        Command::Image(command) => image::run(&command, out),
        Command::Version(args) => block_on(version::run(args, out)).map(done),
    }
}

fn done(_: ()) -> ExitCode {
    ExitCode::SUCCESS
}

/// Runs a client command. One thread is enough for one request at a time.
fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}

fn report(out: Output, failure: &Failure) {
    // Error texts may repeat what a server or a guest said.
    let message: String = failure.message.chars().filter(|c| !c.is_control() || *c == '\n').collect();
    if out.is_json() {
        eprintln!("{}", serde_json::json!({ "error": { "message": message, "exitCode": failure.code } }));
    } else {
        eprintln!("cloister: {message}");
    }
}

/// The data folder: the one given, or the default one.
pub(crate) fn data_dir(given: Option<PathBuf>) -> Result<PathBuf, Failure> {
    given.or_else(DataDir::default_path).ok_or_else(|| {
        Failure::usage("there is no home directory to keep data in; name a folder with --data-dir")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parses(line: &str) -> bool {
        Cli::try_parse_from(line.split_whitespace()).is_ok()
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_scripts_rely_on_is_accepted() {
        for line in [
            "cloister serve --listen 127.0.0.1:0 --data-dir /tmp/x",
            "cloister serve --listen 127.0.0.1:8484 --data-dir /tmp/x --config c.toml --images i --policies p --pool 0",
            "cloister serve --log-format json",
            "cloister env",
            "cloister env --tls",
            "cloister ca --data-dir /tmp/x",
            "cloister serve --listen 127.0.0.1:0 --tls-listen 127.0.0.1:8443",
            "cloister env --listen 127.0.0.1:8484 --data-dir /tmp/x --json",
            "cloister run app.py --file a.csv --file b.csv:data/b.csv --get out.png --get x:y --keep --timeout 30",
            "cloister run - --language javascript --runtime nodejs --interpreter my.tool",
            "cloister --json run app.py",
            "cloister run -- python app.py --flag -x",
            "cloister run --listen 127.0.0.1:8484 --data-dir /tmp/x -- python app.py",
            "cloister exec 01ABC -- ls -la --color=never",
            "cloister browse https://example.com --screenshot out.png --full-page --viewport 1920x1080",
            "cloister browse example.com --pdf out.pdf --markdown --actions a.json --json --policy browser-open",
            "cloister open 01ABC --open",
            "cloister ls --all --endpoint http://127.0.0.1:1",
            "cloister cp 01ABC:out.png .",
            "cloister run --tier wasm app.py",
            "cloister fork 01ABC --name copy --timeout 60 --json",
            "cloister checkpoint 01ABC --endpoint http://127.0.0.1:1",
            "cloister restore 01ABC checkpoint-1",
            "cloister restore 01ABC",
            "cloister undo 01ABC --json",
            "cloister stop 01ABC 01DEF",
            "cloister stop --all",
            "cloister doctor --json",
            "cloister policy check",
            "cloister policy check a.toml b.toml",
            "cloister policy validate a.toml --json",
            "cloister policy explain --policy public --connect a.com:443 --address 10.0.0.1",
            "cloister policy explain --run python --shell --write a --syscall read --cdp Page.navigate --memory 3GiB --timeout 2h",
            "cloister policy explain den_0123 --data-dir /tmp/x --json",
            "cloister policy explain --policy p --package numpy --secret API_KEY --to a.com --config c.toml",
            "cloister policy lint --config c.toml default",
            "cloister policy explain den_0123 --endpoint http://127.0.0.1:1",
            "cloister policy diff default public --json",
            "cloister policy test policies/cases/code.toml",
            "cloister policy lint default a.toml",
            "cloister policy schema",
            "cloister policy learn audit.jsonl --session 01ABC",
            "cloister policy reload --data-dir /tmp/x --json",
            "cloister policy show default",
            "cloister image ls",
            "cloister image build analysis",
            "cloister serve --no-auth",
            "cloister token create --name ann --tenant acme --role user --role viewer --kind sigv4 --expires 30d",
            "cloister token create --name ann --save --data-dir /tmp/x",
            "cloister token list --json",
            "cloister token revoke CLOIX --data-dir /tmp/x",
            "cloister audit verify --data-dir /tmp/x --json",
            "cloister audit tail -n 5 --follow",
            "cloister audit search --session 01ABC --principal acme/ann --action session.start --since 2h --until 1h",
            "cloister audit search --denial den_01ARZ3NDEKTSV4RRFFQ69G5FAV --json",
            "cloister receipt key",
            "cloister receipt verify r.json --key k.txt",
            "cloister receipt show r.json",
            "cloister version",
        ] {
            assert!(parses(line), "{line}: {:?}", Cli::try_parse_from(line.split_whitespace()).err());
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "cloister",
            "cloister serve --listen localhost",
            "cloister serve --listen 8484",
            "cloister serve --pool -1",
            "cloister run",
            "cloister run --",
            "cloister run app.py --listen 127.0.0.1:1",
            "cloister run app.py -- python",
            "cloister run --keep -- python app.py",
            "cloister run app.py more.py",
            "cloister run app.py --policy a --interpreter b",
            "cloister run app.py --tier wasm --interpreter b",
            "cloister run app.py --tier wasm --policy b",
            "cloister run --tier wasm -- python app.py",
            "cloister fork",
            "cloister fork 01ABC --timeout 0",
            "cloister checkpoint 01ABC name",
            "cloister restore",
            "cloister undo 01ABC checkpoint-1",
            "cloister exec 01ABC",
            "cloister browse",
            "cloister browse a.example --viewport 1920",
            "cloister browse a.example --full-page",
            "cloister open",
            "cloister cp onlyone",
            "cloister stop",
            "cloister token create",
            "cloister token create --name ann --role root",
            "cloister token create --name ann --expires 30",
            "cloister token revoke",
            "cloister stop 01ABC --all",
            "cloister audit",
            "cloister audit search --since yesterday",
            "cloister receipt verify",
            "cloister frobnicate",
        ] {
            assert!(!parses(line), "{line}");
        }
    }
}
