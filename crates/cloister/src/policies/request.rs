//! A hypothetical request: what `cloister policy explain` is asked, and what a case of `cloister policy test` expects something of.

use crate::egress::SecretConfig;
use cloister_core::command::Runtime;
use cloister_core::policy::{size_text, span_text};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// What a session might do, or ask for at its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Connect to `host:port`; with an address, also judge where the name leads.
    Connect {
        /// As a program would write it.
        to: String,
        /// What a resolver says.
        address: Option<IpAddr>,
    },
    /// Open a page, or fetch a URL.
    Url(String),
    /// Run code.
    Run(Runtime),
    /// Run a shell command.
    Shell,
    /// Write to a path; relative ones are below the workspace.
    Write(String),
    /// Make a system call.
    Syscall(String),
    /// Ask the browser a CDP method.
    Cdp(String),
    /// Have so many bytes of memory.
    Memory(u64),
    /// Live so long.
    Timeout(Duration),
    /// Install a project, or a file of one, by its name.
    Package(String),
    /// Have a secret put into requests to a host.
    Secret {
        /// Its name.
        name: String,
        /// `host` or `host:port`.
        to: String,
        /// What the server's configuration says of it, if it knows it.
        config: Option<SecretConfig>,
    },
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect { to, address: None } => write!(f, "connect to {to}"),
            Self::Connect { to, address: Some(address) } => write!(f, "connect to {to} at {address}"),
            Self::Url(url) => write!(f, "open {url}"),
            Self::Run(runtime) => write!(f, "run {}", runtime.name()),
            Self::Shell => f.write_str("run a shell command"),
            Self::Write(path) => write!(f, "write {path}"),
            Self::Syscall(call) => write!(f, "call {call}"),
            Self::Cdp(method) => write!(f, "ask the browser {method}"),
            Self::Memory(bytes) => write!(f, "have {} of memory", size_text(*bytes)),
            Self::Timeout(span) => write!(f, "live for {}", span_text(*span)),
            Self::Package(name) => write!(f, "install {name}"),
            Self::Secret { name, to, config: _ } => write!(f, "send {name} to {to}"),
        }
    }
}

/// The runtime of a name.
pub(crate) fn runtime(name: &str) -> Result<Runtime, String> {
    [Runtime::Python, Runtime::Nodejs, Runtime::Deno]
        .into_iter()
        .find(|runtime| runtime.name() == name)
        .ok_or_else(|| format!("`{name}` is no runtime: use python, nodejs or deno"))
}
