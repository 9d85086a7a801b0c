//! An ipykernel, driven as users drive it: from Python, with jupyter_client. The clock runs in that Python.
//!
//! ```text
//! bench ─▶ one line of JSON ─▶ jupyter.py ─▶ jupyter_client ─▶ ipykernel     bench ◀─ {"ns": …} ◀─ jupyter.py
//! ```

use super::driven::Driven;
use crate::failure::Failure;
use crate::work::Work;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// The driving program.
#[derive(Debug)]
pub struct Jupyter {
    driven: Driven,
    /// Where kernels run: what they write ends with them.
    _folder: TempDir,
}

/// A kernel that stays.
#[derive(Clone, Copy, Debug)]
pub struct Kernel {
    /// Its number in the driving program.
    number: u64,
    /// Its process.
    pub pid: u32,
}

impl Jupyter {
    /// As the tables call it.
    pub const NAME: &'static str = "ipykernel";

    /// Starts the driving program in the environment that `scripts/bench.sh` makes.
    pub fn new() -> Result<Self, Failure> {
        let python = python()?;
        let folder = tempfile::Builder::new().prefix("cloister-bench-jupyter-").tempdir();
        let folder = folder.map_err(Failure::io("make a folder for kernels"))?;
        let mut command = Command::new(python);
        command.current_dir(folder.path()).arg("-c").arg(include_str!("jupyter.py"));
        Ok(Self { driven: Driven::start(command, "jupyter_client", Self::NAME)?, _folder: folder })
    }

    /// From the start of a kernel until its first result, then it is shut down; `count` at once.
    pub fn first_results(&mut self, work: Work, count: usize) -> Result<Duration, Failure> {
        self.timed(&json!({ "op": "first", "code": work.code, "expected": work.expected, "count": count }))
    }

    /// Starts a kernel and keeps it until the driving program ends.
    pub fn open(&mut self) -> Result<Kernel, Failure> {
        let answer = self.driven.ask(&json!({ "op": "open" }))?;
        let field = |name: &str| answer.get(name).and_then(Value::as_u64);
        let pid = field("pid").and_then(|pid| u32::try_from(pid).ok());
        let (Some(number), Some(pid)) = (field("kernel"), pid) else {
            return Err(Failure::wrong(Self::NAME, answer.to_string().as_bytes(), "a kernel"));
        };
        Ok(Kernel { number, pid })
    }

    /// One cell, until its result and the kernel's return to idle.
    pub fn cell(&mut self, kernel: Kernel, code: &str, expected: &str) -> Result<Duration, Failure> {
        self.timed(&json!({ "op": "cell", "kernel": kernel.number, "code": code, "expected": expected }))
    }

    fn timed(&mut self, question: &Value) -> Result<Duration, Failure> {
        let answer = self.driven.ask(question)?;
        self.driven.took(&answer)
    }
}

/// `CLOISTER_BENCH_PYTHON`, or the environment in the cache.
fn python() -> Result<PathBuf, Failure> {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let cache =
        variable("CLOISTER_CACHE").or_else(|| variable("HOME").map(|home| home.join(".cache/cloister")));
    let made = || cache.map(|cache| cache.join("bench/venv/bin/python"));
    variable("CLOISTER_BENCH_PYTHON").or_else(made).filter(|python| python.exists()).ok_or_else(|| {
        Failure::Unavailable("there is no Python with ipykernel; scripts/bench.sh installs one".into())
    })
}
