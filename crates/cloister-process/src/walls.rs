//! Which walls a policy gets on this host: the ones that it requires, or none at all.

use cloister_core::backend::Unavailable;
use cloister_core::policy::{NetworkMode, Policy, Wall};
use cloister_jail::plan::Jail;
use cloister_jail::probe::Finding;

/// Refuses a policy that requires a wall which this host cannot build.
///
/// `what` of the refusal is a wall's name and nothing else, since clients read it; what the kernel said is in the advice, for the log.
pub(crate) fn check(findings: &[Finding], policy: &Policy) -> Result<(), Unavailable> {
    for wall in &policy.isolation.require {
        stands(findings, wall.name())?;
    }
    if jail(findings, policy) == Jail::Container {
        stands(findings, "container")?;
        // What stands in for namespaces there is not optional: without it one wall would be left.
        let required = |wall: Wall| policy.isolation.require.contains(&wall);
        if !required(Wall::Landlock) || !required(Wall::Seccomp) || policy.network.mode != NetworkMode::None {
            return Err(Unavailable {
                what: Wall::Namespaces.name().into(),
                advice: "without them a policy must require landlock and seccomp, and have no network".into(),
            });
        }
    }
    Ok(())
}

/// Namespaces wherever they can be made; the container's walls only where they cannot and the policy does not require them.
pub(crate) fn jail(findings: &[Finding], policy: &Policy) -> Jail {
    let can = findings.iter().any(|f| f.wall == Wall::Namespaces.name() && f.ok);
    let must = policy.isolation.require.iter().any(|w| matches!(w, Wall::Namespaces | Wall::Root));
    if can || must { Jail::Namespaces } else { Jail::Container }
}

/// A wall that nobody has looked at does not stand.
fn stands(findings: &[Finding], wall: &str) -> Result<(), Unavailable> {
    let advice = match findings.iter().find(|f| f.wall == wall) {
        Some(finding) if finding.ok => return Ok(()),
        Some(finding) => format!("{}; {}", finding.detail, finding.advice),
        None => "it has not been probed".into(),
    };
    Err(Unavailable { what: wall.to_owned(), advice })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(missing: &[&str]) -> Vec<Finding> {
        let names = Wall::ALL.iter().map(|wall| wall.name()).chain(["container"]);
        names
            .map(|wall| Finding {
                wall: wall.into(),
                ok: !missing.contains(&wall),
                detail: "create /sys/fs/cgroup/secret: EACCES".into(),
                advice: "run as root".into(),
            })
            .collect()
    }

    fn requiring(walls: &[Wall]) -> Policy {
        let mut policy = Policy::built_in("test");
        policy.isolation.require = walls.to_vec();
        policy
    }

    #[test]
    fn a_required_wall_that_is_missing_or_unknown_refuses_the_policy() {
        for wall in Wall::ALL {
            let refused = check(&findings(&[wall.name()]), &requiring(&Wall::ALL)).unwrap_err();
            assert_eq!(refused.what, wall.name());
            let known: Vec<_> = findings(&[]).into_iter().filter(|f| f.wall != wall.name()).collect();
            assert_eq!(check(&known, &requiring(&Wall::ALL)).unwrap_err().what, wall.name());
        }
        assert!(check(&findings(&[]), &requiring(&Wall::ALL)).is_ok());
    }

    #[test]
    fn a_refusal_names_the_wall_to_the_client_and_the_path_to_the_operator_only() {
        let refused = check(&findings(&["cgroup"]), &requiring(&[Wall::Cgroup])).unwrap_err();
        assert!(!refused.what.contains('/') && refused.advice.contains("/sys/fs/cgroup"), "{refused:?}");
    }

    #[test]
    fn the_containers_walls_need_landlock_and_seccomp_and_no_network() {
        let here = findings(&["namespaces", "root"]);
        let mut policy = requiring(&[Wall::Landlock, Wall::Seccomp]);
        assert_eq!(jail(&here, &policy), Jail::Container);
        assert!(check(&here, &policy).is_ok());
        assert!(check(&findings(&["namespaces", "root", "container"]), &policy).is_err());
        for fewer in [&[Wall::Landlock][..], &[Wall::Seccomp], &[]] {
            assert!(check(&here, &requiring(fewer)).is_err(), "{fewer:?}");
        }
        policy.network.mode = NetworkMode::Open;
        assert!(check(&here, &policy).is_err());
        assert_eq!(jail(&here, &requiring(&[Wall::Root])), Jail::Namespaces, "never silently weaker");
    }
}
