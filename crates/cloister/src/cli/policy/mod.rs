//! `cloister policy`: what sessions may do, checked and shown.

mod diff;
mod explain;
mod learn;
mod lint;
mod past;
mod reload;
mod test;

use super::Failure;
use crate::locate::Installation;
use crate::output::{Cell, Output};
use crate::policies::lint::{Finding, lint};
use crate::policies::{Policies, read, stem};
use cloister_core::policy::Resolved;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// `cloister policy …`
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    /// Check policy files, or all policies of this installation
    #[command(visible_alias = "validate")]
    Check(Check),
    /// Print a policy with every field, or the list of policies
    Show(Show),
    /// Say whether a policy allows something, or why something was refused: which line of which file says so, and what would allow it
    Explain(Box<explain::Args>),
    /// Say in what two policies differ, widened rights first
    Diff(diff::Args),
    /// Ask tables of expectations
    Test(test::Args),
    /// Say what is legal and probably not meant
    Lint(lint::Args),
    /// Propose the smallest policy under which a recorded run could have done what it did
    Learn(learn::Args),
    /// Have the running server read its policies again
    Reload(reload::Args),
    /// Print the JSON Schema of policy files
    Schema,
}

/// Arguments of `cloister policy check`.
#[derive(clap::Args, Debug)]
pub(crate) struct Check {
    /// Folder that is laid over the built-in policies
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    /// Files to check; they may extend the policies of the installation and each other
    files: Vec<PathBuf>,
}

/// Arguments of `cloister policy show`.
#[derive(clap::Args, Debug)]
pub(crate) struct Show {
    /// Folder that is laid over the built-in policies
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    /// Also say what each field is for
    #[arg(long, requires = "name")]
    explain: bool,
    /// Name of the policy
    name: Option<String>,
}

pub(crate) fn run(command: Command, out: Output) -> Result<ExitCode, Failure> {
    match command {
        Command::Check(args) => check(&args, out),
        Command::Show(args) => show(&args, out).map(|()| ExitCode::SUCCESS),
        Command::Explain(args) => explain::run(*args, out),
        Command::Diff(args) => diff::run(&args, out),
        Command::Test(args) => test::run(&args, out),
        Command::Lint(args) => lint::run(&args, out),
        Command::Learn(args) => learn::run(&args, out).map(|()| ExitCode::SUCCESS),
        Command::Reload(args) => reload::run(args, out),
        Command::Schema => Ok(out.json(&cloister_core::policy::schema()).map(|()| ExitCode::SUCCESS)?),
    }
}

/// The policies of this installation, or of a folder laid over them.
fn find(folder: Option<&Path>) -> Result<Policies, Failure> {
    Ok(Policies::find(folder, &Installation::current()?)?)
}

fn check(args: &Check, out: Output) -> Result<ExitCode, Failure> {
    let mut policies = Policies::find(args.policies.as_deref(), &Installation::current()?)?;
    let mut names = Vec::new();
    for file in &args.files {
        let name = stem(file);
        policies.add(&name, file.display().to_string(), read(file)?);
        names.push(name);
    }
    if names.is_empty() {
        names = policies.names();
    }
    let (mut rows, mut items, mut fine) = (Vec::<[Cell; 3]>::new(), Vec::new(), true);
    for name in names {
        match policies.resolve(&name) {
            Ok(resolved) => {
                let warnings: Vec<_> = lint(&policies, &name, None)?.iter().map(Finding::text).collect();
                items
                    .push(json!({ "name": name, "ok": true, "chain": resolved.chain, "warnings": warnings }));
                let chain = resolved.chain.join(" < ");
                rows.push([
                    chain.into(),
                    Cell::good("ok"),
                    warnings.first().cloned().map_or("".into(), Cell::warning),
                ]);
                rows.extend(warnings.into_iter().skip(1).map(|w| ["".into(), "".into(), Cell::warning(w)]));
            }
            Err(error) => {
                fine = false;
                let text = error.to_string();
                items
                    .push(json!({ "name": name, "ok": false, "problems": text.lines().collect::<Vec<_>>() }));
                for (at, line) in text.lines().enumerate() {
                    let (name, state) =
                        if at == 0 { (name.as_str(), Cell::bad("refused")) } else { ("", "".into()) };
                    rows.push([name.into(), state, line.into()]);
                }
            }
        }
    }
    if out.is_json() {
        out.json(&json!({ "ok": fine, "policies": items }))?;
    } else {
        out.table(["POLICY", "STATE", "REMARKS"], &rows)?;
    }
    Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn show(args: &Show, out: Output) -> Result<(), Failure> {
    let policies = Policies::find(args.policies.as_deref(), &Installation::current()?)?;
    match &args.name {
        Some(name) => show_one(&policies, name, args.explain, out),
        None => show_list(&policies, out),
    }
}

fn show_one(policies: &Policies, name: &str, explain: bool, out: Output) -> Result<(), Failure> {
    let Resolved { policy, ceiling, chain } = policies.resolve(name)?;
    let fields = policy.describe();
    if out.is_json() {
        let fields: Vec<Value> = fields
            .iter()
            .map(|row| {
                json!({ "field": row.field, "value": row.value, "default": row.default, "what": row.what, "stops": row.attack })
            })
            .collect();
        return Ok(out.json(&json!({
            "name": policy.name,
            "description": policy.description,
            "ceiling": ceiling,
            "chain": chain,
            "fields": fields,
        }))?);
    }
    out.line(&format!("{}: {}", chain.join(" < "), policy.description))?;
    let value =
        |value: &str, default: &str| if value == default { Cell::from(value) } else { Cell::warning(value) };
    if explain {
        let rows: Vec<[Cell; 3]> = fields
            .iter()
            .map(|row| {
                [
                    row.field.into(),
                    value(&row.value, &row.default),
                    format!("{} {}", row.what, row.attack).into(),
                ]
            })
            .collect();
        return Ok(out.table(["FIELD", "VALUE", "WHAT IT IS FOR"], &rows)?);
    }
    let rows: Vec<[Cell; 3]> = fields
        .iter()
        .map(|row| [row.field.into(), value(&row.value, &row.default), row.default.as_str().into()])
        .collect();
    Ok(out.table(["FIELD", "VALUE", "DEFAULT"], &rows)?)
}

fn show_list(policies: &Policies, out: Output) -> Result<(), Failure> {
    let (mut rows, mut items) = (Vec::<[Cell; 5]>::new(), Vec::new());
    for name in policies.names() {
        match policies.resolve(&name) {
            Ok(Resolved { policy, ceiling, .. }) => {
                items.push(json!({ "name": name, "description": policy.description, "ceiling": ceiling }));
                let kind = if ceiling { "ceiling" } else { "policy" };
                rows.push([
                    name.into(),
                    kind.into(),
                    policy.image.into(),
                    policy.network.mode.name().into(),
                    policy.description.into(),
                ]);
            }
            Err(error) => {
                items.push(json!({ "name": name, "error": error.to_string() }));
                let first = error.to_string().lines().next().unwrap_or_default().to_owned();
                rows.push([name.into(), Cell::bad("broken"), "".into(), "".into(), first.into()]);
            }
        }
    }
    if out.is_json() {
        return Ok(out.json(&json!({ "policies": items }))?);
    }
    Ok(out.table(["NAME", "KIND", "IMAGE", "NETWORK", "DESCRIPTION"], &rows)?)
}
