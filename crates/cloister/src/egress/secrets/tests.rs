//! Configuration, and what becomes of heads.

use super::substitute::{Filled, Misplaced, fill};
use super::*;
use crate::egress::host::parse;

fn config(text: &str) -> BTreeMap<String, SecretConfig> {
    toml::from_str(text).unwrap()
}

/// A value in a file, and the configuration's beginning that names it.
struct Kept {
    folder: tempfile::TempDir,
}

impl Kept {
    fn new(value: &str) -> Self {
        let kept = Self { folder: tempfile::tempdir().unwrap() };
        kept.write(value);
        kept
    }

    fn write(&self, value: &str) {
        std::fs::write(self.folder.path().join("value"), value).unwrap();
    }

    fn secret(&self, name: &str, rest: &str) -> String {
        format!("[{name}]\nfile = {:?}\n{rest}\n", self.folder.path().join("value"))
    }
}

fn policy(secrets: &[&str]) -> Policy {
    let mut policy = Policy::built_in("test");
    policy.network.mode = NetworkMode::Open;
    policy.secrets = secrets.iter().map(|&name| name.to_owned()).collect();
    policy
}

fn lend(secrets: &Secrets, names: &[&str]) -> Option<Lent> {
    secrets.lend(&policy(names))
}

fn host(text: &str) -> Host {
    parse(text.as_bytes(), Some(443)).unwrap().host
}

fn filled(lent: &Lent, at: &str, head: &str) -> Result<String, Misplaced> {
    let Filled { head, used: _ } = fill(head.as_bytes(), &lent.bound_to(&host(at)))?;
    Ok(String::from_utf8(head).unwrap())
}

#[test]
fn a_configuration_that_cannot_be_meant_is_refused_with_the_field() {
    let kept = Kept::new("a-value-of-some-length");
    for (text, part) in [
        (kept.secret("KEY", "hosts = []"), "name at least one"),
        (kept.secret("key", "hosts = ['a.test']"), "capital letters"),
        (kept.secret("PATH", "hosts = ['a.test']"), "none of the session's own"),
        (kept.secret("HTTPS_PROXY", "hosts = ['a.test']"), "none of the session's own"),
        (kept.secret("KEY", "hosts = ['a.test:443']"), "without a port"),
        (kept.secret("KEY", "hosts = ['*']"), "hosts"),
        (kept.secret("KEY", "hosts = ['127.1']"), "hosts"),
        (kept.secret("KEY", "hosts = ['a.test']\nenv = 'HOME'"), "either file"),
        ("[KEY]\nhosts = ['a.test']\n".into(), "either file"),
        ("[KEY]\nhosts = ['a.test']\nfile = 'relative'\n".into(), "absolute"),
        ("[KEY]\nhosts = ['a.test']\nfile = '/nonexistent/x'\n".into(), "cannot be read"),
        ("[KEY]\nhosts = ['a.test']\nenv = 'CLOISTER_NO_SUCH_VARIABLE'\n".into(), "no variable"),
        (kept.secret("KEY", "hosts = ['a.test']\ninject = 'Host'"), "own header"),
        (kept.secret("KEY", "hosts = ['a.test']\ninject = 'x y'"), "inject"),
        (kept.secret("KEY", "hosts = ['a.test']\nprefix = 'Bearer '"), "prefix"),
    ] {
        let error = Secrets::open(&config(&text), None, &[]).err().map(|error| error.to_string());
        assert!(error.as_ref().is_some_and(|error| error.contains(part)), "{text}: {error:?}");
    }
    for value in ["short", "with a blank", "with\nline", "with\u{7f}", "wïth umlaut"] {
        let text = Kept::new(value).secret("KEY", "hosts = ['a.test']");
        assert!(Secrets::open(&config(&text), None, &[]).is_err(), "{value:?}");
    }
    let good = Secrets::open(
        &config(&kept.secret("KEY", "hosts = ['a.test', '*.b.test', '10.0.0.1', '::1']")),
        None,
        &[],
    );
    assert!(good.is_ok());
}

#[test]
fn a_policy_that_names_what_is_not_there_stops_the_server() {
    let kept = Kept::new("a-value-of-some-length");
    let configs = config(&kept.secret("KEY", "hosts = ['a.test']"));
    let closed = Policy { network: Policy::built_in("x").network, ..policy(&["KEY"]) };
    let browser = Policy { tier: "browser".into(), ..policy(&["KEY"]) };
    for (policy, good) in [
        (policy(&["KEY"]), true),
        (policy(&["*"]), true),
        (policy(&["OTHER"]), false),
        (closed, false),
        (browser, false),
    ] {
        let interpreters = [("i".to_owned(), Arc::new(policy.clone()))];
        assert_eq!(Secrets::open(&configs, None, &interpreters).is_ok(), good, "{policy:?}");
    }
}

#[test]
fn only_what_a_policy_names_is_lent_and_only_to_the_hosts_of_each() {
    let kept = Kept::new("a-value-of-some-length");
    let text =
        kept.secret("KEY", "hosts = ['a.test']") + &kept.secret("OTHER", "hosts = ['*.b.test', '10.0.0.1']");
    let secrets = Secrets::open(&config(&text), None, &[]).unwrap();
    assert!(lend(&secrets, &[]).is_none() && lend(&secrets, &["NOBODYS"]).is_none());
    let lent = lend(&secrets, &["KEY"]).unwrap();
    assert!(lent.binds(&host("a.test")) && !lent.binds(&host("x.b.test")) && !lent.binds(&host("x.a.test")));
    let all = lend(&secrets, &["*"]).unwrap();
    assert!(all.binds(&host("x.b.test")) && all.binds(&host("10.0.0.1")) && !all.binds(&host("b.test")));
    let [(name, placeholder)] = &lent.variables()[..] else { panic!("one variable") };
    assert!(name == "KEY" && placeholder.starts_with("cloister-secret-KEY-"), "{placeholder}");
    assert!(lent.trust().contains("BEGIN CERTIFICATE"));
}

#[test]
fn values_stand_in_headers_of_their_hosts_and_a_placeholder_anywhere_else_refuses_the_request() {
    let kept = Kept::new("a-value-of-some-length\n");
    let text = kept.secret("KEY", "hosts = ['a.test']")
        + &kept.secret("OTHER", "hosts = ['b.test']")
        + &kept.secret("SET", "hosts = ['c.test']\ninject = 'x-api-key'\nprefix = 'v1 '");
    let secrets = Secrets::open(&config(&text), None, &[]).unwrap();
    let lent = lend(&secrets, &["*"]).unwrap();
    let variables: BTreeMap<_, _> = lent.variables().into_iter().collect();
    let (key, other, set) = (&variables["KEY"], &variables["OTHER"], &variables["SET"]);
    let head = |lines: &str| format!("GET /p HTTP/1.1\r\nHost: a.test\r\n{lines}Connection: close\r\n\r\n");

    let out = filled(&lent, "a.test", &head(&format!("Authorization: Bearer {key}\r\nX: {key},{key}\r\n")))
        .unwrap();
    assert!(out.contains("Authorization: Bearer a-value-of-some-length\r\n"), "{out}");
    assert!(out.contains("X: a-value-of-some-length,a-value-of-some-length\r\n"), "{out}");
    assert!(out.ends_with("Connection: close\r\nAccept-Encoding: identity\r\n\r\n"), "{out}");

    use base64::Engine as _;
    let encode = |text: String| base64::engine::general_purpose::STANDARD.encode(text);
    let basic = encode(format!("user:{key}"));
    let out = filled(&lent, "a.test", &head(&format!("authorization: basic {basic}\r\n"))).unwrap();
    let expected = encode("user:a-value-of-some-length".into());
    assert!(out.contains(&format!("authorization: Basic {expected}\r\n")), "{out}");

    let out = filled(&lent, "a.test", &head("Range: bytes=0-3\r\nif-range: x\r\nAccept-Encoding: gzip\r\n"))
        .unwrap();
    assert!(!out.contains("ange:") && !out.contains("gzip"), "{out}");
    // A header that is set is set, whatever the guest says, and with nothing from it.
    let out = filled(&lent, "c.test", &head(&format!("X-API-Key: mine\r\nX-Api-Key: {set}\r\n"))).unwrap();
    assert_eq!(out.to_lowercase().matches("x-api-key").count(), 1, "{out}");
    assert!(out.contains("x-api-key: v1 a-value-of-some-length\r\n"), "{out}");

    let other_basic = encode(format!("user:{other}"));
    for line in [
        format!("Authorization: {other}\r\n"),
        format!("Authorization: Basic {other_basic}\r\n"),
        format!("X: {set}\r\n"),
        "X: cloister-secret-KEY-of-another-session\r\n".into(),
    ] {
        assert!(matches!(filled(&lent, "a.test", &head(&line)), Err(Misplaced::NotForHere)), "{line}");
        assert!(mentions_placeholder(head(&line).as_bytes()), "{line}");
    }
    assert!(!mentions_placeholder(head("X: plain\r\n").as_bytes()));
    let in_address = format!("GET /?k={key} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
    assert!(matches!(filled(&lent, "a.test", &in_address), Err(Misplaced::InAddress)));
}

#[test]
fn a_value_that_is_changed_counts_at_once_and_one_that_is_removed_cannot_be_used() {
    let kept = Kept::new("the-first-value");
    let secrets = Secrets::open(&config(&kept.secret("KEY", "hosts = ['a.test']")), None, &[]).unwrap();
    let lent = lend(&secrets, &["KEY"]).unwrap();
    let head = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", lent.variables()[0].1);
    assert!(filled(&lent, "a.test", &head).unwrap().contains("X: the-first-value\r\n"));
    kept.write("the-second-value");
    assert!(filled(&lent, "a.test", &head).unwrap().contains("X: the-second-value\r\n"));
    // Both are kept out of answers.
    assert_eq!(lent.known(&host("a.test")).len(), 2);
    std::fs::remove_file(kept.folder.path().join("value")).unwrap();
    assert_eq!(filled(&lent, "a.test", &head), Err(Misplaced::Unreadable("KEY".into())));
    assert_eq!(format!("{:?}", Value("abc".into())), "Value(…)");
}
