//! `cloister run -- COMMAND`: a program on this machine whose AWS clients talk to the server, the SDK's browser client included.
//!
//! ```text
//!   server answers? ─▶ shim into the data folder ─▶ the variables of `cloister env` + PYTHONPATH ─▶ exec COMMAND
//! ```
//!
//! The command takes this process's place: streams, signals and exit code are its own.

use super::env::{self, Line};
use super::{Failure, block_on};
use crate::client::{Client, ClientError, Endpoint};
use crate::data_dir::DataDir;
use crate::keys::Credentials;
use std::ffi::{OsStr, OsString};
use std::io;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Which server the command talks to.
#[derive(clap::Args, Debug)]
pub(super) struct Server {
    /// With a COMMAND: address of the server; by default the one that runs on the data folder, else 127.0.0.1:8484
    #[arg(long, value_name = "ADDR", requires = "command", conflicts_with_all = ["endpoint", "file"])]
    listen: Option<SocketAddr>,
    /// With a COMMAND: data folder of the server [default: ~/.local/share/cloister]
    #[arg(long, value_name = "DIR", requires = "command", conflicts_with_all = ["endpoint", "file"])]
    data_dir: Option<PathBuf>,
}

/// Starts `command` in this process's place. Returns only if that fails.
pub(super) fn run(server: Server, endpoint: Option<&str>, command: &[String]) -> Result<ExitCode, Failure> {
    let [program, arguments @ ..] = command else { return Err(Failure::usage("there is no command")) };
    let named = server.listen.is_some() || server.data_dir.is_some();
    let data = DataDir::open(&super::data_dir(server.data_dir)?)?;
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    // A shell that has evaluated `cloister env` has decided already; flags decide anew.
    let decided = endpoint.map(str::to_owned).or_else(|| variable("CLOISTER_ENDPOINT").filter(|_| !named));
    let (url, given) = match decided {
        Some(url) => (url, Credentials::of_environment(variable)),
        None => (env::endpoint(server.listen, data.endpoint()), None),
    };
    let credentials = given.map_or_else(|| env::credentials(&data), Ok)?;
    block_on(check(&url, &credentials.token))?;

    let mut child = Command::new(program);
    child.args(arguments);
    for line in env::lines(&url, &credentials, |name| std::env::var(name).ok()) {
        match line {
            Line::Export(name, value) => child.env(name, value),
            Line::Unset(name) => child.env_remove(name),
        };
    }
    child.env("PYTHONPATH", python_path(&data.python_shim()?, std::env::var_os("PYTHONPATH").as_deref()));
    let error = child.exec();
    // The codes that a shell gives.
    let code = if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
    Err(Failure { code, message: format!("{program}: {error}") })
}

/// Whether a server answers: a program that connects to nobody would say so much later and in other words.
async fn check(url: &str, token: &str) -> Result<(), Failure> {
    let client = Client::new(Endpoint::parse(url)?, Some(token))?;
    match client.download("/livez").await {
        Ok(_) => Ok(()),
        Err(ClientError::NoServer(endpoint)) => Err(Failure::new(format!(
            "no cloister server answers at {endpoint}; start one with `cloister serve`, or name the one that runs with --listen ADDR \
             or --data-dir DIR",
        ))),
        Err(error) => Err(error.into()),
    }
}

/// The shim's folder in front of what was there.
fn python_path(shim: &Path, old: Option<&OsStr>) -> OsString {
    let mut path = shim.as_os_str().to_owned();
    if let Some(old) = old.filter(|old| !old.is_empty()) {
        path.push(":");
        path.push(old);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shim_comes_first_and_what_was_there_stays() {
        let shim = Path::new("/data/shim");
        assert_eq!(python_path(shim, None), "/data/shim");
        assert_eq!(python_path(shim, Some(OsStr::new(""))), "/data/shim");
        assert_eq!(python_path(shim, Some(OsStr::new("/a:/b"))), "/data/shim:/a:/b");
    }
}
