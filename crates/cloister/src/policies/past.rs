//! Why something was refused in the past: a denial that was noted, traced to the line of today's files and to the narrowest change
//! that would allow it.
//!
//! ```text
//!   Noted ─▶ by its layer: the same question once more, to today's policies ─▶ file:line, change ─▶ Explained
//!                          └─ nothing to ask again (a limit, a quota) ─▶ what was noted, and where its rule stands
//! ```

use super::explain::{Change, Explained, NO_PERMIT, explain};
use super::request::{Request, runtime};
use super::{Policies, PoliciesError};
use cloister_access::{Cedar, Standing};
use cloister_core::Principal;
use cloister_core::denial::{Denial, Layer, Noted};
use cloister_core::policy::{Field, Origin};

/// A denial in the form of an answer to a hypothetical request. The decision is the recorded one; line and change are those of the
/// policies of today, which `why` says if they are not the same any more.
pub(crate) fn past(policies: &Policies, access: &Cedar, noted: &Noted) -> Result<Explained, PoliciesError> {
    let Denial { layer, rule, asked, why, matched, policy, .. } = &noted.denial;
    let told = Explained {
        policy: policy.as_ref().map(|policy| policy.name.clone()).unwrap_or_default(),
        asked: asked.clone(),
        allowed: false,
        rule: rule.clone(),
        value: matched.clone().unwrap_or_default(),
        origin: None,
        layer: by(*layer, rule),
        why: why.clone(),
        change: Change::Other(noted.how()),
    };
    Ok(match layer {
        Layer::Access => by_access(access, &noted.denial, told),
        Layer::Quota => Explained { change: more(rule, matched.as_deref(), noted), ..told },
        _ => under_policy(policies, noted, told)?,
    })
}

/// What enforces a rule of a layer.
fn by(layer: Layer, rule: &str) -> &'static str {
    match (layer, Field::find(rule)) {
        (Layer::Access, _) => "gateway, by access policies",
        (Layer::Quota, _) => "quotas of the server",
        (_, Some(field)) => field.by,
        (Layer::Cdp, None) => "browser broker",
        (Layer::Egress, None) => "egress proxy",
        (other, None) => other.name(),
    }
}

/// A rule of a session's policy: what its enforcing code says today knows the line and the change.
fn under_policy(policies: &Policies, noted: &Noted, mut told: Explained) -> Result<Explained, PoliciesError> {
    let Some(then) = &noted.denial.policy else { return Ok(told) };
    let name = then.name.as_str();
    if !policies.names().iter().any(|known| known == name) {
        told.why.push_str("; there is no policy of this name any more");
        return Ok(told);
    }
    let today = policies.resolve(name)?.policy;
    if then.version != today.reference().version {
        told.why.push_str("; the policy was another one then, or was narrowed for the session");
    }
    let rule = noted.denial.rule.as_str();
    let item = noted.denial.matched.as_deref();
    told.origin = policies.origin(name, rule, item).or_else(|| policies.origin(name, rule, None));
    if told.value.is_empty() {
        let row = today.describe().into_iter().find(|row| row.field == rule);
        told.value = row.map_or_else(String::new, |row| row.value);
    }
    let Some(request) = again(&noted.denial) else { return Ok(told) };
    let now = explain(policies, name, &request)?;
    // A name is judged without where it leads to, so a refusal of the address is not contradicted by what is said of the name.
    let by_name = matches!(
        rule,
        "network.mode"
            | "network.allowed_domains"
            | "network.denied_domains"
            | "network.ports"
            | "languages.runtimes"
            | "languages.shell"
            | "packages.allow"
            | "packages.deny"
            | "cdp.methods"
            | "browser.read_only"
    );
    if !now.allowed && (now.rule == rule || noted.denial.layer == Layer::Cdp) {
        let Explained { rule, value, origin, layer, change, .. } = now;
        return Ok(Explained { rule, value, origin, layer, change, ..told });
    }
    if now.allowed && by_name && noted.denial.layer != Layer::Cdp {
        told.change = Change::Other(format!("nothing: the policy of today allows it ({})", now.place()));
    }
    Ok(told)
}

/// The request that was refused, where it is one that can be asked about.
fn again(denial: &Denial) -> Option<Request> {
    let last = denial.asked.rsplit(' ').next()?;
    match (denial.layer, denial.rule.as_str()) {
        (Layer::Egress, _) if last.contains(':') => {
            Some(Request::Connect { to: last.to_owned(), address: None })
        }
        (Layer::Policy, "languages.runtimes") => runtime(last).ok().map(Request::Run),
        (Layer::Policy, "languages.shell") => Some(Request::Shell),
        // The index's own answers begin with the name that was asked for.
        (Layer::Package, _) => denial.why.split_once(": ").map(|(name, _)| Request::Package(name.to_owned())),
        (Layer::Cdp, _) => denial.matched.clone().map(Request::Cdp),
        (Layer::Filesystem, "filesystem.workspace") => denial
            .asked
            .strip_prefix("a change in ")
            .or_else(|| denial.asked.strip_prefix("access to a file in "))
            .filter(|path| path.starts_with('/'))
            .map(|path| Request::Write(path.to_owned())),
        _ => None,
    }
}

/// An access policy: where it stands, and the exception for whoever was refused.
fn by_access(access: &Cedar, denial: &Denial, mut told: Explained) -> Explained {
    let (id, action) = (denial.rule.as_str(), denial.asked.as_str());
    let who = denial.owner.as_ref().and_then(literal);
    match access.find(id) {
        Some(Standing { file, line, forbids: true }) => {
            told.value = "forbid".to_owned();
            if let Some(who) = who {
                told.change = Change::Cedar(format!(
                    "// at the end of {id} ({file}:{line}), before its semicolon\n\
                     unless {{ principal == {who} && action in Action::\"{action}\" }}"
                ));
            }
            told.origin = Some(Origin { policy: id.to_owned(), file, line });
        }
        None if id == NO_PERMIT => {
            if let Some(who) = who {
                told.change = Change::Cedar(format!(
                    "// in a file access/*.cedar, with an id of its own\n\
                     @id(\"site.{action}\")\npermit (principal == {who}, action in Action::\"{action}\", resource);"
                ));
            }
        }
        // An evaluation that failed has no policy.
        None if id.starts_with("access.") => {}
        Some(_) | None => told.why.push_str("; no access policy of today forbids under this name"),
    }
    told
}

/// A caller as Cedar writes it; `None` for a name that would need to be escaped.
fn literal(who: &Principal) -> Option<String> {
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-@:+".contains(&b));
    let Principal { tenant, name } = who;
    (plain(tenant) && plain(name)).then(|| format!("User::\"{tenant}/{name}\""))
}

/// A quota: which line of the configuration would have to say more than what.
fn more(rule: &str, limit: Option<&str>, noted: &Noted) -> Change {
    let mut parts = rule.strip_prefix("quotas.").unwrap_or_default().split('.');
    let (Some(scope), Some(quota), Some(limit)) = (parts.next(), parts.next(), limit) else {
        return Change::Other(noted.how());
    };
    let one = match (scope, &noted.denial.owner) {
        ("principal", Some(Principal { tenant, name })) => format!("[quotas.principals.\"{tenant}/{name}\"]"),
        ("principal", None) => "[quotas.principals.\"TENANT/NAME\"]".to_owned(),
        (_, Some(Principal { tenant, .. })) => format!("[quotas.tenants.\"{tenant}\"]"),
        _ => "[quotas.tenants.NAME]".to_owned(),
    };
    // The configuration counts recordings in MiB.
    let mib = limit.parse::<u64>().map(|bytes| (bytes >> 20).to_string()).ok();
    let (quota, limit) = match (quota, &mib) {
        ("stored_bytes", Some(mib)) => ("stored_mib", mib.as_str()),
        (other, _) => (other, limit),
    };
    Change::Other(format!(
        "in the server's configuration, under {one}, set {quota} to more than {limit}, and start the server again"
    ))
}

#[cfg(test)]
mod tests;
