//! Tables in Markdown: no absolute number without its ratio beside it.

use crate::failure::Failure;
use crate::samples::Samples;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// From this share on, a row bears a mark.
const DISTURBED: f64 = 0.05;

/// One line of a table.
#[derive(Clone, Debug)]
pub struct Row {
    /// What was measured.
    pub name: String,
    /// The row whose median is 1 in the ratio's column; this row's own name if it is that row.
    pub against: String,
    /// The observations, or why there are none.
    pub outcome: Result<Samples, String>,
    /// The share of observations that began while others used the processors, 0 to 1.
    pub busy: f64,
}

/// What the project wants to reach.
#[derive(Clone, Debug)]
pub struct Aim {
    /// In words.
    pub what: String,
    /// The aim and what was measured, each as text with its unit.
    pub aim: String,
    /// What was measured.
    pub measured: String,
    /// Measured divided by the aim: at most 1 is met.
    pub ratio: f64,
}

/// The rows and aims of one bench.
#[derive(Debug, Default)]
pub struct Report {
    rows: Vec<Row>,
    aims: Vec<Aim>,
}

impl Report {
    /// Adds a row.
    pub fn push(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// The observations of a row.
    pub fn samples(&self, name: &str) -> Option<&Samples> {
        self.rows.iter().find(|row| row.name == name)?.outcome.as_ref().ok()
    }

    /// Adds an aim about a time.
    pub fn aim_time(&mut self, what: &str, aim: Duration, measured: Duration) {
        let ratio = measured.as_secs_f64() / aim.as_secs_f64();
        self.aim(what, time(aim), time(measured), ratio);
    }

    /// Adds an aim of any kind.
    pub fn aim(&mut self, what: &str, aim: String, measured: String, ratio: f64) {
        self.aims.push(Aim { what: what.to_owned(), aim, measured, ratio });
    }

    /// The table of times.
    pub fn table(&self) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let mut text = String::from("| case | ratio | p50 | p99 | n |\n|---|---:|---:|---:|---:|\n");
        for row in &self.rows {
            text.push_str(&self.line(row));
        }
        text
    }

    fn line(&self, row: &Row) -> String {
        let Row { name, against, outcome, busy } = row;
        match outcome {
            Err(why) => format!("| {name} | {why} | – | – | 0 |\n"),
            Ok(samples) => {
                let unit = self.samples(against).map(|s| s.p50().as_secs_f64());
                let ratio = unit.map_or("–".into(), |unit| times(samples.p50().as_secs_f64() / unit));
                let mark =
                    if *busy > DISTURBED { format!(" † {:.0} %", busy * 100.0) } else { String::new() };
                let (p50, p99) = (time(samples.p50()), time(samples.p99()));
                format!("| {name}{mark} | {ratio} | {p50} | {p99} | {} |\n", samples.count())
            }
        }
    }

    /// The lines of the table of aims, without its head: that table has the aims of every bench.
    pub fn aims(&self) -> String {
        let line = |aim: &Aim| {
            let verdict = if aim.ratio <= 1.0 { "met" } else { "**not met**" };
            format!("| {} | {} | {} | {} | {verdict} |\n", aim.what, aim.aim, aim.measured, times(aim.ratio))
        };
        self.aims.iter().map(line).collect()
    }

    /// Writes `<bench>.md` (the table, then `extra`) and `<bench>.aims`, and prints both.
    pub fn write(&self, out: &Path, bench: &str, extra: &str) -> Result<(), Failure> {
        let text = [self.table().as_str(), extra]
            .into_iter()
            .filter(|t| !t.is_empty())
            .collect::<Vec<_>>()
            .join("\n");
        println!("\n{text}\n{}", self.aims());
        fs::create_dir_all(out).map_err(Failure::io(format!("make {}", out.display())))?;
        for (suffix, text) in [("md", text), ("aims", self.aims())] {
            let path = out.join(format!("{bench}.{suffix}"));
            fs::write(&path, text).map_err(Failure::io(format!("write {}", path.display())))?;
        }
        Ok(())
    }
}

/// A duration with three significant digits.
pub fn time(duration: Duration) -> String {
    let micros = duration.as_secs_f64() * 1e6;
    let (value, unit) = match micros {
        m if m < 1e3 => (m, "µs"),
        m if m < 1e6 => (m / 1e3, "ms"),
        m => (m / 1e6, "s"),
    };
    format!("{} {unit}", digits(value))
}

/// Memory with three significant digits.
pub fn mebibytes(kib: u64) -> String {
    format!("{} MiB", digits(kib as f64 / 1024.0))
}

/// A ratio.
pub fn times(ratio: f64) -> String {
    format!("{}×", digits(ratio))
}

/// A number with three significant digits.
pub fn digits(value: f64) -> String {
    match value {
        v if v < 10.0 => format!("{v:.2}"),
        v if v < 100.0 => format!("{v:.1}"),
        v => format!("{v:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, against: &str, millis: Option<u64>, busy: f64) -> Row {
        let outcome = millis
            .map(|m| Samples::new(vec![Duration::from_millis(m)]).unwrap())
            .ok_or_else(|| "not runnable here: no kernel".to_owned());
        Row { name: name.into(), against: against.into(), outcome, busy }
    }

    #[test]
    fn every_time_has_its_ratio_and_a_reason_stands_where_there_is_none() {
        let mut report = Report::default();
        report.push(row("ours", "ours", Some(4), 0.0));
        report.push(row("theirs", "ours", Some(500), 0.5));
        report.push(row("other", "ours", None, 0.0));
        let table = report.table();
        assert!(table.contains("| ours | 1.00× | 4.00 ms | 4.00 ms | 1 |"), "{table}");
        assert!(table.contains("| theirs † 50 % | 125× | 500 ms | 500 ms | 1 |"), "{table}");
        assert!(table.contains("| other | not runnable here: no kernel | – | – | 0 |"), "{table}");
    }

    #[test]
    fn an_aim_is_met_when_the_measured_value_does_not_exceed_it() {
        let mut report = Report::default();
        report.aim_time("a", Duration::from_millis(5), Duration::from_millis(5));
        report.aim_time("b", Duration::from_millis(5), Duration::from_micros(5200));
        let aims = report.aims();
        assert!(aims.contains("| a | 5.00 ms | 5.00 ms | 1.00× | met |"), "{aims}");
        assert!(aims.contains("| b | 5.00 ms | 5.20 ms | 1.04× | **not met** |"), "{aims}");
    }

    #[test]
    fn numbers_have_three_digits() {
        assert_eq!(time(Duration::from_nanos(850)), "0.85 µs");
        assert_eq!(time(Duration::from_micros(12_345)), "12.3 ms");
        assert_eq!(time(Duration::from_millis(1500)), "1.50 s");
        assert_eq!(mebibytes(10 * 1024), "10.0 MiB");
    }
}
