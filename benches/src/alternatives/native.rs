//! CPython of the wasm tier's version for this machine: Debian's own build, which the image builder uses to compile with.

use crate::failure::Failure;
use std::path::PathBuf;
use std::process::Command;

/// Debian's CPython 3.13.
#[derive(Debug)]
pub struct Native(());

impl Native {
    /// As the tables call it.
    pub const NAME: &'static str = "native CPython of the same version";

    /// If the image builder has it.
    pub fn new() -> Result<Self, Failure> {
        python().map(|_| Self(()))
    }

    /// Runs a program; what it wrote.
    pub fn output(&self, code: &str) -> Result<String, Failure> {
        let done = python()?.args(["-c", code]).output().map_err(Failure::io("start the native Python"))?;
        if done.status.success() {
            return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
        }
        Err(Failure::wrong(Self::NAME, &done.stderr, "an exit status of 0"))
    }
}

/// `CLOISTER_BENCH_NATIVE`, as a command that is isolated from the caller's environment.
pub(super) fn python() -> Result<Command, Failure> {
    let given = std::env::var_os("CLOISTER_BENCH_NATIVE").map(PathBuf::from).filter(|path| path.is_file());
    let python = given.ok_or_else(|| {
        let why =
            "the image builder's Python 3.13 is not there; scripts/bench.sh names it after `make images`";
        Failure::Unavailable(why.into())
    })?;
    let mut command = Command::new(python);
    command.arg("-I");
    Ok(command)
}
