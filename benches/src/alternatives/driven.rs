//! A library of Python, driven by a program of ours: one request per line of its input, one answer per line of its output.

use crate::failure::Failure;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

/// The driving program. The end of its input ends it, and what it has started.
#[derive(Debug)]
pub(super) struct Driven {
    /// The library, for failures.
    library: &'static str,
    /// As the tables call what it makes.
    name: &'static str,
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Driven {
    /// Starts it. `library` is what is driven, `name` is what the tables call it.
    pub(super) fn start(
        mut command: Command,
        library: &'static str,
        name: &'static str,
    ) -> Result<Self, Failure> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(Failure::io(format!("start Python for {library}")))?;
        let (Some(to), Some(from)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Failure::Unavailable("the driving program has no pipes".into()));
        };
        Ok(Self { library, name, child, to, from: BufReader::new(from) })
    }

    /// Asks, and returns an answer that is no error.
    pub(super) fn ask(&mut self, question: &Value) -> Result<Value, Failure> {
        let library = self.library;
        let mut line = question.to_string();
        line.push('\n');
        self.to.write_all(line.as_bytes()).map_err(Failure::io(format!("ask {library}")))?;
        let mut answer = String::new();
        self.from.read_line(&mut answer).map_err(Failure::io(format!("read from {library}")))?;
        let value: Value = serde_json::from_str(&answer)
            .map_err(|_| Failure::wrong(library, answer.as_bytes(), "JSON (its own words are above)"))?;
        match value.get("error") {
            None => Ok(value),
            Some(error) => Err(Failure::wrong(self.name, error.to_string().as_bytes(), "a result")),
        }
    }

    /// The time that an answer states.
    pub(super) fn took(&self, answer: &Value) -> Result<Duration, Failure> {
        let ns = answer.get("ns").and_then(Value::as_u64);
        ns.map(Duration::from_nanos)
            .ok_or_else(|| Failure::wrong(self.library, answer.to_string().as_bytes(), "ns"))
    }
}

impl Drop for Driven {
    fn drop(&mut self) {
        let end = format!("{}\n", json!({ "op": "end" }));
        let _: Result<_, _> = self.to.write_all(end.as_bytes());
        let _: Result<_, _> = self.child.wait();
    }
}
