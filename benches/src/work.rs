//! The programs that every case runs, and what they must print.

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
