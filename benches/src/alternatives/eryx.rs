//! pyeryx: CPython in WebAssembly as a library, the nearest relative of the wasm tier. It runs inside of the program that uses it, without
//! a server, a jail or a wire; the clock runs there too.

use super::native;
use crate::failure::Failure;
use crate::work::Work;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::Duration;

/// The driving program.
#[derive(Debug)]
pub struct Eryx {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Eryx {
    /// As the tables call it.
    pub const NAME: &'static str = "pyeryx, in its own process";

    /// Starts the driving program with the package that `scripts/bench.sh` has fetched.
    pub fn new() -> Result<Self, Failure> {
        let folder = std::env::var_os("CLOISTER_BENCH_ERYX").map(PathBuf::from).filter(|path| path.is_dir());
        let folder = folder
            .ok_or_else(|| Failure::Unavailable("there is no pyeryx; scripts/bench.sh fetches it".into()))?;
        let mut child = native::python()?
            .args(["-c", include_str!("eryx.py")])
            .env("ERYX", folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(Failure::io("start Python for pyeryx"))?;
        let (Some(to), Some(from)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Failure::Unavailable("the driving program has no pipes".into()));
        };
        Ok(Self { child, to, from: BufReader::new(from) })
    }

    /// From a new session until its first result.
    pub fn first_result(&mut self, work: Work) -> Result<Duration, Failure> {
        took(&self.ask(&json!({ "op": "first", "code": work.code, "expected": work.expected }))?)
    }

    /// Starts a session and keeps it; its number.
    pub fn open(&mut self) -> Result<u64, Failure> {
        let answer = self.ask(&json!({ "op": "open" }))?;
        let number = answer.get("session").and_then(Value::as_u64);
        number.ok_or_else(|| Failure::wrong(Self::NAME, answer.to_string().as_bytes(), "a session"))
    }

    /// One call; how long it took and what it wrote.
    pub fn run(&mut self, session: u64, code: &str, expected: &str) -> Result<(Duration, String), Failure> {
        let question = json!({ "op": "run", "session": session, "code": code, "expected": expected });
        let answer = self.ask(&question)?;
        let said = answer.get("said").and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok((took(&answer)?, said))
    }

    fn ask(&mut self, question: &Value) -> Result<Value, Failure> {
        let mut line = question.to_string();
        line.push('\n');
        self.to.write_all(line.as_bytes()).map_err(Failure::io("ask pyeryx"))?;
        let mut answer = String::new();
        self.from.read_line(&mut answer).map_err(Failure::io("read from pyeryx"))?;
        let value: Value = serde_json::from_str(&answer)
            .map_err(|_| Failure::wrong(Self::NAME, answer.as_bytes(), "JSON (its own words are above)"))?;
        match value.get("error") {
            None => Ok(value),
            Some(error) => Err(Failure::wrong(Self::NAME, error.to_string().as_bytes(), "a result")),
        }
    }
}

impl Drop for Eryx {
    fn drop(&mut self) {
        let _: Result<_, _> = self.to.write_all(b"{\"op\":\"end\"}\n");
        let _: Result<_, _> = self.child.wait();
    }
}

fn took(answer: &Value) -> Result<Duration, Failure> {
    let ns = answer.get("ns").and_then(Value::as_u64);
    ns.map(Duration::from_nanos)
        .ok_or_else(|| Failure::wrong(Eryx::NAME, answer.to_string().as_bytes(), "ns"))
}
