//! Plain `python3 -c`: the image's interpreter and libraries, and no sandbox at all. What is faster than this is not isolation.

use super::spawned::{Spawned, environment, first_result, try_out};
use crate::failure::Failure;
use crate::server;
use crate::work::PRINT;
use std::path::PathBuf;
use std::process::Command;

/// `chroot ROOT python3 -c CODE`.
#[derive(Debug)]
pub struct Chroot {
    root: PathBuf,
    env: Vec<(String, String)>,
}

impl Chroot {
    /// As the tables call it.
    pub const NAME: &'static str = "plain python3 -c";

    /// On the image.
    pub fn new() -> Result<Self, Failure> {
        let plain = Self { root: server::image()?.join("root"), env: environment()? };
        let command = plain.command(PRINT.code)?;
        try_out("chroot", || first_result("chroot", command, PRINT.expected))?;
        Ok(plain)
    }
}

impl Spawned for Chroot {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn command(&self, code: &str) -> Result<Command, Failure> {
        let mut command = Command::new("chroot");
        command.env_clear().envs(self.env.clone()).env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin");
        command.arg(&self.root).args(["/usr/bin/python3", "-c", code]);
        Ok(command)
    }
}
