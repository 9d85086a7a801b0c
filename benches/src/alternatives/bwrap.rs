//! Bubblewrap: every namespace, the image read-only; no cgroup, no system call filter.

use super::spawned::{Spawned, environment, first_result, try_out};
use crate::failure::Failure;
use crate::server;
use crate::work::PRINT;
use std::path::PathBuf;
use std::process::Command;

/// `bwrap --unshare-all … python3 -c CODE`.
#[derive(Debug)]
pub(super) struct Bwrap {
    root: PathBuf,
    env: Vec<(String, String)>,
}

impl Bwrap {
    /// As the tables call it.
    pub(super) const NAME: &'static str = "bwrap --unshare-all";

    /// On the image.
    pub(super) fn new() -> Result<Self, Failure> {
        let bwrap = Self { root: server::image()?.join("root"), env: environment()? };
        let command = bwrap.command(PRINT.code)?;
        try_out("bwrap", || first_result("bwrap", command, PRINT.expected))?;
        Ok(bwrap)
    }
}

impl Spawned for Bwrap {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn command(&self, code: &str) -> Result<Command, Failure> {
        let mut command = Command::new("bwrap");
        command.args([
            "--unshare-all",
            "--die-with-parent",
            "--new-session",
            "--cap-drop",
            "ALL",
            "--ro-bind",
        ]);
        command.arg(&self.root).arg("/");
        command.args(["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--tmpfs", "/workspace"]);
        command.args(["--chdir", "/workspace", "--clearenv"]);
        for (name, value) in &self.env {
            command.args(["--setenv", name, value]);
        }
        command.args(["/usr/bin/python3", "-c", code]);
        Ok(command)
    }
}
