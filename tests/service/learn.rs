//! A policy that is learned from the audit log of a real run lets that run pass again, and nothing beside it.
//!
//! ```text
//!   run under a wide policy ─▶ audit log ─▶ cloister policy learn ─▶ learned.toml ─▶ policy reload ─▶ the same run; a third host
//! ```

use crate::server::{Place, Server};
use cloister_tests::far::{Asked, Far, answer};
use serde_json::{Value, json};

fn hello(_: &Asked) -> Vec<u8> {
    answer("200 OK", "text/plain", b"hello")
}

/// Fetches two pages, writes a file and takes its time.
fn run(server: &Server, session: &str, [one, two]: [&Far; 2]) -> String {
    let code = format!(
        "import time, urllib.request as u\n\
         said = [u.urlopen(url).read().decode() for url in ('http://{}/a', 'http://{}/b')]\n\
         with open('out.bin', 'wb') as out: out.write(bytes(3 << 20))\n\
         time.sleep(0.5)\nprint(said)",
        one.address, two.address
    );
    let answer = server.python(session, &code).json();
    answer["stdout"].as_str().unwrap_or_default().to_owned()
}

/// What a session hears of a page.
fn fetch(server: &Server, session: &str, far: &Far) -> String {
    let code = format!(
        "import urllib.request as u\ntry: print(u.urlopen('http://{}/c').status)\nexcept OSError as error: print(error)",
        far.address
    );
    server.python(session, &code).json()["stdout"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn what_a_run_has_done_becomes_a_policy_under_which_it_can_do_that_and_no_more() {
    let Some(place) = Place::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::create_dir(path("p")).unwrap();
    let far: Vec<Far> = (0..4).map(|_| Far::plain(hello)).collect();
    let ports: Vec<_> = far[..3].iter().map(|far| far.address.port().to_string()).collect();
    let ports = ports.join(", ");
    let wide =
        format!("[network]\nmode = \"allowlist\"\nallowed_cidrs = [\"127.0.0.0/8\"]\nports = [{ports}]\n");
    std::fs::write(path("p/wide.toml"), wide).unwrap();
    std::fs::write(path("config"), "[interpreters.wide]\npolicy = \"wide\"\n").unwrap();
    let server = place.serve_with(0, &["--policies", &path("p"), "--config", &path("config")]);

    let (session, other) = (server.session_of("wide"), server.session_of("wide"));
    assert_eq!(run(&server, &session, [&far[0], &far[1]]), "['hello', 'hello']\n");
    assert!(fetch(&server, &session, &far[3]).contains("403"), "its port is not listed");
    // Another session's doings are none of this one's.
    assert!(fetch(&server, &other, &far[2]).contains("200"));
    server.stop(&session);
    let log = place.path().join("audit/00000001.jsonl").display().to_string();
    let learned = place.command(&["policy", "learn", &log, "--session", &session, "--json"]);
    let learned: Value = serde_json::from_slice(&learned.stdout).unwrap();
    let text = learned["policy"].as_str().unwrap();
    let refused = json!([{ "host": far[3].address.ip().to_string(), "port": far[3].address.port(), "rule": "network.ports" }]);
    assert_eq!(learned["refused"], refused);
    for said in [
        "mode = \"allowlist\"",
        "runtimes = [\"python\"]",
        "shell = false",
        "session_max = \"900s\"",
        "call = ",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    assert!(!text.contains(&format!("{}/", far[2].address.ip())), "{text}");

    std::fs::write(path("p/learned.toml"), text).unwrap();
    let checked = place.command(&["policy", "validate", "--policies", &path("p"), &path("p/learned.toml")]);
    assert!(checked.status.success(), "{text}\n{checked:?}");
    std::fs::write(path("config"), "[interpreters.wide]\npolicy = \"learned\"\n").unwrap();
    let reloaded = place.command(&["policy", "reload", "--data-dir", place.path().to_str().unwrap()]);
    assert!(reloaded.status.success(), "{reloaded:?}");
    far.iter().for_each(|far| drop(far.asked()));

    let session = server.session_of("wide");
    assert_eq!(run(&server, &session, [&far[0], &far[1]]), "['hello', 'hello']\n");
    for beyond in &far[2..] {
        assert!(fetch(&server, &session, beyond).contains("403"), "{text}");
        assert_eq!(beyond.asked().len(), 0);
    }
    let body = json!({ "command": "true" });
    let shell = server.request("POST", &format!("/v1/sessions/{session}/invoke"), &[], Some(body));
    assert_eq!(shell.status, 403, "{shell:?}");
    assert!(server.terminate().success());
}
