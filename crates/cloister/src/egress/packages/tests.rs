//! Names, pages and verdicts, without a mirror.

use super::fetch::Url;
use super::page::{File, read, write};
use super::rules::{Rules, normal};
use super::*;
use std::time::SystemTime;

const SUM: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789ABCDEF";

fn rules(change: impl FnOnce(&mut cloister_core::policy::Packages)) -> Rules {
    let mut packages = Policy::built_in("test").packages;
    packages.allow = vec!["demo".into(), "types-*".into()];
    change(&mut packages);
    Rules::of(&packages)
}

fn base() -> Url {
    Url::of_index("https://mirror.test/root/simple/").unwrap().project("demo")
}

fn file(name: &str) -> File {
    let url = base().join(name).unwrap();
    let name = name.to_owned();
    File { name, url, sha256: Some(SUM.to_lowercase()), requires_python: None, yanked: false, uploaded: None }
}

#[test]
fn names_of_projects_have_one_form_and_nothing_else_is_a_name() {
    for (name, expected) in [("Demo", "demo"), ("a_b.C--d", "a-b-c-d"), ("x", "x")] {
        assert_eq!(normal(name).as_deref(), Some(expected));
    }
    for bad in ["", "-a", "a-", "a/b", "..", "a b", "ä", "a%2fb", &"a".repeat(101)] {
        assert_eq!(normal(bad), None, "{bad}");
    }
    for path in [
        "/",
        "/simple",
        "/simple/",
        "/simple/a/b",
        "/files/a",
        "/files/a/../b",
        "/files/a/.x",
        "/x/y",
        "//simple/a",
    ] {
        assert!(asked(path).is_none(), "{path}");
    }
    assert!(matches!(asked("/simple/A_b/?x"), Some(Asked::Project(name)) if name == "a-b"));
    assert!(matches!(asked("/files/a/a-1.0+x.whl"), Some(Asked::File(_, file)) if file == "a-1.0+x.whl"));
}

#[test]
fn a_mirror_is_reached_by_tls_or_is_on_this_machine() {
    for good in
        ["https://mirror.test/simple", "https://mirror.test:8443/a/b/", "http://127.0.0.1:3141/root/simple/"]
    {
        assert!(Url::of_index(good).is_ok(), "{good}");
    }
    for bad in [
        "",
        "mirror.test",
        "http://mirror.test/simple/",
        "ftp://mirror.test/",
        "https://u@mirror.test/",
        "https://mirror.test/?x",
    ] {
        assert!(Url::of_index(bad).is_err(), "{bad}");
    }
}

#[test]
fn links_lead_where_browsers_would_follow_them() {
    for (link, expected) in [
        ("../../files/a.whl#sha256=0", "https://mirror.test:443/root/files/a.whl"),
        ("a.whl", "https://mirror.test:443/root/simple/demo/a.whl"),
        ("/x/./y?z", "https://mirror.test:443/x/y?z"),
        ("../../../../../x", "https://mirror.test:443/x"),
        ("//other.test/x", "https://other.test:443/x"),
        ("https://other.test/x", "https://other.test:443/x"),
    ] {
        assert_eq!(base().join(link).unwrap().to_string(), expected, "{link}");
    }
    for bad in ["https://0x7f000001/x", "file:///etc/passwd", "https://a b/x", "/x y", "/x\r\ny"] {
        assert!(base().join(bad).is_none(), "{bad}");
    }
}

#[test]
fn both_kinds_of_pages_say_the_same() {
    let html = format!(
        "<!DOCTYPE html><html><body><a href=\"../../demo-1.0-py3-none-any.whl#sha256={SUM}\" data-requires-python=\"&gt;=3.8\">x</a>\n\
         <a href='https://other.test/demo-0.9.tar.gz' data-yanked=\"bad\">y</a><a href=\"x y.whl\">z</a></body></html>"
    );
    let json = serde_json::json!({ "meta": { "api-version": "1.1" }, "name": "demo", "files": [
        { "filename": "demo-1.0-py3-none-any.whl", "url": "../../demo-1.0-py3-none-any.whl", "hashes": { "sha256": SUM }, "requires-python": ">=3.8" },
        { "filename": "demo-0.9.tar.gz", "url": "https://other.test/demo-0.9.tar.gz", "hashes": {}, "yanked": "bad" },
        { "filename": "../x.whl", "url": "x.whl", "hashes": {} },
    ] });
    let (html, json) = (
        read(&base(), "text/html", &html).unwrap(),
        read(&base(), "application/x+json", &json.to_string()).unwrap(),
    );
    assert_eq!(html, json);
    assert_eq!(html.len(), 2);
    assert_eq!(html[0].sha256, Some(SUM.to_lowercase()));
    let page = write("demo", &[&html[0], &html[1]]);
    assert!(
        page.contains("<a href=\"/files/demo/demo-1.0-py3-none-any.whl#sha256=0123456789abcdef"),
        "{page}"
    );
    assert!(page.contains("data-requires-python=\"&gt;=3.8\"") && page.contains("data-yanked"), "{page}");
    assert!(!page.contains("other.test"), "{page}");
    assert!(read(&base(), "application/json", "{").is_err());
}

#[test]
fn verdicts_name_the_field_that_decides() {
    let now = SystemTime::now();
    let default = rules(|_| {});
    assert!(default.admits("demo").is_ok() && default.admits("types-six").is_ok());
    assert_eq!(default.admits("dem").unwrap_err().rule, "packages.allow");
    let denied = rules(|p| p.deny = vec!["types-six".into()]);
    assert_eq!(denied.admits("types-six").unwrap_err().rule, "packages.deny");
    let open = rules(|p| p.allow = vec!["*".into()]);
    assert!(open.admits("whatever").is_ok());

    let rule = |rules: &Rules, file: &File| rules.takes("demo", file, now).err().map(|why| why.rule);
    let wheel = file("demo-1.0-py3-none-any.whl");
    assert_eq!(rule(&default, &wheel), None);
    assert_eq!(rule(&default, &file("Demo-1.0-py3-none-any.whl")), None);
    assert_eq!(rule(&default, &file("other-1.0-py3-none-any.whl")), Some("packages.allow"));
    assert_eq!(rule(&default, &file("demo-1.0.tar.gz")), Some("packages.wheels_only"));
    assert_eq!(rule(&default, &file("demo-1.0.exe")), Some("packages.wheels_only"));
    assert_eq!(rule(&rules(|p| p.wheels_only = false), &file("demo-1.0.tar.gz")), None);
    let bare = File { sha256: None, ..wheel.clone() };
    assert_eq!(rule(&default, &bare), Some("packages.require_hashes"));
    assert_eq!(rule(&rules(|p| p.require_hashes = false), &bare), None);
    let slow = rules(|p| p.min_age = Duration::from_secs(3600));
    let aged = |seconds| File { uploaded: Some(now - Duration::from_secs(seconds)), ..wheel.clone() };
    assert_eq!(rule(&slow, &wheel), Some("packages.min_age"));
    assert_eq!(rule(&slow, &aged(60)), Some("packages.min_age"));
    assert_eq!(rule(&slow, &aged(3601)), None);

    let files = [file("demo-1.0.tar.gz"), file("demo-1.1.tar.gz")];
    let nothing = default.offer("demo", &files, now).unwrap_err();
    assert!(
        nothing.rule == Some("packages.wheels_only") && nothing.what.contains("none of its 2 files"),
        "{nothing:?}"
    );
    assert!(default.offer("demo", &[], now).unwrap().is_empty());
}

#[test]
fn times_are_read_as_the_index_writes_them() {
    let json = |time: &str| {
        let page =
            serde_json::json!({ "files": [{ "filename": "a.whl", "url": "a.whl", "upload-time": time }] });
        read(&base(), "json", &page.to_string()).unwrap().remove(0).uploaded
    };
    let at = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    assert_eq!(json("1970-01-01T00:00:00Z"), at(0));
    assert_eq!(json("2024-02-29T12:34:56.789Z"), at(1_709_210_096));
    assert_eq!(json("2000-03-01T00:00:00Z"), at(951_868_800));
    for bad in ["", "2024-02-29", "2024-13-01T00:00:00Z", "2024-02-29T12:34:56+01:00", "yesterday at noon, Z"]
    {
        assert_eq!(json(bad), None, "{bad}");
    }
}
