//! Playwright, as its users start a browser: `launch()`, from Python. The clock runs in that Python.
//!
//! ```text
//! bench ─▶ one line of JSON ─▶ playwright.py ─▶ Playwright ─▶ chromium-headless-shell     bench ◀─ {"ns": …} ◀─ playwright.py
//! ```

use super::chromium::PROGRAM;
use crate::failure::Failure;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

/// The driving program.
#[derive(Debug)]
pub struct Playwright {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Playwright {
    /// As the tables call it.
    pub const NAME: &'static str = "Playwright launch()";

    /// Starts the driving program in the environment that `scripts/bench.sh` makes, with one browser as a trial.
    pub fn new() -> Result<Self, Failure> {
        let python = python()?;
        if !Path::new(PROGRAM).exists() {
            return Err(Failure::Unavailable(format!("{PROGRAM} is not installed")));
        }
        let mut child = Command::new(&python)
            .arg("-c")
            .arg(include_str!("playwright.py"))
            .arg(PROGRAM)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(Failure::io(format!("start {}", python.display())))?;
        let (Some(to), Some(from)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Failure::Unavailable("the driving program has no pipes".into()));
        };
        let mut playwright = Self { child, to: Some(to), from: BufReader::new(from) };
        match playwright.launch() {
            Ok(_) => Ok(playwright),
            Err(failure) => Err(Failure::Unavailable(failure.to_string().replace(['|', '\n'], "/"))),
        }
    }

    /// From `launch()` until the browser answers.
    pub fn launch(&mut self) -> Result<Duration, Failure> {
        self.ask("launch")
    }

    /// From `launch()` until the first picture of a new page.
    pub fn screenshot(&mut self) -> Result<Duration, Failure> {
        self.ask("screenshot")
    }

    fn ask(&mut self, op: &str) -> Result<Duration, Failure> {
        if let Some(to) = &mut self.to {
            to.write_all(format!("{}\n", json!({ "op": op })).as_bytes())
                .map_err(Failure::io("ask Playwright"))?;
        }
        let mut answer = String::new();
        self.from.read_line(&mut answer).map_err(Failure::io("read from Playwright"))?;
        let value: Option<Value> = serde_json::from_str(&answer).ok();
        let ns = value.and_then(|value| value.get("ns").and_then(Value::as_u64));
        ns.map(Duration::from_nanos).ok_or_else(|| Failure::wrong(Self::NAME, answer.as_bytes(), "ns"))
    }
}

impl Drop for Playwright {
    /// The end of its input ends the program.
    fn drop(&mut self) {
        drop(self.to.take());
        let _: Result<_, _> = self.child.wait();
    }
}

/// `CLOISTER_BENCH_PLAYWRIGHT`, or the environment in the cache.
fn python() -> Result<PathBuf, Failure> {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let cache =
        variable("CLOISTER_CACHE").or_else(|| variable("HOME").map(|home| home.join(".cache/cloister")));
    let made = || cache.map(|cache| cache.join("bench/playwright/bin/python"));
    variable("CLOISTER_BENCH_PLAYWRIGHT").or_else(made).filter(|python| python.exists()).ok_or_else(|| {
        Failure::Unavailable("there is no Python with Playwright; scripts/bench.sh installs one".into())
    })
}
