//! Runs the cases of one bench: waits for quiet, lets criterion measure, keeps every observation, and writes the tables.

use crate::alternatives::Tried;
use crate::failure::Failure;
use crate::quiet::Gate;
use crate::report::{Report, Row};
use crate::samples::Samples;
use criterion::{Criterion, SamplingMode};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Criterion's own minimum; a case with fewer observations (one that takes many seconds) is measured without it.
const CRITERION_LEAST: usize = 10;
/// Up to this number, each observation is a sample of its own.
const ONE_BY_ONE: usize = 300;
/// Batches of more than that. Before each, the bench waits for a quiet moment.
const BATCHES: usize = 100;

/// One bench.
pub struct Run {
    bench: &'static str,
    criterion: Criterion,
    /// Batches in which many observations are taken.
    batches: usize,
    /// What has been measured so far.
    pub report: Report,
}

/// What to measure.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// The row's name.
    pub name: &'a str,
    /// The row that the ratio refers to.
    pub against: &'a str,
    /// About how many observations to take. Divided by 10 if `CLOISTER_BENCH_QUICK` is set.
    pub samples: usize,
}

impl Run {
    /// Takes a bench from its beginning to its tables. `work` returns Markdown that follows the table.
    pub fn bench(bench: &'static str, work: impl FnOnce(&mut Self) -> Result<String, Failure>) -> ExitCode {
        let criterion = Criterion::default().configure_from_args();
        let mut run = Self { bench, criterion, batches: BATCHES, report: Report::default() };
        let done = work(&mut run).and_then(|extra| run.report.write(&out(), run.bench, &extra));
        run.criterion.final_summary();
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                eprintln!("{bench}: {failure}");
                ExitCode::FAILURE
            }
        }
    }

    /// Measures one case. `work` takes one observation: whatever it does outside the duration that it returns is not measured.
    ///
    /// A failure ends the bench: a table with half of its cases would look like one with all of them.
    pub fn case(
        &mut self,
        case: Case<'_>,
        work: impl FnMut() -> Result<Duration, Failure>,
    ) -> Result<(), Failure> {
        let mut gate = Gate::new();
        let observed = self.observe(case, &mut gate, work)?;
        let busy = gate.busy();
        // Without observations it was left out by the filter on the command line.
        if let Some(samples) = Samples::new(observed) {
            let (name, against) = (case.name.to_owned(), case.against.to_owned());
            self.report.push(Row { name, against, outcome: Ok(samples), busy });
        }
        Ok(())
    }

    /// The same in a loop: ten batches, each without a pause between its observations, so that the processors stay awake. For what
    /// programs ask for one after the other, and for times that are shorter than the waking of a processor.
    pub fn looped(
        &mut self,
        case: Case<'_>,
        work: impl FnMut() -> Result<Duration, Failure>,
    ) -> Result<(), Failure> {
        self.try_looped(case, Ok(work), |work| work())
    }

    /// The same for something that may not run on this host: then the row says why.
    pub fn try_case<T>(
        &mut self,
        case: Case<'_>,
        tried: Tried<T>,
        mut work: impl FnMut(&mut T) -> Result<Duration, Failure>,
    ) -> Result<(), Failure> {
        match tried {
            Ok(mut made) => self.case(case, || work(&mut made)),
            Err(why) => {
                let (name, against) = (case.name.to_owned(), case.against.to_owned());
                self.report.push(Row { name, against, outcome: Err(why), busy: 0.0 });
                Ok(())
            }
        }
    }

    /// [`Self::looped`] for something that may not run on this host.
    pub fn try_looped<T>(
        &mut self,
        case: Case<'_>,
        tried: Tried<T>,
        work: impl FnMut(&mut T) -> Result<Duration, Failure>,
    ) -> Result<(), Failure> {
        self.batches = CRITERION_LEAST;
        let done = self.try_case(case, tried, work);
        self.batches = BATCHES;
        done
    }

    fn observe(
        &mut self,
        case: Case<'_>,
        gate: &mut Gate,
        mut work: impl FnMut() -> Result<Duration, Failure>,
    ) -> Result<Vec<Duration>, Failure> {
        let wanted = wanted(case.samples);
        // The first observations meet cold caches, and are thrown away.
        let expected = work()?.min(work()?);
        if wanted < CRITERION_LEAST {
            let gated = |_| {
                gate.pass();
                work()
            };
            return (0..wanted).map(gated).collect();
        }
        // Few observations are criterion's samples one by one, so that their number is known; many are taken in batches.
        let looped = self.batches < BATCHES;
        let (sample_size, measurement) = match u32::try_from(wanted) {
            Ok(many) if looped || wanted > ONE_BY_ONE => (self.batches, expected * many),
            _ => (wanted, Duration::from_nanos(1)),
        };
        let mut group = self.criterion.benchmark_group(self.bench);
        group.sampling_mode(SamplingMode::Flat).sample_size(sample_size);
        // In a loop, long enough for criterion to see how long an observation takes once the processors are awake.
        let warm_up = Duration::from_millis(if looped { 500 } else { 1 });
        group.warm_up_time(warm_up).measurement_time(measurement);
        let mut calls: Vec<Vec<Duration>> = Vec::new();
        let mut failed = None;
        group.bench_function(case.name, |bencher| {
            bencher.iter_custom(|iterations| {
                gate.pass();
                let mut call = Vec::new();
                for _ in 0..iterations {
                    match failed.is_none().then(&mut work) {
                        Some(Ok(took)) => call.push(took),
                        Some(Err(failure)) => failed = Some(failure),
                        None => break,
                    }
                }
                let total = call.iter().sum();
                calls.push(call);
                // Criterion cannot be told to stop, and does not take zero for an answer.
                if failed.is_none() { total } else { Duration::from_millis(iterations) }
            });
        });
        group.finish();
        match failed {
            Some(failure) => Err(failure),
            // The calls before the last `sample_size` ones were criterion's warm-up.
            None => Ok(calls.split_off(calls.len().saturating_sub(sample_size)).concat()),
        }
    }
}

/// The number of observations, unless a quick look is all that is wanted.
pub fn wanted(samples: usize) -> usize {
    let quick = std::env::var_os("CLOISTER_BENCH_QUICK").is_some_and(|value| !value.is_empty());
    if quick { (samples / 10).max(2) } else { samples }
}

/// Where tables go: `CLOISTER_BENCH_OUT`, or `cloister-bench` in cargo's target folder.
fn out() -> PathBuf {
    let target = || Some(std::env::current_exe().ok()?.ancestors().nth(3)?.to_owned());
    let given = std::env::var_os("CLOISTER_BENCH_OUT").map(PathBuf::from);
    given.unwrap_or_else(|| target().unwrap_or_default().join("cloister-bench"))
}
