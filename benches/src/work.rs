//! The programs that every case runs, and what they must print.

use std::time::Duration;

/// A program and a part of its output that proves it ran.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Python.
    pub code: &'static str,
    /// Printed when it is done.
    pub expected: &'static str,
}

/// The smallest program with an output.
pub const PRINT: Work = Work { code: "print(40 + 2)", expected: "42" };

/// The smallest real analysis: what a user sees first.
pub const PANDAS: Work = Work {
    code: "import pandas as pd; print(pd.DataFrame({'x':[1,2,3]}).describe())",
    expected: "max    3.0",
};

/// A value and no output, for round trips.
pub const SUM: Work = Work { code: "1+1", expected: "2" };

/// A program that keeps the processor busy, and says how long it took.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// As the tables call it.
    pub name: &'static str,
    /// A `main()` that gives a text.
    source: &'static str,
}

/// Arithmetic, integers, JSON, regular expressions, sorting.
pub const PROGRAMS: [Program; 5] = [
    Program { name: "nbody", source: include_str!("../programs/nbody.py") },
    Program { name: "fannkuch", source: include_str!("../programs/fannkuch.py") },
    Program { name: "json", source: include_str!("../programs/json.py") },
    Program { name: "regex", source: include_str!("../programs/regex.py") },
    Program { name: "sorting", source: include_str!("../programs/sorting.py") },
];

impl Program {
    /// Python that runs it and prints its result and how many nanoseconds it took.
    pub fn timed(self) -> String {
        format!(
            "{}\nimport time\n_t = time.perf_counter_ns()\n_r = main()\nprint('took', time.perf_counter_ns() - _t, _r)\n",
            self.source
        )
    }

    /// What it said: the time, and its result.
    pub fn took(said: &str) -> Option<(Duration, &str)> {
        let rest = said.split_once("took ")?.1;
        let (nanos, result) = rest.split_once(' ')?;
        Some((Duration::from_nanos(nanos.parse().ok()?), result.trim()))
    }
}
