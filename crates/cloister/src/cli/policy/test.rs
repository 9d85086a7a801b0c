//! `cloister policy test`: tables of expectations, asked of the policies of this installation.

use super::super::Failure;
use crate::output::{Cell, Output};
use crate::policies::cases::{self, Outcome};
use crate::policies::read;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `cloister policy test`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Folder that is laid over the built-in policies
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    /// Tables of cases, as in policies/cases/
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// 0 if every expectation holds, 1 if one does not.
pub(super) fn run(args: &Args, out: Output) -> Result<ExitCode, Failure> {
    let policies = super::find(args.policies.as_deref())?;
    let mut outcomes: Vec<Outcome> = Vec::new();
    for file in &args.files {
        let asked = cases::run(&policies, &file.display().to_string(), &read(file)?);
        outcomes.extend(asked.map_err(|error| Failure::new(error.to_string()))?);
    }
    let failed = outcomes.iter().filter(|outcome| outcome.wrong.is_some()).count();
    if out.is_json() {
        let cases: Vec<Value> = outcomes
            .iter()
            .map(|outcome| json!({ "ok": outcome.wrong.is_none(), "wrong": outcome.wrong, "answer": outcome.explained.json() }))
            .collect();
        out.json(&json!({ "ok": failed == 0, "failed": failed, "cases": cases }))?;
    } else {
        let rows: Vec<[Cell; 4]> = outcomes
            .iter()
            .map(|Outcome { explained, wrong }| {
                let state = wrong.as_ref().map_or_else(|| Cell::good("ok"), |_| Cell::bad("failed"));
                let said = if explained.allowed { "allowed" } else { "denied" };
                let said = format!("{said} by {} ({})", explained.rule, explained.place());
                let said = wrong.as_ref().map_or(said.clone(), |wrong| format!("{wrong}; {said}"));
                [state, explained.policy.clone().into(), explained.asked.clone().into(), said.into()]
            })
            .collect();
        out.table(["STATE", "POLICY", "CASE", "ANSWER"], &rows)?;
        out.line(&format!("{} of {} cases hold", outcomes.len() - failed, outcomes.len()))?;
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
