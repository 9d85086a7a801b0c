//! Processes of this host, told apart from later ones with the same number by their start time.
#![expect(clippy::unwrap_used, reason = "support code of tests: a failure here is a failed test")]

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// Its parent's number.
    pub parent: i32,
    /// The kernel's name of it.
    pub name: String,
    started: String,
}

impl Process {
    /// Whether it is still there; one that has ended and waits for its reaper is not.
    pub fn lives(&self) -> bool {
        look(self.pid).is_some_and(|(now, state)| now.started == self.started && state != "Z")
    }

    /// Ends it, and waits until it has gone.
    pub fn kill(&self) {
        assert!(self.lives(), "{self:?}");
        kill(Pid::from_raw(self.pid), Signal::SIGKILL).unwrap();
        settled(|| if self.lives() { Err(format!("{self:?} lives on")) } else { Ok(()) });
    }
}

fn look(pid: i32) -> Option<(Process, String)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // proc(5): the name stands in parentheses and may hold anything; state, parent and start time are fields 3, 4 and 22.
    let (before, after) = stat.rsplit_once(") ")?;
    let name = before.split_once('(')?.1.to_owned();
    let fields: Vec<&str> = after.split(' ').collect();
    let process =
        Process { pid, parent: fields.get(1)?.parse().ok()?, name, started: (*fields.get(19)?).to_owned() };
    Some((process, (*fields.first()?).to_owned()))
}

/// Everything that a process has started, and what that has started.
pub fn descendants(root: i32) -> Vec<Process> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let all: BTreeMap<i32, Process> = pids.filter_map(|pid| Some((pid, look(pid)?.0))).collect();
    let below = |process: &Process| {
        let mut at = process;
        while let Some(parent) = all.get(&at.parent) {
            if parent.pid == root {
                return true;
            }
            at = parent;
        }
        false
    };
    all.values().filter(|process| below(process)).cloned().collect()
}

/// Asks again until all is well, for ten seconds.
pub fn settled(mut look: impl FnMut() -> Result<(), String>) {
    let since = Instant::now();
    while let Err(why) = look() {
        assert!(since.elapsed() < Duration::from_secs(10), "{why}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
