//! What a group has used, read from files that stay open: a call is measured twice, and opening costs more than reading.

use super::Host;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

/// The longest of the files: `cpu.stat` and `memory.events` of version 2 are a few hundred bytes.
const LONGEST: usize = 4096;

/// What a group has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// User and system time.
    pub cpu: Duration,
    /// Highest memory so far, in bytes.
    pub memory_peak: u64,
    /// Processes that the out-of-memory killer took.
    pub oom_kills: u64,
    /// Forks that the limit on processes refused.
    pub pids_refused: u64,
}

/// The open files of one group. They do not keep it from being removed; afterwards everything reads as zero.
#[derive(Debug)]
pub struct Gauges {
    cpu: Gauge,
    /// How many nanoseconds one unit of `cpu` is.
    cpu_unit: u64,
    memory_peak: Gauge,
    oom_kills: Gauge,
    pids_refused: Gauge,
}

impl Gauges {
    /// Opens them. What cannot be opened reads as zero: usage is information, not a wall.
    pub(super) fn open(places: &Host) -> Self {
        match places {
            Host::V1 { memory, pids, cpuacct, .. } => Self {
                cpu: Gauge::number(&cpuacct.join("cpuacct.usage")),
                cpu_unit: 1,
                memory_peak: Gauge::number(&memory.join("memory.max_usage_in_bytes")),
                oom_kills: Gauge::keyed(&memory.join("memory.oom_control"), "oom_kill"),
                pids_refused: Gauge::keyed(&pids.join("pids.events"), "max"),
            },
            Host::V2 { base } => Self {
                cpu: Gauge::keyed(&base.join("cpu.stat"), "usage_usec"),
                cpu_unit: 1000,
                memory_peak: Gauge::number(&base.join("memory.peak")),
                oom_kills: Gauge::keyed(&base.join("memory.events"), "oom_kill"),
                pids_refused: Gauge::keyed(&base.join("pids.events"), "max"),
            },
        }
    }

    /// CPU time and highest memory so far: the two that are asked for between calls as well.
    pub fn consumed(&self) -> (Duration, u64) {
        (Duration::from_nanos(self.cpu.read().saturating_mul(self.cpu_unit)), self.memory_peak.read())
    }

    /// What has been used so far.
    pub fn usage(&self) -> Usage {
        let (cpu, memory_peak) = self.consumed();
        Usage { cpu, memory_peak, oom_kills: self.oom_kills.read(), pids_refused: self.pids_refused.read() }
    }
}

/// One value of one file.
#[derive(Debug)]
struct Gauge {
    file: Option<File>,
    /// The value's name in a `key value` file; `None` where the file is the value.
    key: Option<&'static str>,
}

impl Gauge {
    fn number(path: &Path) -> Self {
        Self { file: File::open(path).ok(), key: None }
    }

    fn keyed(path: &Path, key: &'static str) -> Self {
        Self { file: File::open(path).ok(), key: Some(key) }
    }

    fn read(&self) -> u64 {
        let mut buffer = [0; LONGEST];
        // From the beginning, which makes the kernel write the file anew.
        let length = self.file.as_ref().and_then(|file| file.read_at(&mut buffer, 0).ok()).unwrap_or(0);
        let text = std::str::from_utf8(buffer.get(..length).unwrap_or_default()).unwrap_or_default();
        let value = match self.key {
            None => Some(text),
            Some(key) => text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')),
        };
        value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_gauge_shows_what_the_file_says_now_and_not_what_it_said_when_it_was_opened() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        put("cpu.stat", "usage_usec 7\nuser_usec 5\n");
        put("memory.peak", "4096\n");
        put("memory.events", "oom 3\noom_kill 1\noom_group_kill 0\n");
        let gauges = Gauges::open(&Host::V2 { base: dir.path().to_owned() });
        let first = Usage { cpu: Duration::from_micros(7), memory_peak: 4096, oom_kills: 1, pids_refused: 0 };
        assert_eq!(gauges.usage(), first);
        put("cpu.stat", "usage_usec 90\n");
        put("memory.events", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
        let second = Usage { cpu: Duration::from_micros(90), oom_kills: 2, ..first };
        assert_eq!(gauges.usage(), second);
    }
}
