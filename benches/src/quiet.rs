//! Waits until the machine has nothing else to do, and says how often that did not come.
//!
//! Measured while the bench itself sleeps, so whatever is busy is somebody else. Two cores shared with a compiler double
//! every time in a table, and nobody could see it from the table alone.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

/// Share of the processors that others may use while a moment counts as quiet.
pub const LIMIT: f64 = 0.15;
/// One look: a few ticks of every processor.
const WINDOW: Duration = Duration::from_millis(50);
/// How long one row may wait for quiet moments in total, unless `CLOISTER_BENCH_PATIENCE` (seconds) says otherwise.
const PATIENCE: u64 = 30;

/// Lets one row's observations begin in quiet moments, as long as its patience lasts.
#[derive(Debug)]
pub struct Gate {
    left: Duration,
    passed: u32,
    busy: u32,
}

impl Gate {
    /// For one row.
    pub fn new() -> Self {
        let given = std::env::var("CLOISTER_BENCH_PATIENCE").ok().and_then(|v| v.parse().ok());
        Self { left: Duration::from_secs(given.unwrap_or(PATIENCE)), passed: 0, busy: 0 }
    }

    /// Before an observation, or a batch of them.
    pub fn pass(&mut self) {
        while look() > LIMIT {
            if self.left.is_zero() {
                self.busy += 1;
                break;
            }
            self.left = self.left.saturating_sub(WINDOW);
        }
        self.passed += 1;
    }

    /// The share of observations that began while others were busy, 0 to 1.
    pub fn busy(&self) -> f64 {
        f64::from(self.busy) / f64::from(self.passed.max(1))
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

/// The share of all processors' time that was used within one window.
pub fn look() -> f64 {
    let before = fs::read_to_string("/proc/stat").unwrap_or_default();
    sleep(WINDOW);
    let after = fs::read_to_string("/proc/stat").unwrap_or_default();
    match (ticks(&before), ticks(&after)) {
        (Some(before), Some(after)) => share(before, after),
        _ => 0.0,
    }
}

/// Busy and idle ticks of all processors.
fn ticks(stat: &str) -> Option<(u64, u64)> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let fields: Vec<u64> = line.split_whitespace().filter_map(|f| f.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal; guest time is part of user time already.
    let idle = fields.get(3)? + fields.get(4)?;
    let all: u64 = fields.iter().take(8).sum();
    Some((all - idle, idle))
}

fn share(before: (u64, u64), after: (u64, u64)) -> f64 {
    let busy = after.0.saturating_sub(before.0);
    let idle = after.1.saturating_sub(before.1);
    busy as f64 / (busy + idle).max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_for_disks_is_not_being_busy_and_steal_is() {
        let before = ticks("cpu  100 0 50 1000 10 0 0 5 0 0\ncpu0 1 1 1 1").unwrap();
        let after = ticks("cpu  110 0 55 1070 20 0 0 10 0 0\n").unwrap();
        assert_eq!(before, (155, 1010));
        assert!((share(before, after) - 0.2).abs() < 1e-9);
    }

    #[test]
    fn a_file_that_is_not_proc_stat_is_not_misread() {
        assert_eq!(ticks("intr 1 2 3"), None);
    }
}
