//! `cloister policy lint`: what is legal and probably not meant.

use super::super::Failure;
use crate::config::Config;
use crate::output::{Cell, Output};
use crate::policies::lint::{Finding, lint};
use crate::policies::{read, stem};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `cloister policy lint`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Folder that is laid over the built-in policies
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    /// Configuration of the server, for where its secrets are bound to
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Names of policies, or files; all policies of the installation if none is given
    given: Vec<String>,
}

/// 0 if there is nothing to be said, 1 if there is.
pub(super) fn run(args: &Args, out: Output) -> Result<ExitCode, Failure> {
    let mut policies = super::find(args.policies.as_deref())?;
    let mut names = Vec::new();
    for given in &args.given {
        if given.contains('/') || given.ends_with(".toml") {
            let path = PathBuf::from(given);
            policies.add(&stem(&path), given.clone(), read(&path)?);
            names.push(stem(&path));
        } else {
            names.push(given.clone());
        }
    }
    if names.is_empty() {
        names = policies.names();
    }
    let config = args.config.as_deref().map(Config::load).transpose()?;
    let bound = config.as_ref().map(|config| &config.secrets);
    let mut all: Vec<(String, Vec<Finding>)> = Vec::new();
    for name in names {
        let found = lint(&policies, &name, bound)?;
        all.push((name, found));
    }
    let fine = all.iter().all(|(_, found)| found.is_empty());
    if out.is_json() {
        let findings: Vec<Value> =
            all.iter().flat_map(|(name, found)| found.iter().map(move |one| value(name, one))).collect();
        out.json(&json!({ "findings": findings }))?;
    } else if fine {
        out.line("nothing to be said")?;
    } else {
        let rows: Vec<[Cell; 4]> = all
            .iter()
            .flat_map(|(name, found)| found.iter().map(move |one| (name, one)))
            .map(|(name, one)| {
                let place = one
                    .origin
                    .as_ref()
                    .map_or_else(|| name.clone(), |origin| format!("{}:{}", origin.file, origin.line));
                [place.into(), Cell::warning(one.id), one.text().into(), one.advice.into()]
            })
            .collect();
        out.table(["PLACE", "ID", "WHAT", "WHAT TO DO"], &rows)?;
    }
    Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn value(policy: &str, finding: &Finding) -> Value {
    let Finding { id, field, item, origin, reason, advice } = finding;
    json!({
        "policy": policy,
        "id": id,
        "field": field,
        "item": (!item.is_empty()).then_some(item),
        "file": origin.as_ref().map(|origin| &origin.file),
        "line": origin.as_ref().map(|origin| origin.line),
        "reason": reason,
        "advice": advice,
    })
}
