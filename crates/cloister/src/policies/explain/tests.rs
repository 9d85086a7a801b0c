//! Explanations agree with what is enforced, and the changes that they propose are enough.

use super::*;

/// A policy that is what this one is but for the fields of `change`, in a file of its own that extends nothing.
fn changed(policy: &Policy, change: &str) -> String {
    let table: toml::Table = change.parse().unwrap();
    let mut fields: Vec<(String, String)> =
        policy.describe().into_iter().map(|row| (row.field.to_owned(), row.value)).collect();
    let mut set = |name: String, value: &toml::Value| {
        fields.retain(|(field, _)| *field != name);
        fields.push((name, value.to_string()));
    };
    for (section, keys) in table {
        match keys.as_table() {
            Some(keys) => keys.iter().for_each(|(key, value)| set(format!("{section}.{key}"), value)),
            None => set(section, &keys),
        }
    }
    fields.into_iter().map(|(field, value)| format!("{field} = {value}\n")).collect()
}

/// One that the configuration binds to one host.
fn secret(to: &str) -> Request {
    let config = toml::from_str("file = '/no/such/file'\nhosts = ['api.example.com']").unwrap();
    Request::Secret { name: "API_KEY".into(), to: to.into(), config: Some(config) }
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
        Request::Package("NumPy".into()),
        Request::Package("numpy-2.1.0.tar.gz".into()),
        secret("api.example.com"),
        secret("other.example.com"),
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

/// Policy, request, and what is said: allowed, rule, a part of the reason, a part of the change.
fn says(policies: &Policies, request: &Request) -> (bool, String, String, String) {
    let told = explain(policies, "mine", request).unwrap();
    let change = match told.change {
        Change::Nothing => String::new(),
        Change::Toml(text) | Change::Cedar(text) | Change::Other(text) | Change::Never(text) => text,
    };
    (told.allowed, format!("{} {}", told.rule, told.value), told.why, change)
}

#[test]
fn a_package_is_judged_as_the_index_judges_it() {
    let mut policies = Policies::embedded();
    let mut with = |packages: &str| {
        let text = format!(
            "[network]\nmode = 'allowlist'\n[packages]\ninstall = 'mirror'\nindex = 'https://mirror.example/simple/'\n\
             allow = ['numpy', 'types-*']\ndeny = ['types-bad']\n{packages}"
        );
        policies.add("mine", "mine.toml".into(), text);
        policies.clone()
    };
    let (strict, loose) = (with(""), with("wheels_only = false\nrequire_hashes = false"));
    let ask = |policies: &Policies, name: &str| says(policies, &Request::Package(name.into()));
    let (allowed, rule, why, _) = ask(&strict, "NumPy");
    assert!(allowed && rule == "packages.allow numpy" && why.contains("wheels only"), "{rule} {why}");
    assert!(why.contains("SHA-256 that the index states"), "{why}");
    assert!(ask(&loose, "numpy").2.contains("taken as they come"));
    assert!(ask(&strict, "types_requests").0);
    let (allowed, rule, _, change) = ask(&strict, "types-bad");
    assert!(
        !allowed && rule == "packages.deny types-bad" && change.contains("take \"types-bad\" out"),
        "{change}"
    );
    let (allowed, _, _, change) = ask(&strict, "pandas");
    assert!(!allowed && change == "[packages]\nallow = [\"numpy\", \"types-*\", \"pandas\"]", "{change}");
    let (allowed, rule, _, change) = ask(&strict, "numpy-2.1.0.tar.gz");
    assert!(
        !allowed && rule == "packages.wheels_only true" && change == "[packages]\nwheels_only = false",
        "{rule}"
    );
    assert!(ask(&loose, "numpy-2.1.0.tar.gz").0 && ask(&strict, "numpy-2.1.0-py3-none-any.whl").0);
    assert!(!ask(&strict, "numpy-2.1.0.exe").0 && !ask(&strict, "../numpy").0);
}

#[test]
fn a_secret_is_sent_where_policy_network_and_configuration_all_say_so() {
    let mut policies = Policies::embedded();
    let mut with = |text: &str| {
        policies.add("mine", "mine.toml".into(), text.to_owned());
        policies.clone()
    };
    let good =
        with("secrets = ['API_KEY']\n[network]\nmode = 'allowlist'\nallowed_domains = ['*.example.com']");
    let (allowed, rule, why, _) = says(&good, &secret("api.example.com"));
    assert!(
        allowed && rule == "secrets API_KEY" && why.contains("placeholder becomes the value"),
        "{rule} {why}"
    );
    let (allowed, rule, why, change) = says(&good, &secret("other.example.com"));
    assert!(
        !allowed && rule.starts_with("secrets.API_KEY.hosts") && why.contains("bound to api.example.com"),
        "{why}"
    );
    assert!(change.contains("\"other.example.com\""), "{change}");
    let unknown = Request::Secret { name: "API_KEY".into(), to: "api.example.com".into(), config: None };
    assert!(says(&good, &unknown).3.contains("add [secrets.API_KEY]"));
    let closed = with("[network]\nmode = 'allowlist'\nallowed_domains = ['a.com']");
    let (allowed, rule, _, change) = says(&closed, &secret("api.example.com"));
    let both = "secrets = [\"API_KEY\"]\n[network]\nallowed_domains = [\"a.com\", \"api.example.com\"]";
    assert!(!allowed && rule.starts_with("secrets []") && change == both, "{rule} {change}");
    let denied = with("secrets = ['*']\n[network]\nmode = 'open'\ndenied_domains = ['api.example.com']");
    assert_eq!(says(&denied, &secret("api.example.com:443")).1, "network.denied_domains api.example.com");
}
