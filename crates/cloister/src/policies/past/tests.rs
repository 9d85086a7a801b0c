//! Denials of every layer are traced to their line, and what is proposed would have let them through.

use super::*;
use cloister_access::PolicyFile;
use cloister_core::denial::DenialId;
use cloister_core::session::forbidden;
use cloister_gateway::{Action, Authorizer as _, Decision, Details, Query, Resource, Role};
use std::time::SystemTime;

fn noted(denial: Denial) -> Noted {
    Noted { id: DenialId::random().unwrap(), at: SystemTime::now(), denial }
}

fn egress(rule: &str, asked: &str) -> Denial {
    Denial::new(Layer::Egress, rule, asked, "it is not in the allow-list", "add it to the list")
}

fn cedar(files: &[(&str, &str)]) -> Cedar {
    let file =
        |(name, text): &(&str, &str)| PolicyFile { name: (*name).to_owned(), text: (*text).to_owned() };
    let schema =
        ("access/schema.cedarschema", include_str!("../../../../../policies/access/schema.cedarschema"));
    let files: Vec<_> = files.iter().map(file).collect();
    Cedar::new(&file(&schema), &files).unwrap()
}

fn told(policies: &Policies, denial: Denial) -> Explained {
    past(policies, &cedar(&[]), &noted(denial)).unwrap()
}

/// The embedded policies, and one more.
fn with(text: &str) -> Policies {
    let mut policies = Policies::embedded();
    policies.add("mine", "mine.toml".into(), text.into());
    policies
}

#[test]
fn a_connection_is_traced_to_the_line_that_refused_and_to_the_change_that_would_not() {
    let policies =
        with("[network]\nmode = 'allowlist'\nallowed_domains = ['a.com']\ndenied_domains = [\n'c.com']");
    let under = |denial: Denial| denial.under(policies.resolve("mine").unwrap().policy.reference());
    let refused = under(egress("network.allowed_domains", "a connection to b.com:443"));
    let one = told(&policies, refused.clone());
    assert_eq!((one.place().as_str(), one.layer), ("mine.toml:3", "egress proxy"));
    assert_eq!(one.change, Change::Toml("[network]\nallowed_domains = [\"a.com\", \"b.com\"]".into()));
    assert!(!one.allowed && !one.why.contains("another one then"), "{one:?}");
    let one = told(&policies, under(egress("network.denied_domains", "a connection to c.com:443")));
    assert_eq!((one.place().as_str(), one.value.as_str()), ("mine.toml:5", "c.com"));

    // Somebody has listened.
    let later = with("[network]\nmode = 'allowlist'\nallowed_domains = ['a.com', 'b.com']");
    let one = told(&later, refused);
    assert!(one.why.contains("the policy was another one then"), "{one:?}");
    assert!(matches!(&one.change, Change::Other(text) if text.starts_with("nothing: ")), "{one:?}");
    // Where a name led is not asked again.
    let address = under(egress("network.allowed_cidrs", "a connection to a.com:443"));
    assert!(
        matches!(told(&policies, address).change, Change::Other(text) if text.contains("add it to the list"))
    );
}

#[test]
fn a_policy_that_has_changed_or_gone_is_told() {
    let policies = Policies::embedded();
    let mut reference = policies.resolve("public").unwrap().policy.reference();
    reference.version = "0".repeat(64);
    let denial = |reference| egress("network.ports", "a connection to a.com:22").under(reference);
    let one = told(&policies, denial(reference.clone()));
    assert!(one.why.contains("another one then") && matches!(one.change, Change::Toml(_)), "{one:?}");
    reference.name = "gone".into();
    let one = told(&policies, denial(reference));
    assert_eq!((one.policy.as_str(), one.origin), ("gone", None));
    assert!(one.why.contains("no policy of this name") && matches!(one.change, Change::Other(_)));
    assert!(told(&policies, egress("x", "y")).policy.is_empty());
}

#[test]
fn a_call_and_a_method_of_a_browser_are_asked_again() {
    let policies = with("extends = 'default'\n[languages]\nshell = false\nruntimes = ['python']");
    let policy = policies.resolve("mine").unwrap().policy;
    let call = super::super::explain::run(cloister_core::command::Runtime::Deno);
    let one = told(&policies, forbidden(&policy, &call).unwrap().under(policy.reference()));
    assert_eq!((one.place().as_str(), one.rule.as_str()), ("mine.toml:4", "languages.runtimes"));
    assert_eq!(one.change, Change::Toml("[languages]\nruntimes = [\"python\", \"deno\"]".into()));

    let cdp = |policy: &str, method: &str| {
        let denial = Denial::new(Layer::Cdp, "cdp.methods", format!("the CDP method {method}"), "no", "ask");
        told(&policies, denial.matched(method).under(policies.resolve(policy).unwrap().policy.reference()))
    };
    let one = cdp("browser-open", "Browser.crash");
    let text = include_str!("../../../../../policies/cdp/methods.json");
    let line = one.origin.as_ref().map(|origin| text.lines().nth(origin.line - 1).unwrap());
    assert!(line.is_some_and(|line| line.contains("\"crash\"")), "{one:?}");
    assert!(matches!(one.change, Change::Never(_)), "{one:?}");
    let one = cdp("browser-readonly", "Input.insertText");
    assert_eq!(one.change, Change::Toml("[browser]\nread_only = false".into()));
    assert!(one.place().contains("browser-readonly.toml:"), "{one:?}");
}

#[test]
fn an_access_policy_is_named_with_its_line_and_the_exception_that_is_proposed_is_enough() {
    let roles = ("access/roles.cedar", include_str!("../../../../../policies/access/roles.cedar"));
    let closed = "\n@id(\"closed\")\nforbid (principal, action == Action::\"StartSession\", resource)\n;";
    let ann = Principal { tenant: "acme".into(), name: "ann".into() };
    let decide = |cedar: &Cedar, action| {
        let (roles, details) = (&[Role::User][..], Details::default());
        let resource = Resource::Interpreter("aws.codeinterpreter.v1");
        let query =
            Query { principal: &ann, roles, source: None, time: 1_800_000_000, action, resource, details };
        cedar.decide(&query)
    };
    let denied = |cedar: &Cedar, action: Action| {
        let Decision::Deny(cloister_gateway::Refused { rule, why, how }) = decide(cedar, action) else {
            panic!("allowed")
        };
        let denial = Denial::new(Layer::Access, rule, action.word(), why, how).owner(&ann);
        past(&Policies::embedded(), cedar, &noted(denial)).unwrap()
    };
    let site = cedar(&[roles, ("access/site.cedar", closed)]);
    let one = denied(&site, Action::StartSession);
    assert_eq!((one.place().as_str(), one.value.as_str()), ("access/site.cedar:2", "forbid"));
    let Change::Cedar(exception) = &one.change else { panic!("{one:?}") };
    let mended = closed.replace("\n;", &format!("\n{exception};"));
    assert_eq!(
        decide(&cedar(&[roles, ("access/site.cedar", &mended)]), Action::StartSession),
        Decision::Allow
    );
    // By then there is none of that name.
    let denial = Denial::new(Layer::Access, "closed", "StartSession", "no", "ask").owner(&ann);
    assert!(told(&Policies::embedded(), denial).why.contains("no access policy of today"));

    let one = denied(&cedar(&[roles]), Action::ReadAudit);
    assert!(one.place().contains("none permits it"), "{one:?}");
    let Change::Cedar(permit) = &one.change else { panic!("{one:?}") };
    assert_eq!(decide(&cedar(&[roles, ("access/site.cedar", permit)]), Action::ReadAudit), Decision::Allow);
    // A name that could end a text is in no proposal.
    let odd = Principal { tenant: "a\"".into(), ..ann.clone() };
    let denial = Denial::new(Layer::Access, "access.default-deny", "ReadAudit", "no", "ask").owner(&odd);
    assert!(matches!(told(&Policies::embedded(), denial).change, Change::Other(_)));
}

#[test]
fn a_quota_names_its_place_in_the_configuration() {
    let who = Principal { tenant: "acme".into(), name: "ann".into() };
    let of = |rule: &str, limit: &str| {
        let denial = Denial::new(Layer::Quota, rule, "a start", "used up", "ask").matched(limit).owner(&who);
        told(&Policies::embedded(), denial)
    };
    let one = of("quotas.principal.sessions", "2");
    assert_eq!((one.value.as_str(), one.layer), ("2", "quotas of the server"));
    assert!(one.place().contains("[quotas]"), "{one:?}");
    let says = |one: &Explained, text: &str| {
        assert!(matches!(&one.change, Change::Other(how) if how.contains(text)), "{one:?}");
    };
    says(&one, "under [quotas.principals.\"acme/ann\"], set sessions to more than 2");
    says(
        &of("quotas.tenant.stored_bytes", "2097152"),
        "under [quotas.tenants.\"acme\"], set stored_mib to more than 2",
    );
}
