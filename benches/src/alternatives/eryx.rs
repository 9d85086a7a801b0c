//! pyeryx: CPython in WebAssembly as a library, the nearest relative of the wasm tier. It runs inside of the program that uses it, without
//! a server, a jail or a wire; the clock runs there too.

use super::driven::Driven;
use super::native;
use crate::failure::Failure;
use crate::work::Work;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

/// The driving program.
#[derive(Debug)]
pub struct Eryx(Driven);

impl Eryx {
    /// As the tables call it.
    pub const NAME: &'static str = "pyeryx, in its own process";

    /// Starts the driving program with the package that `scripts/bench.sh` has fetched.
    pub fn new() -> Result<Self, Failure> {
        let folder = std::env::var_os("CLOISTER_BENCH_ERYX").map(PathBuf::from).filter(|path| path.is_dir());
        let folder = folder
            .ok_or_else(|| Failure::Unavailable("there is no pyeryx; scripts/bench.sh fetches it".into()))?;
        let mut command = native::python()?;
        command.args(["-c", include_str!("eryx.py")]).env("ERYX", folder);
        Driven::start(command, "pyeryx", Self::NAME).map(Self)
    }

    /// From a new session until its first result.
    pub fn first_result(&mut self, work: Work) -> Result<Duration, Failure> {
        let question = json!({ "op": "first", "code": work.code, "expected": work.expected });
        let answer = self.0.ask(&question)?;
        self.0.took(&answer)
    }

    /// Starts a session and keeps it; its number.
    pub fn open(&mut self) -> Result<u64, Failure> {
        let answer = self.0.ask(&json!({ "op": "open" }))?;
        let number = answer.get("session").and_then(Value::as_u64);
        number.ok_or_else(|| Failure::wrong(Self::NAME, answer.to_string().as_bytes(), "a session"))
    }

    /// One call; how long it took and what it wrote.
    pub fn run(&mut self, session: u64, code: &str, expected: &str) -> Result<(Duration, String), Failure> {
        let question = json!({ "op": "run", "session": session, "code": code, "expected": expected });
        let answer = self.0.ask(&question)?;
        let said = answer.get("said").and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok((self.0.took(&answer)?, said))
    }
}
