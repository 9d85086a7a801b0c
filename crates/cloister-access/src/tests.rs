//! The shipped policies against the ladder of roles, and what policies of one's own can do to them.

use crate::{AccessError, Cedar, PolicyFile, load};
use cloister_core::Principal;
use cloister_gateway::{Action, Authorizer, ByRole, Decision, Details, Query, Refused, Resource, Role};
use std::net::IpAddr;
use std::time::Duration;

const SCHEMA: &str = include_str!("../../../policies/access/schema.cedarschema");
const ROLES: &str = include_str!("../../../policies/access/roles.cedar");

fn file(name: &str, text: &str) -> PolicyFile {
    PolicyFile { name: name.into(), text: text.into() }
}

fn loaded(more: &[&str]) -> Result<Cedar, AccessError> {
    let mut files = vec![file("access/roles.cedar", ROLES)];
    files.extend(more.iter().map(|text| file("access/site.cedar", text)));
    Cedar::new(&file("access/schema.cedarschema", SCHEMA), &files)
}

fn ann() -> Principal {
    Principal { tenant: "acme".into(), name: "ann".into() }
}

fn query<'a>(who: &'a Principal, roles: &'a [Role], action: Action, resource: Resource<'a>) -> Query<'a> {
    let details = Details::default();
    Query { principal: who, roles, source: None, time: 1_800_000_000, action, resource, details }
}

fn text(decision: Decision) -> String {
    match decision {
        Decision::Allow => String::new(),
        Decision::Deny(Refused { rule, why, how }) => format!("{why} ({rule}). {how}"),
    }
}

/// The resources that an action is asked with.
fn resources(action: Action) -> Vec<Resource<'static>> {
    let (interpreter, session) = (Resource::Interpreter("aws.codeinterpreter.v1"), Resource::Session("S1"));
    match action {
        Action::StartSession | Action::ForkSession => vec![interpreter, session],
        _ if action.group().is_some() => vec![session],
        _ => vec![Resource::Server, interpreter, session],
    }
}

#[test]
fn the_shipped_policies_say_of_every_action_and_every_set_of_roles_what_the_ladder_says() {
    let (cedar, who) = (loaded(&[]).unwrap(), ann());
    let schema = load::schema(&file("access/schema.cedarschema", SCHEMA)).unwrap();
    let mut asked = 0;
    for bits in 1..8_usize {
        let roles: Vec<Role> = (0..3).filter(|n| bits & (1 << n) != 0).map(|n| Role::ALL[n]).collect();
        for action in Action::ALL.iter().filter(|action| **action != Action::Public) {
            for resource in resources(*action) {
                let query = query(&who, &roles, *action, resource);
                // Put to the schema as well: an action, a resource or a member that it does not know would be an error here.
                cedar.ask_strictly(&query, &schema).unwrap();
                let (ours, ladder) = (cedar.decide(&query), ByRole.decide(&query));
                assert_eq!(ours == Decision::Allow, ladder == Decision::Allow, "{query:?}: {ours:?}");
                asked += 1;
            }
        }
    }
    assert!(asked > 250, "{asked}");
}

#[test]
fn what_nobody_permits_is_denied_and_the_denial_says_whom_to_ask_for_what() {
    let (cedar, who) = (loaded(&[]).unwrap(), ann());
    let denied = text(cedar.decide(&query(&who, &[Role::Viewer], Action::Start, Resource::Server)));
    for part in [
        "no access policy permits it",
        "roles are viewer",
        "`users-use` (access/roles.cedar:18)",
        "role user",
    ] {
        assert!(denied.contains(part), "{part}: {denied}");
    }
    let empty = Cedar::new(&file("schema", SCHEMA), &[]).unwrap();
    assert!(empty.is_empty());
    for action in Action::ALL.iter().filter(|action| **action != Action::Public) {
        let denied = text(empty.decide(&query(&who, &[Role::Admin], *action, resources(*action)[0])));
        assert!(denied.contains("add a policy to access/*.cedar"), "{denied}");
    }
}

#[test]
fn what_one_policy_forbids_no_other_permits_and_the_denial_names_it_with_its_file_and_line() {
    let site = "// ours\n@id(\"no-javascript\")\n@advice(\"use Python\")\nforbid (principal in Tenant::\"acme\", \
                action == Action::\"InvokeCode\", resource)\nwhen { context has language && context.language != \"python\" };\n\
                @id(\"all\") permit (principal, action, resource);";
    let (cedar, who) = (loaded(&[site]).unwrap(), ann());
    let mut asked = query(&who, &[Role::Admin], Action::InvokeCode, Resource::Session("S1"));
    asked.details.language = Some("python");
    assert_eq!(cedar.decide(&asked), Decision::Allow);
    asked.details.language = Some("javascript");
    assert_eq!(
        text(cedar.decide(&asked)),
        "the access policy `no-javascript` (access/site.cedar:2) forbids it (no-javascript). Use Python"
    );
    let other = Principal { tenant: "emca".into(), name: "ann".into() };
    assert_eq!(cedar.decide(&Query { principal: &other, ..asked }), Decision::Allow);
}

#[test]
fn policies_see_limits_hosts_addresses_and_the_time_of_a_request() {
    let site = r#"
        @id("short") forbid (principal, action == Action::"StartSession", resource)
            when { context.requestedLimits has timeout && context.requestedLimits.timeout > 600 };
        @id("hosts") forbid (principal, action == Action::"OpenUrl", resource)
            unless { context has host && context.host like "*.example" };
        @id("inside") forbid (principal, action, resource)
            when { context has sourceIp && !context.sourceIp.isInRange(ip("10.0.0.0/8")) };
        @id("closed") forbid (principal, action, resource) when { context.time >= datetime("2030-01-01") };
        @id("not-bob") forbid (principal == User::"a%2Fb/bob", action, resource);
        @id("one") forbid (principal, action, resource == Interpreter::"secret");
    "#;
    let (cedar, who) = (loaded(&[site]).unwrap(), ann());
    let rule = |asked: &Query<'_>| match cedar.decide(asked) {
        Decision::Allow => String::new(),
        Decision::Deny(denial) => denial.rule,
    };
    let user = [Role::User];
    let mut start = query(&who, &user, Action::StartSession, Resource::Interpreter("x"));
    for (millis, expected) in [(600_000, ""), (600_001, "short"), (u64::MAX, "short")] {
        start.details.timeout = Some(Duration::from_millis(millis));
        assert_eq!(rule(&start), expected, "{millis}");
    }
    let mut open = query(&who, &user, Action::OpenUrl, Resource::Session("S1"));
    for (host, expected) in [(Some("a.example"), ""), (Some("a.test"), "hosts"), (None, "hosts")] {
        open.details.host = host;
        assert_eq!(rule(&open), expected, "{host:?}");
    }
    let mut list = query(&who, &user, Action::ListSessions, Resource::Server);
    for (address, expected) in [("10.1.2.3", ""), ("192.0.2.1", "inside"), ("::1", "inside")] {
        list.source = Some(address.parse::<IpAddr>().unwrap());
        assert_eq!(rule(&list), expected, "{address}");
    }
    list.source = None;
    list.time = 1_893_456_000;
    assert_eq!(rule(&list), "closed");
    let secret = Query {
        resource: Resource::Interpreter("secret"),
        ..query(&who, &user, Action::Start, Resource::Server)
    };
    assert_eq!(rule(&secret), "one");
    let bob = Principal { tenant: "a/b".into(), name: "bob".into() };
    let other = Principal { tenant: "a".into(), name: "b/bob".into() };
    assert_eq!(rule(&query(&bob, &user, Action::ListSessions, Resource::Server)), "not-bob");
    assert_eq!(rule(&query(&other, &user, Action::ListSessions, Resource::Server)), "");
}

#[test]
fn no_text_of_a_caller_is_read_as_policy() {
    let cedar = loaded(&[]).unwrap();
    let schema = load::schema(&file("access/schema.cedarschema", SCHEMA)).unwrap();
    let hostile = [
        "\" in Role::\"admin",
        "a\"; permit(principal,action,resource);",
        "\\u{0}\n\u{202e}",
        "",
        "\u{10ffff}",
    ];
    let long = "x".repeat(1 << 20);
    for text in hostile.into_iter().chain([long.as_str()]) {
        let who = Principal { tenant: text.into(), name: text.into() };
        for (resource, action) in [
            (Resource::Session(text), Action::GetSession),
            (Resource::Interpreter(text), Action::StartSession),
            (Resource::Session(text), Action::OpenUrl),
        ] {
            let roles = [Role::Viewer];
            let mut asked = query(&who, &roles, action, resource);
            asked.details.host = Some(text);
            cedar.ask_strictly(&asked, &schema).unwrap();
            assert_eq!(cedar.decide(&asked) == Decision::Allow, action == Action::GetSession, "{text:.40}");
        }
    }
}

#[test]
fn a_policy_that_is_not_whole_is_refused_with_its_file_and_line() {
    for (policy, place, what) in [
        ("\n\n@id(\"a\") permit (principal, action == , resource);", "access/site.cedar:3: ", ""),
        ("@id(\"a\")\npermit (principal, action == Action::\"Fly\", resource);", "access/site.cedar:", "Fly"),
        (
            "@id(\"a\") permit (principal, action, resource)\nwhen { context.speed > 1 };",
            "access/site.cedar:2: ",
            "speed",
        ),
        (
            "@id(\"a\") permit (principal, action, resource)\nwhen { context.language == \"python\" };",
            "access/site.cedar:2: ",
            "language",
        ),
        ("permit (principal, action, resource);", "access/site.cedar: ", "@id"),
        ("@id(\"a b\") permit (principal, action, resource);", "access/site.cedar: ", "@id"),
        (
            "\n@id(\"users-use\") permit (principal, action, resource);",
            "access/site.cedar:2: ",
            "roles.cedar:18",
        ),
        ("@id(\"a\") permit (principal == ?principal, action, resource);", "access/site.cedar: ", "template"),
    ] {
        let error = loaded(&[policy]).unwrap_err().to_string();
        assert!(error.contains(place) && error.contains(what), "{policy}: {error}");
    }
    let error = Cedar::new(&file("access/schema.cedarschema", "entity"), &[]).unwrap_err();
    assert!(error.to_string().starts_with("access/schema.cedarschema: "), "{error}");
}

#[test]
fn other_policies_are_taken_as_a_whole_and_what_is_different_is_told() {
    let closed = "@id(\"closed\") forbid (principal, action, resource);";
    let (cedar, who) = (loaded(&[closed]).unwrap(), ann());
    let asked = query(&who, &[Role::Viewer], Action::ListSessions, Resource::Server);
    assert_ne!(cedar.decide(&asked), Decision::Allow);
    let open = loaded(&["@id(\"closed\") forbid (principal, action, resource) when { false };"]).unwrap();
    assert_eq!(cedar.differences(&open), ["access policy closed (access/site.cedar:1): changed, it forbids"]);
    let stands = |cedar: &Cedar, id| cedar.find(id).map(|at| (at.file, at.line, at.forbids));
    assert_eq!(stands(&cedar, "closed"), Some(("access/site.cedar".to_owned(), 1, true)));
    assert_eq!(stands(&cedar, "open"), None);
    assert_ne!(cedar.texts(), open.texts());
    cedar.exchange(&open);
    assert_eq!(cedar.texts(), open.texts());
    assert_eq!(cedar.decide(&asked), Decision::Allow);
    assert!(cedar.differences(&open).is_empty());
    assert_eq!(cedar.differences(&loaded(&[]).unwrap()), ["access policy closed: gone"]);
}

#[test]
fn a_policy_that_cannot_be_evaluated_denies() {
    let site = "@id(\"sum\") forbid (principal, action, resource) when { context.requestedLimits has timeout && \
                context.requestedLimits.timeout + 9223372036854775807 == 0 };";
    let (cedar, who) = (loaded(&[site]).unwrap(), ann());
    let mut start = query(&who, &[Role::User], Action::StartSession, Resource::Interpreter("x"));
    assert_eq!(cedar.decide(&start), Decision::Allow);
    start.details.timeout = Some(Duration::from_secs(60));
    assert!(text(cedar.decide(&start)).contains("could not be evaluated"));
}

#[test]
fn every_action_of_the_schema_is_known_and_the_other_way_round() {
    let words: Vec<_> = SCHEMA.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    for action in Action::ALL {
        assert_eq!(words.contains(&action.word()), *action != Action::Public, "{action:?}");
    }
    let declared = SCHEMA.matches("\naction ").count();
    assert!(declared > 0);
    for line in SCHEMA.split("\naction ").skip(1) {
        let names = line.split("appliesTo").next().unwrap();
        let (names, group) = names.split_once(" in ").unwrap_or((names, ""));
        let group = group.trim().trim_matches(['[', ']']);
        for name in names.split(',').map(str::trim) {
            let action = Action::ALL.iter().find(|action| action.word() == name).unwrap();
            assert_eq!(action.group().map_or("", Action::word), group, "{name}");
        }
    }
}

#[test]
#[ignore = "a measurement: cargo test -p cloister-access measure -- --ignored --nocapture"]
fn measure() {
    let (cedar, who) = (loaded(&[]).unwrap(), ann());
    let mut asked =
        query(&who, &[Role::User], Action::InvokeCode, Resource::Session("7ZZZZZZZZZZZZZZZZZZZZZZZZZ"));
    asked.details = Details {
        language: Some("python"),
        runtime: Some("python"),
        timeout: Some(Duration::from_secs(60)),
        ..asked.details
    };
    asked.source = Some(IpAddr::from([127, 0, 0, 1]));
    const ROUNDS: u32 = 20_000;
    let began = std::time::Instant::now();
    for _ in 0..ROUNDS {
        assert_eq!(cedar.decide(&asked), Decision::Allow);
    }
    println!("one decision: {:?}", began.elapsed() / ROUNDS);
}

#[test]
fn what_was_allowed_a_moment_ago_is_not_allowed_when_the_question_the_clock_or_the_policies_differ() {
    let closed = "@id(\"closed\") forbid (principal, action, resource == Session::\"s1\");\n\
                  @id(\"late\") forbid (principal, action, resource) when { context.time > datetime(\"1970-01-01T00:00:10Z\") };";
    let (cedar, who) = (loaded(&[closed]).unwrap(), ann());
    let asked = |id| query(&who, &[Role::User], Action::InvokeCode, Resource::Session(id));
    for _ in 0..3 {
        assert_eq!(cedar.decide(&Query { time: 9, ..asked("s2") }), Decision::Allow);
        assert_ne!(cedar.decide(&Query { time: 9, ..asked("s1") }), Decision::Allow);
        assert_ne!(cedar.decide(&Query { time: 11, ..asked("s2") }), Decision::Allow);
        let viewer = Query { roles: &[Role::Viewer], time: 9, ..asked("s2") };
        assert_ne!(cedar.decide(&viewer), Decision::Allow);
    }
    cedar.exchange(&loaded(&["@id(\"all\") forbid (principal, action, resource);"]).unwrap());
    assert_ne!(cedar.decide(&Query { time: 9, ..asked("s2") }), Decision::Allow);
}
