//! `cloister policy`: what sessions may do, checked and shown.

use super::Failure;
use crate::locate::Installation;
use crate::output::{Cell, Output};
use crate::policies::{Policies, read, stem};
use cloister_core::policy::Resolved;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;

/// `cloister policy …`
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    /// Check policy files, or all policies of this installation
    Check(Check),
    /// Print a policy with every field, or the list of policies
    Show(Show),
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
    }
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
                let warnings = warnings(&resolved);
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

/// Domain suffixes under which anybody can have a host of their own: to allow all of one is to allow the whole internet.
const SHARED_SUFFIXES: [&str; 12] = [
    "amazonaws.com",
    "appspot.com",
    "azurewebsites.net",
    "blob.core.windows.net",
    "cloudfront.net",
    "github.io",
    "herokuapp.com",
    "netlify.app",
    "pages.dev",
    "storage.googleapis.com",
    "vercel.app",
    "workers.dev",
];

/// What is legal and probably not meant.
fn warnings(resolved: &Resolved) -> Vec<String> {
    let network = &resolved.policy.network;
    let mut warnings = Vec::new();
    for domain in &network.allowed_domains {
        let Some(suffix) = domain.strip_prefix("*.") else { continue };
        if !suffix.contains('.') {
            warnings.push(format!("network.allowed_domains: {domain} allows a whole top-level domain"));
        } else if SHARED_SUFFIXES.contains(&suffix) {
            warnings
                .push(format!("network.allowed_domains: {domain}: anybody can have a host below {suffix}"));
        }
    }
    for range in &network.allowed_cidrs {
        if range.starts_with("127.") || range.starts_with("::1/") {
            warnings.push(format!(
                "network.allowed_cidrs: {range} reaches every service that listens on this machine"
            ));
        } else if range.ends_with("/0") {
            warnings.push(format!(
                "network.allowed_cidrs: {range} takes the protection off every private network"
            ));
        }
    }
    warnings
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

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_core::policy::Sources;

    fn warned(network: &str) -> Vec<String> {
        let mut sources = Sources::new();
        sources.add("x", "x.toml", format!("[network]\nmode = 'allowlist'\n{network}"));
        warnings(&sources.resolve("x").unwrap())
    }

    #[test]
    fn a_suffix_that_anybody_can_have_a_host_under_is_warned_about() {
        assert_eq!(
            warned("allowed_domains = ['packages.example', '*.packages-files.example']"),
            Vec::<String>::new()
        );
        for bad in ["*.com", "*.amazonaws.com", "*.github.io"] {
            assert_eq!(warned(&format!("allowed_domains = ['{bad}']")).len(), 1, "{bad}");
        }
    }

    #[test]
    fn ranges_that_reach_this_machine_or_everything_are_warned_about() {
        for bad in ["127.0.0.0/8", "0.0.0.0/0", "::/0"] {
            let text = format!("allowed_domains = ['a.com']\nallowed_cidrs = ['{bad}']");
            assert_eq!(warned(&text).len(), 1, "{bad}");
        }
    }
}
