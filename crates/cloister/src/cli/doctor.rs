//! `cloister doctor`: which walls this host can build, which policies that is enough for, and what weakens it.

mod kernel;

use super::Failure;
use super::image::images;
use crate::locate::Installation;
use crate::output::{Cell, Output};
use crate::policies::Policies;
use cloister_core::policy::Policy;
use cloister_jail::probe::{self, Finding};
use kernel::Setting;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Arguments of `cloister doctor`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Folder of built images [default: beside the program, else ~/.cache/cloister/images]
    #[arg(long, value_name = "DIR", env = "CLOISTER_IMAGES")]
    images: Option<PathBuf>,
    /// Folder of policies that is laid over the built-in ones
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
}

/// A part of the installation.
struct Part {
    name: String,
    ok: bool,
    detail: String,
}

/// Whether sessions of one policy can run here, and what stands in the way.
struct Verdict {
    policy: String,
    lacks: Vec<String>,
}

pub(crate) fn run(args: &Args, out: Output) -> Result<ExitCode, Failure> {
    let installation = Installation::current()?;
    let walls = walls(&installation);
    let mut parts = programs(&installation);
    let (built, images) = image_parts(args.images.as_deref(), &installation);
    parts.extend(images);
    let policies = Policies::find(args.policies.as_deref(), &installation)?;
    let all = policies.all()?;
    let complete = parts.iter().all(|part| part.ok || !is_program(&part.name));
    let verdicts: Vec<Verdict> = all.iter().map(|policy| verdict(policy, &walls, &built, complete)).collect();
    let settings = kernel::settings();
    let fit = verdicts.iter().any(|verdict| verdict.policy == "default" && verdict.lacks.is_empty());

    if out.is_json() {
        print_json(&walls, &parts, &verdicts, &settings, fit, out)?;
    } else {
        print_tables(&walls, &parts, &verdicts, &settings, fit, out)?;
    }
    Ok(if fit { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Every wall, built and torn down once. The jail program does it where there is one: it is what will build them later,
/// under the same security profile of the host.
fn walls(installation: &Installation) -> Vec<Finding> {
    let by_program = installation.jail_program().ok().and_then(|program| {
        let output = Command::new(program).arg("probe").env_clear().current_dir("/").output().ok()?;
        serde_json::from_slice(&output.stdout).ok().filter(|_| output.status.success())
    });
    by_program.unwrap_or_else(probe::all)
}

const PROGRAMS: [&str; 2] = ["cloister-jail", "libcloister_jail.so"];

fn is_program(name: &str) -> bool {
    PROGRAMS.contains(&name)
}

fn programs(installation: &Installation) -> Vec<Part> {
    let found = [installation.jail_program(), installation.zygote_library()];
    let parts = PROGRAMS.into_iter().zip(found).map(|(name, found)| match found {
        Ok(path) => Part { name: name.to_owned(), ok: true, detail: path.display().to_string() },
        Err(missing) => Part { name: name.to_owned(), ok: false, detail: missing.to_string() },
    });
    parts.collect()
}

/// The names of usable images, and all of them as parts.
fn image_parts(given: Option<&Path>, installation: &Installation) -> (Vec<String>, Vec<Part>) {
    let missing = |detail: String| (Vec::new(), vec![Part { name: "images".to_owned(), ok: false, detail }]);
    let folder = match given.map_or_else(|| installation.images(), |folder| Ok(folder.to_owned())) {
        Ok(folder) => folder,
        Err(error) => return missing(error.to_string()),
    };
    let found = match images(&folder) {
        Ok(found) if !found.is_empty() => found,
        Ok(_) => {
            return missing(format!(
                "{} is empty; build images with `cloister image build`",
                folder.display()
            ));
        }
        Err(error) => return missing(format!("{}: {error}", folder.display())),
    };
    let built = found.iter().filter(|(_, image)| image.is_ok()).map(|(name, _)| name.clone()).collect();
    let parts = found.into_iter().map(|(name, image)| match image {
        Ok(image) => {
            Part { name: format!("image {name}"), ok: true, detail: image.root.display().to_string() }
        }
        Err(error) => Part { name: format!("image {name}"), ok: false, detail: error.to_string() },
    });
    (built, parts.collect())
}

fn verdict(policy: &Policy, walls: &[Finding], images: &[String], complete: bool) -> Verdict {
    let mut lacks = Vec::new();
    for wall in &policy.isolation.require {
        // A wall that nobody has looked at counts as missing.
        if !walls.iter().any(|finding| finding.wall == wall.name() && finding.ok) {
            lacks.push(format!("wall {}", wall.name()));
        }
    }
    if policy.tier != "process" {
        lacks.push(format!("tier {}", policy.tier));
    }
    if !images.contains(&policy.image) {
        lacks.push(format!("image {}", policy.image));
    }
    if !complete {
        lacks.push("a program of the installation".to_owned());
    }
    Verdict { policy: policy.name.clone(), lacks }
}

fn print_json(
    walls: &[Finding],
    parts: &[Part],
    verdicts: &[Verdict],
    settings: &[Setting],
    fit: bool,
    out: Output,
) -> Result<(), Failure> {
    let parts: Vec<_> =
        parts.iter().map(|p| json!({ "name": p.name, "ok": p.ok, "detail": p.detail })).collect();
    let policies: Vec<_> = verdicts
        .iter()
        .map(|v| json!({ "name": v.policy, "ok": v.lacks.is_empty(), "lacks": v.lacks }))
        .collect();
    let settings: Vec<_> = settings
        .iter()
        .map(|s| json!({ "name": s.name, "value": s.value, "ok": s.remark.is_none(), "remark": s.remark }))
        .collect();
    Ok(out.json(&json!({
        "ok": fit,
        "walls": walls,
        "cgroups": kernel::cgroup_layout(),
        "installation": parts,
        "policies": policies,
        "kernel": settings,
    }))?)
}

fn print_tables(
    walls: &[Finding],
    parts: &[Part],
    verdicts: &[Verdict],
    settings: &[Setting],
    fit: bool,
    out: Output,
) -> Result<(), Failure> {
    let state = |ok: bool, word: &str| if ok { Cell::good("ok") } else { Cell::bad(word) };
    let mut rows: Vec<[Cell; 3]> = Vec::new();
    for finding in walls {
        rows.push([
            finding.wall.as_str().into(),
            state(finding.ok, "missing"),
            finding.detail.as_str().into(),
        ]);
        if !finding.advice.is_empty() {
            rows.push(["".into(), "".into(), Cell::warning(format!("→ {}", finding.advice))]);
        }
    }
    out.table(["WALL", "STATE", "DETAIL"], &rows)?;

    let rows: Vec<[Cell; 3]> = parts
        .iter()
        .map(|part| [part.name.as_str().into(), state(part.ok, "missing"), part.detail.as_str().into()])
        .collect();
    out.line("")?;
    out.table(["INSTALLATION", "STATE", "DETAIL"], &rows)?;

    let rows: Vec<[Cell; 3]> = verdicts
        .iter()
        .map(|verdict| {
            let lacks = if verdict.lacks.is_empty() {
                String::new()
            } else {
                format!("lacks {}", verdict.lacks.join(", "))
            };
            [verdict.policy.as_str().into(), state(verdict.lacks.is_empty(), "cannot run"), lacks.into()]
        })
        .collect();
    out.line("")?;
    out.table(["POLICY", "STATE", "REASON"], &rows)?;

    let mut rows: Vec<[Cell; 3]> = vec![["cgroups".into(), kernel::cgroup_layout().into(), "".into()]];
    rows.extend(settings.iter().map(|setting| {
        let remark = setting.remark.map_or(Cell::from(""), Cell::warning);
        [setting.name.as_str().into(), setting.value.as_str().into(), remark]
    }));
    out.line("")?;
    out.table(["KERNEL", "VALUE", "REMARK"], &rows)?;
    out.line("")?;
    let summary = if fit {
        "sessions can run here"
    } else {
        "sessions under the default policy cannot run here; see above"
    };
    Ok(out.line(summary)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(missing: &str) -> Vec<Finding> {
        let finding = |wall: &str| Finding {
            wall: wall.to_owned(),
            ok: wall != missing,
            detail: String::new(),
            advice: String::new(),
        };
        ["namespaces", "root", "seccomp", "landlock", "cgroup"].map(finding).to_vec()
    }

    #[test]
    fn a_policy_lacks_exactly_what_it_requires_and_the_host_has_not() {
        let policy = Policies::embedded().load("default").unwrap();
        let images = [policy.image.clone()];
        let lacks =
            |walls: &[Finding], images: &[String], complete| verdict(&policy, walls, images, complete).lacks;
        assert_eq!(lacks(&found(""), &images, true), Vec::<String>::new());
        assert_eq!(lacks(&found("seccomp"), &images, true), ["wall seccomp"]);
        assert_eq!(
            lacks(&found("cgroup"), &images, true).is_empty(),
            !policy.isolation.require.iter().any(|w| w.name() == "cgroup")
        );
        assert_eq!(
            lacks(&[], &images, true).len(),
            policy.isolation.require.len(),
            "unknown walls count as missing"
        );
        assert_eq!(lacks(&found(""), &[], true), [format!("image {}", policy.image)]);
        assert_eq!(lacks(&found(""), &images, false).len(), 1);
    }
}
