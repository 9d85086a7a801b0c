//! Waits until the machine has nothing else to do, and says how busy it was if that never comes.
//!
//! Measured while the bench itself sleeps, so whatever is busy is somebody else. Two cores shared with a compiler double
//! every time in a table, and nobody could see it from the table alone.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Share of the processors that others may use while a row counts as taken on a quiet machine.
pub const LIMIT: f64 = 0.15;
/// One look.
const WINDOW: Duration = Duration::from_millis(250);
/// How long to wait for quiet before each row, unless `CLOISTER_BENCH_PATIENCE` (seconds) says otherwise.
const PATIENCE: u64 = 30;

/// Waits for quiet, but not for ever. Answers the busy share of the last look, 0 to 1.
pub fn wait() -> f64 {
    let patience =
        std::env::var("CLOISTER_BENCH_PATIENCE").ok().and_then(|v| v.parse().ok()).unwrap_or(PATIENCE);
    let since = Instant::now();
    loop {
        let busy = look();
        if busy <= LIMIT || since.elapsed() > Duration::from_secs(patience) {
            return busy;
        }
        sleep(WINDOW);
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
