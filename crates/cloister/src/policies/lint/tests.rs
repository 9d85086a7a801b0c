//! What is found, and what is not.

use super::*;
use cloister_core::policy::Sources;

fn ids(text: &str) -> Vec<&'static str> {
    let mut sources = Sources::new();
    sources.add("x", "x.toml", text);
    findings(&sources.resolve("x").unwrap(), None).iter().map(|finding| finding.id).collect()
}

fn listed(domains: &str) -> Vec<&'static str> {
    ids(&format!("[network]\nmode = 'allowlist'\nports = [443]\nallowed_domains = [{domains}]"))
}

#[test]
fn entries_that_open_more_than_they_seem_to_are_found_and_others_are_not() {
    assert_eq!(
        listed("'packages.example', '*.packages-files.example', 'mine.github.io'"),
        Vec::<&str>::new()
    );
    for (entry, id) in [
        ("*.com", "whole-tld"),
        ("*.amazonaws.com", "shared-suffix"),
        ("*.s3.amazonaws.com", "shared-suffix"),
        ("*.github.io", "shared-suffix"),
        ("pastebin.com", "paste-or-drop"),
        ("*.pastebin.com", "paste-or-drop"),
        ("bit.ly", "url-shortener"),
        ("dns.google", "dns-over-https"),
        ("intranet", "one-label"),
    ] {
        assert_eq!(listed(&format!("'{entry}'")), [id], "{entry}");
    }
    assert!(listed("'metadata.google.internal'").contains(&"never"));
}

#[test]
fn dangerous_combinations_are_found() {
    let has = |text: &str, id: &str| assert!(ids(text).contains(&id), "{id}: {:?}", ids(text));
    has("[network]\nmode = 'open'", "shell-and-open-network");
    has("[network]\nmode = 'open'", "exec-and-open-network");
    has("[network]\nmode = 'open'\nallowed_cidrs = ['10.1.0.0/16']", "bridge");
    has("[network]\nallowed_cidrs = ['127.0.0.0/8']", "loopback-range");
    has("[network]\nallowed_cidrs = ['0.0.0.0/0']", "whole-internet");
    has("[network]\nallowed_cidrs = ['::/0']", "whole-internet");
    has("[network]\nallowed_cidrs = ['10.0.0.0/8']", "whole-private-range");
    has("[network]\nports = [22]", "service-port");
    has("[network]\nports = [25]", "service-port");
    has("[network]\nmode = 'allowlist'\nallowed_domains = ['a.com']", "plain-http");
    has("[network]\nmode = 'allowlist'", "empty-allowlist");
    has("[network]\nallowed_domains = ['a.com']", "no-effect");
    has("[isolation]\nrequire = ['seccomp', 'landlock']", "weak-walls");
    has("tier = 'browser'\n[network]\nmode = 'open'", "unrecorded-browser");
    has("[resources]\nmemory = '100GiB'", "huge-limit");
    assert_eq!(ids(""), Vec::<&str>::new());
}

#[test]
fn every_shipped_policy_without_a_network_has_nothing_to_be_said_about_it() {
    let policies = Policies::embedded();
    for name in ["default", "strict", "wasm", "offline-default", "offline-strict", "browser"] {
        let found = lint(&policies, name, None).unwrap();
        assert!(found.is_empty(), "{name}: {found:?}");
    }
}

#[test]
fn ten_thousand_rules_are_loaded_narrowed_and_read_one_by_one() {
    let list = |of: &str| (0..10_000).map(|n| format!("'host{n}.{of}'")).collect::<Vec<_>>().join(",");
    let network = format!(
        "[network]\nmode = 'allowlist'\nports = [443]\nallowed_domains = [{}]\ndenied_domains = [{}]",
        list("a.com"),
        list("b.com")
    );
    let mut sources = Sources::new();
    sources.add("p", "p.toml", network.as_str());
    sources.add("c", "c.toml", format!("extends = 'p'\n{network}"));
    // Comparing all with all would take minutes in a build without optimisation.
    let resolved = sources.resolve("c").unwrap();
    assert_eq!(resolved.policy.network.allowed_domains.len(), 10_000);
    assert_eq!(findings(&resolved, None), []);
}

/// The policy that the configuration's secrets are lent by.
fn lent(text: &str) -> Vec<String> {
    let config = "[API_KEY]\nfile = '/no/such/file'\nhosts = ['api.example.com', '*.files.example.com']\n\
                  [ADDRESS_KEY]\nenv = 'NONE'\nhosts = ['192.0.2.1']";
    let bound: Bound = toml::from_str(config).unwrap();
    let mut policies = Policies::embedded();
    policies.add("x", "x.toml".into(), text.into());
    lint(&policies, "x", Some(&bound)).unwrap().iter().map(|one| format!("{} {}", one.id, one.item)).collect()
}

#[test]
fn secrets_beside_an_open_network_and_those_that_can_go_nowhere_are_found() {
    let only = "[network]\nmode = 'allowlist'\nports = [443]\nallowed_domains = ";
    let good = format!(
        "secrets = ['API_KEY']\n{only}['api.example.com', 'a.files.example.com', 'docs.example.org']"
    );
    assert_eq!(lent(&good), Vec::<String>::new());
    assert_eq!(lent(&good.replace("a.files", "*.files")), Vec::<String>::new());
    let has = |text: &str, finding: &str| {
        let found = lent(text);
        assert!(found.iter().any(|one| one.trim_end() == finding), "{finding}: {found:?}");
    };
    has("secrets = ['API_KEY']\n[network]\nmode = 'open'", "secret-and-open-network");
    has(&good.replace("docs.example.org", "*.example.org"), "secret-and-wide-network *.example.org");
    has(&format!("secrets = ['API_KEY']\n{only}['docs.example.org']"), "unreachable-secret API_KEY");
    has(&format!("{good}\ndenied_domains = ['api.example.com']"), "unreachable-secret API_KEY");
    has(&good.replace("API_KEY", "ADDRESS_KEY"), "unreachable-secret ADDRESS_KEY");
    has(&good.replace("API_KEY", "OTHER_KEY"), "unknown-secret OTHER_KEY");
    has(&good.replace("API_KEY", "*"), "every-secret *");
    has(&good.replace("API_KEY", "*"), "unreachable-secret *");
    has("secrets = ['API_KEY']", "no-effect");
    // Without the configuration, nothing is said of hosts.
    assert_eq!(ids(&good.replace("API_KEY", "OTHER_KEY")), Vec::<&str>::new());
    assert!(ids("secrets = ['API_KEY']\n[network]\nmode = 'open'").contains(&"secret-and-open-network"));
}

#[test]
fn packages_that_nobody_checks_are_found() {
    let mirror = "[network]\nmode = 'allowlist'\nports = [443]\nallowed_domains = ['a.example.com']\n\
                  [packages]\ninstall = 'mirror'\nindex = 'https://mirror.example/simple/'\nallow = ['numpy']";
    assert_eq!(ids(mirror), Vec::<&str>::new());
    assert_eq!(ids(&mirror.replace("'a.example.com'", "")), Vec::<&str>::new());
    let has = |text: &str, id: &str| assert!(ids(text).contains(&id), "{id}: {:?}", ids(text));
    has(&format!("{mirror}\nrequire_hashes = false"), "unlocked-packages");
    has(&format!("{mirror}\nwheels_only = false"), "source-archives");
    has(&mirror.replace("'numpy'", "'*'"), "every-package");
    has(&mirror.replace("'numpy'", ""), "empty-allowlist");
    has(
        &mirror.replace("'allowlist'", "'open'").replace("\nallowed_domains = ['a.example.com']", ""),
        "around-the-mirror",
    );
    has(&mirror.replace("'allowlist'", "'none'"), "no-effect");
    has(&format!("secrets = ['KEY']\n{}", mirror.replace("'numpy'", "'*'")), "packages-beside-secrets");
    has("[packages]\nallow = ['numpy']", "no-effect");
    // A profile that claims to be for packages, or for data science, and leaves pip to itself.
    let mut policies = Policies::embedded();
    let hosts = "[network]\nallowed_domains = ['files.example.com']";
    policies.add("x", "x.toml".into(), format!("extends = 'data-science-mirror'\n{hosts}"));
    policies.add("y", "y.toml".into(), format!("{hosts}\nmode = 'allowlist'\nports = [443]"));
    // The parent lists nothing, so the child has to be laid over it.
    policies.add(
        "packages",
        "packages.toml".into(),
        "[network]\nmode = 'allowlist'\nallowed_domains = ['*.example.com']".into(),
    );
    let found =
        |name: &str| lint(&policies, name, None).unwrap().iter().any(|one| one.id == "unchecked-packages");
    assert!(found("x") && !found("y"));
}
