//! `cloister policy diff`: in what two policies differ, widened rights first.

use super::super::Failure;
use crate::output::{Cell, Output};
use crate::policies::diff::{Way, diff};
use crate::policies::{read, stem};
use cloister_core::policy::Policy;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Arguments of `cloister policy diff`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Folder that is laid over the built-in policies
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    /// Name of a policy, or a file
    old: String,
    /// Name of a policy, or a file
    new: String,
}

/// 0 if nothing is wider, 1 if something is.
pub(super) fn run(args: &Args, out: Output) -> Result<ExitCode, Failure> {
    let folder = args.policies.as_deref();
    let (old, new) = (load(folder, &args.old)?, load(folder, &args.new)?);
    let changes = diff(&old, &new);
    let wider = changes.iter().any(|change| change.way == Way::Wider);
    if out.is_json() {
        let changes: Vec<Value> = changes
            .iter()
            .map(|c| json!({ "field": c.field, "way": c.way.word(), "old": c.old, "new": c.new }))
            .collect();
        out.json(&json!({ "old": args.old, "new": args.new, "wider": wider, "changes": changes }))?;
    } else if changes.is_empty() {
        out.line(&format!("{} and {} are the same", args.old, args.new))?;
    } else {
        let rows: Vec<[Cell; 4]> = changes
            .into_iter()
            .map(|change| {
                let way = match change.way {
                    Way::Wider => Cell::bad("wider"),
                    Way::Narrower => Cell::good("narrower"),
                    Way::Other => "other".into(),
                };
                [way, change.field.into(), change.old.into(), change.new.into()]
            })
            .collect();
        out.table(["CHANGE", "FIELD", "OLD", "NEW"], &rows)?;
    }
    Ok(if wider { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Each in policies of its own: two files may have one name.
fn load(folder: Option<&Path>, given: &str) -> Result<Policy, Failure> {
    let mut policies = super::find(folder)?;
    let path = Path::new(given);
    if !(given.contains('/') || path.extension().is_some_and(|e| e == "toml")) {
        return Ok(policies.resolve(given)?.policy);
    }
    let name = stem(path);
    policies.add(&name, given.to_owned(), read(path)?);
    Ok(policies.resolve(&name)?.policy)
}
