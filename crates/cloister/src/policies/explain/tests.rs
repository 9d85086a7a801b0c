//! Explanations agree with what is enforced, and the changes that they propose are enough.

use super::*;

/// A policy that is what this one is but for the fields of `change`, in a file of its own that extends nothing.
fn changed(policy: &Policy, change: &str) -> String {
    let table: toml::Table = change.parse().unwrap();
    let mut fields: Vec<(String, String)> =
        policy.describe().into_iter().map(|row| (row.field.to_owned(), row.value)).collect();
    for (section, keys) in table {
        for (key, value) in keys.as_table().unwrap() {
            let name = format!("{section}.{key}");
            fields.retain(|(field, _)| *field != name);
            fields.push((name, value.to_string()));
        }
    }
    fields.into_iter().map(|(field, value)| format!("{field} = {value}\n")).collect()
}

fn requests() -> Vec<Request> {
    let connect = |to: &str, address: Option<&str>| Request::Connect {
        to: to.to_owned(),
        address: address.map(|text| text.parse().unwrap()),
    };
    vec![
        connect("example.com:443", None),
        connect("a.b.example.com:8443", None),
        connect("example.com:22", None),
        connect("intranet:443", None),
        connect("8.8.8.8:443", None),
        connect("[2606:4700::1111]:443", None),
        connect("10.1.2.3:5432", None),
        connect("example.com:443", Some("10.1.2.3")),
        connect("example.com:443", Some("169.254.169.254")),
        connect("169.254.169.254:80", None),
        connect("localhost:80", None),
        connect("user@example.com:443", None),
        Request::Url("https://example.com/a?b=c".into()),
        Request::Url("http://example.com:8080/".into()),
        Request::Url("data:text/html,x".into()),
        Request::Url("file:///etc/passwd".into()),
        Request::Run(Runtime::Python),
        Request::Run(Runtime::Deno),
        Request::Shell,
        Request::Cdp("Input.insertText".into()),
        Request::Cdp("Page.teleport".into()),
        Request::Memory(64 << 20),
        Request::Memory(20 << 30),
        Request::Timeout(std::time::Duration::from_secs(7 * 3600)),
        Request::Timeout(std::time::Duration::from_secs(9 * 3600)),
    ]
}

#[test]
fn the_change_that_is_proposed_allows_what_was_asked_and_only_what_can_be_allowed_has_one() {
    let policies = Policies::embedded();
    let (mut allowed, mut changes, mut never) = (0, 0, 0);
    for policy in policies.all().unwrap() {
        for request in requests() {
            let told = explain(&policies, &policy.name, &request).unwrap();
            assert_eq!(told.allowed, told.change == Change::Nothing, "{told:?}");
            assert!(!told.rule.is_empty() && !told.why.is_empty(), "{told:?}");
            match &told.change {
                Change::Nothing => allowed += 1,
                Change::Never(_) | Change::Other(_) | Change::Cedar(_) => never += 1,
                Change::Toml(text) => {
                    changes += 1;
                    let mut with = policies.clone();
                    with.add("changed", "changed.toml".into(), changed(&policy, text));
                    let after = explain(&with, "changed", &request).unwrap();
                    assert!(after.allowed, "{}: {request}: {text}\n{after:?}", policy.name);
                }
            }
        }
    }
    assert!(allowed > 50 && changes > 50 && never > 50, "{allowed} {changes} {never}");
}

#[test]
fn the_line_that_decided_is_named_through_the_chain() {
    let mut policies = Policies::embedded();
    let top = "[network]\nmode = \"allowlist\"\nallowed_domains = [\n  \"*.example.com\",\n]";
    policies.add("top", "top.toml".into(), top.into());
    policies.add(
        "leaf",
        "leaf.toml".into(),
        "extends = \"top\"\nnetwork.denied_domains = [\"bad.example.com\"]".into(),
    );
    let ask = |to: &str| {
        let request = Request::Connect { to: to.into(), address: None };
        explain(&policies, "leaf", &request).unwrap()
    };
    let good = ask("api.example.com:443");
    assert_eq!((good.place().as_str(), good.value.as_str()), ("top.toml:4", "*.example.com"));
    let denied = ask("bad.example.com:443");
    assert_eq!((denied.place().as_str(), denied.rule.as_str()), ("leaf.toml:2", "network.denied_domains"));
    assert_eq!(ask("api.example.com:22").place(), "built-in default");
    assert_eq!(ask("169.254.169.254:80").place(), "fixed rule");
    assert_eq!(ask("other.org:443").place(), "top.toml:3");
}
